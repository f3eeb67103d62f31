//! The way out: kill, undo, forget, in this order, each step harmless when it was done before.
//!
//! cgroup.kill → the cgroup is empty → the cgroup is gone → the undo list backwards → poststop
//! hooks → the record, last. Whoever is killed in between leaves a record that says the rest. What
//! lives in the cgroup is found by the cgroup, never by Init's number alone: that may be another
//! process by now, and Init may have children that outlived it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno as NixErrno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::cgroup::Cgroup;
use super::container::{Container, Status};
use super::directory::{CONFIG, KEPT, RECORD, read_file, unlink};
use super::lock::{Lock, lock};
use super::record::{CgroupRecord, Remains, Undo};
use super::root::{Id, Root};
use super::{gate, hooks};
use crate::cgroups::plan::resolve_path;
use crate::cgroups::{self, CgroupHost, DeviceFilter};
use crate::config;
use crate::error::{Act, Code, Failure, Result};
use crate::hooks::{Kind, Place, run_poststop};
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

/// `delete`: by id, because with [`Thoroughness::Force`] there may be no readable record. What comes
/// back are warnings: poststop hooks that failed.
pub fn destroy(root: &Root, id: &Id, thoroughness: Thoroughness) -> Result<Vec<Failure>> {
    match (Container::open_locked(root, id), thoroughness) {
        (Ok((container, _lock)), Thoroughness::Force) => remove(&container),
        (Ok((container, _lock)), Thoroughness::OnlyStopped) => {
            let status = container.status_locked()?;
            refuse_living(id, status)?;
            remove_all(&container, container.cgroup()?, status == Status::Stopped)
        }
        (Err(failure), Thoroughness::Force)
            if matches!(failure.code, Code::NotFound | Code::State) =>
        {
            remove_remains(root, id)?;
            Ok(Vec::new())
        }
        (Err(failure), _) => Err(failure),
    }
}

/// A container in the hands of who made it.
#[derive(Debug)]
pub struct Held {
    /// Its directory, held since.
    pub container: Container,
    /// Its cgroup, held since.
    pub cgroup: Option<Cgroup>,
    /// Whether init has.
    pub has_ended: bool,
}

/// The same with force, by who holds it; who then has its lock. A container that another command has deleted
/// meanwhile is gone, whatever has its id now.
pub fn destroy_held(held: &Held) -> Result<(Vec<Failure>, Option<Lock>)> {
    let Held {
        container,
        cgroup,
        has_ended,
    } = held;
    let lock = match container.lock_again() {
        Err(failure) if failure.code == Code::NotFound => return Ok((Vec::new(), None)),
        lock => lock?,
    };
    let recorded = container.record().cgroup.as_ref();
    let cgroup = match (cgroup, recorded.and_then(|cgroup| cgroup.id)) {
        (Some(cgroup), Some(id)) => cgroup.is_linked(id)?.then(|| cgroup.clone()),
        _ => container.cgroup()?,
    };
    let warnings = remove_all(container, cgroup, *has_ended)?;
    Ok((warnings, Some(lock)))
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

/// Kills, undoes and forgets a container; the caller holds its lock. What comes back are warnings:
/// the failures of poststop hooks, which keep nothing from going on (config.md, Poststop).
pub fn remove(container: &Container) -> Result<Vec<Failure>> {
    remove_all(container, container.cgroup()?, false)
}

fn remove_all(
    container: &Container,
    cgroup: Option<Cgroup>,
    has_ended: bool,
) -> Result<Vec<Failure>> {
    let record = container.record();
    let has_unit = record.cgroup.as_ref().is_some_and(|it| it.unit.is_some());
    let may_go = is_ours(container) && !has_unit;
    // The usual end: nothing lives in it, and the kernel lets go of it at once.
    let cgroup = cgroup.filter(|cgroup| !(may_go && cgroup.remove_if_empty()));
    kill_all(container, cgroup.as_ref(), has_ended)?;
    if let (Some(cgroup), Some(record)) = (&cgroup, &record.cgroup) {
        remove_cgroup(cgroup, record)?;
    }
    undo(&record.undo)?;
    let warnings = run_poststop_hooks(container);
    container.forget()?;
    Ok(warnings)
}

/// Kills every process of the container and waits until all have ended.
pub fn kill(container: &Container) -> Result<()> {
    kill_all(container, container.cgroup()?.as_ref(), false)
}

/// Without a number, `create` did not come to know whether the cgroup is its own: another container's,
/// which made it fail, has the same path, and its processes are none of ours. Of ours there can only be
/// Init, which dies with `create`.
fn is_ours(container: &Container) -> bool {
    let cgroup = container.record().cgroup.as_ref();
    cgroup.is_some_and(|cgroup| cgroup.id.is_some())
}

fn kill_all(container: &Container, cgroup: Option<&Cgroup>, has_ended: bool) -> Result<()> {
    if let Some(cgroup) = cgroup.filter(|_| is_ours(container)) {
        kill_cgroup(cgroup)?;
    }
    if has_ended {
        return Ok(());
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

/// Kills what is in a cgroup, and waits until it is empty.
fn kill_cgroup(cgroup: &Cgroup) -> Result<()> {
    if cgroup.is_empty()? {
        return Ok(());
    }
    cgroup.kill()?;
    if cgroup.empty_within(DEATH_DEADLINE)? {
        Ok(())
    } else {
        Err(still_running())
    }
}

fn still_running() -> Failure {
    Failure::new(Code::Timeout, "container init still running")
}

/// See [`is_ours`]: where others live, it is not ours to remove. Nor is one that is frozen, for which `create`
/// failed: whoever froze it has plans with it.
fn remove_cgroup(cgroup: &Cgroup, record: &CgroupRecord) -> Result<()> {
    if record.id.is_none()
        && (cgroups::freeze::frozen(cgroup.directory())?
            || !cgroup.empty_within(Duration::from_secs(1))?)
    {
        return Ok(());
    }
    if let Some(unit) = &record.unit {
        cgroups::systemd::run::stop(unit)?;
    }
    cgroup.remove_within(DEATH_DEADLINE)
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
        Undo::RemoveCgroup { path } => return Cgroup::remove_unused(path),
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

/// Hooks that fail, or cannot even be read, are warnings.
fn run_poststop_hooks(container: &Container) -> Vec<Failure> {
    if !container.record().has_poststop_hooks {
        return Vec::new();
    }
    match hooks::of(container, Kind::Poststop) {
        Ok(hooks) => match hooks::state(container, Status::Stopped) {
            Ok(state) => run_poststop(&hooks, &Place::ALONE, &state),
            Err(failure) => vec![failure],
        },
        Err(failure) => vec![failure],
    }
}

/// `delete --force` of what has no readable record: by whatever can be salvaged.
fn remove_remains(root: &Root, id: &Id) -> Result<()> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let opened = nix::fcntl::open(root.path(), flags, Mode::empty()).and_then(|parent| {
        Ok((
            nix::fcntl::openat(&parent, id.as_str(), flags, Mode::empty())?,
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
    let directory = Arc::new(directory);
    let _lock = match lock(&parent, &directory, id) {
        Err(failure) if failure.code == Code::NotFound => return Ok(()),
        lock => lock?,
    };
    let record = what_is_left(&directory, RECORD)?;
    let config = what_is_left(&directory, CONFIG)?;
    // Without either nothing else was done, or the record of a half-made container without hooks was lost: only it could tell.
    if record.is_some() || config.is_some() {
        let remains = Remains::salvage(&record.unwrap_or_default());
        end_cgroup_of(&remains, &config.unwrap_or_default(), id)?;
        undo(&remains.undo)?;
    }
    unlink(&directory, gate::SOCKET)?;
    forget(&parent, &directory, id)
}

/// What can be read of a file; what is no file, or too large for one of ours, says nothing.
fn what_is_left(directory: &OwnedFd, name: &str) -> Result<Option<Vec<u8>>> {
    match read_file(directory.as_fd(), name) {
        Err(failure) if failure.code == Code::State => Ok(Some(Vec::new())),
        read => read,
    }
}

/// The cgroup that the remains name; else the one where `create` would have put the container.
fn end_cgroup_of(remains: &Remains, config: &[u8], id: &Id) -> Result<()> {
    let path = match &remains.cgroup {
        Some(path) => path.clone(),
        None => {
            // A configuration that cannot be read either leaves the place of one that says nothing.
            let spec = config::parse(config).unwrap_or_default();
            let wanted = spec.linux.and_then(|linux| linux.cgroups_path);
            let host = CgroupHost::probe(wanted.as_deref(), DeviceFilter::NotPermitted)?;
            resolve_path(wanted.as_deref(), id.as_str(), host.own.as_deref())?
        }
    };
    let Some(cgroup) = Cgroup::at(path)? else {
        return Ok(());
    };
    let number = cgroups::run::id(cgroup.directory())?;
    if remains.cgroup_id.is_some_and(|id| id != number) {
        return Ok(());
    }
    kill_cgroup(&cgroup)?;
    cgroup.remove_within(DEATH_DEADLINE)
}

/// Removes the container's directory, the record last.
pub(super) fn forget(root: &OwnedFd, directory: &OwnedFd, id: &Id) -> Result<()> {
    // A record that was never finished goes with the directory.
    for name in [CONFIG, RECORD] {
        unlink(directory, name)?;
    }
    let remove = || unlinkat(root, id.as_str(), UnlinkatFlags::RemoveDir);
    let removed = remove().or_else(|errno| match errno {
        // Few containers have it. Whether it could be removed, the second attempt tells.
        NixErrno::ENOTEMPTY => {
            unlinkat(directory, KEPT, UnlinkatFlags::NoRemoveDir).ok();
            remove()
        }
        errno => Err(errno),
    });
    match removed {
        Ok(()) | Err(NixErrno::ENOENT) => Ok(()),
        // That, and what a lost record would have named: an overlay's directories, the notify socket.
        Err(NixErrno::ENOTEMPTY | NixErrno::EEXIST) => remove_tree(Path::new(&format!(
            "/proc/self/fd/{}/{id}",
            root.as_raw_fd()
        )))
        .act(|| format!("cannot remove the directory of {id}")),
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
    use crate::state::{Record, Stage, identity};

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
            std::fs::create_dir_all(scratch.path().join("x/notify/more")).unwrap();
            let failure = destroy(&scratch.root(), &id(), Thoroughness::OnlyStopped).unwrap_err();
            assert_eq!(failure.code, Code::State, "{text}");
            destroy(&scratch.root(), &id(), Thoroughness::Force).unwrap();
            assert!(!is_there(&scratch));
        }
    }
}
