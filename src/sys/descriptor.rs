//! Descriptors themselves: dup(2), fcntl(2), pipe(2), memfd_create(2).

use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{Errno, Result, check, fs};

/// dup3(2): makes `target` name what `fd` names, inherited over exec. Where both are the same number
/// only the close-on-exec flag goes, for which dup3 itself has EINVAL.
pub fn dup_onto(fd: RawFd, target: RawFd) -> Result<()> {
    if fd == target {
        return keep_at_exec(fd);
    }
    // SAFETY: integers only; whatever `target` named before is closed, which is the point.
    check(unsafe { libc::dup3(fd, target, 0) })?;
    Ok(())
}

/// fcntl(F_DUPFD_CLOEXEC): the same open file under the lowest free number.
pub fn duplicate(fd: RawFd) -> Result<RawFd> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })
}

/// A descriptor that stays in a table of numbers, such as a plan's slots: the table closes it.
pub fn give_up(fd: OwnedFd) -> RawFd {
    fd.into_raw_fd()
}

/// A number of such a table, as a descriptor that lives as long as its place there.
pub fn borrow(fd: &RawFd) -> BorrowedFd<'_> {
    // SAFETY: the caller's table holds an open descriptor for as long as the place is borrowed; -1, for
    // an empty place, is what BorrowedFd excludes, and is turned into the working directory's number, which every call
    // that wants a file refuses with EBADF.
    unsafe { BorrowedFd::borrow_raw(if *fd == -1 { libc::AT_FDCWD } else { *fd }) }
}

/// Closes two, with one call where they are neighbours; else the second one first.
pub fn close_both(first: OwnedFd, second: OwnedFd) {
    let neighbours = second.as_raw_fd() == first.as_raw_fd() + 1;
    if let (true, Ok(low)) = (neighbours, u32::try_from(first.as_raw_fd())) {
        let (low, high) = (low, low + 1);
        if fs::close_range(low, high).is_ok() {
            // They are closed already.
            mem::forget((first, second));
            return;
        }
    }
    drop(second);
    drop(first);
}

/// fcntl(F_SETFD, 0): the descriptor survives exec.
pub fn keep_at_exec(fd: RawFd) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
    Ok(())
}

/// fcntl(F_GETFD): EBADF says that nothing is open under that number.
pub fn is_open(fd: RawFd) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    Ok(())
}

/// fcntl(F_SETFL): O_NONBLOCK. It belongs to the open file, not to the descriptor: set it only on
/// what no other process reads or writes, never on an inherited standard stream.
pub fn set_nonblocking(fd: RawFd) -> Result<()> {
    set_flags(fd, flags(fd)? | libc::O_NONBLOCK)
}

/// fcntl(F_SETFL) without O_NONBLOCK.
pub fn set_blocking(fd: RawFd) -> Result<()> {
    set_flags(fd, flags(fd)? & !libc::O_NONBLOCK)
}

fn flags(fd: RawFd) -> Result<i32> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

fn set_flags(fd: RawFd, flags: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) })?;
    Ok(())
}

/// The two ends of pipe(2), O_CLOEXEC.
#[derive(Clone, Copy, Debug)]
pub struct Pipe {
    /// Where it is read.
    pub read: RawFd,
    /// Where it is written.
    pub write: RawFd,
}

/// pipe2(2) with O_CLOEXEC.
pub fn pipe() -> Result<Pipe> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors to the array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok(Pipe {
        read: ends[0],
        write: ends[1],
    })
}

/// memfd_create(2) with MFD_CLOEXEC and MFD_ALLOW_SEALING: an empty file that has no name.
pub fn memfd(name: &CStr) -> Result<RawFd> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) })
}

/// fcntl(F_ADD_SEALS): from now on nobody changes a memfd.
pub fn seal(memfd: RawFd) -> Result<()> {
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(memfd, libc::F_ADD_SEALS, seals) })?;
    Ok(())
}

/// lseek(2) to the beginning.
pub fn rewind(fd: RawFd) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::lseek(fd, 0, libc::SEEK_SET) })?;
    Ok(())
}

/// write(2) until all is written, again after EINTR; for files and pipes, which may take a part.
pub fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = write_some(fd, bytes)?;
        bytes = bytes.get(written..).ok_or(Errno(libc::EIO))?;
    }
    Ok(())
}

/// write(2) once, again after EINTR; how many bytes were taken.
pub fn write_some(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    loop {
        // SAFETY: the kernel reads at most bytes.len() bytes of the slice.
        match check(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }) {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(written) => return Ok(written.cast_unsigned()),
        }
    }
}

/// Takes ownership of a descriptor that a call of this module has just returned.
///
/// The runtime's half: what Init holds it holds as numbers, and exec closes.
pub fn owned(fd: RawFd) -> OwnedFd {
    debug_assert!(is_open(fd).is_ok(), "descriptor {fd} is not open");
    // SAFETY: the callers pass what the kernel returned a line before, so nobody else owns it. A
    // wrong number could close somebody else's file but not break memory.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
