//! The container's cgroup, found again by what the record says of it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::{CgroupRecord, is_below_the_mount};
use crate::error::{Act, Code, Failure, Result};

/// The directory of a recorded cgroup. None if it is gone, or if the directory that has its name now
/// is another one: its processes are none of ours.
pub fn find(record: &CgroupRecord) -> Result<Option<PathBuf>> {
    if !is_below_the_mount(&record.path) {
        return Err(Failure::new(
            Code::State,
            format!("cannot use the recorded cgroup {:?}", record.path),
        )
        .because("it is not below the mount point"));
    }
    let relative = record.path.strip_prefix("/").unwrap_or(&record.path);
    let directory = mount_point().join(relative);
    match std::fs::metadata(&directory) {
        Ok(found) if record.id.is_none_or(|id| id == found.ino()) => Ok(Some(directory)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).act(|| format!("cannot look at cgroup {}", directory.display())),
    }
}

/// Where cgroup v2 is: on a hybrid host below the v1 controllers.
fn mount_point() -> &'static Path {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.procs").exists() {
        hybrid
    } else {
        Path::new("/sys/fs/cgroup")
    }
}

/// Kills every process in the cgroup and below.
pub fn kill(directory: &Path) -> Result<()> {
    let file = directory.join("cgroup.kill");
    std::fs::write(&file, "1").act(|| format!("cannot write {}", file.display()))
}

/// Whether the cgroup and all below it hold no process.
pub fn is_empty(directory: &Path) -> Result<bool> {
    let file = directory.join("cgroup.events");
    let events =
        std::fs::read_to_string(&file).act(|| format!("cannot read {}", file.display()))?;
    Ok(events.lines().any(|line| line == "populated 0"))
}

/// Waits until the cgroup is empty: true; or until the time is over: false.
pub fn wait_empty(directory: &Path, time: Duration) -> Result<bool> {
    let deadline = std::time::Instant::now() + time;
    while !is_empty(directory)? {
        if std::time::Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(true)
}

/// Removes the cgroup and all below it.
pub fn remove(directory: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.act(|| format!("cannot read {}", directory.display()))?,
    };
    for entry in entries {
        let entry = entry.act(|| format!("cannot read {}", directory.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.act(|| format!("cannot remove cgroup {}", directory.display())),
    }
}

/// Whether the cgroup is frozen, or about to be.
pub fn frozen(directory: &Path) -> Result<bool> {
    let file = directory.join("cgroup.freeze");
    let text = std::fs::read_to_string(&file).act(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end() == "1")
}
