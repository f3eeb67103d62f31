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
