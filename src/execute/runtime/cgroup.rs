//! Steps that make and limit the container's cgroup.

use std::os::fd::AsFd;

use super::Runtime;
use crate::cgroups::systemd::plan::{Kind as UnitKind, Unit};
use crate::cgroups::{self, CgroupPath, Enable, systemd};
use crate::error::{Act, Code, Failure, Result};
use crate::execute::clone::Placeholder;
use crate::plan::op::{RuntimeOp, Slot};

impl<'a> Runtime<'a> {
    pub(super) fn cgroup_step(&mut self, op: &'a RuntimeOp) -> Result<()> {
        match op {
            RuntimeOp::CreateCgroup { path, enable } => {
                let created = cgroups::run::create(self.cgroup_mount.as_fd(), path, enable);
                let created = created.map_err(|failure| self.disown_cgroup(failure))?;
                if let Some(cgroup) = &mut self.record.cgroup {
                    cgroup.id = Some(created.id);
                }
                self.fill(Slot::CGROUP, created.dir);
                Ok(())
            }
            RuntimeOp::StartUnit { path, unit, enable } => {
                let started = self.start_unit(path, unit, enable);
                started.map_err(|failure| self.disown_cgroup(failure))
            }
            RuntimeOp::MakeSubgroup { path, enable } => self.make_subgroup(path, enable),
            RuntimeOp::SetProperties { unit, properties } => systemd::run::set(unit, properties),
            RuntimeOp::WriteCgroup(write) => cgroups::run::write(self.slot(Slot::CGROUP), write),
            RuntimeOp::AttachDeviceProgram(program) => {
                cgroups::run::attach_devices(self.slot(Slot::CGROUP), program)
            }
            RuntimeOp::DelegateCgroup { uid } => {
                cgroups::run::delegate(self.slot(Slot::CGROUP), *uid)
            }
            RuntimeOp::MakeSubcgroup { name, members } => {
                let file = cgroups::run::make_below(self.slot(Slot::CGROUP), name)?;
                self.fill(*members, file);
                Ok(())
            }
            RuntimeOp::DelegateSubcgroup { name, uid } => {
                let below = cgroups::run::open_below(self.slot(Slot::CGROUP), name)?;
                cgroups::run::delegate(below.as_fd(), *uid)
            }
            op => self.resctrl_step(op),
        }
    }

    /// The cgroup that systemd makes for a unit.
    fn start_unit(&mut self, path: &CgroupPath, unit: &Unit, enable: &[Enable]) -> Result<()> {
        let mount = self.cgroup_mount.as_fd();
        if let Some(dir) = cgroups::run::open(mount, path)? {
            cgroups::run::check_reusable(dir.as_fd(), path)?;
        }
        if unit.kind == UnitKind::Scope {
            let placeholder = Placeholder::start();
            self.placeholder = Some(placeholder.act(|| "cannot start a process for the scope")?);
        }
        let member = self.placeholder.as_ref().map(Placeholder::pid);
        systemd::run::start(unit, member)?;
        let dir = cgroups::run::open(self.cgroup_mount.as_fd(), path)?.ok_or_else(|| {
            let act = format!("cannot find the cgroup {} of {}", path.as_str(), unit.name);
            Failure::new(Code::System, act).at(cgroups::plan::PATH_FIELD)
        })?;
        cgroups::run::hand_down_to(self.cgroup_mount.as_fd(), path, enable)?;
        if let Some(cgroup) = &mut self.record.cgroup {
            cgroup.id = Some(cgroups::run::id(dir.as_fd())?);
        }
        self.fill(Slot::CGROUP, dir);
        Ok(())
    }

    fn make_subgroup(&mut self, path: &CgroupPath, enable: &[Enable]) -> Result<()> {
        let member = self.placeholder.as_ref().map(Placeholder::pid);
        let dir = cgroups::run::make_subgroup(self.slot(Slot::CGROUP), path, member, enable)?;
        if let Some(cgroup) = &mut self.record.cgroup {
            cgroup.id = Some(cgroups::run::id(dir.as_fd())?);
        }
        self.close(Slot::CGROUP);
        self.fill(Slot::CGROUP, dir);
        Ok(())
    }

    /// What is at the cgroup's path now is not ours to remove: somebody's frozen cgroup, say.
    fn disown_cgroup(&mut self, failure: Failure) -> Failure {
        self.record.cgroup = None;
        let Some(container) = &mut self.container else {
            return failure;
        };
        match container.write(self.record.clone()) {
            Ok(()) => failure,
            Err(other) => failure.hint(other.to_string()),
        }
    }
}
