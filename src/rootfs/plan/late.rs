//! Which mounts wait for the network namespace.
//!
//! While the runtime makes it, init mounts, makes devices and, if nothing of the host is needed any more, hides paths; a sysfs has to
//! wait. Mounts are made in the order of the list, but that order can be seen only where one lies in another, or is reached
//! through it by a link of the image. So what comes after a mount that waits goes ahead where that cannot be: below /dev, and the files
//! of /etc that engines bring.

use std::borrow::Cow;
use std::path::Path;

use super::{Room, clean, lies_in};
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
        !lies_in(&path, Path::new("/proc"))
            || meet(&path, Path::new("/proc/sys"))
            || late.any(|index| meet(&path, &path_of(&room.spec.mounts[*index])))
    }
}

fn waiting(room: &Room<'_>) -> Vec<usize> {
    let mut late: Vec<(usize, Cow<'_, Path>)> = Vec::new();
    for (index, mount) in room.spec.mounts.iter().enumerate() {
        let needs_network = needs_network(mount);
        if !needs_network && late.is_empty() {
            continue;
        }
        let path = path_of(mount);
        let is_apart = || {
            let is_known = lies_in(&path, Path::new("/dev"))
                || FILES.iter().any(|file| path.as_os_str() == *file);
            is_known && !late.iter().any(|(_, other)| meet(&path, other))
        };
        if needs_network || !is_apart() {
            late.push((index, path));
        }
    }
    late.into_iter().map(|(index, _)| index).collect()
}

fn path_of(mount: &Mount) -> Cow<'_, Path> {
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

/// Whether one lies in the other. Both are clean.
fn meet(one: &Path, other: &Path) -> bool {
    lies_in(one, other) || lies_in(other, one)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Linux, Spec};
    use crate::host::Host;
    use crate::namespaces::plan::Namespaces;
    use crate::plan::request::{Console, Keyring, Pivot, Request, Start};
    use crate::process::terminal::Stay;

    fn request() -> Request {
        Request {
            id: "x".to_owned(),
            bundle: "/bundle".into(),
            state: "/run/corten/x".into(),
            data: None,
            start: Start::Later,
            console: Console::None,
            pid_file: None,
            pidfd_socket: None,
            pivot: Pivot::Pivot,
            keyring: Keyring::New,
            overlay: None,
            kept_descriptors: 0,
            variables: Vec::new(),
            notify: None,
            stay: Stay::Detach,
        }
    }

    /// Asks about a container with a network namespace of its own, which has these mounts and this besides.
    fn ask<T>(mounts: &Value, besides: Value, question: impl FnOnce(&Late, &Room<'_>) -> T) -> T {
        let mut config = json!({
            "mounts": mounts,
            "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "cgroup"}]},
        });
        for (key, value) in besides.as_object().unwrap() {
            match key.as_str() {
                "hooks" => config[key] = value.clone(),
                _ => config["linux"][key] = value.clone(),
            }
        }
        let spec: Spec = serde_json::from_value(config).unwrap();
        let linux: &Linux = spec.linux.as_ref().unwrap();
        let mut namespaces = Namespaces::of(linux);
        namespaces.divide_work(&spec, linux, &Host::ideal());
        let room = Room {
            spec: &spec,
            linux,
            request: &request(),
            root: Path::new("/bundle/rootfs"),
            namespaces: &namespaces,
            host: &Host::ideal(),
            cgroup: None,
            place: crate::rootfs::plan::Place::Host,
        };
        question(&Late::of(&room), &room)
    }

    fn mount(destination: &str, kind: &str) -> Value {
        json!({"destination": destination, "type": kind, "source": "/srv"})
    }

    /// The destinations of those that wait.
    fn waiting(mounts: &[(&str, &str)]) -> Vec<String> {
        let list: Value = mounts
            .iter()
            .map(|(destination, kind)| mount(destination, kind))
            .collect();
        ask(&list, json!({}), |late, room| {
            let destination = |index: &usize| room.spec.mounts[*index].destination.clone();
            late.mounts.iter().map(destination).collect()
        })
    }

    #[test]
    fn a_sysfs_waits_and_what_lies_in_it() {
        let mounts = [
            ("/proc", "proc"),
            ("/sys", "sysfs"),
            ("/sys/fs/cgroup", "cgroup"),
            ("/dev", "tmpfs"),
        ];
        assert_eq!(waiting(&mounts), ["/sys", "/sys/fs/cgroup"]);
        assert_eq!(waiting(&[("/proc", "proc"), ("/data", "bind")]), [""; 0]);
    }

    #[test]
    fn what_comes_after_goes_ahead_only_where_no_link_can_lead_through_what_waits() {
        let mounts = [
            ("/sys", "sysfs"),
            ("/dev/shm", "tmpfs"),
            ("/etc/hosts", "bind"),
            ("/etc/hosts.d", "bind"),
            ("/data", "tmpfs"),
        ];
        assert_eq!(waiting(&mounts), ["/sys", "/etc/hosts.d", "/data"]);
    }

    #[test]
    fn nothing_passes_a_mount_that_waits_and_holds_it() {
        let mounts = [
            ("/dev/x/../../dev", "fuse"),
            ("/dev/shm", "tmpfs"),
            ("/etc/./hosts", "bind"),
        ];
        assert_eq!(waiting(&mounts), ["/dev/x/../../dev", "/dev/shm"]);
        let mounts = [("/", "fuse"), ("/etc/hosts", "bind")];
        assert_eq!(waiting(&mounts), ["/", "/etc/hosts"]);
    }

    #[test]
    fn nothing_waits_for_a_network_that_the_runtime_does_not_make() {
        let sysfs = json!([mount("/sys", "sysfs")]);
        for namespaces in [
            json!([{"type": "mount"}]),
            json!([{"type": "mount"}, {"type": "network"}, {"type": "user"}]),
        ] {
            let besides = json!({"namespaces": namespaces});
            let late = ask(&sysfs, besides, |late, _| late.mounts.clone());
            assert_eq!(late, Vec::<usize>::new());
        }
    }

    #[test]
    fn devices_come_after_a_mount_that_waits_if_they_may_lie_in_it() {
        let cover = |mounts: Value, devices: Value| {
            ask(&mounts, json!({"devices": devices}), |late, _| {
                late.cover_devices
            })
        };
        let device = |path: &str| json!([{"type": "c", "path": path, "major": 1, "minor": 3}]);
        assert!(!cover(
            json!([mount("/sys", "sysfs")]),
            device("/dev/other")
        ));
        assert!(cover(json!([mount("/sys", "sysfs")]), device("/sys/other")));
        assert!(cover(json!([mount("/dev", "fuse")]), json!([])));
        assert!(!cover(
            json!([mount("/proc", "proc")]),
            device("/sys/other")
        ));
    }

    #[test]
    fn paths_are_hidden_first_unless_a_hook_looks_or_what_waits_takes_from_the_host() {
        let first =
            |mounts: Value, besides: Value| ask(&mounts, besides, |late, _| late.after_covers);
        let sysfs = || mount("/sys", "sysfs");
        assert!(first(json!([sysfs()]), json!({})));
        assert!(first(json!([sysfs(), mount("/c", "cgroup")]), json!({})));
        assert!(!first(json!([sysfs(), mount("/c", "bind")]), json!({})));
        assert!(!first(json!([sysfs(), mount("/c", "volume")]), json!({})));
        let hook = json!({"hooks": {"createRuntime": [{"path": "/bin/true"}]}});
        assert!(!first(json!([sysfs()]), hook));
        let shared = json!({"namespaces": [{"type": "mount"}, {"type": "network"}]});
        assert!(!first(json!([sysfs(), mount("/c", "cgroup")]), shared));
    }

    #[test]
    fn a_path_is_hidden_first_only_in_proc_and_outside_of_what_waits() {
        let mounts = json!([mount("/sys", "sysfs"), mount("/proc/x", "tmpfs")]);
        let concerned =
            |path: &str| ask(&mounts, json!({}), |late, room| late.concerns(room, path));
        for path in [
            "/sys/firmware",
            "/proc/sys",
            "/proc/sys/kernel",
            "/proc",
            "/proc/x/y",
            "/etc/shadow",
            "/proc/../sys",
        ] {
            assert!(concerned(path), "{path}");
        }
        for path in ["/proc/kcore", "/proc/sysrq-trigger", "/proc/a/../keys"] {
            assert!(!concerned(path), "{path}");
        }
    }
}
