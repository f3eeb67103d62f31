//! The container's cgroup in the plan: made before init is, filled by the clone, limited while init mounts.
//! What is written where is [`crate::cgroups`]'s.

use std::ffi::CString;

use super::op::{Birthplace, Gate, InitOp, RuntimeOp, Slot};
use super::{Planner, annotations};
use crate::cgroups::systemd::plan as systemd;
use crate::cgroups::{self, CgroupPlan};
use crate::config::{IdMapping, Mount, NamespaceType, Spec};
use crate::error::{Failure, Field, Result};
use crate::host::Host;
use crate::namespaces::plan::Namespaces;
use crate::rootfs::plan::Room;

/// The cgroup below the container's that an annotation asks for: its name, and the slot of its list of members.
pub(super) type Subcgroup = (CString, Slot);

/// Runtime: makes all of it.
pub(super) fn make(
    planner: &mut Planner,
    spec: &Spec,
    cgroup: Option<&CgroupPlan>,
    host: &Host,
) -> Result<Option<Subcgroup>> {
    if let Some(cgroup) = cgroup {
        planner.prepare(make_own(cgroup), Field::new("linux.cgroupsPath"));
        subgroup(planner, cgroup);
    }
    let key = annotations::SUBGROUP;
    let subgroup = annotations::cgroup_name(&spec.annotations, key)?;
    if host.cgroup.service.is_none() && subgroup.is_some() {
        planner.warn(format!(
            "annotations[{key}]: systemd does not make the cgroup"
        ));
    }
    subcgroup(planner, spec, cgroup)
}

fn make_own(cgroup: &CgroupPlan) -> RuntimeOp {
    let path = cgroup.path.clone();
    match &cgroup.unit {
        Some(unit) => RuntimeOp::StartUnit {
            path: cgroup.path_of_unit(),
            unit: Box::new(unit.clone()),
            enable: asked_for(&cgroup.enable),
        },
        None => RuntimeOp::CreateCgroup {
            path,
            enable: cgroup.enable.clone(),
        },
    }
}

/// systemd hands down what its properties need; the rest it leaves to others.
fn asked_for(enable: &[cgroups::Enable]) -> Vec<cgroups::Enable> {
    let asked = enable.iter().filter(|enable| enable.asked_by.is_some());
    asked.cloned().collect()
}

/// The container's cgroup, where that is not the unit's own.
fn subgroup(planner: &mut Planner, cgroup: &CgroupPlan) {
    if cgroup.subgroup.is_some() {
        let op = RuntimeOp::MakeSubgroup {
            path: cgroup.path.clone(),
            enable: cgroup.enable.clone(),
        };
        planner.prepare(op, Field::key("annotations", annotations::SUBGROUP));
    }
}

fn subcgroup(
    planner: &mut Planner,
    spec: &Spec,
    cgroup: Option<&CgroupPlan>,
) -> Result<Option<Subcgroup>> {
    let Some(name) = annotations::cgroup_name(&spec.annotations, annotations::SUBCGROUP)? else {
        return Ok(None);
    };
    if cgroup.is_none() {
        let text = "needs a cgroup of the container's own, and there is none";
        return Err(Failure::config(subcgroup_field(), text));
    }
    let members = planner.slot();
    let op = RuntimeOp::MakeSubcgroup {
        name: name.clone(),
        members,
    };
    planner.prepare(op, subcgroup_field());
    Ok(Some((name, members)))
}

fn subcgroup_field() -> Field {
    Field::key("annotations", annotations::SUBCGROUP)
}

/// Where init is born. Born outside of the unit it has systemd move it, first of all.
pub(super) fn birthplace(
    planner: &mut Planner,
    cgroup: Option<&CgroupPlan>,
    host: &Host,
) -> Birthplace {
    let unit = cgroup.and_then(|cgroup| cgroup.unit.as_ref());
    let service = host.cgroup.service.as_ref();
    let is_outside = service.is_some_and(|service| service.caller == systemd::Caller::Outside);
    let Some(unit) = unit.filter(|_| is_outside) else {
        return Birthplace::of(cgroup);
    };
    let below = cgroup.map(CgroupPlan::below_unit);
    move_init(planner, unit.name.clone(), below.unwrap_or_default());
    Birthplace::Elsewhere
}

/// Both: before the cgroup namespace is made, whose root is where init is then.
pub(super) fn move_init(planner: &mut Planner, unit: String, below: String) {
    let op = RuntimeOp::MoveToUnit { unit, below };
    planner.runtime(op, Field::new("linux.cgroupsPath"));
    planner.meet(Gate::Moved);
}

/// Init: after its cgroup namespace is made, whose root is the container's cgroup.
pub(super) fn enter_subcgroup(planner: &mut Planner, subcgroup: Option<&Subcgroup>) {
    if let Some((name, members)) = subcgroup {
        let (name, members) = (name.clone(), *members);
        planner.init(InitOp::EnterSubcgroup { name, members }, subcgroup_field());
    }
}

/// Runtime: what the container's cgroup holds it to, while init mounts.
pub(super) fn limit(
    planner: &mut Planner,
    room: &Room<'_>,
    cgroup: Option<CgroupPlan>,
    subcgroup: Option<Subcgroup>,
) {
    let Some(cgroup) = cgroup else {
        warn_of_devices(planner, room);
        warn_of_escape(planner, room.namespaces);
        return;
    };
    if cgroup.unit.is_some()
        && let Some(warning) = systemd::conflict(&room.linux.resources)
    {
        planner.warn(warning.to_owned());
    }
    if let Some(unit) = cgroup.unit.filter(|unit| !unit.late.is_empty()) {
        let op = RuntimeOp::SetProperties {
            unit: unit.name,
            properties: unit.late,
        };
        planner.runtime(op, Field::new("linux.resources.pids.limit"));
    }
    for write in cgroup.writes {
        let field = write.field.clone();
        planner.runtime(RuntimeOp::WriteCgroup(Box::new(write)), field);
    }
    if let Some(program) = cgroup.devices {
        planner.runtime(
            RuntimeOp::AttachDeviceProgram(program),
            Field::new("linux.resources.devices"),
        );
    }
    let Some(uid) = delegated_to(room) else {
        return;
    };
    let op = RuntimeOp::DelegateCgroup { uid };
    planner.runtime(op, Field::new("linux.cgroupsPath"));
    if let Some((name, _)) = subcgroup {
        let op = RuntimeOp::DelegateSubcgroup { name, uid };
        planner.runtime(op, subcgroup_field());
    }
}

/// Without a cgroup there is no place for the device program. In a user namespace the kernel itself keeps
/// devices from being made.
fn warn_of_devices(planner: &mut Planner, room: &Room<'_>) {
    if room.host.privileged && !room.linux.resources.devices.is_empty() {
        planner.warn("linux.resources.devices: not enforced without a cgroup".to_owned());
    }
}

/// What a program leaves running can then be found by nothing. The second sentence is what callers look for.
fn warn_of_escape(planner: &mut Planner, namespaces: &Namespaces) {
    if !namespaces.is_new(NamespaceType::Pid) {
        planner.warn(
            "linux.namespaces: neither a cgroup nor a pid namespace of its own holds the container's processes together. Such configuration is strongly discouraged: not all of them can be killed".to_owned(),
        );
    }
}

/// config-linux.md, Cgroup ownership: the cgroup becomes the user's if it has a cgroup namespace of
/// its own and a writable cgroup mount.
fn delegated_to(room: &Room<'_>) -> Option<u32> {
    let is_writable = |mount: &Mount| {
        matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2"))
            && !mount.options.iter().any(|option| option == "ro")
    };
    if !room.host.privileged
        || !room.namespaces.is_new(NamespaceType::Cgroup)
        || !room.spec.mounts.iter().any(is_writable)
    {
        return None;
    }
    let uid = room.spec.process.as_ref()?.user.uid;
    if !room.namespaces.is_new(NamespaceType::User) {
        return Some(uid).filter(|uid| *uid != 0);
    }
    let holds = |map: &&IdMapping| uid >= map.container_id && uid - map.container_id < map.size;
    room.linux
        .uid_mappings
        .iter()
        .find(holds)
        .map(|map| map.host_id + (uid - map.container_id))
}
