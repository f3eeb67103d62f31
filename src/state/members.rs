//! The processes of a container.

use std::os::unix::fs::MetadataExt;

use super::Container;
use super::record::PidNamespace;
use crate::cgroups::walk;
use crate::error::{Act, Result};

/// Their numbers, sorted: those in its cgroup; without a cgroup, those in its pid namespace; without that,
/// only the first one is known.
pub fn of(container: &Container) -> Result<Vec<i32>> {
    if let Some(cgroup) = container.cgroup()? {
        return walk::processes(cgroup.directory());
    }
    let Some(init) = container.process()? else {
        return Ok(Vec::new());
    };
    match container.record().pid_namespace {
        PidNamespace::Shared => Ok(vec![init.pid]),
        PidNamespace::Private => in_pid_namespace_of(init.pid),
    }
}

fn in_pid_namespace_of(init: i32) -> Result<Vec<i32>> {
    let inode = |pid: i32| std::fs::metadata(format!("/proc/{pid}/ns/pid")).map(|data| data.ino());
    let wanted = inode(init).act(|| "cannot look at the container's pid namespace")?;
    let entries = std::fs::read_dir("/proc").act(|| "cannot list /proc")?;
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        // Somebody else's process cannot be looked at, and is none of the container's.
        .filter(|pid| inode(*pid).is_ok_and(|found| found == wanted))
        .collect();
    pids.sort_unstable();
    Ok(pids)
}
