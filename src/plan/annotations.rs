//! Annotations of crun's that change how a container is made, for engines that were written against it.
//!
//! What they ask for is decided where it belongs; here are their names, and what their values mean.

use std::ffi::CString;

use seccompiler::sock_filter;

use crate::config::Pairs;
use crate::error::{Failure, Field, Result};
use crate::seccomp;

/// The program keeps the groups of the caller: rootless, they may be a right that no id map can give.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// Which of the SELinux contexts of a mount `linux.mountLabel` is.
pub const CONTEXT: &str = "run.oci.mount_context_type";
/// A socket that gets a pidfd of the container's process.
pub const PIDFD: &str = "run.oci.pidfd_receiver";
/// A name in `linux.seccomp` that no architecture knows is an error.
pub const KNOWN_CALLS: &str = "run.oci.seccomp_fail_unknown_syscall";
/// The filter as the kernel takes it, in base64, in the place of `linux.seccomp`.
pub const FILTER: &str = "run.oci.seccomp_bpf_data";

/// The name of a cgroup below the container's, in which its processes begin. No limit is set there: what
/// the container makes of it is its own affair.
pub const SUBCGROUP: &str = "run.oci.delegate-cgroup";

/// The name of a cgroup below systemd's unit, which is then the container's: the unit has no processes itself.
pub const SUBGROUP: &str = "run.oci.systemd.subgroup";

/// The name of a cgroup that an annotation gives: one component.
pub fn cgroup_name(annotations: &Pairs<String>, key: &str) -> Result<Option<CString>> {
    let Some(name) = annotations.get(key).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let is_one = !name.contains('/') && name != "." && name != "..";
    match CString::new(name.as_str()) {
        Ok(name) if is_one => Ok(Some(name)),
        _ => {
            let text = format!("{name:?} is no name of a cgroup");
            Err(Failure::config(Field::key("annotations", key), text))
        }
    }
}

/// Whether a switch is on: it is there, and says neither 0 nor false.
pub fn is_on(annotations: &Pairs<String>, key: &str) -> bool {
    let value = annotations.get(key).map(String::as_str);
    !matches!(value, None | Some("" | "0" | "false"))
}

/// The mount option that takes a label.
pub fn context(annotations: &Pairs<String>) -> Result<&'static std::ffi::CStr> {
    match annotations.get(CONTEXT).map(String::as_str) {
        None | Some("context") => Ok(c"context"),
        Some("fscontext") => Ok(c"fscontext"),
        Some("defcontext") => Ok(c"defcontext"),
        Some("rootcontext") => Ok(c"rootcontext"),
        Some(other) => {
            let text = format!("{other:?} is none of context, fscontext, defcontext, rootcontext");
            Err(Failure::config(Field::key("annotations", CONTEXT), text))
        }
    }
}

/// The instructions of a filter that was compiled by somebody else.
pub fn filter(annotations: &Pairs<String>) -> Result<Option<Vec<sock_filter>>> {
    let Some(text) = annotations.get(FILTER) else {
        return Ok(None);
    };
    let wrong = |text| Failure::config(Field::key("annotations", FILTER), text);
    let bytes = base64(text).ok_or_else(|| wrong("is not base64"))?;
    let instructions = seccomp::from_bytes(&bytes).filter(|program| !program.is_empty());
    let program =
        instructions.ok_or_else(|| wrong("is not a program: instructions have 8 bytes"))?;
    Ok(Some(program))
}

/// RFC 4648, section 4; padding may be missing.
fn base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(letters.len() * 3 / 4);
    for group in letters.chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let value = group
                .get(place)
                .map_or(Some(0), |letter| six_bits(*letter))?;
            bits = bits << 6 | u32::from(value);
        }
        let [_, whole @ ..] = bits.to_be_bytes();
        // One letter alone is less than a byte.
        let count = group.len().checked_sub(1).filter(|count| *count > 0)?;
        bytes.extend_from_slice(&whole[..count]);
    }
    Some(bytes)
}

fn six_bits(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Pairs<String> {
        Pairs(vec![(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_switch_is_on_unless_it_says_no() {
        assert!(!is_on(&Pairs::default(), KEEP_GROUPS));
        for (value, on) in [("1", true), ("true", true), ("0", false), ("", false)] {
            assert_eq!(is_on(&with(KEEP_GROUPS, value), KEEP_GROUPS), on, "{value}");
        }
    }

    #[test]
    fn a_cgroup_below_is_one_component() {
        let name = |value| cgroup_name(&with(SUBCGROUP, value), SUBCGROUP);
        assert_eq!(name("init").unwrap().as_deref(), Some(c"init"));
        assert!(name("").unwrap().is_none());
        for wrong in ["..", ".", "a/b", "/a", "a\0b"] {
            let text = name(wrong).unwrap_err().to_string();
            assert!(text.contains(SUBCGROUP), "{text}");
        }
    }

    #[test]
    fn base64_is_read_as_the_rfc_writes_it() {
        let pairs = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, bytes) in pairs {
            assert_eq!(base64(text).unwrap(), bytes.as_bytes(), "{text}");
        }
        assert_eq!(base64("+/8"), Some(vec![0xfb, 0xff]));
        assert!(base64("Zm9vY").is_none() && base64("Zm9*").is_none());
    }

    #[test]
    fn a_program_has_whole_instructions() {
        // return SECCOMP_RET_ALLOW
        let found = filter(&with(FILTER, "BgAAAAAA/38=")).unwrap().unwrap();
        assert_eq!(
            (found.len(), found[0].code, found[0].k),
            (1, 6, 0x7fff_0000)
        );
        for wrong in ["", "BgAA", "no base64!"] {
            let text = filter(&with(FILTER, wrong)).unwrap_err().to_string();
            assert!(text.contains(FILTER), "{text}");
        }
        assert!(filter(&Pairs::default()).unwrap().is_none());
    }

    #[test]
    fn a_label_is_one_of_four_contexts() {
        assert_eq!(context(&Pairs::default()).unwrap(), c"context");
        assert_eq!(
            context(&with(CONTEXT, "rootcontext")).unwrap(),
            c"rootcontext"
        );
        assert!(context(&with(CONTEXT, "banana")).is_err());
    }
}
