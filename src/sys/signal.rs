//! Signals: rt_sigaction(2), rt_sigprocmask(2), signalfd(2). Numbers 1 to 64.
//!
//! By system call and with the kernel's own 64-bit set: libc hides the two signals that it uses
//! itself, and a container has a right to all of them.

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::fs::descriptor;
use super::{Errno, Result, check};

/// The highest signal number.
pub const LAST: i32 = 64;

/// The kernel's sigset_t: signal n is bit n - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal. The kernel itself leaves SIGKILL and SIGSTOP out.
    pub const ALL: Self = Self(!0);

    /// The set without one signal, 1 to 64.
    pub const fn without(self, signal: i32) -> Self {
        Self(self.0 & !(1 << (signal - 1)))
    }

    /// The set and one signal, 1 to 64.
    pub const fn with(self, signal: i32) -> Self {
        Self(self.0 | 1 << (signal - 1))
    }

    /// Whether a signal, 1 to 64, is in the set.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
}

/// rt_sigprocmask(SIG_SETMASK) of the calling thread; the mask it had.
pub fn set_mask(mask: SignalSet) -> Result<SignalSet> {
    let mut old = 0u64;
    // SAFETY: the kernel reads eight bytes and writes eight, as the last argument says.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask.0,
            &raw mut old,
            size_of::<u64>(),
        )
    })?;
    Ok(SignalSet(old))
}

/// rt_sigaction(SIG_DFL).
pub fn set_default(signal: i32) -> Result<()> {
    // All zeroes is SIG_DFL, no flag, no mask.
    set_action(signal, [0; 4])
}

/// rt_sigaction(SIG_IGN).
pub fn ignore(signal: i32) -> Result<()> {
    set_action(signal, [1, 0, 0, 0])
}

/// The kernel's struct sigaction is at most four words, the handler first.
fn set_action(signal: i32, action: [u64; 4]) -> Result<()> {
    // SAFETY: the kernel reads its struct, which is not longer than the array; the old action is not asked for.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            std::ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    })?;
    Ok(())
}

/// Gives every signal its default disposition and blocks none: how a program expects to be started.
///
/// Dispositions come first: a pending signal then does what it does in a fresh process.
pub fn reset() -> Result<()> {
    set_defaults(SignalSet::ALL)?;
    set_mask(SignalSet::EMPTY)?;
    Ok(())
}

/// Gives signals their default disposition: exec resets what is caught but not what is ignored, and Rust ignores
/// SIGPIPE; the caller of the runtime may ignore more (nohup).
pub fn set_defaults(signals: SignalSet) -> Result<()> {
    let ours = signals.without(libc::SIGKILL).without(libc::SIGSTOP);
    let mut ours = (1..=LAST).filter(|signal| ours.contains(*signal));
    ours.try_for_each(set_default)
}

/// kill(2) of a whole process group, by its leader, who must not be reaped yet. ESRCH, everybody has
/// ended, is success.
pub fn send_to_group(leader: i32, signal: i32) -> Result<()> {
    // 1 and 0 would mean everybody and ourselves.
    if leader <= 1 {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: integers only.
    match check(unsafe { libc::kill(-leader, signal) }) {
        Ok(_) | Err(Errno(libc::ESRCH)) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// signalfd(2), O_CLOEXEC and O_NONBLOCK, for signals that are blocked.
pub fn signalfd(signals: SignalSet) -> Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads eight bytes of the set.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const signals.0,
            size_of::<u64>(),
            flags,
        )
    })?;
    // SAFETY: a descriptor that the kernel has just made; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor(fd)) })
}

/// A signal that was sent to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Who sent it; 0 for the kernel or an outer pid namespace.
    pub sender: u32,
}

/// The next signal of a signalfd, or none.
pub fn next(signalfd: RawFd) -> Result<Option<Received>> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    loop {
        // SAFETY: the kernel writes at most one signalfd_siginfo.
        match check(unsafe { libc::read(signalfd, info.as_mut_ptr().cast(), size) }) {
            Err(Errno(libc::EINTR)) => {}
            Err(Errno(libc::EAGAIN)) => return Ok(None),
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    // SAFETY: plain integers, zeroed before and filled by the read.
    let info = unsafe { info.assume_init() };
    Ok(Some(Received {
        signal: info.ssi_signo.cast_signed(),
        sender: info.ssi_pid,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_numbers_signals_from_one() {
        let set = SignalSet::ALL.without(libc::SIGPIPE);
        assert!(!set.contains(libc::SIGPIPE));
        assert!(set.contains(1) && set.contains(LAST));
        assert_eq!(SignalSet::EMPTY.0, 0);
        assert_eq!(SignalSet::ALL.without(1).0, !1);
    }

    #[test]
    fn a_blocked_signal_is_read_from_the_signalfd() {
        let old = set_mask(SignalSet::ALL).unwrap();
        let fd = signalfd(SignalSet::ALL).unwrap();
        let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
        assert_eq!(next(raw).unwrap(), None);
        // SAFETY: sends a blocked signal to this thread.
        unsafe { libc::raise(libc::SIGRTMIN() + 3) };
        let received = next(raw).unwrap().unwrap();
        assert_eq!(received.signal, libc::SIGRTMIN() + 3);
        assert_eq!(received.sender, std::process::id());
        set_mask(old).unwrap();
    }
}
