//! From a request to a container: read, check, probe, plan, prove, execute; on a failure, undo.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AtEnd, CgroupDriver, CreateRequest, Rootless, RunRequest, extras, record, rootless};
use crate::cgroups::CgroupPath;
use crate::cgroups::layout::Access;
use crate::config::{self, Loaded, NamespaceType, Spec};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::execute::clone::Process;
use crate::execute::runtime::Setting;
use crate::execute::trace::Trace;
use crate::execute::{Created, Restoration, Runtime};
use crate::host::{Host, Own};
use crate::log::Level;
use crate::namespaces::plan::Namespaces;
use crate::plan::op::RuntimeOp;
use crate::plan::request::{Request, Start};
use crate::plan::{Plan, check, compile};
use crate::process::notify;
use crate::process::terminal::Stay;
use crate::state::cgroup::Cgroup;
use crate::state::destroy::Held;
use crate::state::{Container, Lock, Undo, destroy, identity};
use crate::supervise::{Signals, Supervised, supervise};
use crate::sys::Errno;
use crate::{cgroups, rootfs};

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
    cgroup: Option<Cgroup>,
}

/// Reads the configuration and decides; looks at the host, changes nothing.
pub fn decide(create: &CreateRequest, start: Start, stay: Stay) -> Result<Decision> {
    let trace = create.trace.as_deref();
    let loaded = Trace::time(trace, "read config.json", || match &create.config {
        Some(path) => config::load_file(path),
        None => config::load(&create.bundle),
    });
    let mut loaded = loaded?;
    extras::add_volumes(&mut loaded.spec, &create.volumes)?;
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
    if create.cgroup_driver == CgroupDriver::Systemd {
        host.cgroup.service = Some(cgroups::systemd::run::service()?);
    }
    let request = extras::request(create, spec, start, stay)?;
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
        CgroupDriver::Disabled => Ok(Access::Unwanted),
        CgroupDriver::Systemd => Ok(Access::Required),
        CgroupDriver::Cgroupfs if !ignores_denial => Ok(Access::Required),
        CgroupDriver::Cgroupfs => {
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
    if is_host && extras::overlay(create, spec)?.is_none() {
        let text = "is the root filesystem of the host itself";
        return Err(
            Failure::config(Field::new("root.path"), text).hint("--overlay keeps writes off it")
        );
    }
    Ok(())
}

/// Makes the container; whatever fails, nothing is left.
pub fn make(create: &CreateRequest, start: Start, stay: Stay, signals: &Signals) -> Result<Made> {
    execute(create, &decide(create, start, stay)?, signals, None)
}

/// Carries a decision out.
pub fn execute(
    create: &CreateRequest,
    decision: &Decision,
    signals: &Signals,
    restoration: Option<Restoration>,
) -> Result<Made> {
    warn(create, decision);
    let Decision {
        plan,
        loaded,
        host,
        request,
        cgroup,
    } = decision;
    let mut record = record::of(plan, &loaded.spec, host, request, cgroup.as_ref())?;
    let cgroup_mount = Arc::new(cgroups::run::open_mount(&host.cgroup.mount)?);
    let made_above = record::cgroups_above(plan, cgroup_mount.as_fd())?;
    record.undo.extend(made_above.iter().cloned());
    let (mut container, lock) = Trace::time(create.trace.as_deref(), "take the id", || {
        Container::reserve(&create.root, &create.id)
    })?;
    record.boot_id = match identity::boot_id_for(container.directory()) {
        Ok(boot) => boot,
        Err(failure) => return Err(undone(create, &container, lock, &made_above, failure)),
    };
    let linux = loaded.spec.linux.as_ref();
    let setting = Setting {
        record,
        config: &loaded.text,
        // Without a place for volumes there is no volume in the plan.
        data: request.data.as_deref().unwrap_or(Path::new("/")),
        state_directory: &request.state,
        cgroup_mount: Arc::clone(&cgroup_mount),
        signals,
        in_user_namespace: linux
            .is_some_and(|linux| Namespaces::of(linux).is_other(NamespaceType::User)),
        log: &create.log,
        trace: create.trace.as_deref(),
        step: create.step.as_ref(),
        restoration,
    };
    let made = Runtime::create(plan, &mut container, setting).and_then(Runtime::run);
    if let Some(trace) = &create.trace {
        trace.finish_or_warn(&create.log);
    }
    let mut created = match made {
        Ok(created) => created,
        Err(failure) => return Err(undone(create, &container, lock, &made_above, failure)),
    };
    drop(lock);
    let directory = created.cgroup.take();
    let cgroup = cgroup.clone().zip(directory);
    Ok(Made {
        created,
        container,
        cgroup: cgroup.map(|(path, directory)| Cgroup::held(cgroup_mount, path, directory)),
    })
}

/// Properties that nobody knows are told only to those who asked for warnings.
fn warn(create: &CreateRequest, decision: &Decision) {
    let Decision { plan, loaded, .. } = decision;
    if create.log.level() != Level::Normal {
        for warning in loaded.unknown() {
            create.log.warn(warning);
        }
    }
    for warning in loaded.warnings.iter().chain(&plan.warnings) {
        create.log.warn(warning);
    }
}

/// Undoes what was made, after a failure. That is the one to tell; what undoing cannot undo, `delete --force` can.
fn undone(
    create: &CreateRequest,
    container: &Container,
    lock: Lock,
    made_above: &[Undo],
    failure: Failure,
) -> Failure {
    let removed = destroy::remove(container);
    drop(lock);
    match removed.and_then(|warnings| destroy::undo(made_above).map(|()| warnings)) {
        Ok(warnings) => {
            for warning in warnings {
                create.log.warn(warning.to_string());
            }
            failure
        }
        Err(left) => Failure {
            hint: Some(format!("and it could not be undone: {left}")),
            ..failure
        },
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
    crate::sys::memory::spawn(move || {
        let told = notify.forward(&manager, pidfd.as_fd(), crate::sys::process::getpid());
        if let Err(failure) = told {
            log.warn(failure.to_string());
        }
    });
    Ok(())
}

impl Made {
    /// `run` in the foreground: stays, deletes, and returns the program's status, with all that is still held.
    pub fn attend(self, request: &RunRequest, signals: &Signals) -> Result<(u8, Rest)> {
        let Self {
            created,
            container,
            cgroup,
        } = self;
        let process = created.process;
        if let Some(notify) = created.notify {
            tell_when_ready(notify, &process, &request.create)?;
        }
        let kill_all = || match &cgroup {
            Some(cgroup) => cgroup.kill(),
            None => kill(process.pidfd.as_fd()),
        };
        let status = supervise(
            Supervised {
                pidfd: process.pidfd.as_fd(),
                pid: process.pid,
                terminal: created.terminal,
                stop_timeout: request.stop_timeout,
                kill_all: &kill_all,
            },
            signals,
        );
        let held = Held {
            container,
            cgroup,
            has_ended: status.is_ok(),
        };
        let mut lock = None;
        if request.at_end == AtEnd::Delete {
            let (warnings, taken) = destroy::destroy_held(&held)?;
            lock = taken;
            for warning in warnings {
                request.create.log.warn(warning.to_string());
            }
        }
        Ok((
            status?,
            Rest {
                _lock: lock,
                _held: held,
                _process: process,
            },
        ))
    }
}

/// What is left of a container that has ended: descriptors to close.
#[derive(Debug)]
pub struct Rest {
    _lock: Option<Lock>,
    _held: Held,
    _process: Process,
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
