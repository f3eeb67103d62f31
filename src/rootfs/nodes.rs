//! The nodes and links of the container's /dev, which init makes: acts, never decides, allocates nothing.

use std::ffi::CStr;
use std::os::fd::RawFd;

use super::resolve::{self, Make, Walk};
use crate::config::DeviceType;
use crate::execute::init::Init;
use crate::plan::Slot;
use crate::plan::op::Node;
use crate::sys::fs;
use crate::sys::{Errno, Result};

/// The container's /dev, reached without links (CVE-2026-41579: a link there led to the host).
pub fn open_dev(init: &mut Init<'_>) -> Result<()> {
    match resolve::open_or_make(
        init.slot(Slot::ROOT),
        c"/dev",
        Walk::NoLinks,
        Make::Directory,
    ) {
        Err(Errno(libc::ELOOP | libc::ENOTDIR)) => {
            init.report
                .explain(b"must be mounted on ordinary directory");
            Err(Errno(libc::ENOTDIR))
        }
        Err(errno) => Err(errno),
        Ok(fd) => {
            init.fill(Slot::DEV, fd);
            Ok(())
        }
    }
}

/// Makes a node. One that exists must be the same (config-linux.md, Devices).
pub fn make_device(init: &Init<'_>, path: &CStr, node: &Node) -> Result<()> {
    let in_dev = path
        .to_bytes()
        .strip_prefix(b"/dev/")
        .filter(|name| !name.contains(&b'/'));
    if in_dev.is_some() && init.has(Slot::DEV) {
        let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[b"/dev/".len()..])
            .map_err(|_| Errno(libc::EINVAL))?;
        return make_node(init, init.slot(Slot::DEV), name, node);
    }
    let (parent, name) = resolve::open_parent(init.slot(Slot::ROOT), path)?;
    let made = make_node(init, parent, name, node);
    fs::close(parent);
    made
}

/// Whether a descriptor is that device's.
pub(super) fn is_device(fd: RawFd, kind: DeviceType, device: u64) -> Result<bool> {
    let stat = fs::fstat(fd)?;
    Ok(stat.st_mode & libc::S_IFMT == file_type(kind) && stat.st_rdev == device)
}

fn file_type(kind: DeviceType) -> libc::mode_t {
    match kind {
        DeviceType::Char => libc::S_IFCHR,
        DeviceType::Block => libc::S_IFBLK,
        DeviceType::Fifo => libc::S_IFIFO,
    }
}

fn make_node(init: &Init<'_>, directory: RawFd, name: &CStr, node: &Node) -> Result<()> {
    let kind = file_type(node.kind);
    let device = fs::device_number(node.major, node.minor);
    match fs::mknodat(directory, name, kind | node.mode, device) {
        Err(Errno(libc::EEXIST)) => {
            let stat = fs::lstatat(directory, name)?;
            if stat.st_mode & libc::S_IFMT != kind
                || (kind != libc::S_IFIFO && stat.st_rdev != device)
            {
                init.report.explain(b"exists and is not that device");
                return Err(Errno(libc::EEXIST));
            }
        }
        made => made?,
    }
    if (node.uid, node.gid) == (0, 0) {
        return Ok(());
    }
    fs::lchownat(directory, name, node.uid, node.gid)
}

/// A link below /dev. `ptmx` must be the container's own, so an old one goes; the others may be there.
pub fn make_device_link(init: &Init<'_>, name: &CStr, target: &CStr) -> Result<()> {
    let dev = init.slot(Slot::DEV);
    match fs::symlinkat(target, dev, name) {
        Err(Errno(libc::EEXIST)) if name == c"ptmx" => {
            fs::unlinkat(dev, name, 0)?;
            fs::symlinkat(target, dev, name)
        }
        Err(Errno(libc::EEXIST)) => Ok(()),
        made => made,
    }
}
