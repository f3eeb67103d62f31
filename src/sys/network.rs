//! Network interfaces: netdevice(7).

use std::mem::MaybeUninit;

use super::{Result, check, fs};

/// SIOCSIFFLAGS, by the type that this C library's ioctl(2) takes.
const SET_FLAGS: libc::Ioctl = libc::SIOCSIFFLAGS as libc::Ioctl;

/// SIOCSIFFLAGS: `lo` of this network namespace is up. It has no other flags of its own to keep.
pub fn raise_loopback() -> Result<()> {
    // SAFETY: ifreq is integers and arrays of them, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = UP;
    // SAFETY: integers only.
    let socket =
        check(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel reads one ifreq, which lives through the call.
    let raised = check(unsafe { libc::ioctl(socket, SET_FLAGS, &raw const request) });
    fs::close(socket);
    raised?;
    Ok(())
}

/// IFF_UP and IFF_RUNNING: 0x1 and 0x40, which fit a short.
const UP: libc::c_short = 0x41;
