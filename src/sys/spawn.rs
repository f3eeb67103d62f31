//! A program started in a child: the whole stretch between clone3(2) and execve(2) as one call.
//!
//! Nothing here allocates, so Init may start a program as the runtime does. The child tells over a
//! close-on-exec pipe why it could not execute; end of file means that it did.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::credentials;
use super::descriptor::{self, dup_onto};
use super::exec::{self, CStringArray};
use super::poll::{Deadline, Watch, wait, wait_readable};
use super::process::{self, Clone3, Cloned};
use super::seccomp::{self, Filter};
use super::signal;
use super::{Errno, Result, fs, namespace};

/// Namespaces of another process, all joined by its pidfd.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    /// The other process.
    pub pidfd: RawFd,
    /// CLONE_NEW* flags.
    pub namespaces: i32,
}

/// A program with all it needs. Descriptors are above 2.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Absolute path; no search.
    pub path: &'a CStr,
    /// argv.
    pub args: &'a CStringArray,
    /// environ, whole.
    pub env: &'a CStringArray,
    /// One more variable of it.
    pub variable: Option<&'a CStr>,
    /// Working directory, resolved after joining.
    pub cwd: &'a CStr,
    /// Becomes standard input.
    pub stdin: RawFd,
    /// Becomes standard output.
    pub stdout: RawFd,
    /// Becomes standard error.
    pub stderr: RawFd,
    /// Namespaces to join first.
    pub join: Option<Join>,
    /// Loaded last. The caller has the privilege that this takes.
    pub filter: Option<&'a Filter>,
}

/// A child that has executed its program. It leads a session and process group of its own, and dies
/// with the thread that started it.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// In the caller's pid namespace.
    pub pid: i32,
    /// The caller's to close.
    pub pidfd: RawFd,
}

/// Which step of the start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// clone3, or the pipe to the child.
    Clone,
    /// Joining the namespaces.
    Join,
    /// Signals, session, standard streams.
    Prepare,
    /// Entering the working directory.
    Chdir,
    /// Executing the program.
    Exec,
}

/// Why a program was not started. No child is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// Where.
    pub stage: Stage,
    /// Why; ETIMEDOUT when the deadline passed before the program was executed.
    pub errno: Errno,
}

/// The result of a start.
pub type Spawned<T> = std::result::Result<T, SpawnError>;

/// Starts a program; returns when it is executed.
pub fn spawn(program: &Program<'_>, deadline: Deadline) -> Spawned<Child> {
    let at_clone = |errno| SpawnError {
        stage: Stage::Clone,
        errno,
    };
    let report = descriptor::pipe().map_err(at_clone)?;
    let child = clone_into_pid_namespace(program, report);
    fs::close(report.write);
    let mut child = child.inspect_err(|_| fs::close(report.read))?;
    let mut verdict = read_verdict(report.read, deadline);
    if let Some(Verdict::GoesOnIn(pid)) = verdict {
        let adopted = adopt(child, pid);
        child = adopted.inspect_err(|_| fs::close(report.read))?;
        verdict = read_verdict(report.read, deadline);
    }
    fs::close(report.read);
    match verdict {
        None => Ok(child),
        Some(verdict) => {
            kill_and_reap(child).map_err(at_clone)?;
            Err(verdict.error())
        }
    }
}

/// Takes the child in which the first one goes on: it is ours too (CLONE_PARENT).
fn adopt(first: Child, pid: i32) -> Spawned<Child> {
    let at_join = |errno| SpawnError {
        stage: Stage::Join,
        errno,
    };
    process::wait_pidfd(first.pidfd).map_err(at_join)?;
    fs::close(first.pidfd);
    let pidfd = process::pidfd_open(pid).map_err(at_join)?;
    Ok(Child { pid, pidfd })
}

/// Kills a child and takes its status. ESRCH: it has ended already, which is as good.
fn kill_and_reap(child: Child) -> Result<()> {
    match process::pidfd_send_signal(child.pidfd, libc::SIGKILL) {
        Ok(()) | Err(Errno(libc::ESRCH)) => {}
        Err(errno) => return Err(errno),
    }
    let reaped = process::wait_pidfd(child.pidfd);
    fs::close(child.pidfd);
    reaped.map(drop)
}

/// A pid namespace is joined by the parent, for its children: one who joins does not move himself.
/// It goes back to its own afterwards, by its own pidfd, which needs no /proc. A parent without privileges
/// may do neither; then the child joins, once it is in the user namespace, and goes on in one of its own.
fn clone_into_pid_namespace(program: &Program<'_>, report: descriptor::Pipe) -> Spawned<Child> {
    let at_join = |errno| SpawnError {
        stage: Stage::Join,
        errno,
    };
    let Some(join) = program
        .join
        .filter(|join| join.namespaces & libc::CLONE_NEWPID != 0)
    else {
        return clone(program, report, Joiner::Parent);
    };
    let home = process::pidfd_open(process::getpid()).map_err(at_join)?;
    let child = match namespace::setns(join.pidfd, libc::CLONE_NEWPID) {
        Err(Errno(libc::EPERM)) if join.namespaces & libc::CLONE_NEWUSER != 0 => {
            fs::close(home);
            return clone(program, report, Joiner::Child);
        }
        joined => joined
            .map_err(at_join)
            .and_then(|()| clone(program, report, Joiner::Parent)),
    };
    let returned = namespace::setns(home, libc::CLONE_NEWPID);
    fs::close(home);
    match (child, returned) {
        (child, Ok(())) => child,
        (Err(error), Err(_)) => Err(error),
        (Ok(child), Err(errno)) => {
            kill_and_reap(child).map_err(at_join)?;
            Err(at_join(errno))
        }
    }
}

/// Who joins the pid namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joiner {
    Parent,
    Child,
}

fn clone(program: &Program<'_>, report: descriptor::Pipe, joiner: Joiner) -> Spawned<Child> {
    let request = Clone3 {
        flags: 0,
        cgroup: None,
    };
    // SAFETY: the child runs `become_program` alone, which calls the kernel and nothing else, and
    // never returns.
    match unsafe { process::clone3(request) } {
        Err(errno) => Err(SpawnError {
            stage: Stage::Clone,
            errno,
        }),
        Ok(Cloned::Parent { pid, pidfd }) => Ok(Child { pid, pidfd }),
        Ok(Cloned::Child) => become_program(program, report, joiner),
    }
}

fn become_program(program: &Program<'_>, report: descriptor::Pipe, joiner: Joiner) -> ! {
    let error = match prepare(program, report, joiner) {
        Err(error) => error,
        Ok(()) => {
            let errno = exec::execve(program.path, program.args, program.env, program.variable);
            SpawnError {
                stage: Stage::Exec,
                errno,
            }
        }
    };
    tell(report, error.stage as u8, error.errno.0)
}

/// The last thing that a process does here.
fn tell(report: descriptor::Pipe, word: u8, number: i32) -> ! {
    let mut words = [0; 8];
    words[0] = word;
    words[4..].copy_from_slice(&number.to_ne_bytes());
    match descriptor::write_all(report.write, &words) {
        Ok(()) => process::exit_now(127),
        // The parent is gone, and with it whoever could be told.
        Err(_) => process::exit_now(126),
    }
}

/// The child that is born in the joined pid namespace returns.
fn go_on_in_child(report: descriptor::Pipe) -> Spawned<()> {
    let request = Clone3 {
        flags: libc::CLONE_PARENT as u64,
        cgroup: None,
    };
    // SAFETY: as in `clone`: this is a child that only calls the kernel, on either side.
    match unsafe { process::clone3(request) } {
        Err(errno) => Err(SpawnError {
            stage: Stage::Clone,
            errno,
        }),
        Ok(Cloned::Parent { pid, .. }) => tell(report, GOES_ON, pid),
        Ok(Cloned::Child) => Ok(()),
    }
}

fn prepare(program: &Program<'_>, report: descriptor::Pipe, joiner: Joiner) -> Spawned<()> {
    let at = |stage| move |errno| SpawnError { stage, errno };
    signal::reset().map_err(at(Stage::Prepare))?;
    match program.join {
        Some(join) => enter(join, program.cwd, joiner)?,
        None => fs::chdir(program.cwd).map_err(at(Stage::Chdir))?,
    }
    if joiner == Joiner::Child {
        go_on_in_child(report)?;
    }
    // After joining: a change of user namespace takes the death signal away.
    die_with_parent(report).map_err(at(Stage::Prepare))?;
    process::setsid().map_err(at(Stage::Prepare))?;
    set_up_streams(program).map_err(at(Stage::Prepare))?;
    if let Some(filter) = program.filter {
        seccomp::load(&filter.instructions, filter.flags).map_err(at(Stage::Prepare))?;
    }
    Ok(())
}

/// Joins the namespaces and enters the working directory there. The user namespace comes last, for
/// its root may not be allowed into the directory; unless it is what allows joining the others.
fn enter(join: Join, cwd: &CStr, joiner: Joiner) -> Spawned<()> {
    let at = |stage| move |errno| SpawnError { stage, errno };
    let user = join.namespaces & libc::CLONE_NEWUSER;
    let joined = match joiner {
        Joiner::Parent => libc::CLONE_NEWPID,
        Joiner::Child => 0,
    };
    let others = join.namespaces & !(joined | libc::CLONE_NEWUSER);
    let setns = |namespaces| match namespaces {
        // To setns(2) it would mean any kind, which a pidfd has none of.
        0 => Ok(()),
        namespaces => namespace::setns(join.pidfd, namespaces),
    };
    let left = match setns(others) {
        Err(Errno(libc::EPERM)) if user != 0 => setns(others | user).map(|()| 0),
        joined => joined.map(|()| user),
    }
    .map_err(at(Stage::Join))?;
    fs::chdir(cwd).map_err(at(Stage::Chdir))?;
    setns(left).map_err(at(Stage::Join))?;
    match user {
        0 => Ok(()),
        _ => become_root().map_err(at(Stage::Join)),
    }
}

/// Who enters a user namespace is nobody there, and loses its capabilities at exec.
fn become_root() -> Result<()> {
    match credentials::setgroups(&[]) {
        // An unprivileged maker of the namespace had to give setgroups(2) up (user_namespaces(7)).
        Ok(()) | Err(Errno(libc::EPERM)) => {}
        Err(errno) => return Err(errno),
    }
    credentials::setresgid(0)?;
    credentials::setresuid(0)
}

/// The signal is lost when the parent died before it was asked for: then nobody reads the report.
fn die_with_parent(report: descriptor::Pipe) -> Result<()> {
    process::set_parent_death_signal(libc::SIGKILL)?;
    fs::close(report.read);
    let mut watch = [Watch::end(report.write)];
    match wait(&mut watch, Deadline::after(std::time::Duration::ZERO))? {
        0 => Ok(()),
        _ => process::exit_now(127),
    }
}

fn set_up_streams(program: &Program<'_>) -> Result<()> {
    dup_onto(program.stdin, libc::STDIN_FILENO)?;
    dup_onto(program.stdout, libc::STDOUT_FILENO)?;
    dup_onto(program.stderr, libc::STDERR_FILENO)?;
    fs::close_at_exec_from(3)
}

/// What the child wrote before it ended, or nothing when exec closed the pipe.
fn read_verdict(report: RawFd, deadline: Deadline) -> Option<Verdict> {
    let mut words = [0; 8];
    let read = wait_readable(report, deadline).and_then(|()| fs::read(report, &mut words));
    match read {
        Ok(0) => None,
        Ok(_) => {
            let [word, _, _, _, a, b, c, d] = words;
            let number = i32::from_ne_bytes([a, b, c, d]);
            Some(match word {
                GOES_ON => Verdict::GoesOnIn(number),
                _ => Verdict::Failed(SpawnError {
                    stage: stage(word),
                    errno: Errno(number),
                }),
            })
        }
        Err(errno) => Some(Verdict::Failed(SpawnError {
            stage: Stage::Exec,
            errno,
        })),
    }
}

/// What a child has to say before it is the program.
#[derive(Clone, Copy)]
enum Verdict {
    Failed(SpawnError),
    /// In the process with this number.
    GoesOnIn(i32),
}

/// Beside the stages.
const GOES_ON: u8 = u8::MAX;

impl Verdict {
    fn error(self) -> SpawnError {
        match self {
            Self::Failed(error) => error,
            // Nobody goes on twice.
            Self::GoesOnIn(_) => SpawnError {
                stage: Stage::Join,
                errno: Errno(libc::EPROTO),
            },
        }
    }
}

fn stage(word: u8) -> Stage {
    [Stage::Clone, Stage::Join, Stage::Prepare, Stage::Chdir]
        .into_iter()
        .find(|stage| *stage as u8 == word)
        .unwrap_or(Stage::Exec)
}

/// The command begins in the cgroup, which becomes the root of a cgroup namespace of its own.
pub fn begin_in_cgroup(command: &mut Command, cgroup: BorrowedFd<'_>) -> Result<()> {
    let processes = super::cgroup::open_file(cgroup, c"cgroup.procs", libc::O_WRONLY)?;
    let enter = move || {
        // 0 is whoever writes it: cgroups(7).
        descriptor::write_all(processes.as_raw_fd(), b"0")
            .and_then(|()| namespace::unshare(libc::CLONE_NEWCGROUP))
            .map_err(|errno| std::io::Error::from_raw_os_error(errno.0))
    };
    // SAFETY: between fork and exec the closure calls the kernel and nothing else; an error with a number
    // allocates nothing.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

/// The command begins with a session keyring of that name, which its owner may search; with the caller's where the
/// kernel has no keys.
pub fn begin_in_keyring(command: &mut Command, name: CString) {
    /// What the kernel gives to one with a name, and KEY_USR_SEARCH.
    const PERMISSIONS: u32 = 0x3f1b_0000;
    let join = move || match process::join_session_keyring(&name) {
        Err(Errno(libc::ENOSYS)) => Ok(()),
        joined => joined
            .and_then(|key| process::set_key_permissions(key, PERMISSIONS))
            .map_err(|errno| std::io::Error::from_raw_os_error(errno.0)),
    };
    // SAFETY: between fork and exec the closure calls the kernel and nothing else; an error with a number
    // allocates nothing.
    unsafe { command.pre_exec(join) };
}

/// A process for a test: the closure's result is its exit status, a panic is 101.
#[cfg(test)]
pub fn fork_for_test(child: impl FnOnce() -> i32) -> Child {
    // SAFETY: not what clone3 asks for: the closures allocate. glibc's allocator may be used after a
    // fork, the closures take no other lock, and a deadlock would fail the test and nothing else.
    match unsafe { process::clone3(Clone3::default()) }.unwrap() {
        Cloned::Parent { pid, pidfd } => Child { pid, pidfd },
        Cloned::Child => {
            // A test that has failed leaves nobody behind.
            process::set_parent_death_signal(libc::SIGKILL).unwrap();
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            process::exit_now(status.unwrap_or(101))
        }
    }
}
