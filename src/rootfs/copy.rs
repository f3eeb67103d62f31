//! Copying a directory into a tmpfs that is about to hide it (mount option tmpcopyup).
//!
//! The source belongs to the image: each name is opened below its directory without following
//! links, and only plain files, directories and links are copied; a fifo or a device in the image
//! must not block the runtime. Init calls this: nothing here allocates, the depth is bounded.

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::sys::fs::{self, resolve};
use crate::sys::{Errno, Result};

/// Deeper trees than this are ELOOP; each level holds one buffer on the stack.
const MAX_DEPTH: u32 = 64;

/// Copies everything in the directory `from` into the directory `to`, and its owner and mode.
pub fn copy_directory(from: RawFd, to: RawFd) -> Result<()> {
    let from = fs::openat2(
        from,
        c".",
        libc::O_RDONLY | libc::O_DIRECTORY,
        0,
        resolve::BENEATH,
    )?;
    let copied = copy_level(from, to, 0);
    fs::close(from);
    copied
}

fn copy_level(from: RawFd, to: RawFd, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Errno(libc::ELOOP));
    }
    let stat = fs::fstat(from)?;
    fs::fchown(to, stat.st_uid, stat.st_gid)?;
    fs::fchmod(to, stat.st_mode & 0o7777)?;
    let mut entries = [0u8; 2048];
    loop {
        let length = fs::getdents(from, &mut entries)?;
        if length == 0 {
            return Ok(());
        }
        let mut rest = &entries[..length];
        while let Some((name, next)) = next_entry(rest) {
            rest = next;
            if name != c"." && name != c".." {
                copy_entry(from, to, name, depth)?;
            }
        }
    }
}

/// The first name in what getdents64(2) filled in: u64 inode, i64 offset, u16 length, u8 type, name.
fn next_entry(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    let length = usize::from(u16::from_ne_bytes(entries.get(16..18)?.try_into().ok()?));
    let name = CStr::from_bytes_until_nul(entries.get(19..length)?).ok()?;
    Some((name, entries.get(length..)?))
}

fn copy_entry(from: RawFd, to: RawFd, name: &CStr, depth: u32) -> Result<()> {
    let stat = fs::lstatat(from, name)?;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            fs::mkdirat(to, name, 0o700)?;
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let source = fs::openat2(
                from,
                name,
                flags,
                0,
                resolve::BENEATH | resolve::NO_SYMLINKS,
            )?;
            let target = fs::openat(to, name, flags, 0)?;
            let copied = copy_level(source, target, depth + 1);
            fs::close(source);
            fs::close(target);
            copied
        }
        libc::S_IFLNK => {
            let mut text = [0u8; 4096];
            let length = fs::readlinkat(from, name, &mut text)?;
            text[length] = 0;
            let text = CStr::from_bytes_until_nul(&text).map_err(|_| Errno(libc::EINVAL))?;
            fs::symlinkat(text, to, name)?;
            fs::lchownat(to, name, stat.st_uid, stat.st_gid)
        }
        libc::S_IFREG => copy_file(from, to, name),
        _ => Ok(()),
    }
}

fn copy_file(from: RawFd, to: RawFd, name: &CStr) -> Result<()> {
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let source = fs::openat2(
        from,
        name,
        flags,
        0,
        resolve::BENEATH | resolve::NO_SYMLINKS,
    )?;
    let copy = || -> Result<()> {
        let stat = fs::fstat(source)?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Ok(());
        }
        let target = fs::openat(
            to,
            name,
            libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW,
            0o600,
        )?;
        let copied = fs::copy(source, target)
            .and_then(|()| fs::fchown(target, stat.st_uid, stat.st_gid))
            .and_then(|()| fs::fchmod(target, stat.st_mode & 0o7777));
        fs::close(target);
        copied
    };
    let copied = copy();
    fs::close(source);
    copied
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_links_and_modes_are_copied_and_fifos_left_alone() {
        let base = std::env::temp_dir().join(format!("corten-copy-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        std::fs::create_dir_all(from.join("sub")).unwrap();
        std::fs::create_dir_all(&to).unwrap();
        std::fs::write(from.join("sub/file"), "content").unwrap();
        std::fs::set_permissions(from.join("sub/file"), PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("sub/file", from.join("link")).unwrap();
        nix::unistd::mkfifo(&from.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let open = |path| std::fs::File::open(path).unwrap();
        copy_directory(open(&from).as_raw_fd(), open(&to).as_raw_fd()).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("link")).unwrap(), "content");
        assert_eq!(
            to.join("sub/file").metadata().unwrap().permissions().mode() & 0o7777,
            0o640
        );
        assert!(!to.join("fifo").exists());
        std::fs::remove_dir_all(base).unwrap();
    }
}
