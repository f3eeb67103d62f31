//! The foreground: what `run` and `exec` do between the start of the program and its end.
//!
//! A shell that runs `corten run` wants it to behave as the program in the container would: ctrl-C
//! reaches the program, the terminal is the program's, the exit status is the program's (128 + n when
//! signal n killed it, as shells count). So the runtime forwards what it is sent, copies between the
//! caller's terminal and the container's, and reaps.
//!
//! It is one loop around one ppoll(2): no thread, no signal function, no sleep. Signals come through
//! a signalfd. They are blocked **before** the clone ([`Signals::block`]), so that none is lost
//! between the birth of the program and the first turn of the loop; Init undoes that for itself
//! (`sys::signal::reset`), for a blocked signal and an ignored SIGPIPE survive exec. Every
//! signal is forwarded but these: SIGCHLD is ours, SIGURG is noise that Go runtimes send each other,
//! SIGWINCH becomes a new size of the container's terminal, which makes the kernel tell the program.
//! What we sent ourselves (SIGPIPE, by writing to a closed pipe) is nobody's business either.
//!
//! With a terminal the caller's is made raw: keys go through unseen, and the container's own terminal
//! turns ctrl-C into SIGINT. `terminal` gives it back on every way out. What is inherited (standard
//! input and output) is never made non-blocking, for the shell shares it; the master is ours alone.
//!
//! The end of the program is the end of the loop, not the end of its output: what it wrote last is
//! still in the terminal and is copied out before we return. A daemon that it leaves behind and that
//! keeps the terminal open does not hold us up.

mod signals;
mod terminal;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::error::{Act, Code, Failure, Result};
use crate::sys::Errno;
use crate::sys::poll::{Deadline, Watch, wait};
use crate::sys::process::{pidfd_send_signal, reap, set_subreaper};

pub use signals::Signals;
use terminal::Proxy;

/// A program in the foreground.
#[allow(missing_debug_implementations, reason = "a closure has none")]
pub struct Supervised<'a> {
    /// Signals go there.
    pub pidfd: BorrowedFd<'a>,
    /// A child of this process.
    pub pid: i32,
    /// The master of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    /// How long a forwarded SIGTERM may take before `kill_all`; none: as long as it likes.
    pub stop_timeout: Option<Duration>,
    /// Ends everything in the container (cgroup.kill).
    pub kill_all: &'a dyn Fn() -> Result<()>,
}

/// `run` and `exec` without `--no-subreaper`: orphans of the container become children of this
/// process, which reaps them. Before the clone.
pub fn adopt_orphans() -> Result<()> {
    set_subreaper().act(|| "cannot become the reaper of orphans")
}

/// Stays with the program until it ends: its exit status, or 128 + the signal that killed it.
pub fn supervise(supervised: Supervised<'_>, signals: &Signals) -> Result<u8> {
    let Supervised {
        pidfd,
        pid,
        terminal,
        stop_timeout,
        kill_all,
    } = supervised;
    let mut proxy = terminal.map(Proxy::new).transpose()?;
    let mut grace = Deadline::NEVER;
    let status = loop {
        let mut watches = [Watch::nothing(); 2 + Proxy::WATCHES];
        watches[0] = Watch::readable(signals.as_raw_fd());
        watches[1] = Watch::readable(pidfd.as_raw_fd());
        if let Some(proxy) = &proxy {
            watches[2..].copy_from_slice(&proxy.watches());
        }
        wait(&mut watches, grace).act(|| "cannot wait for the container")?;
        if let Some(proxy) = &mut proxy {
            proxy.turn(&watches[2..]);
        }
        // Of a program that has ended nobody asks anything any more.
        while !watches[1].is_ready()
            && watches[0].is_ready()
            && let Some(signal) = signals.next().act(|| "cannot read signals")?
        {
            match signal {
                libc::SIGCHLD | libc::SIGURG => {}
                libc::SIGWINCH => proxy.iter().for_each(Proxy::resize),
                signal => forward(pidfd, signal)?,
            }
            if let (libc::SIGTERM, Some(timeout)) = (signal, stop_timeout) {
                grace = grace.or(Deadline::after(timeout));
            }
        }
        if let Some(status) = status_of(pid)? {
            break status;
        }
        if watches[1].is_ready() {
            let text = "its exit status was taken by somebody else";
            return Err(Failure::new(Code::System, "cannot wait for the container").because(text));
        }
        if grace.has_passed() {
            kill_all()?;
            grace = Deadline::NEVER;
        }
    };
    if let Some(proxy) = proxy {
        proxy.drain(signals)?;
    }
    Ok(status)
}

fn forward(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    match pidfd_send_signal(pidfd.as_raw_fd(), signal) {
        // It has ended; the next turn reaps it.
        Err(Errno(libc::ESRCH)) => Ok(()),
        result => result.act(|| format!("cannot forward signal {signal}")),
    }
}

/// Reaps whatever has ended, orphans included, until it was the program.
fn status_of(pid: i32) -> Result<Option<u8>> {
    while let Some(ended) = reap().act(|| "cannot wait for the container")? {
        if ended.pid == pid {
            return Ok(Some(u8::try_from(ended.status).unwrap_or(u8::MAX)));
        }
    }
    Ok(None)
}

/// Whether a signal asks a program to end.
pub(crate) fn is_request_to_end(signal: i32) -> bool {
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT].contains(&signal)
}

#[cfg(test)]
mod tests;
