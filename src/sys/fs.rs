//! Files by descriptor: open(2), openat2(2), stat(2), mkdir(2), mknod(2), symlink(2), close_range(2).

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::{Errno, Result, check};

/// `dirfd` of the functions below: relative to the working directory.
pub const AT_FDCWD: RawFd = libc::AT_FDCWD;

/// How openat2(2) may walk. The kernel's RESOLVE_* flags.
pub mod resolve {
    /// Treat the directory as the root: absolute links and `..` stay inside.
    pub const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;
    /// Never follow /proc/PID/fd and the like.
    pub const NO_MAGICLINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
    /// Never follow a symbolic link.
    pub const NO_SYMLINKS: u64 = libc::RESOLVE_NO_SYMLINKS;
    /// Never cross a mount point.
    pub const NO_XDEV: u64 = libc::RESOLVE_NO_XDEV;
    /// Refuse whatever leaves the directory.
    pub const BENEATH: u64 = libc::RESOLVE_BENEATH;
}

/// openat2(2) with O_CLOEXEC added.
pub fn openat2(dir: RawFd, path: &CStr, flags: i32, mode: u32, how: u64) -> Result<RawFd> {
    // SAFETY: open_how is plain integers, for which all zeroes is a value.
    let mut open_how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    open_how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    open_how.mode = u64::from(mode);
    open_how.resolve = how;
    // SAFETY: `path` is one C string and `open_how` lives through the call; the kernel reads
    // size_of::<open_how>() bytes of it and writes nothing.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            &raw const open_how,
            size_of::<libc::open_how>(),
        )
    })?;
    Ok(descriptor(fd))
}

/// openat(2) with O_CLOEXEC added, for paths of the host that nobody hostile can change.
pub fn openat(dir: RawFd, path: &CStr, flags: i32, mode: u32) -> Result<RawFd> {
    // SAFETY: `path` is one C string that lives through the call; nothing is written.
    check(unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode) })
}

/// A descriptor as system calls return it: it always fits.
pub(super) fn descriptor(value: libc::c_long) -> RawFd {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel returns descriptors as int"
    )]
    let fd = value as RawFd;
    fd
}

/// close(2). The result is of no use: the descriptor is gone either way (see the man page).
pub fn close(fd: RawFd) {
    // SAFETY: closes a number; the caller gave up what it named.
    unsafe { libc::close(fd) };
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC: everything from `first` on closes at exec.
pub fn close_at_exec_from(first: u32) -> Result<()> {
    // SAFETY: takes three integers, changes descriptor flags only.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })?;
    Ok(())
}

/// close_range(2), both ends included.
pub fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: closes numbers; the caller gave up what they named.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    Ok(())
}

/// fstatat(2) with AT_EMPTY_PATH: what a descriptor is.
pub fn fstat(fd: RawFd) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills one stat through the pointer when it returns 0.
    check(unsafe { libc::fstatat(fd, c"".as_ptr(), stat.as_mut_ptr(), libc::AT_EMPTY_PATH) })?;
    // SAFETY: filled by the call above, which succeeded.
    Ok(unsafe { stat.assume_init() })
}

/// fstatat(2) with AT_SYMLINK_NOFOLLOW.
pub fn lstatat(dir: RawFd, path: &CStr) -> Result<libc::stat> {
    fstatat(dir, path, libc::AT_SYMLINK_NOFOLLOW)
}

/// fstatat(2), through links.
pub fn statat(dir: RawFd, path: &CStr) -> Result<libc::stat> {
    fstatat(dir, path, 0)
}

fn fstatat(dir: RawFd, path: &CStr, flags: i32) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: one C string in, one stat out, filled when the call returns 0.
    check(unsafe { libc::fstatat(dir, path.as_ptr(), stat.as_mut_ptr(), flags) })?;
    // SAFETY: filled by the call above, which succeeded.
    Ok(unsafe { stat.assume_init() })
}

/// fstatvfs(3): whether programs of the mount that a descriptor is on cannot be executed.
pub fn is_noexec(fd: RawFd) -> Result<bool> {
    let mut statvfs = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the C library fills one statvfs through the pointer when it returns 0.
    check(unsafe { libc::fstatvfs(fd, statvfs.as_mut_ptr()) })?;
    // SAFETY: filled by the call above, which succeeded.
    let statvfs = unsafe { statvfs.assume_init() };
    Ok(statvfs.f_flag & libc::ST_NOEXEC != 0)
}

/// fstatfs(2): the magic number of the filesystem that a descriptor is on.
pub fn filesystem_magic(fd: RawFd) -> Result<i64> {
    let mut statfs = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel fills one statfs through the pointer when it returns 0.
    check(unsafe { libc::fstatfs(fd, statfs.as_mut_ptr()) })?;
    // SAFETY: filled by the call above, which succeeded.
    let statfs = unsafe { statfs.assume_init() };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the field's type differs between architectures"
    )]
    Ok(statfs.f_type as i64)
}

/// fstatvfs(3): the ST_* flags of the mount that a descriptor is on.
pub fn mount_flags(fd: RawFd) -> Result<libc::c_ulong> {
    let mut statvfs = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: one statvfs is filled through the pointer when the call returns 0.
    check(unsafe { libc::fstatvfs(fd, statvfs.as_mut_ptr()) })?;
    // SAFETY: filled by the call above, which succeeded.
    Ok(unsafe { statvfs.assume_init() }.f_flag)
}

/// mkdirat(2).
pub fn mkdirat(dir: RawFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::mkdirat(dir, path.as_ptr(), mode) })?;
    Ok(())
}

/// mknodat(2).
pub fn mknodat(dir: RawFd, path: &CStr, mode: u32, device: u64) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::mknodat(dir, path.as_ptr(), mode, device) })?;
    Ok(())
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, dir: RawFd, path: &CStr) -> Result<()> {
    // SAFETY: two C strings, read during the call.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir, path.as_ptr()) })?;
    Ok(())
}

/// unlinkat(2); `flags` may be AT_REMOVEDIR.
pub fn unlinkat(dir: RawFd, path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::unlinkat(dir, path.as_ptr(), flags) })?;
    Ok(())
}

/// readlinkat(2) into `buffer`; the length. A link that fills the buffer is ENAMETOOLONG.
pub fn readlinkat(dir: RawFd, path: &CStr, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most buffer.len() bytes to the buffer.
    let length = check(unsafe {
        libc::readlinkat(dir, path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    })?;
    match usize::try_from(length) {
        Ok(length) if length < buffer.len() => Ok(length),
        _ => Err(Errno(libc::ENAMETOOLONG)),
    }
}

/// fchownat(2) with AT_EMPTY_PATH: the owner of what a descriptor names.
pub fn fchown(fd: RawFd, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: an empty C string and integers.
    check(unsafe { libc::fchownat(fd, c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) })?;
    Ok(())
}

/// fchownat(2) with AT_SYMLINK_NOFOLLOW.
pub fn lchownat(dir: RawFd, path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::fchownat(dir, path.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) })?;
    Ok(())
}

/// fchmod(2).
pub fn fchmod(fd: RawFd, mode: u32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fchmod(fd, mode) })?;
    Ok(())
}

/// fsetxattr(2).
pub fn fsetxattr(fd: RawFd, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads one C string and value.len() bytes during the call.
    check(unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })?;
    Ok(())
}

/// fchmodat(2), which follows a link: for names in a directory that nobody hostile can change.
pub fn chmodat(dir: RawFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::fchmodat(dir, path.as_ptr(), mode, 0) })?;
    Ok(())
}

/// flock(2): LOCK_SH, LOCK_EX, LOCK_UN, and LOCK_NB with them.
pub fn flock(fd: RawFd, operation: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::flock(fd, operation) })?;
    Ok(())
}

/// fchdir(2).
pub fn fchdir(fd: RawFd) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fchdir(fd) })?;
    Ok(())
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::chdir(path.as_ptr()) })?;
    Ok(())
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::chroot(path.as_ptr()) })?;
    Ok(())
}

/// getcwd(2) by system call: unlike libc's it shows `(unreachable)`. The bytes without the NUL.
pub fn getcwd(buffer: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the kernel writes at most buffer.len() bytes to the buffer.
    let length =
        check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    let length = usize::try_from(length).unwrap_or(0);
    buffer
        .get(..length.saturating_sub(1))
        .ok_or(Errno(libc::ERANGE))
}

/// read(2), again after EINTR.
pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: the kernel writes at most buffer.len() bytes to the buffer.
        match check(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }) {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(length) => return Ok(length.cast_unsigned()),
        }
    }
}

/// A small file of /proc or /sys, opened, read with one read(2) and closed. The kernel gives a text of one
/// record whole if it fits, so there is no end to look for; a list, such as mountinfo, may come in parts.
pub fn read_small(dir: RawFd, path: &CStr, buffer: &mut [u8]) -> Result<usize> {
    let file = openat(dir, path, libc::O_RDONLY, 0)?;
    let length = read(file, buffer);
    close(file);
    length
}

/// The opposite: a value for a file of /proc, opened, written with one write(2) and closed.
pub fn write_small(path: &CStr, bytes: &[u8]) -> Result<()> {
    let file = openat(AT_FDCWD, path, libc::O_WRONLY, 0)?;
    let written = write(file, bytes);
    close(file);
    written
}

/// pread(2).
pub fn pread(fd: RawFd, buffer: &mut [u8], offset: i64) -> Result<usize> {
    // SAFETY: the kernel writes at most buffer.len() bytes to the buffer.
    let length =
        check(unsafe { libc::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset) })?;
    Ok(length.cast_unsigned())
}

/// write(2), again after EINTR; the whole of `bytes` or EIO, as kernel files take or leave a value.
pub fn write(fd: RawFd, bytes: &[u8]) -> Result<()> {
    loop {
        // SAFETY: the kernel reads at most bytes.len() bytes.
        match check(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }) {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(length) if length.cast_unsigned() == bytes.len() => return Ok(()),
            Ok(_) => return Err(Errno(libc::EIO)),
        }
    }
}

/// faccessat2(2) with AT_EACCESS: may the process as it is now execute this?
pub fn may_execute(dir: RawFd, path: &CStr) -> Result<()> {
    // SAFETY: one C string and integers.
    check(unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            dir,
            path.as_ptr(),
            libc::X_OK,
            libc::AT_EACCESS,
        )
    })?;
    Ok(())
}

/// umask(2); never fails.
pub fn umask(mask: u32) {
    // SAFETY: an integer.
    unsafe { libc::umask(mask) };
}

/// getdents64(2): fills `buffer` with entries; the bytes filled, 0 at the end.
pub fn getdents(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most buffer.len() bytes to the buffer.
    let length = check(unsafe {
        libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len())
    })?;
    Ok(usize::try_from(length).unwrap_or(0))
}

/// sendfile(2) to the end of `from`.
pub fn copy(from: RawFd, to: RawFd) -> Result<()> {
    loop {
        // SAFETY: integers and a null offset.
        if check(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), 1 << 24) })? == 0 {
            return Ok(());
        }
    }
}

/// The numbers of a device, as stat(2) and mknod(2) combine them.
pub fn device_number(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}
