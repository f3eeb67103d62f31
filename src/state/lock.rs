//! One command at a time: flock(2) on the container's directory.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::container::does_not_exist;
use super::directory::{Identity, identity, is_linked, open_at};
use super::root::Id;
use crate::error::{Act, Code, Failure, Result};
use crate::sys::{Errno, fs};

/// How long a command waits for another one on the same container.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

const ACT: &str = "cannot lock the container's directory";

/// The lock of a container's directory; released when dropped or when the process dies.
///
/// Released explicitly, not by closing alone: a child of clone3 shares the open file.
#[derive(Debug)]
pub struct Lock(Arc<OwnedFd>);

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, the lock goes with the last descriptor of the open file.
        fs::flock(self.0.as_raw_fd(), libc::LOCK_UN).unwrap_or(());
    }
}

/// Takes the lock of a directory that this command has opened for itself: taking it twice through one open file succeeds.
pub(super) fn try_lock(directory: &Arc<OwnedFd>) -> Result<Option<Lock>> {
    match fs::flock(directory.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) {
        Ok(()) => Ok(Some(Lock(Arc::clone(directory)))),
        Err(Errno(libc::EWOULDBLOCK)) => Ok(None),
        Err(errno) => Err(Failure::system(ACT, errno)),
    }
}

/// Whether another command holds the lock; asked through an open file of its own.
pub(super) fn is_locked(directory: &OwnedFd) -> Result<bool> {
    let own = open_at(directory.as_fd(), ".", OFlag::O_DIRECTORY).act(|| ACT)?;
    match fs::flock(own.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) {
        Ok(()) => Ok(false),
        Err(Errno(libc::EWOULDBLOCK)) => Ok(true),
        Err(errno) => Err(Failure::system(ACT, errno)),
    }
}

/// Takes the lock, or says who holds it when the time is over.
pub(super) fn lock(root: &OwnedFd, directory: &Arc<OwnedFd>, id: &Id) -> Result<Lock> {
    let lock = lock_within(directory, id, LOCK_DEADLINE)?;
    still_linked(lock, root, identity(directory, id)?, id)
}

/// The same for a directory that is known already.
pub(super) fn lock_known(
    root: &OwnedFd,
    directory: &Arc<OwnedFd>,
    known: Identity,
    id: &Id,
) -> Result<Lock> {
    let lock = lock_within(directory, id, LOCK_DEADLINE)?;
    still_linked(lock, root, known, id)
}

fn still_linked(lock: Lock, root: &OwnedFd, held: Identity, id: &Id) -> Result<Lock> {
    match is_linked(root, held, id)? {
        true => Ok(lock),
        // The holder before us was `delete`.
        false => Err(does_not_exist()),
    }
}

fn lock_within(directory: &Arc<OwnedFd>, id: &Id, time: Duration) -> Result<Lock> {
    let deadline = Instant::now() + time;
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(lock) = try_lock(directory)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            let holder = holder(directory).map_or_else(
                || "another process".to_owned(),
                |pid| format!("process {pid}"),
            );
            return Err(
                Failure::new(Code::Timeout, format!("cannot lock container {id}")).because(
                    format!("{holder} has been at work on it for {} s", time.as_secs()),
                ),
            );
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// The process that holds the lock, as proc_locks(5) knows it: `1: FLOCK ADVISORY WRITE 12 00:1a:77 0 EOF`.
fn holder(directory: &OwnedFd) -> Option<libc::pid_t> {
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", directory.as_raw_fd()))
        .ok()?
        .ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| *word != "FLOCK")
            .skip(3);
        let pid = words.next()?.parse().ok()?;
        (words.next()?.rsplit(':').next()? == inode.to_string()).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::container::tests::{Scratch, id};

    #[test]
    fn two_commands_exclude_each_other_and_the_later_says_by_whom() {
        let scratch = Scratch::new();
        let open = || Arc::new(scratch.directory());
        let lock = lock_within(&open(), &id(), Duration::ZERO).unwrap();
        let failure = lock_within(&open(), &id(), Duration::ZERO).unwrap_err();
        assert_eq!(failure.code, Code::Timeout);
        assert!(
            failure
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{failure}"
        );
        drop(lock);
        assert!(lock_within(&open(), &id(), Duration::ZERO).is_ok());
    }
}
