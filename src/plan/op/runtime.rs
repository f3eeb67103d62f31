//! The operations of the runtime, and their sentences.

mod about;

use std::ffi::CString;
use std::fmt;
use std::path::PathBuf;

use super::words::{Namespaces, limit_sentence};
use super::{Birthplace, Follow, Gate, IdMaps, MapWriter, Slot, Stage, namespace_name, text};
use crate::cgroups::knobs::Write;
use crate::cgroups::plan::{CgroupPath, Enable};
use crate::cgroups::systemd::plan::{Property, Unit};
use crate::config::NamespaceType;
use crate::hooks::plan::{Kind, PreparedHook};
use crate::seccomp::Listener;
use crate::sys::mount::Reach;
use crate::sys::process::Limit;

/// What the runtime does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeOp {
    /// mkdir(2) of the state directory, locked.
    KeepConfiguration,
    /// state.json, atomically.
    Record(Stage),
    /// The text of the next record beside it, while init is at work.
    PrepareRecord,
    /// The socket on which init waits for `start`.
    MakeStartSocket,
    /// bind(2) in the container's directory, listen(2).
    ListenForStart,
    /// connect(2).
    ConnectConsole { path: CString },
    /// A socket pair in its place, when the runtime itself plays the terminal.
    PairConsole,
    /// A named volume's directory.
    CreateVolume { name: String },
    /// A directory below the state directory or the overlay's: upper and work.
    CreateDirectory { path: CString },
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
    /// mkdir(2) below the unit's cgroup, whose first process moves, for controllers to be handed down.
    MakeSubgroup {
        path: CgroupPath,
        enable: Vec<Enable>,
    },
    /// mkdir(2) below the cgroup mount, controllers enabled.
    CreateCgroup {
        path: CgroupPath,
        enable: Vec<Enable>,
    },
    /// One file of the cgroup.
    WriteCgroup(Box<Write>),
    /// BPF_PROG_LOAD, BPF_PROG_ATTACH.
    AttachDeviceProgram(crate::cgroups::devices::DeviceProgram),
    /// chown(2) of the cgroup to the container's user.
    DelegateCgroup { uid: u32 },
    /// mkdir(2) of a cgroup below the container's, whose list of members is opened for init.
    MakeSubcgroup { name: CString, members: Slot },
    /// chown(2) of it.
    DelegateSubcgroup { name: CString, uid: u32 },
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
    /// open(2) of a namespace file. Where the configuration changes what is in it, it may not be the host's.
    OpenNamespace {
        path: CString,
        kind: NamespaceType,
        namespace: Slot,
        must_be_other: bool,
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
    /// open_tree(2), and mount_setattr(2): the copy is no peer of the host's mount.
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
    /// recvmsg(2) of a copy that init has made, where only init sees the source.
    TakeOverTree { mount: Slot },
    /// pidfd_open(2) of the container's first process, and its cgroup or one below it, for exec.
    OpenContainer { cgroup: Option<String> },
    /// clone3(2).
    StartInit {
        namespaces: i32,
        birthplace: Birthplace,
    },
    /// AttachProcessesToUnit of systemd.
    MoveToUnit { unit: String, below: String },
    /// unshare(2) and setns(2) back, while init is at work; init is sent the descriptor.
    HandOverNetwork,
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
        hook: Box<PreparedHook>,
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
    /// Those of the container, to compare with.
    LookAtNamespaces { namespaces: i32 },
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
    /// The detached mount of the executable: init has let go of it.
    DropExecutable,
    /// Waits until the program was executed: the sockets of init close.
    AwaitExecution,
}

impl fmt::Display for RuntimeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepConfiguration => f.write_str("keep a copy of config.json beside it"),
            Self::Record(Stage::Creating) => f.write_str("write down what is about to be made"),
            Self::PrepareRecord => f.write_str("prepare the record of a created container"),
            Self::Record(Stage::Created) => f.write_str("write down that the container is created"),
            Self::MakeStartSocket => f.write_str("make the socket on which start is awaited"),
            Self::ListenForStart => f.write_str("listen for start"),
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
            Self::MakeSubgroup { path, .. } => {
                write!(f, "make the cgroup {} in the unit", path.as_str())
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
            Self::MakeSubcgroup { name, .. } => write!(f, "make the cgroup {} below", text(name)),
            Self::DelegateSubcgroup { name, uid } => {
                write!(f, "give the cgroup {} below to user {uid}", text(name))
            }
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
            Self::OpenNamespace {
                path,
                kind,
                must_be_other,
                ..
            } => {
                let limit = match must_be_other {
                    true => ", which may not be the host's",
                    false => "",
                };
                let (kind, path) = (namespace_name(*kind), text(path));
                write!(f, "open the {kind} namespace {path}{limit}")
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
            Self::TakeOverTree { .. } => f.write_str("take the copy that init has made"),
            Self::OpenContainer { cgroup } => match cgroup.as_deref() {
                None | Some("") => f.write_str("open the container's first process"),
                Some(cgroup) => write!(
                    f,
                    "open the container's first process, for its cgroup {cgroup}"
                ),
            },
            Self::HandOverNetwork => {
                f.write_str("make the network namespace and its loopback interface for init")
            }
            Self::StartInit { namespaces: 0, .. } => f.write_str("clone init"),
            Self::StartInit { namespaces, .. } => {
                write!(f, "clone init with {} new", Namespaces(*namespaces))
            }
            Self::MoveToUnit { unit, .. } => write!(f, "have systemd move init into {unit}"),
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
            Self::LookAtNamespaces { namespaces } => {
                write!(f, "look at the container's {}", Namespaces(*namespaces))
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
            Self::DropExecutable => f.write_str("have the mount of the executable taken apart"),
            Self::AwaitExecution => f.write_str("wait until the program is executed"),
        }
    }
}
