//! Between the caller's terminal and the container's.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::{Signals, is_request_to_end};
use crate::error::{Act, Result};
use crate::sys::Errno;
use crate::sys::descriptor::{set_nonblocking, write_some};
use crate::sys::fs::read;
use crate::sys::poll::{Deadline, Watch, wait};
use crate::sys::pty::{self, Modes};

const STDIN: RawFd = libc::STDIN_FILENO;
const STDOUT: RawFd = libc::STDOUT_FILENO;

/// PIPE_BUF: a pipe that poll calls writable takes so much without blocking. A terminal may take
/// less and block until its reader goes on; the runtime then hears of signals late, not never.
const CHUNK: usize = 4096;

/// Copies both ways: standard input to the master, which sends plain newlines
/// ([`crate::process::terminal::send_plain_newlines`]), and the master to standard output.
pub(super) struct Proxy {
    master: OwnedFd,
    input: Pipe,
    output: Pipe,
    /// Gives the caller's terminal back when the proxy is dropped.
    _raw: Option<RawTerminal>,
}

/// One direction. The source is read only when all that was read before is written.
struct Pipe {
    from: RawFd,
    to: RawFd,
    source: State,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

impl Proxy {
    /// How many descriptors [`Proxy::watches`] waits for.
    pub(super) const WATCHES: usize = 4;

    /// Makes the caller's terminal raw, if standard input is one, and gives its size to the container's.
    pub(super) fn new(master: OwnedFd) -> Result<Self> {
        let fd = master.as_raw_fd();
        set_nonblocking(fd).act(|| "cannot use the terminal")?;
        let proxy = Self {
            input: Pipe::new(STDIN, fd),
            output: Pipe::new(fd, STDOUT),
            master,
            _raw: RawTerminal::enter(STDIN)?,
        };
        proxy.resize();
        Ok(proxy)
    }

    /// Gives the size of the caller's terminal to the container's; nothing if there is none.
    pub(super) fn resize(&self) {
        let size = [STDIN, STDOUT, libc::STDERR_FILENO]
            .into_iter()
            .find_map(|fd| pty::window_size(fd).ok());
        if let Some(size) = size {
            // A terminal that the program has closed needs no size.
            pty::set_window_size(self.master.as_raw_fd(), size).ok();
        }
    }

    pub(super) fn watches(&self) -> [Watch; Self::WATCHES] {
        let [a, b] = self.input.watches();
        let [c, d] = self.output.watches();
        [a, b, c, d]
    }

    /// Moves what can be moved without waiting. `watches` are those of [`Proxy::watches`], after the wait.
    pub(super) fn turn(&mut self, watches: &[Watch]) {
        let (input, output) = watches.split_at(2);
        self.input.turn(input);
        self.output.turn(output);
        // Keys that nobody can read any more stay with the caller.
        if self.output.source == State::Closed {
            self.input.source = State::Closed;
        }
    }

    /// Copies out what the program wrote before it ended. Nothing new is waited for, only standard
    /// output, and that until somebody asks us to end.
    pub(super) fn drain(mut self, signals: &Signals) -> Result<()> {
        loop {
            if self.output.is_empty() && self.output.fill() == Progress::None {
                return Ok(());
            }
            let mut watches = [
                Watch::writable(STDOUT),
                Watch::readable(signals.as_raw_fd()),
            ];
            wait(&mut watches, Deadline::NEVER)
                .act(|| "cannot write the output of the container")?;
            while let Some(signal) = signals.next().act(|| "cannot read signals")? {
                if is_request_to_end(signal) {
                    return Ok(());
                }
            }
            if watches[0].is_ready() {
                self.output.empty();
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    Some,
    None,
}

impl Pipe {
    fn new(from: RawFd, to: RawFd) -> Self {
        Self {
            from,
            to,
            source: State::Open,
            bytes: vec![0; CHUNK].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// A closed descriptor is watched no longer: it would be ready for ever.
    fn watches(&self) -> [Watch; 2] {
        match (self.is_empty(), self.source) {
            (true, State::Open) => [Watch::readable(self.from), Watch::nothing()],
            (true, State::Closed) => [Watch::nothing(); 2],
            (false, _) => [Watch::nothing(), Watch::writable(self.to)],
        }
    }

    fn turn(&mut self, watches: &[Watch]) {
        let [source, target] = watches else { return };
        if source.is_ready() {
            self.fill();
        }
        if target.is_ready() {
            self.empty();
        }
    }

    fn fill(&mut self) -> Progress {
        match read(self.from, &mut self.bytes) {
            // EIO of a master: nobody has the slave open. Of a terminal: we are in the background.
            Ok(0) => self.source = State::Closed,
            Err(errno) if !is_for_later(errno) => self.source = State::Closed,
            Err(_) => {}
            Ok(length) => {
                (self.start, self.end) = (0, length);
                return Progress::Some;
            }
        }
        Progress::None
    }

    fn empty(&mut self) {
        match write_some(self.to, &self.bytes[self.start..self.end]) {
            Ok(written) => self.start += written,
            Err(errno) if is_for_later(errno) => {}
            // A container whose output nobody reads goes on; what it writes is lost.
            Err(_) => self.start = self.end,
        }
    }
}

fn is_for_later(errno: Errno) -> bool {
    errno == Errno(libc::EAGAIN)
}

/// A terminal in raw mode until this value is dropped.
struct RawTerminal {
    fd: RawFd,
    before: Modes,
}

impl RawTerminal {
    /// None if the descriptor is no terminal. Only standard input is made raw: a terminal that we do
    /// not read must keep its ctrl-C.
    fn enter(fd: RawFd) -> Result<Option<Self>> {
        let before = match pty::modes(fd) {
            Ok(modes) => modes,
            // ENOTTY; EBADF and EIO for a descriptor that is closed or hung up: nothing to make raw.
            Err(_) => return Ok(None),
        };
        pty::set_modes(fd, before.raw()).act(|| "cannot make the caller's terminal raw")?;
        Ok(Some(Self { fd, before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that has gone away in between (EIO) has no modes to restore.
        pty::set_modes(self.fd, self.before).ok();
    }
}
