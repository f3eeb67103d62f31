//! The runtime's half: acts, step by step; on the first failure, kills and undoes.

mod birth;
mod cgroup;
mod outside;
mod restore;
mod step;
mod wait;

use std::cell::Cell;
use std::ffi::{CString, OsStr};
use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clone::{Placeholder, Process};
use super::init::EMPTY;
use super::message;
use super::report::Report;
use super::step::{Pace, Stepping};
use super::trace::{self, Trace};
use crate::cgroups;
use crate::error::{Act, Code, Failure, Field, Result};
use crate::log::Log;
use crate::network::run::Interfaces;
use crate::plan::op::{InitOp, RuntimeOp, Slot, Stage, text};
use crate::plan::{Plan, Step};
use crate::process::notify::Notify;
use crate::process::terminal;
use crate::state::{Container, Record, Status, Undo, gate, identity};
use crate::supervise::Signals;
use crate::sys::executable::Disguise;
use crate::sys::poll::{Deadline, Watch};
use crate::sys::{Errno, descriptor, fs, poll, process, socket};
use crate::{namespaces, network, volumes};

pub use restore::Restoration;
pub(super) use wait::stop_if_told;

/// How long init may take from one gate to the next: a slow network filesystem may take its time, a
/// dead one must not keep the caller for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// What there is once the list has been walked to its end.
#[derive(Debug)]
pub struct Created {
    /// Init.
    pub process: Process,
    /// The terminal's master, if the runtime plays it.
    pub terminal: Option<OwnedFd>,
    /// Where the program says that it is ready, if the service manager has not been told yet.
    pub notify: Option<Notify>,
    /// The container's cgroup, if the plan made one.
    pub cgroup: Option<OwnedFd>,
}

/// What `exec` acts on.
#[derive(Debug)]
pub struct Target {
    /// The container's first process, in the runtime's pid namespace.
    pub pid: i32,
    /// The container's cgroup, below the mount of cgroup v2, if it has one of its own.
    pub cgroup: Option<cgroups::plan::CgroupPath>,
    /// That one, if it was found under its number.
    pub directory: Option<Arc<OwnedFd>>,
}

/// The parent's side of a plan under way.
#[derive(Debug)]
pub struct Runtime<'a> {
    plan: &'a Plan,
    /// The container being made; none for `exec`.
    container: Option<&'a mut Container>,
    target: Option<&'a Target>,
    /// The target's namespaces, once they were looked at.
    inodes: namespaces::run::Inodes,
    record: Record,
    config: &'a [u8],
    data: &'a Path,
    state_directory: &'a Path,
    cgroup_mount: Arc<OwnedFd>,
    signals: &'a Signals,
    slots: Vec<RawFd>,
    report: Report,
    disguise: Option<Disguise>,
    near: OwnedFd,
    far: Option<OwnedFd>,
    init: Option<Process>,
    console: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    notify: Option<Notify>,
    interfaces: Option<Interfaces>,
    /// Keeps a scope of systemd's until init is in it.
    placeholder: Option<Placeholder>,
    /// Where the number of init stands, once it does.
    pid_file: Option<&'a Path>,
    in_user_namespace: bool,
    restoration: Option<Restoration>,
    under_way: Option<restore::UnderWay>,
    log: &'a Log,
    trace: Option<&'a Trace>,
    /// With `--step`.
    pace: Option<Pace<'a>>,
    /// When each step began and ended, if there is a trace.
    times: Vec<(u64, u64)>,
    /// How many of init's steps the log has been told.
    told: Cell<usize>,
}

/// What a run of the list needs besides the plan.
#[derive(Debug)]
pub struct Setting<'a> {
    /// The record as it is to be written.
    pub record: Record,
    /// config.json as it was read.
    pub config: &'a [u8],
    /// Where volumes are.
    pub data: &'a Path,
    /// The container's state directory.
    pub state_directory: &'a Path,
    /// Where cgroup v2 is mounted, opened.
    pub cgroup_mount: Arc<OwnedFd>,
    /// Signals of the runtime, blocked since before the clone.
    pub signals: &'a Signals,
    /// Whether init lives in another user namespace.
    pub in_user_namespace: bool,
    /// Is told the steps.
    pub log: &'a Log,
    /// Is told their times.
    pub trace: Option<&'a Trace>,
    /// Stops before each.
    pub step: Option<&'a Stepping>,
    /// For `restore`.
    pub restoration: Option<Restoration>,
}

impl<'a> Runtime<'a> {
    /// For `create` and `run`.
    pub fn create(
        plan: &'a Plan,
        container: &'a mut Container,
        setting: Setting<'a>,
    ) -> Result<Self> {
        Self::new(plan, Some(container), None, setting)
    }

    /// For `exec`.
    pub fn exec(plan: &'a Plan, target: &'a Target, setting: Setting<'a>) -> Result<Self> {
        Self::new(plan, None, Some(target), setting)
    }

    fn new(
        plan: &'a Plan,
        container: Option<&'a mut Container>,
        target: Option<&'a Target>,
        setting: Setting<'a>,
    ) -> Result<Self> {
        let (near, far) = socket::socketpair().act(|| "cannot make the control socket")?;
        let pace = setting
            .step
            .map(|stepping| Pace::new(stepping, plan, setting.signals))
            .transpose()?;
        Ok(Self {
            plan,
            container,
            target,
            inodes: namespaces::run::Inodes::default(),
            record: setting.record,
            config: setting.config,
            data: setting.data,
            state_directory: setting.state_directory,
            cgroup_mount: setting.cgroup_mount,
            signals: setting.signals,
            slots: vec![EMPTY; plan.slots],
            report: Report::new(setting.trace.map_or(0, |_| plan.init.len()))
                .act(|| "cannot map the report page")?,
            disguise: disguise(plan)?,
            near: descriptor::owned(near),
            far: Some(descriptor::owned(far)),
            init: None,
            console: None,
            terminal: None,
            notify: None,
            interfaces: None,
            placeholder: None,
            pid_file: None,
            in_user_namespace: setting.in_user_namespace,
            restoration: setting.restoration,
            under_way: None,
            log: setting.log,
            trace: setting.trace,
            pace,
            times: Vec::new(),
            told: Cell::new(0),
        })
    }

    /// Walks the list. On a failure init is dead when this returns; what else was made is the
    /// caller's to undo, from the record.
    pub fn run(mut self) -> Result<Created> {
        let mut steps = self.plan.runtime.iter().enumerate();
        let walked = steps.try_for_each(|(index, step)| {
            self.stop_before(index)?;
            self.timed_step(step)
                .map_err(|failure| named(failure, step))
        });
        if let Some(trace) = self.trace {
            trace.walked(self.plan, &self.times, &self.report);
        }
        match (walked, self.init.take()) {
            (Ok(()), Some(process)) => Ok(Created {
                process,
                terminal: self.terminal.take(),
                notify: self.notify.take(),
                cgroup: self.take(Slot::CGROUP),
            }),
            (Ok(()), None) => Err(Failure::new(Code::System, "the plan starts no process")),
            (Err(failure), None) => Err(failure),
            (Err(failure), Some(process)) => {
                // Before init ends: its network namespace would end with it, and what is in there.
                let kept = self.interfaces.as_mut().map(Interfaces::take_back);
                let failure = self.give_up(failure, &process);
                let failure = match kept {
                    Some(Err(left)) => failure.hint(left.to_string()),
                    _ => failure,
                };
                if let Some(path) = self.pid_file {
                    super::pid_file::remove(path);
                }
                Err(failure)
            }
        }
    }

    /// Init must not outlive a failed plan; if it failed or ended itself, that is the cause.
    fn give_up(&self, failure: Failure, process: &Process) -> Failure {
        let pidfd = process.pidfd.as_raw_fd();
        let mut watches = [Watch::readable(pidfd)];
        // Not being able to look costs the better words, no more.
        let looked = poll::wait(&mut watches, Deadline::after(Duration::ZERO));
        let had_ended = looked.is_ok() && watches[0].is_ready();
        // It may have ended by itself, and then its status tells how.
        match process::pidfd_send_signal(pidfd, libc::SIGKILL) {
            Ok(()) | Err(Errno(libc::ESRCH)) => {}
            Err(errno) => return Failure::system("cannot kill init", errno),
        }
        match process::wait_pidfd(pidfd) {
            // A program that has run to its end is not why a later step failed.
            Ok(_) if self.is_executed() => failure,
            Ok(status) if had_ended => self
                .init_failure()
                .unwrap_or_else(|| message::died(self.plan, self.report.step(), status)),
            Ok(_) | Err(Errno(libc::ECHILD)) => failure,
            Err(errno) => Failure::system("cannot wait for init", errno),
        }
    }

    fn timed_step(&mut self, step: &'a Step<RuntimeOp>) -> Result<()> {
        if self.trace.is_none() {
            return self.step(step);
        }
        let begin = trace::now();
        let done = self.step(step);
        self.times.push((begin, trace::now()));
        done
    }

    fn is_executed(&self) -> bool {
        self.report.step() + 1 >= self.plan.init.len() && self.report.failure().is_none()
    }

    fn step(&mut self, step: &'a Step<RuntimeOp>) -> Result<()> {
        self.log
            .debug(|| sentence("runtime", &step.op, &step.field));
        let act = || format!("cannot {}", step.op);
        match &step.op {
            RuntimeOp::KeepConfiguration => self.container()?.freeze(self.config),
            RuntimeOp::Record(Stage::Creating) => {
                let record = self.record.clone();
                self.container_to_change()?.write(record)
            }
            RuntimeOp::PrepareRecord => {
                let record = self.record_of_created()?;
                self.container_to_change()?.prepare(record)
            }
            RuntimeOp::Record(Stage::Created) => {
                self.container_to_change()?.commit()?;
                self.record = self.container()?.record().clone();
                Ok(())
            }
            RuntimeOp::MakeStartSocket => {
                self.fill(Slot::START, gate::make()?);
                Ok(())
            }
            RuntimeOp::ListenForStart => {
                let socket = self.take(Slot::START);
                let missing = || Failure::new(Code::System, "the plan makes no socket for start");
                self.container_to_change()?
                    .listen(socket.ok_or_else(missing)?.as_fd())
            }
            RuntimeOp::ConnectConsole { path } => {
                let socket = terminal::connect_console_socket(
                    "--console-socket",
                    Path::new(text(path).as_ref()),
                )?;
                self.fill(Slot::CONSOLE, socket);
                Ok(())
            }
            RuntimeOp::PairConsole => {
                let (near, far) = terminal::own_console_socket()?;
                self.console = Some(near);
                self.fill(Slot::CONSOLE, far);
                Ok(())
            }
            RuntimeOp::CreateVolume { name } => {
                volumes::hold(self.data, name, self.state_directory)
            }
            RuntimeOp::CreateDirectory { path } => {
                std::fs::create_dir_all(text(path).as_ref()).act(act)
            }
            RuntimeOp::OpenHookState => {
                let file = descriptor::memfd(c"state").act(act)?;
                self.fill(Slot::HOOK_STATE, descriptor::owned(file));
                Ok(())
            }
            RuntimeOp::Open(gate) => match self.open(*gate) {
                // Nobody reads: init has ended, and that is what there is to tell.
                Err(Errno(libc::EPIPE)) => Err(self.end_of_init()),
                opened => opened.act(act),
            },
            RuntimeOp::Await(gate) => self.wait(*gate),
            RuntimeOp::DropExecutable => {
                if let Some(disguise) = &mut self.disguise {
                    disguise.drop_tree();
                }
                Ok(())
            }
            RuntimeOp::AwaitExecution => self.wait_for_execution(),
            op => self.cgroup_step(op),
        }
    }

    fn init_step(&mut self, op: &'a RuntimeOp) -> Result<()> {
        let act = || format!("cannot {op}");
        let pid = self.pid()?;
        match op {
            RuntimeOp::WriteIdMaps { maps, writer } => namespaces::idmap::write(pid, maps, *writer),
            RuntimeOp::CompareIdMaps(maps) => namespaces::idmap::compare(pid, maps),
            RuntimeOp::SetOomScore(score) => {
                let path = CString::new(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default();
                fs::write_small(&path, score.to_string().as_bytes()).act(act)
            }
            RuntimeOp::SetLimit { limit, .. } => process::prlimit(pid, *limit).act(act),
            RuntimeOp::OpenNetwork { network } => {
                let file = network::run::namespace_of(pid)?;
                self.fill(*network, file);
                Ok(())
            }
            RuntimeOp::MoveInterface {
                network,
                name,
                inside,
            } => {
                let interfaces = self.interfaces(*network)?;
                interfaces.pass(name, inside, &act())
            }
            RuntimeOp::RunHook {
                hook,
                kind,
                namespaces,
            } => self.run_hook(hook, *kind, *namespaces),
            RuntimeOp::WriteHookState => {
                let state = self.state_inside(Status::Created)?;
                let fd = self.raw(Slot::HOOK_STATE);
                descriptor::write_all(fd, &state)
                    .and_then(|()| descriptor::seal(fd))
                    .act(act)
            }
            RuntimeOp::PassListener(listener) => self.pass_listener(listener),
            RuntimeOp::ReceiveTerminal => {
                let socket = self
                    .console
                    .take()
                    .ok_or_else(|| Failure::new(Code::System, act()))?;
                self.answer_until(socket.as_raw_fd())?;
                let master = terminal::receive_terminal(&socket)?;
                terminal::give_plain_newlines(master.as_raw_fd())?;
                self.terminal = Some(master);
                Ok(())
            }
            RuntimeOp::LookAtNamespaces { namespaces } => {
                self.inodes = namespaces::run::inodes(self.target()?.pid, *namespaces)?;
                Ok(())
            }
            RuntimeOp::VerifyNamespaces { namespaces } => {
                namespaces::run::compare(pid, &self.inodes, *namespaces)
            }
            RuntimeOp::WritePidFile { path } => {
                let path = Path::new(OsStr::from_bytes(path.as_bytes()));
                super::pid_file::write(path, pid)?;
                self.pid_file = Some(path);
                Ok(())
            }
            RuntimeOp::ListenForReadiness => {
                let directory =
                    std::fs::File::open(self.state_directory.join("notify")).act(act)?;
                self.notify = Some(Notify::listen(directory.as_fd())?);
                Ok(())
            }
            RuntimeOp::PassReadiness => self.pass_readiness(pid),
            RuntimeOp::SendPidfd { path } => {
                let socket = terminal::connect_console_socket(
                    "--pidfd-socket",
                    Path::new(text(path).as_ref()),
                )?;
                let init = self
                    .init
                    .as_ref()
                    .map_or(EMPTY, |init| init.pidfd.as_raw_fd());
                terminal::send_descriptor("--pidfd-socket", &socket, b"pidfd", init)
            }
            RuntimeOp::RestoreProcesses => {
                self.go_on_restoring()?;
                self.restore_until("post-restore")?;
                self.require_cgroup_namespace(pid)
            }
            RuntimeOp::CompareMounts => self.compare_mounts(pid),
            RuntimeOp::ResumeProcesses => self.finish_restore(),
            // The other three know all others.
            op => Err(Failure::new(
                Code::System,
                format!("cannot {op}: it is not known"),
            )),
        }
    }

    /// Init itself logs nothing: its steps are told when it has come to a gate, or has ended. `end` is the
    /// first that it has not begun.
    fn tell_of_init(&self, end: usize) {
        let steps = self.plan.init.get(self.told.get()..end).unwrap_or_default();
        for step in steps {
            self.log.debug(|| sentence("init", &step.op, &step.field));
        }
        self.told.set(end.max(self.told.get()));
    }

    fn container(&self) -> Result<&Container> {
        self.container
            .as_deref()
            .ok_or_else(|| Failure::new(Code::System, "the plan is no container's"))
    }

    fn pid(&self) -> Result<i32> {
        self.init
            .as_ref()
            .map(|init| init.pid)
            .ok_or_else(|| Failure::new(Code::System, "init was not started"))
    }

    fn raw(&self, slot: Slot) -> RawFd {
        self.slots[slot.index()]
    }

    fn slot(&self, slot: Slot) -> BorrowedFd<'_> {
        descriptor::borrow(&self.slots[slot.index()])
    }

    fn fill(&mut self, slot: Slot, fd: OwnedFd) {
        self.slots[slot.index()] = descriptor::give_up(fd);
    }

    fn container_to_change(&mut self) -> Result<&mut Container> {
        let container = self.container.as_deref_mut();
        container.ok_or_else(|| Failure::new(Code::System, "there is no container to record"))
    }

    fn record_of_created(&self) -> Result<Record> {
        let pid = self.pid()?;
        let mut record = self.record.clone();
        record.stage = crate::state::Stage::Created;
        record.pid = pid;
        record.start_time = identity::start_time(pid)?.unwrap_or(0);
        // Siblings share the cgroups above; they stay, as the caller's own would.
        record
            .undo
            .retain(|undo| !matches!(undo, Undo::RemoveCgroup { .. }));
        Ok(record)
    }

    fn take(&mut self, slot: Slot) -> Option<OwnedFd> {
        let fd = std::mem::replace(&mut self.slots[slot.index()], EMPTY);
        (fd != EMPTY).then(|| descriptor::owned(fd))
    }

    fn close(&mut self, slot: Slot) {
        let fd = std::mem::replace(&mut self.slots[slot.index()], EMPTY);
        if fd != EMPTY {
            fs::close(fd);
        }
    }
}

impl Drop for Runtime<'_> {
    fn drop(&mut self) {
        for fd in self.slots.drain(..).filter(|fd| *fd != EMPTY) {
            fs::close(fd);
        }
    }
}

/// A step in the log: who, what, and which field asked for it.
fn sentence(who: &str, op: &dyn Display, field: &Field) -> String {
    if field.is_none() {
        format!("{who}: {op}")
    } else {
        format!("{who}: {op} [{field}]")
    }
}

fn disguise(plan: &Plan) -> Result<Option<Disguise>> {
    let is_planned = plan
        .init
        .iter()
        .any(|step| step.op == InitOp::LetGoOfExecutable);
    let prepare = || Disguise::prepare().act(|| "cannot prepare to let go of the executable");
    is_planned.then(prepare).transpose()
}

/// The step's field, unless the failure knows better.
fn named(failure: Failure, step: &Step<RuntimeOp>) -> Failure {
    if failure.field.is_none() {
        failure.at(step.field.clone())
    } else {
        failure
    }
}
