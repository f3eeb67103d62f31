//! Directories and small files of cgroupfs: cgroups(7), over the calls of [`super::fs`].
//!
//! For the runtime half only: these functions allocate and own what they open.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Errno, Result, check, fs};

/// Never a link, never another filesystem, never upwards: nobody can plant any of these in
/// cgroupfs but by mounting over it, and then we refuse.
const STAY: u64 = fs::resolve::BENEATH | fs::resolve::NO_SYMLINKS | fs::resolve::NO_XDEV;

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: every caller passes the descriptor that an open call just returned to it and to
    // nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Opens the mount point of the tree, to walk from.
pub fn open_mount(path: &CStr) -> Result<OwnedFd> {
    fs::openat(fs::AT_FDCWD, path, libc::O_PATH | libc::O_DIRECTORY, 0).map(owned)
}

/// Opens a cgroup below another, given by one or more components.
pub fn open_dir(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    fs::openat2(dir.as_raw_fd(), path, flags, 0, STAY).map(owned)
}

/// Opens the parent of a cgroup. Cgroups cannot be moved, so it is the one we came from.
pub fn open_parent(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    fs::openat(dir.as_raw_fd(), c"..", flags, 0).map(owned)
}

/// Opens a file of a cgroup; `flags` O_RDONLY or O_WRONLY.
pub fn open_file(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<OwnedFd> {
    let flags = flags | libc::O_NOFOLLOW;
    fs::openat(dir.as_raw_fd(), name, flags, 0).map(owned)
}

/// The whole text of a file of a cgroup.
pub fn read_file(dir: BorrowedFd<'_>, name: &CStr) -> Result<String> {
    read_all(&open_file(dir, name, libc::O_RDONLY)?)
}

/// A value of one line or a few, such as cgroup.events, in one read(2) (see [`fs::read_small`]); lists of
/// processes are for [`read_file`].
pub fn read_value(dir: BorrowedFd<'_>, name: &CStr) -> Result<String> {
    let file = open_file(dir, name, libc::O_RDONLY)?;
    let mut text = [0; 4096];
    let length = fs::read(file.as_raw_fd(), &mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// The whole text of a file of /proc or /sys.
pub fn read_path(path: &CStr) -> Result<String> {
    read_all(&owned(fs::openat(fs::AT_FDCWD, path, libc::O_RDONLY, 0)?))
}

/// Reads to the end, from wherever the descriptor stands.
pub fn read_all(file: &OwnedFd) -> Result<String> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = fs::read(file.as_raw_fd(), &mut chunk)?;
        if length == 0 {
            return String::from_utf8(text).map_err(|_| Errno(libc::EILSEQ));
        }
        text.extend_from_slice(&chunk[..length]);
    }
}

/// Reads the beginning of a file again: what cgroup.events says now. At most 255 bytes.
pub fn reread(file: &OwnedFd) -> Result<String> {
    let mut chunk = [0; 255];
    let length = fs::pread(file.as_raw_fd(), &mut chunk, 0)?;
    Ok(String::from_utf8_lossy(&chunk[..length]).into_owned())
}

/// Writes a value in one write(2), as kernfs wants it.
pub fn write_file(dir: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    let file = open_file(dir, name, libc::O_WRONLY)?;
    fs::write(file.as_raw_fd(), value)
}

/// Names in a cgroup of the wanted kind (DT_DIR or DT_REG), in the kernel's order.
pub fn names(dir: BorrowedFd<'_>, wanted: u8) -> Result<Vec<CString>> {
    names_up_to(dir, wanted, usize::MAX)
}

/// The same for any directory of which somebody else decides how much is in it: no more than `most`.
pub fn names_up_to(dir: BorrowedFd<'_>, wanted: u8, most: usize) -> Result<Vec<CString>> {
    // A descriptor of its own: the position of `dir` is the caller's.
    let listing = owned(fs::openat(
        dir.as_raw_fd(),
        c".",
        libc::O_RDONLY | libc::O_DIRECTORY,
        0,
    )?);
    let mut names = Vec::new();
    // Room for the longest entry: cgroupfs has no NAME_MAX, a name may fill a path.
    let mut buffer = [0; 8192];
    loop {
        let length = fs::getdents(listing.as_raw_fd(), &mut buffer)?;
        if length == 0 || names.len() >= most {
            names.truncate(most);
            return Ok(names);
        }
        collect_names(&buffer[..length], wanted, &mut names);
    }
}

/// linux_dirent64: 8 bytes inode, 8 bytes offset, 2 bytes record length, 1 byte type, name, NUL.
fn collect_names(mut entries: &[u8], wanted: u8, names: &mut Vec<CString>) {
    const HEADER: usize = 19;
    while let Some(&[low, high, kind]) = entries.get(16..HEADER) {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(Ok(name)) = entries.get(HEADER..).map(CStr::from_bytes_until_nul) else {
            return;
        };
        if kind == wanted && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
        let Some(rest) = entries.get(length.max(HEADER)..) else {
            return;
        };
        entries = rest;
    }
}

/// Whether a wait ended because something happened, or because time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The file has changed.
    Changed,
    /// Nothing happened.
    TimedOut,
}

/// poll(2) for POLLPRI: cgroup.events has changed since it was read. EINTR counts as a change.
pub fn wait_change(file: &OwnedFd, milliseconds: i32) -> Result<Waited> {
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLPRI,
        revents: 0,
    };
    // SAFETY: one pollfd, which lives through the call.
    match check(unsafe { libc::poll(&raw mut poll, 1, milliseconds) }) {
        Ok(0) => Ok(Waited::TimedOut),
        Ok(_) | Err(Errno(libc::EINTR)) => Ok(Waited::Changed),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_directories_from_files() {
        let etc = open_mount(c"/proc/self").unwrap();
        use std::os::fd::AsFd;
        let directories = names(etc.as_fd(), libc::DT_DIR).unwrap();
        let files = names(etc.as_fd(), libc::DT_REG).unwrap();
        assert!(directories.iter().any(|name| name.as_c_str() == c"fd"));
        assert!(files.iter().any(|name| name.as_c_str() == c"status"));
        assert!(!files.iter().any(|name| name.as_c_str() == c"fd"));
    }
}
