//! The files in a container's directory: what they are called, and how they are opened without waiting and
//! without a link being followed.

use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno as NixErrno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::root::{Id, Root};
use crate::error::{Act, Code, Failure, Result};
use crate::sys::Errno;

/// The record's name in the container's directory.
pub(super) const RECORD: &str = "state.json";
/// The name of the frozen configuration.
pub(super) const CONFIG: &str = "config.json";
/// The name of what an `exec` has kept for the next.
pub(super) const KEPT: &str = "exec.kept";
/// What is written before it is renamed.
pub(super) const UNFINISHED: &str = ".unfinished";
/// No record or configuration is longer; annotations may take megabytes.
const LONGEST_FILE: u64 = 64 << 20;

pub(super) fn open_directory(root: &Root) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(AT_FDCWD, root.path(), flags, Mode::empty())
        .map_err(Errno::from)
        .act(|| format!("cannot open the root directory {}", root.path().display()))
}

/// openat(2) for reading, never through a link, never waiting (a fifo), closed at exec.
pub(super) fn open_at(
    directory: BorrowedFd<'_>,
    name: &str,
    flags: OFlag,
) -> crate::sys::Result<OwnedFd> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    openat(directory, name, flags, Mode::empty()).map_err(Errno::from)
}

/// A whole file; None if there is none.
pub(super) fn read_file(directory: BorrowedFd<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    let act = || format!("cannot read {name}");
    let file = match open_at(directory, name, OFlag::empty()) {
        Err(Errno(libc::ENOENT)) => return Ok(None),
        fd => File::from(fd.act(act)?),
    };
    let metadata = file.metadata().act(act)?;
    if !metadata.is_file() || metadata.len() > LONGEST_FILE {
        let why = format!("not a regular file of at most {LONGEST_FILE} bytes");
        return Err(Failure::new(Code::State, act()).because(why));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // A file that has a name is whole, so no read finds out where it ends.
    file.take(metadata.len())
        .read_to_end(&mut content)
        .act(act)?;
    Ok(Some(content))
}

pub(super) fn exists(directory: BorrowedFd<'_>, name: &str) -> Result<bool> {
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(NixErrno::ENOENT) => Ok(false),
        Err(errno) => Err(Failure::system(
            format!("cannot look at {name}"),
            errno.into(),
        )),
    }
}

/// Which directory: device and inode.
pub(super) type Identity = (libc::dev_t, libc::ino_t);

/// That of the directory we hold.
pub(super) fn identity(directory: &OwnedFd, id: &Id) -> Result<Identity> {
    let held = fstat(directory)
        .map_err(Errno::from)
        .act(|| format!("cannot look at the directory of {id}"))?;
    Ok((held.st_dev, held.st_ino))
}

/// Whether the directory we hold is still the one that has the id: `delete` may have been faster.
pub(super) fn is_linked(root: &OwnedFd, held: Identity, id: &Id) -> Result<bool> {
    match fstatat(root, id.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == held),
        Err(NixErrno::ENOENT) => Ok(false),
        Err(errno) => Err(Failure::system(
            format!("cannot look at the directory of {id}"),
            errno.into(),
        )),
    }
}

/// Removes one name from the container's directory; a missing one is no error.
pub(super) fn unlink(directory: &OwnedFd, name: &str) -> Result<()> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        // A directory in the place of a file goes with the container's.
        Ok(()) | Err(NixErrno::ENOENT | NixErrno::EISDIR) => Ok(()),
        Err(errno) => Err(Failure::system(
            format!("cannot remove {name}"),
            errno.into(),
        )),
    }
}
