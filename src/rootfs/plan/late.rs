//! Which mounts wait for the network namespace.
//!
//! While the runtime makes it, init mounts, makes devices and, if nothing of the host is needed any more, hides paths; a sysfs has to
//! wait. Mounts are made in the order of the list, but that order can be seen only where one lies in another, or is reached
//! through it by a link of the image. So what comes after a mount that waits goes ahead where that cannot be: below /dev, and the files
//! of /etc that engines bring.

use std::path::{Path, PathBuf};

use super::{Room, clean};
use crate::config::{Device, Mount, NamespaceType};
use crate::namespaces::plan::LOCAL;

const FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"];

/// What waits.
#[derive(Debug, Default)]
pub struct Late {
    /// Indices of `mounts`.
    pub(super) mounts: Vec<usize>,
    /// The devices come after them.
    pub(super) cover_devices: bool,
    /// Paths that have nothing to do with them are hidden before: their covers lie on the host's /proc.
    pub(super) after_covers: bool,
}

impl Late {
    pub(super) fn of(room: &Room<'_>) -> Self {
        if !room.namespaces.hands_over_network() {
            return Self::default();
        }
        let mounts = waiting(room);
        let paths = || {
            mounts
                .iter()
                .map(|index| path_of(&room.spec.mounts[*index]))
        };
        let elsewhere = |device: &Device| !device.path.starts_with("/dev/");
        let cover_devices = paths().any(|path| meet(&path, Path::new("/dev")))
            || !mounts.is_empty() && room.linux.devices.iter().any(elsewhere);
        let hooks = &room.spec.hooks;
        let needs_host = |index: &usize| needs_host(room, &room.spec.mounts[*index]);
        // Hooks want to see every mount, and nothing hidden.
        let after_covers = hooks.prestart.is_empty()
            && hooks.create_runtime.is_empty()
            && !mounts.is_empty()
            && !mounts.iter().any(needs_host);
        Self {
            mounts,
            cover_devices,
            after_covers,
        }
    }

    /// Whether a path may lie in one of them; or among kernel parameters, which are written after them.
    pub(super) fn concerns(&self, room: &Room<'_>, path: &str) -> bool {
        let path = clean(Path::new(path));
        let mut late = self.mounts.iter();
        !path.starts_with("/proc")
            || meet(&path, Path::new("/proc/sys"))
            || late.any(|index| meet(&path, &path_of(&room.spec.mounts[*index])))
    }
}

fn waiting(room: &Room<'_>) -> Vec<usize> {
    let mut late: Vec<(usize, PathBuf)> = Vec::new();
    for (index, mount) in room.spec.mounts.iter().enumerate() {
        let needs_network = needs_network(mount);
        if !needs_network && late.is_empty() {
            continue;
        }
        let path = path_of(mount);
        let is_apart = || {
            let is_known =
                path.starts_with("/dev") || FILES.iter().any(|file| path == Path::new(file));
            is_known && !late.iter().any(|(_, other)| meet(&path, other))
        };
        if needs_network || !is_apart() {
            late.push((index, path));
        }
    }
    late.into_iter().map(|(index, _)| index).collect()
}

fn path_of(mount: &Mount) -> PathBuf {
    clean(Path::new(&mount.destination))
}

fn is_bind(mount: &Mount) -> bool {
    let mut options = mount.options.iter();
    mount.kind.as_deref() == Some("bind")
        || options.any(|option| option == "bind" || option == "rbind")
}

fn needs_network(mount: &Mount) -> bool {
    let kind = mount.kind.as_deref().unwrap_or_default();
    let is_local = |local: &&std::ffi::CStr| local.to_bytes() == kind.as_bytes();
    !is_bind(mount) && !["volume", "cgroup"].contains(&kind) && !LOCAL.iter().any(is_local)
}

/// Whether it takes a path of the host, or may.
fn needs_host(room: &Room<'_>, mount: &Mount) -> bool {
    let is_plain = match mount.kind.as_deref().unwrap_or_default() {
        "sysfs" | "proc" | "tmpfs" | "devpts" | "mqueue" => true,
        "cgroup" | "cgroup2" => room.namespaces.is_new(NamespaceType::Cgroup),
        _ => false,
    };
    !is_plain || is_bind(mount)
}

/// Whether one lies in the other.
fn meet(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
