//! Waiting: ppoll(2) against a deadline on the monotonic clock. Every wait of Corten is one of these.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::time::Duration;

use super::{Errno, Result, check};

/// A moment of the monotonic clock, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Duration>);

impl Deadline {
    /// Wait as long as it takes.
    pub const NEVER: Self = Self(None);

    /// That long from now. What does not fit the clock is never.
    pub fn after(duration: Duration) -> Self {
        Self(now().checked_add(duration))
    }

    /// What is left: zero when it has passed, none when it never comes.
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_sub(now()))
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// The earlier of two.
    pub fn or(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(two)) => Self(Some(one.min(two))),
            (one, two) => Self(one.or(two)),
        }
    }
}

fn now() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the kernel (or its vDSO) fills one timespec; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
    // SAFETY: plain integers, zeroed before.
    let time = unsafe { time.assume_init() };
    let seconds = Duration::from_secs(time.tv_sec.cast_unsigned());
    seconds.saturating_add(Duration::from_nanos(
        u64::try_from(time.tv_nsec).unwrap_or(0),
    ))
}

/// One descriptor of a wait.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Watch(libc::pollfd);

impl Watch {
    /// Until there is something to read, or the other side is gone.
    pub const fn readable(fd: RawFd) -> Self {
        Self(libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
    }

    /// Until something can be written, or the other side is gone.
    pub const fn writable(fd: RawFd) -> Self {
        Self(libc::pollfd {
            fd,
            events: libc::POLLOUT,
            revents: 0,
        })
    }

    /// Until the other side is gone, whatever there is to read or write.
    pub const fn end(fd: RawFd) -> Self {
        Self(libc::pollfd {
            fd,
            events: 0,
            revents: 0,
        })
    }

    /// Keeps the place of a descriptor that is of no interest now, not even for its end.
    pub const fn nothing() -> Self {
        Self(libc::pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        })
    }

    /// Whether the wait ended for this one, be it by an error.
    pub const fn is_ready(self) -> bool {
        self.0.revents != 0
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Watch({}, {:#x}, {:#x})",
            self.0.fd, self.0.events, self.0.revents
        )
    }
}

/// ppoll(2), again after EINTR: how many are ready, 0 at the deadline.
pub fn wait(watches: &mut [Watch], deadline: Deadline) -> Result<usize> {
    loop {
        let timeout = deadline.remaining().map(timespec);
        let pointer = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        let count = libc::nfds_t::try_from(watches.len()).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: Watch is a transparent pollfd, `count` of them are read and written; the timespec
        // outlives the call or is null; no signal mask.
        let ready = check(unsafe {
            libc::ppoll(
                watches.as_mut_ptr().cast(),
                count,
                pointer,
                std::ptr::null(),
            )
        });
        match ready {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(ready) => return Ok(usize::try_from(ready).unwrap_or(0)),
        }
    }
}

/// Waits until one descriptor is readable or at its end; ETIMEDOUT at the deadline.
pub fn wait_readable(fd: RawFd, deadline: Deadline) -> Result<()> {
    match wait(&mut [Watch::readable(fd)], deadline)? {
        0 => Err(Errno(libc::ETIMEDOUT)),
        _ => Ok(()),
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::{pipe, write_all};
    use crate::sys::fs::close;

    #[test]
    fn a_wait_ends_at_its_deadline_or_with_data() {
        let pipe = pipe().unwrap();
        let soon = Deadline::after(Duration::from_millis(5));
        assert_eq!(wait_readable(pipe.read, soon), Err(Errno(libc::ETIMEDOUT)));
        assert!(soon.has_passed());
        write_all(pipe.write, b"x").unwrap();
        wait_readable(pipe.read, soon).unwrap();
        let mut watches = [
            Watch::nothing(),
            Watch::readable(pipe.read),
            Watch::writable(pipe.write),
        ];
        assert_eq!(wait(&mut watches, Deadline::NEVER).unwrap(), 2);
        assert!(!watches[0].is_ready() && watches[1].is_ready());
        close(pipe.read);
        close(pipe.write);
    }

    #[test]
    fn the_earlier_deadline_wins_and_never_is_the_latest() {
        let (near, far) = (
            Deadline::after(Duration::ZERO),
            Deadline::after(Duration::from_secs(60)),
        );
        assert_eq!(near.or(far), near);
        assert_eq!(Deadline::NEVER.or(far), far);
        assert_eq!(far.or(Deadline::NEVER), far);
        assert!(!Deadline::NEVER.has_passed());
    }
}
