//! The operations of init, and their sentences.

mod about;

use std::ffi::CString;
use std::fmt;

use super::words::{Attrs, Namespaces, Parameters, capabilities, limit_sentence, set_attributes};
use super::{
    Attestation, Filesystem, Follow, Gate, Mode, MountPoint, Node, Overlay, Propagation, Slot,
    Upper, namespace_name, text,
};
use crate::config::{DeviceType, NamespaceType};
use crate::hooks::plan::PreparedHook;
use crate::sys::credentials::CapabilitySets;
use crate::sys::exec::CStringArray;
use crate::sys::mount::{Attributes, Reach};
use crate::sys::process::{Limit, SchedAttr};

/// What init does. No operation allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitOp {
    /// PR_SET_PDEATHSIG, and a look whether the runtime died before it.
    DieWithRuntime,
    /// The opposite, once the record stands.
    OutliveRuntime,
    /// Empty signal mask, umask 0.
    UnblockSignals,
    /// sched_setaffinity(2): to what CPUs the caller keeps itself is its own affair.
    ResetAffinity,
    /// setsid(2): no signal and no terminal of the caller's session reaches the program.
    LeadSession,
    /// prctl(PR_SET_MM_MAP): /proc/self/exe is not the runtime's binary any more (CVE-2019-5736).
    LetGoOfExecutable,
    /// Lets the runtime pass.
    Open(Gate),
    /// Waits for the runtime.
    Await(Gate),
    /// recvmsg(2), setns(2) by the descriptor that came.
    TakeOverNetwork,
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
    /// /proc/self/status of the host, which is asked before the program begins: where there is none, calls tell.
    OpenStatus,
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
    /// write(2) to the cgroup.procs of a cgroup below.
    EnterSubcgroup { name: CString, members: Slot },
    /// /proc/self/attr/…: of what is executed next, or of keys.
    SetLabel { file: CString, label: CString },
    /// keyctl(KEYCTL_JOIN_SESSION_KEYRING).
    JoinSessionKeyring {
        name: CString,
        /// Its owner gets the right to search it.
        opens: bool,
    },
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
        mode: Mode,
    },
    /// Labels a filesystem's root for SELinux, where the filesystem takes no label with its options.
    LabelMount { mount: Slot, label: CString },
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
        attributes: Attributes,
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
    /// sendmsg(2): a copy whose ids only the runtime may map.
    HandOverTree { mount: Slot },
    /// move_mount(2).
    AttachTree {
        mount: Slot,
        destination: CString,
        point: MountPoint,
    },
    /// openat(2) of the /proc of the namespace that init comes from.
    OpenHostProc,
    /// umount2(2) of what is mounted there.
    Unmount(CString),
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
    PivotRoot {
        /// Whether the old root still sends events to the host.
        is_shared: bool,
    },
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
    /// Default dispositions: the runtime ignores SIGPIPE, and its caller may ignore more (nohup).
    ResetSignals,
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
    /// exit_group(2): what there was to do is done.
    End,
    /// execve(2).
    Execute {
        args: CStringArray,
        env: CStringArray,
    },
}

impl fmt::Display for InitOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithRuntime => f.write_str("die if the runtime dies"),
            Self::OutliveRuntime => f.write_str("go on when the runtime is gone"),
            Self::ResetAffinity => f.write_str("run on every CPU that its cgroup has"),
            Self::UnblockSignals => f.write_str("block no signal"),
            Self::ResetSignals => f.write_str("reset signal dispositions"),
            Self::LeadSession => f.write_str("lead a session of its own"),
            Self::LetGoOfExecutable => f.write_str("let go of the runtime's executable"),
            Self::Open(gate) => write!(f, "tell the runtime that {}", gate.meaning()),
            Self::Await(gate) => write!(f, "wait until {}", gate.meaning()),
            Self::TakeOverNetwork => {
                f.write_str("join the network namespace that the runtime has made")
            }
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
            Self::OpenStatus => f.write_str("open its own status"),
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
            Self::EnterSubcgroup { name, .. } => {
                write!(f, "enter the cgroup {} below", text(name))
            }
            Self::SetLabel { file, label } => {
                write!(f, "set the label {} in {}", text(label), text(file))
            }
            Self::JoinSessionKeyring { name, .. } => {
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
                mode,
                ..
            } => {
                let with = match mode {
                    Mode::Own => "",
                    Mode::OfDestination => " with the mode of that",
                };
                let parameters = Parameters(&filesystem.parameters);
                write!(
                    f,
                    "make a {filesystem} for {}{with}{parameters}",
                    text(destination)
                )
            }
            Self::LabelMount { label, .. } => write!(f, "give it the label {}", text(label)),
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
            Self::CloneTree {
                source,
                attributes,
                reach,
                ..
            } => {
                write!(f, "take a detached copy of {}", text(source))?;
                if attributes.is_empty() {
                    return Ok(());
                }
                f.write_str(" and ")?;
                set_attributes(f, *attributes, *reach)
            }
            Self::SetAttributes {
                attributes, reach, ..
            } => set_attributes(f, *attributes, *reach),
            Self::MapIds { .. } => f.write_str("map its ids"),
            Self::HandOverTree { .. } => f.write_str("show it to the runtime"),
            Self::AttachTree { destination, .. } => write!(f, "mount it on {}", text(destination)),
            Self::OpenHostProc => f.write_str("keep the host's /proc at hand"),
            Self::Unmount(destination) => write!(f, "unmount {}", text(destination)),
            Self::End => f.write_str("end"),
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
            Self::PivotRoot { .. } => f.write_str("pivot into the root filesystem"),
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
