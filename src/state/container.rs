//! A container between two commands: its record, and its status.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno as NixErrno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::Serialize;

use super::cgroup::Cgroup;
use super::destroy;
use super::directory::{
    CONFIG, Identity, RECORD, UNFINISHED, exists, identity, is_linked, open_at, open_directory,
    read_file, unlink,
};
use super::gate::{self, Gate, Knock, Waiting};
use super::identity::{self, Process};
use super::lock::{self, Lock, lock, lock_known, try_lock};
use super::record::{Record, Stage};
use super::root::{Id, Root};
use crate::cgroups::freeze;
use crate::error::{Act, Code, Failure, Result};
use crate::sys::Errno;

/// The directory of the notify socket.
const NOTIFY: &str = "notify";
/// The status of config.md, runtime.md, State; `paused` is runc's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A `create` is at work.
    Creating,
    /// Init waits at the start gate.
    Created,
    /// The program was executed and has not ended.
    Running,
    /// The cgroup is frozen.
    Paused,
    /// Init has ended, or was never made and its `create` is dead.
    Stopped,
}

impl Status {
    /// The word of the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A container that has a record.
#[derive(Debug)]
pub struct Container {
    id: Id,
    directory: Arc<OwnedFd>,
    root: OwnedFd,
    record: Record,
    next: Option<Record>,
    /// Whether there may be a start gate.
    gate: bool,
    /// Of the directory, for who made it.
    identity: Option<Identity>,
}

impl Container {
    /// The container with this id. `container does not exist` is what callers match on; a container
    /// whose record cannot be read is another failure.
    pub fn open(root: &Root, id: &Id) -> Result<Self> {
        let (root, directory) = Self::directories(root, id)?;
        let text = read_file(directory.as_fd(), RECORD)?.ok_or_else(does_not_exist)?;
        Ok(Self {
            id: id.clone(),
            directory,
            root,
            record: Record::parse(&text)?,
            next: None,
            gate: true,
            identity: None,
        })
    }

    /// Opens and locks; the record is read under the lock.
    pub fn open_locked(root: &Root, id: &Id) -> Result<(Self, Lock)> {
        let (root, directory) = Self::directories(root, id)?;
        let lock = lock(&root, &directory, id)?;
        let text = read_file(directory.as_fd(), RECORD)?.ok_or_else(does_not_exist)?;
        Ok((
            Self {
                id: id.clone(),
                directory,
                root,
                record: Record::parse(&text)?,
                next: None,
                gate: true,
                identity: None,
            },
            lock,
        ))
    }

    /// Locks it again, after the lock was given back: others may have deleted it. What the record says of the way
    /// out nobody changes.
    pub fn lock_again(&self) -> Result<Lock> {
        match self.identity {
            Some(known) => lock_known(&self.root, &self.directory, known, &self.id),
            None => lock(&self.root, &self.directory, &self.id),
        }
    }

    /// Takes the id, for `create`: makes the directory and locks it. The record, at
    /// [`Stage::Creating`], must be the next thing to be written; until then, nothing else may
    /// happen, and a directory without a record blocks nobody.
    pub fn reserve(root: &Root, id: &Id) -> Result<(Self, Lock)> {
        let parent = match open_directory(root) {
            Err(failure) if failure.errno() == Some(Errno(libc::ENOENT)) => {
                root.make()?;
                open_directory(root)?
            }
            parent => parent?,
        };
        let taken = || {
            Failure::new(Code::Exists, "container with given ID already exists")
                .because(id.as_str())
        };
        let was_there = match mkdirat(&parent, id.as_str(), Mode::from_bits_truncate(0o711)) {
            Ok(()) => false,
            Err(NixErrno::EEXIST) => true,
            Err(errno) => {
                return Err(Failure::system(
                    format!("cannot make the directory of {id}"),
                    errno.into(),
                ));
            }
        };
        let locked = open_at(parent.as_fd(), id.as_str(), OFlag::O_DIRECTORY)
            .act(|| format!("cannot open the directory of {id}"))
            .map(Arc::new)
            .and_then(|directory| {
                let lock = try_lock(&directory)?;
                Ok((directory, lock))
            });
        let (directory, lock) = match locked {
            Ok(locked) => locked,
            Err(failure) => {
                // Only an empty one goes; the failure is what there is to tell.
                unlinkat(&parent, id.as_str(), UnlinkatFlags::RemoveDir).ok();
                return Err(failure);
            }
        };
        // An empty directory is what a `create` killed at its first step leaves: its id is free.
        // One that is locked belongs to a `create` that is at work; one that holds a configuration
        // has lost its record, and perhaps not its processes.
        let lock = lock.ok_or_else(taken)?;
        // Also in a directory that we have made: another `create` may have locked it before us and be done. The record
        // is what it wrote first.
        let used =
            exists(directory.as_fd(), RECORD)? || was_there && exists(directory.as_fd(), CONFIG)?;
        let held = identity(&directory, id)?;
        if used || !is_linked(&parent, held, id)? {
            return Err(taken());
        }
        Ok((
            Self {
                id: id.clone(),
                directory,
                root: parent,
                record: Record::default(),
                next: None,
                gate: false,
                identity: Some(held),
            },
            lock,
        ))
    }

    /// Keeps the configuration as it was read. After the first [`Self::write`]: a configuration
    /// without a record is one whose record was lost, and `delete --force` ends what it describes.
    pub fn freeze(&self, config: &[u8]) -> Result<()> {
        let mut file = self.new_file(CONFIG)?;
        file.write_all(config).act(|| self.cannot_write(CONFIG))
    }

    /// Makes the start gate of the socket that Init inherits.
    pub fn listen(&mut self, socket: BorrowedFd<'_>) -> Result<()> {
        self.gate = true;
        gate::listen(self.directory(), socket)
    }

    /// Gives the id back: the directory goes, nothing else is undone.
    pub fn forget(&self) -> Result<()> {
        if self.gate {
            unlink(&self.directory, gate::SOCKET)?;
        }
        destroy::forget(&self.root, &self.directory, &self.id)
    }

    fn directories(root: &Root, id: &Id) -> Result<(OwnedFd, Arc<OwnedFd>)> {
        let parent = match open_directory(root) {
            Err(failure) if failure.errno() == Some(Errno(libc::ENOENT)) => {
                return Err(does_not_exist());
            }
            parent => parent?,
        };
        match open_at(parent.as_fd(), id.as_str(), OFlag::O_DIRECTORY) {
            Err(Errno(libc::ENOENT)) => Err(does_not_exist()),
            directory => {
                let directory = directory.act(|| format!("cannot open the directory of {id}"))?;
                Ok((parent, Arc::new(directory)))
            }
        }
    }

    /// The id.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What `create` wrote.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The container's directory; child code may inherit the number, never the lock.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Replaces the record: the old one stands until the new one is whole. Neither waits for the disk: after
    /// a crash of the machine nothing is left that a record could name (its boot id tells).
    pub fn write(&mut self, record: Record) -> Result<()> {
        self.prepare(record)?;
        self.commit()
    }

    /// Writes the text of the next record beside the one that stands; [`Self::commit`] puts it in its place.
    pub fn prepare(&mut self, record: Record) -> Result<()> {
        self.write_beside(RECORD, &record.to_text()?)?;
        self.next = Some(record);
        Ok(())
    }

    /// Replaces the record by the one that was prepared.
    pub fn commit(&mut self) -> Result<()> {
        let Some(record) = self.next.take() else {
            return Err(
                Failure::new(Code::System, self.cannot_write(RECORD)).because("not prepared")
            );
        };
        self.put_in_place(RECORD)?;
        self.record = record;
        Ok(())
    }

    /// The configuration as `create` read it.
    pub fn config(&self) -> Result<Vec<u8>> {
        read_file(self.directory.as_fd(), CONFIG)?.ok_or_else(|| {
            Failure::new(Code::State, "cannot read the container's config.json")
                .because("it is gone")
        })
    }

    /// Init, if it is alive. Not being able to tell is an error.
    pub fn process(&self) -> Result<Option<Process>> {
        if !self.has_begun()? {
            return Ok(None);
        }
        Process::find(self.record.pid, self.record.start_time)
    }

    fn is_alive(&self) -> Result<bool> {
        Ok(self.has_begun()? && identity::is_alive(self.record.pid, self.record.start_time)?)
    }

    /// Whether Init was made since the machine was booted.
    fn has_begun(&self) -> Result<bool> {
        Ok(self.record.pid > 0 && identity::is_of_this_boot(&self.record.boot_id)?)
    }

    /// The status now, for a command that holds no lock.
    pub fn status(&self) -> Result<Status> {
        Ok(self.status_and_cgroup()?.0)
    }

    /// The status now, for the holder of the lock, which knows that no `create` is at work.
    pub fn status_locked(&self) -> Result<Status> {
        Ok(self.status_among_the_made()?.0)
    }

    /// The same for `start`, with Init if it waits.
    pub fn knock(&self) -> Result<(Status, Option<Waiting>)> {
        if self.record.stage == Stage::Creating {
            return Ok((Status::Stopped, None));
        }
        // Init wakes up while its cgroup is looked at. A frozen one hears of it later, and of nobody who says anything.
        let knock = gate::knock(self.directory.as_fd())?;
        if is_frozen(self.cgroup()?.as_ref())? {
            let status = match self.is_alive()? {
                true => Status::Paused,
                false => Status::Stopped,
            };
            return Ok((status, None));
        }
        let knock = match knock {
            Knock::Behind => gate::knock_patiently(self.directory.as_fd())?,
            knock => knock,
        };
        // Nobody else has the socket at whose other end it waits: it need not be asked whether it lives.
        match knock {
            Knock::Heard(waiting) => Ok((Status::Created, Some(waiting))),
            _ if self.is_alive()? => Ok((Status::Running, None)),
            _ => Ok((Status::Stopped, None)),
        }
    }

    /// The status now, for a command that holds no lock and goes on with the cgroup; that of a container that has
    /// ended nobody looks for.
    pub fn status_and_cgroup(&self) -> Result<(Status, Option<Cgroup>)> {
        if self.is_being_made()? {
            return Ok((Status::Creating, None));
        }
        self.status_among_the_made()
    }

    fn status_among_the_made(&self) -> Result<(Status, Option<Cgroup>)> {
        // Init dies with a `create` that does not finish, so a record still at Creating is stopped.
        if self.record.stage == Stage::Creating {
            return Ok((Status::Stopped, None));
        }
        // The gate first: death opens it as well as `start`, and who is alive afterwards has not died before.
        let gate = gate::look(self.directory.as_fd())?;
        if !self.is_alive()? {
            return Ok((Status::Stopped, None));
        }
        let cgroup = self.cgroup()?;
        let status = match gate {
            _ if is_frozen(cgroup.as_ref())? => Status::Paused,
            Gate::Closed => Status::Created,
            Gate::Passed => Status::Running,
        };
        Ok((status, cgroup))
    }

    /// Whether a `create` is at work, for a command that holds no lock.
    pub fn is_being_made(&self) -> Result<bool> {
        Ok(self.record.stage == Stage::Creating && self.is_locked()?)
    }

    /// Init's number for people: 0 when stopped.
    pub fn pid_shown(&self, status: Status) -> libc::pid_t {
        if status == Status::Stopped {
            0
        } else {
            self.record.pid
        }
    }

    /// The container's cgroup; None if it has none of its own, or if it is gone.
    pub fn cgroup(&self) -> Result<Option<Cgroup>> {
        self.record.cgroup.as_ref().map_or(Ok(None), Cgroup::find)
    }

    /// The directory of the socket on which the program says that it is ready, if `create` made one.
    pub fn notify_directory(&self) -> Result<Option<OwnedFd>> {
        match open_at(self.directory(), NOTIFY, OFlag::O_DIRECTORY) {
            Err(Errno(libc::ENOENT)) => Ok(None),
            directory => directory
                .map(Some)
                .act(|| "cannot open the directory of the notify socket"),
        }
    }

    fn is_locked(&self) -> Result<bool> {
        // Shared, so that two who look do not take each other for a `create`.
        lock::is_locked(&self.directory)
    }

    fn write_beside(&self, name: &str, content: &[u8]) -> Result<()> {
        let mut file = self.new_file(UNFINISHED)?;
        file.write_all(content).act(|| self.cannot_write(name))
    }

    fn put_in_place(&self, name: &str) -> Result<()> {
        renameat(&self.directory, UNFINISHED, &self.directory, name)
            .map_err(Errno::from)
            .act(|| self.cannot_write(name))
    }

    fn new_file(&self, name: &str) -> Result<File> {
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        openat(&self.directory, name, flags, mode)
            .map(File::from)
            .map_err(Errno::from)
            .act(|| self.cannot_write(name))
    }

    fn cannot_write(&self, name: &str) -> String {
        format!("cannot write {name} of container {}", self.id)
    }
}

fn is_frozen(cgroup: Option<&Cgroup>) -> Result<bool> {
    cgroup.map_or(Ok(false), |cgroup| freeze::frozen(cgroup.directory()))
}

/// `container does not exist`, word for word what engines match on.
pub fn does_not_exist() -> Failure {
    Failure::new(Code::NotFound, "container does not exist")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::state::record::tests::sample;

    /// A root directory that goes away with the test.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("corten-test-{}-{number}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(crate) fn root(&self) -> Root {
            Root::given(&self.0).unwrap()
        }

        pub(crate) fn directory(&self) -> OwnedFd {
            open_directory(&self.root()).unwrap()
        }

        pub(crate) fn path(&self) -> &std::path::Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// The first steps of `create`.
    pub(crate) fn create(root: &Root, record: Record) -> Result<(Container, Lock)> {
        let (mut container, lock) = Container::reserve(root, &id())?;
        container.freeze(b"{}")?;
        container.write(record)?;
        Ok((container, lock))
    }

    pub(crate) fn id() -> Id {
        Id::parse("x").unwrap()
    }

    /// A record without a cgroup, so that tests touch none.
    pub(crate) fn record() -> Record {
        Record {
            cgroup: None,
            undo: Vec::new(),
            ..sample("x")
        }
    }

    #[test]
    fn what_create_wrote_is_what_open_reads() {
        let scratch = Scratch::new();
        let (created, lock) = create(&scratch.root(), record()).unwrap();
        drop(lock);
        let opened = Container::open(&scratch.root(), &id()).unwrap();
        assert_eq!(opened.record(), created.record());
        assert_eq!(opened.config().unwrap(), b"{}");
    }

    #[test]
    fn an_id_is_taken_once() {
        let scratch = Scratch::new();
        let (_container, lock) = create(&scratch.root(), record()).unwrap();
        let again = || create(&scratch.root(), record()).unwrap_err().to_string();
        assert!(again().starts_with("container with given ID already exists"));
        drop(lock);
        assert!(again().starts_with("container with given ID already exists"));
    }

    #[test]
    fn a_directory_without_a_record_does_not_block_the_id() {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path().join("x")).unwrap();
        std::fs::write(scratch.path().join("x/.unfinished"), "{").unwrap();
        assert_eq!(
            Container::open(&scratch.root(), &id())
                .unwrap_err()
                .to_string(),
            "container does not exist"
        );
        assert!(create(&scratch.root(), record()).is_ok());
    }

    #[test]
    fn a_missing_container_or_root_does_not_exist() {
        let scratch = Scratch::new();
        let missing = Root::given(&scratch.path().join("missing")).unwrap();
        for root in [scratch.root(), missing] {
            let failure = Container::open(&root, &id()).unwrap_err();
            assert_eq!(
                (failure.code, failure.to_string().as_str()),
                (Code::NotFound, "container does not exist")
            );
        }
    }

    #[test]
    fn a_record_at_creating_is_creating_only_while_its_create_lives() {
        let scratch = Scratch::new();
        let (_container, lock) = create(&scratch.root(), record()).unwrap();
        let other = Container::open(&scratch.root(), &id()).unwrap();
        assert_eq!(other.status().unwrap(), Status::Creating);
        drop(lock);
        assert_eq!(other.status().unwrap(), Status::Stopped);
    }

    #[test]
    fn status_follows_the_process_and_the_gate() {
        let scratch = Scratch::new();
        let (mut container, _lock) = create(&scratch.root(), record()).unwrap();
        let pid = libc::pid_t::try_from(std::process::id()).unwrap();
        let start_time = identity::start_time(pid).unwrap().unwrap();
        let living = Record {
            stage: Stage::Created,
            pid,
            start_time,
            ..record()
        };
        let gate = gate::make().unwrap();
        container.listen(gate.as_fd()).unwrap();

        container.write(living.clone()).unwrap();
        assert_eq!(container.status_locked().unwrap(), Status::Created);
        drop(gate);
        assert_eq!(container.status_locked().unwrap(), Status::Running);
        container
            .write(Record {
                start_time: start_time + 1,
                ..living.clone()
            })
            .unwrap();
        assert_eq!(
            container.status_locked().unwrap(),
            Status::Stopped,
            "the number belongs to another process"
        );
        container
            .write(Record {
                boot_id: "another".into(),
                ..living
            })
            .unwrap();
        assert_eq!(
            container.status_locked().unwrap(),
            Status::Stopped,
            "the machine was booted again"
        );
    }

    #[test]
    fn a_record_that_is_no_regular_file_does_not_hang() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.path().join("x/state.json")).unwrap();
        assert_eq!(
            Container::open(&scratch.root(), &id()).unwrap_err().code,
            Code::State
        );
        std::fs::remove_dir(scratch.path().join("x/state.json")).unwrap();
        nix::unistd::mkfifo(&scratch.path().join("x/state.json"), Mode::S_IRWXU).unwrap();
        assert_eq!(
            Container::open(&scratch.root(), &id()).unwrap_err().code,
            Code::State
        );
    }
}
