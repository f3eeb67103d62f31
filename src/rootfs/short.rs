//! mount(2) for what needs no more: half the calls of fsopen(2). It says less when it fails, so whoever calls this goes the
//! long way then. Init calls this: it allocates nothing.

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::plan::op::Filesystem;
use crate::sys::{Errno, Result, fs, mount};

/// Filesystems that the kernel makes out of nothing, with options that are plain text.
const KINDS: [&CStr; 4] = [c"proc", c"tmpfs", c"devpts", c"mqueue"];

/// MOUNT_ATTR_* and what mount(2) calls them. Read-only is not one of them: mount(2) makes the whole filesystem so, where
/// fsmount(2) makes the mount so, and what another mount of it may do is not ours to change.
const FLAGS: [(u64, libc::c_ulong); 6] = [
    (libc::MOUNT_ATTR_NOSUID, libc::MS_NOSUID),
    (libc::MOUNT_ATTR_NODEV, libc::MS_NODEV),
    (libc::MOUNT_ATTR_NOEXEC, libc::MS_NOEXEC),
    (libc::MOUNT_ATTR_NOATIME, libc::MS_NOATIME),
    (libc::MOUNT_ATTR_STRICTATIME, libc::MS_STRICTATIME),
    (libc::MOUNT_ATTR_NODIRATIME, libc::MS_NODIRATIME),
];

/// Whether mount(2) makes the same of it.
pub fn suffices(filesystem: &Filesystem) -> bool {
    KINDS.contains(&filesystem.kind.as_c_str()) && flags(filesystem.attributes).is_some()
}

/// Mounts it on a directory, which becomes the working directory: `.` is no name that anybody could have changed.
pub fn mount_on(filesystem: &Filesystem, directory: RawFd) -> Result<()> {
    let flags = flags(filesystem.attributes).ok_or(Errno(libc::EINVAL))?;
    let mut text = Text::default();
    for (key, value) in &filesystem.parameters {
        text.add(key, value.as_deref())?;
    }
    fs::fchdir(directory)?;
    let source = filesystem.source.as_deref().unwrap_or(c"none");
    mount::mount_here(source, &filesystem.kind, flags, text.as_c_str())
}

fn flags(attributes: u64) -> Option<libc::c_ulong> {
    let (mut rest, mut flags) = (attributes, 0);
    for (attribute, flag) in FLAGS {
        if rest & attribute != 0 {
            rest &= !attribute;
            flags |= flag;
        }
    }
    (rest == 0).then_some(flags)
}

/// `mode=755,size=64k` on the stack.
struct Text {
    bytes: [u8; 256],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            length: 0,
        }
    }
}

impl Text {
    /// EINVAL for what this way cannot say: a comma within an option, or more than there is room for.
    fn add(&mut self, key: &CStr, value: Option<&CStr>) -> Result<()> {
        let before: &[u8] = if self.length == 0 { b"" } else { b"," };
        let (between, value) = value.map_or((b"" as &[u8], b"" as &[u8]), |value| {
            (b"=", value.to_bytes())
        });
        if key.to_bytes().contains(&b',') || value.contains(&b',') {
            return Err(Errno(libc::EINVAL));
        }
        for part in [before, key.to_bytes(), between, value] {
            let end = self.length + part.len();
            // The last byte stays NUL.
            let place = self.bytes[..255].get_mut(self.length..end);
            place.ok_or(Errno(libc::EINVAL))?.copy_from_slice(part);
            self.length = end;
        }
        Ok(())
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_other_names() {
        let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_STRICTATIME;
        assert_eq!(
            flags(attributes),
            Some(libc::MS_NOSUID | libc::MS_STRICTATIME)
        );
        assert_eq!(flags(0), Some(0));
        assert_eq!(flags(libc::MOUNT_ATTR_RDONLY), None);
        assert_eq!(flags(libc::MOUNT_ATTR_NOSUID | 1 << 40), None);
    }

    #[test]
    fn options_are_joined_where_that_is_unambiguous() {
        let mut text = Text::default();
        text.add(c"newinstance", None).unwrap();
        text.add(c"mode", Some(c"0620")).unwrap();
        assert_eq!(text.as_c_str(), c"newinstance,mode=0620");
        assert_eq!(
            text.add(c"size", Some(c"1,mode=0777")),
            Err(Errno(libc::EINVAL))
        );
        let long = std::ffi::CString::new("x".repeat(300)).unwrap();
        assert_eq!(text.add(&long, None), Err(Errno(libc::EINVAL)));
    }
}
