//! Paths of the configuration as the container has them: links of the image resolved, nothing crossed.
//!
//! The mount table names places without links; the configuration may name `/var/run` where the image has
//! a link to `/run`. The links are read on the mount of the root alone, which the host has chosen:
//! as soon as a path leads into another mount, of which the container may be the master (a FUSE of
//! its own that never answers), the rest is taken by its text.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::Subject;
use crate::error::{Act, Result};
use crate::inspect::mounts::{MountFact, Mounts, is_below_or_at};
use crate::rootfs::plan::clean;
use crate::sys::fs::{self, resolve};
use crate::sys::{self, descriptor};

/// As the kernel's MAXSYMLINKS.
const MOST_LINKS: usize = 40;

/// The root of a container, held.
pub(super) struct Inside<'a> {
    root: OwnedFd,
    mounts: &'a Mounts,
}

impl<'a> Inside<'a> {
    pub(super) fn of(subject: &Subject<'a>) -> Result<Self> {
        let directory = subject.held.directory().as_raw_fd();
        let root = fs::openat(directory, c"root", libc::O_PATH | libc::O_DIRECTORY, 0)
            .act(|| "cannot open the container's root")?;
        Ok(Self {
            root: descriptor::owned(root),
            mounts: &subject.live.mounts,
        })
    }

    /// Where a path of the configuration is.
    pub(super) fn resolved(&self, path: &str) -> String {
        let mut done = String::new();
        let mut rest = components(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                done.truncate(done.rfind('/').unwrap_or(0));
                continue;
            }
            let next = format!("{done}/{name}");
            let target = match self.mounts.at(&next) {
                Some(_) => None,
                None => self.link(&next),
            };
            let Some(target) = target.filter(|_| links < MOST_LINKS) else {
                done = next;
                continue;
            };
            links += 1;
            if target.starts_with('/') {
                done.clear();
            }
            let mut longer = components(&target);
            longer.append(&mut rest);
            rest = longer;
        }
        if done.is_empty() {
            "/".to_owned()
        } else {
            done
        }
    }

    /// The target of a link on the mount of the root.
    fn link(&self, path: &str) -> Option<String> {
        let place = self.open(path).ok()?;
        let stat = fs::fstat(place.as_raw_fd()).ok()?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            return None;
        }
        let mut target = [0; 4096];
        let length = fs::readlinkat(place.as_raw_fd(), c"", &mut target).ok()?;
        String::from_utf8(target[..length].to_vec()).ok()
    }

    fn open(&self, path: &str) -> sys::Result<OwnedFd> {
        let path = CString::new(path.trim_start_matches('/')).unwrap_or_default();
        let how = resolve::BENEATH | resolve::NO_XDEV | resolve::NO_SYMLINKS;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        crate::rootfs::resolve::open_how(self.root.as_raw_fd(), &path, flags, how)
            .map(descriptor::owned)
    }

    /// Whether something is there, as far as that can be told from outside. Of procfs and sysfs the host has
    /// the same files; what is on other mounts is not asked.
    pub(super) fn exists(&self, path: &str) -> bool {
        let Some(mount) = self.mounts.covering(path) else {
            return false;
        };
        if mount.destination == path || mount.destination == "/" {
            return mount.destination == path || self.open(path).is_ok();
        }
        let host = match mount.kind.as_str() {
            "proc" if !mount.has("subset=pid") => "/proc",
            "sysfs" => "/sys",
            _ => return false,
        };
        let rest = path.strip_prefix(&mount.destination).unwrap_or_default();
        let inner = format!("{}{rest}", mount.root.trim_end_matches('/'));
        is_global(host, &inner)
            && Path::new(&format!("{host}{inner}"))
                .symlink_metadata()
                .is_ok()
    }

    /// What is seen at a path, without the cover of a hidden one.
    pub(super) fn uncovered(&self, path: &str) -> Option<&'a MountFact> {
        let mut there = self.mounts.list.iter().rev();
        there.find(|mount| mount.destination == path && !is_cover(mount))
    }
}

/// An empty, read-only file or directory over something that is to be hidden.
pub(super) fn is_cover(mount: &MountFact) -> bool {
    let is_empty = mount.kind == "tmpfs" && matches!(mount.root.as_str(), "/file" | "/directory");
    is_empty && mount.is_readonly() || mount.root == "/null"
}

/// What is not of a process: below procfs, those have numbers for names, or are links to one.
fn is_global(host: &str, inner: &str) -> bool {
    let first = inner.trim_start_matches('/').split('/').next();
    let first = first.unwrap_or_default();
    let is_process = first.bytes().all(|byte| byte.is_ascii_digit())
        || matches!(first, "self" | "thread-self" | "net" | "mounts");
    host != "/proc" || !is_process
}

fn components(path: &str) -> VecDeque<String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.map(str::to_owned).collect()
}

/// A destination of the configuration: some callers write the path that the host knows.
pub(super) fn destination(subject: &Subject<'_>, path: &str) -> String {
    let path = clean(Path::new(path)).to_string_lossy().into_owned();
    let root = subject.record.rootfs.to_string_lossy();
    if root != "/" && is_below_or_at(&path, &root) {
        return format!("/{}", path[root.len()..].trim_start_matches('/'));
    }
    path
}
