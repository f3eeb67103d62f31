//! The end of a birth: from the last thing that can fail to the program itself.

use std::path::Path;

use super::filter::{self, lets_wait, pass_listener};
use super::op::{Gate, IdMaps, InitOp, RuntimeOp, Stage};
use super::request::{Console, Request, Start};
use super::{Planner, c_string};
use crate::config::{Hooks, NamespaceType, Spec};
use crate::error::{Field, Result};
use crate::hooks::plan::{Environment, Kind, PreparedHook, STDERR, STDOUT, prepare_all};
use crate::namespaces::plan::{self as namespaces, Namespaces};
use crate::process::limits;
use crate::process::plan::{self as process, Circumstances};
use crate::process::terminal::Stay;
use crate::seccomp;
use crate::sys::exec::CStringArray;
use crate::sys::seccomp::Filter;

pub(super) fn finish(
    planner: &mut Planner,
    spec: &Spec,
    request: &Request,
    circumstances: Option<&Circumstances<'_>>,
    filter: Option<seccomp::Filter>,
) -> Result<()> {
    let unknown = filter.as_ref().map(|filter| filter.unknown.join(", "));
    if let Some(unknown) = unknown.filter(|unknown| !unknown.is_empty()) {
        planner.warn(format!(
            "linux.seccomp: unknown system calls are skipped: {unknown}"
        ));
    }
    let lets_wait = |filter| lets_wait(filter, request.start);
    let lets_wait = circumstances.is_some() && filter.as_ref().is_some_and(lets_wait);
    let mut load = filter.map(filter::load);
    if request.start == Start::Later {
        planner.init(InitOp::ListenForRequests, Field::default());
    }
    // A listener has to be passed on while the runtime is there: its filter is loaded before the wait for
    // start. Any other one is loaded last, so that it need not allow what init still has to do.
    if let Some((op, Some(listener))) = load.take_if(|(_, listener)| listener.is_some()) {
        pass_listener(planner, op, listener);
    }
    // Before the gate: the runtime may be gone as soon as it has opened the next one. Until then init
    // reads the end of its stream if the runtime dies.
    planner.init(InitOp::OutliveRuntime, Field::default());
    // If the filter lets init wait behind it: for start, then before the gate, for behind it nobody would hear of a
    // failure; or for what the runtime says when it has written the record, then meanwhile.
    let is_next = spec.hooks.start_container.is_empty();
    let mut early = load.take_if(|_| is_next && lets_wait).map(|(op, _)| op);
    if let Some(op) = early.take_if(|_| request.start == Start::Later) {
        planner.init(op, Field::new("linux.seccomp"));
    }
    if request.start == Start::Later {
        planner.runtime(RuntimeOp::ListenForStart, Field::default());
        drop_executable(planner);
    }
    planner.runtime(RuntimeOp::PrepareRecord, Field::default());
    if !keeps_configuration_first(spec) {
        planner.runtime(RuntimeOp::KeepConfiguration, Field::default());
    }
    planner.meet(Gate::Prepared);
    if let Some(op) = early {
        planner.init(op, Field::new("linux.seccomp"));
    }
    hand_over(planner, spec, request, circumstances)?;
    planner.runtime(RuntimeOp::Record(Stage::Created), Field::default());
    let tells = request.notify.is_some() && request.start == Start::Now;
    if tells {
        planner.runtime(RuntimeOp::ListenForReadiness, Field::new("NOTIFY_SOCKET"));
    }
    planner.meet(Gate::Recorded);
    if request.start == Start::Later {
        planner.init(InitOp::AwaitStart, Field::default());
    }
    match circumstances {
        Some(circumstances) => {
            let filter = load.as_ref().map(|(op, _)| op);
            start_hooks(planner, spec, circumstances, filter)?;
            if let Some((op, _)) = load {
                planner.init(op, Field::new("linux.seccomp"));
            }
            process::execute(planner, circumstances)?;
        }
        None => planner.init(InitOp::RefuseStart, Field::new("process")),
    }
    if request.start == Start::Now {
        started(planner, spec, request)?;
    }
    // In the foreground that goes on while the runtime stays with the container.
    if tells && request.stay == Stay::Detach {
        planner.runtime(RuntimeOp::PassReadiness, Field::new("NOTIFY_SOCKET"));
    }
    Ok(())
}

/// Whether the configuration is kept before anything is made. A half-made container is undone by its record alone; its hooks
/// stand in the configuration. Where there are none it is written while init is at work.
pub(super) fn keeps_configuration_first(spec: &Spec) -> bool {
    spec.hooks != Hooks::default()
}

fn start_hooks(
    planner: &mut Planner,
    spec: &Spec,
    circumstances: &Circumstances<'_>,
    load: Option<&InitOp>,
) -> Result<()> {
    let hooks = prepare_all(spec, Kind::StartContainer, c"/")?;
    let asks_for_files = [STDOUT, STDERR]
        .iter()
        .find(|key| spec.annotations.get(key).is_some());
    if let Some(key) = asks_for_files.filter(|_| !hooks.is_empty()) {
        planner.warn(format!(
            "annotations[{key}]: hooks.startContainer run in the container and write no file of the host"
        ));
    }
    for hook in hooks {
        let field = hook.field.clone();
        let hook = in_the_container(hook, circumstances, load)?;
        planner.init(InitOp::RunHook(Box::new(hook)), field);
    }
    Ok(())
}

/// A startContainer hook: its file may be the image's, so the filter holds for it as for the program, and
/// without an environment of its own it has the program's.
fn in_the_container(
    hook: PreparedHook,
    circumstances: &Circumstances<'_>,
    load: Option<&InitOp>,
) -> Result<PreparedHook> {
    let filter = match load {
        Some(InitOp::LoadFilter {
            instructions,
            flags,
        }) => Some(Filter {
            instructions: instructions.clone(),
            flags: *flags,
        }),
        _ => None,
    };
    if !hook.env.strings().is_empty() {
        return Ok(PreparedHook { filter, ..hook });
    }
    Ok(PreparedHook {
        filter,
        env: CStringArray::new(process::environment(circumstances)?),
        environment: Environment::Program,
        ..hook
    })
}

/// What the caller of `create` gets, while init waits for the record.
fn hand_over(
    planner: &mut Planner,
    spec: &Spec,
    request: &Request,
    circumstances: Option<&Circumstances<'_>>,
) -> Result<()> {
    if let Some(maps) = joined_maps(spec) {
        planner.runtime(
            RuntimeOp::CompareIdMaps(maps),
            Field::new("linux.uidMappings"),
        );
    }
    if let Some(circumstances) = circumstances {
        limits::from_outside(planner, circumstances)?;
    }
    if request.console == Console::Runtime
        && spec
            .process
            .as_ref()
            .is_some_and(|process| process.terminal)
    {
        planner.runtime(RuntimeOp::ReceiveTerminal, Field::new("process.terminal"));
    }
    if !spec.hooks.start_container.is_empty() {
        planner.runtime(
            RuntimeOp::WriteHookState,
            Field::new("hooks.startContainer"),
        );
    }
    give_pid(
        planner,
        request.pid_file.as_deref(),
        request.pidfd_socket.as_deref(),
    )
}

/// Maps that came along with the path of a user namespace, as containerd and CRI-O send them.
fn joined_maps(spec: &Spec) -> Option<IdMaps> {
    let linux = spec.linux.as_ref()?;
    let is_joined = !Namespaces::of(linux).is_new(NamespaceType::User);
    let has_maps = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    (is_joined && has_maps).then(|| namespaces::id_maps(&linux.uid_mappings, &linux.gid_mappings))
}

pub(super) fn give_pid(
    planner: &mut Planner,
    pid_file: Option<&Path>,
    pidfd_socket: Option<&Path>,
) -> Result<()> {
    let path = |path: &Path, flag: &'static str| {
        c_string(path.as_os_str().as_encoded_bytes(), || Field::new(flag))
    };
    if let Some(file) = pid_file {
        planner.runtime(
            RuntimeOp::WritePidFile {
                path: path(file, "--pid-file")?,
            },
            Field::new("--pid-file"),
        );
    }
    if let Some(socket) = pidfd_socket {
        planner.runtime(
            RuntimeOp::SendPidfd {
                path: path(socket, "--pidfd-socket")?,
            },
            Field::new("--pidfd-socket"),
        );
    }
    Ok(())
}

/// The kernel takes the mount apart in a grace period, for which init waits too when it lets go of the old root: so it
/// is done as late as it can be without anybody waiting for it.
pub(super) fn drop_executable(planner: &mut Planner) {
    let mut init = planner.init_steps().iter();
    if init.any(|step| step.op == InitOp::LetGoOfExecutable) {
        planner.runtime(RuntimeOp::DropExecutable, Field::default());
    }
}

/// `run`: what `start` does after `create`.
fn started(planner: &mut Planner, spec: &Spec, request: &Request) -> Result<()> {
    drop_executable(planner);
    planner.runtime(RuntimeOp::AwaitExecution, Field::new("process.args"));
    let bundle = c_string(
        request.bundle.as_os_str().as_encoded_bytes(),
        Field::default,
    )?;
    for hook in prepare_all(spec, Kind::Poststart, &bundle)? {
        let field = hook.field.clone();
        planner.runtime(
            RuntimeOp::RunHook {
                hook: Box::new(hook),
                kind: Kind::Poststart,
                namespaces: 0,
            },
            field,
        );
    }
    Ok(())
}
