//! Why the runtime does each of its operations, where to read on, and by which system calls.

use super::RuntimeOp;
use crate::plan::op::About;
use crate::plan::op::Stage;
use crate::plan::op::about::table;

impl RuntimeOp {
    /// Its row of the table.
    pub fn about(&self) -> &'static About {
        table! { self;
            Self::Record(Stage::Creating) => Record, "rename(2)", [openat write fsync rename renameat renameat2 fcntl unlink newfstatat statx],
                "Whatever is made can be removed by its record, even if the runtime is killed in the next instant.";
            Self::KeepConfiguration => Record, "open(2)", [openat write fchmod fstat],
                "The bundle may change or go; delete and exec need what the container was made from.";
            Self::PrepareRecord => Handover, "open(2)", [openat write read lseek fstat newfstatat statx unlink],
                "The next record is written while init is still busy, so that nobody waits for it.";
            Self::Record(Stage::Created) => Handover, "rename(2)", [rename renameat renameat2 openat write fsync],
                "Only what is recorded as created can be started.";
            Self::ListenForStart => Channels, "unix(7)", [socket bind listen openat fchmod chmod fchmodat unlink unlinkat newfstatat getsockname],
                "start finds the waiting init here; the socket goes with init, so none can be left hanging.";
            Self::ConnectConsole { .. } => Channels, "unix(7)", [socket connect],
                "The engine gets the container's terminal over this socket.";
            Self::PairConsole => Channels, "socketpair(2)", [socketpair],
                "The runtime plays the terminal itself, and gets it as an engine would.";
            Self::CreateVolume { .. } => Record, "mkdir(2)", [mkdir mkdirat openat flock statx newfstatat write symlink chmod fstat],
                "A named volume is made when it is first used, and outlives the container.";
            Self::CreateDirectory { .. } => Record, "mkdir(2)", [mkdir statx newfstatat stat],
                "The overlay needs a directory for writes and one to work in.";
            Self::SetProperties { .. } => Limits, "org.freedesktop.systemd1(5)",
                [socket connect sendto sendmsg write recvfrom recvmsg read ppoll poll getuid geteuid],
                "systemd must know the limits that it manages, or it would write over them.";
            Self::StartUnit { .. } => Cgroup, "org.freedesktop.systemd1(5)",
                [socket connect sendto sendmsg write recvfrom recvmsg read ppoll poll getuid geteuid clone3 openat openat2
                 newfstatat fstat statx kill pidfd_send_signal waitid name_to_handle_at prctl getppid getpid],
                "On a host whose cgroups are systemd's, the cgroup is a unit that systemd makes.";
            Self::CreateCgroup { .. } => Cgroup, "cgroups(7)",
                [mkdirat mkdir openat openat2 read write fstat newfstatat statx name_to_handle_at lseek getdents64],
                "All processes of the container are in it: to limit, to count, to freeze, to kill them together.";
            Self::WriteCgroup(_) => Limits, "cgroups(7)", [openat openat2 write read fstat],
                "The limit holds for all processes of the container together.";
            Self::AttachDeviceProgram(_) => Limits, "bpf(2)", [bpf openat],
                "Device nodes are in no namespace: what may be opened is decided by a program at the cgroup.";
            Self::DelegateCgroup { .. } => Limits, "cgroups(7)", [fchownat fchown openat chown newfstatat],
                "A container with users of its own may make cgroups below its own.";
            Self::MakeResctrlGroup { .. } => Cgroup, "resctrl (kernel documentation)", [mkdir openat read statx],
                "A share of the processor's caches and memory bandwidth of its own.";
            Self::FindResctrlGroup { .. } => Cgroup, "resctrl (kernel documentation)", [statx openat read newfstatat],
                "The configuration names a share that somebody else has set up.";
            Self::ShareResctrlGroup { .. } => Cgroup, "resctrl (kernel documentation)", [mkdir openat read statx newfstatat],
                "Containers of the same class share what the class has.";
            Self::WriteSchemata { .. } => Cgroup, "resctrl (kernel documentation)", [openat write read],
                "How much of each cache and of the bandwidth the group may fill.";
            Self::EnterResctrlGroup { .. } => Limits, "resctrl (kernel documentation)", [openat write],
                "Children are born in the group of their parent, so init is enough.";
            Self::OpenNamespace { .. } => Namespaces, "setns(2)", [openat],
                "The path is the host's; init enters by the descriptor, when the path may mean something else.";
            Self::EnterPidNamespace { .. } => Namespaces, "setns(2)", [setns],
                "A process never changes its own pid namespace; only its next child is born into the other one.";
            Self::LeavePidNamespace => Namespaces, "setns(2)", [openat setns],
                "Further children of the runtime are not the container's.";
            Self::MakeUserNamespace { .. } => Mounts, "mount_setattr(2)",
                [clone3 openat write fstat pidfd_send_signal waitid wait4 poll ppoll],
                "The kernel takes the map of a mount from a user namespace; this one is there for nothing else.";
            Self::CloneTree { .. } => Mounts, "open_tree(2)", [open_tree openat openat2 fstat],
                "In the container's user namespace this source could not be reached or copied any more.";
            Self::RespectFlags { .. } => Mounts, "mount_setattr(2)", [fstatfs statvfs],
                "A container with a user namespace may not take away what the host restricted.";
            Self::MapIds { .. } => Mounts, "mount_setattr(2)", [mount_setattr],
                "Files keep their owners on the disk and appear with the container's ids.";
            Self::OpenContainer { .. } => Record, "pidfd_open(2)", [pidfd_open openat openat2 read fstat newfstatat],
                "A number may be reused, a descriptor of a process means this one for ever.";
            Self::StartInit { .. } => Clone, "clone(2)",
                [clone3 prlimit64 rt_sigprocmask openat read openat2 kill pidfd_send_signal waitid],
                "One call makes the process with its namespaces, inside its cgroup: it is never anywhere else.";
            Self::AdoptInit => Namespaces, "clone(2)", [waitid recvmsg openat read fstat newfstatat statx lseek],
                "Init has gone on in a child, which is the container's first process from now on.";
            Self::WriteIdMaps { .. } => Namespaces, "user_namespaces(7)",
                [openat write fstat clone clone3 vfork execve pipe2 poll read waitid wait4 fcntl socketpair sendmsg recvmsg
                 rt_sigprocmask rt_sigaction statx],
                "They say which users of the host stand behind the container's; only a process outside may write them.";
            Self::CompareIdMaps(_) => Namespaces, "user_namespaces(7)", [openat read statx lseek fstat newfstatat],
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
                [socket bind sendto sendmsg recvfrom recvmsg setns openat read getrandom ioctl unshare setsockopt getsockname poll ppoll getpid gettid],
                "An interface is in one network namespace at a time; its addresses are lost on the way, and set again.";
            Self::Open(_) => Anywhere, "socketpair(2)", [write sendto],
                "The two halves run at the same time; this is where the other one may go on.";
            Self::Await(_) => Anywhere, "socketpair(2)", [ppoll poll read recvfrom],
                "The two halves run at the same time; what comes next needs what the other one did.";
            Self::RunHook { .. } => Hooks, "config.md of the specification, POSIX-platform Hooks",
                [clone clone3 vfork execve openat read write pipe2 ppoll poll waitid wait4 pidfd_open pidfd_send_signal prctl kill
                 setns fcntl statx newfstatat fstat lseek getdents64 rt_sigprocmask rt_sigaction getpid readlink memfd_create
                 socketpair sendmsg recvmsg dup2 dup3 setsid fchdir exit_group sched_setaffinity],
                "A program of the engine's, to set up what the configuration has no words for; it gets the state on stdin.";
            Self::OpenHookState => Channels, "memfd_create(2)", [memfd_create],
                "startContainer hooks run inside the container, where no file of the runtime's can be reached.";
            Self::WriteHookState => Hooks, "memfd_create(2)", [write fcntl openat read lseek fstat newfstatat],
                "The pid is known now; the file is sealed, so that no hook can change what the next one reads.";
            Self::PassListener(_) => Handover, "seccomp_unotify(2)",
                [pidfd_getfd ppoll poll socket connect sendmsg openat read fcntl],
                "An agent outside answers the system calls that the filter asks about.";
            Self::ReceiveTerminal => Handover, "unix(7)", [recvmsg ioctl fstat newfstatat ppoll poll fcntl],
                "The other end of the container's terminal: keys go in, output comes out.";
            Self::StartRestore => Clone, "criu(8)",
                [clone clone3 vfork execve socketpair openat read write sendmsg recvmsg ppoll poll waitid fcntl unshare mount
                 rt_sigprocmask rt_sigaction mkdir statx newfstatat fstat],
                "criu makes the processes again from their images; the runtime gives it the ground.";
            Self::RestoreProcesses => Clone, "criu(8)", [sendmsg recvmsg sendto recvfrom read write ppoll poll openat clone clone3 execve],
                "The processes come back with their memory, their descriptors and their numbers.";
            Self::CompareMounts => Namespaces, "proc_pid_mountinfo(5)", [openat read fstat lseek newfstatat statx],
                "A mount that came back otherwise would be a container other than the one that was saved.";
            Self::ResumeProcesses => Handover, "criu(8)", [sendmsg recvmsg sendto recvfrom read write ppoll poll waitid],
                "Until now nothing of it has run; everything that can fail has been done.";
            Self::OpenNamespaces { .. } => Record, "proc_pid_ns(5)", [openat],
                "Init compares itself where the runtime may not look, and is given what to compare with.";
            Self::VerifyNamespaces { .. } => Handover, "proc_pid_ns(5)", [statx newfstatat stat],
                "A join that went wrong unnoticed would be a program outside of its container.";
            Self::WritePidFile { .. } => Handover, "rename(2)", [openat write rename renameat renameat2 fsync unlink],
                "Engines read the pid from a file, which must never be seen half-written.";
            Self::SendPidfd { .. } => Handover, "pidfd_open(2)", [socket connect sendmsg],
                "A descriptor means this process for ever; its number could be reused.";
            Self::ListenForReadiness => Channels, "sd_notify(3)", [openat socket bind setsockopt chmod fchmod fchmodat],
                "A program says that it is ready here, in a directory that the container sees.";
            Self::PassReadiness => Handover, "sd_notify(3)",
                [ppoll poll recvmsg recvfrom sendmsg sendto socket connect read openat getpid waitid],
                "The service manager takes the message only from the runtime, so the runtime says it again.";
            Self::AwaitExecution => Handover, "execve(2)", [ppoll poll read recvfrom],
                "The sockets of init close when the program begins: only now is it known that it could be executed.";
        }
    }
}
