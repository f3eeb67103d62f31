//! The operations: each one sentence that you would say to a student, and one failure message.
//!
//! An operation holds its arguments as the kernel takes them (C strings, numbers), because init may
//! not allocate. Its `Display` is the sentence: `explain` prints it, and an error is `cannot ` and
//! the sentence. So each begins with a verb and holds no "and".

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::PathBuf;

use crate::cgroups::knobs::Write;
use crate::cgroups::plan::{CgroupPath, Enable};
use crate::cgroups::systemd::plan::{Property, Unit};
use crate::config::{DeviceType, NamespaceType};
use crate::hooks::plan::{Kind, PreparedHook};
use crate::seccomp::Listener;
use crate::sys::mount::{Attributes, Reach};
use crate::sys::process::{CStringArray, CapabilitySets, Limit, SchedAttr};

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The parent, on the host.
    Runtime,
    /// The child, in the container.
    Init,
}

/// A descriptor that is born while the plan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// The container's root directory.
    pub const ROOT: Self = Self(0);
    /// A procfs of the container's pid namespace that nobody else can reach.
    pub const PROC: Self = Self(1);
    /// The container's cgroup directory.
    pub const CGROUP: Self = Self(2);
    /// The socket on which init waits for `start`.
    pub const START: Self = Self(3);
    /// The socket that takes the terminal.
    pub const CONSOLE: Self = Self(4);
    /// The slave side of the terminal.
    pub const TERMINAL: Self = Self(5);
    /// The pidfd of init, in the runtime; of the container's first process, for exec.
    pub const INIT: Self = Self(6);
    /// The mount whose file and directory hide masked paths.
    pub const MASK: Self = Self(7);
    /// The root directory of the host, held across the pivot.
    pub const OLD_ROOT: Self = Self(8);
    /// The program, open.
    pub const PROGRAM: Self = Self(9);
    /// The container's /dev.
    pub const DEV: Self = Self(10);
    /// The file in which hooks of the container read its state.
    pub const HOOK_STATE: Self = Self(11);
    /// The signalfd on which init, waiting for start, hears that it should end.
    pub const REQUESTS: Self = Self(12);
    /// How many have a fixed meaning.
    pub const FIRST_FREE: usize = 13;

    pub(super) fn new(index: usize) -> Self {
        Self(
            u16::try_from(index)
                .expect("a plan has fewer than 65536 slots: it has at most four a mount"),
        )
    }

    /// Index into the table of descriptors.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A place where one half waits until the other one has come as far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Gate {
    /// Init may act as root of its user namespace.
    IdMapsWritten = 1,
    /// The runtime has done to init's namespaces what only the host may.
    HostReady = 2,
    /// All mounts are in place; host hooks may look at them.
    MountsReady = 3,
    /// The hooks that come before pivot_root have run.
    HooksDone = 4,
    /// Init has done everything that can fail.
    Prepared = 5,
    /// The container is recorded as created: init no longer depends on the runtime.
    Recorded = 6,
    /// The system call filter is about to be loaded; its listener will have the number reported.
    ListenerExpected = 7,
    /// The runtime holds the process that init went on in.
    Adopted = 8,
}

impl Gate {
    /// Who lets the other one pass.
    pub fn opener(self) -> Actor {
        match self {
            Self::IdMapsWritten
            | Self::HostReady
            | Self::HooksDone
            | Self::Recorded
            | Self::Adopted => Actor::Runtime,
            Self::MountsReady | Self::Prepared | Self::ListenerExpected => Actor::Init,
        }
    }

    /// What is true once it is open.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::IdMapsWritten => "the id maps are written",
            Self::HostReady => "the host's part is done",
            Self::MountsReady => "the mounts are in place",
            Self::HooksDone => "the hooks before pivot_root have run",
            Self::Prepared => "everything that can fail is done",
            Self::Recorded => "the container is recorded",
            Self::Adopted => "the runtime holds the process that init went on in",
            Self::ListenerExpected => "the system call filter is about to be loaded",
        }
    }
}

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MountPoint {
    /// A directory, made if missing. Symbolic links are followed inside the root.
    Directory,
    /// A directory reached without any symbolic link: for procfs and sysfs, which a link in the
    /// image must never redirect (CVE-2019-19921, CVE-2023-27561).
    OrdinaryDirectory,
    /// What the source is: a directory for a directory, a file for anything else.
    LikeSource,
    /// As LikeSource, but a final symbolic link is itself the mount point.
    LikeSourceNoFollow,
}

/// A filesystem to make with fsopen(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Type: `tmpfs`.
    pub kind: CString,
    /// Source, shown in mountinfo.
    pub source: Option<CString>,
    /// Parameters in order: `size=64m`, `ro`.
    pub parameters: Vec<(CString, Option<CString>)>,
    /// MOUNT_ATTR_*.
    pub attributes: u64,
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text(&self.kind))
    }
}

struct Parameters<'a>(&'a [(CString, Option<CString>)]);

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { " (" } else { "," })?;
            f.write_str(&text(key))?;
            if let Some(value) = value {
                write!(f, "={}", text(value))?;
            }
        }
        if self.0.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

/// One line of an id map: inside, outside, how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// Maps of users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// uid_map.
    pub users: Vec<IdRange>,
    /// gid_map.
    pub groups: Vec<IdRange>,
}

/// In which cgroup init begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birthplace {
    /// The one in its slot (CLONE_INTO_CGROUP).
    Cgroup,
    /// The runtime's, for want of another one.
    Here,
}

impl Birthplace {
    /// The container's own cgroup where there is one.
    pub fn of<T>(cgroup: Option<&T>) -> Self {
        match cgroup {
            Some(_) => Self::Cgroup,
            None => Self::Here,
        }
    }
}

/// Who writes the id maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapWriter {
    /// The runtime itself.
    Runtime,
    /// newuidmap(1) and newgidmap(1), which may map what /etc/subuid grants.
    Programs,
}

/// What is written into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the first side effect: all that `delete` must know.
    Creating,
    /// Init waits for `start`.
    Created,
}

/// What init must have become; compared by it before the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Real, effective and saved.
    pub uid: u32,
    /// Real, effective and saved.
    pub gid: u32,
    /// The three sets of capget(2).
    pub capabilities: CapabilitySets,
    /// The bounding set.
    pub bounding: u64,
    /// PR_GET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
}

/// What init does. No operation allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitOp {
    /// PR_SET_PDEATHSIG, and a look whether the runtime died before it.
    DieWithRuntime,
    /// The opposite, once the record stands.
    OutliveRuntime,
    /// Default dispositions, empty mask: Rust ignores SIGPIPE.
    ResetSignals,
    /// setsid(2): no signal and no terminal of the caller's session reaches the program.
    LeadSession,
    /// prctl(PR_SET_MM_MAP): /proc/self/exe is not the runtime's binary any more (CVE-2019-5736).
    LetGoOfExecutable,
    /// Lets the runtime pass.
    Open(Gate),
    /// Waits for the runtime.
    Await(Gate),
    /// PR_SET_DUMPABLE 0 before anything hostile is joined.
    HideFromTracers,
    /// setns(2) by a descriptor that the runtime opened.
    JoinNamespace {
        namespace: Slot,
        kind: NamespaceType,
        path: CString,
    },
    /// setns(2) by the pidfd of the container's first process, all in one call.
    JoinContainer { namespaces: i32 },
    /// Of init itself, as the host's /proc has it.
    OpenNamespaces { list: Slot },
    /// By inode; the pid namespace is the one in which a child will be born.
    CompareNamespaces {
        own: Slot,
        container: Slot,
        namespaces: i32,
    },
    /// unshare(2).
    Unshare { namespaces: i32 },
    /// clone3(2) once more: the child goes on, the parent is gone.
    ContinueInChild { namespaces: i32 },
    /// setresuid(0), setresgid(0) in a new user namespace.
    BecomeRootOfUserNamespace,
    /// /proc/self/timens_offsets.
    WriteTimeOffset { clock: CString },
    /// setns(2) into the time namespace made for children.
    EnterTimeNamespace,
    /// /proc/self/attr/…: takes effect at the next exec.
    SetExecLabel { file: CString, label: CString },
    /// keyctl(KEYCTL_JOIN_SESSION_KEYRING).
    JoinSessionKeyring { name: CString },
    /// SIOCSIFFLAGS: a new network namespace has a loopback interface that is down.
    RaiseLoopback,
    /// sethostname(2).
    SetHostname(CString),
    /// setdomainname(2).
    SetDomainname(CString),
    /// mount_setattr(2) on `/`, recursive.
    SetHostPropagation(Propagation),
    /// mount_setattr(2) on the mount that the root filesystem lies on.
    MakeParentPrivate { path: CString },
    /// open_tree(2) of the root filesystem, attached onto itself.
    BindRoot { path: CString },
    /// The root that setns(2) into a mount namespace led to.
    OpenRoot,
    /// An overlay of layers, attached where only init sees it.
    MountOverlayRoot { overlay: Overlay },
    /// A filesystem, attached.
    MountFilesystem {
        filesystem: Filesystem,
        destination: CString,
        point: MountPoint,
        keep: Option<Slot>,
    },
    /// A filesystem, detached.
    CreateFilesystem {
        filesystem: Filesystem,
        mount: Slot,
        destination: CString,
    },
    /// The mode of the directory that a tmpfs is going to hide.
    TakeMode { mount: Slot, destination: CString },
    /// Owner and mode of the directory that an empty volume is going to hide, as Docker does.
    OwnVolume { mount: Slot, destination: CString },
    /// Copies what a tmpfs is going to hide into it.
    CopyUp { mount: Slot, destination: CString },
    /// open_tree(2).
    CloneTree {
        source: CString,
        reach: Reach,
        mount: Slot,
        follow: Follow,
    },
    /// mount_setattr(2) on a detached mount.
    SetAttributes {
        mount: Slot,
        reach: Reach,
        attributes: Attributes,
    },
    /// mount_setattr(2) with MOUNT_ATTR_IDMAP on a detached mount.
    MapIds {
        mount: Slot,
        reach: Reach,
        namespace: Slot,
    },
    /// move_mount(2).
    AttachTree {
        mount: Slot,
        destination: CString,
        point: MountPoint,
    },
    /// mount_setattr(2) and fsconfig(2) on what is mounted there.
    Remount {
        destination: CString,
        attributes: Attributes,
        parameters: Vec<(CString, Option<CString>)>,
    },
    /// mount_setattr(2): what is mounted there becomes read-only, once everything in it is in place.
    ReadonlyMount(CString),
    /// A procfs that is attached nowhere.
    OpenProc,
    /// openat2(2) of /dev.
    OpenDev,
    /// mknodat(2); what exists must be the same.
    MakeDevice { path: CString, node: Node },
    /// symlinkat(2) below /dev.
    MakeDeviceLink { name: CString, target: CString },
    /// mkdirat(2) of process.cwd, if missing.
    MakeWorkingDirectory(CString),
    /// The tmpfs that masked paths are covered from, attached to the host's root as init sees it.
    PrepareMask,
    /// pivot_root(2).
    PivotRoot,
    /// MS_MOVE and chroot(2), for an initramfs.
    ChangeRoot,
    /// umount2(2) of the host's root.
    DetachOldRoot,
    /// Covers a path.
    MaskPath(CString),
    /// Binds a path onto itself, read-only.
    ReadonlyPath(CString),
    /// mount_setattr(2) on the root.
    ReadonlyRoot,
    /// mount_setattr(2) on the root.
    SetRootPropagation(Propagation),
    /// A file below /proc/sys, through the private procfs.
    WriteSysctl { path: CString, value: CString },
    /// prlimit(2).
    SetLimit { limit: Limit, name: &'static str },
    /// sched_setattr(2).
    SetScheduler { attr: SchedAttr, policy: CString },
    /// ioprio_set(2).
    SetIoPriority(u32),
    /// set_mempolicy(2).
    SetMemoryPolicy { mode: u32, nodes: Vec<u64> },
    /// sched_setaffinity(2).
    SetAffinity { mask: Vec<u64>, list: CString },
    /// personality(2).
    SetPersonality(u64),
    /// A pseudo-terminal of the container's devpts becomes stdio.
    OpenTerminal { rows: u16, columns: u16, uid: u32 },
    /// The terminal, bound on /dev/console.
    AttachConsole,
    /// fchown(2) of stdio.
    OwnStdio { uid: u32, gid: u32 },
    /// chdir(2), then a look that it is below the root.
    ChangeDirectory(CString),
    /// PR_CAPBSET_DROP of all but these.
    DropBounding { keep: u64 },
    /// PR_SET_KEEPCAPS.
    KeepCapabilities,
    /// setgroups(2).
    SetGroups(Vec<u32>),
    /// setresgid(2).
    SetGid(u32),
    /// setresuid(2).
    SetUid(u32),
    /// umask(2).
    SetUmask(u32),
    /// capset(2).
    SetCapabilities(CapabilitySets),
    /// PR_CAP_AMBIENT_RAISE.
    RaiseAmbient(u64),
    /// PR_SET_NO_NEW_PRIVS.
    ForbidNewPrivileges,
    /// HOME from the container's /etc/passwd.
    FindHome { uid: u32 },
    /// The descriptor that the listener is going to have is told.
    AnnounceListener,
    /// The program is looked up and can be executed.
    FindProgram {
        name: CString,
        candidates: Vec<CString>,
    },
    /// What init became is what was planned.
    Attest(Attestation),
    /// close_range(2): all but stdio and this many more close at exec.
    KeepDescriptors(u32),
    /// Waits on the start socket.
    AwaitStart,
    /// signalfd(2) for the signals that ask a program to end: the first process of a pid namespace gets none
    /// that it has not asked for.
    ListenForRequests,
    /// A startContainer hook.
    RunHook(Box<PreparedHook>),
    /// seccomp(2).
    LoadFilter {
        instructions: Vec<seccompiler::sock_filter>,
        flags: u64,
    },
    /// There is no program: `start` is refused (runtime.md, Start).
    RefuseStart,
    /// execve(2).
    Execute {
        args: CStringArray,
        env: CStringArray,
    },
}

/// Whether a final symbolic link is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It is.
    Links,
    /// The link itself is meant.
    Nothing,
}

/// MS_SHARED and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// MS_SHARED
    Shared,
    /// MS_SLAVE
    Slave,
    /// MS_PRIVATE
    Private,
    /// MS_UNBINDABLE
    Unbindable,
}

impl Propagation {
    /// For mount_setattr(2).
    pub fn flag(self) -> u64 {
        match self {
            Self::Shared => libc::MS_SHARED,
            Self::Slave => libc::MS_SLAVE,
            Self::Private => libc::MS_PRIVATE,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }

    /// The specification's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Slave => "slave",
            Self::Private => "private",
            Self::Unbindable => "unbindable",
        }
    }
}

/// An overlayfs root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Lower layers, uppermost first.
    pub layers: Vec<Layer>,
    /// Where writes go.
    pub upper: Upper,
}

/// A lower layer of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// On the host.
    pub path: CString,
    /// A detached copy of it with mapped ids, where the container has a user namespace.
    pub mapped: Option<Slot>,
}

/// Where the writes of an overlay go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// A tmpfs that dies with the container.
    Tmpfs,
    /// `upper` and `work` below this directory, kept.
    Directory(CString),
}

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Character, block or fifo.
    pub kind: DeviceType,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What the runtime does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeOp {
    /// mkdir(2) of the state directory, locked.
    KeepConfiguration,
    /// state.json, atomically.
    Record(Stage),
    /// The text of the next record beside it, while init is at work.
    PrepareRecord,
    /// The listening socket on which init waits for `start`.
    ListenForStart,
    /// connect(2).
    ConnectConsole { path: CString },
    /// A socket pair in its place, when the runtime itself plays the terminal.
    PairConsole,
    /// A named volume's directory.
    CreateVolume { name: String },
    /// A directory below the state directory or the overlay's: upper and work.
    CreateDirectory { path: CString },
    /// mkdir(2) below the cgroup mount, controllers enabled.
    /// SetUnitProperties of systemd.
    SetProperties {
        unit: String,
        properties: Vec<Property>,
    },
    /// StartTransientUnit of systemd, which makes the cgroup.
    StartUnit {
        path: CgroupPath,
        unit: Box<Unit>,
        enable: Vec<Enable>,
    },
    CreateCgroup {
        path: CgroupPath,
        enable: Vec<Enable>,
    },
    /// One file of the cgroup.
    WriteCgroup(Write),
    /// BPF_PROG_LOAD, BPF_PROG_ATTACH.
    AttachDeviceProgram(crate::cgroups::devices::DeviceProgram),
    /// chown(2) of the cgroup to the container's user.
    DelegateCgroup { uid: u32 },
    /// mkdir(2) of a group of resctrl that is the container's own.
    MakeResctrlGroup { path: PathBuf },
    /// One that must be there.
    FindResctrlGroup { path: PathBuf },
    /// One that others may use too; if it is there, it must have these lines.
    ShareResctrlGroup {
        path: PathBuf,
        expected: Vec<String>,
    },
    /// What a group of resctrl may have.
    WriteSchemata { path: PathBuf, lines: Vec<String> },
    /// The process becomes one of a group's tasks.
    EnterResctrlGroup { path: PathBuf },
    /// open(2) of a namespace file, its kind checked.
    OpenNamespace {
        path: CString,
        kind: NamespaceType,
        namespace: Slot,
    },
    /// setns(2) of the runtime, for its next child.
    EnterPidNamespace { namespace: Slot },
    /// setns(2) back.
    LeavePidNamespace,
    /// fstatvfs(3): fails where the copied mount has one of the flags (MOUNT_ATTR_*) that init is going to
    /// clear. The kernel would not let a user namespace do so, had it copied the mount itself.
    RespectFlags { mount: Slot, clear: u64 },
    /// A user namespace made only to hold id maps.
    MakeUserNamespace { maps: IdMaps, namespace: Slot },
    /// open_tree(2).
    CloneTree {
        source: CString,
        reach: Reach,
        mount: Slot,
        follow: Follow,
    },
    /// mount_setattr(2) with MOUNT_ATTR_IDMAP on a detached mount.
    MapIds {
        mount: Slot,
        reach: Reach,
        namespace: Slot,
    },
    /// pidfd_open(2) of the container's first process, and its cgroup or one below it, for exec.
    OpenContainer { cgroup: Option<String> },
    /// clone3(2).
    StartInit {
        namespaces: i32,
        birthplace: Birthplace,
    },
    /// The child that goes on after ContinueInChild.
    AdoptInit,
    /// uid_map, gid_map, setgroups.
    WriteIdMaps { maps: IdMaps, writer: MapWriter },
    /// A user namespace that was joined must have the maps of the configuration.
    CompareIdMaps(IdMaps),
    /// /proc/PID/oom_score_adj.
    SetOomScore(i32),
    /// sched_setaffinity(2) of the runtime, which init inherits.
    SetAffinity { mask: Vec<u64>, list: CString },
    /// prlimit(2) on init.
    SetLimit { limit: Limit, name: &'static str },
    /// The network namespace that init was born in.
    OpenNetwork { network: Slot },
    /// An interface of the runtime's network namespace, with its addresses.
    MoveInterface {
        network: Slot,
        name: CString,
        inside: CString,
    },
    /// Lets init pass.
    Open(Gate),
    /// Waits for init.
    Await(Gate),
    /// A hook.
    RunHook {
        hook: PreparedHook,
        kind: Kind,
        namespaces: i32,
    },
    /// memfd_create(2) for the state that startContainer hooks read.
    OpenHookState,
    /// The state, now that the pid is known.
    WriteHookState,
    /// pidfd_getfd(2) of the listener, sent to the agent.
    PassListener(Listener),
    /// The terminal's master side, when the runtime plays the terminal.
    ReceiveTerminal,
    /// Namespaces of the child compared with the container's.
    VerifyNamespaces { namespaces: i32 },
    /// criu, in a mount namespace of its own, up to the container's namespaces.
    StartRestore,
    /// All but their first step.
    RestoreProcesses,
    /// With those at the checkpoint.
    CompareMounts,
    /// criu lets go of them.
    ResumeProcesses,
    /// For init, which compares where the runtime may not look.
    OpenNamespaces { list: Slot },
    /// Decimal, no newline, atomic.
    WritePidFile { path: CString },
    /// SCM_RIGHTS.
    SendPidfd { path: CString },
    /// A socket in the directory that the container sees.
    ListenForReadiness,
    /// What the program says there is passed on to the service manager.
    PassReadiness,
    /// Waits until the program was executed: the sockets of init close.
    AwaitExecution,
}

/// A C string for people.
pub fn text(string: &CStr) -> std::borrow::Cow<'_, str> {
    string.to_string_lossy()
}

struct Namespaces(i32);

/// Names of CLONE_NEW* flags.
pub const NAMESPACE_FLAGS: [(i32, &str); 8] = [
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNET, "network"),
    (libc::CLONE_NEWNS, "mount"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
    (libc::CLONE_NEWTIME, "time"),
];

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = NAMESPACE_FLAGS
            .iter()
            .filter(|(flag, _)| self.0 & flag != 0)
            .map(|(_, name)| *name)
            .collect();
        match names.as_slice() {
            [] => f.write_str("no namespaces"),
            [one] => write!(f, "the {one} namespace"),
            [first @ .., last] => write!(f, "the {}, {last} namespaces", first.join(", ")),
        }
    }
}

struct Attrs(u64, u64);

/// MOUNT_ATTR_* in words of mount(8).
const ATTRIBUTE_NAMES: [(u64, &str); 8] = [
    (libc::MOUNT_ATTR_RDONLY, "ro"),
    (libc::MOUNT_ATTR_NOSUID, "nosuid"),
    (libc::MOUNT_ATTR_NODEV, "nodev"),
    (libc::MOUNT_ATTR_NOEXEC, "noexec"),
    (libc::MOUNT_ATTR_NOATIME, "noatime"),
    (libc::MOUNT_ATTR_STRICTATIME, "strictatime"),
    (libc::MOUNT_ATTR_NODIRATIME, "nodiratime"),
    (libc::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

impl fmt::Display for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |bits: u64| {
            ATTRIBUTE_NAMES
                .iter()
                .filter(move |(bit, _)| bits & bit != 0)
                .map(|(_, name)| *name)
        };
        // Of the atime modes, which are one field, the one that is set replaces the one cleared.
        let cleared = self.1 & !libc::MOUNT_ATTR__ATIME;
        let words: Vec<String> = names(self.0)
            .map(str::to_owned)
            .chain(names(cleared).map(|name| format!("not {name}")))
            .collect();
        f.write_str(&words.join(","))
    }
}

fn capabilities(bits: u64) -> String {
    let mut held: Vec<caps::Capability> = caps::all()
        .into_iter()
        .filter(|capability| bits & capability.bitmask() != 0)
        .collect();
    held.sort_unstable_by_key(|capability| capability.index());
    if held.is_empty() {
        return "none".to_owned();
    }
    let name =
        |capability: &caps::Capability| capability.to_string().replace("CAP_", "").to_lowercase();
    held.iter().map(name).collect::<Vec<_>>().join(",")
}

impl fmt::Display for InitOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithRuntime => f.write_str("die if the runtime dies"),
            Self::OutliveRuntime => f.write_str("go on when the runtime is gone"),
            Self::ResetSignals => f.write_str("reset signal dispositions"),
            Self::LeadSession => f.write_str("lead a session of its own"),
            Self::LetGoOfExecutable => f.write_str("let go of the runtime's executable"),
            Self::Open(gate) => write!(f, "tell the runtime that {}", gate.meaning()),
            Self::Await(gate) => write!(f, "wait until {}", gate.meaning()),
            Self::HideFromTracers => f.write_str("hide from tracers inside the container"),
            Self::JoinNamespace { kind, path, .. } => {
                write!(
                    f,
                    "join the {} namespace {}",
                    namespace_name(*kind),
                    text(path)
                )
            }
            Self::JoinContainer { namespaces } => {
                write!(f, "join {} of the container", Namespaces(*namespaces))
            }
            Self::OpenNamespaces { .. } => f.write_str("open the list of its own namespaces"),
            Self::CompareNamespaces { namespaces, .. } => write!(
                f,
                "compare {} with the container's",
                Namespaces(*namespaces)
            ),
            Self::Unshare { namespaces } => write!(f, "make {}", Namespaces(*namespaces)),
            Self::ContinueInChild { namespaces: 0 } => {
                f.write_str("go on in a child, inside the pid namespace")
            }
            Self::ContinueInChild { namespaces } => {
                write!(f, "go on in a child with {} new", Namespaces(*namespaces))
            }
            Self::BecomeRootOfUserNamespace => f.write_str("become root of the user namespace"),
            Self::WriteTimeOffset { clock } => write!(f, "set the clock offset {}", text(clock)),
            Self::EnterTimeNamespace => f.write_str("enter the time namespace"),
            Self::SetExecLabel { file, label } => {
                write!(f, "set the label {} in {}", text(label), text(file))
            }
            Self::JoinSessionKeyring { name } => {
                write!(f, "join the session keyring {}", text(name))
            }
            Self::RaiseLoopback => f.write_str("bring the loopback interface up"),
            Self::SetHostname(name) => write!(f, "set the hostname {}", text(name)),
            Self::SetDomainname(name) => write!(f, "set the domain name {}", text(name)),
            Self::SetHostPropagation(propagation) => {
                write!(f, "make the host's mounts {} in here", propagation.name())
            }
            Self::MakeParentPrivate { path } => {
                write!(f, "make the mount that holds {} private", text(path))
            }
            Self::BindRoot { path } => {
                write!(f, "bind the root filesystem {} onto itself", text(path))
            }
            Self::OpenRoot => f.write_str("open the root of the mount namespace"),
            Self::MountOverlayRoot { overlay } => {
                let layers: Vec<_> = overlay
                    .layers
                    .iter()
                    .map(|layer| text(&layer.path))
                    .collect();
                write!(f, "mount an overlay of {}", layers.join(":"))?;
                match &overlay.upper {
                    Upper::Tmpfs => f.write_str(" with a throw-away upper layer"),
                    Upper::Directory(path) => write!(f, " with the upper layer in {}", text(path)),
                }
            }
            Self::MountFilesystem {
                filesystem,
                destination,
                ..
            } => {
                write!(
                    f,
                    "mount {filesystem} on {}{}",
                    text(destination),
                    Parameters(&filesystem.parameters)
                )
            }
            Self::CreateFilesystem {
                filesystem,
                destination,
                ..
            } => write!(
                f,
                "make a {filesystem} for {}{}",
                text(destination),
                Parameters(&filesystem.parameters)
            ),
            Self::TakeMode { destination, .. } => {
                write!(f, "give it the mode of {}", text(destination))
            }
            Self::OwnVolume { destination, .. } => {
                write!(
                    f,
                    "give the volume, if it is empty, the owner of {}",
                    text(destination)
                )
            }
            Self::CopyUp { destination, .. } => {
                write!(f, "copy what is in {} into it", text(destination))
            }
            Self::CloneTree { source, .. } => write!(f, "take a detached copy of {}", text(source)),
            Self::SetAttributes {
                attributes, reach, ..
            } => set_attributes(f, *attributes, *reach),
            Self::MapIds { .. } => f.write_str("map its ids"),
            Self::AttachTree { destination, .. } => write!(f, "mount it on {}", text(destination)),
            Self::Remount {
                destination,
                attributes,
                parameters,
            } => write!(
                f,
                "remount {} {}{}",
                text(destination),
                Attrs(attributes.set, attributes.clear),
                Parameters(parameters)
            ),
            Self::OpenProc => f.write_str("open a procfs that nobody else can reach"),
            Self::OpenDev => f.write_str("open /dev"),
            Self::MakeDevice { path, node } => match node.kind {
                DeviceType::Fifo => write!(f, "make the fifo {}", text(path)),
                _ => write!(
                    f,
                    "make the device {} ({}:{})",
                    text(path),
                    node.major,
                    node.minor
                ),
            },
            Self::MakeDeviceLink { name, target } => {
                write!(f, "link /dev/{} to {}", text(name), text(target))
            }
            Self::MakeWorkingDirectory(path) => {
                write!(f, "make the directory {} if there is none", text(path))
            }
            Self::PrepareMask => f.write_str("prepare an empty file to hide paths behind"),
            Self::PivotRoot => f.write_str("pivot into the root filesystem"),
            Self::ChangeRoot => f.write_str("move the root filesystem to /"),
            Self::DetachOldRoot => f.write_str("let go of the host's root"),
            Self::MaskPath(path) => write!(f, "hide {}", text(path)),
            Self::ReadonlyMount(path) => write!(f, "make {} read-only", text(path)),
            Self::ReadonlyPath(path) => write!(f, "make {} read-only", text(path)),
            Self::ReadonlyRoot => f.write_str("make the root filesystem read-only"),
            Self::SetRootPropagation(propagation) => {
                write!(f, "make the root filesystem {}", propagation.name())
            }
            Self::WriteSysctl { path, value } => {
                write!(
                    f,
                    "set the kernel parameter {} to {}",
                    text(path).trim_start_matches("sys/"),
                    text(value)
                )
            }
            Self::SetLimit { limit, name } => limit_sentence(f, limit, name),
            Self::SetScheduler { policy, .. } => write!(f, "set the scheduler {}", text(policy)),
            Self::SetIoPriority(value) => {
                write!(f, "set the I/O priority {}.{}", value >> 13, value & 0x1fff)
            }
            Self::SetMemoryPolicy { mode, .. } => {
                write!(f, "set the memory policy {}", mode & 0xfff)
            }
            Self::SetAffinity { list, .. } => write!(f, "run on CPUs {}", text(list)),
            Self::SetPersonality(persona) => write!(f, "set the personality {persona:#x}"),
            Self::OpenTerminal { .. } => f.write_str("open a terminal"),
            Self::AttachConsole => f.write_str("mount the terminal on /dev/console"),
            Self::OwnStdio { uid, gid } => write!(f, "give stdio to {uid}:{gid}"),
            Self::ChangeDirectory(path) => {
                write!(f, "chdir to cwd ({:?}) set in config.json", text(path))
            }
            Self::DropBounding { keep } => {
                write!(
                    f,
                    "drop capabilities from the bounding set, all but {}",
                    capabilities(*keep)
                )
            }
            Self::KeepCapabilities => f.write_str("keep capabilities across the change of user"),
            Self::SetGroups(groups) => write!(f, "set the supplementary groups {groups:?}"),
            Self::SetGid(gid) => write!(f, "become group {gid}"),
            Self::SetUid(uid) => write!(f, "become user {uid}"),
            Self::SetUmask(mask) => write!(f, "set the umask {mask:04o}"),
            Self::SetCapabilities(sets) => {
                write!(f, "keep the capabilities {}", capabilities(sets.permitted))
            }
            Self::RaiseAmbient(bits) => {
                write!(f, "make ambient the capabilities {}", capabilities(*bits))
            }
            Self::ForbidNewPrivileges => f.write_str("forbid new privileges"),
            Self::FindHome { uid } => write!(f, "look up the home directory of user {uid}"),
            Self::AnnounceListener => f.write_str("tell where the seccomp listener is going to be"),
            Self::FindProgram { name, .. } => write!(f, "find the program {}", text(name)),
            Self::Attest(_) => f.write_str("compare what init became with the plan"),
            Self::KeepDescriptors(0) => f.write_str("close all descriptors but stdio at exec"),
            Self::KeepDescriptors(count) => write!(
                f,
                "close all descriptors but stdio and {count} more at exec"
            ),
            Self::AwaitStart => f.write_str("wait for start"),
            Self::ListenForRequests => f.write_str("listen for requests to end"),
            Self::RunHook(hook) => write!(f, "run the hook {} in the container", text(&hook.path)),
            Self::LoadFilter { instructions, .. } => {
                write!(
                    f,
                    "load the system call filter of {} instructions",
                    instructions.len()
                )
            }
            Self::RefuseStart => f.write_str("refuse to start without a process"),
            Self::Execute { args, .. } => {
                let words: Vec<_> = args.strings().iter().map(|word| text(word)).collect();
                write!(f, "execute {}", words.join(" "))
            }
        }
    }
}

fn set_attributes(f: &mut fmt::Formatter<'_>, attributes: Attributes, reach: Reach) -> fmt::Result {
    f.write_str("make it ")?;
    let mut words = Attrs(attributes.set, attributes.clear).to_string();
    for propagation in [
        Propagation::Shared,
        Propagation::Slave,
        Propagation::Private,
        Propagation::Unbindable,
    ] {
        if attributes.propagation == propagation.flag() {
            words = if words.is_empty() {
                propagation.name().to_owned()
            } else {
                format!("{words},{}", propagation.name())
            };
        }
    }
    f.write_str(&words)?;
    if reach == Reach::Tree {
        f.write_str(", all below it too")
    } else {
        Ok(())
    }
}

fn limit_sentence(f: &mut fmt::Formatter<'_>, limit: &Limit, name: &str) -> fmt::Result {
    let number = |value: u64| {
        if value == u64::MAX {
            "unlimited".to_owned()
        } else {
            value.to_string()
        }
    };
    write!(
        f,
        "limit {name} to {}:{}",
        number(limit.soft),
        number(limit.hard)
    )
}

/// The specification's word for a kind of namespace.
pub fn namespace_name(kind: NamespaceType) -> &'static str {
    match kind {
        NamespaceType::User => "user",
        NamespaceType::Pid => "pid",
        NamespaceType::Network => "network",
        NamespaceType::Mount => "mount",
        NamespaceType::Ipc => "ipc",
        NamespaceType::Uts => "uts",
        NamespaceType::Cgroup => "cgroup",
        NamespaceType::Time => "time",
    }
}

impl fmt::Display for RuntimeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepConfiguration => f.write_str("keep a copy of config.json beside it"),
            Self::Record(Stage::Creating) => f.write_str("write down what is about to be made"),
            Self::PrepareRecord => f.write_str("prepare the record of a created container"),
            Self::Record(Stage::Created) => f.write_str("write down that the container is created"),
            Self::ListenForStart => f.write_str("make the socket on which start is awaited"),
            Self::ConnectConsole { path } => {
                write!(f, "connect to the console socket {}", text(path))
            }
            Self::PairConsole => f.write_str("make a socket pair for the terminal"),
            Self::CreateVolume { name } => write!(f, "make the volume {name} if there is none"),
            Self::CreateDirectory { path } => write!(f, "make the directory {}", text(path)),
            Self::SetProperties { unit, .. } => write!(f, "tell systemd the limits of {unit}"),
            Self::StartUnit { unit, .. } => {
                write!(f, "have systemd start {} in {}", unit.name, unit.slice)
            }
            Self::CreateCgroup { path, .. } => write!(f, "make the cgroup {}", path.as_str()),
            Self::WriteCgroup(write) => write!(f, "{write}"),
            Self::AttachDeviceProgram(program) => {
                write!(
                    f,
                    "attach the device program of {} instructions",
                    program.instructions.len()
                )
            }
            Self::DelegateCgroup { uid } => write!(f, "give the cgroup to user {uid}"),
            Self::MakeResctrlGroup { path } => write!(f, "make the group {}", path.display()),
            Self::FindResctrlGroup { path } => write!(f, "find the group {}", path.display()),
            Self::ShareResctrlGroup { path, .. } => {
                write!(f, "make the group {} if there is none", path.display())
            }
            Self::WriteSchemata { path, lines } => {
                write!(f, "give {} the shares {}", path.display(), lines.join(" "))
            }
            Self::EnterResctrlGroup { path } => {
                write!(f, "put the process into the group {}", path.display())
            }
            Self::OpenNamespace { path, kind, .. } => {
                write!(
                    f,
                    "open the {} namespace {}",
                    namespace_name(*kind),
                    text(path)
                )
            }
            Self::EnterPidNamespace { .. } => {
                f.write_str("enter the pid namespace for the next child")
            }
            Self::LeavePidNamespace => f.write_str("go back to the own pid namespace"),
            Self::MakeUserNamespace { .. } => {
                f.write_str("make a user namespace that holds the mount's id maps")
            }
            Self::CloneTree { source, .. } => write!(f, "take a detached copy of {}", text(source)),
            Self::RespectFlags { .. } => {
                f.write_str("clear flags of the host's mount in a user namespace")
            }
            Self::MapIds { .. } => f.write_str("map its ids"),
            Self::OpenContainer { cgroup } => match cgroup.as_deref() {
                None | Some("") => f.write_str("open the container's first process"),
                Some(cgroup) => write!(
                    f,
                    "open the container's first process, for its cgroup {cgroup}"
                ),
            },
            Self::StartInit { namespaces: 0, .. } => f.write_str("clone init"),
            Self::StartInit { namespaces, .. } => {
                write!(f, "clone init with {} new", Namespaces(*namespaces))
            }
            Self::AdoptInit => f.write_str("take over the process that goes on as init"),
            Self::WriteIdMaps {
                writer: MapWriter::Runtime,
                ..
            } => f.write_str("write the id maps"),
            Self::WriteIdMaps {
                writer: MapWriter::Programs,
                ..
            } => f.write_str("have newuidmap write the id maps"),
            Self::SetAffinity { list, .. } => write!(f, "start the process on CPUs {}", text(list)),
            Self::CompareIdMaps(_) => {
                f.write_str("compare the id maps of the user namespace with those asked for")
            }
            Self::SetOomScore(score) => write!(f, "set the OOM score adjustment {score}"),
            Self::SetLimit { limit, name } => limit_sentence(f, limit, name),
            Self::OpenNetwork { .. } => f.write_str("open the container's network namespace"),
            Self::MoveInterface { name, inside, .. } if name == inside => {
                write!(f, "move the interface {} into the container", text(name))
            }
            Self::MoveInterface { name, inside, .. } => write!(
                f,
                "move the interface {} into the container as {}",
                text(name),
                text(inside)
            ),
            Self::Open(gate) => write!(f, "tell init that {}", gate.meaning()),
            Self::Await(gate) => write!(f, "wait until {}", gate.meaning()),
            Self::RunHook { hook, kind, .. } => write!(
                f,
                "run the {} hook {}",
                kind.property().trim_start_matches("hooks."),
                text(&hook.path)
            ),
            Self::OpenHookState => {
                f.write_str("make the file in which hooks of the container read its state")
            }
            Self::WriteHookState => f.write_str("write the state for the hooks of the container"),
            Self::PassListener(listener) => {
                write!(f, "pass the seccomp listener to {}", listener.path)
            }
            Self::ReceiveTerminal => f.write_str("receive the terminal"),
            Self::StartRestore => f.write_str("have criu make the namespaces"),
            Self::RestoreProcesses => f.write_str("have criu restore the processes"),
            Self::CompareMounts => f.write_str("compare the mounts with those at the checkpoint"),
            Self::ResumeProcesses => f.write_str("have criu let go of the processes"),
            Self::OpenNamespaces { .. } => {
                f.write_str("open the list of the container's namespaces")
            }
            Self::VerifyNamespaces { namespaces } => {
                write!(
                    f,
                    "compare {} with the container's",
                    Namespaces(*namespaces)
                )
            }
            Self::WritePidFile { path } => write!(f, "write the pid to {}", text(path)),
            Self::SendPidfd { path } => write!(f, "send the pidfd to {}", text(path)),
            Self::ListenForReadiness => {
                f.write_str("make the socket on which the program says that it is ready")
            }
            Self::PassReadiness => f.write_str("pass on that the program is ready"),
            Self::AwaitExecution => f.write_str("wait until the program is executed"),
        }
    }
}
