//! The end of a hook and of everything that it started.
//!
//! There are three threads to pull: the session, which all share that did not make one of their own,
//! the chain of parents, which breaks when a parent dies, and the orphans, which this process adopts
//! (PR_SET_CHILD_SUBREAPER, prctl(2)). Everything is stopped before anything is killed: what is
//! stopped neither forks nor dies.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use super::run::Orphans;
use crate::sys::poll::{self, Deadline, Watch};
use crate::sys::process::getpid;
use crate::sys::spawn::Child;
use crate::sys::{Errno, Pidfd, Result, signal};

/// Every round stops what the last one missed. A tree that still grows is a fork bomb; it is killed
/// as far as it is known.
const ROUNDS: usize = 50;

/// How long those that were killed may take to end, of whom the caller shall see none: one in the middle of a slow
/// system call takes its time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Kills the hook and what it started. The hook itself stays to be reaped.
pub(super) fn kill(hook: Child, orphans: Orphans) -> Result<()> {
    signal::send_to_group(hook.pid, libc::SIGSTOP)?;
    let mut tree = vec![hook.pid];
    let mut held = Vec::new();
    for _ in 0..ROUNDS {
        let found = descendants(&tree, orphans);
        if found.is_empty() {
            break;
        }
        for process in found {
            tree.push(process.pid);
            held.extend(stop(process));
        }
    }
    for process in &held {
        send(process, libc::SIGKILL)?;
    }
    signal::send_to_group(hook.pid, libc::SIGKILL)?;
    let deadline = Deadline::after(PATIENCE);
    for process in &held {
        poll::wait(
            &mut [Watch::readable(process.as_fd().as_raw_fd())],
            deadline,
        )?;
    }
    Ok(())
}

/// What tells whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
}

/// Processes that belong to the tree, `tree[0]` being its session, and are not in it yet. Without
/// /proc there are none to be found, and the process group is all that is killed.
fn descendants(tree: &[i32], orphans: Orphans) -> Vec<Process> {
    let this = getpid();
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    all.flatten()
        .filter(|process| !tree.contains(&process.pid))
        .filter_map(|process| look(process.pid))
        .filter(|process| {
            let is_orphan = matches!(orphans, Orphans::Adopt { spare } if process.parent == this && process.pid != spare);
            is_orphan || tree.contains(&process.parent) || tree.first() == Some(&process.session)
        })
        .collect()
}

/// None: it has gone.
fn look(pid: i32) -> Option<Process> {
    let stat = procfs::process::Process::new(pid).ok()?.stat().ok()?;
    Some(Process {
        pid,
        parent: stat.ppid,
        session: stat.session,
    })
}

/// Holds the process by a pidfd and stops it, if the number still means the same process.
fn stop(process: Process) -> Option<Pidfd> {
    let pidfd = Pidfd::open(process.pid).ok()?;
    if look(process.pid) != Some(process) {
        return None;
    }
    // One that has ended in between needs no stopping.
    pidfd.signal(libc::SIGSTOP).ok();
    Some(pidfd)
}

fn send(process: &Pidfd, signal: i32) -> Result<()> {
    match process.signal(signal) {
        Err(Errno(libc::ESRCH)) => Ok(()),
        result => result,
    }
}
