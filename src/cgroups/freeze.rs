//! Pause and resume, and the file that tells of both: cgroup.events.
//!
//! `cgroup.freeze` is a wish; `frozen 1` in cgroup.events is its fulfilment, which a process in the
//! middle of a long system call can delay. The file wakes poll(2), so nothing here spins.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::walk::visit;
use crate::error::{Act, Code, Failure, Result};
use crate::sys::cgroup::{self, Waited};
use crate::sys::{self, Errno};

/// Stops every process of the cgroup and waits until they are stopped. On timeout nothing stays
/// frozen.
pub fn freeze(dir: BorrowedFd<'_>, deadline: Instant) -> Result<()> {
    set(dir, "1", "cannot freeze the container's cgroup")?;
    let waited = wait_frozen(dir, deadline);
    match waited.act(|| "cannot wait for the container's cgroup to freeze")? {
        Waited::Changed => Ok(()),
        Waited::TimedOut => {
            thaw(dir)?;
            let act = "cannot freeze the container's cgroup";
            Err(Failure::new(Code::Timeout, act).because("a process does not come to a stop"))
        }
    }
}

/// A cgroup with processes of its own tells of those alone (cgroup_update_frozen in the kernel), so
/// everything below is waited for as well.
fn wait_frozen(dir: BorrowedFd<'_>, deadline: Instant) -> sys::Result<Waited> {
    let mut waited = Waited::Changed;
    visit(dir, |dir| {
        if waited == Waited::Changed {
            waited = wait_for(dir, "frozen 1", deadline)?;
        }
        Ok(())
    })?;
    Ok(waited)
}

/// Lets the processes of the cgroup go on.
pub fn thaw(dir: BorrowedFd<'_>) -> Result<()> {
    set(dir, "0", "cannot thaw the container's cgroup")
}

fn set(dir: BorrowedFd<'_>, value: &str, act: &'static str) -> Result<()> {
    cgroup::write_file(dir, c"cgroup.freeze", value.as_bytes()).act(|| act)
}

/// Whether the cgroup is frozen, by itself or by an ancestor. A cgroup that is gone is not.
pub fn frozen(dir: BorrowedFd<'_>) -> Result<bool> {
    match cgroup::read_value(dir, c"cgroup.events") {
        Ok(events) => Ok(is_set(&events, "frozen")),
        Err(Errno(libc::ENOENT | libc::ENODEV)) => Ok(false),
        Err(errno) => Err(Failure::system("cannot read cgroup.events", errno)),
    }
}

/// `populated 1` in the text of cgroup.events.
pub(super) fn is_set(events: &str, key: &str) -> bool {
    let value = |line: &str| Some(line.strip_prefix(key)?.trim() == "1");
    events.lines().find_map(value).unwrap_or(false)
}

/// Waits until cgroup.events has this line, or the cgroup is gone, or time is up.
pub(super) fn wait_for(dir: BorrowedFd<'_>, line: &str, deadline: Instant) -> sys::Result<Waited> {
    let gone = |errno| match errno {
        Errno(libc::ENOENT | libc::ENODEV) => Ok(Waited::Changed),
        errno => Err(errno),
    };
    let events = match cgroup::open_file(dir, c"cgroup.events", libc::O_RDONLY) {
        Ok(events) => events,
        Err(errno) => return gone(errno),
    };
    loop {
        match cgroup::reread(&events) {
            Ok(text) if text.lines().any(|found| found == line) => return Ok(Waited::Changed),
            Ok(_) => {}
            Err(errno) => return gone(errno),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Waited::TimedOut);
        }
        // Rounded up: poll(0) would spin through the last millisecond.
        let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        cgroup::wait_change(&events, milliseconds)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_keys_with_zero_or_one() {
        let events = "populated 1\nfrozen 0\n";
        assert!(is_set(events, "populated"));
        assert!(!is_set(events, "frozen"));
        assert!(!is_set("", "populated"));
    }
}
