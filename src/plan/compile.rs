//! The order of a container's birth.
//!
//! One function for `create` and `run` (`exec` has its own file). It calls the rooms' planners in the order in
//! which things have to happen; that order, and why, is what there is to read here. [`super::check`]
//! proves the parts of it that are laws.

use std::path::PathBuf;

use super::op::{Gate, InitOp, RuntimeOp, Stage};
use super::request::{Console, Keyring, Request, Start};
use super::{Plan, Planner, annotations, c_string, cgroup, filter, handover, memory};
use crate::cgroups;
use crate::config::{Linux, NamespaceType, Process, Spec};
use crate::error::{Failure, Field, Result};
use crate::hooks::plan::{Kind, prepare_all};
use crate::host::Host;
use crate::namespaces::plan::{self as namespaces, Namespaces};
use crate::network;
use crate::process::limits;
use crate::process::notify;
use crate::process::plan::{self as process, Circumstances};
use crate::resctrl::plan as resctrl;
use crate::rootfs::plan::{self as rootfs, Place, Room};

/// The plan of `create` and `run`.
pub fn container(spec: &Spec, request: &Request, host: &Host) -> Result<Plan> {
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| Failure::config(Field::new("linux"), "is required"))?;
    let mut planner = Planner::default();
    let mut namespaces = Namespaces::of(linux);
    namespaces.divide_work(spec, linux, host);
    namespaces::require_mount_namespace(&namespaces)?;
    let cgroup = cgroups::plan::plan(
        linux.cgroups_path.as_deref(),
        &request.id,
        &spec.annotations,
        &linux.resources,
        &host.cgroup,
    )?;
    // Of a container without a process there is no program to filter.
    let filter = filter::of(spec, linux, request.start)?.filter(|_| spec.process.is_some());
    let groups = linux.intel_rdt.as_ref().map(|rdt| {
        let groups = resctrl::Groups::of(rdt, &request.id, host.resctrl.as_deref())?;
        Ok::<_, Failure>((groups, rdt))
    });
    let groups = groups.transpose()?;
    let circumstances = spec.process.as_ref().map(|process| {
        circumstances(
            process,
            spec,
            linux,
            request,
            host,
            &namespaces,
            filter.is_some(),
        )
    });

    record(&mut planner, spec, request);
    if let Some(process) = &spec.process {
        console(&mut planner, process, &request.console)?;
    }
    let subcgroup = cgroup::make(&mut planner, spec, cgroup.as_ref(), host)?;
    if let Some((groups, rdt)) = &groups {
        groups.make(&mut planner, rdt);
    }
    namespaces::open(&mut planner, linux, &mut namespaces, host)?;
    let cgroup_path = cgroup
        .as_ref()
        .map(|cgroup| format!("/{}", cgroup.path.as_str()));
    let root = rootfs::root_path(spec, &request.bundle);
    let room = Room {
        spec,
        linux,
        request,
        root: &root,
        namespaces: &namespaces,
        host,
        cgroup: cgroup_path.as_deref(),
        place: Place::Host,
    };

    begin_init(&mut planner, request, host, circumstances.as_ref())?;
    let birthplace = cgroup::birthplace(&mut planner, cgroup.as_ref(), host);
    namespaces::enter(&mut planner, spec, linux, &namespaces, host)?;
    cgroup::enter_subcgroup(&mut planner, subcgroup.as_ref());
    if request.keyring == Keyring::New {
        keyring(&mut planner, &request.id, true)?;
    }
    let late = build_root(&mut planner, &room)?;
    namespaces::clone(&mut planner, &namespaces, birthplace, host);
    cgroup::limit(&mut planner, &room, cgroup, subcgroup);
    on_the_host(&mut planner, &room);
    if let Some((groups, _)) = &groups {
        groups.enter(&mut planner);
    }
    network::plan::plan(&mut planner, linux, &namespaces)?;
    limits_before_scheduler(&mut planner, spec, linux);

    hooks_before_pivot(&mut planner, spec, request, &namespaces)?;
    change_root(&mut planner, &room, &late)?;
    memory::plan(&mut planner, linux)?;
    if let Some(circumstances) = &circumstances {
        limits::from_inside(&mut planner, circumstances)?;
        process::scheduling(&mut planner, circumstances.process)?;
        process::become_user(&mut planner, circumstances)?;
    }
    handover::finish(&mut planner, spec, request, circumstances.as_ref(), filter)?;
    namespaces::take_over(&mut planner, &namespaces);
    Ok(planner.finish())
}

/// What init does before it touches anything of the container.
fn begin_init(
    planner: &mut Planner,
    request: &Request,
    host: &Host,
    circumstances: Option<&Circumstances<'_>>,
) -> Result<()> {
    planner.init(InitOp::DieWithRuntime, Field::default());
    planner.init(InitOp::UnblockSignals, Field::default());
    planner.init(InitOp::ResetAffinity, Field::default());
    planner.init(InitOp::LeadSession, Field::default());
    // Without privileges on the host the copy of the mount cannot be made; but then the binary is
    // somebody else's, whom the container's root is not.
    if host.privileged {
        planner.init(InitOp::LetGoOfExecutable, Field::default());
    }
    let Some(circumstances) = circumstances else {
        return Ok(());
    };
    process::label(planner, circumstances)?;
    if request.keyring == Keyring::New {
        process::keyring_label(planner, circumstances)?;
    }
    Ok(())
}

/// All mounts; the sources of the host are opened before the root covers them.
fn build_root(planner: &mut Planner, room: &Room<'_>) -> Result<rootfs::Late> {
    let late = rootfs::build(planner, room)?;
    if room.request.notify.is_some() {
        let directory = room.request.notify_directory();
        rootfs::bind_state(planner, room, directory, notify::DIRECTORY, "NOTIFY_SOCKET")?;
    }
    rootfs::take_sources_first(planner);
    Ok(late)
}

/// From the assembled root to the one that the program sees; the terminal is of its /dev.
fn change_root(planner: &mut Planner, room: &Room<'_>, late: &rootfs::Late) -> Result<()> {
    rootfs::enter(planner, room);
    if let Some(process) = &room.spec.process
        && terminal(planner, process, &room.request.console)
    {
        planner.init(InitOp::AttachConsole, Field::new("process.terminal"));
    }
    rootfs::close(planner, room, late)
}

fn circumstances<'a>(
    process: &'a Process,
    spec: &Spec,
    linux: &Linux,
    request: &'a Request,
    host: &Host,
    namespaces: &Namespaces,
    has_filter: bool,
) -> Circumstances<'a> {
    let in_user_namespace = namespaces.is_other(NamespaceType::User);
    Circumstances {
        process,
        // A user namespace gives all capabilities over itself.
        grantable: if in_user_namespace {
            u64::MAX
        } else {
            host.grantable
        },
        in_user_namespace,
        may_set_groups: namespaces::may_set_groups(linux, host),
        keeps_groups: annotations::is_on(&spec.annotations, annotations::KEEP_GROUPS),
        has_filter,
        variables: &request.variables,
        kept_descriptors: request.kept_descriptors,
        apparmor: host.apparmor,
        selinux: host.selinux,
        limits: host.limits,
    }
}

/// The record comes before the first side effect: whoever finds a container half made finds what to undo.
/// Before the configuration too: one without a record is what a container has that lost its record.
fn record(planner: &mut Planner, spec: &Spec, request: &Request) {
    planner.prepare(RuntimeOp::Record(Stage::Creating), Field::default());
    if handover::keeps_configuration_first(spec) {
        planner.prepare(RuntimeOp::KeepConfiguration, Field::default());
    }
    if request.start == Start::Later {
        planner.prepare(RuntimeOp::MakeStartSocket, Field::default());
    }
    if !spec.hooks.start_container.is_empty() {
        planner.prepare(RuntimeOp::OpenHookState, Field::new("hooks.startContainer"));
    }
}

/// Runtime: who will take the terminal is asked before anything is made.
pub(super) fn console(planner: &mut Planner, process: &Process, console: &Console) -> Result<()> {
    match console {
        Console::Socket(path) if process.terminal => {
            let field = || Field::new("--console-socket");
            let path = c_string(path.as_os_str().as_encoded_bytes(), field)?;
            planner.prepare(RuntimeOp::ConnectConsole { path }, field());
        }
        Console::Runtime if process.terminal => {
            planner.prepare(RuntimeOp::PairConsole, Field::new("process.terminal"));
        }
        _ => {}
    }
    Ok(())
}

/// Init: as root, who may take up the one that is there (runc's name).
pub(super) fn keyring(planner: &mut Planner, id: &str, opens: bool) -> Result<()> {
    let name = c_string(format!("_ses.{id}"), Field::default)?;
    planner.init(InitOp::JoinSessionKeyring { name, opens }, Field::default());
    Ok(())
}

/// What only the host may do to init, once it exists; meanwhile init mounts.
fn on_the_host(planner: &mut Planner, room: &Room<'_>) {
    if let Some(score) = room
        .spec
        .process
        .as_ref()
        .and_then(|process| process.oom_score_adj)
    {
        planner.runtime(
            RuntimeOp::SetOomScore(score),
            Field::new("process.oomScoreAdj"),
        );
    }
}

/// Whether the kernel grants a deadline depends on the CPUs that the cgroup leaves at that moment: so the limits come
/// first. Interfaces that are moved have the same gate.
fn limits_before_scheduler(planner: &mut Planner, spec: &Spec, linux: &Linux) {
    let process = spec.process.as_ref();
    let asked = process.is_some_and(|process| process.scheduler.is_some());
    if asked && linux.net_devices.is_empty() {
        planner.meet(Gate::HostReady);
    }
}

/// prestart, createRuntime and createContainer come after the mounts and before pivot_root (config.md,
/// POSIX-platform Hooks): hence the two gates, which a container without hooks does without.
fn hooks_before_pivot(
    planner: &mut Planner,
    spec: &Spec,
    request: &Request,
    namespaces: &Namespaces,
) -> Result<()> {
    let bundle = c_string(
        request.bundle.as_os_str().as_encoded_bytes(),
        Field::default,
    )?;
    let mut prepared = Vec::new();
    // An overlay lies over / in init's mount namespace.
    let root = match &request.overlay {
        Some(_) => PathBuf::from("/"),
        None => rootfs::root_path(spec, &request.bundle),
    };
    let root = c_string(root.into_os_string().into_encoded_bytes(), || {
        Field::new("root.path")
    })?;
    for kind in [Kind::Prestart, Kind::CreateRuntime, Kind::CreateContainer] {
        // Hooks that change the container's files name them from its root on.
        let cwd = match kind {
            Kind::CreateContainer => &root,
            _ => &bundle,
        };
        let hooks = prepare_all(spec, kind, cwd)?;
        prepared.extend(hooks.into_iter().map(|hook| (hook, kind)));
    }
    if prepared.is_empty() {
        return Ok(());
    }
    planner.meet(Gate::MountsReady);
    for (hook, kind) in prepared {
        let field = hook.field.clone();
        let namespaces = if kind == Kind::CreateContainer {
            namespaces.new | namespaces.joined
        } else {
            0
        };
        planner.runtime(
            RuntimeOp::RunHook {
                hook: Box::new(hook),
                kind,
                namespaces,
            },
            field,
        );
    }
    planner.meet(Gate::HooksDone);
    Ok(())
}

/// Init: a terminal of the container's own devpts, so it comes after the mounts. Says whether there is one.
pub(super) fn terminal(planner: &mut Planner, process: &Process, console: &Console) -> bool {
    if !process.terminal || *console == Console::None {
        return false;
    }
    let size = process.console_size.clone().unwrap_or_default();
    let op = InitOp::OpenTerminal {
        rows: size.height,
        columns: size.width,
        uid: process.user.uid,
    };
    planner.init(op, Field::new("process.terminal"));
    true
}
