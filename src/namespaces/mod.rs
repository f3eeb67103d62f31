//! Namespaces: what a process sees of the system.
//!
//! The kernel has eight kinds (namespaces(7)): mounts, process ids, network, hostname (UTS), System V
//! and POSIX IPC, the cgroup root, clocks since boot, and user ids with their privileges. A process gets new
//! ones when it is cloned (clone3(2)), makes them for itself (unshare(2)), or joins those of others
//! (setns(2)). Corten makes all new ones in the one clone3 that makes init, with three exceptions that
//! the kernel forces:
//!
//! - a new cgroup namespace takes the cgroup of the process that makes it as its root, and during clone3
//!   that is the parent's: so init unshares it itself, already in its cgroup;
//! - the offsets of a time namespace can be written only before anyone is in it: init unshares it, writes
//!   them, and then enters;
//! - namespaces belong to the user namespace in which they are made, so where a user namespace is
//!   *joined*, init joins it first and clones once more for the rest; the plan shows that as a step.
//!
//! The specification (config-linux.md, Namespaces): a kind that is not listed is the runtime's own,
//! one with a path is joined, one of the wrong type is an error (setns(2) checks that, given the flag).

pub mod idmap;
pub mod plan;
pub mod run;

use crate::config::NamespaceType;

/// CLONE_NEW* of a kind.
pub fn flag(kind: NamespaceType) -> i32 {
    match kind {
        NamespaceType::User => libc::CLONE_NEWUSER,
        NamespaceType::Pid => libc::CLONE_NEWPID,
        NamespaceType::Network => libc::CLONE_NEWNET,
        NamespaceType::Mount => libc::CLONE_NEWNS,
        NamespaceType::Ipc => libc::CLONE_NEWIPC,
        NamespaceType::Uts => libc::CLONE_NEWUTS,
        NamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        NamespaceType::Time => libc::CLONE_NEWTIME,
    }
}
