//! Steps that talk to others: resctrl, the network, hooks, the listener, the service manager, the container of an `exec`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::{PATIENCE, Runtime, Target};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::hooks::plan::Kind;
use crate::hooks::run::{Orphans, Place, Where, run_hook};
use crate::network::run::Interfaces;
use crate::plan::Slot;
use crate::plan::op::RuntimeOp;
use crate::state::Status;
use crate::sys::poll::{self, Deadline, Watch};
use crate::sys::{Errno, descriptor, process};
use crate::{cgroups, resctrl, seccomp};

impl<'a> Runtime<'a> {
    pub(super) fn resctrl_step(&mut self, op: &'a RuntimeOp) -> Result<()> {
        let act = &format!("cannot {op}");
        match op {
            RuntimeOp::MakeResctrlGroup { path } => resctrl::run::make(path, act),
            RuntimeOp::FindResctrlGroup { path } => resctrl::run::find(path, act),
            RuntimeOp::ShareResctrlGroup { path, expected } => {
                resctrl::run::share(path, expected, act)
            }
            RuntimeOp::WriteSchemata { path, lines } => resctrl::run::write(path, lines, act),
            RuntimeOp::EnterResctrlGroup { path } => resctrl::run::enter(path, self.pid()?, act),
            op => self.clone_step(op),
        }
    }

    /// The two network namespaces that interfaces move between.
    pub(super) fn interfaces(&mut self, network: Slot) -> Result<&mut Interfaces> {
        if self.interfaces.is_none() {
            let file = self.raw(network);
            self.interfaces = Some(Interfaces::between_own_and(file)?);
        }
        self.interfaces
            .as_mut()
            .ok_or_else(|| Failure::new(Code::System, "no interface can be moved"))
    }

    pub(super) fn pass_readiness(&mut self, pid: i32) -> Result<()> {
        let (Some(notify), Some(init)) = (self.notify.take(), &self.init) else {
            return Ok(());
        };
        let host = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        // A program that ended without a word is no failure of the runtime's.
        notify
            .forward(Path::new(&host), init.pidfd.as_fd(), pid)
            .map(|_| ())
    }

    /// What a hook in the container reads: the pid is that of its own namespace, as what it can see is.
    pub(super) fn state_inside(&self, status: Status) -> Result<Vec<u8>> {
        let act = || "cannot read the pid of init in its namespace";
        let ids = procfs::process::Process::new(self.pid()?).and_then(|init| init.status());
        let ids =
            ids.map_err(|error| Failure::new(Code::System, act()).because(error.to_string()))?;
        let pid = ids.nspid.unwrap_or_default().pop();
        let pid = pid.ok_or_else(|| Failure::new(Code::System, act()).because("it has none"))?;
        self.state_of(pid, status)
    }

    pub(super) fn state(&self, status: Status) -> Result<Vec<u8>> {
        self.state_of(self.pid()?, status)
    }

    fn state_of(&self, pid: i32, status: Status) -> Result<Vec<u8>> {
        let mut record = self.record.clone();
        record.pid = pid;
        serde_json::to_vec(&crate::state::report::OciState::of(&record, status)).map_err(|error| {
            Failure::new(Code::System, "cannot write the state").because(error.to_string())
        })
    }

    pub(super) fn run_hook(
        &self,
        hook: &crate::hooks::plan::PreparedHook,
        kind: Kind,
        namespaces: i32,
    ) -> Result<()> {
        let status = if kind == Kind::Poststart {
            Status::Running
        } else {
            Status::Creating
        };
        let init = self
            .init
            .as_ref()
            .ok_or_else(|| Failure::new(Code::System, "init was not started"))?;
        let at = match kind {
            Kind::CreateContainer => Where::Container {
                init: init.pidfd.as_fd(),
                namespaces,
            },
            _ => Where::Runtime,
        };
        let state = match kind {
            Kind::CreateContainer => self.state_inside(status)?,
            _ => self.state(status)?,
        };
        run_hook(
            hook,
            &Place {
                at,
                orphans: Orphans::Adopt { spare: init.pid },
                signals: Some(self.signals),
            },
            &state,
        )
    }

    /// The descriptor appears in init when the filter is loaded; its number was announced.
    pub(super) fn pass_listener(&self, listener: &seccomp::Listener) -> Result<()> {
        let init = self
            .init
            .as_ref()
            .ok_or_else(|| Failure::new(Code::System, "init was not started"))?;
        let number = self
            .report
            .listener()
            .ok_or_else(|| Failure::new(Code::System, "init announced no listener"))?;
        let deadline = Deadline::after(PATIENCE);
        let fd = loop {
            match process::pidfd_getfd(init.pidfd.as_raw_fd(), number) {
                Err(Errno(libc::EBADF)) if !deadline.has_passed() => {
                    // The load takes a fraction of a millisecond; if init dies instead, its pidfd tells.
                    let mut watches = [Watch::readable(init.pidfd.as_raw_fd()), self.questions()];
                    poll::wait(&mut watches, Deadline::after(Duration::from_micros(100)))
                        .act(|| "cannot wait for init")?;
                    if watches[1].is_ready() {
                        self.answer_init()?;
                    }
                    if watches[0].is_ready() {
                        return Err(self.end_of_init());
                    }
                }
                Err(Errno(libc::ESRCH)) => return Err(self.end_of_init()),
                fd => break descriptor::owned(fd.act(|| "cannot take the seccomp listener")?),
            }
        };
        let mut record = self.record.clone();
        let status = match self.target {
            Some(_) => Status::Running,
            None => {
                record.pid = init.pid;
                Status::Creating
            }
        };
        let state = crate::state::report::OciState::of(&record, status);
        let message = seccomp::run::process_state(listener, &record.oci_version, init.pid, &state)?;
        seccomp::run::send_listener(listener, fd.as_fd(), &message)
    }

    pub(super) fn target(&self) -> Result<&'a Target> {
        self.target
            .ok_or_else(|| Failure::new(Code::System, "the plan is no exec's"))
    }

    pub(super) fn open_container(&mut self, below: Option<&str>) -> Result<()> {
        let target = self.target()?;
        let pidfd =
            process::pidfd_open(target.pid).act(|| "cannot open the container's first process")?;
        self.fill(Slot::INIT, descriptor::owned(pidfd));
        let (Some(of_container), Some(below)) = (&target.cgroup, below) else {
            return Ok(());
        };
        let path = of_container.below(below)?;
        let cgroup = match (&target.directory, below) {
            (Some(found), "") => Some(found.try_clone().act(|| "cannot hold the cgroup")?),
            (None, "") => self.cgroup_of(target.pid)?,
            _ => cgroups::run::open(self.cgroup_mount.as_fd(), &path)?,
        };
        let cgroup = cgroup.ok_or_else(|| {
            Failure {
                code: Code::State,
                ..Failure::system(
                    format!("cannot open the cgroup {}", path.as_str()),
                    Errno(libc::ENOENT),
                )
            }
            .at(Field::new("--cgroup"))
        })?;
        self.fill(Slot::CGROUP, cgroup);
        Ok(())
    }

    /// Where the container's first process is now, if a process may join it there: one that hands
    /// controllers to cgroups of its own, as systemd does in a container, has moved into one of them, because
    /// the container's takes no processes any more. Not for who has named a cgroup.
    pub(super) fn cgroup_of_target(&self) -> Result<Option<OwnedFd>> {
        let is_own = self.plan.runtime.iter().any(|step| {
            matches!(&step.op, RuntimeOp::OpenContainer { cgroup: Some(below) } if below.is_empty())
        });
        match self.target {
            Some(target) if is_own => self.cgroup_of(target.pid),
            _ => Ok(None),
        }
    }

    /// Where a process is now: whoever moved the container out of its cgroup may have removed that.
    fn cgroup_of(&self, pid: i32) -> Result<Option<OwnedFd>> {
        let Some(path) = cgroups::layout::cgroup_of(pid) else {
            return Ok(None);
        };
        let path = cgroups::plan::resolve_path(Some(&path), "", Some("/"))?;
        cgroups::run::open(self.cgroup_mount.as_fd(), &path)
    }
}
