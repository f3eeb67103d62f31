//! seccomp(2).

use std::os::fd::RawFd;

use seccompiler::sock_filter;

use super::{Errno, Result, check};

/// `struct sock_fprog` (linux/filter.h).
#[repr(C)]
struct Program {
    len: libc::c_ushort,
    filter: *const sock_filter,
}

/// A filter as [`load`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub instructions: Vec<sock_filter>,
    /// SECCOMP_FILTER_FLAG_*.
    pub flags: u64,
}

/// Puts this thread, and with it all that it becomes and begets, behind a filter for ever.
///
/// Needs no_new_privs or CAP_SYS_ADMIN. With SECCOMP_FILTER_FLAG_NEW_LISTENER in `flags` the answer is
/// the listener's descriptor, close-on-exec. EINVAL for a program the kernel does not take, an empty one
/// or one of more than 4096 instructions among them.
pub fn load(instructions: &[sock_filter], flags: u64) -> Result<Option<RawFd>> {
    let Ok(len) = libc::c_ushort::try_from(instructions.len()) else {
        return Err(Errno(libc::EINVAL));
    };
    let program = Program {
        len,
        filter: instructions.as_ptr(),
    };
    // SAFETY: the kernel reads one sock_fprog and `len` instructions of 8 bytes behind its pointer, all
    // borrowed until the call is over, and copies them; sock_filter and Program are repr(C) as the
    // kernel's. It writes no memory of ours. The filter may refuse later calls of this thread, which
    // breaks no rule of memory.
    let answer = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    })?;
    if flags & NEW_LISTENER == 0 {
        return Ok(None);
    }
    RawFd::try_from(answer)
        .map(Some)
        .map_err(|_| Errno(libc::EOVERFLOW))
}

/// SECCOMP_FILTER_FLAG_NEW_LISTENER.
const NEW_LISTENER: u64 = 1 << 3;

/// Whether the kernel knows the flags of a load. It looks at them before it reads the program.
pub fn knows_flags(flags: u64) -> bool {
    let nowhere = std::ptr::null::<Program>();
    // SAFETY: the kernel refuses unknown flags with EINVAL and then copies the program from a null
    // pointer, which is EFAULT; so nothing is ever installed.
    let answer = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            nowhere,
        )
    });
    answer == Err(Errno(libc::EFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Seccomp;
    use crate::seccomp::{Arch, Filter, compile};

    /// Runs a check behind a filter, in a child; its answer is the child's exit status.
    fn behind(filter: &Filter, check: fn(Option<RawFd>) -> bool) -> i32 {
        // SAFETY: the child makes system calls only, none that allocates, and leaves by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: plain numbers.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            let loaded = load(&filter.instructions, filter.flags);
            let held = loaded.is_ok_and(check);
            // SAFETY: ends the child without the parent's destructors.
            unsafe { libc::_exit(i32::from(!held)) };
        }
        let mut status = 0;
        // SAFETY: the child is ours, `status` is one c_int.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status
    }

    fn refused(number: libc::c_long, errno: i32) -> bool {
        // SAFETY: the filter refuses these numbers before the kernel looks at any argument.
        let answer = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
        check(answer) == Err(Errno(errno))
    }

    #[test]
    fn the_kernel_takes_dockers_filter_and_decides_by_it() {
        let profile: Seccomp =
            serde_json::from_str(include_str!("../seccomp/docker.json")).unwrap();
        let filter = compile(&profile, Arch::native()).unwrap();
        let status = behind(&filter, |listener| {
            listener.is_none()
                && refused(libc::SYS_mount, libc::EPERM)
                && refused(libc::SYS_clone3, libc::ENOSYS)
                && refused(9999, libc::ENOSYS)
        });
        assert_eq!(status, 0);
    }

    #[test]
    fn a_filter_that_asks_an_agent_yields_a_listener() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/agent","flags":
            ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV","SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG"],
            "syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#;
        let profile: Seccomp = serde_json::from_str(json).unwrap();
        let filter = compile(&profile, Arch::native()).unwrap();
        let is_open = |listener: Option<RawFd>| {
            // SAFETY: F_GETFD reads nothing of ours.
            listener.is_some_and(|fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == libc::FD_CLOEXEC)
        };
        assert_eq!(behind(&filter, is_open), 0);
    }

    #[test]
    fn an_empty_program_is_refused() {
        assert_eq!(load(&[], 0), Err(Errno(libc::EINVAL)));
    }
}
