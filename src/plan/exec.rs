//! The order of an `exec`.

use std::path::PathBuf;

use super::cgroup::move_init;
use super::compile::{console, keyring, terminal};
use super::filter::{self, lets_wait, pass_listener};
use super::handover::{drop_executable, give_pid};
use super::memory;
use super::op::{Birthplace, Gate, InitOp, RuntimeOp, Slot};
use super::request::{Console, Keyring, Start};
use super::{Plan, Planner, annotations, c_string};
use crate::config::{Process, Spec};
use crate::error::{Failure, Field, Result};
use crate::host::Host;
use crate::namespaces::plan as namespaces;
use crate::process::limits;
use crate::process::plan::{self as process, Circumstances};
use crate::resctrl::plan as resctrl;
use crate::seccomp;

/// What `exec` asks for.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The container's id.
    pub id: String,
    /// Namespaces in which the container is not with the runtime: CLONE_NEW*.
    pub namespaces: i32,
    /// Who takes the terminal.
    pub console: Console,
    /// `--pid-file`, absolute.
    pub pid_file: Option<PathBuf>,
    /// `--pidfd-socket`, absolute.
    pub pidfd_socket: Option<PathBuf>,
    /// Descriptors from 3 on that the program inherits.
    pub kept_descriptors: u32,
    /// Added to the environment.
    pub variables: Vec<(String, String)>,
    /// `--cgroup`: below the container's cgroup; empty for that itself. None: the process stays in the
    /// runtime's.
    pub cgroup: Option<String>,
    /// The unit into which systemd has to move the process.
    pub unit: Option<String>,
    /// The container's cgroup as seen from the unit's: `` or `/name`.
    pub below_unit: String,
    /// Whose session keyring.
    pub keyring: Keyring,
}

/// CLONE_NEWPID where the runtime enters for its child, and where init does. setns(2) into a pid
/// namespace asks for CAP_SYS_ADMIN in one's own user namespace too: a plain user has it only after the
/// join of the container's, and root of a user namespace could not go back. Then init enters, and a child
/// is born in there.
fn pid_namespace_for(namespaces: i32, host: &Host) -> (i32, i32) {
    let pid = namespaces & libc::CLONE_NEWPID;
    if host.privileged { (pid, 0) } else { (0, pid) }
}

/// The filter of a process that joins.
pub fn filter(spec: &Spec) -> Result<Option<seccomp::Filter>> {
    let linux = spec.linux.as_deref();
    linux.map_or(Ok(None), |linux| filter::of(spec, linux, Start::Now))
}

/// The plan of `exec`: the same process, in namespaces that are there.
pub fn process(
    spec: &Spec,
    process: &Process,
    request: &ExecRequest,
    filter: Option<seccomp::Filter>,
    host: &Host,
) -> Result<Plan> {
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| Failure::config(Field::new("linux"), "is required"))?;
    let mut planner = Planner::default();
    let in_user_namespace = request.namespaces & libc::CLONE_NEWUSER != 0;
    let circumstances = Circumstances {
        process,
        grantable: if in_user_namespace {
            u64::MAX
        } else {
            host.grantable
        },
        in_user_namespace,
        may_set_groups: namespaces::may_set_groups(linux, host),
        keeps_groups: annotations::is_on(&spec.annotations, annotations::KEEP_GROUPS),
        has_filter: filter.is_some(),
        variables: &request.variables,
        kept_descriptors: request.kept_descriptors,
        apparmor: host.apparmor,
        selinux: host.selinux,
        limits: host.limits,
    };
    console(&mut planner, process, &request.console)?;
    let list = start_inside(&mut planner, process, request, host)?;
    enter_container(&mut planner, host, request, &circumstances, list)?;
    // Where the container has the caller's keyring, so has this process.
    if request.keyring == Keyring::New {
        keyring(&mut planner, &request.id, false)?;
    }
    terminal(&mut planner, process, &request.console);
    memory::plan(&mut planner, linux)?;
    limits::from_inside(&mut planner, &circumstances)?;
    process::scheduling(&mut planner, process)?;
    if let Some(score) = process.oom_score_adj {
        planner.runtime(
            RuntimeOp::SetOomScore(score),
            Field::new("process.oomScoreAdj"),
        );
    }
    if host.privileged {
        compare_namespaces(&mut planner, request.namespaces);
    }
    if let Some(rdt) = &linux.intel_rdt {
        resctrl::Groups::of(rdt, &request.id, host.resctrl.as_deref())?.enter(&mut planner);
    }
    process::affinity(&mut planner, process)?;
    process::become_user(&mut planner, &circumstances)?;
    hand_over(&mut planner, filter, &circumstances, request)?;
    Ok(planner.finish())
}

/// Runtime: the process is where the container is. Init says when it has joined, and goes on meanwhile.
fn compare_namespaces(planner: &mut Planner, namespaces: i32) {
    planner.runtime(RuntimeOp::LookAtNamespaces { namespaces }, Field::default());
    planner.runtime(RuntimeOp::Await(Gate::Joined), Field::default());
    planner.runtime(RuntimeOp::VerifyNamespaces { namespaces }, Field::default());
}

/// From the last thing that can fail to the program itself.
fn hand_over(
    planner: &mut Planner,
    filter: Option<seccomp::Filter>,
    circumstances: &Circumstances<'_>,
    request: &ExecRequest,
) -> Result<()> {
    let lets_wait = filter
        .as_ref()
        .is_some_and(|filter| lets_wait(filter, Start::Now));
    let mut load = filter.map(filter::load);
    // As at birth: a listener has to be passed on while the runtime is there.
    if let Some((op, Some(listener))) = load.take_if(|(_, listener)| listener.is_some()) {
        pass_listener(planner, op, listener);
    }
    // Before the gate: the runtime may be gone as soon as it has opened the next one. Until then init
    // reads the end of its stream if the runtime dies.
    planner.init(InitOp::OutliveRuntime, Field::default());
    let before = planner.runtime_steps().len();
    limits::from_outside(planner, circumstances)?;
    if circumstances.process.terminal && request.console == Console::Runtime {
        planner.runtime(RuntimeOp::ReceiveTerminal, Field::new("process.terminal"));
    }
    give_pid(
        planner,
        request.pid_file.as_deref(),
        request.pidfd_socket.as_deref(),
    )?;
    // With nothing to do before the program begins, the runtime need not hear that init is ready for it.
    if planner.runtime_steps().len() > before {
        planner.meet_at(before, Gate::Prepared);
    }
    // While the runtime does that, if the filter lets init wait for what the runtime then says.
    if let Some((op, _)) = load.take_if(|_| lets_wait) {
        planner.init(op, Field::new("linux.seccomp"));
    }
    planner.meet(Gate::Recorded);
    if let Some((op, _)) = load {
        planner.init(op, Field::new("linux.seccomp"));
    }
    process::execute(planner, circumstances)?;
    drop_executable(planner);
    planner.runtime(RuntimeOp::AwaitExecution, Field::new("process.args"));
    Ok(())
}

/// Runtime: a process in the container's cgroup and pid namespace, the others yet to join. The slot holds the
/// list of the container's namespaces, where init is to compare them.
fn start_inside(
    planner: &mut Planner,
    process: &Process,
    request: &ExecRequest,
    host: &Host,
) -> Result<Option<Slot>> {
    planner.prepare(
        RuntimeOp::OpenContainer {
            cgroup: request.cgroup.clone(),
        },
        Field::default(),
    );
    // A runtime without privileges may not look at init once that is hidden: init compares by itself.
    let list = (!host.privileged).then(|| planner.slot());
    if let Some(list) = list {
        planner.prepare(RuntimeOp::OpenNamespaces { list }, Field::default());
    }
    let initial = process
        .exec_cpu_affinity
        .as_ref()
        .and_then(|affinity| affinity.initial.as_deref());
    if let Some(list) = initial.filter(|list| !list.is_empty()) {
        let field = || Field::new("process.execCPUAffinity.initial");
        let mask = process::bits(list, "process.execCPUAffinity.initial")?;
        planner.prepare(
            RuntimeOp::SetAffinity {
                mask,
                list: c_string(list, field)?,
            },
            field(),
        );
    }
    let birthplace = match request.unit {
        Some(_) => Birthplace::Elsewhere,
        None => Birthplace::of(request.cgroup.as_ref()),
    };
    clone_into(planner, request.namespaces, birthplace, host);
    Ok(list)
}

/// Runtime: the clone, which is born into the container's pid namespace where that is possible.
pub(super) fn clone_into(
    planner: &mut Planner,
    namespaces: i32,
    birthplace: Birthplace,
    host: &Host,
) {
    let pid = pid_namespace_for(namespaces, host).0;
    if pid != 0 {
        planner.prepare(
            RuntimeOp::EnterPidNamespace {
                namespace: Slot::INIT,
            },
            Field::default(),
        );
    }
    planner.prepare(
        RuntimeOp::StartInit {
            namespaces: 0,
            birthplace,
        },
        Field::default(),
    );
    if pid != 0 {
        planner.prepare(RuntimeOp::LeavePidNamespace, Field::default());
    }
}

/// Up to the container's namespaces. The label is written first, into the host's /proc; from the join
/// on, the container's processes may look (CVE-2016-9962).
fn enter_container(
    planner: &mut Planner,
    host: &Host,
    request: &ExecRequest,
    circumstances: &Circumstances<'_>,
    container: Option<Slot>,
) -> Result<()> {
    planner.init(InitOp::DieWithRuntime, Field::default());
    planner.init(InitOp::UnblockSignals, Field::default());
    if !process::has_affinity(circumstances.process) {
        planner.init(InitOp::ResetAffinity, Field::default());
    }
    planner.init(InitOp::LeadSession, Field::default());
    // Without privileges on the host the copy of the mount cannot be made; but then the binary is
    // somebody else's, whom the container's root is not.
    if host.privileged {
        planner.init(InitOp::LetGoOfExecutable, Field::default());
    }
    // It tells of the process that opens it, with ids as that one's user namespace has them.
    if host.privileged && !circumstances.in_user_namespace {
        planner.init(InitOp::OpenStatus, Field::default());
    }
    process::label(planner, circumstances)?;
    if request.keyring == Keyring::New {
        process::keyring_label(planner, circumstances)?;
    }
    if let Some(unit) = &request.unit {
        let below = request.cgroup.as_deref().unwrap_or_default();
        let below = match below.trim_matches('/') {
            "" => request.below_unit.clone(),
            below => format!("{}/{below}", request.below_unit),
        };
        move_init(planner, unit.clone(), below);
    }
    join(planner, request.namespaces, container, host);
    if host.privileged {
        planner.init(InitOp::Open(Gate::Joined), Field::default());
    }
    Ok(())
}

/// Init: into the container, where its processes may look from now on.
pub(super) fn join(planner: &mut Planner, namespaces: i32, container: Option<Slot>, host: &Host) {
    let own = container.map(|_| planner.slot());
    if let Some(list) = own {
        planner.init(InitOp::OpenNamespaces { list }, Field::default());
    }
    planner.init(InitOp::HideFromTracers, Field::default());
    let (before, after) = pid_namespace_for(namespaces, host);
    planner.init(
        InitOp::JoinContainer {
            namespaces: namespaces & !before,
        },
        Field::default(),
    );
    if let (Some(own), Some(container)) = (own, container) {
        let op = InitOp::CompareNamespaces {
            own,
            container,
            namespaces,
        };
        planner.init(op, Field::default());
    }
    if after != 0 {
        namespaces::continue_in_child(planner, 0);
    }
}
