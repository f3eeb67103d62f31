//! Why the runtime does each of its operations, where to read on, and by which system calls.

use super::RuntimeOp;
use crate::plan::op::About;
use crate::plan::op::Stage;
use crate::plan::op::about::table;

impl RuntimeOp {
    /// Its row of the table.
    pub fn about(&self) -> &'static About {
        table! { self;
            Self::Record(Stage::Creating) => Record, "rename(2)", [openat write rename],
                "Whatever is made can be removed by its record, even if the runtime is killed in the next instant.";
            Self::KeepConfiguration => Record, "open(2)", [openat write],
                "The bundle may change or go; delete and exec need what the container was made from.";
            Self::PrepareRecord => Handover, "open(2)", [openat write read],
                "The next record is written while init is still busy, so that nobody waits for it.";
            Self::Record(Stage::Created) => Handover, "rename(2)", [rename],
                "Only what is recorded as created can be started.";
            Self::MakeStartSocket => Channels, "unix(7)", [socket],
                "Init is born with it, and has it until it is started.";
            Self::ListenForStart => Handover, "unix(7)", [bind listen],
                "start finds the waiting init here; the socket goes with init, so none can be left hanging.";
            Self::ConnectConsole { .. } => Channels, "unix(7)", [socket connect],
                "The engine gets the container's terminal over this socket.";
            Self::PairConsole => Channels, "socketpair(2)", [socketpair],
                "The runtime plays the terminal itself, and gets it as an engine would.";
            Self::CreateVolume { .. } => Record, "mkdir(2)", [mkdirat openat fstat],
                "A named volume is made when it is first used, and outlives the container.";
            Self::CreateDirectory { .. } => Record, "mkdir(2)", [mkdirat fstat],
                "The overlay needs a directory for writes and one to work in.";
            Self::SetProperties { .. } => Limits, "org.freedesktop.systemd1(5)",
                [socket connect sendmsg recvmsg write read ppoll],
                "systemd must know the limits that it manages, or it would write over them.";
            Self::StartUnit { .. } => Cgroup, "org.freedesktop.systemd1(5)",
                [socket connect sendmsg recvmsg write read ppoll clone3 openat openat2 fstat pidfd_send_signal waitid],
                "On a host whose cgroups are systemd's, the cgroup is a unit that systemd makes.";
            Self::MoveToUnit { .. } => Cgroup, "org.freedesktop.systemd1(5)",
                [socket connect sendmsg recvmsg write read ppoll pidfd_send_signal waitid],
                "From a login a plain user may not move a process into its own systemd's units; systemd may.";
            Self::MakeSubgroup { .. } => Cgroup, "cgroups(7)", [mkdirat openat openat2 read write fstat],
                "systemd looks at the unit's cgroup and leaves the one below to whoever made it.";
            Self::CreateCgroup { .. } => Cgroup, "cgroups(7)",
                [mkdirat openat openat2 read write fstat],
                "All processes of the container are in it: to limit, to count, to freeze, to kill them together.";
            Self::WriteCgroup(_) => Limits, "cgroups(7)", [write openat],
                "The limit holds for all processes of the container together.";
            Self::AttachDeviceProgram(_) => Limits, "bpf(2)", [bpf],
                "Device nodes are in no namespace: what may be opened is decided by a program at the cgroup.";
            Self::DelegateCgroup { .. } => Limits, "cgroups(7)", [fchownat openat],
                "A container with users of its own may make cgroups below its own.";
            Self::MakeSubcgroup { .. } => Cgroup, "cgroups(7)", [mkdirat openat openat2],
                "A cgroup can hand controllers down only when no process is in it: the container's begin one below.";
            Self::DelegateSubcgroup { .. } => Limits, "cgroups(7)", [fchownat openat openat2],
                "A container with users of its own may make cgroups below that one.";
            Self::MakeResctrlGroup { .. } => Cgroup, "resctrl (kernel documentation)", [mkdirat openat read],
                "A share of the processor's caches and memory bandwidth of its own.";
            Self::FindResctrlGroup { .. } => Cgroup, "resctrl (kernel documentation)", [fstat],
                "The configuration names a share that somebody else has set up.";
            Self::ShareResctrlGroup { .. } => Cgroup, "resctrl (kernel documentation)", [mkdirat openat read],
                "Containers of the same class share what the class has.";
            Self::WriteSchemata { .. } => Cgroup, "resctrl (kernel documentation)", [openat write read],
                "How much of each cache and of the bandwidth the group may fill.";
            Self::EnterResctrlGroup { .. } => Limits, "resctrl (kernel documentation)", [openat write],
                "Children are born in the group of their parent, so init is enough.";
            Self::HandOverNetwork => Namespaces, "network_namespaces(7)", [openat unshare sendmsg socket ioctl setns],
                "It takes longer than all the others together: the runtime makes it while init mounts, and goes back to its own.";
            Self::OpenNamespace { .. } => Namespaces, "setns(2)", [openat],
                "The path is the host's; init enters by the descriptor, when the path may mean something else.";
            Self::EnterPidNamespace { .. } => Namespaces, "setns(2)", [setns],
                "A process never changes its own pid namespace; only its next child is born into the other one.";
            Self::LeavePidNamespace => Namespaces, "setns(2)", [openat setns],
                "Further children of the runtime are not the container's.";
            Self::MakeUserNamespace { .. } => Mounts, "mount_setattr(2)",
                [clone3 openat write getpid pidfd_send_signal waitid],
                "The kernel takes the map of a mount from a user namespace; this one is there for nothing else.";
            Self::CloneTree { .. } => Mounts, "open_tree(2)", [open_tree open_tree_attr mount_setattr],
                "In the container's user namespace this source could not be reached or copied any more.";
            Self::RespectFlags { .. } => Mounts, "mount_setattr(2)", [fstatfs statvfs],
                "A container with a user namespace may not take away what the host restricted.";
            Self::MapIds { .. } => Mounts, "mount_setattr(2)", [mount_setattr],
                "Files keep their owners on the disk and appear with the container's ids.";
            Self::TakeOverTree { .. } => Anywhere, "unix(7)", [recvmsg ppoll],
                "Its source is a mount of the container's own, which the runtime does not see.";
            Self::OpenContainer { .. } => Record, "pidfd_open(2)", [pidfd_open openat openat2 fstat read fcntl],
                "A number may be reused, a descriptor of a process means this one for ever.";
            Self::StartInit { .. } => Clone, "clone(2)",
                [clone3 prlimit64],
                "One call makes the process with its namespaces, inside its cgroup: it is never anywhere else.";
            Self::AdoptInit => Namespaces, "clone(2)", [waitid recvmsg openat read fstat],
                "Init has gone on in a child, which is the container's first process from now on.";
            Self::WriteIdMaps { .. } => Namespaces, "user_namespaces(7)",
                [openat write clone3 execve pipe2 ppoll read waitid],
                "They say which users of the host stand behind the container's; only a process outside may write them.";
            Self::CompareIdMaps(_) => Namespaces, "user_namespaces(7)", [openat read fstat],
                "The namespace that is joined has its maps already; other ones would give files to somebody else.";
            Self::SetOomScore(_) => Limits, "proc_pid_oom_score_adj(5)", [openat write],
                "Whom the kernel kills first when memory runs out; to lower it takes a privilege of the host.";
            Self::SetAffinity { .. } => Limits, "sched_setaffinity(2)", [sched_setaffinity],
                "The process is to start on these processors, and init inherits them at its birth.";
            Self::SetLimit { .. } => Limits, "prlimit(2)", [prlimit64],
                "Init has no privilege on the host to raise a limit, so the runtime does it for init.";
            Self::OpenNetwork { .. } => Namespaces, "network_namespaces(7)", [openat],
                "Interfaces are sent into the namespace by a descriptor of it.";
            Self::MoveInterface { .. } => Namespaces, "rtnetlink(7)",
                [socket sendmsg recvmsg setns openat read write],
                "An interface is in one network namespace at a time; its addresses are lost on the way, and set again.";
            Self::Open(_) => Anywhere, "socketpair(2)", [write],
                "The two halves run at the same time; this is where the other one may go on.";
            Self::Await(_) => Anywhere, "socketpair(2)", [read ppoll],
                "The two halves run at the same time; what comes next needs what the other one did.";
            Self::RunHook { .. } => Hooks, "config.md of the specification, POSIX-platform Hooks",
                [clone3 execve pipe2 write read ppoll waitid pidfd_open pidfd_send_signal setns openat prctl memfd_create fstat lseek getpid kill rt_sigaction getrandom],
                "A program of the engine's, to set up what the configuration has no words for; it gets the state on stdin.";
            Self::OpenHookState => Channels, "memfd_create(2)", [memfd_create],
                "startContainer hooks run inside the container, where no file of the runtime's can be reached.";
            Self::WriteHookState => Hooks, "memfd_create(2)", [write fcntl openat read getrandom],
                "The pid is known now; the file is sealed, so that no hook can change what the next one reads.";
            Self::PassListener(_) => Handover, "seccomp_unotify(2)",
                [pidfd_getfd ppoll socket connect sendmsg openat read],
                "An agent outside answers the system calls that the filter asks about.";
            Self::ReceiveTerminal => Handover, "unix(7)", [recvmsg ppoll ioctl],
                "The other end of the container's terminal: keys go in, output comes out.";
            Self::StartRestore => Clone, "criu(8)",
                [clone3 execve socketpair sendmsg recvmsg read write ppoll waitid openat fcntl unshare mount],
                "criu makes the processes again from their images; the runtime gives it the ground.";
            Self::RestoreProcesses => Clone, "criu(8)", [sendmsg recvmsg read write ppoll openat],
                "The processes come back with their memory, their descriptors and their numbers.";
            Self::CompareMounts => Namespaces, "proc_pid_mountinfo(5)", [openat read fstat],
                "A mount that came back otherwise would be a container other than the one that was saved.";
            Self::ResumeProcesses => Handover, "criu(8)", [sendmsg recvmsg read write ppoll waitid],
                "Until now nothing of it has run; everything that can fail has been done.";
            Self::OpenNamespaces { .. } => Record, "proc_pid_ns(5)", [openat],
                "Init compares itself where the runtime may not look, and is given what to compare with.";
            Self::LookAtNamespaces { .. } => Namespaces, "proc_pid_ns(5)", [openat fstat],
                "While the process joins them: what it is then found in has to be what the container was in before.";
            Self::VerifyNamespaces { .. } => Namespaces, "proc_pid_ns(5)", [openat fstat],
                "A join that went wrong unnoticed would be a program outside of its container.";
            Self::WritePidFile { .. } => Handover, "rename(2)", [openat write rename fstat],
                "Engines read the pid from a file, which must never be seen half-written.";
            Self::SendPidfd { .. } => Handover, "pidfd_open(2)", [socket connect sendmsg],
                "A descriptor means this process for ever; its number could be reused.";
            Self::ListenForReadiness => Channels, "sd_notify(3)", [socket bind openat fchmod],
                "A program says that it is ready here, in a directory that the container sees.";
            Self::PassReadiness => Handover, "sd_notify(3)",
                [ppoll recvmsg sendmsg socket connect read openat],
                "The service manager takes the message only from the runtime, so the runtime says it again.";
            Self::DropExecutable => Handover, "unix(7)", [socketpair sendmsg],
                "Init has its code from there by now. The kernel takes a mount apart in a grace period, and nobody waits for it.";
            Self::AwaitExecution => Handover, "execve(2)", [read ppoll],
                "The sockets of init close when the program begins: only now is it known that it could be executed.";
        }
    }
}
