//! Why init does each of its operations, where to read on, and by which system calls.

use super::InitOp;
use crate::plan::op::About;
use crate::plan::op::about::table;

impl InitOp {
    /// Its row of the table.
    pub fn about(&self) -> &'static About {
        table! { self;
            Self::DieWithRuntime => Birth, "PR_SET_PDEATHSIG(2const)", [prctl getppid],
                "A runtime that is killed half-way must not leave a half-made container behind.";
            Self::OutliveRuntime => Program, "PR_SET_PDEATHSIG(2const)", [prctl],
                "From here on the container is recorded and depends on the runtime no more.";
            Self::UnblockSignals => Birth, "signal(7)", [rt_sigprocmask umask],
                "A program inherits blocked signals, and would not notice that it should end.";
            Self::ResetAffinity => Birth, "sched_setaffinity(2)", [sched_setaffinity],
                "An engine that keeps itself to some CPUs does not mean its containers; those have linux.resources.cpu.cpus.";
            Self::LeadSession => Birth, "setsid(2)", [setsid],
                "No signal and no terminal of the caller's session may reach the container.";
            Self::LetGoOfExecutable => Birth, "PR_SET_MM(2const)", [prctl mprotect],
                "Through /proc/self/exe a container could overwrite the runtime on the host (CVE-2019-5736).";
            Self::Open(_) => Anywhere, "socketpair(2)", [write],
                "The two halves run at the same time; this is where the other one may go on.";
            Self::Await(_) => Anywhere, "socketpair(2)", [read],
                "The two halves run at the same time; what comes next needs what the other one did.";
            Self::HideFromTracers => Birth, "PR_SET_DUMPABLE(2const)", [prctl],
                "Processes of the container could trace init as soon as it is among them, and use its descriptors.";
            Self::JoinNamespace { .. } => Namespaces, "setns(2)", [setns],
                "The configuration names a namespace that exists, to share it with whoever is in it.";
            Self::JoinContainer { .. } => Namespaces, "setns(2)", [setns openat],
                "A second program of a container has to see what the first one sees.";
            Self::OpenNamespaces { .. } => Namespaces, "proc_pid_ns(5)", [openat],
                "After the join /proc is the container's, and could lie.";
            Self::OpenStatus => Birth, "proc_pid_status(5)", [openat],
                "It tells what init became, before the program begins; after the join /proc is the container's, and could lie.";
            Self::CompareNamespaces { .. } => Namespaces, "proc_pid_ns(5)", [openat fstat],
                "A join that went wrong unnoticed would be a program outside of its container.";
            Self::TakeOverNetwork => Namespaces, "setns(2)", [recvmsg setns],
                "From here on what init does belongs to the container's network: sysfs, kernel parameters, the program.";
            Self::Unshare { .. } => Namespaces, "unshare(2)", [unshare],
                "This namespace remembers where it was made, so it is made where init is, not where the runtime is.";
            Self::ContinueInChild { .. } => Namespaces, "clone(2)", [clone3 sendmsg exit_group],
                "Namespaces belong to the user namespace they are made in, and only a child is in a new pid namespace.";
            Self::BecomeRootOfUserNamespace => Namespaces, "user_namespaces(7)", [setresgid setresuid],
                "Until its id is mapped and taken, init is nobody there, and what it makes would be nobody's.";
            Self::WriteTimeOffset { .. } => Namespaces, "time_namespaces(7)", [openat write],
                "Clocks of a time namespace can be moved only while nobody is in it.";
            Self::EnterTimeNamespace => Namespaces, "time_namespaces(7)", [openat setns],
                "unshare(2) makes a time namespace for children alone; init wants to be in it itself.";
            Self::EnterSubcgroup { .. } => Namespaces, "cgroups(7)", [write],
                "The cgroup above is then free of processes, and the container may hand its controllers down.";
            Self::SetLabel { .. } => Birth, "proc_pid_attr(5)", [openat write],
                "The security module confines the program from its first instruction; /proc is still the host's here.";
            Self::JoinSessionKeyring { .. } => Namespaces, "session-keyring(7)", [keyctl],
                "Keys are in no namespace: without a keyring of its own the container would share the caller's.";
            Self::RaiseLoopback => Namespaces, "netdevice(7)", [socket ioctl],
                "A new network namespace has nothing but a loopback interface that is down; programs expect 127.0.0.1.";
            Self::SetHostname(_) => Namespaces, "sethostname(2)", [sethostname],
                "The uts namespace holds a name of its own; the host keeps its.";
            Self::SetDomainname(_) => Namespaces, "setdomainname(2)", [setdomainname],
                "The uts namespace holds an NIS domain name of its own.";
            Self::SetHostPropagation(_) => Mounts, "mount_namespaces(7)", [mount_setattr],
                "A new mount namespace is a copy whose mounts still travel to the host unless this stops them.";
            Self::MakeParentPrivate { .. } => Mounts, "pivot_root(2)", [mount_setattr],
                "pivot_root(2) refuses a root whose parent mount is shared.";
            Self::BindRoot { .. } => Mounts, "pivot_root(2)", [open_tree move_mount faccessat2],
                "pivot_root(2) wants a mount point, and the root filesystem is a plain directory.";
            Self::OpenRoot => Mounts, "openat2(2)", [openat],
                "Everything after this finds its way from this descriptor, not from a name.";
            Self::MountOverlayRoot { .. } => Mounts, "overlayfs (kernel documentation)",
                [mount fsopen fsconfig fsmount move_mount open_tree openat mkdirat fstat fchmod fchownat umount2 faccessat2],
                "Several read-only layers become one tree, and writes go to a layer of their own.";
            Self::MountFilesystem { .. } => Mounts, "mount(2)",
                [mount fchdir fsopen fsconfig fsmount move_mount openat2 openat mkdirat fstat readlinkat read],
                "It is mounted on a directory that was found without leaving the root and is named by its descriptor alone.";
            Self::CreateFilesystem { .. } => Mounts, "fsopen(2)", [fsopen fsconfig fsmount openat2 fstat read],
                "It is filled before anybody can see it, so it is attached nowhere yet.";
            Self::LabelMount { .. } => Mounts, "setxattr(2)", [openat fsetxattr],
                "The kernel made this filesystem with the ipc namespace, and takes no label for it as a mount option any more.";
            Self::OwnVolume { .. } => Mounts, "fchownat(2)",
                [fchownat fchmod openat2 openat fstat getdents64],
                "An empty volume belongs to whom the image says, as Docker does it; a used one is left alone.";
            Self::CopyUp { .. } => Mounts, "copy_file_range(2)",
                [sendfile openat2 openat getdents64 fstat mkdirat readlinkat symlinkat fchownat fchmod],
                "What the image has there would be hidden by the tmpfs; the option tmpcopyup wants it to be seen.";
            Self::CloneTree { .. } => Mounts, "open_tree(2)", [open_tree open_tree_attr mount_setattr],
                "A detached copy can be changed before it is attached, and its source cannot be swapped in between.";
            Self::SetAttributes { .. } => Mounts, "mount_setattr(2)", [mount_setattr],
                "A bind mount takes its flags from its source; these are the ones asked for, set before anybody sees it.";
            Self::MapIds { .. } => Mounts, "mount_setattr(2)", [mount_setattr],
                "Files keep their owners on the disk and appear with the container's ids.";
            Self::HandOverTree { .. } => Mounts, "mount_setattr(2)", [sendmsg],
                "Only init sees its source, and only the runtime has the privileges over its filesystem that mapping takes.";
            Self::AttachTree { .. } => Mounts, "move_mount(2)",
                [move_mount openat2 openat mkdirat mknodat fstat readlinkat],
                "The mount becomes visible at its place, found without leaving the root.";
            Self::OpenHostProc => Birth, "proc_pid_fd(5)", [openat],
                "A mount is taken away by the descriptor that found it, and only through a procfs can umount2(2) be given one.";
            Self::Unmount(_) => Mounts, "umount2(2)", [umount2 openat2 fstat fchdir],
                "It leaves the container's tree; who has a file of it open keeps that.";
            Self::End => Program, "exit_group(2)", [exit_group],
                "There is no program to become: this process was here to change mounts.";
            Self::Remount { .. } => Mounts, "mount_setattr(2)",
                [mount_setattr fspick fsconfig openat2 openat fstat read],
                "The mount is there already; only its options change.";
            Self::OpenProc => Mounts, "fsopen(2)", [fsopen fsconfig fsmount],
                "The image may have anything at /proc; kernel parameters are written through one that nobody can cover.";
            Self::OpenDev => Devices, "openat2(2)", [openat2 openat mkdirat],
                "Nodes are made by this descriptor: a link at /dev in the image leads nowhere (CVE-2026-41579).";
            Self::MakeDevice { .. } => Devices, "mknodat(2)", [mknodat fchownat fstat openat2 openat],
                "Programs expect the device, and in a container nobody else makes it.";
            Self::MakeDeviceLink { .. } => Devices, "symlinkat(2)", [symlinkat unlinkat],
                "Programs expect the name; the specification lists it (Default Devices).";
            Self::MakeWorkingDirectory(_) => Mounts, "mkdirat(2)", [mkdirat openat2 openat fstat readlinkat],
                "Engines name working directories that images do not have, and expect them to be made.";
            Self::PrepareMask => Root, "mount_setattr(2)",
                [fsopen fsconfig fsmount mkdirat mknodat move_mount mount_setattr],
                "The container's own /dev/null could be anything; what hides paths is made by the runtime (CVE-2025-31133).";
            Self::PivotRoot { .. } => Root, "pivot_root(2)", [pivot_root openat fchdir],
                "chroot(2) can be left again; after this the host's files are in no mount that the container has.";
            Self::ChangeRoot => Root, "switch_root(8)", [mount fchdir chroot chdir],
                "The initial ramfs cannot be pivoted, so the root filesystem is moved over it.";
            Self::DetachOldRoot => Root, "umount2(2)", [umount2 fchdir mount_setattr chdir],
                "The last way to the host's files goes, after the last operation that needed one.";
            Self::MaskPath(_) => Root, "open_tree(2)", [open_tree move_mount openat2 fstat],
                "Files of the kernel that are not in any namespace would tell of the host, or change it.";
            Self::ReadonlyMount(_) => Root, "mount_setattr(2)",
                [mount_setattr openat2],
                "It is made read-only last, because what lies in it had to be put there first.";
            Self::ReadonlyPath(_) => Root, "mount_setattr(2)",
                [open_tree_attr open_tree mount_setattr move_mount openat2 fstat],
                "Here settings of the whole machine can be changed, and root in the container may not.";
            Self::ReadonlyRoot => Root, "mount_setattr(2)", [mount_setattr],
                "A program that cannot change its own files cannot be made to stay infected.";
            Self::SetRootPropagation(_) => Root, "mount_namespaces(7)", [mount_setattr],
                "It says whether mounts that are made later travel between this tree and its copies.";
            Self::WriteSysctl { .. } => Root, "proc_sys(5)", [openat2 write],
                "Some kernel parameters are in a namespace, and so can differ from the host's.";
            Self::SetLimit { .. } => Identity, "prlimit(2)", [prlimit64],
                "A limit of one process, kept by its children; to raise it takes a privilege that is soon given up.";
            Self::SetScheduler { .. } => Identity, "sched_setattr(2)", [sched_setattr],
                "The policy by which the kernel shares the processors is kept by children.";
            Self::SetIoPriority(_) => Identity, "ioprio_set(2)", [ioprio_set],
                "Its turn at the disk, kept by children.";
            Self::SetMemoryPolicy { .. } => Identity, "set_mempolicy(2)", [set_mempolicy],
                "From which memory nodes its pages come, kept by children.";
            Self::SetAffinity { .. } => Identity, "sched_setaffinity(2)", [sched_setaffinity],
                "On which processors it may run, kept by children.";
            Self::SetPersonality(_) => Identity, "personality(2)", [personality],
                "The kernel shows another execution domain: a 32-bit machine, say.";
            Self::OpenTerminal { .. } => Identity, "pts(4)",
                [openat2 openat ioctl setsid fstat fstatfs fchownat fchmod dup3 sendmsg],
                "The terminal is of the container's own devpts, so its name means the same inside.";
            Self::AttachConsole => Identity, "open_tree(2)", [open_tree move_mount openat2 openat mknodat fstat],
                "Programs write to /dev/console; it is the terminal that was checked to be one (CVE-2025-52565).";
            Self::OwnStdio { .. } => Identity, "fchown(2)", [fchownat fstat],
                "A program may open /dev/stdout again only if it belongs to its user.";
            Self::ChangeDirectory(_) => Identity, "chdir(2)", [chdir openat2 fchdir getcwd],
                "Programs start there; that it is inside of the root is made sure of (CVE-2024-21626).";
            Self::DropBounding { .. } => Identity, "capabilities(7)", [prctl],
                "What is not in this set can never be had again, not even by a set-user-ID program.";
            Self::KeepCapabilities => Identity, "capabilities(7)", [prctl],
                "The change to a user that is not root would clear them before they can be set.";
            Self::SetGroups(_) => Identity, "setgroups(2)", [setgroups],
                "Else the caller's groups would come along. The change of user takes the right to it away.";
            Self::SetGid(_) => Identity, "setresgid(2)", [setresgid],
                "All three group ids, so that none is left to go back to.";
            Self::SetUid(_) => Identity, "setresuid(2)", [setresuid],
                "All three user ids, so that none is left to go back to.";
            Self::SetUmask(_) => Identity, "umask(2)", [umask],
                "The permissions that files made by the program do not get.";
            Self::SetCapabilities(_) => Identity, "capset(2)", [capset],
                "Root's power in parts: the program gets those that are listed and no other.";
            Self::RaiseAmbient(_) => Identity, "capabilities(7)", [prctl],
                "execve(2) would take capabilities from a user that is not root; ambient ones stay.";
            Self::ForbidNewPrivileges => Identity, "PR_SET_NO_NEW_PRIVS(2const)", [prctl],
                "set-user-ID programs in the image give nobody more than it has.";
            Self::FindHome { .. } => Identity, "passwd(5)", [openat2 fstat read],
                "HOME is set from the container's /etc/passwd if the configuration does not set it.";
            Self::AnnounceListener => Program, "seccomp_unotify(2)", [fcntl],
                "The runtime has to know which descriptor to take when the filter is loaded.";
            Self::FindProgram { .. } => Program, "execve(2)", [openat faccessat2 fstat pread64 read],
                "A program that is missing is told by create, where there is still somebody to tell.";
            Self::Attest(_) => Program, "capget(2)", [openat read getresuid getresgid capget prctl],
                "A change that silently did not happen would be a hole; it is the kernel that is asked.";
            Self::ResetSignals => Program, "signal(7)", [rt_sigaction],
                "A program inherits what its starter ignores, and would not notice that it should end.";
            Self::KeepDescriptors(_) => Program, "close_range(2)", [fcntl],
                "A descriptor that is left open leads to whatever it was opened for (CVE-2024-21626).";
            Self::AwaitStart => Program, "unix(7)", [ppoll poll accept4 read],
                "The specification has create and start: engines attach networks in between.";
            Self::ListenForRequests => Program, "signalfd(2)", [rt_sigprocmask signalfd4],
                "The first process of a pid namespace gets only signals that it has asked for, and it should end when told.";
            Self::RunHook(_) => Hooks, "runtime.md of the specification, Lifecycle",
                [clone3 execve pipe2 ppoll read write waitid lseek dup3 rt_sigaction pidfd_send_signal],
                "A program of the engine's, run inside the container right before its own.";
            Self::LoadFilter { .. } => Program, "seccomp(2)", [seccomp],
                "System calls that the program does not need are refused, and with them the kernel's bugs behind them.";
            Self::RefuseStart => Program, "runtime.md of the specification, Start", [],
                "A container without a process can be created, and has nothing to start.";
            Self::Execute { .. } => Program, "execve(2)", [execve],
                "Init becomes the program: same process, same namespaces, new code.";
        }
    }
}
