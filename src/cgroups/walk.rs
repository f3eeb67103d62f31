//! Visits a cgroup and everything below it.
//!
//! What is below belongs to the container, which may have nested cgroups thousands deep when they
//! were delegated to it, and may add and remove some while we look. So nothing here recurses, holds
//! more than one descriptor at a time, or builds long paths, and a cgroup that vanishes is skipped.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Act, Result};
use crate::sys::{self, Errno, cgroup};

/// The processes of the cgroup and below it, ascending, as our pid namespace numbers them.
pub fn processes(dir: BorrowedFd<'_>) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    visit(dir, |dir| list_processes(dir, &mut pids))
        .act(|| "cannot list the processes of the container's cgroup")?;
    // One that moves while the kernel lists may show up twice.
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn list_processes(dir: BorrowedFd<'_>, pids: &mut Vec<i32>) -> sys::Result<()> {
    match cgroup::read_file(dir, c"cgroup.procs") {
        Ok(text) => {
            let listed = text.lines().filter_map(|line| line.parse::<i32>().ok());
            // 0 is a process that our pid namespace does not see.
            pids.extend(listed.filter(|&pid| pid != 0));
            Ok(())
        }
        // Threaded: its processes are listed by the ancestor that is the threaded domain.
        Err(Errno(libc::EOPNOTSUPP)) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Calls `look` for the cgroup and for each below it, parents first.
pub(super) fn visit(
    top: BorrowedFd<'_>,
    mut look: impl FnMut(BorrowedFd<'_>) -> sys::Result<()>,
) -> sys::Result<()> {
    let Some(mut dir) = unless_gone(cgroup::open_dir(top, c"."))? else {
        return Ok(());
    };
    let mut pending = vec![enter(&dir, &mut look)?];
    while let Some(siblings) = pending.last_mut() {
        let Some(name) = siblings.pop() else {
            pending.pop();
            if !pending.is_empty() {
                dir = cgroup::open_parent(dir.as_fd())?;
            }
            continue;
        };
        if let Some(child) = unless_gone(cgroup::open_dir(dir.as_fd(), &name))? {
            pending.push(enter(&child, &mut look)?);
            dir = child;
        }
    }
    Ok(())
}

/// Looks at one cgroup; returns its children.
fn enter(
    dir: &OwnedFd,
    look: &mut impl FnMut(BorrowedFd<'_>) -> sys::Result<()>,
) -> sys::Result<Vec<CString>> {
    if unless_gone(look(dir.as_fd()))?.is_none() {
        return Ok(Vec::new());
    }
    let children = unless_gone(cgroup::names(dir.as_fd(), libc::DT_DIR))?;
    Ok(children.unwrap_or_default())
}

/// A cgroup that vanished has neither files nor children.
fn unless_gone<T>(result: sys::Result<T>) -> sys::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno(libc::ENOENT | libc::ENODEV)) => Ok(None),
        Err(errno) => Err(errno),
    }
}
