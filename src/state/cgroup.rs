//! The container's cgroup, found again by what the record says of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record::CgroupRecord;
use crate::cgroups::{CgroupPath, layout, remove, run};
use crate::error::{Act, Code, Failure, Result};
use crate::sys::Errno;
use crate::sys::cgroup::read_value;

/// A cgroup that was found or made, held open.
#[derive(Clone, Debug)]
pub struct Cgroup {
    mount: Arc<OwnedFd>,
    path: CgroupPath,
    directory: Arc<OwnedFd>,
}

impl Cgroup {
    /// The cgroup of a record. None if it is gone, or if the directory that has its path now is
    /// another one: its processes are none of ours.
    pub fn find(record: &CgroupRecord) -> Result<Option<Self>> {
        let path = path(&record.path).ok_or_else(|| {
            Failure::new(
                Code::State,
                "cannot use the cgroup in the container's record",
            )
            .because(format!(
                "{:?} is no path below the mount point",
                record.path
            ))
        })?;
        let found = Self::at(path)?;
        let Some(id) = record.id else {
            return Ok(found);
        };
        match found {
            Some(cgroup) if run::id(cgroup.directory())? == id => Ok(Some(cgroup)),
            _ => Ok(None),
        }
    }

    /// The cgroup at a path, whosever it is.
    pub fn at(path: CgroupPath) -> Result<Option<Self>> {
        let mount = layout::open_mount()?;
        let directory = run::open(mount.as_fd(), &path)?;
        Ok(directory.map(|directory| Self::held(Arc::new(mount), path, directory)))
    }

    /// One that was made, by who holds it.
    pub fn held(mount: Arc<OwnedFd>, path: CgroupPath, directory: OwnedFd) -> Self {
        Self {
            mount,
            path,
            directory: Arc::new(directory),
        }
    }

    /// Whether it still has its path, by its number.
    pub fn is_linked(&self, id: u64) -> Result<bool> {
        Ok(run::id_at(self.mount.as_fd(), &self.path)? == Some(id))
    }

    /// Removes one that has neither processes nor cgroups below it.
    pub fn remove_unused(recorded: &Path) -> Result<()> {
        if let Some(path) = path(recorded) {
            let mount = layout::open_mount()?;
            run::unmake(mount.as_fd(), &[path]);
        }
        Ok(())
    }

    /// The directory.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The mount and the directory, for who needs no more of it.
    pub fn into_descriptors(self) -> (Arc<OwnedFd>, Arc<OwnedFd>) {
        (self.mount, self.directory)
    }

    /// Whether no process is in it and below it. One that is gone is empty.
    pub fn is_empty(&self) -> Result<bool> {
        match read_value(self.directory(), c"cgroup.events") {
            Ok(events) => Ok(events.lines().any(|line| line == "populated 0")),
            Err(Errno(libc::ENOENT | libc::ENODEV)) => Ok(true),
            Err(errno) => Err(errno).act(|| "cannot read cgroup.events"),
        }
    }

    /// Removes it if no process is in it and nothing below it: true; or leaves it as it is.
    pub fn remove_if_empty(&self) -> bool {
        remove::remove_if_empty(self.mount.as_fd(), &self.path)
    }

    /// Kills every process in it and below it.
    pub fn kill(&self) -> Result<()> {
        remove::kill(self.directory())
    }

    /// Waits until it is empty: true; or until the time is over: false.
    pub fn empty_within(&self, time: Duration) -> Result<bool> {
        match remove::wait_empty(self.directory(), Instant::now() + time) {
            Ok(()) => Ok(true),
            Err(failure) if failure.code == Code::Timeout => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Removes it and all below it, waiting for processes that are about to vanish.
    pub fn remove_within(&self, time: Duration) -> Result<()> {
        remove::remove(self.mount.as_fd(), &self.path, Instant::now() + time)
    }
}

/// A recorded path, `/a/b`, as one that could have been ours: not the root cgroup, for killing that
/// one would kill the machine, and nothing that climbs.
pub fn path(recorded: &Path) -> Option<CgroupPath> {
    let relative = recorded.to_str()?.strip_prefix('/')?;
    CgroupPath::try_from(relative.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_record_names_the_root_cgroup_or_climbs_out() {
        for recorded in ["/", "", "x", "/../x", "/a/../..", "//", "/a//b", "/a/"] {
            assert!(path(Path::new(recorded)).is_none(), "{recorded}");
        }
        assert_eq!(path(Path::new("/a/b")).unwrap().as_str(), "a/b");
    }
}
