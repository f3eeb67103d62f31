//! Mounts of a container that is there: made, or taken away.
//!
//! The runtime takes what comes from the host; a process that joins the container puts it in its place, by the same
//! operations as at the birth, and ends.

use std::path::Path;

use super::exec::{clone_into, join};
use super::op::{Birthplace, Gate, InitOp, RuntimeOp};
use super::request::Request;
use super::{Plan, Planner, c_string};
use crate::config::{Mount, Spec};
use crate::error::{Failure, Field, Result};
use crate::host::Host;
use crate::namespaces::plan::Namespaces;
use crate::rootfs;
use crate::rootfs::plan::{Place, Room};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Each is made, in its order.
    Add,
    /// What is mounted at each destination goes, the last first.
    Remove,
}

/// The plan for `spec.mounts`, which are those of the call; all else is the container's.
pub fn change(
    spec: &Spec,
    which: Change,
    request: &Request,
    namespaces: i32,
    host: &Host,
) -> Result<Plan> {
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| Failure::config(Field::new("linux"), "is required"))?;
    let mut planner = Planner::default();
    let cgroup = None;
    planner.prepare(RuntimeOp::OpenContainer { cgroup }, Field::default());
    // A runtime without privileges may not look at a process that hides: init compares by itself.
    let list = (!host.privileged).then(|| planner.slot());
    if let Some(list) = list {
        planner.prepare(RuntimeOp::OpenNamespaces { list }, Field::default());
    }
    planner.init(InitOp::DieWithRuntime, Field::default());
    planner.init(InitOp::UnblockSignals, Field::default());
    if host.privileged {
        planner.init(InitOp::LetGoOfExecutable, Field::default());
    }
    if which == Change::Remove {
        planner.init(InitOp::OpenHostProc, Field::default());
    }
    join(&mut planner, namespaces, list, host);
    if namespaces & libc::CLONE_NEWUSER != 0 {
        // What it makes belongs to the container's root; a change of ids takes the death signal away.
        planner.init(InitOp::BecomeRootOfUserNamespace, Field::default());
        planner.init(InitOp::DieWithRuntime, Field::default());
    }
    match which {
        Change::Add => rootfs::plan::add(
            &mut planner,
            &Room {
                spec,
                linux,
                request,
                root: &rootfs::plan::root_path(spec, &request.bundle),
                namespaces: &Namespaces::of(linux),
                host,
                cgroup: None,
                place: Place::Container,
            },
        )?,
        Change::Remove => {
            for (index, mount) in spec.mounts.iter().enumerate().rev() {
                unmount(&mut planner, index, mount)?;
            }
        }
    }
    // Last of what comes before the clone: init inherits what the runtime has taken.
    clone_into(&mut planner, namespaces, Birthplace::Here, host);
    planner.meet(Gate::Prepared);
    planner.init(InitOp::End, Field::default());
    Ok(planner.finish())
}

fn unmount(planner: &mut Planner, index: usize, mount: &Mount) -> Result<()> {
    let field = Field::index("mounts", index).leaf("destination");
    let path = rootfs::plan::clean(Path::new(&mount.destination));
    if path == Path::new("/") {
        return Err(Failure::config(field, "the root cannot be unmounted"));
    }
    let path = c_string(path.as_os_str().as_encoded_bytes(), || field.clone())?;
    planner.init(InitOp::Unmount(path), field);
    Ok(())
}
