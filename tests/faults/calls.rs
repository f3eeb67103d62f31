//! What can go wrong with a system call.

use nix::libc::{self, c_long};

use super::tracer::Fault;

/// A system call, as far as the sweep needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub number: c_long,
    /// `openat`.
    pub name: &'static str,
    /// What it may plausibly return.
    pub errnos: &'static [i32],
    /// What it does to the world.
    pub kind: Kind,
}

/// What a call does to the world, which decides where a SIGKILL is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It changes something, here or in the kernel: being killed at its entry is another state.
    Changes,
    /// It waits, and may be interrupted.
    Waits,
    /// Neither.
    Looks,
}

mod numbers {
    pub use nix::libc::*;

    #[expect(
        non_upper_case_globals,
        reason = "the kernel's name; libc does not have it yet"
    )]
    pub const SYS_open_tree_attr: c_long = 467;
}

macro_rules! calls {
    ($($name:ident $kind:ident [$($errno:ident),*],)*) => {
        &[$(Call {
            number: numbers::$name,
            name: stringify!($name),
            errnos: &[$(libc::$errno),*],
            kind: Kind::$kind,
        }),*]
    };
}

/// Every call that Corten makes. The sweep fails at one that is not here.
const CALLS: &[Call] = calls![
    SYS_accept4 Waits [EMFILE],
    SYS_access Looks [EACCES],
    SYS_arch_prctl Looks [],
    SYS_bind Changes [EADDRINUSE, ENOSPC],
    SYS_bpf Changes [EPERM, ENOMEM],
    SYS_brk Looks [ENOMEM],
    SYS_capget Looks [EPERM],
    SYS_capset Changes [EPERM],
    SYS_chdir Changes [EACCES],
    SYS_chmod Changes [EPERM],
    SYS_chroot Changes [EPERM],
    SYS_clock_nanosleep Waits [],
    SYS_clone Changes [EAGAIN],
    SYS_clone3 Changes [EAGAIN, ENOMEM],
    SYS_close Looks [EIO],
    SYS_close_range Changes [ENOMEM],
    SYS_connect Waits [ECONNREFUSED, EAGAIN],
    SYS_copy_file_range Changes [ENOSPC],
    SYS_dup Looks [EMFILE],
    SYS_dup2 Changes [EBUSY],
    SYS_dup3 Changes [EBUSY],
    SYS_execve Changes [ENOMEM, EACCES],
    SYS_execveat Changes [ENOMEM, EACCES],
    SYS_exit Looks [],
    SYS_exit_group Looks [],
    SYS_faccessat Looks [EACCES],
    SYS_faccessat2 Looks [EACCES],
    SYS_fchdir Changes [EACCES],
    SYS_fchmod Changes [EPERM],
    SYS_fchmodat Changes [EPERM],
    SYS_fchown Changes [EPERM],
    SYS_fchownat Changes [EPERM],
    SYS_fcntl Looks [EMFILE],
    SYS_flock Waits [ENOLCK],
    SYS_fsconfig Changes [EINVAL, ENOMEM],
    SYS_fsmount Changes [EMFILE, ENOMEM],
    SYS_fsopen Changes [EMFILE, ENOMEM],
    SYS_fspick Changes [EMFILE],
    SYS_fstat Looks [EIO],
    SYS_fstatfs Looks [EIO],
    SYS_fsync Changes [EIO],
    SYS_ftruncate Changes [EIO],
    SYS_futex Waits [],
    SYS_getcwd Looks [ENOENT],
    SYS_getdents64 Looks [EIO],
    SYS_getegid Looks [],
    SYS_geteuid Looks [],
    SYS_getgid Looks [],
    SYS_getpid Looks [],
    SYS_getppid Looks [],
    SYS_getrandom Looks [ENOSYS],
    SYS_getresgid Looks [EFAULT],
    SYS_getresuid Looks [EFAULT],
    SYS_getgroups Looks [EPERM],
    SYS_gettid Looks [],
    SYS_getuid Looks [],
    SYS_ioctl Changes [EPERM, ENOMEM],
    SYS_keyctl Changes [EDQUOT, ENOMEM],
    SYS_kill Changes [EPERM],
    SYS_lchown Changes [EPERM],
    SYS_link Changes [ENOSPC],
    SYS_linkat Changes [ENOSPC],
    SYS_listen Changes [EADDRINUSE],
    SYS_lseek Looks [EIO],
    SYS_lstat Looks [EIO],
    SYS_madvise Looks [ENOMEM],
    SYS_memfd_create Changes [EMFILE, ENOMEM],
    SYS_mkdir Changes [ENOSPC, EPERM],
    SYS_mkdirat Changes [ENOSPC, EPERM],
    SYS_mknodat Changes [ENOSPC, EPERM],
    SYS_mmap Looks [ENOMEM],
    SYS_mount Changes [ENOMEM, EPERM],
    SYS_mount_setattr Changes [ENOMEM, EPERM],
    SYS_move_mount Changes [ENOMEM, EPERM],
    SYS_mprotect Looks [ENOMEM],
    SYS_mremap Looks [ENOMEM],
    SYS_munmap Looks [ENOMEM],
    SYS_nanosleep Waits [],
    SYS_newfstatat Looks [EIO],
    SYS_open Looks [EMFILE, EIO],
    SYS_open_tree Changes [EMFILE, ENOMEM],
    SYS_open_tree_attr Changes [EMFILE, ENOMEM],
    SYS_openat Looks [EMFILE, EIO],
    SYS_openat2 Looks [EMFILE, EAGAIN],
    SYS_pause Waits [],
    SYS_pidfd_getfd Changes [EMFILE],
    SYS_pidfd_open Looks [EMFILE],
    SYS_pidfd_send_signal Changes [EPERM, ESRCH],
    SYS_pipe2 Changes [EMFILE],
    SYS_pivot_root Changes [ENOMEM, EPERM],
    SYS_poll Waits [ENOMEM],
    SYS_ppoll Waits [ENOMEM],
    SYS_prctl Changes [EPERM],
    SYS_pread64 Looks [EIO],
    SYS_prlimit64 Changes [EPERM],
    SYS_pwrite64 Changes [EIO],
    SYS_read Waits [EIO],
    SYS_readlink Looks [ENOMEM],
    SYS_readlinkat Looks [ENOMEM],
    SYS_readv Waits [EIO],
    SYS_recvfrom Waits [ENOMEM],
    SYS_recvmsg Waits [ENOMEM],
    SYS_rename Changes [ENOSPC],
    SYS_renameat Changes [ENOSPC, EIO],
    SYS_renameat2 Changes [ENOSPC],
    SYS_restart_syscall Looks [],
    SYS_rmdir Changes [EIO],
    SYS_rseq Looks [ENOSYS],
    SYS_rt_sigaction Looks [EPERM],
    SYS_rt_sigprocmask Looks [EPERM],
    SYS_rt_sigreturn Looks [],
    SYS_sched_getaffinity Looks [EINVAL],
    SYS_sched_setaffinity Changes [EINVAL],
    SYS_sched_setattr Changes [EPERM],
    SYS_sched_yield Looks [],
    SYS_seccomp Changes [EPERM, ENOMEM],
    SYS_sendmsg Changes [ENOBUFS],
    SYS_sendto Changes [ENOBUFS],
    SYS_set_mempolicy Changes [EPERM],
    SYS_set_robust_list Looks [],
    SYS_set_tid_address Looks [],
    SYS_setgid Changes [EPERM],
    SYS_setgroups Changes [EPERM, ENOMEM],
    SYS_sethostname Changes [EPERM],
    SYS_setdomainname Changes [EPERM],
    SYS_setns Changes [EPERM, ENOMEM],
    SYS_setpriority Changes [EACCES],
    SYS_setresgid Changes [EPERM],
    SYS_setresuid Changes [EPERM, EAGAIN],
    SYS_setsid Changes [EPERM],
    SYS_setsockopt Changes [ENOMEM],
    SYS_setuid Changes [EPERM],
    SYS_shutdown Changes [ENOTCONN],
    SYS_sigaltstack Looks [],
    SYS_signalfd4 Changes [EMFILE],
    SYS_socket Changes [EMFILE],
    SYS_socketpair Changes [EMFILE],
    SYS_stat Looks [EIO],
    SYS_statfs Looks [EIO],
    SYS_statx Looks [EIO],
    SYS_symlinkat Changes [ENOSPC],
    SYS_tgkill Changes [],
    SYS_timerfd_create Changes [EMFILE],
    SYS_timerfd_settime Changes [EINVAL],
    SYS_umask Looks [],
    SYS_umount2 Changes [EPERM],
    SYS_uname Looks [],
    SYS_unlink Changes [EIO],
    SYS_unlinkat Changes [EIO],
    SYS_unshare Changes [EPERM, ENOMEM],
    SYS_utimensat Changes [EPERM],
    SYS_wait4 Waits [],
    SYS_waitid Waits [],
    SYS_write Changes [EIO, ENOSPC],
    SYS_writev Changes [EIO],
];

/// The call with this number.
pub fn find(number: c_long) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number == number)
}

impl Call {
    /// The faults by error numbers.
    pub fn errors(&self) -> Vec<Fault> {
        let fault = if self.number == libc::SYS_close {
            Fault::ErrnoAfterwards
        } else {
            Fault::Errno
        };
        self.errnos.iter().copied().map(fault).collect()
    }
}
