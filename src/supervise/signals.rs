//! Signals as something to read.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::error::{Act, Result};
use crate::sys;
use crate::sys::signal::{self, SignalSet};

/// Every signal of this process, blocked from the making of this value to its end.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    old: SignalSet,
}

impl Signals {
    /// Blocks all signals of the calling thread. Children inherit that and undo it.
    ///
    /// SIGCHLD is also given its default disposition: a caller that ignored it would have the kernel
    /// throw the exit status of our children away.
    pub fn block() -> Result<Self> {
        let act = || "cannot block signals";
        signal::set_default(libc::SIGCHLD).act(act)?;
        let fd = signal::signalfd(SignalSet::ALL).act(act)?;
        let old = signal::set_mask(SignalSet::ALL).act(act)?;
        Ok(Self { fd, old })
    }

    /// The next signal that somebody else sent, or none.
    pub fn next(&self) -> sys::Result<Option<i32>> {
        loop {
            let received = signal::next(self.fd.as_raw_fd())?;
            match received {
                // What we send ourselves is no request of anybody.
                Some(received)
                    if received.signal != libc::SIGCHLD
                        && received.sender == std::process::id() => {}
                received => return Ok(received.map(|received| received.signal)),
            }
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // A mask that was valid when it was read is valid now: rt_sigprocmask(2) has no other error.
        if let Err(errno) = signal::set_mask(self.old) {
            debug_assert!(false, "cannot restore the signal mask: {errno}");
        }
    }
}
