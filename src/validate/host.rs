//! What this machine cannot do: what the operations of a plan need of it, looked up and not done.
//!
//! The plan is the list of what will be asked of the machine, so it is the list of what to look for. A look
//! is not a promise: between it and `create` a file may go.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Act, Code, Failure, Field, Kind};
use crate::plan::op::{InitOp, MapWriter, RuntimeOp};
use crate::plan::{Plan, Step};

/// What every container needs.
pub fn whole() -> Vec<Failure> {
    crate::host::require_kernel().err().into_iter().collect()
}

/// What this one needs.
pub fn needs(plan: &Plan) -> Vec<Failure> {
    let runtime = plan
        .runtime
        .iter()
        .filter_map(|step| of_runtime(step).err());
    let init = plan.init.iter().filter_map(|step| of_init(step).err());
    runtime.chain(init).collect()
}

fn of_runtime(step: &Step<RuntimeOp>) -> Result<(), Failure> {
    let act = || format!("cannot {}", step.op);
    let fault = match &step.op {
        RuntimeOp::CloneTree { source, .. } => exists(path(source.as_bytes()), act),
        RuntimeOp::OpenNamespace { path: name, .. } => exists(path(name.as_bytes()), act),
        RuntimeOp::FindResctrlGroup { path } => exists(path, act),
        RuntimeOp::PassListener(listener) => exists(Path::new(&listener.path), act),
        RuntimeOp::RunHook { hook, .. } => may_execute(path(hook.path.as_bytes()), act),
        RuntimeOp::MoveInterface { name, .. } => exists(
            &Path::new("/sys/class/net").join(path(name.as_bytes())),
            act,
        ),
        RuntimeOp::WriteIdMaps {
            writer: MapWriter::Programs,
            ..
        } => id_map_programs(act),
        RuntimeOp::StartInit { namespaces, .. } if namespaces & libc::CLONE_NEWUSER != 0 => {
            user_namespaces(act)
        }
        _ => Ok(()),
    };
    fault.map_err(|failure| failure.at(step.field.clone()))
}

fn of_init(step: &Step<InitOp>) -> Result<(), Failure> {
    match &step.op {
        // Before the pivot, so it is a path of the host.
        InitOp::CloneTree { source, .. } => {
            exists(path(source.as_bytes()), || format!("cannot {}", step.op))
                .map_err(|failure| failure.at(step.field.clone()))
        }
        _ => Ok(()),
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn exists(path: &Path, act: impl FnOnce() -> String) -> Result<(), Failure> {
    std::fs::symlink_metadata(path).map(drop).act(act)
}

fn may_execute(path: &Path, act: impl FnOnce() -> String) -> Result<(), Failure> {
    let failed = |failure: Failure| Failure {
        code: Code::Hook,
        ..failure
    };
    let act = act();
    let data = std::fs::metadata(path)
        .act(|| act.clone())
        .map_err(failed)?;
    if data.is_file() && data.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(Failure::new(Code::Hook, act).because("it is no executable file"))
}

/// newuidmap(1) and newgidmap(1) in PATH.
fn id_map_programs(act: impl Fn() -> String) -> Result<(), Failure> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    for program in ["newuidmap", "newgidmap"] {
        let mut places = std::env::split_paths(&search).map(|directory| directory.join(program));
        if !places.any(|place: PathBuf| place.is_file()) {
            let failure =
                Failure::new(Code::System, act()).because(format!("there is no {program}"));
            return Err(failure.hint("the package uidmap has it").of(Kind::IdMaps));
        }
    }
    Ok(())
}

/// Settings by which a host forbids user namespaces, to all or to plain users.
fn user_namespaces(act: impl Fn() -> String) -> Result<(), Failure> {
    let is_root = nix::unistd::geteuid().is_root();
    let settings = [
        ("/proc/sys/user/max_user_namespaces", "0", false),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", true),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            true,
        ),
    ];
    for (file, forbids, for_plain_users) in settings {
        let is_set = std::fs::read_to_string(file).is_ok_and(|text| text.trim() == forbids);
        if is_set && !(for_plain_users && is_root) {
            let name = file.trim_start_matches("/proc/sys/").replace('/', ".");
            let failure = Failure::new(Code::Permission, act());
            return Err(failure
                .because(format!(
                    "{name} is {forbids}, which forbids user namespaces"
                ))
                .at(Field::default())
                .of(Kind::Namespace));
        }
    }
    Ok(())
}
