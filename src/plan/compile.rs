//! The order of a container's birth.
//!
//! One function for `create` and `run` (`exec` has its own file). It calls the rooms' planners in the order in
//! which things have to happen; that order, and why, is what there is to read here. [`super::check`]
//! proves the parts of it that are laws.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::request::{Console, Keyring, Request, Start};

use super::op::{Birthplace, Gate, InitOp, RuntimeOp, Slot, Stage};
use super::{Plan, Planner, Step, annotations, c_string, memory};
use crate::cgroups;
use crate::cgroups::systemd::plan as systemd;
use crate::config::{Linux, NamespaceType, Process, Spec};
use crate::error::{Failure, Field, Result};
use crate::hooks::plan::{Environment, Kind, PreparedHook, STDERR, STDOUT, prepare_all};
use crate::host::Host;
use crate::namespaces::plan::{self as namespaces, Namespaces};
use crate::network;
use crate::process::limits;
use crate::process::plan::{self as process, Circumstances};
use crate::process::{notify, terminal::Stay};
use crate::resctrl::plan as resctrl;
use crate::rootfs::plan::{self as rootfs, Place, Room};
use crate::seccomp;
use crate::sys::exec::CStringArray;
use crate::sys::seccomp::Filter;

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
    let filter = filter(spec, linux, request.start)?.filter(|_| spec.process.is_some());
    let cgroup_path = cgroup
        .as_ref()
        .map(|cgroup| format!("/{}", cgroup.path.as_str()));
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
    if let Some(cgroup) = &cgroup {
        planner.prepare(make_cgroup(cgroup), Field::new("linux.cgroupsPath"));
        subgroup(&mut planner, cgroup);
    }
    let key = annotations::SUBGROUP;
    let subgroup = annotations::cgroup_name(&spec.annotations, key)?;
    if host.cgroup.service.is_none() && subgroup.is_some() {
        planner.warn(format!(
            "annotations[{key}]: systemd does not make the cgroup"
        ));
    }
    let subcgroup = subcgroup(&mut planner, spec, cgroup.as_ref())?;
    if let Some((groups, rdt)) = &groups {
        groups.make(&mut planner, rdt);
    }
    namespaces::open(&mut planner, linux, &mut namespaces, host)?;
    let room = Room {
        spec,
        linux,
        request,
        namespaces: &namespaces,
        host,
        cgroup: cgroup_path.as_deref(),
        place: Place::Host,
    };

    begin_init(&mut planner, host, circumstances.as_ref())?;
    let unit = cgroup.as_ref().and_then(|cgroup| cgroup.unit.as_ref());
    let service = host.cgroup.service.as_ref();
    let is_outside = service.is_some_and(|service| service.caller == systemd::Caller::Outside);
    let moved = unit.filter(|_| is_outside).map(|unit| unit.name.clone());
    if let Some(unit) = &moved {
        let below = cgroup.as_ref().map(cgroups::CgroupPlan::below_unit);
        move_init(&mut planner, unit.clone(), below.unwrap_or_default());
    }
    namespaces::enter(&mut planner, spec, linux, &namespaces, host)?;
    // After its cgroup namespace is made, whose root is the container's cgroup.
    if let Some((name, members)) = &subcgroup {
        let (name, members) = (name.clone(), *members);
        planner.init(InitOp::EnterSubcgroup { name, members }, subcgroup_field());
    }
    if request.keyring == Keyring::New {
        keyring(&mut planner, request)?;
    }
    let late = rootfs::build(&mut planner, &room)?;
    if request.notify.is_some() {
        rootfs::bind_state(
            &mut planner,
            &room,
            request.notify_directory(),
            notify::DIRECTORY,
            "NOTIFY_SOCKET",
        )?;
    }
    rootfs::take_sources_first(&mut planner);
    namespaces::clone(
        &mut planner,
        &namespaces,
        match moved {
            Some(_) => Birthplace::Elsewhere,
            None => Birthplace::of(cgroup.as_ref()),
        },
        host,
    );
    limit(&mut planner, &room, cgroup);
    if let (Some((name, _)), Some(uid)) = (subcgroup, delegated_to(&room)) {
        planner.runtime(
            RuntimeOp::DelegateSubcgroup { name, uid },
            subcgroup_field(),
        );
    }
    on_the_host(&mut planner, &room);
    if let Some((groups, _)) = &groups {
        groups.enter(&mut planner);
    }
    network::plan::plan(&mut planner, linux, &namespaces)?;

    hooks_before_pivot(&mut planner, spec, request, &namespaces)?;
    change_root(&mut planner, &room, &late)?;
    memory::plan(&mut planner, linux)?;
    if let Some(circumstances) = &circumstances {
        limits::from_inside(&mut planner, circumstances)?;
        process::scheduling(&mut planner, circumstances.process)?;
        process::become_user(&mut planner, circumstances)?;
    }
    finish(&mut planner, spec, request, circumstances.as_ref(), filter)?;
    namespaces::take_over(&mut planner, &namespaces);
    Ok(planner.finish())
}

/// What init does before it touches anything of the container.
fn begin_init(
    planner: &mut Planner,
    host: &Host,
    circumstances: Option<&Circumstances<'_>>,
) -> Result<()> {
    planner.init(InitOp::DieWithRuntime, Field::default());
    planner.init(InitOp::ResetSignals, Field::default());
    planner.init(InitOp::ResetAffinity, Field::default());
    planner.init(InitOp::LeadSession, Field::default());
    // Without privileges on the host the copy of the mount cannot be made; but then the binary is
    // somebody else's, whom the container's root is not.
    if host.privileged {
        planner.init(InitOp::LetGoOfExecutable, Field::default());
    }
    circumstances.map_or(Ok(()), |circumstances| {
        process::label(planner, circumstances)
    })
}

/// Both: before the cgroup namespace is made, whose root is where init is then.
pub(super) fn move_init(planner: &mut Planner, unit: String, below: String) {
    let op = RuntimeOp::MoveToUnit { unit, below };
    planner.runtime(op, Field::new("linux.cgroupsPath"));
    planner.meet(Gate::Moved);
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

/// systemd hands down what its properties need; the rest it leaves to others.
fn asked_for(enable: &[cgroups::Enable]) -> Vec<cgroups::Enable> {
    let asked = enable.iter().filter(|enable| enable.asked_by.is_some());
    asked.cloned().collect()
}

fn make_cgroup(cgroup: &cgroups::CgroupPlan) -> RuntimeOp {
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

/// The container's cgroup, where that is not the unit's own.
fn subgroup(planner: &mut Planner, cgroup: &cgroups::CgroupPlan) {
    if cgroup.subgroup.is_some() {
        let op = RuntimeOp::MakeSubgroup {
            path: cgroup.path.clone(),
            enable: cgroup.enable.clone(),
        };
        planner.prepare(op, Field::key("annotations", annotations::SUBGROUP));
    }
}

/// The cgroup below the container's that an annotation asks for, and the slot of its list of members.
fn subcgroup(
    planner: &mut Planner,
    spec: &Spec,
    cgroup: Option<&cgroups::CgroupPlan>,
) -> Result<Option<(CString, Slot)>> {
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

/// The plan of `restore`, from that of `run`: criu takes init's place. The program has begun already, so
/// the hooks around its beginning are not run again, but for those that prepare the host.
pub fn restored(plan: Plan) -> Result<Plan> {
    use RuntimeOp as Op;
    let mut runtime = Vec::with_capacity(plan.runtime.len());
    let criu = |op| Step {
        op,
        field: Field::default(),
    };
    let joins_network = plan.runtime.iter().any(|step| {
        let kind = NamespaceType::Network;
        matches!(&step.op, Op::OpenNamespace { kind: of, .. } if *of == kind)
    });
    let (mut begun, mut made) = (false, false);
    for step in plan.runtime {
        match &step.op {
            Op::StartInit { .. } => {
                runtime.push(criu(Op::StartRestore));
                begun = true;
            }
            // In a namespace that was joined they still are.
            Op::MoveInterface { .. } if joins_network => {}
            Op::MoveInterface { .. } => {
                let text = "the interfaces of a checkpoint cannot be brought again";
                return Err(Failure::config(step.field, text));
            }
            Op::MakeResctrlGroup { .. }
            | Op::FindResctrlGroup { .. }
            | Op::ShareResctrlGroup { .. } => {
                let text = "restored processes can be put into a cgroup alone";
                return Err(
                    Failure::config(step.field, text).because(format!("cannot {}", step.op))
                );
            }
            Op::Record(Stage::Created) => {
                runtime.push(criu(Op::RestoreProcesses));
                runtime.push(criu(Op::CompareMounts));
                made = true;
                // Not before there is a process to write down.
                runtime.push(criu(Op::PrepareRecord));
                runtime.push(step);
            }
            Op::RunHook {
                kind: Kind::Prestart | Kind::CreateRuntime,
                ..
            }
            | Op::Record(_)
            | Op::KeepConfiguration
            | Op::ConnectConsole { .. }
            | Op::CreateCgroup { .. }
            | Op::StartUnit { .. }
            | Op::MakeSubgroup { .. }
            | Op::SetProperties { .. }
            | Op::WriteCgroup(_)
            | Op::AttachDeviceProgram(_)
            | Op::DelegateCgroup { .. }
            | Op::WritePidFile { .. } => runtime.push(step),
            _ => {}
        }
    }
    debug_assert!(begun && made, "every run clones and records");
    runtime.push(criu(Op::ResumeProcesses));
    Ok(Plan {
        runtime,
        init: Vec::new(),
        ..plan
    })
}

/// What init still calls behind a filter that has a listener, and for what; the last three only to wait.
const BEHIND_A_LISTENER: [(i64, &str); 6] = [
    (
        libc::SYS_prctl,
        "prctl, with which init outlives the runtime",
    ),
    (
        libc::SYS_write,
        "write, with which init tells that it is ready",
    ),
    (libc::SYS_read, "read, with which init is told to go on"),
    (libc::SYS_ppoll, "ppoll, with which init waits for start"),
    (libc::SYS_accept4, "accept4, with which init hears of start"),
    (
        libc::SYS_rt_sigprocmask,
        "rt_sigprocmask, with which init takes signals again",
    ),
];

pub(super) fn filter(spec: &Spec, linux: &Linux, start: Start) -> Result<Option<seccomp::Filter>> {
    if let Some(instructions) = annotations::filter(&spec.annotations)? {
        // Whoever compiled it knows what it stops.
        return Ok(Some(seccomp::Filter {
            instructions,
            flags: 0,
            listener: None,
            unknown: Vec::new(),
        }));
    }
    let Some(profile) = &linux.seccomp else {
        return Ok(None);
    };
    let native = seccomp::Arch::native();
    let filter = seccomp::compile(profile, native)?;
    if annotations::is_on(&spec.annotations, annotations::KNOWN_CALLS)
        && let Some(name) = filter.unknown.first()
    {
        let field = Field::new("linux.seccomp.syscalls");
        return Err(Failure::config(
            field,
            format!("unknown system call {name:?}"),
        ));
    }
    // What is certain to fail is told now, not to `start`. Without a listener execution is the first call
    // behind the filter.
    let own = match (&filter.listener, start) {
        (None, _) => 0,
        (Some(_), Start::Now) => 3,
        (Some(_), Start::Later) => BEHIND_A_LISTENER.len(),
    };
    let execve = (libc::SYS_execve, "execve, which begins the program");
    for (number, purpose) in BEHIND_A_LISTENER.into_iter().take(own).chain([execve]) {
        let number = u32::try_from(number).unwrap_or_default();
        let stops = seccomp::interpret::stops(&filter.instructions, number, native.audit());
        if let Some(how) = stops {
            let text = "the filter stops the program before start";
            let fault = Failure::config(Field::new("linux.seccomp"), text);
            return Err(fault.because(format!("it {how} {purpose}")));
        }
    }
    Ok(Some(filter))
}

/// Whether init behind the filter can still wait at a gate, and end if the runtime does.
pub(super) fn lets_wait(filter: &seccomp::Filter) -> bool {
    let native = seccomp::Arch::native().audit();
    [libc::SYS_read, libc::SYS_exit_group].iter().all(|number| {
        let number = u32::try_from(*number).unwrap_or_default();
        seccomp::interpret::passes(&filter.instructions, number, native)
    })
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
    planner.prepare(RuntimeOp::KeepConfiguration, Field::default());
    if request.start == Start::Later {
        planner.prepare(RuntimeOp::ListenForStart, Field::default());
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

fn keyring(planner: &mut Planner, request: &Request) -> Result<()> {
    let name = c_string(format!("_ses.{}", request.id), Field::default)?;
    planner.init(InitOp::JoinSessionKeyring { name }, Field::default());
    Ok(())
}

/// Runtime: what the container's cgroup holds it to, while init mounts.
fn limit(planner: &mut Planner, room: &Room<'_>, cgroup: Option<cgroups::plan::CgroupPlan>) {
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
        planner.runtime(RuntimeOp::WriteCgroup(write), field);
    }
    if let Some(program) = cgroup.devices {
        planner.runtime(
            RuntimeOp::AttachDeviceProgram(program),
            Field::new("linux.resources.devices"),
        );
    }
    if let Some(uid) = delegated_to(room) {
        planner.runtime(
            RuntimeOp::DelegateCgroup { uid },
            Field::new("linux.cgroupsPath"),
        );
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

/// config-linux.md, Cgroup ownership: the cgroup becomes the user's if it has a cgroup namespace of
/// its own and a writable cgroup mount.
fn delegated_to(room: &Room<'_>) -> Option<u32> {
    let is_writable = |mount: &crate::config::Mount| {
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
    let holds = |map: &&crate::config::IdMapping| {
        uid >= map.container_id && uid - map.container_id < map.size
    };
    room.linux
        .uid_mappings
        .iter()
        .find(holds)
        .map(|map| map.host_id + (uid - map.container_id))
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
                hook,
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

/// From the last thing that can fail to the program itself.
fn finish(
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
    let lets_wait = filter.as_ref().is_some_and(lets_wait);
    let mut load = filter.map(load_filter);
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
    planner.runtime(RuntimeOp::PrepareRecord, Field::default());
    planner.meet(Gate::Prepared);
    // While the runtime writes the record, if the filter lets init wait for what the runtime then says.
    let is_next = request.start == Start::Now && spec.hooks.start_container.is_empty();
    if let Some((op, _)) = load.take_if(|_| is_next && lets_wait) {
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

pub(super) fn load_filter(filter: seccomp::Filter) -> (InitOp, Option<seccomp::Listener>) {
    let op = InitOp::LoadFilter {
        instructions: filter.instructions,
        flags: filter.flags,
    };
    (op, filter.listener)
}

pub(super) fn pass_listener(planner: &mut Planner, load: InitOp, listener: seccomp::Listener) {
    let field = || Field::new("linux.seccomp.listenerPath");
    planner.init(InitOp::AnnounceListener, field());
    planner.meet(Gate::ListenerExpected);
    planner.init(load, Field::new("linux.seccomp"));
    planner.runtime(RuntimeOp::PassListener(listener), field());
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
fn joined_maps(spec: &Spec) -> Option<super::op::IdMaps> {
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

/// `run`: what `start` does after `create`.
fn started(planner: &mut Planner, spec: &Spec, request: &Request) -> Result<()> {
    planner.runtime(RuntimeOp::AwaitExecution, Field::new("process.args"));
    let bundle = c_string(
        request.bundle.as_os_str().as_encoded_bytes(),
        Field::default,
    )?;
    for hook in prepare_all(spec, Kind::Poststart, &bundle)? {
        let field = hook.field.clone();
        planner.runtime(
            RuntimeOp::RunHook {
                hook,
                kind: Kind::Poststart,
                namespaces: 0,
            },
            field,
        );
    }
    Ok(())
}
