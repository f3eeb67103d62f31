//! Processes: clone3(2), waitid(2), prctl(2), prlimit(2), sched_setattr(2), pidfd_open(2) and their kin.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::fs::descriptor;
use super::{Errno, Result, check};

/// `_exit(2)`: no destructor and no atexit function runs.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

/// A child that does nothing until it is killed, or its parent is: its pid and pidfd.
pub fn clone_to_wait(flags: u64) -> Result<(i32, RawFd)> {
    let parent = getpid();
    // SAFETY: the child makes one system call after the other and nothing else until it is killed.
    let cloned = unsafe {
        clone3(Clone3 {
            flags,
            cgroup: None,
        })
    }?;
    match cloned {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => wait_to_be_killed(parent),
    }
}

/// pause(2) for as long as the parent lives.
fn wait_to_be_killed(parent: i32) -> ! {
    if set_parent_death_signal(libc::SIGKILL).is_err() {
        exit_now(1)
    }
    // It may have died before the request.
    while getppid() == parent {
        // SAFETY: no arguments; returns after a signal function ran, of which there are none.
        unsafe { libc::pause() };
    }
    exit_now(1)
}

/// getpid(2), in the caller's pid namespace.
pub fn getpid() -> i32 {
    // SAFETY: no arguments, never fails.
    unsafe { libc::getpid() }
}

/// getppid(2): 0 when the parent lives in an outer pid namespace.
pub fn getppid() -> i32 {
    // SAFETY: no arguments, never fails.
    unsafe { libc::getppid() }
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    // SAFETY: no arguments.
    check(unsafe { libc::setsid() })?;
    Ok(())
}

pub(super) fn prctl(option: i32, a: u64, b: u64) -> Result<i32> {
    // SAFETY: used here and in `credentials` only with options that take integers (or a pointer that the caller vouches for).
    check(unsafe { libc::prctl(option, a, b, 0, 0) })
}

/// prctl(PR_SET_PDEATHSIG): this signal when the parent dies; 0 for none.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, u64::from(signal.cast_unsigned()), 0)?;
    Ok(())
}

/// prctl(PR_SET_DUMPABLE, 0): no other process may trace this one or read its /proc files.
pub fn set_undumpable() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    Ok(())
}

/// prctl(PR_SET_NO_NEW_PRIVS).
pub fn set_no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    Ok(())
}

/// prctl(PR_GET_NO_NEW_PRIVS).
pub fn no_new_privileges() -> Result<bool> {
    Ok(prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == 1)
}

/// prctl(PR_SET_CHILD_SUBREAPER).
pub fn set_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(|_| ())
}

/// prctl(PR_GET_CHILD_SUBREAPER), then PR_SET_CHILD_SUBREAPER where it differs; what it was before.
pub fn swap_subreaper(on: bool) -> Result<bool> {
    let mut before: libc::c_int = 0;
    prctl(
        libc::PR_GET_CHILD_SUBREAPER,
        (&raw mut before).expose_provenance() as u64,
        0,
    )?;
    if (before != 0) != on {
        prctl(libc::PR_SET_CHILD_SUBREAPER, u64::from(on), 0)?;
    }
    Ok(before != 0)
}

/// A limit of getrlimit(2): which, soft, hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// RLIMIT_*.
    pub resource: u32,
    /// rlim_cur.
    pub soft: u64,
    /// rlim_max.
    pub hard: u64,
}

/// Resources of getrlimit(2) by the kernel's numbers; libc's have another type with each C library.
pub const RLIMIT_STACK: u32 = 3;
pub const RLIMIT_NOFILE: u32 = 7;

/// prlimit(2); pid 0 is the caller.
pub fn prlimit(pid: i32, limit: Limit) -> Result<()> {
    let new = libc::rlimit64 {
        rlim_cur: limit.soft,
        rlim_max: limit.hard,
    };
    // SAFETY: the kernel reads one rlimit64; a null pointer asks for no old value.
    check(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            pid,
            limit.resource,
            &raw const new,
            std::ptr::null::<libc::rlimit64>(),
        )
    })?;
    Ok(())
}

/// struct sched_attr of sched_setattr(2), version 1 (56 bytes).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SchedAttr {
    /// Of this struct.
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
    /// Utilization clamp.
    pub util_min: u32,
    /// Utilization clamp.
    pub util_max: u32,
}

/// sched_setattr(2) of the caller.
pub fn sched_setattr(attr: &SchedAttr) -> Result<()> {
    // SAFETY: the kernel reads `attr.size` bytes, which the planner sets to the struct's size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attr, 0) })?;
    Ok(())
}

/// sched_setaffinity(2) of the caller: a bit a CPU.
pub fn sched_setaffinity(mask: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    check(unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            0,
            size_of_val(mask),
            mask.as_ptr(),
        )
    })?;
    Ok(())
}

/// ioprio_set(2) of the caller: class in the upper bits, priority in the lower 13.
pub fn ioprio_set(value: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) })?;
    Ok(())
}

/// personality(2).
pub fn personality(persona: u64) -> Result<()> {
    // SAFETY: an integer.
    check(unsafe { libc::syscall(libc::SYS_personality, persona) })?;
    Ok(())
}

/// set_mempolicy(2): mode with flags, a bit a node, the number of bits.
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    let (pointer, bits) = if nodes.is_empty() {
        (std::ptr::null(), 0)
    } else {
        (nodes.as_ptr(), nodes.len() * 64 + 1)
    };
    // SAFETY: the kernel reads `bits` - 1 bits from the pointer, which is null only with 0 bits.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) })?;
    Ok(())
}

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING): a session keyring of that name, its serial number.
pub fn join_session_keyring(name: &CStr) -> Result<i64> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })
}

/// keyctl(KEYCTL_SETPERM).
pub fn set_key_permissions(key: i64, permissions: u32) -> Result<()> {
    const KEYCTL_SETPERM: i32 = 5;
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key, permissions) })?;
    Ok(())
}

/// getrlimit(2) of this process.
pub fn limit(resource: u32) -> Result<Limit> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit64; a null pointer sets no new value.
    check(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            std::ptr::null::<libc::rlimit64>(),
            &raw mut limit,
        )
    })?;
    Ok(Limit {
        resource,
        soft: limit.rlim_cur,
        hard: limit.rlim_max,
    })
}

/// pidfd_open(2). Of a number that only a session or process group still has, whose leader has ended, it says
/// EINVAL or ENOENT; that there is no such process is ESRCH here.
pub fn pidfd_open(pid: i32) -> Result<RawFd> {
    // SAFETY: integers only; the descriptor has O_CLOEXEC by itself.
    match check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }) {
        Err(Errno(libc::EINVAL | libc::ENOENT)) if pid > 0 => Err(Errno(libc::ESRCH)),
        opened => Ok(descriptor(opened?)),
    }
}

/// pidfd_getfd(2): a copy of a descriptor of another process.
pub fn pidfd_getfd(pidfd: RawFd, fd: RawFd) -> Result<RawFd> {
    // SAFETY: integers only; the copy has O_CLOEXEC by itself.
    Ok(descriptor(check(unsafe {
        libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0)
    })?))
}

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(pidfd: RawFd, signal: i32) -> Result<()> {
    // SAFETY: integers and a null siginfo.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd,
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })?;
    Ok(())
}

/// How a child ended: waitid(2) on its pidfd, blocking. An exit status, or 128 + signal.
pub fn wait_pidfd(pidfd: RawFd) -> Result<i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: the kernel fills one siginfo_t.
        let result = check(unsafe {
            libc::waitid(
                libc::P_PIDFD,
                pidfd.cast_unsigned(),
                info.as_mut_ptr(),
                libc::WEXITED | libc::__WALL,
            )
        });
        match result {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    // SAFETY: zeroed before and filled by the call that succeeded; si_status belongs to SIGCHLD.
    let (code, status) = unsafe {
        let info = info.assume_init();
        (info.si_code, info.si_status())
    };
    Ok(if code == libc::CLD_EXITED {
        status
    } else {
        128 + status
    })
}

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Process id.
    pub pid: i32,
    /// Its exit status, or 128 + the signal that killed it.
    pub status: i32,
}

/// Takes the status of any child that has ended: waitid(P_ALL, WNOHANG). None: all others still run,
/// or there are none.
pub fn reap() -> Result<Option<Ended>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::__WALL;
    // SAFETY: the kernel fills one siginfo_t, or leaves its pid at zero.
    match check(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) }) {
        Err(Errno(libc::ECHILD)) => return Ok(None),
        Err(errno) => return Err(errno),
        Ok(_) => {}
    }
    // SAFETY: zeroed before; the pid and the status belong to SIGCHLD, which is all waitid reports.
    let (pid, code, status) = unsafe {
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    let status = if code == libc::CLD_EXITED {
        status
    } else {
        128 + status
    };
    Ok((pid != 0).then_some(Ended { pid, status }))
}

/// clone3(2): start in the cgroup given. libc's constant overflows.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// struct clone_args of clone3(2), the part used here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clone3 {
    /// CLONE_*; CLONE_PIDFD is added when `pidfd` is asked for.
    pub flags: u64,
    /// Directory of a cgroup v2 for CLONE_INTO_CGROUP, or none.
    pub cgroup: Option<RawFd>,
}

/// What clone3(2) returned, in which process.
#[derive(Debug)]
pub enum Cloned {
    /// In the parent: the child's pid in the parent's pid namespace, and its pidfd.
    Parent {
        /// Process id.
        pid: i32,
        /// Descriptor, O_CLOEXEC.
        pidfd: RawFd,
    },
    /// In the child.
    Child,
}

/// clone3(2) as fork: own memory, own stack.
///
/// # Safety
///
/// In the child only async-signal-safe functions may run until execve or exit: another thread of
/// the parent may have held any lock. The child must never return from the caller's frame into code
/// that drops values of the parent.
pub unsafe fn clone3(request: Clone3) -> Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers, for which all zeroes is a value.
    let mut args: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    args.flags = request.flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd).addr() as u64;
    // With CLONE_PARENT the signal is the parent's own, and must be 0 here.
    if request.flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = request.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.cast_unsigned());
    }
    // SAFETY: the kernel reads the struct, writes the pidfd in the parent, and without CLONE_VM gives the
    // child a copy of all memory, so both returns continue on stacks of their own.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut args,
            size_of::<libc::clone_args>(),
        )
    })?;
    Ok(match descriptor(result) {
        0 => Cloned::Child,
        pid => Cloned::Parent { pid, pidfd },
    })
}
