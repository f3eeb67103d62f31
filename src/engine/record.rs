//! The record of a container that is to be made: who it is, and what undoes each operation of its plan.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cgroups::CgroupPath;
use crate::config::{NamespaceType, Spec};
use crate::error::Result;
use crate::host::Host;
use crate::namespaces::plan::Namespaces;
use crate::plan::Plan;
use crate::plan::op::{RuntimeOp, namespace_name};
use crate::plan::request::{Keyring, Request};
use crate::state::{
    CgroupDriver, CgroupRecord, JoinedNamespace, PidNamespace, Record, Stage, Undo, record, time,
};
use crate::{cgroups, criu, rootfs, volumes};

/// Who it is and what it will be made of, before anything is.
pub fn of(
    plan: &Plan,
    spec: &Spec,
    host: &Host,
    request: &Request,
    cgroup: Option<&CgroupPath>,
) -> Result<Record> {
    let linux = spec.linux.as_ref();
    let namespaces = linux
        .map(|linux| linux.namespaces.as_slice())
        .unwrap_or_default();
    let joined = namespaces.iter().filter_map(|namespace| {
        let path = namespace.path.as_ref().filter(|path| !path.is_empty())?;
        Some(JoinedNamespace {
            kind: namespace_name(namespace.kind).to_owned(),
            path: path.into(),
        })
    });
    let has_pid = linux.is_some_and(|linux| Namespaces::of(linux).is_new(NamespaceType::Pid));
    Ok(Record {
        version: record::VERSION,
        oci_version: spec.oci_version.clone(),
        id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: rootfs::plan::root_path(spec, &request.bundle),
        created: time::now(),
        owner: host.euid,
        stage: Stage::Creating,
        // Found out where the record is written.
        boot_id: String::new(),
        pid: 0,
        start_time: 0,
        cgroup: cgroup.map(|path| cgroup_record(plan, path)),
        pid_namespace: if has_pid {
            PidNamespace::Private
        } else {
            PidNamespace::Shared
        },
        joined: joined.collect(),
        undo: undo(plan, request),
        has_poststart_hooks: !spec.hooks.poststart.is_empty(),
        has_poststop_hooks: !spec.hooks.poststop.is_empty(),
        no_new_privileges: spec
            .process
            .as_ref()
            .is_some_and(|process| process.no_new_privileges),
        kept_descriptors: request.kept_descriptors,
        restored: plan
            .runtime
            .iter()
            .any(|step| matches!(step.op, RuntimeOp::StartRestore)),
        keeps_keyring: request.keyring == Keyring::Inherit,
        updated: Vec::new(),
        annotations: spec.annotations.clone(),
    })
}

fn cgroup_record(plan: &Plan, path: &CgroupPath) -> CgroupRecord {
    let unit = plan.runtime.iter().find_map(|step| match &step.op {
        RuntimeOp::StartUnit { unit, .. } => Some(unit.name.clone()),
        _ => None,
    });
    CgroupRecord {
        path: PathBuf::from(path.to_string()),
        id: None,
        driver: match unit {
            Some(_) => CgroupDriver::Systemd,
            None => CgroupDriver::Cgroupfs,
        },
        unit,
    }
}

/// The undo of ancestors of the container's cgroup that are not there yet. They outlive a container that was
/// created, because siblings share them.
pub fn cgroups_above(plan: &Plan, mount: BorrowedFd<'_>) -> Result<Vec<Undo>> {
    let path = plan.runtime.iter().find_map(|step| match &step.op {
        RuntimeOp::CreateCgroup { path, .. } => Some(path),
        _ => None,
    });
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let missing = cgroups::run::missing_above(mount, path)?;
    let undo = missing.into_iter().map(|path| Undo::RemoveCgroup {
        path: PathBuf::from(format!("/{path}", path = path.as_str())),
    });
    Ok(undo.collect())
}

/// The inverse of every operation that leaves something outside of the cgroup and the state directory.
fn undo(plan: &Plan, request: &Request) -> Vec<Undo> {
    let ops = plan.runtime.iter().map(|step| &step.op);
    let data = request.data.as_deref();
    ops.filter_map(|op| undo_of(op, data, &request.state))
        .collect()
}

/// Every operation is named here, so that a new one cannot be made without the question what it leaves.
fn undo_of(op: &RuntimeOp, data: Option<&Path>, state: &Path) -> Option<Undo> {
    use RuntimeOp as Op;
    match op {
        Op::CreateVolume { name } => Some(Undo::RemoveFile {
            path: volumes::mark(data?, name, state),
        }),
        Op::CreateDirectory { path } => {
            let path = Path::new(OsStr::from_bytes(path.as_bytes()));
            // A kept upper layer is the user's; what is below the state directory is ours.
            path.starts_with(state).then(|| Undo::RemoveDirectory {
                path: path.to_owned(),
            })
        }
        // Only what `create` makes is removed (config-linux.md, IntelRdt); where something is, it makes nothing.
        Op::MakeResctrlGroup { path } => {
            (!path.exists()).then(|| Undo::RemoveResctrl { path: path.clone() })
        }
        Op::FindResctrlGroup { .. }
        | Op::ShareResctrlGroup { .. }
        | Op::WriteSchemata { .. }
        | Op::EnterResctrlGroup { .. } => None,
        Op::StartRestore => Some(Undo::RemoveDirectory {
            path: state.join(criu::STAGE),
        }),
        // Removed with the state directory, whose files `destroy` knows.
        Op::KeepConfiguration
        | Op::Record(_)
        | Op::PrepareRecord
        | Op::MakeStartSocket
        | Op::ListenForStart
        | Op::ListenForReadiness => None,
        // The cgroup has its own place in the record, and those above it come from `cgroups_above`.
        Op::CreateCgroup { .. }
        | Op::StartUnit { .. }
        | Op::SetProperties { .. }
        | Op::WriteCgroup(_)
        | Op::AttachDeviceProgram(_)
        | Op::DelegateCgroup { .. }
        | Op::MakeSubgroup { .. }
        | Op::MakeSubcgroup { .. }
        | Op::DelegateSubcgroup { .. } => None,
        // The caller's, who named it.
        Op::WritePidFile { .. } => None,
        // Moved back by a `create` that fails; else the kernel's (config-linux.md, Network devices).
        Op::MoveInterface { .. } => None,
        // Gone with this process, with init, or with the descriptor.
        Op::ConnectConsole { .. }
        | Op::PairConsole
        | Op::OpenNamespace { .. }
        | Op::EnterPidNamespace { .. }
        | Op::LeavePidNamespace
        | Op::MakeUserNamespace { .. }
        | Op::CloneTree { .. }
        | Op::RespectFlags { .. }
        | Op::MapIds { .. }
        | Op::TakeOverTree { .. }
        | Op::OpenContainer { .. }
        | Op::StartInit { .. }
        | Op::HandOverNetwork
        | Op::AdoptInit
        | Op::MoveToUnit { .. }
        | Op::WriteIdMaps { .. }
        | Op::OpenNetwork { .. }
        | Op::CompareIdMaps(_)
        | Op::SetOomScore(_)
        | Op::SetAffinity { .. }
        | Op::SetLimit { .. }
        | Op::Open(_)
        | Op::Await(_)
        | Op::RunHook { .. }
        | Op::OpenHookState
        | Op::WriteHookState
        | Op::PassListener(_)
        | Op::ReceiveTerminal
        | Op::OpenNamespaces { .. }
        | Op::LookAtNamespaces { .. }
        | Op::VerifyNamespaces { .. }
        | Op::SendPidfd { .. }
        | Op::PassReadiness
        | Op::RestoreProcesses
        | Op::CompareMounts
        | Op::ResumeProcesses
        | Op::DropExecutable
        | Op::AwaitExecution => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::destroy;

    #[test]
    fn only_groups_that_create_makes_are_removed() {
        let path = std::env::temp_dir().join(format!("resctrl-undo-{}", std::process::id()));
        let make = RuntimeOp::MakeResctrlGroup { path: path.clone() };
        let undo = Undo::RemoveResctrl { path: path.clone() };
        assert_eq!(undo_of(&make, None, Path::new("/")), Some(undo.clone()));
        std::fs::create_dir(&path).unwrap();
        assert_eq!(undo_of(&make, None, Path::new("/")), None);
        let share = RuntimeOp::ShareResctrlGroup {
            path: path.join("gold"),
            expected: Vec::new(),
        };
        assert_eq!(undo_of(&share, None, Path::new("/")), None);
        destroy::undo(std::slice::from_ref(&undo)).unwrap();
        assert!(!path.exists());
        destroy::undo(&[undo]).unwrap();
    }
}
