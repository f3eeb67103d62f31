//! Namespaces, done.

use std::os::linux::fs::MetadataExt;

use crate::error::{Act, Code, Failure};
use crate::plan::op::NAMESPACE_FLAGS;
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::{Result, namespace};

/// Init: unshare(CLONE_NEWTIME) made a namespace for children; init enters it itself, which
/// setns(2) allows a process with one thread (time_namespaces(7)).
pub fn enter_time_namespace() -> Result<()> {
    let file = fs::openat(
        AT_FDCWD,
        c"/proc/self/ns/time_for_children",
        libc::O_RDONLY,
        0,
    )?;
    let entered = namespace::setns(file, libc::CLONE_NEWTIME);
    fs::close(file);
    entered
}

/// Runtime: children are born in its own pid namespace again.
pub fn leave_pid_namespace() -> Result<()> {
    let file = fs::openat(AT_FDCWD, c"/proc/self/ns/pid", libc::O_RDONLY, 0)?;
    let left = namespace::setns(file, libc::CLONE_NEWPID);
    fs::close(file);
    left
}

/// Runtime: whether two processes are in the same namespaces of these kinds, by their inodes.
pub fn compare(pid: i32, other: i32, namespaces: i32) -> crate::Result<()> {
    const FILES: [(i32, &str); 8] = [
        (libc::CLONE_NEWUSER, "user"),
        (libc::CLONE_NEWPID, "pid"),
        (libc::CLONE_NEWNET, "net"),
        (libc::CLONE_NEWNS, "mnt"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWCGROUP, "cgroup"),
        (libc::CLONE_NEWTIME, "time"),
    ];
    let inode = |pid: i32, name: &str| {
        let path = format!("/proc/{pid}/ns/{name}");
        std::fs::metadata(&path)
            .map(|data| data.st_ino())
            .act(|| format!("cannot look at {path}"))
    };
    for (flag, name) in FILES.iter().filter(|(flag, _)| namespaces & flag != 0) {
        if inode(pid, name)? != inode(other, name)? {
            let word = NAMESPACE_FLAGS
                .iter()
                .find(|(known, _)| known == flag)
                .map_or(*name, |(_, word)| *word);
            let text = format!("the process is not in the container's {word} namespace");
            return Err(Failure::new(Code::System, text));
        }
    }
    Ok(())
}
