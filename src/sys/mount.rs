//! The mount API by descriptor: fsopen(2), fsmount(2), open_tree(2), move_mount(2),
//! mount_setattr(2), pivot_root(2), umount(2).

use std::ffi::CStr;
use std::os::fd::RawFd;

use super::fs::descriptor;
use super::{Result, check};

const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_SET_FD: u32 = 5;
const FSCONFIG_CMD_CREATE: u32 = 6;
const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
const FSPICK_CLOEXEC: u32 = 1;
const FSPICK_EMPTY_PATH: u32 = 8;
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC.cast_unsigned();
const AT_EMPTY_PATH: u32 = libc::AT_EMPTY_PATH.cast_unsigned();
const AT_RECURSIVE: u32 = 0x8000;
const AT_SYMLINK_NOFOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW.cast_unsigned();
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;

/// One mount, or all below it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// This mount.
    One,
    /// This mount and those below it.
    Tree,
}

impl Reach {
    fn flag(self) -> u32 {
        match self {
            Self::One => 0,
            Self::Tree => AT_RECURSIVE,
        }
    }
}

/// fsopen(2): a context of a filesystem about to be made.
pub fn fsopen(kind: &CStr) -> Result<RawFd> {
    // SAFETY: one C string, read during the call.
    Ok(descriptor(check(unsafe {
        libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC)
    })?))
}

/// fspick(2) on the mount that a descriptor names: a context to reconfigure its filesystem.
pub fn fspick(mount: RawFd) -> Result<RawFd> {
    let flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH;
    // SAFETY: an empty C string and integers.
    Ok(descriptor(check(unsafe {
        libc::syscall(libc::SYS_fspick, mount, c"".as_ptr(), flags)
    })?))
}

fn fsconfig(
    context: RawFd,
    command: u32,
    key: Option<&CStr>,
    value: Option<&CStr>,
    number: i32,
) -> Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: each pointer is null or one C string that lives through the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context,
            command,
            pointer(key),
            pointer(value),
            number,
        )
    })?;
    Ok(())
}

/// A parameter without a value: `ro`.
pub fn fsconfig_flag(context: RawFd, key: &CStr) -> Result<()> {
    fsconfig(context, FSCONFIG_SET_FLAG, Some(key), None, 0)
}

/// A parameter: `size=64m`.
pub fn fsconfig_string(context: RawFd, key: &CStr, value: &CStr) -> Result<()> {
    fsconfig(context, FSCONFIG_SET_STRING, Some(key), Some(value), 0)
}

/// A parameter that is a descriptor, such as a layer of an overlay.
pub fn fsconfig_descriptor(context: RawFd, key: &CStr, fd: RawFd) -> Result<()> {
    fsconfig(context, FSCONFIG_SET_FD, Some(key), None, fd)
}

/// Makes the filesystem.
pub fn fsconfig_create(context: RawFd) -> Result<()> {
    fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0)
}

/// Changes the filesystem to the parameters given.
pub fn fsconfig_reconfigure(context: RawFd) -> Result<()> {
    fsconfig(context, FSCONFIG_CMD_RECONFIGURE, None, None, 0)
}

/// fsmount(2): a detached mount of the filesystem made; `attributes` are MOUNT_ATTR_*.
pub fn fsmount(context: RawFd, attributes: u64) -> Result<RawFd> {
    // SAFETY: integers only.
    Ok(descriptor(check(unsafe {
        libc::syscall(libc::SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes)
    })?))
}

/// open_tree(2) with OPEN_TREE_CLONE: a detached copy of what `path` names below `dir`. An empty
/// path means `dir` itself. A final symbolic link is followed: this is for paths of the host.
pub fn clone_tree(dir: RawFd, path: &CStr, reach: Reach) -> Result<RawFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | reach.flag();
    // SAFETY: one C string and integers.
    Ok(descriptor(check(unsafe {
        libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags)
    })?))
}

/// The same with attributes, in one call: open_tree_attr(2), since Linux 6.15.
pub fn clone_tree_attr(
    dir: RawFd,
    path: &CStr,
    reach: Reach,
    attributes: Attributes,
) -> Result<RawFd> {
    let attr = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd: 0,
    };
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | reach.flag();
    // SAFETY: a C string; the kernel reads size_of::<mount_attr>() bytes of `attr`.
    Ok(descriptor(check(unsafe {
        libc::syscall(
            SYS_OPEN_TREE_ATTR,
            dir,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?))
}

/// The same, without following a final symbolic link.
pub fn clone_tree_nofollow(dir: RawFd, path: &CStr, reach: Reach) -> Result<RawFd> {
    let flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | reach.flag();
    // SAFETY: one C string and integers.
    Ok(descriptor(check(unsafe {
        libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags)
    })?))
}

/// move_mount(2): attaches a detached mount on what `target` names, both by descriptor.
pub fn move_mount(mount: RawFd, target: RawFd) -> Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: two empty C strings and integers.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount,
            c"".as_ptr(),
            target,
            c"".as_ptr(),
            flags,
        )
    })?;
    Ok(())
}

/// The same on a path, which is trusted.
pub fn move_mount_to(mount: RawFd, path: &CStr) -> Result<()> {
    // SAFETY: two C strings, read during the call, and integers.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount,
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// What mount_setattr(2) changes: MOUNT_ATTR_* to set and to clear, MS_* propagation or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// MOUNT_ATTR_* to set.
    pub set: u64,
    /// MOUNT_ATTR_* to clear.
    pub clear: u64,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, or 0 to leave it.
    pub propagation: u64,
}

impl Attributes {
    /// Whether nothing would change.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// mount_setattr(2) on the mount that a descriptor names.
pub fn mount_setattr(mount: RawFd, reach: Reach, attributes: Attributes) -> Result<()> {
    setattr(mount, c"", reach, attributes, 0)
}

/// mount_setattr(2) on the mount that a path of the host names.
pub fn mount_setattr_path(path: &CStr, reach: Reach, attributes: Attributes) -> Result<()> {
    setattr(libc::AT_FDCWD, path, reach, attributes, 0)
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP: ids of a detached mount are mapped as in `userns`.
pub fn mount_idmap(mount: RawFd, reach: Reach, userns: RawFd) -> Result<()> {
    let attributes = Attributes {
        set: libc::MOUNT_ATTR_IDMAP,
        ..Attributes::default()
    };
    setattr(
        mount,
        c"",
        reach,
        attributes,
        u64::from(userns.cast_unsigned()),
    )
}

fn setattr(
    dir: RawFd,
    path: &CStr,
    reach: Reach,
    attributes: Attributes,
    userns_fd: u64,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd,
    };
    let flags = AT_EMPTY_PATH | reach.flag();
    // SAFETY: `path` is one C string; the kernel reads size_of::<mount_attr>() bytes of `attr`.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// pivot_root(2) of the working directory onto itself: the old root ends up on top of the new one
/// until [`detach`]ed (pivot_root(2), NOTES).
pub fn pivot_to_working_directory() -> Result<()> {
    // SAFETY: two constant C strings.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    Ok(())
}

/// umount2(2) with MNT_DETACH.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: one C string, read during the call.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) })?;
    Ok(())
}

/// mount(2) with MS_MOVE from the working directory to `/`, for roots that cannot be pivoted.
pub fn move_working_directory_to_root() -> Result<()> {
    let null = std::ptr::null();
    // SAFETY: constant C strings and null pointers, which MS_MOVE ignores.
    check(unsafe {
        libc::mount(
            c".".as_ptr(),
            c"/".as_ptr(),
            null,
            libc::MS_MOVE,
            std::ptr::null(),
        )
    })?;
    Ok(())
}

/// mount(2) of a new filesystem on the working directory; `options` as its documentation has them.
pub fn mount_here(source: &CStr, kind: &CStr, flags: libc::c_ulong, options: &CStr) -> Result<()> {
    // SAFETY: four C strings that live through the call.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            c".".as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    })?;
    Ok(())
}

/// mount(2) of an overlayfs. Not fsconfig(2): that takes at most 255 bytes of `lowerdir`, and
/// `lowerdir+` came only with Linux 6.7.
pub fn mount_overlay(target: &CStr, options: &CStr) -> Result<()> {
    let kind = c"overlay".as_ptr();
    // SAFETY: four C strings that live through the call; overlayfs takes its data as a string.
    check(unsafe { libc::mount(kind, target.as_ptr(), kind, 0, options.as_ptr().cast()) })?;
    Ok(())
}
