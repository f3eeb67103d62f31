//! What was probably meant: the nearest word of the set that a property's values are of.

use serde_json::Value;

use super::value_at;
use crate::config::{fields, words};
use crate::rootfs::options;

/// The sets, by the properties whose values are of them; `*` is any index.
fn words_of(pointer: &str) -> Option<Vec<&'static str>> {
    let pattern: String = pointer
        .split('/')
        .skip(1)
        .map(|part| {
            let is_index = part.bytes().all(|byte| byte.is_ascii_digit());
            format!("/{}", if is_index { "*" } else { part })
        })
        .collect();
    let names = |table: &[(&'static str, u32)]| table.iter().map(|(name, _)| *name).collect();
    Some(match pattern.as_str() {
        "/linux/namespaces/*/type" => words::NAMESPACES.to_vec(),
        "/process/rlimits/*/type" => names(&words::RLIMITS),
        "/process/scheduler/policy" => names(&words::SCHEDULER_POLICIES),
        "/process/scheduler/flags/*" => words::SCHEDULER_FLAGS.map(|(name, _)| name).to_vec(),
        "/process/ioPriority/class" => words::IO_CLASSES.map(|(name, _)| name).to_vec(),
        "/linux/memoryPolicy/mode" => names(&words::MEMORY_MODES),
        "/linux/memoryPolicy/flags/*" => names(&words::MEMORY_FLAGS),
        "/linux/rootfsPropagation" => words::PROPAGATIONS.to_vec(),
        "/linux/seccomp/defaultAction" | "/linux/seccomp/syscalls/*/action" => {
            words::SECCOMP_ACTIONS.to_vec()
        }
        "/linux/seccomp/syscalls/*/args/*/op" => words::SECCOMP_OPERATORS.to_vec(),
        "/linux/seccomp/architectures/*" => words::SECCOMP_ARCHITECTURES.to_vec(),
        "/linux/seccomp/flags/*" => names(&words::SECCOMP_FLAGS),
        "/mounts/*/options" | "/mounts/*/options/*" => options::known_options().collect(),
        _ if pattern.starts_with("/process/capabilities/") => words::CAPABILITIES.to_vec(),
        _ => return None,
    })
}

/// The nearest word to the value at a pointer, or to the first element of a list that is none.
pub fn meant(text: &[u8], pointer: &str) -> Option<String> {
    let words = words_of(pointer)?;
    let typed = match value_at(text, pointer)? {
        Value::String(word) => word,
        Value::Array(list) => {
            let mut strings = list.iter().filter_map(Value::as_str);
            strings.find(|word| !words.contains(word))?.to_owned()
        }
        _ => return None,
    };
    if words.contains(&typed.as_str()) {
        return None;
    }
    fields::nearest(&typed, words.into_iter()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_of_the_right_set_is_meant() {
        let text = br#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "nett"}, {"type": "mout"}]},
            "process": {"rlimits": [{"type": "RLIMIT_NOFILES"}], "capabilities": {"bounding": ["CAP_CHWON"]}},
            "mounts": [{"options": ["ro", "nosiud"]}, {"options": ["size=4"]}]}"#;
        let meant = |pointer: &str| meant(text, pointer);
        assert_eq!(meant("/linux/namespaces/0/type"), None);
        assert_eq!(meant("/linux/namespaces/2/type").as_deref(), Some("mount"));
        assert_eq!(
            meant("/process/rlimits/0/type").as_deref(),
            Some("RLIMIT_NOFILE")
        );
        assert_eq!(
            meant("/process/capabilities/bounding/0").as_deref(),
            Some("CAP_CHOWN")
        );
        assert_eq!(meant("/mounts/0/options").as_deref(), Some("nosuid"));
        assert_eq!(meant("/mounts/1/options"), None);
        assert_eq!(meant("/hostname"), None);
    }
}
