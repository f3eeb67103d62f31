//! The overlay root, put together by init: acts, never decides, allocates nothing.

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::execute::init::Init;
use crate::plan::Slot;
use crate::plan::op::{Layer, Overlay, Upper};
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::mount::{self, Reach};
use crate::sys::{Errno, Result};

/// Writes `/proc/self/fd/N` into a line of mount options, or a path.
struct Options {
    bytes: [u8; 4096],
    length: usize,
}

impl Options {
    fn new() -> Self {
        Self {
            bytes: [0; 4096],
            length: 0,
        }
    }

    fn push(&mut self, text: &[u8]) -> Result<()> {
        let end = self.length + text.len();
        // One byte stays for the NUL.
        self.bytes[..4095]
            .get_mut(self.length..end)
            .ok_or(Errno(libc::ENAMETOOLONG))?
            .copy_from_slice(text);
        self.length = end;
        Ok(())
    }

    fn push_descriptor(&mut self, fd: RawFd) -> Result<()> {
        self.push(b"/proc/self/fd/")?;
        let mut digits = [0u8; 10];
        let mut place = digits.len();
        let mut rest = fd.cast_unsigned();
        loop {
            place -= 1;
            digits[place] = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[place..]);
            }
        }
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// An overlay of layers becomes the root. All of it lives in init's own mount namespace. Layers are
/// named by descriptor, so that a colon or a comma in a path means nothing.
// Two pages of the stack: init's own frame is touched, and paid for, by every container.
#[inline(never)]
pub fn mount_overlay_root(init: &mut Init<'_>, overlay: &Overlay) -> Result<()> {
    let stage = make_stage(init)?;
    let mut options = Options::new();
    options.push(b"lowerdir=")?;
    let mut first = -1;
    for (index, layer) in overlay.layers.iter().enumerate() {
        let fd = open_layer(init, layer, stage)?;
        if index == 0 {
            first = fd;
        } else {
            options.push(b":")?;
        }
        options.push_descriptor(fd)?;
    }
    let base = open_upper(&overlay.upper, stage)?;
    like(first, base, c"upper")?;
    options.push(b",upperdir=")?;
    options.push_descriptor(base)?;
    options.push(b"/upper,workdir=")?;
    options.push_descriptor(base)?;
    options.push(b"/work")?;
    if init.in_user_namespace {
        options.push(b",userxattr")?;
    }
    let mut target = Options::new();
    target.push_descriptor(stage)?;
    target.push(b"/root")?;
    mount::mount_overlay(target.as_c_str(), options.as_c_str()).inspect_err(|errno| {
        if init.in_user_namespace && errno.0 == libc::EINVAL {
            // The mounts that a user namespace inherits are locked (mount_namespaces(7)).
            init.report
                .explain(b"in a user namespace a layer may have no mounts below it, as / has");
        }
    })?;
    if base != stage {
        fs::close(base);
    }
    let root = leave_stage(stage)?;
    init.fill(Slot::ROOT, root);
    Ok(())
}

/// The overlay takes the stage's place over `/`: what would lie between it and the host's root could not be
/// told from that when both are let go of.
fn leave_stage(stage: RawFd) -> Result<RawFd> {
    let root = mount::clone_tree(stage, c"root", Reach::One)?;
    mount::detach(c"/")?;
    fs::close(stage);
    attach_over_root(root)?;
    Ok(root)
}

fn attach_over_root(mount: RawFd) -> Result<()> {
    let place = fs::openat(AT_FDCWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let attached = mount::move_mount(mount, place);
    fs::close(place);
    attached
}

/// A tmpfs that holds the mount points, over `/` as init alone sees it: a place that every user may
/// reach, root of a user namespace too, whoever owns the directories on the way to the state. Paths that
/// begin at `/` still begin below it.
fn make_stage(init: &Init<'_>) -> Result<RawFd> {
    let context = mount::fsopen(c"tmpfs")?;
    mount::fsconfig_string(context, c"mode", c"0755")?;
    let stage = mount::fsconfig_create(context)
        .and_then(|()| mount::fsmount(context, 0))
        .inspect_err(|_| super::run::explain(init, context))?;
    fs::close(context);
    attach_over_root(stage)?;
    fs::mkdirat(stage, c"root", 0o755)?;
    Ok(stage)
}

/// What is mounted topmost where the root is going to be.
fn open_place(stage: RawFd) -> Result<RawFd> {
    fs::openat(stage, c"root", libc::O_PATH | libc::O_DIRECTORY, 0)
}

/// A layer with mapped ids came as a detached mount; overlayfs takes only attached ones (before Linux
/// 6.15), so it is attached where the overlay is going to hide it.
fn open_layer(init: &Init<'_>, layer: &Layer, stage: RawFd) -> Result<RawFd> {
    let Some(slot) = layer.mapped else {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        return fs::openat(AT_FDCWD, &layer.path, flags, 0);
    };
    let place = open_place(stage)?;
    let attached = mount::move_mount(init.slot(slot), place);
    fs::close(place);
    attached?;
    Ok(init.slot(slot))
}

/// The directory with `upper` and `work`: the one given, or the stage.
fn open_upper(upper: &Upper, stage: RawFd) -> Result<RawFd> {
    let directory = match upper {
        Upper::Directory(path) => fs::openat(AT_FDCWD, path, libc::O_PATH | libc::O_DIRECTORY, 0)?,
        Upper::Tmpfs => stage,
    };
    for name in [c"upper", c"work"] {
        match fs::mkdirat(directory, name, 0o755) {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(directory)
}

/// The root directory of the overlay is the upper one's: it gets owner and mode of the lower one.
fn like(layer: RawFd, base: RawFd, name: &CStr) -> Result<()> {
    let stat = fs::fstat(layer)?;
    let directory = fs::openat(
        base,
        name,
        libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW,
        0,
    )?;
    let made = fs::fchown(directory, stat.st_uid, stat.st_gid)
        .and_then(|()| fs::fchmod(directory, stat.st_mode & 0o7777));
    fs::close(directory);
    match made {
        // An owner that the user namespace cannot name stays what it is.
        Err(Errno(libc::EINVAL | libc::EPERM | libc::EOVERFLOW)) if stat.st_uid == 65534 => Ok(()),
        made => made,
    }
}
