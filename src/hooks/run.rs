//! Start a hook, watch it, end it in time.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::failure::failure;
use super::plan::PreparedHook;
use super::tail::Tail;
use super::tree;
use crate::error::{Act, Code, Failure, Result};
use crate::supervise::{Signals, is_request_to_end};
use crate::sys::poll::{Deadline, Watch, wait};
use crate::sys::process::{self, wait_pidfd};
use crate::sys::spawn::{Child, Join, Program, SpawnError, Spawned, Stage, spawn};
use crate::sys::{self, Errno, descriptor, fs, signal};

/// Reads of what a pipe still holds when the hook has ended: its capacity, 64 KiB. A daemon that
/// goes on writing is not waited for.
const LAST_READS: usize = 16;

/// The namespaces of a hook.
#[derive(Clone, Copy, Debug)]
pub enum Where<'a> {
    /// Those of this process.
    Runtime,
    /// Those of the container, before it pivots.
    Container {
        /// The pidfd of Init.
        init: BorrowedFd<'a>,
        /// CLONE_NEW* flags of the namespaces to join: those that the container does not share.
        namespaces: i32,
    },
}

/// Where a hook runs and what may end it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its namespaces.
    pub at: Where<'a>,
    /// Who takes what the hook leaves without a parent.
    pub orphans: Orphans,
    /// Signals that end the wait (SIGTERM, SIGINT, SIGHUP, SIGQUIT), where they are blocked.
    pub signals: Option<&'a Signals>,
}

impl Place<'_> {
    /// In the namespaces of this process, which lets orphans go.
    pub const RUNTIME: Self = Place {
        at: Where::Runtime,
        orphans: Orphans::LetGo,
        signals: None,
    };

    /// In the namespaces of this process, which has no child but the hook.
    pub const ALONE: Self = Place {
        orphans: Orphans::Adopt { spare: 0 },
        ..Self::RUNTIME
    };
}

/// What becomes of a hook's processes whose parents have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// They get away from the timeout.
    LetGo,
    /// While the hook runs they become children of this process, and a timeout kills all of these
    /// but one: Init.
    Adopt {
        /// Its number; 0 where there is none.
        spare: i32,
    },
}

/// How a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit status; 128 + n when signal n killed it.
    Status(i32),
    /// It was killed at its timeout.
    Late,
    /// It was killed because this signal asked the runtime to end.
    Interrupted(i32),
}

/// Runs the hooks of one point in their order; the first that fails ends it.
pub fn run_hooks(hooks: &[PreparedHook], place: &Place<'_>, state: &[u8]) -> Result<()> {
    hooks
        .iter()
        .try_for_each(|hook| run_hook(hook, place, state))
}

/// Runs the poststop hooks: one that fails is a warning, and the others still run (config.md).
pub fn run_poststop(hooks: &[PreparedHook], place: &Place<'_>, state: &[u8]) -> Vec<Failure> {
    hooks
        .iter()
        .filter_map(|hook| run_hook(hook, place, state).err())
        .collect()
}

/// Runs one hook to its end. `state` is the state of the container as JSON, as the hook should see it.
pub fn run_hook(hook: &PreparedHook, place: &Place<'_>, state: &[u8]) -> Result<()> {
    let act = || format!("cannot start hook {}", hook.path.to_string_lossy());
    let at_field = |failure: Failure| {
        Failure {
            code: Code::Hook,
            ..failure
        }
        .at(hook.field.clone())
    };
    let stdin = state_file(state).act(act).map_err(at_field)?;
    let output = Output::open(hook).map_err(at_field)?;
    let mut tail = Tail::default();
    match run(hook, place, stdin.as_raw_fd(), &output, &mut tail) {
        Ok(Ended::Status(0)) => Ok(()),
        ended => Err(failure(hook, ended, &tail)),
    }
}

/// A sealed file in memory with the state of a container, to be a hook's standard input.
///
/// Init's is made by the runtime before the clone and filled after it, when the pid is known.
pub fn state_file(state: &[u8]) -> sys::Result<OwnedFd> {
    let file = descriptor::owned(descriptor::memfd(c"state")?);
    descriptor::write_all(file.as_raw_fd(), state)?;
    descriptor::seal(file.as_raw_fd())?;
    descriptor::rewind(file.as_raw_fd())?;
    Ok(file)
}

/// Files that take a stream of a hook instead of the tail; none take none.
#[derive(Default)]
struct Output {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Output {
    fn open(hook: &PreparedHook) -> Result<Self> {
        let open = |path: &Option<CString>| path.as_deref().map(append_to).transpose();
        Ok(Self {
            stdout: open(&hook.output.stdout)?,
            stderr: open(&hook.output.stderr)?,
        })
    }
}

/// Opened with O_NONBLOCK for a fifo that nobody reads: it would hold us up, so it is an error (ENXIO).
fn append_to(path: &CStr) -> Result<OwnedFd> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_NOCTTY | libc::O_NONBLOCK;
    let open = || -> sys::Result<OwnedFd> {
        let file = descriptor::owned(fs::openat(fs::AT_FDCWD, path, flags, 0o600)?);
        descriptor::set_blocking(file.as_raw_fd())?;
        Ok(file)
    };
    open().act(|| {
        format!(
            "cannot open {} for the output of hooks",
            path.to_string_lossy()
        )
    })
}

fn run(
    hook: &PreparedHook,
    place: &Place<'_>,
    stdin: RawFd,
    output: &Output,
    tail: &mut Tail,
) -> Spawned<Ended> {
    let join = match place.at {
        Where::Runtime => None,
        Where::Container { init, namespaces } => Some(Join {
            pidfd: init.as_raw_fd(),
            namespaces,
        }),
    };
    let adopts = matches!(place.orphans, Orphans::Adopt { .. });
    let before = if adopts {
        process::swap_subreaper(true).map_err(at_clone)?
    } else {
        true
    };
    let inherited = Inherited { join, home: None };
    let ended = Running::start(hook, stdin, output, inherited).and_then(|running| {
        running.finish(place.signals, tail, |child| {
            tree::kill(child, place.orphans)
        })
    });
    if !before {
        process::swap_subreaper(false).map_err(at_clone)?;
    }
    ended
}

/// Init: runs one startContainer hook to its end. Allocates nothing.
///
/// `state` is a file as of [`state_file`]; it is read from its beginning. `home` is added to the
/// environment. At the timeout only the
/// hook's process group is killed: the container ends with the failed start, and all the rest with it.
pub fn run_hook_in_init(
    hook: &PreparedHook,
    state: RawFd,
    home: Option<&CStr>,
    tail: &mut Tail,
) -> Spawned<Ended> {
    descriptor::rewind(state).map_err(at_clone)?;
    let running = Running::start(
        hook,
        state,
        &Output::default(),
        Inherited { join: None, home },
    )?;
    running.finish(None, tail, |child| {
        signal::send_to_group(child.pid, libc::SIGKILL)
    })
}

fn at_clone(errno: Errno) -> SpawnError {
    SpawnError {
        stage: Stage::Clone,
        errno,
    }
}

/// What a hook gets of those around it.
struct Inherited<'a> {
    join: Option<Join>,
    /// The program's HOME, where the hook has the program's environment.
    home: Option<&'a CStr>,
}

/// A hook on its way. Descriptors are plain numbers here, for Init's sake.
struct Running {
    child: Child,
    output: RawFd,
    deadline: Deadline,
}

impl Running {
    fn start(
        hook: &PreparedHook,
        stdin: RawFd,
        files: &Output,
        inherited: Inherited<'_>,
    ) -> Spawned<Self> {
        // A caller who ignores SIGCHLD leaves that to us, and the kernel would discard the status.
        signal::set_default(libc::SIGCHLD).map_err(at_clone)?;
        let deadline = hook.timeout.map_or(Deadline::NEVER, Deadline::after);
        let output = descriptor::pipe().map_err(at_clone)?;
        let stream =
            |file: &Option<OwnedFd>| file.as_ref().map_or(output.write, |file| file.as_raw_fd());
        let program = Program {
            path: &hook.path,
            args: &hook.args,
            env: &hook.env,
            variable: inherited.home,
            cwd: &hook.cwd,
            stdin,
            stdout: stream(&files.stdout),
            stderr: stream(&files.stderr),
            join: inherited.join,
            filter: hook.filter.as_ref(),
        };
        let child = spawn(&program, deadline);
        fs::close(output.write);
        match child {
            Ok(child) => Ok(Self {
                child,
                output: output.read,
                deadline,
            }),
            Err(error) => {
                fs::close(output.read);
                Err(error)
            }
        }
    }

    /// Watches the hook to its end and reaps it; `kill` ends it and what it started.
    fn finish(
        self,
        signals: Option<&Signals>,
        tail: &mut Tail,
        kill: impl FnOnce(Child) -> sys::Result<()>,
    ) -> Spawned<Ended> {
        let watched = self.watch(signals, tail);
        let killed = match watched {
            Ok(None) => Ok(()),
            _ => kill(self.child),
        };
        let status = killed.and_then(|()| wait_pidfd(self.child.pidfd));
        self.read_the_rest(tail);
        fs::close(self.output);
        fs::close(self.child.pidfd);
        let (watched, status) = (watched.map_err(at_clone)?, status.map_err(at_clone)?);
        Ok(watched.unwrap_or(Ended::Status(status)))
    }

    /// None: it has ended by itself. Else why it must be killed.
    fn watch(&self, signals: Option<&Signals>, tail: &mut Tail) -> sys::Result<Option<Ended>> {
        let mut output = Watch::readable(self.output);
        descriptor::set_nonblocking(self.output)?;
        loop {
            let asked = signals.map_or(Watch::nothing(), |signals| {
                Watch::readable(signals.as_raw_fd())
            });
            let mut watches = [Watch::readable(self.child.pidfd), output, asked];
            wait(&mut watches, self.deadline)?;
            if watches[1].is_ready() && self.read_output(tail) == Progress::Closed {
                output = Watch::nothing();
            }
            if watches[0].is_ready() {
                return Ok(None);
            }
            if let Some(signal) = request_to_end(signals)? {
                return Ok(Some(Ended::Interrupted(signal)));
            }
            if self.deadline.has_passed() {
                return Ok(Some(Ended::Late));
            }
        }
    }

    fn read_output(&self, tail: &mut Tail) -> Progress {
        let mut bytes = [0; 4096];
        match fs::read(self.output, &mut bytes) {
            Ok(0) => Progress::Closed,
            Ok(length) => {
                tail.push(&bytes[..length]);
                Progress::More
            }
            Err(Errno(libc::EAGAIN)) => Progress::Empty,
            // It is only for the error message: what cannot be read is left out.
            Err(_) => Progress::Closed,
        }
    }

    fn read_the_rest(&self, tail: &mut Tail) {
        for _ in 0..LAST_READS {
            if self.read_output(tail) != Progress::More {
                return;
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    More,
    Empty,
    Closed,
}

fn request_to_end(signals: Option<&Signals>) -> sys::Result<Option<i32>> {
    let Some(signals) = signals else {
        return Ok(None);
    };
    while let Some(signal) = signals.next()? {
        if is_request_to_end(signal) {
            return Ok(Some(signal));
        }
    }
    Ok(None)
}
