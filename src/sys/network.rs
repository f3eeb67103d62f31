//! Network interfaces: netdevice(7), rtnetlink(7).

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::{Result, check, fs};

/// SIOCSIFFLAGS, by the type that this C library's ioctl(2) takes.
const SET_FLAGS: libc::Ioctl = libc::SIOCSIFFLAGS as libc::Ioctl;

/// SIOCSIFFLAGS: `lo` of this network namespace is up. It has no other flags of its own to keep.
pub fn raise_loopback() -> Result<()> {
    // SAFETY: ifreq is integers and arrays of them, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = *byte as libc::c_char;
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

/// socket(AF_NETLINK): a conversation with the kernel about the interfaces of the network namespace in
/// which it is opened. It answers with words besides the errno (NETLINK_EXT_ACK), and does not send
/// the question back (NETLINK_CAP_ACK).
pub fn route_socket() -> Result<RawFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: integers only.
    let socket = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads one int, which lives through the call.
        let set = check(unsafe {
            libc::setsockopt(
                socket,
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                INT_SIZE,
            )
        });
        if let Err(errno) = set {
            fs::close(socket);
            return Err(errno);
        }
    }
    Ok(socket)
}

const INT_SIZE: libc::socklen_t = libc::c_int::BITS / 8;
