//! The words of a profile and what they are to the kernel.

use crate::config::SeccompAction as Action;

/// The actions, sorted, and their SECCOMP_RET_* without data.
static ACTIONS: &[(&str, Action, u32)] = &[
    ("SCMP_ACT_ALLOW", Action::Allow, libc::SECCOMP_RET_ALLOW),
    ("SCMP_ACT_ERRNO", Action::Errno, libc::SECCOMP_RET_ERRNO),
    ("SCMP_ACT_KILL", Action::Kill, libc::SECCOMP_RET_KILL_THREAD),
    (
        "SCMP_ACT_KILL_PROCESS",
        Action::KillProcess,
        libc::SECCOMP_RET_KILL_PROCESS,
    ),
    (
        "SCMP_ACT_KILL_THREAD",
        Action::KillThread,
        libc::SECCOMP_RET_KILL_THREAD,
    ),
    ("SCMP_ACT_LOG", Action::Log, libc::SECCOMP_RET_LOG),
    (
        "SCMP_ACT_NOTIFY",
        Action::Notify,
        libc::SECCOMP_RET_USER_NOTIF,
    ),
    ("SCMP_ACT_TRACE", Action::Trace, libc::SECCOMP_RET_TRACE),
    ("SCMP_ACT_TRAP", Action::Trap, libc::SECCOMP_RET_TRAP),
];

fn row(action: Action) -> &'static (&'static str, Action, u32) {
    ACTIONS
        .iter()
        .find(|row| row.1 == action)
        .expect("every action has a row")
}

/// SCMP_ACT_*.
pub fn action_name(action: Action) -> &'static str {
    row(action).0
}

/// SECCOMP_RET_* without data.
pub fn return_value(action: Action) -> u32 {
    row(action).2
}

/// A flag of `linux.seccomp.flags`.
#[derive(Debug)]
pub struct Flag {
    /// SECCOMP_FILTER_FLAG_*.
    pub name: &'static str,
    /// Its bit in the load. None for TSYNC: the process that loads has one thread, and with a listener
    /// the kernel refuses the flag.
    pub bit: u64,
    /// The kernel refuses it without NEW_LISTENER.
    pub listener_only: bool,
}

/// SECCOMP_FILTER_FLAG_SPEC_ALLOW: no speculation mitigation for the sake of the filter.
pub const SPEC_ALLOW: u64 = 1 << 2;

/// The flags that a profile may have, in runc's order.
pub static FLAGS: &[Flag] = &[
    Flag {
        name: "SECCOMP_FILTER_FLAG_TSYNC",
        bit: 0,
        listener_only: false,
    },
    Flag {
        name: "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        bit: SPEC_ALLOW,
        listener_only: false,
    },
    Flag {
        name: "SECCOMP_FILTER_FLAG_LOG",
        bit: 1 << 1,
        listener_only: false,
    },
    Flag {
        name: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        bit: 1 << 5,
        listener_only: true,
    },
];

/// SECCOMP_FILTER_FLAG_NEW_LISTENER: the load yields the descriptor that an agent answers through.
pub const NEW_LISTENER: u64 = 1 << 3;

/// `linux.seccomp.actions` of `features`.
pub fn actions() -> Vec<&'static str> {
    ACTIONS.iter().map(|row| row.0).collect()
}

/// `linux.seccomp.operators` of `features`.
pub fn operators() -> Vec<&'static str> {
    vec![
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_LE",
        "SCMP_CMP_LT",
        "SCMP_CMP_MASKED_EQ",
        "SCMP_CMP_NE",
    ]
}

/// `linux.seccomp.archs` of `features`: those a profile may name.
pub fn archs() -> Vec<&'static str> {
    super::tables::ARCHITECTURES
        .iter()
        .map(|row| row.0)
        .collect()
}

/// `linux.seccomp.knownFlags` of `features`.
pub fn known_flags() -> Vec<&'static str> {
    FLAGS.iter().map(|flag| flag.name).collect()
}
