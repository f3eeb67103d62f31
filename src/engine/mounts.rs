//! Mounts of a container that is there.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use super::{Change, CreateRequest, MountsRequest, extras};
use crate::cgroups;
use crate::config::{self, Loaded, Spec};
use crate::error::{Act, Failure, Result};
use crate::execute::Runtime;
use crate::execute::runtime::{Setting, Target};
use crate::host::{Host, Own};
use crate::namespaces::plan::Namespaces;
use crate::plan::request::Start;
use crate::plan::{check, mounts};
use crate::process::terminal::Stay;
use crate::state::{Container, Status, identity};
use crate::supervise::Signals;
use crate::sys::process;

/// Makes them, or takes them away. Those before one that fails stay as they are then.
pub fn run(request: &MountsRequest, signals: &Signals) -> Result<()> {
    let (container, _lock) = Container::open_locked(&request.root, &request.id)?;
    if container.status_locked()? == Status::Stopped {
        return Err(identity::not_running());
    }
    let spec = spec(&container, request)?;
    let host = Host::probe_to_join(&spec, None, &Own::probe()?)?;
    let bundle = container.record().bundle.clone();
    let create = CreateRequest {
        data: request.data.clone(),
        ..CreateRequest::new(request.id.clone(), bundle, request.root.clone())
    };
    let of_birth = extras::request(&create, &spec, Start::Now, Stay::Foreground)?;
    let namespaces = spec
        .linux
        .as_deref()
        .map(Namespaces::of)
        .unwrap_or_default();
    let namespaces = namespaces.new | namespaces.joined;
    let plan = mounts::change(&spec, request.change, &of_birth, namespaces, &host)?;
    check::check(&plan)?;
    for warning in &plan.warnings {
        request.log.warn(warning);
    }
    let target = Target {
        pid: container.record().pid,
        cgroup: None,
        directory: None,
    };
    let setting = Setting {
        record: container.record().clone(),
        config: &[],
        data: of_birth.data.as_deref().unwrap_or(&of_birth.state),
        state_directory: &of_birth.state,
        cgroup_mount: Arc::new(cgroups::run::open_mount(&host.cgroup.mount)?),
        signals,
        in_user_namespace: namespaces & libc::CLONE_NEWUSER != 0,
        log: &request.log,
        trace: None,
        step: None,
        restoration: None,
    };
    let created = Runtime::exec(&plan, &target, setting).and_then(Runtime::run)?;
    process::wait_pidfd(created.process.pidfd.as_raw_fd())
        .act(|| "cannot wait for the process that mounts")?;
    Ok(())
}

/// The container's configuration with these mounts in the place of its own. To remove them, where they are is enough.
fn spec(container: &Container, request: &MountsRequest) -> Result<Spec> {
    let mut spec = config::parse(&container.config()?)?;
    spec.mounts.clone_from(&request.mounts);
    if request.change == Change::Remove {
        return Ok(spec);
    }
    let checked = Loaded::from_spec(spec)?.checked();
    checked.map(|loaded| *loaded.spec).map_err(|faults| {
        Failure::together(faults).expect("a configuration that is refused has a fault")
    })
}
