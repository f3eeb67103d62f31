//! Configurations over one base, and the plans that are made of them: for the golden files and the laws.

use std::path::PathBuf;

use corten::cgroups::DeviceFilter;
use corten::cgroups::layout::Access;
use corten::cgroups::systemd::plan::{Caller, Owner, Service};
use corten::config::{Process, Spec};
use corten::error::Field;
use corten::host::Host;
use corten::plan::Plan;
use corten::plan::compile;
use corten::plan::exec::{self, ExecRequest};
use corten::plan::mounts::{self, Change};
use corten::plan::request::{Console, Keyring, Overlay, Pivot, Request, Start};
use corten::process::terminal::Stay;
use serde_json::{Value, json};

/// A name, and what makes the plan.
pub type Case = (&'static str, fn() -> Plan);

/// One for every feature that changes the list of operations.
pub const CASES: &[Case] = &[
    ("create", || plan(&base(), &request(), &Host::ideal())),
    ("run", || {
        plan(
            &base(),
            &Request {
                start: Start::Now,
                ..request()
            },
            &Host::ideal(),
        )
    }),
    ("user_namespace", || {
        plan(&user_namespace(), &request(), &Host::ideal())
    }),
    ("user_namespace_rootless", || {
        plan(&user_namespace(), &request(), &unprivileged())
    }),
    ("joined_namespaces", || {
        plan(&joined(), &request(), &Host::ideal())
    }),
    ("joined_user_namespace", || {
        plan(&joined_user(), &request(), &Host::ideal())
    }),
    ("network_devices", || {
        plan(&network_devices(), &request(), &Host::ideal())
    }),
    ("resctrl", || plan(&resctrl(), &request(), &Host::ideal())),
    ("exec_resctrl", || {
        exec(&resctrl(), Some(String::new()), &Host::ideal())
    }),
    ("mount_options", || {
        plan(&mounts(), &request(), &Host::ideal())
    }),
    ("overlay", || {
        let bind = json!({"destination": "/data", "source": "/srv/data", "options": ["rbind"]});
        let config = patched(&base(), &[("/mounts/-", bind)]);
        plan(&config, &overlaid(), &Host::ideal())
    }),
    ("overlay_in_user_namespace", || {
        plan(&user_namespace(), &overlaid(), &Host::ideal())
    }),
    ("hooks", || plan(&hooks(), &request(), &Host::ideal())),
    ("terminal_on_a_socket", || {
        plan(
            &terminal(),
            &console(Console::Socket("/run/console".into())),
            &Host::ideal(),
        )
    }),
    ("terminal_in_the_foreground", || {
        plan(&terminal(), &console(Console::Runtime), &Host::ideal())
    }),
    ("seccomp", || plan(&seccomp(), &request(), &Host::ideal())),
    ("seccomp_listener", || {
        plan(&listener(), &request(), &Host::ideal())
    }),
    ("process", || plan(&process(), &request(), &Host::ideal())),
    ("limits", || plan(&limits(), &request(), &Host::ideal())),
    ("selinux", || {
        let labels = [
            ("/process/selinuxLabel", json!("system_u:system_r:box_t:s0")),
            (
                "/linux/mountLabel",
                json!("system_u:object_r:box_file_t:s0"),
            ),
            (
                "/mounts/-",
                json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}),
            ),
        ];
        let host = Host {
            apparmor: false,
            selinux: true,
            ..Host::ideal()
        };
        plan(&patched(&base(), &labels), &request(), &host)
    }),
    ("subcgroup", || {
        let annotations = json!({"run.oci.delegate-cgroup": "init"});
        let changes = [
            ("/annotations", annotations),
            ("/process/user/uid", json!(1000)),
            (
                "/mounts/-",
                json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}),
            ),
        ];
        plan(&patched(&base(), &changes), &request(), &Host::ideal())
    }),
    ("subgroup", || {
        let annotations = json!({"run.oci.systemd.subgroup": "box"});
        let changes = [
            ("/annotations", annotations),
            ("/linux/cgroupsPath", json!("user.slice:runc:box")),
        ];
        plan(
            &patched(&user_namespace(), &changes),
            &request(),
            &logged_in(),
        )
    }),
    ("no_process", || {
        plan(
            &patched(&seccomp(), &[("/process", Value::Null)]),
            &request(),
            &Host::ideal(),
        )
    }),
    ("no_cgroup", || {
        let config = without_cgroup(&user_namespace());
        plan(&config, &request(), &undelegated())
    }),
    ("exec", || {
        exec(&base(), Some(String::new()), &Host::ideal())
    }),
    ("unit_from_a_login", || {
        let config = without_cgroup(&user_namespace());
        plan(&config, &request(), &logged_in())
    }),
    ("exec_from_a_login", || {
        let unit = Some("runc-box.scope".to_owned());
        exec_into(
            &user_namespace(),
            Some("below".to_owned()),
            unit,
            &logged_in(),
        )
    }),
    ("exec_in_user_namespace", || {
        exec(&user_namespace(), Some(String::new()), &Host::ideal())
    }),
    ("idmapped_mount_of_a_mount", || {
        let inside = |to: &str| json!({"destination": to, "type": "bind", "source": "rootfs/data/below", "options": ["rbind", "idmap"]});
        let config = patched(&user_namespace(), &[("/mounts/-", inside("/second"))]);
        plan(&config, &request(), &Host::ideal())
    }),
    ("mounts_add", || {
        change_mounts(&user_namespace(), Change::Add, &Host::ideal())
    }),
    ("mounts_remove", || {
        change_mounts(&base(), Change::Remove, &Host::ideal())
    }),
    ("exec_rootless", || {
        exec(&user_namespace(), None, &undelegated())
    }),
];

fn plan(config: &Value, request: &Request, host: &Host) -> Plan {
    let spec: Spec = serde_json::from_value(config.clone()).unwrap();
    compile::container(&spec, request, host).unwrap()
}

fn change_mounts(config: &Value, change: Change, host: &Host) -> Plan {
    let mounts = json!([
        {"destination": "/new", "type": "bind", "source": "/srv/new", "options": ["rbind", "ro"]},
        {"destination": "/new/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
    ]);
    let config = patched(config, &[("/mounts", mounts)]);
    let spec: Spec = serde_json::from_value(config).unwrap();
    let namespaces = namespaces_of(&spec);
    mounts::change(&spec, change, &request(), namespaces, host).unwrap()
}

fn namespaces_of(spec: &Spec) -> i32 {
    let linux = spec.linux.as_ref().unwrap();
    let namespaces = linux.namespaces.iter();
    namespaces.fold(0, |all, one| all | corten::namespaces::flag(one.kind))
}

fn exec(config: &Value, cgroup: Option<String>, host: &Host) -> Plan {
    exec_into(config, cgroup, None, host)
}

fn exec_into(config: &Value, cgroup: Option<String>, unit: Option<String>, host: &Host) -> Plan {
    let spec: Spec = serde_json::from_value(config.clone()).unwrap();
    let process: Process = serde_json::from_value(config["process"].clone()).unwrap();
    let namespaces = namespaces_of(&spec);
    let request = ExecRequest {
        id: "box".to_owned(),
        namespaces,
        console: Console::None,
        pid_file: Some("/run/exec.pid".into()),
        pidfd_socket: None,
        kept_descriptors: 0,
        variables: Vec::new(),
        cgroup,
        unit,
        below_unit: String::new(),
        keyring: Keyring::New,
    };
    exec::process(
        &spec,
        &process,
        &request,
        exec::filter(&spec).unwrap(),
        host,
    )
    .unwrap()
}

fn unprivileged() -> Host {
    Host {
        euid: 1000,
        egid: 1000,
        privileged: false,
        maps_ids: false,
        grantable: 0,
        ..Host::ideal()
    }
}

/// One whose units are below another cgroup than that of the login.
fn logged_in() -> Host {
    let mut host = unprivileged();
    host.cgroup.service = Some(Service {
        owner: Owner::User,
        cgroup: "user.slice/user-1000.slice/user@1000.service".to_owned(),
        caller: Caller::Outside,
    });
    host
}

/// One who may not make a cgroup either.
fn undelegated() -> Host {
    let mut host = unprivileged();
    host.cgroup.access = Access::Denied;
    host.cgroup.device_filter = DeviceFilter::NotPermitted;
    host
}

/// What depends on a cgroup left out.
fn without_cgroup(config: &Value) -> Value {
    patched(
        config,
        &[
            ("/linux/cgroupsPath", Value::Null),
            ("/linux/resources", json!({})),
        ],
    )
}

fn request() -> Request {
    Request {
        id: "box".to_owned(),
        bundle: PathBuf::from("/bundle"),
        state: PathBuf::from("/run/corten/box"),
        data: Some(PathBuf::from("/var/lib/corten")),
        start: Start::Later,
        console: Console::None,
        pid_file: Some(PathBuf::from("/run/box.pid")),
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

fn overlaid() -> Request {
    let layers = vec![
        PathBuf::from("/layers/upper"),
        PathBuf::from("/layers/lower"),
    ];
    Request {
        overlay: Some(Overlay {
            layers,
            upper: None,
            field: Field::new("--overlay"),
        }),
        ..request()
    }
}

fn console(console: Console) -> Request {
    Request {
        console,
        ..request()
    }
}

/// What an engine asks for: six namespaces, its mounts, masks, device rules.
fn base() -> Value {
    let caps = json!(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"]);
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "args": ["sh", "-c", "true"], "cwd": "/", "env": ["PATH=/bin:/usr/bin"], "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ],
        "linux": {
            "cgroupsPath": "/engine/box",
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}
            ],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "maskedPaths": ["/proc/kcore", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

/// The configuration with values set, or removed where they are null; `-` appends to a list.
fn patched(config: &Value, patches: &[(&str, Value)]) -> Value {
    let mut config = config.clone();
    for (pointer, value) in patches {
        let (parent, leaf) = pointer.rsplit_once('/').unwrap();
        match config.pointer_mut(parent).unwrap() {
            Value::Array(list) if leaf == "-" => list.push(value.clone()),
            Value::Object(object) if value.is_null() => {
                object.remove(leaf);
            }
            Value::Object(object) => {
                object.insert(leaf.to_owned(), value.clone());
            }
            other => panic!("{pointer} is in {other}"),
        }
    }
    config
}

fn user_namespace() -> Value {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let rlimit = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
    let bind = json!({"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "ro"]});
    patched(
        &base(),
        &[
            ("/linux/namespaces/-", json!({"type": "user"})),
            ("/linux/uidMappings", map.clone()),
            ("/linux/gidMappings", map),
            ("/process/rlimits", rlimit),
            ("/mounts/-", bind),
        ],
    )
}

fn joined() -> Value {
    let namespaces = json!([
        {"type": "mount"}, {"type": "network", "path": "/run/netns/blue"}, {"type": "pid", "path": "/proc/7/ns/pid"},
        {"type": "time"}
    ]);
    let offsets = json!({"boottime": {"secs": 60}, "monotonic": {"secs": -1, "nanosecs": 5}});
    let nothing = Value::Null;
    patched(
        &base(),
        &[
            ("/linux/namespaces", namespaces),
            ("/linux/timeOffsets", offsets),
            ("/hostname", nothing.clone()),
            ("/linux/sysctl", nothing),
        ],
    )
}

/// A group of its own, and one to monitor.
fn resctrl() -> Value {
    let rdt = json!({
        "schemata": ["L2:0=f"], "l3CacheSchema": "L3:0=7f0", "memBwSchema": "MB:0=20", "enableMonitoring": true,
    });
    patched(&base(), &[("/linux/intelRdt", rdt)])
}

/// Two interfaces into a new network namespace.
fn network_devices() -> Value {
    let devices = json!({"eth1": {"name": "eth0"}, "veth7": {}});
    patched(
        &base(),
        &[
            ("/linux/netDevices", devices),
            (
                "/linux/sysctl",
                json!({"net.ipv4.conf.eth0.forwarding": "1"}),
            ),
        ],
    )
}

fn joined_user() -> Value {
    let namespaces =
        json!([{"type": "user", "path": "/proc/7/ns/user"}, {"type": "pid"}, {"type": "mount"}]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let nothing = Value::Null;
    patched(
        &base(),
        &[
            ("/linux/namespaces", namespaces),
            ("/linux/uidMappings", map.clone()),
            ("/linux/gidMappings", map),
            ("/hostname", nothing.clone()),
            ("/linux/sysctl", nothing),
        ],
    )
}

fn mounts() -> Value {
    let one = |mount: Value| ("/mounts/-", mount);
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    patched(
        &base(),
        &[
            one(
                json!({"destination": "/etc", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "ro"]}),
            ),
            one(
                json!({"destination": "/srv", "type": "bind", "source": "/srv", "options": ["rbind", "rro", "rslave"]}),
            ),
            one(
                json!({"destination": "/home", "type": "bind", "source": "/home", "options": ["bind", "idmap"],
                "uidMappings": map.clone(), "gidMappings": map}),
            ),
            one(json!({"destination": "/proc", "options": ["remount", "hidepid=2"]})),
            one(json!({"destination": "/var/data", "type": "volume", "source": "data"})),
            ("/linux/rootfsPropagation", json!("rshared")),
            ("/root/readonly", json!(true)),
        ],
    )
}

fn hooks() -> Value {
    let hook =
        |name: &str| json!([{"path": format!("/hooks/{name}"), "args": [name], "timeout": 5}]);
    let hooks = json!({
        "prestart": hook("prestart"), "createRuntime": hook("runtime"), "createContainer": hook("container"),
        "startContainer": hook("start"), "poststart": hook("poststart"), "poststop": hook("poststop")
    });
    patched(&base(), &[("/hooks", hooks)])
}

fn terminal() -> Value {
    let size = json!({"height": 24, "width": 80});
    patched(
        &base(),
        &[
            ("/process/terminal", json!(true)),
            ("/process/consoleSize", size),
        ],
    )
}

fn seccomp() -> Value {
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]});
    patched(
        &base(),
        &[
            ("/linux/seccomp", profile),
            ("/process/noNewPrivileges", json!(false)),
        ],
    )
}

fn listener() -> Value {
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]
    });
    patched(&base(), &[("/linux/seccomp", profile)])
}

fn process() -> Value {
    patched(
        &base(),
        &[
            (
                "/process/user",
                json!({"uid": 1000, "gid": 100, "umask": 63, "additionalGids": [5, 6]}),
            ),
            ("/process/cwd", json!("/home/me")),
            ("/process/capabilities/ambient", json!(["CAP_KILL"])),
            ("/process/capabilities/inheritable", json!(["CAP_KILL"])),
            ("/process/apparmorProfile", json!("docker-default")),
            ("/process/oomScoreAdj", json!(-5)),
            (
                "/process/scheduler",
                json!({"policy": "SCHED_BATCH", "nice": 5}),
            ),
            (
                "/process/ioPriority",
                json!({"class": "IOPRIO_CLASS_BE", "priority": 4}),
            ),
            (
                "/process/rlimits",
                json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]),
            ),
            ("/linux/personality", json!({"domain": "LINUX32"})),
            (
                "/linux/memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "0"}),
            ),
            (
                "/linux/devices",
                json!([{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "uid": 7}]),
            ),
        ],
    )
}

fn limits() -> Value {
    patched(
        &base(),
        &[(
            "/linux/resources",
            json!({
                "memory": {"limit": 67_108_864, "swap": 134_217_728},
                "cpu": {"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0"},
                "pids": {"limit": 100},
                "unified": {"memory.high": "50000000"}
            }),
        )],
    )
}
