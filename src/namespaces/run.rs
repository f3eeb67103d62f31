//! Namespaces, done.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::linux::fs::MetadataExt;

use crate::config::NamespaceType;
use crate::error::{Act, Code, Failure};
use crate::plan::op::NAMESPACE_FLAGS;
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::network::raise_loopback;
use crate::sys::{Errno, Result, descriptor, namespace};

/// Makes a network namespace, its loopback interface up, without staying in it. `hand` is given the descriptor first: whoever gets it
/// need not wait for the interface.
pub fn make_network(hand: impl FnOnce(RawFd) -> Result<()>) -> Result<()> {
    let open = || {
        fs::openat(AT_FDCWD, c"/proc/thread-self/ns/net", libc::O_RDONLY, 0).map(descriptor::owned)
    };
    let own = open()?;
    namespace::unshare(libc::CLONE_NEWNET)?;
    let made = open().and_then(|network| {
        hand(network.as_raw_fd())?;
        raise_loopback()
    });
    namespace::setns(own.as_raw_fd(), libc::CLONE_NEWNET)?;
    made
}

/// Runtime: one that is joined, whatever is found at its path.
pub fn open(path: &CStr) -> Result<OwnedFd> {
    fs::openat(AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0).map(descriptor::owned)
}

/// Runtime: whether this is the namespace of that kind in which the runtime or the first process is: what is changed in
/// it is changed for everybody.
pub fn is_hosts(namespace: &OwnedFd, kind: NamespaceType) -> crate::Result<bool> {
    let flag = super::flag(kind);
    let file = FILES.iter().find(|(known, _)| *known == flag);
    let name = file.map_or("", |(_, name)| name.to_str().unwrap_or_default());
    let act = || format!("cannot look at the {name} namespace of the host");
    let found = fs::fstat(namespace.as_raw_fd()).act(act)?;
    let is_found =
        |data: &std::fs::Metadata| (data.st_dev(), data.st_ino()) == (found.st_dev, found.st_ino);
    let of = |process: &str| std::fs::metadata(format!("/proc/{process}/ns/{name}"));
    let own = of("self").act(act)?;
    // Whoever may not look at that of the first process may not join it either.
    Ok(is_found(&own) || of("1").is_ok_and(|first| is_found(&first)))
}

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

/// CLONE_NEW* and the file in `/proc/PID/ns`.
const FILES: [(i32, &CStr); 8] = [
    (libc::CLONE_NEWUSER, c"user"),
    (libc::CLONE_NEWPID, c"pid"),
    (libc::CLONE_NEWNET, c"net"),
    (libc::CLONE_NEWNS, c"mnt"),
    (libc::CLONE_NEWIPC, c"ipc"),
    (libc::CLONE_NEWUTS, c"uts"),
    (libc::CLONE_NEWCGROUP, c"cgroup"),
    (libc::CLONE_NEWTIME, c"time"),
];

/// The inodes of a process's namespaces, in the order of their files; nought for those that nobody asked for.
pub type Inodes = [u64; FILES.len()];

/// Runtime: the namespaces of these kinds in which a process is.
pub fn inodes(pid: i32, namespaces: i32) -> crate::Result<Inodes> {
    let list = open_list(pid)?;
    let mut inodes = Inodes::default();
    for ((_, name), inode) in FILES
        .iter()
        .zip(&mut inodes)
        .filter(|((flag, _), _)| namespaces & flag != 0)
    {
        *inode = fs::statat(list.as_raw_fd(), name)
            .act(|| format!("cannot look at /proc/{pid}/ns/{}", name.to_string_lossy()))?
            .st_ino;
    }
    Ok(inodes)
}

/// Runtime: whether a process is in the namespaces in which the container was seen.
pub fn compare(pid: i32, container: &Inodes, namespaces: i32) -> crate::Result<()> {
    let own = inodes(pid, namespaces)?;
    let mut pairs = own.iter().zip(container);
    let Some(strange) = pairs.position(|(own, container)| own != container) else {
        return Ok(());
    };
    let word = NAMESPACE_FLAGS
        .iter()
        .find(|(known, _)| *known == FILES[strange].0)
        .map_or("", |(_, word)| *word);
    let text = format!("the process is not in the container's {word} namespace");
    Err(Failure::new(Code::System, text))
}

/// Runtime: `/proc/PID/ns`.
pub fn open_list(pid: i32) -> crate::Result<OwnedFd> {
    let path = CString::new(format!("/proc/{pid}/ns")).expect("a number has no NUL byte");
    fs::openat(AT_FDCWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0)
        .map(descriptor::owned)
        .act(|| format!("cannot open /proc/{pid}/ns"))
}

/// Init: the same of itself, which stays readable for it wherever it goes.
pub fn open_own_list() -> Result<RawFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    fs::openat(AT_FDCWD, c"/proc/self/ns", flags, 0)
}

/// Init: whether its namespaces of these kinds are the container's. setns(2) changes the pid namespace of
/// children alone.
pub fn compare_own(own: RawFd, container: RawFd, namespaces: i32) -> Result<()> {
    let identity = |list: RawFd, name: &CStr| -> Result<(u64, u64)> {
        let file = fs::openat(list, name, libc::O_RDONLY, 0)?;
        let stat = fs::fstat(file);
        fs::close(file);
        stat.map(|stat| (stat.st_dev, stat.st_ino))
    };
    for (flag, name) in FILES.iter().filter(|(flag, _)| namespaces & flag != 0) {
        let mine = match *flag {
            libc::CLONE_NEWPID => c"pid_for_children",
            _ => name,
        };
        if identity(own, mine)? != identity(container, name)? {
            return Err(Errno(libc::EXDEV));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_the_host_are_known_and_nothing_else_is_taken_for_them() {
        let is_hosts = |path: &CStr, kind| is_hosts(&open(path).unwrap(), kind).unwrap();
        assert!(is_hosts(c"/proc/self/ns/mnt", NamespaceType::Mount));
        assert!(is_hosts(c"/proc/self/ns/net", NamespaceType::Network));
        assert!(!is_hosts(c"/proc/self/ns/uts", NamespaceType::Mount));
        assert!(!is_hosts(c"/dev/null", NamespaceType::Ipc));
        if open(c"/proc/1/ns/mnt").is_ok() {
            assert!(is_hosts(c"/proc/1/ns/mnt", NamespaceType::Mount));
        }
    }
}
