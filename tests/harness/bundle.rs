//! A bundle under construction: what Docker would write, patched by the test.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

/// A bundle: a directory, and its configuration until it is written.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its directory.
    pub dir: PathBuf,
    /// What will be config.json.
    pub config: Value,
}

const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

impl Bundle {
    /// A Docker-like configuration; the cgroup of each container is below `cgroup`.
    pub fn new(dir: PathBuf, cgroup: &str) -> Self {
        let config = docker_like(
            cgroup,
            &dir.file_name()
                .expect("a bundle has a name")
                .to_string_lossy(),
        );
        Self { dir, config }
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Sets the property at a JSON pointer, making objects on the way; `-` appends to a list.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        let mut at = &mut self.config;
        for part in pointer.trim_start_matches('/').split('/') {
            at = child(at, &part.replace("~1", "/").replace("~0", "~"));
        }
        *at = value;
        self
    }

    /// Removes the property at a JSON pointer.
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        let (parent, key) = pointer
            .rsplit_once('/')
            .expect("a pointer begins with a slash");
        match self.config.pointer_mut(parent) {
            Some(Value::Object(object)) => drop(object.remove(key)),
            Some(Value::Array(list)) => drop(list.remove(key.parse().expect("a list has numbers"))),
            other => panic!("nothing at {parent}: {other:?}"),
        }
        self
    }

    /// The program and its arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// A shell script as the program.
    pub fn sh(&mut self, script: &str) -> &mut Self {
        self.args(&["sh", "-c", script])
    }

    /// One more mount.
    pub fn mount(
        &mut self,
        kind: &str,
        source: &str,
        destination: &str,
        options: &[&str],
    ) -> &mut Self {
        let mount =
            json!({"type": kind, "source": source, "destination": destination, "options": options});
        if self.config.pointer("/mounts").is_none_or(Value::is_null) {
            self.set("/mounts", json!([]));
        }
        self.set("/mounts/-", mount)
    }

    /// One more bind mount of a path of this host.
    pub fn bind(
        &mut self,
        source: &std::path::Path,
        destination: &str,
        options: &[&str],
    ) -> &mut Self {
        self.mount("bind", &source.display().to_string(), destination, options)
    }

    /// Leaves out a namespace, so that the container has the host's.
    pub fn share(&mut self, kind: &str) -> &mut Self {
        self.namespaces()
            .retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Joins a namespace by its path.
    pub fn join(&mut self, kind: &str, path: &str) -> &mut Self {
        self.share(kind)
            .namespaces()
            .push(json!({"type": kind, "path": path}));
        self
    }

    /// Makes a namespace more.
    pub fn unshare(&mut self, kind: &str) -> &mut Self {
        self.share(kind).namespaces().push(json!({"type": kind}));
        self
    }

    /// A user namespace whose ids 0.. are the host's 100000.. ; the root file system is given to them.
    pub fn userns(&mut self) -> &mut Self {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        self.unshare("user")
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map);
        super::rootfs::give(&self.rootfs(), 100_000);
        self
    }

    /// A list of hooks, each a shell script on the host or in the container.
    pub fn hook(&mut self, kind: &str, script: &str) -> &mut Self {
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"]});
        let pointer = format!("/hooks/{kind}");
        if self.config.pointer(&pointer).is_none() {
            self.set(&pointer, json!([]));
        }
        self.set(&format!("{pointer}/-"), hook)
    }

    /// Writes config.json; the bundle's path is returned.
    pub fn write(&self) -> String {
        let text = serde_json::to_string_pretty(&self.config).expect("a JSON value can be written");
        fs::write(self.dir.join("config.json"), text).expect("the bundle is writable");
        self.dir.display().to_string()
    }

    fn namespaces(&mut self) -> &mut Vec<Value> {
        self.config["linux"]["namespaces"]
            .as_array_mut()
            .expect("the configuration is Docker-like")
    }
}

/// The property of an object or the element of a list; made where it is missing.
fn child<'a>(at: &'a mut Value, key: &str) -> &'a mut Value {
    if let Value::Array(list) = at {
        if key == "-" {
            list.push(Value::Null);
        }
        let index = if key == "-" {
            list.len() - 1
        } else {
            key.parse().expect("a list has numbers")
        };
        return &mut list[index];
    }
    if !at.is_object() {
        *at = json!({});
    }
    at.as_object_mut()
        .expect("just made one")
        .entry(key)
        .or_insert(Value::Null)
}

fn docker_like(cgroup: &str, name: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": mounts(),
        "linux": {
            "cgroupsPath": format!("{cgroup}/{name}"),
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
            ]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["ro", "nosuid", "noexec", "nodev"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]},
    ])
}
