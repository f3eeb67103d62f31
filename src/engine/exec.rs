//! Another process in a container that is there.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::{Attachment, ExecFlags, ExecProcess, ExecRequest, WhenPaused, extras};
use crate::cgroups;
use crate::cgroups::layout::Access;
use crate::config::{self, Capabilities, Names, Process, Spec};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::execute::clone;
use crate::execute::runtime::{Setting, Target};
use crate::execute::{Created, Runtime};
use crate::host::{Host, Own};
use crate::log::Log;
use crate::namespaces::plan::Namespaces;
use crate::plan::exec;
use crate::plan::request::{Console, Keyring};
use crate::plan::{Plan, check};
use crate::process::terminal::{self, Stay};
use crate::seccomp;
use crate::state::kept::{self, Kept};
use crate::state::{Cgroup, Container, Record, Status};
use crate::supervise::{self, Signals, Supervised};

/// Runs it; its exit status, or 0 when detached, and what is held of it.
pub fn run(request: &ExecRequest, signals: &Signals) -> Result<(u8, clone::Process)> {
    let created = start(request, signals)?;
    if request.attachment == Attachment::Detached {
        return Ok((0, created.process));
    }
    let kill = || {
        crate::sys::process::pidfd_send_signal(
            std::os::fd::AsRawFd::as_raw_fd(&created.process.pidfd),
            libc::SIGKILL,
        )
        .act(|| "cannot kill the process")
    };
    let status = supervise::supervise(
        Supervised {
            pidfd: created.process.pidfd.as_fd(),
            pid: created.process.pid,
            terminal: created.terminal,
            stop_timeout: None,
            kill_all: &kill,
        },
        signals,
    )?;
    Ok((status, created.process))
}

/// Up to the program's begin. What it took is let go of while the program runs, not after it.
fn start(request: &ExecRequest, signals: &Signals) -> Result<Created> {
    let container = Container::open(&request.root, &request.id)?;
    let (status, cgroup) = container.status_and_cgroup()?;
    require_living(status, request.when_paused)?;
    let Subject {
        spec,
        filter,
        is_kept,
    } = Subject::of(&container)?;
    // Whoever gets its listener is asked anew.
    let may_be_kept = filter
        .as_ref()
        .is_none_or(|filter| filter.listener.is_none());
    let process = process(request, &spec)?;
    let host = Host::probe_to_join(&spec, Some(&process), &Own::probe()?)?;
    let stay = match request.attachment {
        Attachment::Foreground => Stay::Foreground,
        Attachment::Detached => Stay::Detach,
    };
    let (cgroup_mount, directory) = match cgroup.map(Cgroup::into_descriptors) {
        Some((mount, directory)) => (mount, Some(directory)),
        None => {
            let mount = cgroups::run::open_mount(&host.cgroup.mount)?;
            (Arc::new(mount), None)
        }
    };
    let target = target(&container, request, directory)?;
    let unit = unit(&container, &target, &host)?;
    let plan_request = plan_request(request, &container, &target, &spec, &process, stay, unit)?;
    let plan = exec::process(&spec, &process, &plan_request, filter, &host)?;
    check::check(&plan)?;
    for warning in &plan.warnings {
        request.log.warn(warning);
    }
    if stay == Stay::Foreground {
        supervise::adopt_orphans()?;
    }
    let setting = Setting {
        record: container.record().clone(),
        config: &[],
        data: Path::new("/"),
        state_directory: Path::new("/"),
        cgroup_mount,
        signals,
        in_user_namespace: plan_request.namespaces & libc::CLONE_NEWUSER != 0,
        log: &request.log,
        trace: request.trace.as_deref(),
        step: None,
        restoration: None,
    };
    let created = Runtime::exec(&plan, &target, setting).and_then(Runtime::run);
    if let Some(trace) = &request.trace {
        trace.finish_or_warn(&request.log);
    }
    let created = created?;
    if may_be_kept && !is_kept {
        keep(&container, spec, &plan, &request.log);
    }
    Ok(created)
}

/// What a process joins.
struct Subject {
    spec: Spec,
    filter: Option<seccomp::Filter>,
    is_kept: bool,
}

impl Subject {
    /// As an earlier `exec` has kept it, or as it stands in the container's configuration.
    fn of(container: &Container) -> Result<Self> {
        if let Some(Kept { spec, filter }) = kept::read(container) {
            return Ok(Self {
                spec,
                filter: Some(seccomp::Filter::compiled(filter)),
                is_kept: true,
            });
        }
        let spec = config::parse(&container.config()?)?;
        Ok(Self {
            filter: exec::filter(&spec)?,
            spec,
            is_kept: false,
        })
    }
}

/// For the next `exec`. It costs the next one time if that fails, and nothing else.
fn keep(container: &Container, spec: Spec, plan: &Plan, log: &Log) {
    if let Some(filter) = plan.filter()
        && let Err(failure) = kept::write(container, spec, filter)
    {
        log.debug(|| failure.to_string());
    }
}

fn require_living(status: Status, when_paused: WhenPaused) -> Result<()> {
    match status {
        Status::Stopped => Err(Failure::new(
            Code::State,
            "cannot exec in a stopped container",
        )),
        Status::Paused if when_paused == WhenPaused::Refuse => Err(Failure::new(
            Code::State,
            "cannot exec in a paused container (use --ignore-paused to override)",
        )),
        _ => Ok(()),
    }
}

fn target(
    container: &Container,
    request: &ExecRequest,
    directory: Option<Arc<OwnedFd>>,
) -> Result<Target> {
    let record = container.record();
    let cgroup = match &record.cgroup {
        None => None,
        Some(cgroup) => {
            let path = cgroup.path.to_string_lossy();
            let id = request.id.as_str();
            Some(cgroups::plan::resolve_path(Some(&path), id, Some("/"))?)
        }
    };
    Ok(Target {
        pid: record.pid,
        cgroup,
        directory,
    })
}

fn plan_request(
    request: &ExecRequest,
    container: &Container,
    target: &Target,
    spec: &Spec,
    process: &Process,
    stay: Stay,
    unit: Option<String>,
) -> Result<exec::ExecRequest> {
    let console =
        match terminal::console(process.terminal, stay, request.console_socket.as_deref())? {
            terminal::Console::None => Console::None,
            terminal::Console::Socket(path) => Console::Socket(path.to_owned()),
            terminal::Console::Own => Console::Runtime,
        };
    let inherited = extras::inherited(request.preserve_fds)?;
    let namespaces = spec
        .linux
        .as_deref()
        .map(Namespaces::of)
        .unwrap_or_default();
    Ok(exec::ExecRequest {
        id: request.id.as_str().to_owned(),
        namespaces: namespaces.new
            | namespaces.joined
            | clocks_of_criu(container.record(), target.pid),
        console,
        pid_file: request.pid_file.clone(),
        pidfd_socket: request.pidfd_socket.clone(),
        kept_descriptors: inherited.count,
        variables: inherited.variables,
        cgroup: match &target.cgroup {
            Some(_) => Some(cgroup(request)?),
            None => no_cgroup(request)?,
        },
        below_unit: below_unit(target, unit.as_deref()),
        keyring: match container.record().keeps_keyring {
            true => Keyring::Inherit,
            false => Keyring::New,
        },
        unit,
    })
}

/// The container's cgroup as seen from its unit's: most often that is the same one.
fn below_unit(target: &Target, unit: Option<&str>) -> String {
    match (&target.cgroup, unit) {
        (Some(path), Some(unit)) if path.name() != unit => format!("/{}", path.name()),
        _ => String::new(),
    }
}

/// The container's unit, where systemd alone may move a process into it.
fn unit(container: &Container, target: &Target, host: &Host) -> Result<Option<String>> {
    let record = container.record().cgroup.as_ref();
    let unit = record.and_then(|cgroup| cgroup.unit.clone());
    let (Some(path), Some(unit), false) = (&target.cgroup, unit, host.privileged) else {
        return Ok(None);
    };
    let is_denied = host.cgroup.probe_access(path)? == Access::Denied;
    Ok(Some(unit).filter(|_| is_denied))
}

/// criu restores into a time namespace, in which monotonic clocks go on from where they were. No configuration
/// names it.
fn clocks_of_criu(record: &Record, pid: i32) -> i32 {
    if !record.restored {
        return 0;
    }
    let identity = |process: String| {
        let data = std::fs::metadata(format!("/proc/{process}/ns/time")).ok()?;
        Some((data.dev(), data.ino()))
    };
    // A plain user may not look, and restores nothing.
    match (identity(pid.to_string()), identity("self".to_owned())) {
        (Some(container), Some(own)) if container != own => libc::CLONE_NEWTIME,
        _ => 0,
    }
}

/// `--cgroup [CONTROLLERS:]PATH`: with cgroup v2 there is one hierarchy, so one path.
fn cgroup(request: &ExecRequest) -> Result<String> {
    let mut paths = request.cgroups.iter().map(|word| {
        word.rsplit_once(':')
            .map_or(word.as_str(), |(_, path)| path)
    });
    let first = paths.next().unwrap_or_default().to_owned();
    if first.split('/').any(|part| part == "..") {
        let text = format!("bad sub cgroup path {first:?}: it leaves the container's cgroup");
        return Err(Failure::new(Code::Usage, text).at(Field::new("--cgroup")));
    }
    if paths.any(|path| path != first) {
        let text = "one cgroup at most: cgroup v2 has one hierarchy";
        return Err(Failure::new(Code::Usage, text).at(Field::new("--cgroup")));
    }
    Ok(first)
}

/// The process of a container without a cgroup stays in ours.
fn no_cgroup(request: &ExecRequest) -> Result<Option<String>> {
    if request.cgroups.is_empty() {
        return Ok(None);
    }
    let text = "the container has no cgroup of its own";
    Err(Failure::new(Code::State, text).at(Field::new("--cgroup")))
}

fn process(request: &ExecRequest, spec: &Spec) -> Result<Process> {
    let process = match &request.process {
        ExecProcess::File(path) => read(path)?,
        ExecProcess::Flags(flags) => with_flags(spec.process.clone().unwrap_or_default(), flags),
    };
    if process.args.is_empty() {
        return Err(
            Failure::new(Code::Usage, "exec args cannot be empty").at(Field::new("process.args"))
        );
    }
    if process.cwd.is_empty() {
        return Err(Failure::config(
            Field::new("process.cwd"),
            "Cwd property must not be empty",
        ));
    }
    if !process.cwd.starts_with('/') {
        return Err(Failure::config(
            Field::new("process.cwd"),
            "Cwd must be an absolute path",
        ));
    }
    match config::check_environment(&process.env).into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(process),
    }
}

fn read(path: &Path) -> Result<Process> {
    let act = || format!("cannot read {}", path.display());
    let text = std::fs::read(path)
        .act(act)
        .map_err(|failure| failure.at(Field::new("--process")))?;
    serde_json::from_slice(&text).map_err(|error| {
        let mut failure = Failure::new(Code::Config, act())
            .because(error.to_string())
            .at(Field::new("--process"));
        failure.position = Some((error.line(), error.column()));
        failure
    })
}

/// The defaults are the container's own process; the flags change them.
fn with_flags(mut process: Process, flags: &ExecFlags) -> Process {
    process.args.clone_from(&flags.args);
    process.terminal = flags.terminal;
    process.console_size = None;
    if let Some(cwd) = &flags.cwd {
        process.cwd.clone_from(cwd);
    }
    if process.cwd.is_empty() {
        "/".clone_into(&mut process.cwd);
    }
    process.env.extend(flags.env.iter().cloned());
    if let Some((uid, gid)) = flags.user {
        process.user.uid = uid;
        process.user.gid = gid.unwrap_or(process.user.gid);
        // HOME is that of the user who runs the program.
        process
            .env
            .retain(|variable| !variable.starts_with("HOME="));
        process.env.extend(
            flags
                .env
                .iter()
                .filter(|variable| variable.starts_with("HOME="))
                .cloned(),
        );
    }
    process.user.additional_gids.extend(&flags.additional_gids);
    if let Some(label) = &flags.process_label {
        process.selinux_label = Some(label.clone());
    }
    if let Some(profile) = &flags.apparmor {
        process.apparmor_profile = Some(profile.clone());
    }
    if let Some(choice) = flags.no_new_privileges {
        process.no_new_privileges = choice;
    }
    add_capabilities(&mut process, &flags.capabilities);
    process
}

/// Added to the bounding, effective and permitted sets; never to the inheritable one (CVE-2022-29162). Those
/// that the configuration made inheritable become ambient, or a program without privileges of its own
/// would lose them.
fn add_capabilities(process: &mut Process, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let capabilities = process
        .capabilities
        .get_or_insert_with(Capabilities::default);
    for set in [
        &mut capabilities.bounding,
        &mut capabilities.effective,
        &mut capabilities.permitted,
    ] {
        set.get_or_insert_with(Names::new).extend(names);
    }
    let inheritable = capabilities.inheritable.clone().unwrap_or_default();
    let ambient = names.iter().filter(|name| inheritable.contains(name));
    capabilities
        .ambient
        .get_or_insert_with(Names::new)
        .extend(ambient);
}
