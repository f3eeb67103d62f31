//! The way out: kill, undo, forget, in this order, each step harmless when it was done before.
//!
//! cgroup.kill → the cgroup is empty → the cgroup is gone → the undo list backwards → poststop
//! hooks → the record, last. Whoever is killed in between leaves a record that says the rest. What
//! lives in the cgroup is found by the cgroup, never by Init's number alone: that may be another
//! process by now, and Init may have children that outlived it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno as NixErrno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::cgroup;
use super::container::{Container, Status, lock, read_file, unlink};
use super::gate;
use super::record::{CgroupDriver, CgroupRecord, Record, Remains, Undo};
use super::root::{Id, Root};
use crate::error::{Act, Code, Failure, Result};
use crate::sys::Errno;

/// How long the killed may take to end: uninterruptible sleep in the kernel is what takes it.
const DEATH_DEADLINE: Duration = Duration::from_secs(10);

/// What `delete` does with a container that is not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// Refuses a running one.
    OnlyStopped,
    /// Kills it; works from whatever can still be read of it.
    Force,
}

/// `delete`: by id, because with [`Thoroughness::Force`] there may be no readable record.
pub fn destroy(root: &Root, id: &Id, thoroughness: Thoroughness) -> Result<()> {
    let opened = Container::open_locked(root, id);
    match (opened, thoroughness) {
        (Ok((container, _lock)), _) => {
            let status = container.status_locked();
            if thoroughness == Thoroughness::OnlyStopped {
                refuse_living(id, status?)?;
            }
            remove(&container)
        }
        (Err(failure), Thoroughness::Force) if failure.code == Code::NotFound => {
            remove_remains(root, id)
        }
        (Err(failure), Thoroughness::Force) if failure.code == Code::State => {
            remove_remains(root, id)
        }
        (Err(failure), _) => Err(failure),
    }
}

fn refuse_living(id: &Id, status: Status) -> Result<()> {
    match status {
        Status::Stopped | Status::Created => Ok(()),
        living => Err(Failure::new(
            Code::State,
            format!(
                "cannot delete container {id} that is not stopped: {}",
                living.name()
            ),
        )),
    }
}

/// Kills, undoes and forgets a container; the caller holds its lock.
pub fn remove(container: &Container) -> Result<()> {
    let record = container.record();
    kill(container)?;
    if let Some(cgroup) = &record.cgroup {
        remove_cgroup(cgroup)?;
    }
    undo(&record.undo)?;
    let hooks = run_poststop_hooks(record);
    // A poststop hook that fails is told, but the container is gone all the same (runtime.md,
    // lifecycle step 13).
    container.forget()?;
    hooks
}

/// Kills every process of the container and waits until all have ended.
pub fn kill(container: &Container) -> Result<()> {
    if let Some(cgroup) = &container.record().cgroup {
        kill_cgroup(cgroup)?;
    }
    // Without a cgroup, or moved out of it, Init is still known by its number and start time.
    let Some(process) = container.process()? else {
        return Ok(());
    };
    match process.signal(libc::SIGKILL) {
        Err(failure) if failure.code == Code::State => return Ok(()),
        sent => sent?,
    }
    if process.ended_within(DEATH_DEADLINE)? {
        Ok(())
    } else {
        Err(still_running())
    }
}

/// Kills what is in a recorded cgroup, and waits until it is empty. A cgroup that is gone is empty.
pub fn kill_cgroup(record: &CgroupRecord) -> Result<()> {
    let Some(directory) = cgroup::find(record)? else {
        return Ok(());
    };
    let killed = || -> Result<bool> {
        if cgroup::is_empty(&directory)? {
            return Ok(true);
        }
        cgroup::kill(&directory)?;
        cgroup::wait_empty(&directory, DEATH_DEADLINE)
    };
    match killed() {
        Ok(true) => Ok(()),
        Ok(false) => Err(still_running()),
        Err(failure) if is_gone(&failure) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn remove_cgroup(record: &CgroupRecord) -> Result<()> {
    match cgroup::find(record)? {
        Some(directory) => cgroup::remove(&directory),
        None => Ok(()),
    }
}

/// Somebody else removed the cgroup between two calls.
fn is_gone(failure: &Failure) -> bool {
    matches!(failure.errno(), Some(Errno(libc::ENOENT | libc::ENODEV)))
}

fn still_running() -> Failure {
    Failure::new(Code::Timeout, "container init still running")
}

/// Walks an undo list backwards. One that fails does not keep the others from being undone.
pub fn undo(list: &[Undo]) -> Result<()> {
    let mut result = Ok(());
    for entry in list.iter().rev() {
        let undone = undo_one(entry);
        result = result.and(undone);
    }
    result
}

fn undo_one(entry: &Undo) -> Result<()> {
    let (path, removed) = match entry {
        Undo::RemoveCgroup { path } => {
            let named = CgroupRecord {
                path: path.clone(),
                id: None,
                driver: CgroupDriver::Cgroupfs,
                unit: None,
            };
            return remove_cgroup(&named);
        }
        Undo::RemoveResctrl { path } => (path, std::fs::remove_dir(path)),
        Undo::RemoveDirectory { path } => (path, remove_tree(path)),
        Undo::RemoveFile { path } => (path, std::fs::remove_file(path)),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.act(|| format!("cannot remove {}", path.display())),
    }
}

/// Removes a directory and all below it, never through a link (`remove_dir_all` holds descriptors).
/// The work directory of overlayfs has mode 0000, which stops anybody but root: opened up first.
fn remove_tree(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let work = path.join("work").join("work");
            std::fs::set_permissions(work, std::fs::Permissions::from_mode(0o700))?;
            std::fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

/// Poststop hooks run here: after everything is undone, before the record goes.
fn run_poststop_hooks(record: &Record) -> Result<()> {
    if !record.has_poststop_hooks {
        return Ok(());
    }
    Err(Failure::config(
        crate::error::Field::new("hooks.poststop"),
        "cannot run hooks: not built yet",
    ))
}

/// `delete --force` of what has no readable record: by whatever can be salvaged.
fn remove_remains(root: &Root, id: &Id) -> Result<()> {
    let flags = nix::fcntl::OFlag::O_DIRECTORY
        | nix::fcntl::OFlag::O_CLOEXEC
        | nix::fcntl::OFlag::O_NOFOLLOW;
    let no_mode = nix::sys::stat::Mode::empty();
    let opened = nix::fcntl::open(root.path(), flags, no_mode).and_then(|parent| {
        Ok((
            nix::fcntl::openat(&parent, id.as_str(), flags, no_mode)?,
            parent,
        ))
    });
    let (directory, parent) = match opened {
        // Neither record nor directory: deleted already.
        Err(NixErrno::ENOENT) => return Ok(()),
        opened => opened
            .map_err(Errno::from)
            .act(|| format!("cannot open the directory of {id}"))?,
    };
    let _lock = match lock(&parent, &directory, id) {
        Err(failure) if failure.code == Code::NotFound => return Ok(()),
        lock => lock?,
    };
    let text = read_file(directory.as_fd(), "state.json")?.unwrap_or_default();
    let remains = Remains::salvage(&text);
    if let Some(path) = remains.cgroup {
        let cgroup = CgroupRecord {
            path,
            id: remains.cgroup_id,
            driver: CgroupDriver::Cgroupfs,
            unit: None,
        };
        kill_cgroup(&cgroup)?;
        remove_cgroup(&cgroup)?;
    }
    undo(&remains.undo)?;
    forget(&parent, &directory, id)
}

/// Removes the container's directory, the record last.
pub(super) fn forget(root: &OwnedFd, directory: &OwnedFd, id: &Id) -> Result<()> {
    for name in [gate::SOCKET, "config.json", ".unfinished", "state.json"] {
        unlink(directory, name)?;
    }
    match unlinkat(root, id.as_str(), UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(NixErrno::ENOENT) => Ok(()),
        Err(errno) => Err(Failure::system(
            format!("cannot remove the directory of {id}"),
            errno.into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::container::tests::{Scratch, record};
    use crate::state::{Stage, identity};

    fn id() -> Id {
        Id::parse("x").unwrap()
    }

    fn create(scratch: &Scratch, record: Record) {
        drop(super::super::container::tests::create(&scratch.root(), record).unwrap());
    }

    fn is_there(scratch: &Scratch) -> bool {
        scratch.path().join("x").exists()
    }

    #[test]
    fn deleting_an_unknown_container_is_success_only_by_force() {
        let scratch = Scratch::new();
        let failure = destroy(&scratch.root(), &id(), Thoroughness::OnlyStopped).unwrap_err();
        assert_eq!(failure.to_string(), "container does not exist");
        destroy(&scratch.root(), &id(), Thoroughness::Force).unwrap();
    }

    #[test]
    fn a_stopped_container_is_undone_and_forgotten() {
        let scratch = Scratch::new();
        let upper = scratch.path().join("upper");
        std::fs::create_dir_all(upper.join("a/b")).unwrap();
        let undo = vec![
            Undo::RemoveDirectory {
                path: upper.clone(),
            },
            Undo::RemoveFile {
                path: upper.join("a"),
            },
        ];
        let failed_first = Undo::RemoveFile {
            path: upper.join("missing"),
        };
        create(
            &scratch,
            Record {
                undo: [undo, vec![failed_first]].concat(),
                ..record()
            },
        );
        // The file to be removed is a directory: told, but the rest is undone, and the record stays.
        assert!(destroy(&scratch.root(), &id(), Thoroughness::OnlyStopped).is_err());
        assert!(!upper.exists() && is_there(&scratch));
        destroy(&scratch.root(), &id(), Thoroughness::OnlyStopped).unwrap();
        assert!(!is_there(&scratch));
    }

    #[test]
    fn a_running_container_is_deleted_only_by_force() {
        let scratch = Scratch::new();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = libc::pid_t::try_from(child.id()).unwrap();
        let start_time = identity::start_time(pid).unwrap().unwrap();
        create(
            &scratch,
            Record {
                stage: Stage::Created,
                pid,
                start_time,
                ..record()
            },
        );
        let failure = destroy(&scratch.root(), &id(), Thoroughness::OnlyStopped).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot delete container x that is not stopped: running"
        );
        destroy(&scratch.root(), &id(), Thoroughness::Force).unwrap();
        child.wait().unwrap();
        assert!(!is_there(&scratch));
    }

    #[test]
    fn another_process_with_init_s_number_survives_delete() {
        let scratch = Scratch::new();
        let pid = libc::pid_t::try_from(std::process::id()).unwrap();
        let start_time = identity::start_time(pid).unwrap().unwrap() + 1;
        create(
            &scratch,
            Record {
                stage: Stage::Created,
                pid,
                start_time,
                ..record()
            },
        );
        destroy(&scratch.root(), &id(), Thoroughness::Force).unwrap();
        assert!(!is_there(&scratch));
    }

    #[test]
    fn force_removes_a_container_whose_record_is_torn() {
        let scratch = Scratch::new();
        for text in ["", "{", "null", "\0", r#"{"version":9}"#] {
            create(&scratch, record());
            std::fs::write(scratch.path().join("x/state.json"), text).unwrap();
            let failure = destroy(&scratch.root(), &id(), Thoroughness::OnlyStopped).unwrap_err();
            assert_eq!(failure.code, Code::State, "{text}");
            destroy(&scratch.root(), &id(), Thoroughness::Force).unwrap();
            assert!(!is_there(&scratch));
        }
    }
}
