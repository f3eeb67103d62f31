//! The start gate: `create` ends with Init waiting, `start` lets it through.
//!
//! `<root>/<id>/start.sock` is a listening stream socket that the runtime binds and Init inherits,
//! close-on-exec. So the kernel itself says how far Init is: while it waits, connect(2) succeeds;
//! from the moment its program runs, or it has died, connect is refused. `start` sends one byte and
//! reads: the end of the stream without a word means that execve succeeded, for nothing else closes
//! the socket without a report first, except death.
//!
//! The other side is in `execute`: accept, read one byte; `S` opens the gate; an end without a byte
//! was somebody who only asked (`state` does), so accept again. A report is 8 bytes, `u32` step and
//! `u32` errno in little endian, then words.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::AtFlags;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use crate::error::{Act, Code, Failure, Result};
use crate::sys::Errno;

/// The socket's name in the container's directory.
pub const SOCKET: &str = "start.sock";

/// The byte that opens the gate.
pub const OPEN: u8 = b'S';

const ACT: &str = "cannot make the start gate start.sock";

/// The longest report that `start` reads.
const LONGEST_REPORT: u64 = 8 + 4096;

/// Whether Init waits at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Init listens: the container is created.
    Closed,
    /// Nobody listens: the program runs, or has ended.
    Passed,
}

/// The socket that Init inherits.
pub fn make() -> Result<OwnedFd> {
    let made = stream_socket(SockFlag::SOCK_CLOEXEC);
    made.map_err(Errno::from).act(|| ACT)
}

/// Gives the socket its place in the container's directory, and listens on it. It is the one that Init has.
pub fn listen(directory: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> Result<()> {
    let listening = || -> nix::Result<()> {
        bind(socket.as_raw_fd(), &address(directory)?)?;
        socket::listen(&socket, Backlog::new(16)?)
    };
    listening().map_err(Errno::from).act(|| ACT)
}

/// Asks whether Init waits, without waiting for it.
pub fn look(directory: BorrowedFd<'_>) -> Result<Gate> {
    // `start` has removed it: one call instead of three for most containers.
    let access = faccessat(directory, SOCKET, AccessFlags::F_OK, AtFlags::empty());
    if access == Err(nix::errno::Errno::ENOENT) {
        return Ok(Gate::Passed);
    }
    let asked = stream_socket(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)
        .and_then(|fd| connect(fd.as_raw_fd(), &address(directory)?));
    match asked {
        // A full queue also has a listener behind it.
        Ok(()) | Err(nix::errno::Errno::EAGAIN) => Ok(Gate::Closed),
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ECONNREFUSED) => Ok(Gate::Passed),
        Err(errno) => Err(Failure::system(
            "cannot look at the start gate",
            errno.into(),
        )),
    }
}

/// Init, which waits at the other end.
#[derive(Debug)]
pub struct Waiting(UnixStream);

/// What comes of a knock.
#[derive(Debug)]
pub enum Knock {
    /// Init wakes up, and waits for what is said.
    Heard(Waiting),
    /// Too many have knocked whom Init has not heard yet.
    Behind,
    /// Nobody listens.
    Nobody,
}

/// Connects to Init, if it waits: what [`look`] finds out, for who is going to [`open`]. It does not wait for others
/// who have connected before, for a frozen Init would let them wait for ever.
pub fn knock(directory: BorrowedFd<'_>) -> Result<Knock> {
    connect_with(directory, SockFlag::SOCK_NONBLOCK)
}

/// The same, behind all others.
pub fn knock_patiently(directory: BorrowedFd<'_>) -> Result<Knock> {
    connect_with(directory, SockFlag::empty())
}

fn connect_with(directory: BorrowedFd<'_>, flags: SockFlag) -> Result<Knock> {
    let connected = stream_socket(SockFlag::SOCK_CLOEXEC | flags).and_then(|fd| {
        connect(fd.as_raw_fd(), &address(directory)?)?;
        Ok(Waiting(UnixStream::from(fd)))
    });
    match connected {
        Ok(waiting) => Ok(Knock::Heard(waiting)),
        Err(nix::errno::Errno::EAGAIN) => Ok(Knock::Behind),
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ECONNREFUSED) => Ok(Knock::Nobody),
        Err(errno) => Err(Failure::system(
            "cannot connect to the start gate",
            errno.into(),
        )),
    }
}

/// Opens the gate and waits until the program was executed. There is no deadline: startContainer
/// hooks, which have their own, run in between.
pub fn open(directory: BorrowedFd<'_>, Waiting(mut stream): Waiting) -> Result<()> {
    stream
        .write_all(&[OPEN])
        .and_then(|()| stream.set_nonblocking(false))
        .act(|| "cannot open the start gate")?;
    let mut report = Vec::new();
    stream
        .take(LONGEST_REPORT)
        .read_to_end(&mut report)
        .act(|| "cannot read from the start gate")?;
    if !report.is_empty() {
        return Err(failure_in(&report));
    }
    // Gone already if another `delete` won; the program runs, which is all that start promises.
    match unlinkat(directory, SOCKET, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Failure::system(
            format!("cannot remove {SOCKET}"),
            errno.into(),
        )),
    }
}

/// What Init reported before it died. Its words name the field and the act and, in a line of their own, what
/// the errno does not say.
fn failure_in(report: &[u8]) -> Failure {
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
    let (head, words) = report.split_at(report.len().min(8));
    let (step, errno) = head.split_at(head.len().min(4));
    let errno = Errno(i32::try_from(number(errno)).unwrap_or_default());
    let words = String::from_utf8_lossy(words);
    let (act, detail) = words
        .trim_end()
        .split_once('\n')
        .unwrap_or((words.trim_end(), ""));
    let act = match act {
        "" => format!("cannot start the container (step {})", number(step)),
        act => act.to_owned(),
    };
    let code = if act.starts_with("hooks.") {
        Code::Hook
    } else {
        Code::Exec
    };
    let failure = Failure::new(code, act.clone());
    match errno.0 {
        // A hook that ran and failed: there was no errno, so Init made one up.
        libc::ECANCELED if code == Code::Hook && detail.is_empty() => failure,
        libc::ECANCELED if code == Code::Hook => failure.because(detail),
        _ if !detail.is_empty() => failure.because(format!("{errno}: {detail}")),
        _ => Failure {
            code,
            ..Failure::system(act, errno)
        },
    }
}

fn stream_socket(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// By descriptor, because an address holds 108 bytes and a root directory may be longer.
fn address(directory: BorrowedFd<'_>) -> nix::Result<UnixAddr> {
    UnixAddr::new(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()).as_str())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::state::container::tests::Scratch;

    /// Init's side of the gate: ignores those who only ask, then answers with `report`.
    fn init(gate: OwnedFd, report: &'static [u8]) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            let listener = UnixListener::from(gate);
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 1 {
                    assert_eq!(byte[0], OPEN);
                    stream.write_all(report).unwrap();
                    return;
                }
            }
        })
    }

    fn gate_of(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
        let gate = make()?;
        listen(directory, gate.as_fd())?;
        Ok(gate)
    }

    #[test]
    fn the_gate_is_closed_while_init_listens_and_passed_when_the_socket_closes() {
        let scratch = Scratch::new();
        let directory = scratch.directory();
        assert_eq!(look(directory.as_fd()).unwrap(), Gate::Passed, "no socket");
        let init = init(gate_of(directory.as_fd()).unwrap(), b"");
        assert_eq!(look(directory.as_fd()).unwrap(), Gate::Closed);
        assert_eq!(look(directory.as_fd()).unwrap(), Gate::Closed);
        open(directory.as_fd(), heard(directory.as_fd())).unwrap();
        init.join().unwrap();
        assert_eq!(look(directory.as_fd()).unwrap(), Gate::Passed);
        assert!(matches!(knock(directory.as_fd()), Ok(Knock::Nobody)));
    }

    fn heard(directory: BorrowedFd<'_>) -> Waiting {
        match knock(directory).unwrap() {
            Knock::Heard(waiting) => waiting,
            knock => panic!("{knock:?}"),
        }
    }

    #[test]
    fn who_comes_behind_too_many_others_is_told_so_and_heard_when_they_have_gone() {
        let scratch = Scratch::new();
        let directory = scratch.directory();
        let gate = gate_of(directory.as_fd()).unwrap();
        let others = std::iter::from_fn(|| match knock(directory.as_fd()).unwrap() {
            Knock::Heard(waiting) => Some(waiting),
            knock => {
                assert!(matches!(knock, Knock::Behind), "{knock:?}");
                None
            }
        });
        let others: Vec<Waiting> = others.take(1000).collect();
        assert!((1..1000).contains(&others.len()));
        drop(others);
        let init = init(gate, b"");
        match knock_patiently(directory.as_fd()).unwrap() {
            Knock::Heard(waiting) => open(directory.as_fd(), waiting).unwrap(),
            knock => panic!("{knock:?}"),
        }
        init.join().unwrap();
    }

    #[test]
    fn a_start_that_was_killed_leaves_a_socket_that_refuses() {
        let scratch = Scratch::new();
        drop(gate_of(scratch.directory().as_fd()).unwrap());
        assert_eq!(look(scratch.directory().as_fd()).unwrap(), Gate::Passed);
    }

    #[test]
    fn a_report_becomes_the_failure_with_its_errno() {
        let scratch = Scratch::new();
        let report = b"\x07\0\0\0\x02\0\0\0process.args: exec: \"/nope\"";
        let directory = scratch.directory();
        let init = init(gate_of(directory.as_fd()).unwrap(), report);
        let failure = open(directory.as_fd(), heard(directory.as_fd())).unwrap_err();
        init.join().unwrap();
        assert_eq!(
            failure.to_string(),
            "process.args: exec: \"/nope\": no such file or directory"
        );
        assert_eq!(failure.code, Code::Exec);
    }

    #[test]
    fn what_a_hook_said_is_the_cause() {
        let failure = failure_in(
            b"\x07\0\0\0\x7d\0\0\0hooks.startContainer[0]: hook /h failed: no such device\n",
        );
        assert_eq!(
            failure.to_string(),
            "hooks.startContainer[0]: hook /h failed: no such device"
        );
        assert_eq!(failure.code, Code::Hook);
    }

    #[test]
    fn a_torn_report_is_still_a_failure() {
        for report in [
            &b"\x07"[..],
            b"\x07\0\0\0\x02",
            b"\x07\0\0\0\xff\xff\xff\xff\xff",
        ] {
            assert!(!failure_in(report).to_string().is_empty());
        }
    }
}
