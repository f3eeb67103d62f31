//! Namespaces: setns(2), unshare(2), sethostname(2), ioctl_ns(2).

use std::ffi::CStr;
use std::os::fd::RawFd;

use super::{Result, check};

/// setns(2): `fd` is a namespace file, or a pidfd with several CLONE_NEW* flags (Linux 5.8).
/// The flag is never 0, so that a namespace of another kind is EINVAL.
pub fn setns(fd: RawFd, flags: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::setns(fd, flags) })?;
    Ok(())
}

/// unshare(2).
pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: an integer; CLONE_VM and CLONE_FILES are not among the flags, so memory stays as it is.
    check(unsafe { libc::unshare(flags) })?;
    Ok(())
}

/// sethostname(2).
pub fn sethostname(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads count_bytes() bytes of the string.
    check(unsafe { libc::sethostname(name.as_ptr(), name.count_bytes()) })?;
    Ok(())
}

/// setdomainname(2).
pub fn setdomainname(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads count_bytes() bytes of the string.
    check(unsafe { libc::setdomainname(name.as_ptr(), name.count_bytes()) })?;
    Ok(())
}

/// ioctl_ns(2), NS_GET_PARENT: the namespace around one of pids or users. EPERM for the caller's own and for those
/// that are not below it.
pub fn parent(namespace: RawFd) -> Result<RawFd> {
    // SAFETY: takes no argument, and returns a new descriptor (O_CLOEXEC).
    check(unsafe { libc::ioctl(namespace, NS_GET_PARENT) })
}

/// `_IO(0xb7, 2)`.
const NS_GET_PARENT: libc::Ioctl = 0xb702;
