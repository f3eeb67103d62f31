//! From a request to a container: read, check, probe, plan, prove, execute; on a failure, undo.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{AtEnd, CreateRequest, RunRequest, rootless};
use crate::cgroups::CgroupPath;
use crate::cgroups::layout::Access;
use crate::cli::globals::{CgroupDriver as Driver, Rootless};
use crate::cli::log::Level;
use crate::config::{self, Loaded, Mount, NamespaceType, Spec};
use crate::criu;
use crate::error::{Act, Code, Failure, Field, Result};
use crate::execute::clone::Process;
use crate::execute::runtime::Setting;
use crate::execute::trace::Trace;
use crate::execute::{Created, Restoration, Runtime};
use crate::host::{Host, Own};
use crate::namespaces::plan::Namespaces;
use crate::plan::op::RuntimeOp;
use crate::plan::request::{Console, Keyring, Overlay, Pivot, Request, Start};
use crate::plan::{Plan, check};
use crate::plan::{annotations, compile};
use crate::process::terminal::{self, Stay};
use crate::process::{listen, notify};
use crate::state::{
    CgroupDriver, CgroupRecord, Container, JoinedNamespace, PidNamespace, Record, Stage, Undo,
    destroy, identity, time,
};
use crate::supervise::{Signals, Supervised, supervise};
use crate::sys::Errno;
use crate::{cgroups, rootfs, volumes};

/// Everything decided, nothing done.
#[derive(Debug)]
pub struct Decision {
    /// What will happen.
    pub plan: Plan,
    /// What was read.
    pub loaded: Loaded,
    /// What was found.
    pub(super) host: Host,
    request: Request,
    /// Of the container.
    pub(super) cgroup: Option<CgroupPath>,
}

/// A container that was made.
#[derive(Debug)]
pub struct Made {
    /// Its first process.
    pub created: Created,
    container: Container,
    cgroup: Option<CgroupPath>,
    cgroup_mount: PathBuf,
}

/// Reads the configuration and decides; looks at the host, changes nothing.
pub fn decide(create: &CreateRequest, start: Start, stay: Stay) -> Result<Decision> {
    let trace = create.trace.as_deref();
    let loaded = Trace::time(trace, "read config.json", || match &create.config {
        Some(path) => config::load_file(path),
        None => config::load(&create.bundle),
    });
    let mut loaded = loaded?;
    add_volumes(&mut loaded.spec, &create.volumes)?;
    let mut loaded = Trace::time(trace, "check config.json", || checked(create, loaded))?;
    let own = Own::probe()?;
    if rootless::complete(&mut loaded.spec, &own) || !create.volumes.is_empty() {
        // What is kept must tell `exec` of the namespace, and `audit` of the volumes.
        loaded.rewrite()?;
    }
    decide_loaded(create, loaded, &own, start, stay)
}

/// The same for a configuration that comes from somewhere else.
pub fn decide_loaded(
    create: &CreateRequest,
    loaded: Loaded,
    own: &Own,
    start: Start,
    stay: Stay,
) -> Result<Decision> {
    let spec = &loaded.spec;
    let trace = create.trace.as_deref();
    let host = Trace::time(trace, "look at the host", || {
        Host::probe(spec, spec.process.as_ref(), own)
    });
    let mut host = host?;
    host.cgroup.access = cgroup_access(create, spec, &host).map_err(|fault| loaded.place(fault))?;
    if create.cgroup_driver == Driver::Systemd {
        host.cgroup.service = Some(cgroups::systemd::run::service()?);
    }
    let request = request(create, spec, start, stay)?;
    let plan = Trace::time(trace, "make the plan", || {
        compile::container(spec, &request, &host)
    });
    let plan = plan.map_err(|fault| loaded.place(fault))?;
    Trace::time(trace, "check the plan", || check::check(&plan))?;
    // The last one: it may be below that of a unit.
    let cgroup = plan.runtime.iter().rev().find_map(|step| match &step.op {
        RuntimeOp::CreateCgroup { path, .. }
        | RuntimeOp::StartUnit { path, .. }
        | RuntimeOp::MakeSubgroup { path, .. } => Some(path.clone()),
        _ => None,
    });
    Ok(Decision {
        plan,
        cgroup,
        loaded,
        host,
        request,
    })
}

/// Whether there has to be a cgroup. Only a user who may have none of their own is asked for it: root has
/// the right to all.
fn cgroup_access(create: &CreateRequest, spec: &Spec, host: &Host) -> Result<Access> {
    let ignores_denial = match create.rootless {
        Rootless::Yes => true,
        Rootless::No => false,
        Rootless::Auto => !host.privileged,
    };
    match create.cgroup_driver {
        Driver::Disabled => Ok(Access::Unwanted),
        Driver::Systemd => Ok(Access::Required),
        Driver::Cgroupfs if !ignores_denial => Ok(Access::Required),
        Driver::Cgroupfs => {
            let linux = spec.linux.as_ref();
            let wanted = linux.and_then(|linux| linux.cgroups_path.as_deref());
            let own = host.cgroup.own.as_deref();
            let path = cgroups::plan::resolve_path(wanted, create.id.as_str(), own)?;
            host.cgroup.probe_access(&path)
        }
    }
}

/// Every rule that needs no more than the file and the root directory; all that is wrong is one failure.
pub fn checked(create: &CreateRequest, loaded: Loaded) -> Result<Loaded> {
    let spec = &loaded.spec;
    let has_path = spec.root.as_ref().is_some_and(|root| !root.path.is_empty());
    let root = has_path.then(|| require_root(create, spec));
    let root = root.and_then(Result::err).map(|fault| loaded.place(fault));
    match (loaded.checked(), root) {
        (Ok(loaded), None) => Ok(loaded),
        (Ok(_), Some(root)) => Err(root),
        (Err(faults), root) => Err(Failure::together(faults.into_iter().chain(root))
            .expect("a configuration that is refused has a fault")),
    }
}

/// The root is a directory and not the host's own. A link in its place is refused, as runc does: who can
/// change it would choose what the container's root is.
pub fn require_root(create: &CreateRequest, spec: &Spec) -> Result<()> {
    let path = rootfs::plan::root_path(spec, &create.bundle);
    let bundle = |failure: Failure| Failure {
        code: Code::Bundle,
        ..failure.at(Field::new("root.path"))
    };
    let act = || format!("cannot use {} as root filesystem", path.display());
    let look = |path: &Path| std::fs::symlink_metadata(path).act(act).map_err(bundle);
    let data = look(&path)?;
    let refuse = |why: &str| Err(bundle(Failure::new(Code::Bundle, act()).because(why)));
    if data.is_symlink() {
        return refuse("a symbolic link");
    }
    if !data.is_dir() {
        return refuse("not a directory");
    }
    let host = look(Path::new("/"))?;
    let is_host = (data.dev(), data.ino()) == (host.dev(), host.ino());
    if is_host && overlay(create, spec)?.is_none() {
        let text = "is the root filesystem of the host itself";
        return Err(
            Failure::config(Field::new("root.path"), text).hint("--overlay keeps writes off it")
        );
    }
    Ok(())
}

/// `--volume`: a name or a path, a destination, and perhaps `ro`.
pub fn add_volumes(spec: &mut Spec, volumes: &[String]) -> Result<()> {
    for volume in volumes {
        let wrong = |text: &str| {
            Failure::new(Code::Usage, format!("{volume:?} {text}")).at(Field::new("--volume"))
        };
        let mut parts = volume.splitn(3, ':');
        let (Some(source), Some(destination)) = (parts.next(), parts.next()) else {
            return Err(wrong("is not NAME_OR_PATH:DESTINATION[:OPTIONS]"));
        };
        if !destination.starts_with('/') {
            return Err(wrong("has a destination that is not absolute"));
        }
        let options = parts
            .next()
            .map(|words| words.split(',').map(str::to_owned).collect::<Vec<_>>());
        let mut options = options.unwrap_or_default();
        options.push("rbind".to_owned());
        let kind = if source.contains('/') {
            "bind"
        } else {
            "volume"
        };
        let source = if kind == "bind" {
            std::path::absolute(source)
                .act(|| format!("cannot use {source}"))?
                .to_string_lossy()
                .into_owned()
        } else {
            source.to_owned()
        };
        spec.mounts.push(Mount {
            destination: destination.to_owned(),
            kind: Some(kind.to_owned()),
            source: Some(source),
            options,
            ..Mount::default()
        });
    }
    Ok(())
}

/// Annotations by which an engine asks for an overlay root: `tmpfs` or an absolute directory, and
/// colon-separated layers, uppermost first.
pub const OVERLAY_ANNOTATION: &str = "org.corten.overlay";
/// See [`OVERLAY_ANNOTATION`].
pub const LAYERS_ANNOTATION: &str = "org.corten.layers";

fn overlay(create: &CreateRequest, spec: &Spec) -> Result<Option<Overlay>> {
    if create.overlay.is_some() || !create.layers.is_empty() {
        let upper = match &create.overlay {
            Some(super::Overlay::Directory(path)) => Some(path.clone()),
            Some(super::Overlay::Temporary) | None => None,
        };
        // The command line lists the lowest first, overlayfs the uppermost.
        let layers = create.layers.iter().rev().cloned().collect();
        return Ok(Some(Overlay {
            layers,
            upper,
            field: Field::new("--overlay"),
        }));
    }
    let annotation = |key| spec.annotations.get(key).filter(|value| !value.is_empty());
    let (kind, layers) = (
        annotation(OVERLAY_ANNOTATION),
        annotation(LAYERS_ANNOTATION),
    );
    if kind.is_none() && layers.is_none() {
        return Ok(None);
    }
    let absolute = |key: &'static str, path: &str| {
        let wrong = || {
            Failure::config(
                Field::key("annotations", key),
                format!("{path:?} is not absolute"),
            )
        };
        Some(PathBuf::from(path))
            .filter(|path| path.is_absolute())
            .ok_or_else(wrong)
    };
    let upper = match kind.map(String::as_str) {
        None | Some("tmpfs") => None,
        Some(path) => Some(absolute(OVERLAY_ANNOTATION, path)?),
    };
    let layers = layers
        .map(String::as_str)
        .unwrap_or_default()
        .split(':')
        .filter(|path| !path.is_empty());
    let layers = layers
        .map(|path| absolute(LAYERS_ANNOTATION, path))
        .collect::<Result<_>>()?;
    Ok(Some(Overlay {
        layers,
        upper,
        field: Field::key("annotations", OVERLAY_ANNOTATION),
    }))
}

pub fn request(create: &CreateRequest, spec: &Spec, start: Start, stay: Stay) -> Result<Request> {
    let has_terminal = spec
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    let console = match terminal::console(has_terminal, stay, create.console_socket.as_deref())? {
        terminal::Console::None => Console::None,
        terminal::Console::Socket(path) => Console::Socket(path.to_owned()),
        terminal::Console::Own => Console::Runtime,
    };
    let inherited = inherited(create.preserve_fds)?;
    let mut variables = inherited.variables;
    let notify = std::env::var_os("NOTIFY_SOCKET")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    if notify.is_some() {
        let socket = format!("{}/notify.sock", notify::DIRECTORY);
        variables.push(("NOTIFY_SOCKET".to_owned(), socket));
    }
    Ok(Request {
        id: create.id.as_str().to_owned(),
        bundle: create.bundle.clone(),
        state: create.root.path().join(create.id.as_str()),
        data: create.data.clone(),
        start,
        console,
        pid_file: create.pid_file.clone(),
        pidfd_socket: create.pidfd_socket.clone().or_else(|| {
            let path = spec.annotations.get(annotations::PIDFD);
            path.map(PathBuf::from)
                .filter(|path| !path.as_os_str().is_empty())
        }),
        pivot: match create.root_change {
            super::RootChange::Pivot => Pivot::Pivot,
            super::RootChange::Move => Pivot::Move,
        },
        keyring: match create.keyring {
            super::Keyring::New => Keyring::New,
            super::Keyring::Inherited => Keyring::Inherit,
        },
        overlay: overlay(create, spec)?,
        kept_descriptors: inherited.count,
        variables,
        notify,
        stay,
    })
}

/// LISTEN_FDS and `--preserve-fds`.
pub fn inherited(preserve_fds: u32) -> Result<listen::Inherited> {
    let variable = |name: &str| std::env::var(name).ok();
    let (fds, pid) = (variable("LISTEN_FDS"), variable("LISTEN_PID"));
    let offer = listen::Offer {
        listen_fds: fds.as_deref(),
        listen_pid: pid.as_deref(),
        preserve_fds,
    };
    listen::plan(offer, crate::sys::process::getpid(), listen::is_open)
}

/// Makes the container; whatever fails, nothing is left.
pub fn make(create: &CreateRequest, start: Start, stay: Stay, signals: &Signals) -> Result<Made> {
    execute(create, decide(create, start, stay)?, signals, None)
}

/// Carries a decision out.
pub fn execute(
    create: &CreateRequest,
    decision: Decision,
    signals: &Signals,
    restoration: Option<Restoration>,
) -> Result<Made> {
    let Decision {
        plan,
        loaded,
        host,
        request,
        cgroup,
    } = decision;
    if create.log.level() != Level::Normal {
        loaded
            .unknown()
            .iter()
            .for_each(|warning| create.log.warn(warning));
    }
    for warning in loaded.warnings.iter().chain(&plan.warnings) {
        create.log.warn(warning);
    }
    let mut record = record(&plan, &loaded.spec, &host, &request, cgroup.as_ref())?;
    let cgroup_mount = cgroups::run::open_mount(&host.cgroup.mount)?;
    let made_above = cgroups_above(&plan, cgroup_mount.as_fd())?;
    record.undo.extend(made_above.iter().cloned());
    let (mut container, lock) = Trace::time(create.trace.as_deref(), "take the id", || {
        Container::reserve(&create.root, &create.id)
    })?;
    let in_user_namespace = loaded
        .spec
        .linux
        .as_ref()
        .is_some_and(|linux| Namespaces::of(linux).is_other(NamespaceType::User));
    let setting = Setting {
        record,
        config: &loaded.text,
        // Without a place for volumes there is no volume in the plan.
        data: request.data.as_deref().unwrap_or(Path::new("/")),
        state_directory: &request.state,
        cgroup_mount,
        signals,
        in_user_namespace,
        log: &create.log,
        trace: create.trace.as_deref(),
        step: create.step.as_ref(),
        restoration,
    };
    let made = Runtime::create(&plan, &mut container, setting).and_then(Runtime::run);
    if let Some(trace) = &create.trace {
        trace.finish_or_warn(&create.log);
    }
    let created = match made {
        Ok(created) => created,
        Err(failure) => {
            // The first failure is the one to tell; what undoing cannot undo, `delete --force` can.
            let undone = destroy::remove(&container);
            drop(lock);
            let undone = undone.and_then(|warnings| destroy::undo(&made_above).map(|()| warnings));
            return Err(match undone {
                Ok(warnings) => {
                    warnings
                        .iter()
                        .for_each(|warning| create.log.warn(warning.to_string()));
                    failure
                }
                Err(left) => Failure {
                    hint: Some(format!("and it could not be undone: {left}")),
                    ..failure
                },
            });
        }
    };
    drop(lock);
    Ok(Made {
        created,
        container,
        cgroup,
        cgroup_mount: host.cgroup.mount,
    })
}

fn record(
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
            kind: crate::plan::op::namespace_name(namespace.kind).to_owned(),
            path: path.into(),
        })
    });
    let has_pid = linux.is_some_and(|linux| Namespaces::of(linux).is_new(NamespaceType::Pid));
    Ok(Record {
        version: crate::state::record::VERSION,
        oci_version: spec.oci_version.clone(),
        id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: rootfs::plan::root_path(spec, &request.bundle),
        created: time::now(),
        owner: host.euid,
        stage: Stage::Creating,
        boot_id: identity::boot_id()?.to_owned(),
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
fn cgroups_above(plan: &Plan, mount: BorrowedFd<'_>) -> Result<Vec<Undo>> {
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
        | Op::VerifyNamespaces { .. }
        | Op::SendPidfd { .. }
        | Op::PassReadiness
        | Op::RestoreProcesses
        | Op::CompareMounts
        | Op::ResumeProcesses
        | Op::AwaitExecution => None,
    }
}

/// `run` in the foreground: tells the service manager on the side. MAINPID is the runtime, which stays.
fn tell_when_ready(
    notify: notify::Notify,
    process: &Process,
    create: &CreateRequest,
) -> Result<()> {
    let manager = PathBuf::from(std::env::var_os("NOTIFY_SOCKET").unwrap_or_default());
    let pidfd = process
        .pidfd
        .try_clone()
        .act(|| "cannot keep the program's pidfd")?;
    let log = create.log.clone();
    std::thread::spawn(move || {
        let told = notify.forward(&manager, pidfd.as_fd(), crate::sys::process::getpid());
        if let Err(failure) = told {
            log.warn(failure.to_string());
        }
    });
    Ok(())
}

impl Made {
    /// `run` in the foreground: stays, deletes, and returns the program's status.
    pub fn attend(self, request: &RunRequest, signals: &Signals) -> Result<u8> {
        let Self {
            created,
            container,
            cgroup,
            cgroup_mount,
        } = self;
        if let Some(notify) = created.notify {
            tell_when_ready(notify, &created.process, &request.create)?;
        }
        let kill_all = || {
            let Some(cgroup) = &cgroup else {
                return kill(created.process.pidfd.as_fd());
            };
            let mount = cgroups::run::open_mount(&cgroup_mount)?;
            match cgroups::run::open(mount.as_fd(), cgroup)? {
                Some(directory) => cgroups::remove::kill(directory.as_fd()),
                None => Ok(()),
            }
        };
        let status = supervise(
            Supervised {
                pidfd: created.process.pidfd.as_fd(),
                pid: created.process.pid,
                terminal: created.terminal,
                stop_timeout: request.stop_timeout,
                kill_all: &kill_all,
            },
            signals,
        );
        if request.at_end == AtEnd::Delete {
            for warning in destroy::destroy_held(container, &request.create.root)? {
                request.create.log.warn(warning.to_string());
            }
        }
        status
    }
}

/// Of a container without a cgroup only the first process is known; with a pid namespace of its own, that is
/// enough.
fn kill(pidfd: BorrowedFd<'_>) -> Result<()> {
    match crate::sys::process::pidfd_send_signal(pidfd.as_raw_fd(), libc::SIGKILL) {
        Ok(()) | Err(Errno(libc::ESRCH)) => Ok(()),
        Err(errno) => Err(Failure::system(
            "cannot kill the container's process",
            errno,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
