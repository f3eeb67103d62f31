//! The end of a cgroup: kill everything in it, wait until it is empty, remove it and what is below.
//!
//! What is below belongs to the container: see [`super::walk`] for what that means. Everything ends
//! at a deadline.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::freeze::wait_for;
use super::plan::CgroupPath;
use super::run;
use crate::error::{Act, Code, Failure, Kind, Result};
use crate::sys::cgroup::{self, Waited};
use crate::sys::{self, Errno, fs};

/// Kills every process in the cgroup and below it, also those that fork meanwhile and those that
/// are frozen. Does not wait. A cgroup that is gone has none.
pub fn kill(dir: BorrowedFd<'_>) -> Result<()> {
    match cgroup::write_file(dir, c"cgroup.kill", b"1") {
        Ok(()) | Err(Errno(libc::ENODEV)) => Ok(()),
        Err(Errno(libc::ENOENT)) if is_gone(dir) => Ok(()),
        Err(Errno(libc::ENOENT)) => {
            let act = "cannot kill the processes of the container's cgroup";
            Err(Failure::new(Code::System, act)
                .because("cgroup.kill needs Linux 5.14")
                .of(Kind::Kernel))
        }
        Err(errno) => Err(Failure::system("cannot write 1 to cgroup.kill", errno)),
    }
}

/// A removed directory that is still open has no files any more.
fn is_gone(dir: BorrowedFd<'_>) -> bool {
    let procs = cgroup::open_file(dir, c"cgroup.procs", libc::O_RDONLY);
    matches!(procs, Err(Errno(libc::ENOENT | libc::ENODEV)))
}

/// Waits until no process is left in the cgroup and below it.
pub fn wait_empty(dir: BorrowedFd<'_>, deadline: Instant) -> Result<()> {
    let waited = wait_for(dir, "populated 0", deadline);
    match waited.act(|| "cannot wait for the container's cgroup to empty")? {
        Waited::Changed => Ok(()),
        Waited::TimedOut => Err(Failure::new(
            Code::Timeout,
            "processes are left in the container's cgroup",
        )),
    }
}

/// Removes a cgroup and all below it. Done already is done. Processes that are about to vanish are
/// waited for; nobody is killed.
pub fn remove(mount: BorrowedFd<'_>, path: &CgroupPath, deadline: Instant) -> Result<()> {
    let name = CString::new(path.as_str()).unwrap_or_default();
    let act = || format!("cannot remove cgroup {path}");
    match rmdir(mount, &name) {
        Ok(()) => return Ok(()),
        Err(Errno(libc::EBUSY | libc::ENOTEMPTY)) => {}
        // A read-only mount says EROFS even where nothing is: look before complaining.
        Err(errno) if run::open(mount, path)?.is_some() => {
            return Err(Failure::system(act(), errno));
        }
        Err(_) => return Ok(()),
    }
    if let Some(dir) = run::open(mount, path)? {
        remove_below(dir, deadline).act(act)?;
    }
    rmdir_patiently(mount, &name, deadline).act(act)
}

/// Removes a cgroup without processes that has nothing below it: true. Any other stays.
pub fn remove_if_empty(mount: BorrowedFd<'_>, path: &CgroupPath) -> bool {
    CString::new(path.as_str()).is_ok_and(|name| rmdir(mount, &name).is_ok())
}

fn rmdir(dir: BorrowedFd<'_>, name: &CStr) -> sys::Result<()> {
    match fs::unlinkat(dir.as_raw_fd(), name, libc::AT_REMOVEDIR) {
        Err(Errno(libc::ENOENT)) => Ok(()),
        result => result,
    }
}

/// Depth first: removes the children that let themselves be removed, enters the first that does
/// not, comes back up and removes it.
fn remove_below(top: OwnedFd, deadline: Instant) -> sys::Result<()> {
    let mut dir = top;
    let mut entered: Vec<CString> = Vec::new();
    loop {
        let children = cgroup::names(dir.as_fd(), libc::DT_DIR)?;
        let busy = children
            .into_iter()
            .find(|name| rmdir(dir.as_fd(), name).is_err());
        match busy {
            Some(name) => match cgroup::open_dir(dir.as_fd(), &name) {
                Ok(child) => {
                    dir = child;
                    entered.push(name);
                }
                Err(Errno(libc::ENOENT)) => {}
                Err(errno) => return Err(errno),
            },
            None => {
                let Some(name) = entered.pop() else {
                    return Ok(());
                };
                dir = cgroup::open_parent(dir.as_fd())?;
                rmdir_patiently(dir.as_fd(), &name, deadline)?;
            }
        }
        if Instant::now() >= deadline {
            return Err(Errno(libc::EBUSY));
        }
    }
}

/// rmdir is EBUSY until the last process is off the lists, which can be a moment after it exited.
fn rmdir_patiently(dir: BorrowedFd<'_>, name: &CStr, deadline: Instant) -> sys::Result<()> {
    let mut pause = Duration::from_micros(100);
    loop {
        match rmdir(dir, name) {
            Err(Errno(libc::EBUSY)) if Instant::now() < deadline => {}
            result => return result,
        }
        let child = match cgroup::open_dir(dir, name) {
            Ok(child) => child,
            Err(Errno(libc::ENOENT)) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        wait_for(child.as_fd(), "populated 0", deadline)?;
        // Empty, says the kernel, and still busy: no event will tell when that ends.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
