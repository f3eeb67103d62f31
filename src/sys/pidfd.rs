//! A process held by a descriptor of its own: it cannot turn into another one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Result, process};

/// An owned pidfd.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    /// pidfd_open(2): the process that has this number now.
    pub fn open(pid: libc::pid_t) -> Result<Self> {
        let fd = process::pidfd_open(pid)?;
        // SAFETY: the call has just made this descriptor and nobody else knows its number, so
        // closing it when dropped closes nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// pidfd_send_signal(2); 0 only asks whether the process is there.
    pub fn signal(&self, signal: i32) -> Result<()> {
        process::pidfd_send_signal(self.0.as_raw_fd(), signal)
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
