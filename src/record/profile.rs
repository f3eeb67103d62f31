//! What the marks of a recording mean in a configuration.

use crate::config::words::CAPABILITIES;
use crate::config::{Capabilities, Names, Seccomp, SeccompAction};
use crate::seccomp::tables::{self, Arch};

/// An object for `linux.seccomp`: of a default profile the rules that were used, for programs of the native table. A rule which
/// says how a call fails stays whatever was used: C libraries go on by such an errno.
pub fn seccomp(default: Seccomp, used: &[u32]) -> Seccomp {
    let mut profile = Seccomp {
        architectures: Vec::new(),
        ..default
    };
    for rule in &mut profile.syscalls {
        if rule.action == SeccompAction::Allow {
            rule.names = rule
                .names
                .iter()
                .filter(|name| is_used(name, used))
                .collect();
        }
    }
    profile.syscalls.retain(|rule| !rule.names.is_empty());
    profile
}

fn is_used(name: &str, used: &[u32]) -> bool {
    let number = tables::numbers(name).and_then(|numbers| numbers.on(Arch::native()));
    number.is_some_and(|number| used.contains(&number))
}

/// An object for `process.capabilities`: what was granted, less what was not used (bits).
pub fn capabilities(granted: &Capabilities, used: u64) -> Capabilities {
    let used = names(
        &(0..64)
            .filter(|number| used >> number & 1 == 1)
            .collect::<Vec<_>>(),
    );
    let keep = |set: &Option<Names>| {
        let set = set.as_ref()?.iter();
        Some(set.filter(|name| used.contains(name)).collect())
    };
    Capabilities {
        bounding: keep(&granted.bounding),
        effective: keep(&granted.effective),
        inheritable: keep(&granted.inheritable),
        permitted: keep(&granted.permitted),
        ambient: keep(&granted.ambient),
    }
}

/// The capabilities that a container can have, bits.
pub fn granted(capabilities: &Capabilities) -> u64 {
    capabilities.bounding.as_ref().map_or(0, bits)
}

fn bits(names: &Names) -> u64 {
    let all = CAPABILITIES.iter().enumerate();
    let held = all.filter(|(_, name)| names.contains(name));
    held.fold(0, |bits, (number, _)| bits | 1 << number)
}

/// The names of capabilities by their numbers.
pub fn names(numbers: &[u32]) -> Vec<&'static str> {
    let all = (0..).zip(CAPABILITIES);
    let known = all.filter(|(number, _)| numbers.contains(number));
    known.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_profile_keeps_what_was_used_with_its_conditions() {
        let default = json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            {"names": ["read", "write", "close"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]});
        let default: Seccomp = serde_json::from_value(default).unwrap();
        let used = [libc::SYS_read, libc::SYS_close, libc::SYS_clone];
        let used = used.map(|number| u32::try_from(number).unwrap());
        let profile = seccomp(default.clone(), &used);
        assert!(profile.architectures.is_empty());
        assert_eq!(
            profile.syscalls[0].names,
            ["read", "close"].into_iter().collect()
        );
        assert_eq!(
            profile.syscalls[1..],
            [default.syscalls[1].clone(), default.syscalls[3].clone()]
        );
    }

    #[test]
    fn capabilities_keep_the_sets_that_were_granted() {
        let set = |names: &[&str]| Some(names.iter().collect());
        let granted = Capabilities {
            bounding: set(&["CAP_CHOWN", "CAP_KILL"]),
            effective: set(&["CAP_CHOWN"]),
            ..Capabilities::default()
        };
        let kept = capabilities(&granted, 1 << 5 | 1 << 21);
        assert_eq!(super::granted(&granted), 1 << 5 | 1);
        assert_eq!(
            (kept.bounding, kept.effective),
            (set(&["CAP_KILL"]), set(&[]))
        );
        assert_eq!(kept.permitted, None);
        assert_eq!(names(&[21, 0]), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    }
}
