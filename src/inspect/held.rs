//! A process of a container, held while it is looked at.
//!
//! The directory of a process in procfs, once opened, belongs to that process for ever: when it has
//! ended, reads fail, and no other process with its number appears there.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::error::{Act, Code, Failure, Result};
use crate::state::identity::{self, Process};
use crate::state::{Record, Stage};
use crate::sys::{self, Errno, cgroup, descriptor, fs};

/// Longer than any single fact that the kernel tells in one text.
pub const SMALL: usize = 64 << 10;
/// statfs(2) of procfs.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// A process and its directory in procfs.
#[derive(Debug)]
pub struct Held {
    directory: OwnedFd,
    process: Process,
}

/// A text of procfs, and whether it is all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What was read; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether it ended before the bound.
    pub is_whole: bool,
}

impl Held {
    /// The first process of a container; None if it has ended.
    pub fn init_of(record: &Record) -> Result<Option<Self>> {
        let is_of_this_boot = identity::is_of_this_boot(&record.boot_id)?;
        if record.stage == Stage::Creating || record.pid <= 0 || !is_of_this_boot {
            return Ok(None);
        }
        Self::hold(record.pid, record.start_time)
    }

    /// The process with this number, if it is the one that began at `start_time`.
    pub fn hold(pid: i32, start_time: u64) -> Result<Option<Self>> {
        let act = || format!("cannot open /proc/{pid}");
        let path = CString::new(format!("/proc/{pid}")).unwrap_or_default();
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let directory = match fs::openat(fs::AT_FDCWD, &path, flags, 0) {
            Err(Errno(libc::ENOENT | libc::ESRCH)) => return Ok(None),
            fd => descriptor::owned(fd.act(act)?),
        };
        if fs::filesystem_magic(directory.as_raw_fd()).act(act)? != PROC_SUPER_MAGIC {
            return Err(Failure::new(Code::System, act()).because("/proc is no procfs"));
        }
        let Some(process) = Process::find(pid, start_time)? else {
            return Ok(None);
        };
        // Of the directory itself: it may have been opened when another process had the number.
        let is_ours = identity::start_time_at(directory.as_fd())? == Some(start_time);
        Ok(is_ours.then_some(Self { directory, process }))
    }

    /// Its number in our pid namespace.
    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Its directory in procfs.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Whether it has not ended: asked after the last read.
    pub fn is_alive(&self) -> Result<bool> {
        Ok(!self.process.ended_within(Duration::ZERO)?)
    }

    /// A file of its directory, up to `longest` bytes.
    pub fn text(&self, name: &CStr, longest: usize) -> sys::Result<Text> {
        let file = fs::openat(self.directory.as_raw_fd(), name, libc::O_RDONLY, 0)?;
        read_up_to(&descriptor::owned(file), longest)
    }

    /// A file of a line or a few.
    pub fn small(&self, name: &CStr) -> sys::Result<String> {
        Ok(self.text(name, SMALL)?.text)
    }

    /// What a link of its directory says; the link is not followed.
    pub fn link(&self, name: &CStr) -> sys::Result<String> {
        let mut target = [0; 4096];
        let length = fs::readlinkat(self.directory.as_raw_fd(), name, &mut target)?;
        Ok(String::from_utf8_lossy(&target[..length]).into_owned())
    }

    /// A directory of its directory.
    pub fn open(&self, name: &CStr) -> sys::Result<OwnedFd> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        fs::openat(self.directory.as_raw_fd(), name, flags, 0).map(descriptor::owned)
    }

    /// The number of the mount on which a link of its directory (`cwd`, `root`) ends. The place is opened
    /// as a place only (O_PATH), which asks nothing of its filesystem.
    pub fn mount_of(&self, name: &CStr) -> sys::Result<Option<u64>> {
        let place = fs::openat(self.directory.as_raw_fd(), name, libc::O_PATH, 0)?;
        mount_of(descriptor::owned(place).as_fd())
    }
}

/// The number of the mount that a descriptor of our own is on.
pub fn mount_of(fd: BorrowedFd<'_>) -> sys::Result<Option<u64>> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let text = cgroup::read_path(&CString::new(path).unwrap_or_default())?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    Ok(number.and_then(|number| number.trim().parse().ok()))
}

/// Reads to the end or to the bound.
pub fn read_up_to(file: &OwnedFd, longest: usize) -> sys::Result<Text> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; longest.min(1 << 16)];
    loop {
        let length = fs::read(file.as_raw_fd(), &mut chunk)?;
        let is_end = length == 0;
        bytes.extend_from_slice(&chunk[..length.min(longest - bytes.len())]);
        if is_end || bytes.len() == longest {
            return Ok(Text {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                is_whole: is_end,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Held {
        let pid = sys::process::getpid();
        let began = identity::start_time(pid).unwrap().unwrap();
        Held::hold(pid, began).unwrap().unwrap()
    }

    #[test]
    fn another_process_with_the_number_is_not_held() {
        let pid = sys::process::getpid();
        let began = identity::start_time(pid).unwrap().unwrap();
        assert!(Held::hold(pid, began + 1).unwrap().is_none());
        assert!(own().is_alive().unwrap());
    }

    #[test]
    fn a_read_ends_at_its_bound() {
        let held = own();
        let short = held.text(c"status", 10).unwrap();
        assert_eq!((short.text.len(), short.is_whole), (10, false));
        assert!(held.text(c"status", SMALL).unwrap().is_whole);
    }

    #[test]
    fn a_process_that_has_ended_says_nothing_more() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let began = identity::start_time(pid).unwrap().unwrap();
        let held = Held::hold(pid, began).unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!held.is_alive().unwrap());
        assert!(held.small(c"status").is_err());
    }
}
