//! Unix sockets: socket(2), connect(2), bind(2), sendmsg(2), recvmsg(2) with descriptors in
//! SCM_RIGHTS. No function allocates: the control message lies on the stack.

use std::ffi::CStr;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::poll::{self, Deadline};
use super::{Errno, Result, check, descriptor};

/// The longest path that a socket address holds, in bytes.
pub const PATH_MAX: usize = 107;

/// Bytes of a descriptor in a control message.
const DESCRIPTOR: u32 = RawFd::BITS / 8;

/// How many descriptors a message carries at most.
const DESCRIPTORS: u32 = 2;

/// Bytes of a control message with so many: cmsghdr, ints, padding.
// SAFETY: computes an alignment from a constant; reads nothing.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(DESCRIPTORS * DESCRIPTOR) } as usize;

/// A control message buffer, aligned as cmsghdr needs it.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Whether messages keep their boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream of bytes.
    Stream,
    /// Messages.
    Datagram,
}

impl Kind {
    fn flags(self) -> i32 {
        libc::SOCK_CLOEXEC
            | match self {
                Self::Stream => libc::SOCK_STREAM,
                Self::Datagram => libc::SOCK_DGRAM,
            }
    }
}

/// socket(AF_UNIX), O_CLOEXEC.
pub fn socket(kind: Kind) -> Result<RawFd> {
    // SAFETY: integers only.
    check(unsafe { libc::socket(libc::AF_UNIX, kind.flags(), 0) })
}

/// socketpair(AF_UNIX, SOCK_STREAM), O_CLOEXEC.
pub fn socketpair() -> Result<(RawFd, RawFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors to the array.
    check(unsafe { libc::socketpair(libc::AF_UNIX, Kind::Stream.flags(), 0, ends.as_mut_ptr()) })?;
    Ok((ends[0], ends[1]))
}

/// setsockopt(SO_SNDTIMEO): connect(2) and sendmsg(2) end with EAGAIN after so long.
pub fn set_send_timeout(socket: RawFd, timeout: Duration) -> Result<()> {
    let time = libc::timeval {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_usec: timeout.subsec_micros().into(),
    };
    let length =
        libc::socklen_t::try_from(size_of::<libc::timeval>()).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the kernel reads one timeval, whose size is given.
    check(unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const time).cast(),
            length,
        )
    })?;
    Ok(())
}

/// Where a socket is: a path, or a name in the abstract namespace.
#[derive(Clone, Copy, Debug)]
pub enum Address<'a> {
    /// In the file system.
    Path(&'a CStr),
    /// In the network namespace, without the leading NUL.
    Abstract(&'a [u8]),
}

fn sockaddr(address: Address<'_>) -> Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: sockaddr_un is plain integers, for which all zeroes is a value.
    let mut un: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
    un.sun_family =
        libc::sa_family_t::try_from(libc::AF_UNIX).map_err(|_| Errno(libc::EAFNOSUPPORT))?;
    let (start, name) = match address {
        Address::Path(path) => (0, path.to_bytes()),
        Address::Abstract(name) => (1, name),
    };
    if name.is_empty() || start + name.len() > PATH_MAX {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    for (to, from) in un.sun_path.iter_mut().skip(start).zip(name) {
        *to = *from as libc::c_char;
    }
    // An abstract name is exactly as long as the length says; a path ends with its NUL.
    let end = if start == 0 {
        name.len() + 1
    } else {
        start + name.len()
    };
    let length = offset_of!(libc::sockaddr_un, sun_path) + end;
    Ok((
        un,
        libc::socklen_t::try_from(length).map_err(|_| Errno(libc::ENAMETOOLONG))?,
    ))
}

/// connect(2). EAGAIN after the send timeout; ENAMETOOLONG for more than [`PATH_MAX`] bytes.
pub fn connect(socket: RawFd, address: Address<'_>) -> Result<()> {
    let (address, length) = sockaddr(address)?;
    // SAFETY: the kernel reads `length` bytes of the address, which is longer.
    check(unsafe { libc::connect(socket, (&raw const address).cast(), length) })?;
    Ok(())
}

/// bind(2).
pub fn bind(socket: RawFd, address: Address<'_>) -> Result<()> {
    let (address, length) = sockaddr(address)?;
    // SAFETY: the kernel reads `length` bytes of the address, which is longer.
    check(unsafe { libc::bind(socket, (&raw const address).cast(), length) })?;
    Ok(())
}

/// sendmsg(2) of some bytes with one descriptor, again after EINTR; EPIPE without SIGPIPE.
pub fn send_descriptor(socket: RawFd, payload: &[u8], fd: RawFd) -> Result<()> {
    send(socket, payload, &[fd])
}

/// The same with at most [`DESCRIPTORS`].
fn send(socket: RawFd, payload: &[u8], fds: &[RawFd]) -> Result<()> {
    let length = u32::try_from(size_of_val(fds)).unwrap_or(u32::MAX);
    if length > DESCRIPTORS * DESCRIPTOR {
        return Err(Errno(libc::EINVAL));
    }
    let mut control = Control([0; CONTROL]);
    let mut bytes = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    // SAFETY: computes an alignment; reads nothing.
    let space = unsafe { libc::CMSG_SPACE(length) };
    let message = message(&mut bytes, &mut control, space);
    // SAFETY: the control buffer is aligned for a cmsghdr and has room for one with so many ints, by
    // CMSG_SPACE; CMSG_FIRSTHDR and CMSG_DATA point into it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(length) as _;
        let data = libc::CMSG_DATA(header).cast::<RawFd>();
        data.copy_from_nonoverlapping(fds.as_ptr(), fds.len());
    }
    loop {
        // SAFETY: the message points to one iovec over `payload` (only read) and to the control buffer.
        match check(unsafe { libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) }) {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(()),
        }
    }
}

/// What [`receive_descriptor`] got.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes of the payload; 0 at the end of a stream.
    pub length: usize,
    /// The descriptor that came with it, O_CLOEXEC; the caller's to close.
    pub fd: Option<RawFd>,
}

/// recvmsg(2) of some bytes with at most one descriptor, again after EINTR. The kernel closes any
/// more that were sent, for the control buffer has room for one.
pub fn receive_descriptor(socket: RawFd, payload: &mut [u8]) -> Result<Received> {
    let mut control = Control([0; CONTROL]);
    let mut bytes = libc::iovec {
        iov_base: payload.as_mut_ptr().cast(),
        iov_len: payload.len(),
    };
    // Of CMSG_LEN: CMSG_SPACE has room for a second one behind it, which the kernel would open.
    // SAFETY: computes an alignment; reads nothing.
    let room = unsafe { libc::CMSG_LEN(DESCRIPTOR) };
    let mut message = message(&mut bytes, &mut control, room);
    let length = loop {
        // SAFETY: the message points to one iovec over `payload` and to the control buffer, both with
        // their true lengths.
        match check(unsafe { libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC) }) {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(length) => break length.cast_unsigned(),
        }
    };
    // SAFETY: CMSG_FIRSTHDR is null unless the kernel wrote a whole header; the length is checked
    // before the data is read.
    let fd = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let wanted = libc::CMSG_LEN(DESCRIPTOR) as usize;
        if !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
            && (*header).cmsg_len as usize >= wanted
        {
            Some(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
        } else {
            None
        }
    };
    Ok(Received { length, fd })
}

/// With so many bytes of the control message.
fn message(bytes: &mut libc::iovec, control: &mut Control, length: u32) -> libc::msghdr {
    // SAFETY: msghdr is integers and pointers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = length as _;
    message
}

/// Closes a descriptor whose last close waits for the kernel, without waiting: it goes into the queue of a
/// socket that is closed with it, and that lies in its own queue, where nobody can ask for either of them any more.
/// The kernel's collector of such queues, which a close of a Unix socket sets to work, closes them (unix(7),
/// SCM_RIGHTS; Linux before 6.10 does so within the close, which waits then). Where that cannot be, it is closed here.
pub fn close_in_background(fd: OwnedFd) {
    let Ok((near, far)) = socketpair() else {
        return;
    };
    let (near, far) = (descriptor::owned(near), descriptor::owned(far));
    // Unsent, all three are closed all the same.
    send(near.as_raw_fd(), b"x", &[far.as_raw_fd(), fd.as_raw_fd()]).ok();
    drop(fd);
    descriptor::close_both(near, far);
}

/// accept4(2), O_CLOEXEC, again after EINTR, and while the machine has no room for another descriptor: the
/// caller cannot do without the connection, which waits meanwhile.
pub fn accept(socket: RawFd) -> Result<RawFd> {
    loop {
        let (address, length) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: null pointers ask for no address.
        match check(unsafe { libc::accept4(socket, address, length, libc::SOCK_CLOEXEC) }) {
            Err(Errno(libc::EINTR | libc::ECONNABORTED)) => {}
            Err(errno) if errno.is_of_the_machine() => {
                poll::wait(&mut [], Deadline::after(Duration::from_millis(10)))?;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::{Pipe, pipe, write_all};
    use crate::sys::fs::{close, read};

    #[test]
    fn a_descriptor_travels_with_its_payload() {
        let (near, far) = socketpair().unwrap();
        let Pipe {
            read: out,
            write: into,
        } = pipe().unwrap();
        send_descriptor(near, b"/dev/pts/0", into).unwrap();
        close(into);
        let mut payload = [0; 64];
        let received = receive_descriptor(far, &mut payload).unwrap();
        assert_eq!(&payload[..received.length], b"/dev/pts/0");
        let fd = received.fd.unwrap();
        write_all(fd, b"through").unwrap();
        close(fd);
        assert_eq!(read(out, &mut payload).unwrap(), 7);
        [near, far, out].into_iter().for_each(close);
    }

    #[test]
    fn a_message_without_a_descriptor_has_none_and_a_closed_peer_is_epipe() {
        let (near, far) = socketpair().unwrap();
        write_all(near, b"x").unwrap();
        let mut payload = [0; 8];
        let received = receive_descriptor(far, &mut payload).unwrap();
        assert_eq!((received.length, received.fd), (1, None));
        close(far);
        assert_eq!(send_descriptor(near, b"x", 1), Err(Errno(libc::EPIPE)));
        close(near);
    }

    #[test]
    fn of_two_descriptors_one_is_received_and_the_other_one_closed() {
        let (near, far) = socketpair().unwrap();
        let Pipe {
            read: out,
            write: into,
        } = pipe().unwrap();
        send(near, b"x", &[out, into]).unwrap();
        close(into);
        let received = receive_descriptor(far, &mut [0; 8]).unwrap();
        // Nobody holds the writing end: it was not received unnoticed.
        assert_eq!(read(received.fd.unwrap(), &mut [0; 8]), Ok(0));
        [near, far, out, received.fd.unwrap()]
            .into_iter()
            .for_each(close);
    }

    #[test]
    fn what_is_closed_in_the_background_is_closed() {
        let Pipe { read: out, write } = pipe().unwrap();
        close_in_background(descriptor::owned(write));
        // The end of the file comes with the last close, which nobody has to wait for.
        let mut watches = [poll::Watch::readable(out)];
        poll::wait(&mut watches, Deadline::after(Duration::from_secs(10))).unwrap();
        assert!(watches[0].is_ready(), "somebody still holds it");
        assert_eq!(read(out, &mut [0; 8]), Ok(0));
        close(out);
    }

    #[test]
    fn a_path_that_is_too_long_is_refused_here_not_cut() {
        let long = std::ffi::CString::new(vec![b'x'; PATH_MAX + 1]).unwrap();
        let fd = socket(Kind::Stream).unwrap();
        assert_eq!(
            connect(fd, Address::Path(&long)),
            Err(Errno(libc::ENAMETOOLONG))
        );
        let fits = std::ffi::CString::new(vec![b'x'; PATH_MAX]).unwrap();
        assert_eq!(connect(fd, Address::Path(&fits)), Err(Errno(libc::ENOENT)));
        close(fd);
    }
}
