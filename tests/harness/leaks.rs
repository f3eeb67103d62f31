//! What a test left behind: processes, mounts, cgroups, state, network namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};

use super::{Lab, host};

/// The state of this host before a test, as far as that test could change it.
#[derive(Debug)]
pub struct Snapshot {
    mounts: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Snapshot {
    /// Notes what there is.
    pub fn take(_lab: &Lab) -> Self {
        Self {
            mounts: mounts(),
            names: network_names(),
        }
    }

    /// What there is now and was not, one line each.
    pub fn compare(&self, lab: &Lab) -> Vec<String> {
        let mut left: Vec<String> = Vec::new();
        left.extend(
            children_after_a_moment()
                .into_iter()
                .map(|name| format!("process {name}")),
        );
        left.extend(
            mounts()
                .difference(&self.mounts)
                .map(|line| format!("mount {line}")),
        );
        left.extend(
            self.mounts
                .difference(&mounts())
                .map(|line| format!("a mount is gone: {line}")),
        );
        left.extend(
            cgroups(&lab.cgroup_dir())
                .into_iter()
                .map(|path| format!("cgroup {path}")),
        );
        left.extend(
            entries(&lab.root)
                .into_iter()
                .map(|name| format!("state {name}")),
        );
        // Names of other tests may come and go meanwhile; ours carry our process id.
        let ours = getpid().to_string();
        let names = network_names();
        left.extend(
            names
                .difference(&self.names)
                .filter(|n| n.contains(&ours))
                .map(|n| format!("network namespace {n}")),
        );
        left
    }
}

/// Lines of mountinfo without the ids, which are of no interest.
fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("procfs is mounted");
    text.lines()
        .map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned())
        .collect()
}

fn network_names() -> BTreeSet<String> {
    entries(Path::new("/run/netns")).into_iter().collect()
}

fn entries(dir: &Path) -> Vec<String> {
    let Ok(list) = fs::read_dir(dir) else {
        return Vec::new();
    };
    list.flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Every cgroup below that of the test but the one in which the test itself sits.
fn cgroups(dir: &Path) -> Vec<String> {
    let Ok(list) = fs::read_dir(dir) else {
        return Vec::new();
    };
    list.flatten()
        .filter(|entry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != "test"
        })
        .map(|entry| entry.path().display().to_string())
        .collect()
}

/// Processes that the test itself waits for.
static SPARED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Leaves a process to the test that started it.
pub fn spare(pid: u32) {
    SPARED.lock().expect("no thread panicked").insert(pid);
}

/// Waits for the dead that this test has inherited, as an engine's shim does: an unreaped process of a
/// pid namespace keeps its init from ending.
pub fn reap_orphans() {
    let spared = SPARED.lock().expect("no thread panicked").clone();
    for pid in children().into_iter().filter(|pid| !spared.contains(pid)) {
        // It may have been reaped meanwhile, or live on.
        waitpid(
            Pid::from_raw(i32::try_from(pid).expect("a pid is small")),
            Some(WaitPidFlag::WNOHANG),
        )
        .ok();
    }
}

/// The children of this process, orphans that it inherited included.
fn children() -> Vec<u32> {
    let lists = entries(Path::new("/proc/self/task")).into_iter();
    let texts = lists.map(|task| fs::read_to_string(format!("/proc/self/task/{task}/children")));
    texts
        .flatten()
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The children that have not ended, with their command lines.
fn living() -> Vec<String> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let alive = |pid: &u32| {
        stat(*pid).is_some_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, tail)| !tail.starts_with('Z'))
        })
    };
    children()
        .into_iter()
        .filter(alive)
        .map(|pid| format!("{pid}: {}", command_line(pid)))
        .collect()
}

fn command_line(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .replace('\0', " ")
}

/// A process that is dying counts as dead: what matters is what stays.
fn children_after_a_moment() -> Vec<String> {
    let deadline = Instant::now() + host::patience(Duration::from_millis(500));
    loop {
        let left = living();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Kills every process in a cgroup and removes it with all below it.
pub fn end_everything(cgroup: &Path) {
    if !cgroup.exists() {
        return;
    }
    // A frozen cgroup is killed all the same; a missing file means that it has just gone.
    drop(fs::write(cgroup.join("cgroup.kill"), "1"));
    let deadline = Instant::now() + host::patience(Duration::from_secs(10));
    while cgroup.exists() && Instant::now() < deadline {
        remove_tree(cgroup);
        thread::sleep(Duration::from_millis(2));
    }
}

fn remove_tree(cgroup: &Path) {
    if let Ok(list) = fs::read_dir(cgroup) {
        list.flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .for_each(|entry| remove_tree(&entry.path()));
    }
    // EBUSY until the last process is gone; the caller tries again.
    drop(fs::remove_dir(cgroup));
}
