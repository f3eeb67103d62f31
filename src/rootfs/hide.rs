//! Paths that are masked or read-only: acts, never decides, allocates nothing.

use std::ffi::CStr;
use std::os::fd::RawFd;

use super::resolve::{self, Walk};
use super::run::open_point;
use crate::execute::init::Init;
use crate::plan::Slot;
use crate::sys::fs;
use crate::sys::mount::{self, Attributes, Reach};
use crate::sys::{Errno, Result};

/// A read-only tmpfs with an empty file and an empty directory, from which masks are cloned. The
/// container's own /dev/null will not do: the image may have put a link there (CVE-2025-31133). It is
/// attached to the host's /proc as only init sees it, because before Linux 6.15 only attached
/// mounts can be cloned; it goes away with the old root.
pub fn prepare_mask(init: &mut Init<'_>) -> Result<()> {
    let context = mount::fsopen(c"tmpfs")?;
    let mask = mount::fsconfig_create(context).and_then(|()| mount::fsmount(context, 0))?;
    init.done_with(context);
    fs::mkdirat(mask, c"directory", 0o555)?;
    fs::mknodat(mask, c"file", libc::S_IFREG | 0o444, 0)?;
    let attributes = libc::MOUNT_ATTR_RDONLY
        | libc::MOUNT_ATTR_NOSUID
        | libc::MOUNT_ATTR_NODEV
        | libc::MOUNT_ATTR_NOEXEC;
    mount::mount_setattr(
        mask,
        Reach::One,
        Attributes {
            set: attributes,
            ..Attributes::default()
        },
    )?;
    mount::move_mount_to(mask, c"/proc")?;
    init.fill(Slot::MASK, mask);
    Ok(())
}

/// Of the paths that engines hide, those that are directories.
const DIRECTORIES: [&[u8]; 5] = [
    b"/proc/acpi",
    b"/proc/asound",
    b"/proc/scsi",
    b"/sys/devices/virtual/powercap",
    b"/sys/firmware",
];

/// Covers a path by an empty file or directory. A path that is not there needs no cover.
pub fn mask_path(init: &Init<'_>, path: &CStr) -> Result<()> {
    let open = |root, walk| resolve::open(root, path, walk);
    let target = match open_point(init, Walk::Links, open) {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        target => target?,
    };
    // The kernel tells a wrong guess; taking back what could not be attached takes long.
    let (guess, other) = match DIRECTORIES.contains(&path.to_bytes()) {
        true => (c"directory", c"file"),
        false => (c"file", c"directory"),
    };
    let covered = match cover(init, target, guess) {
        Err(Errno(libc::ENOTDIR | libc::EINVAL)) => cover(init, target, other),
        covered => covered,
    };
    init.done_with(target);
    covered
}

fn cover(init: &Init<'_>, target: RawFd, name: &CStr) -> Result<()> {
    let cover = mount::clone_tree_nofollow(init.slot(Slot::MASK), name, Reach::One)?;
    let covered = mount::move_mount(cover, target);
    init.done_with(cover);
    covered
}

/// Binds a path onto itself, read-only with all below it. One that is not there needs nothing.
pub fn readonly_path(init: &Init<'_>, path: &CStr) -> Result<()> {
    let open = |root, walk| resolve::open(root, path, walk);
    let target = match open_point(init, Walk::Links, open) {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        target => target?,
    };
    let tree = readonly_tree(target)?;
    let bound = mount::move_mount(tree, target);
    init.done_with(tree);
    init.done_with(target);
    bound
}

fn readonly_tree(target: RawFd) -> Result<RawFd> {
    let readonly = Attributes {
        set: libc::MOUNT_ATTR_RDONLY,
        ..Attributes::default()
    };
    if let Ok(tree) = mount::clone_tree_attr(target, c"", Reach::Tree, readonly) {
        return Ok(tree);
    }
    // Before Linux 6.15.
    let tree = mount::clone_tree(target, c"", Reach::Tree)?;
    match mount::mount_setattr(tree, Reach::Tree, readonly) {
        Ok(()) => Ok(tree),
        Err(errno) => {
            fs::close(tree);
            Err(errno)
        }
    }
}
