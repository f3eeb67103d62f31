//! The open descriptors of a process: what their links say, never what is behind them.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

use serde::Serialize;

use super::held::{self, Held, SMALL};
use crate::error::{Act, Result};
use crate::sys::{self, Errno, cgroup, descriptor, fs};

/// A process may have a million; so many are looked at.
const MOST: usize = 4096;

/// Those of a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptors {
    /// By number, at most 4096.
    pub list: Vec<DescriptorFact>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// One descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescriptorFact {
    /// Its number.
    pub fd: u32,
    /// A path as the caller sees it, or what it is: `socket:[7]`.
    pub target: String,
    /// `read`, `write`, `read and write`, or `place` (O_PATH).
    pub access: &'static str,
    /// Closed by execve(2).
    pub closes_at_exec: bool,
    /// The number of the mount that it was opened on; kernels have mounts of their own for pipes and sockets.
    pub mount: u64,
    /// Of the file.
    pub inode: u64,
}

impl Descriptors {
    /// Reads links and numbers. A descriptor that is closed meanwhile is left out.
    pub fn read(held: &Held) -> Result<Self> {
        let act = || "cannot list the descriptors";
        let (links, details) = (held.open(c"fd").act(act)?, held.open(c"fdinfo").act(act)?);
        let names = cgroup::names_up_to(links.as_fd(), libc::DT_LNK, MOST + 1).act(act)?;
        let mut list = Vec::new();
        for name in names.iter().take(MOST) {
            let mut target = [0; 4096];
            let length = match fs::readlinkat(links.as_raw_fd(), name, &mut target) {
                Err(Errno(libc::ENOENT)) => continue,
                length => length.act(act)?,
            };
            let detail = fs::openat(details.as_raw_fd(), name, libc::O_RDONLY, 0)
                .and_then(|file| held::read_up_to(&descriptor::owned(file), SMALL));
            let detail = match detail {
                Err(Errno(libc::ENOENT)) => continue,
                detail => detail.act(act)?.text,
            };
            list.push(fact(
                name,
                String::from_utf8_lossy(&target[..length]).into_owned(),
                &detail,
            ));
        }
        list.sort_by_key(|fact| fact.fd);
        Ok(Self {
            list,
            is_cut: names.len() > MOST,
        })
    }
}

fn fact(name: &CString, target: String, detail: &str) -> DescriptorFact {
    // The first four lines are the kernel's own; what follows a file system may have written.
    let value = |key: &str| {
        let line = detail
            .lines()
            .take(4)
            .find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().trim()
    };
    let flags = i32::from_str_radix(value("flags:"), 8).unwrap_or_default();
    DescriptorFact {
        fd: name
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok())
            .unwrap_or(u32::MAX),
        target,
        access: access(flags),
        closes_at_exec: flags & libc::O_CLOEXEC != 0,
        mount: value("mnt_id:").parse().unwrap_or_default(),
        inode: value("ino:").parse().unwrap_or_default(),
    }
}

fn access(flags: i32) -> &'static str {
    if flags & libc::O_PATH == libc::O_PATH {
        return "place";
    }
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => "read",
        libc::O_WRONLY => "write",
        _ => "read and write",
    }
}

/// The number of the kernel's own mount for files without a name (memfd_create(2)), whose links look like
/// paths all the same: that of a file that we make for the purpose.
pub fn nameless_mount() -> sys::Result<Option<u64>> {
    let file = descriptor::owned(descriptor::memfd(c"corten")?);
    held::mount_of(file.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::identity;

    fn own() -> Descriptors {
        let pid = sys::process::getpid();
        let began = identity::start_time(pid).unwrap().unwrap();
        Descriptors::read(&Held::hold(pid, began).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_told_with_its_access_and_its_mount() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let memory = descriptor::owned(descriptor::memfd(c"x").unwrap());
        let found = own();
        let of = |fd: i32| {
            let is_it = |fact: &&DescriptorFact| i32::try_from(fact.fd) == Ok(fd);
            found.list.iter().find(is_it).unwrap().clone()
        };
        let status = of(file.as_raw_fd());
        assert!(status.target.starts_with("/proc/") && status.target.ends_with("/status"));
        assert_eq!((status.access, status.closes_at_exec), ("read", true));
        let nameless = of(memory.as_raw_fd());
        assert!(nameless.target.starts_with("/memfd:x"), "{nameless:?}");
        assert_eq!(Some(nameless.mount), nameless_mount().unwrap());
        assert_ne!(status.mount, nameless.mount);
    }

    #[test]
    fn access_has_words() {
        assert_eq!(access(libc::O_RDWR | libc::O_CLOEXEC), "read and write");
        assert_eq!(access(libc::O_PATH | libc::O_DIRECTORY), "place");
    }
}
