//! What callers ask of the engine: one request a command, as plain data.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Mount;
use crate::criu::plan::Flags;
use crate::execute::step::Stepping;
use crate::execute::trace::Trace;
use crate::log::Log;
use crate::plan::mounts::Change;
use crate::plan::show::Look;
use crate::record::What;
use crate::state::{Id, Root};

/// `create`, and the first half of `run`.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// The id to take.
    pub id: Id,
    /// Absolute; config.json is read from here, relative paths in it start here.
    pub bundle: PathBuf,
    /// Instead of the bundle's config.json.
    pub config: Option<PathBuf>,
    /// Where the state goes.
    pub root: Root,
    /// Where named volumes live, if there is a place for them.
    pub data: Option<PathBuf>,
    /// Gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// Gets a pidfd of Init.
    pub pidfd_socket: Option<PathBuf>,
    /// Gets Init's number.
    pub pid_file: Option<PathBuf>,
    /// How the root is changed.
    pub root_change: RootChange,
    /// Whose session keyring.
    pub keyring: Keyring,
    /// Descriptors from 3 (after those of LISTEN_FDS) that the program inherits.
    pub preserve_fds: u32,
    /// A writable layer over the root filesystem.
    pub overlay: Option<Overlay>,
    /// Read-only layers over the root filesystem, the lowest first, absolute.
    pub layers: Vec<PathBuf>,
    /// `NAME:DESTINATION[:OPTIONS]`, as typed.
    pub volumes: Vec<String>,
    /// Who makes the cgroup.
    pub cgroup_driver: CgroupDriver,
    /// Whether missing permissions on cgroups are ignored.
    pub rootless: Rootless,
    /// For steps and warnings; the failure is returned.
    pub log: Arc<Log>,
    /// Is told how long each step took.
    pub trace: Option<Arc<Trace>>,
    /// Stops before each step.
    pub step: Option<Stepping>,
}

impl CreateRequest {
    /// A container of a bundle (an absolute path), as `create` without a flag makes it; errors and warnings go
    /// to standard error.
    pub fn new(id: Id, bundle: PathBuf, root: Root) -> Self {
        Self {
            id,
            bundle,
            config: None,
            root,
            data: None,
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            root_change: RootChange::Pivot,
            keyring: Keyring::New,
            preserve_fds: 0,
            overlay: None,
            layers: Vec::new(),
            volumes: Vec::new(),
            cgroup_driver: CgroupDriver::Cgroupfs,
            rootless: Rootless::Auto,
            log: Arc::new(Log::to_stderr("corten")),
            trace: None,
            step: None,
        }
    }
}

/// Who makes the container's cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupDriver {
    /// Corten itself.
    Cgroupfs,
    /// systemd, by D-Bus.
    Systemd,
    /// Nobody: the container stays in the caller's.
    Disabled,
}

/// Whether missing permissions on cgroups are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rootless {
    /// Ignored.
    Yes,
    /// An error.
    No,
    /// As the caller's privileges say.
    Auto,
}

/// How the container gets its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootChange {
    /// pivot_root(2).
    Pivot,
    /// `--no-pivot`: the mount is moved over `/`, for a root on the initial ramfs.
    Move,
}

/// The session keyring of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyring {
    /// A new one.
    New,
    /// `--no-new-keyring`: the caller's.
    Inherited,
}

/// Where writes go that must not reach the root filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// Into memory, gone with the container.
    Temporary,
    /// Into a directory, absolute, which outlives it.
    Directory(PathBuf),
}

/// Whether the command waits for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// It forwards signals and returns the program's status.
    Foreground,
    /// `--detach`.
    Detached,
}

/// What `run` does when the program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Deletes the container.
    Delete,
    /// `--keep`: leaves it stopped.
    Keep,
}

/// Who becomes the parent of orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subreaper {
    /// `run` itself, while it is in the foreground.
    Runtime,
    /// `--no-subreaper`: whoever it was.
    Unchanged,
}

/// `run`.
#[derive(Debug)]
pub struct RunRequest {
    /// The container.
    pub create: CreateRequest,
    /// Whether to wait.
    pub attachment: Attachment,
    /// And then.
    pub at_end: AtEnd,
    /// Meanwhile.
    pub subreaper: Subreaper,
    /// How long the program has after a forwarded SIGTERM until it is killed.
    pub stop_timeout: Option<Duration>,
}

/// `exec`.
#[derive(Debug)]
pub struct ExecRequest {
    /// The container.
    pub id: Id,
    /// Where its state is.
    pub root: Root,
    /// What to execute.
    pub process: ExecProcess,
    /// Gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// Gets a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// Gets the number of the process.
    pub pid_file: Option<PathBuf>,
    /// Whether to wait.
    pub attachment: Attachment,
    /// As in [`CreateRequest::preserve_fds`].
    pub preserve_fds: u32,
    /// `[controllers:]path` below the container's cgroup, as typed.
    pub cgroups: Vec<String>,
    /// What to do in a paused container.
    pub when_paused: WhenPaused,
    /// As in [`CreateRequest::log`].
    pub log: Arc<Log>,
    /// As in [`CreateRequest::trace`].
    pub trace: Option<Arc<Trace>>,
}

/// Where the process of `exec` is described.
#[derive(Debug)]
pub enum ExecProcess {
    /// `--process FILE`: a process object of the specification, absolute path.
    File(PathBuf),
    /// By flags, over the defaults of the container's config.json.
    Flags(ExecFlags),
}

/// The flags of `exec` that change the defaults.
#[derive(Debug, Default)]
pub struct ExecFlags {
    /// The program and its arguments; at least one.
    pub args: Vec<String>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Added to the environment.
    pub env: Vec<String>,
    /// Attach a pseudo-terminal.
    pub terminal: bool,
    /// uid, and gid if given.
    pub user: Option<(u32, Option<u32>)>,
    /// Added to the groups.
    pub additional_gids: Vec<u32>,
    /// SELinux label.
    pub process_label: Option<String>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// Sets no_new_privs; None leaves it as it is.
    pub no_new_privileges: Option<bool>,
    /// Added to the bounding, effective and permitted sets.
    pub capabilities: Vec<String>,
}

/// What `exec` does in a paused container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenPaused {
    /// Refuses: the process would not run.
    Refuse,
    /// `--ignore-paused`: it runs once the container is resumed.
    Wait,
}

/// `mounts add` and `mounts remove`.
#[derive(Debug)]
pub struct MountsRequest {
    /// The container.
    pub id: Id,
    /// Where its state is.
    pub root: Root,
    /// Which way.
    pub change: Change,
    /// Entries as `mounts` of config.json has them; to remove, their destinations count.
    pub mounts: Vec<Mount>,
    /// As in [`CreateRequest::data`].
    pub data: Option<PathBuf>,
    /// As in [`CreateRequest::log`].
    pub log: Arc<Log>,
}

/// `checkpoint`.
#[derive(Debug)]
pub struct CheckpointRequest {
    /// The container.
    pub id: Id,
    /// Where its state is.
    pub root: Root,
    /// Where the images go, absolute.
    pub image: PathBuf,
    /// Where the log goes, absolute.
    pub work: PathBuf,
    /// Images of an earlier pre-dump, relative to `image`.
    pub parent: Option<PathBuf>,
    /// For criu.
    pub flags: Flags,
    /// What becomes of the container.
    pub after: After,
    /// Is told when the server of lazy pages is ready.
    pub status_fd: Option<RawFd>,
    /// Gets the memory.
    pub page_server: Option<(String, u16)>,
    /// As in [`CreateRequest::log`].
    pub log: Arc<Log>,
}

/// What becomes of a container after its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is deleted.
    Gone,
    /// `--leave-running`.
    Running,
    /// `--pre-dump`: only its memory was saved, and it goes on.
    PreDump,
}

/// `restore`.
#[derive(Debug)]
pub struct RestoreRequest {
    /// The container, as `run` would make it.
    pub run: RunRequest,
    /// Where the images are, absolute.
    pub image: PathBuf,
    /// Where the log goes, absolute.
    pub work: PathBuf,
    /// For criu.
    pub flags: Flags,
}

/// `explain`: the plan of a `create`, without carrying it out.
#[derive(Debug)]
pub struct ExplainRequest {
    /// The container that is not made.
    pub create: CreateRequest,
    /// How to print.
    pub format: ExplainFormat,
    /// How much of it, for people.
    pub look: Look,
    /// Another bundle, absolute: what would change with it is printed.
    pub other: Option<PathBuf>,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The network of a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// One of its own, with loopback alone.
    None,
    /// The host's.
    Host,
}

/// The users of a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserNamespace {
    /// The host's.
    Host,
    /// A namespace whose ids are nobody's on the host.
    Remap,
}

/// `shell --record`.
#[derive(Debug)]
pub struct Recording {
    /// What is recorded.
    pub what: What,
    /// The file that gets the profile.
    pub output: PathBuf,
}

/// `shell`: a throw-away container over a directory of this host.
#[derive(Debug)]
pub struct ShellRequest {
    /// Where the state goes.
    pub root: Root,
    /// Where named volumes live, if there is a place for them.
    pub data: Option<PathBuf>,
    /// The root filesystem, absolute.
    pub rootfs: PathBuf,
    /// As in [`CreateRequest::layers`].
    pub layers: Vec<PathBuf>,
    /// Where writes go.
    pub overlay: Overlay,
    /// As in [`CreateRequest::volumes`].
    pub volumes: Vec<String>,
    /// Added to the environment.
    pub env: Vec<String>,
    /// The program; empty for a shell.
    pub args: Vec<String>,
    /// Bytes, -1 for no limit.
    pub memory: Option<i64>,
    /// Microseconds in a period of 100 milliseconds.
    pub cpu_quota: Option<i64>,
    /// How many processes; -1 for no limit.
    pub pids: Option<i64>,
    /// Whose network.
    pub network: Network,
    /// Whose users.
    pub user_namespace: UserNamespace,
    /// The root filesystem is read-only.
    pub root_is_readonly: bool,
    /// uid, and gid if given.
    pub user: Option<(u32, Option<u32>)>,
    /// Its name.
    pub hostname: String,
    /// Working directory.
    pub cwd: String,
    /// As in [`CreateRequest::cgroup_driver`].
    pub cgroup_driver: CgroupDriver,
    /// As in [`CreateRequest::rootless`].
    pub rootless: Rootless,
    /// What is written down about the program.
    pub recording: Option<Recording>,
    /// As in [`CreateRequest::log`].
    pub log: Arc<Log>,
    /// As in [`CreateRequest::trace`].
    pub trace: Option<Arc<Trace>>,
    /// As in [`CreateRequest::step`].
    pub step: Option<Stepping>,
}
