//! A tracer that does one thing to one system call.
//!
//! A point is (process in the order of creation, system call, n-th occurrence in that process), so it is
//! the same in every run. The tracer sees every call of the runtime and of its children from their first
//! one; whoever executes another program (the payload, a hook) is let go. It is the first process of a pid
//! namespace, so that it also inherits and reaps whatever the runtime leaves alone.

use std::collections::HashMap;
use std::process::Command;

use super::ground;
use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Which call of which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    /// 0 is the runtime; its children follow in the order of their creation.
    pub process: usize,
    /// The number of the system call.
    pub call: c_long,
    /// From 1.
    pub occurrence: u32,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The call is not made and returns this.
    Errno(i32),
    /// The call is made, and returns this all the same: close(2) closes even when it fails.
    ErrnoAfterwards(i32),
    /// The process dies at the entry.
    Kill,
    /// Nothing: the stop itself is of interest.
    Stop,
}

/// What the tracer saw.
#[derive(Debug, Default)]
pub struct Traced {
    /// The exit code of process 0; if it was killed, the signal, negative.
    pub code: i32,
    /// The calls in the order of their entries, and whether a call would make a file.
    pub calls: Vec<(Point, bool)>,
    /// Whether the point was reached.
    pub reached: bool,
}

#[derive(Debug)]
struct Process {
    number: usize,
    inside: Option<c_long>,
    counts: HashMap<c_long, u32>,
    inject: Option<i32>,
    /// It has yet to make its first stop, which is a SIGSTOP that nobody sent.
    is_new: bool,
    is_leaving: bool,
}

/// The tracer of one command.
pub struct Tracer<'a> {
    point: Option<(Point, Fault)>,
    at_stop: &'a mut dyn FnMut(),
    processes: HashMap<Pid, Process>,
    born: usize,
    root: Pid,
    root_ended: bool,
    traced: Traced,
}

fn options() -> Options {
    Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
}

impl<'a> Tracer<'a> {
    /// With a fault, or none; `at_stop` is called when the point is reached.
    pub fn new(point: Option<(Point, Fault)>, at_stop: &'a mut dyn FnMut()) -> Self {
        Self {
            point,
            at_stop,
            processes: HashMap::new(),
            born: 0,
            root: Pid::from_raw(0),
            root_ended: false,
            traced: Traced::default(),
        }
    }

    /// Traces a command (which must be [`stub`] of this program) and a process that is already there.
    pub fn run(mut self, mut command: Command, also: Option<Pid>) -> Traced {
        self.root = Pid::from_raw(ground::spawn(&mut command));
        self.adopt(self.root);
        if let Some(pid) = also {
            ptrace::seize(pid, options()).expect("root may trace");
            ptrace::interrupt(pid).expect("it is ours");
            self.adopt(pid);
        }
        while !self.root_ended || !self.processes.is_empty() {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.event(status),
                Err(Errno::ECHILD) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => panic!("waitpid: {errno}"),
            }
        }
        self.traced
    }

    fn adopt(&mut self, pid: Pid) {
        let number = self.born;
        self.born += 1;
        // The first one is stopped inside of execve(2), of which it is yet to come out.
        let inside = (number == 0).then_some(libc::SYS_execve);
        let process = Process {
            number,
            inside,
            counts: HashMap::new(),
            inject: None,
            is_new: true,
            is_leaving: false,
        };
        self.processes.insert(pid, process);
    }

    fn event(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(pid, code) => self.ended(pid, code),
            WaitStatus::Signaled(pid, signal, _) => self.ended(pid, -(signal as i32)),
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) if pid != self.root => {
                self.let_go(pid);
            }
            WaitStatus::PtraceEvent(
                pid,
                _,
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
            ) => {
                if let Ok(child) = ptrace::getevent(pid) {
                    let child = Pid::from_raw(i32::try_from(child).expect("a pid is small"));
                    if !self.processes.contains_key(&child) {
                        self.adopt(child);
                    }
                }
                self.go_on(pid, None);
            }
            WaitStatus::PtraceEvent(pid, ..) => self.stopped(pid, None),
            WaitStatus::Stopped(pid, Signal::SIGTRAP) if pid == self.root => {
                ptrace::setoptions(pid, options()).expect("it is ours");
                self.go_on(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => self.stopped(pid, Some(signal)),
            WaitStatus::PtraceSyscall(pid) => self.call(pid),
            _ => {}
        }
    }

    fn stopped(&mut self, pid: Pid, signal: Option<Signal>) {
        if self.processes.get(&pid).is_some_and(|one| one.is_leaving) {
            return self.let_go(pid);
        }
        if !self.processes.contains_key(&pid) {
            self.adopt(pid);
        }
        let is_new = self
            .processes
            .get_mut(&pid)
            .is_some_and(|one| std::mem::take(&mut one.is_new));
        self.go_on(
            pid,
            signal.filter(|signal| !(is_new && *signal == Signal::SIGSTOP)),
        );
    }

    fn ended(&mut self, pid: Pid, code: i32) {
        self.processes.remove(&pid);
        if pid != self.root {
            return;
        }
        self.traced.code = code;
        self.root_ended = true;
        // Init may be on its way to the start gate; there it is let go.
        let waiting: Vec<Pid> = self
            .processes
            .iter()
            .filter(|(_, process)| process.inside == Some(libc::SYS_ppoll))
            .map(|(pid, _)| *pid)
            .collect();
        for pid in waiting {
            // It never sees the signal: it is let go at its delivery.
            if nix::sys::signal::kill(pid, Signal::SIGSTOP).is_ok()
                && let Some(process) = self.processes.get_mut(&pid)
            {
                process.is_leaving = true;
            }
        }
    }

    // A process may be killed at any moment: what cannot be done to it then needs no doing.
    fn go_on(&mut self, pid: Pid, signal: Option<Signal>) {
        ptrace::syscall(pid, signal).ok();
    }

    fn let_go(&mut self, pid: Pid) {
        self.processes.remove(&pid);
        ptrace::detach(pid, None).ok();
    }

    fn call(&mut self, pid: Pid) {
        let Ok(mut registers) = ptrace::getregs(pid) else {
            return;
        };
        let Some(process) = self.processes.get_mut(&pid) else {
            return self.let_go(pid);
        };
        if process.inside.take().is_some() {
            if let Some(errno) = process.inject.take() {
                registers.rax = i64::from(-errno).cast_unsigned();
                ptrace::setregs(pid, registers).ok();
            }
            return self.go_on(pid, None);
        }
        let call = registers.orig_rax.cast_signed();
        process.inside = Some(call);
        let occurrence = process.counts.entry(call).or_default();
        *occurrence += 1;
        let point = Point {
            process: process.number,
            call,
            occurrence: *occurrence,
        };
        let flags = registers.rdx.cast_signed();
        let makes = call == libc::SYS_openat && flags & i64::from(libc::O_CREAT) != 0;
        self.traced.calls.push((point, makes));
        if self.root_ended && call == libc::SYS_ppoll {
            return self.let_go(pid);
        }
        if let Some((wanted, fault)) = self.point
            && wanted == point
        {
            self.traced.reached = true;
            (self.at_stop)();
            match fault {
                Fault::Errno(errno) => {
                    if let Some(process) = self.processes.get_mut(&pid) {
                        process.inject = Some(errno);
                    }
                    registers.orig_rax = u64::MAX;
                    ptrace::setregs(pid, registers).ok();
                }
                Fault::ErrnoAfterwards(errno) => {
                    if let Some(process) = self.processes.get_mut(&pid) {
                        process.inject = Some(errno);
                    }
                }
                Fault::Kill => {
                    nix::sys::signal::kill(pid, Signal::SIGKILL).ok();
                }
                Fault::Stop => {}
            }
        }
        self.go_on(pid, None);
    }
}

/// What a traced command begins as: asks to be traced and becomes the program.
pub fn stub(args: &[String]) -> ! {
    use std::os::unix::process::CommandExt;
    ptrace::traceme().expect("nobody else traces the test");
    let (program, words) = args.split_first().expect("a program is given");
    let error = Command::new(program).args(words).exec();
    panic!("{program}: {error}")
}
