//! The overlay root, put together by init: acts, never decides, allocates nothing.

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::execute::init::Init;
use crate::plan::Slot;
use crate::plan::op::{Layer, Overlay, Upper};
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::mount::{self};
use crate::sys::{Errno, Result};

/// Writes `/proc/self/fd/N` into a line of mount options.
struct Options {
    bytes: [u8; 4096],
    length: usize,
}

impl Options {
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
pub fn mount_overlay_root(init: &mut Init<'_>, overlay: &Overlay, target: &CStr) -> Result<()> {
    let mut options = Options {
        bytes: [0; 4096],
        length: 0,
    };
    options.push(b"lowerdir=")?;
    let mut first = -1;
    for (index, layer) in overlay.layers.iter().enumerate() {
        let fd = open_layer(init, layer, target)?;
        if index == 0 {
            first = fd;
        } else {
            options.push(b":")?;
        }
        options.push_descriptor(fd)?;
    }
    let base = open_upper(init, &overlay.upper, target)?;
    like(first, base, c"upper")?;
    options.push(b",upperdir=")?;
    options.push_descriptor(base)?;
    options.push(b"/upper,workdir=")?;
    options.push_descriptor(base)?;
    options.push(b"/work")?;
    if init.in_user_namespace {
        options.push(b",userxattr")?;
    }
    mount::mount_overlay(target, options.as_c_str())?;
    fs::close(base);
    let root = fs::openat(AT_FDCWD, target, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    init.fill(Slot::ROOT, root);
    Ok(())
}

/// A layer with mapped ids came as a detached mount; overlayfs takes only attached ones (before Linux
/// 6.15), so it is attached where the overlay is going to hide it.
fn open_layer(init: &Init<'_>, layer: &Layer, target: &CStr) -> Result<RawFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let Some(slot) = layer.mapped else {
        return fs::openat(AT_FDCWD, &layer.path, flags, 0);
    };
    let place = fs::openat(AT_FDCWD, target, flags, 0)?;
    let attached = mount::move_mount(init.slot(slot), place);
    fs::close(place);
    attached?;
    Ok(init.slot(slot))
}

/// The directory with `upper` and `work`: the one given, or a tmpfs attached below the overlay-to-be.
fn open_upper(init: &Init<'_>, upper: &Upper, target: &CStr) -> Result<RawFd> {
    let directory = match upper {
        Upper::Directory(path) => fs::openat(AT_FDCWD, path, libc::O_PATH | libc::O_DIRECTORY, 0)?,
        Upper::Tmpfs => {
            let context = mount::fsopen(c"tmpfs")?;
            mount::fsconfig_string(context, c"mode", c"0755")?;
            let mount = mount::fsconfig_create(context)
                .and_then(|()| mount::fsmount(context, 0))
                .inspect_err(|_| super::run::explain(init, context))?;
            fs::close(context);
            let place = fs::openat(AT_FDCWD, target, libc::O_PATH | libc::O_DIRECTORY, 0)?;
            mount::move_mount(mount, place)?;
            fs::close(place);
            mount
        }
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
