//! The catalogue of bad configurations: each is refused, by exactly one failure, which names the
//! property, its line and its column, and says what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "bad_config/types.rs"]
mod types;

use corten::Failure;
use corten::config::Loaded;
use serde_json::{Value, json};

/// A configuration without fault, that has something of everything the cases bend.
fn sound() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/data", "type": "none", "source": "/srv", "options": ["rbind", "ro"]},
        ],
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
        },
        "annotations": {"com.example": "1"},
        "hooks": {},
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            ],
            "resources": {"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}, "network": {}},
        },
    })
}

/// Sets what a JSON pointer names; its parent must exist. `/-` appends to a list.
fn set(config: &mut Value, pointer: &str, value: Value) {
    let (parent, leaf) = pointer.rsplit_once('/').unwrap();
    match config
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{pointer}"))
    {
        Value::Object(object) => drop(object.insert(leaf.replace("~1", "/"), value)),
        Value::Array(array) if leaf == "-" => array.push(value),
        Value::Array(array) => array[leaf.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer}: {other}"),
    }
}

/// A configuration with some values set, which are JSON.
fn patched(config: &Value, patches: &[(&str, &str)]) -> Value {
    let mut config = config.clone();
    for (pointer, value) in patches {
        let value = serde_json::from_str(value).expect(value);
        set(&mut config, pointer, value);
    }
    config
}

/// All that is wrong with a text.
fn failures(text: &str) -> Vec<Failure> {
    match Loaded::from_text(text.as_bytes().to_vec()) {
        Err(failure) => vec![failure],
        Ok(loaded) => loaded.checked().err().unwrap_or_default(),
    }
}

/// As printed, without positions; each must have one.
fn faults(text: &str) -> Vec<String> {
    let without = |mut failure: Failure| {
        failure.position.take().expect("a position");
        failure.to_string()
    };
    failures(text).into_iter().map(without).collect()
}

/// What a property is set to, and the one failure that must follow.
type Case = (&'static [(&'static str, &'static str)], &'static str);

const CASES: &[Case] = &[
    // Version, root.
    (
        &[("/ociVersion", "null")],
        "ociVersion: required, and missing",
    ),
    (
        &[("/ociVersion", r#""""#)],
        "ociVersion: required, and missing",
    ),
    (
        &[("/ociVersion", r#""v1.0.2""#)],
        r#"ociVersion: "v1.0.2" is not a semantic version such as 1.3.0"#,
    ),
    (
        &[("/ociVersion", r#""1.0""#)],
        r#"ociVersion: "1.0" is not a semantic version such as 1.3.0"#,
    ),
    (
        &[("/ociVersion", r#""1.0.0.0""#)],
        r#"ociVersion: "1.0.0.0" is not a semantic version such as 1.3.0"#,
    ),
    (
        &[("/ociVersion", r#""1.01.0""#)],
        r#"ociVersion: "1.01.0" is not a semantic version such as 1.3.0"#,
    ),
    (
        &[("/ociVersion", r#""1.0.0-""#)],
        r#"ociVersion: "1.0.0-" is not a semantic version such as 1.3.0"#,
    ),
    (
        &[("/ociVersion", r#""2.0.0""#)],
        "ociVersion: 2.0.0 is not supported, only versions from 1.0.0 to below 2.0.0",
    ),
    (
        &[("/ociVersion", r#""0.9.0""#)],
        "ociVersion: 0.9.0 is not supported, only versions from 1.0.0 to below 2.0.0",
    ),
    (&[("/root", "null")], "root: required on Linux, and missing"),
    (&[("/root/path", r#""""#)], "root.path: required, and empty"),
    // Types, as the parser refuses them.
    (
        &[("/root", r#"["rootfs", true]"#)],
        "root: invalid type: a list, expected an object",
    ),
    (
        &[("/process/args", r#""sh -c""#)],
        r#"process.args: invalid type: string "sh -c", expected a list"#,
    ),
    (
        &[("/process/user/uid", r#""root""#)],
        r#"process.user.uid: invalid type: string "root", expected a number from 0 to 4294967295"#,
    ),
    (
        &[("/process/user/uid", "-1")],
        "process.user.uid: invalid value: integer `-1`, expected a number from 0 to 4294967295",
    ),
    (
        &[("/process/user/additionalGids", r#"[1, "2"]"#)],
        r#"process.user.additionalGids[1]: invalid type: string "2", expected a number from 0 to 4294967295"#,
    ),
    (
        &[("/annotations/a.b", "[]")],
        r#"annotations["a.b"]: invalid type: a list, expected a string"#,
    ),
    (
        &[("/linux/namespaces/1", r#"{"type": "net"}"#)],
        "linux.namespaces[1].type: unknown variant `net`, expected one of `user`, `pid`, `network`, `mount`, `ipc`, `uts`, `cgroup`, `time`",
    ),
    (
        &[("/linux/namespaces/1", "{}")],
        "linux.namespaces[1]: missing property `type`",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "user"}"#),
            ("/linux/uidMappings", r#"[{"containerID": 0, "size": 1}]"#),
        ],
        "linux.uidMappings[0]: missing property `hostID`",
    ),
    // Process.
    (
        &[("/process/args", "[]")],
        "process.args: must name the program",
    ),
    (
        &[("/process/args", r#"[""]"#)],
        "process.args[0]: the name of the program is empty",
    ),
    (
        &[("/process/args/-", r#""a\u0000b""#)],
        "process.args[1]: contains a NUL character, where the kernel would cut it off",
    ),
    (
        &[("/linux/resources/unified", r#"{"memory.high\u0000": "1"}"#)],
        r#"linux.resources.unified["memory.high\0"]: contains a NUL character, where the kernel would cut it off"#,
    ),
    (
        &[("/process/env/-", r#""PATH""#)],
        r#"process.env[1]: "PATH" has no "=""#,
    ),
    (
        &[("/process/env/-", r#""=x""#)],
        r#"process.env[1]: "=x" has no name"#,
    ),
    (
        &[("/process/cwd", "null")],
        "process.cwd: required, and missing",
    ),
    (
        &[("/process/cwd", r#""tmp""#)],
        r#"process.cwd: "tmp" is not an absolute path"#,
    ),
    (
        &[("/process/cwd", r#""/proc/self/fd/7""#)],
        "process.cwd: /proc/self/fd/7 leads through a descriptor, out of the root filesystem",
    ),
    (
        &[("/process/cwd", r#""//dev/./fd/7""#)],
        "process.cwd: //dev/./fd/7 leads through a descriptor, out of the root filesystem",
    ),
    (
        &[("/process/user/uid", "4294967295")],
        r#"process.user.uid: 4294967295 is no id: the kernel reads it as "unchanged""#,
    ),
    (
        &[("/process/user/gid", "4294967295")],
        r#"process.user.gid: 4294967295 is no id: the kernel reads it as "unchanged""#,
    ),
    (
        &[("/process/user/additionalGids", "[5, 4294967295]")],
        r#"process.user.additionalGids[1]: 4294967295 is no id: the kernel reads it as "unchanged""#,
    ),
    (
        &[("/process/user/umask", "512")],
        "process.user.umask: 512 is above 511 (octal 777)",
    ),
    (
        &[("/process/rlimits/0/type", r#""RLIMIT_FISH""#)],
        r#"process.rlimits[0].type: unknown resource limit "RLIMIT_FISH""#,
    ),
    (
        &[(
            "/process/rlimits/-",
            r#"{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}"#,
        )],
        "process.rlimits[1].type: RLIMIT_NOFILE stands in process.rlimits[0] already",
    ),
    (
        &[("/process/rlimits/0/soft", "1025")],
        "process.rlimits[0].soft: 1025 is above the hard limit 1024",
    ),
    (
        &[("/process/oomScoreAdj", "1001")],
        "process.oomScoreAdj: 1001 is not between -1000 and 1000",
    ),
    (
        &[("/process/oomScoreAdj", "-1001")],
        "process.oomScoreAdj: -1001 is not between -1000 and 1000",
    ),
    (
        &[("/process/scheduler", r#"{"policy": "SCHED_BEST"}"#)],
        r#"process.scheduler.policy: unknown policy "SCHED_BEST""#,
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_BEST"]}"#,
        )],
        r#"process.scheduler.flags[0]: unknown flag "SCHED_FLAG_BEST""#,
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_OTHER", "nice": 20}"#,
        )],
        "process.scheduler.nice: 20 is not between -20 and 19",
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_OTHER", "priority": 1}"#,
        )],
        "process.scheduler.priority: only SCHED_FIFO and SCHED_RR have a priority",
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_FIFO", "priority": 100}"#,
        )],
        "process.scheduler.priority: 100 is not between 1 and 99",
    ),
    (
        &[("/process/scheduler", r#"{"policy": "SCHED_RR"}"#)],
        "process.scheduler.priority: 0 is not between 1 and 99",
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_BATCH", "deadline": 1}"#,
        )],
        "process.scheduler.deadline: only SCHED_DEADLINE has it",
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_DEADLINE", "runtime": 9, "deadline": 8}"#,
        )],
        "process.scheduler: SCHED_DEADLINE needs 0 < runtime <= deadline <= period",
    ),
    (
        &[("/process/ioPriority", r#"{"class": "IOPRIO_CLASS_NONE"}"#)],
        r#"process.ioPriority.class: unknown class "IOPRIO_CLASS_NONE""#,
    ),
    (
        &[(
            "/process/ioPriority",
            r#"{"class": "IOPRIO_CLASS_BE", "priority": 8}"#,
        )],
        "process.ioPriority.priority: 8 is not between 0 and 7",
    ),
    (
        &[("/process/execCPUAffinity", r#"{"initial": "0-"}"#)],
        r#"process.execCPUAffinity.initial: "0-" is not a list of CPUs such as 0-3,8"#,
    ),
    (
        &[("/process/execCPUAffinity", r#"{"final": "3-1"}"#)],
        r#"process.execCPUAffinity.final: "3-1" is not a list of CPUs such as 0-3,8"#,
    ),
    // Mounts.
    (
        &[("/mounts/1/destination", "null")],
        "mounts[1].destination: required, and missing",
    ),
    (
        &[("/mounts/1/destination", r#""/a/../../b""#)],
        "mounts[1].destination: /a/../../b leaves the root filesystem",
    ),
    (
        &[("/mounts/1/destination", r#""/x/./..//""#)],
        "mounts[1].destination: is the root filesystem itself, which cannot be covered",
    ),
    (
        &[("/mounts/1/destination", r#""/x/../proc/self/attr""#)],
        "mounts[1].destination: cannot be mounted: /x/../proc/self/attr is inside /proc",
    ),
    (
        &[("/mounts/1/source", "null")],
        "mounts[1].source: a bind mount needs a source",
    ),
    (
        &[("/mounts/1/options", r#"["rbind", "readonly"]"#)],
        r#"mounts[1].options[1]: unknown option "readonly": a bind mount has no options of a filesystem"#,
    ),
    (
        &[("/mounts/1/options", r#"["rbind", "idmap=uids=0-1"]"#)],
        r#"mounts[1].options[1]: "0-1" is no range such as 0-1000-10"#,
    ),
    (
        &[("/mounts/1/options", r#"["rbind", "idmap=users=0-1-2"]"#)],
        r#"mounts[1].options[1]: "users=0-1-2" is neither uids=… nor gids=…"#,
    ),
    (
        &[("/mounts/1/options", r#"["rbind", "idmap=uids=0-1-2"]"#)],
        "mounts[1].options[1]: idmap needs both uids=… and gids=…",
    ),
    (
        &[("/mounts/1/options", r#"["ro"]"#)],
        "mounts[1].type: required, as neither bind nor rbind stands in the options",
    ),
    (
        &[
            ("/mounts/1/type", r#""bind""#),
            ("/mounts/1/options", r#"["ro"]"#),
        ],
        "mounts[1].options: the type bind needs the option bind or rbind",
    ),
    (
        &[
            ("/mounts/1/type", r#""../ext4""#),
            ("/mounts/1/options", "[]"),
        ],
        r#"mounts[1].type: "../ext4" is not the name of a filesystem"#,
    ),
    (
        &[("/mounts/0/type", r#""tmpfs""#)],
        "mounts[0].type: /proc must be procfs, not tmpfs",
    ),
    (
        &[("/mounts/0/options", r#"["tmpcopyup"]"#)],
        "mounts[0].options: tmpcopyup needs the type tmpfs",
    ),
    (
        &[(
            "/mounts/1/uidMappings",
            r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
        )],
        "mounts[1].gidMappings: both kinds of mappings are needed, or neither",
    ),
    (
        &[(
            "/mounts/1/gidMappings",
            r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
        )],
        "mounts[1].uidMappings: both kinds of mappings are needed, or neither",
    ),
    (
        &[
            (
                "/mounts/1/uidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 0}]"#,
            ),
            (
                "/mounts/1/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "mounts[1].uidMappings[0].size: maps no id",
    ),
    (
        &[("/mounts/1/options", r#"["bind", "idmap"]"#)],
        "mounts[1].options: idmap needs mappings: neither the mount nor the container has any",
    ),
    (
        &[("/mounts/1/options", r#"["bind", "ridmap"]"#)],
        "mounts[1].options: ridmap needs mappings: neither the mount nor the container has any",
    ),
    // Namespaces, mappings, names.
    (
        &[("/linux/namespaces/-", r#"{"type": "pid"}"#)],
        "linux.namespaces[5].type: duplicate namespace: linux.namespaces[0] has the type already",
    ),
    (
        &[("/linux/namespaces/1/path", r#""proc/1/ns/net""#)],
        r#"linux.namespaces[1].path: "proc/1/ns/net" is not an absolute path"#,
    ),
    (
        &[("/linux/namespaces/4", r#"{"type": "cgroup"}"#)],
        "linux.namespaces: has no mount namespace: root and mounts would act on the host",
    ),
    (
        &[("/linux", "null"), ("/hostname", "null")],
        "linux.namespaces: has no mount namespace: root and mounts would act on the host",
    ),
    (
        &[("/linux/namespaces/3", r#"{"type": "cgroup"}"#)],
        "hostname: needs a UTS namespace: it would rename the host",
    ),
    (
        &[
            ("/linux/namespaces/3", r#"{"type": "cgroup"}"#),
            ("/hostname", "null"),
            ("/domainname", r#""d""#),
        ],
        "domainname: needs a UTS namespace: it would rename the host",
    ),
    (
        &[(
            "/hostname",
            r#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#,
        )],
        "hostname: 65 bytes, of which the kernel takes 64",
    ),
    (
        &[(
            "/linux/uidMappings",
            r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
        )],
        "linux.uidMappings: needs a user namespace",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "user"}"#),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "linux.uidMappings: a new user namespace needs mappings",
    ),
    (
        &[
            (
                "/linux/namespaces/-",
                r#"{"type": "user", "path": "/proc/1/ns/user"}"#,
            ),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "linux.uidMappings: both kinds of mappings are needed, or neither",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "user"}"#),
            (
                "/linux/uidMappings",
                r#"[{"containerID": 0, "hostID": 4294967295, "size": 1}]"#,
            ),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "linux.uidMappings[0].hostID: 1 ids from 4294967295 reach beyond the last id",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "user"}"#),
            (
                "/linux/uidMappings",
                r#"[{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 9, "hostID": 5000, "size": 10}]"#,
            ),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "linux.uidMappings[1].containerID: overlaps mapping 0",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "user"}"#),
            (
                "/linux/uidMappings",
                r#"[{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 10, "hostID": 991, "size": 10}]"#,
            ),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "linux.uidMappings[1].hostID: overlaps mapping 0",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "user"}"#),
            (
                "/linux/uidMappings",
                r#"[{"containerID": 1, "hostID": 1000, "size": 10}]"#,
            ),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#,
            ),
        ],
        "process.user.uid: 0 is not mapped in the user namespace",
    ),
    (
        &[("/linux/timeOffsets", r#"{"monotonic": {"secs": 1}}"#)],
        "linux.timeOffsets: needs a time namespace",
    ),
    (
        &[
            (
                "/linux/namespaces/-",
                r#"{"type": "time", "path": "/proc/1/ns/time"}"#,
            ),
            ("/linux/timeOffsets", r#"{"boottime": {"secs": 1}}"#),
        ],
        "linux.timeOffsets: cannot be set in a time namespace that is joined",
    ),
    (
        &[
            ("/linux/namespaces/-", r#"{"type": "time"}"#),
            (
                "/linux/timeOffsets",
                r#"{"boottime": {"nanosecs": 1000000000}}"#,
            ),
        ],
        "linux.timeOffsets.boottime.nanosecs: 1000000000 is above 999999999",
    ),
    (
        &[
            ("/linux/namespaces/1", r#"{"type": "cgroup"}"#),
            ("/linux/netDevices", r#"{"eth0": {}}"#),
        ],
        "linux.netDevices: needs a network namespace",
    ),
    (
        &[("/linux/netDevices", r#"{"../eth0": {"name": "a"}}"#)],
        r#"linux.netDevices["../eth0"]: is not the name of an interface"#,
    ),
    (
        &[(
            "/linux/netDevices",
            r#"{"eth0": {"name": "an-interface-of-16"}}"#,
        )],
        r#"linux.netDevices["eth0"].name: "an-interface-of-16" is not the name of an interface"#,
    ),
    (
        &[("/linux/netDevices", r#"{"eth0": {"name": "%d%d"}}"#)],
        r#"linux.netDevices["eth0"].name: "%d%d" is not the name of an interface"#,
    ),
    (
        &[(
            "/linux/netDevices",
            r#"{"eth0": {}, "eth1": {"name": "eth0"}}"#,
        )],
        r#"linux.netDevices["eth1"].name: another interface is named eth0 already"#,
    ),
    // Sysctl.
    (
        &[("/linux/sysctl", r#"{"kernel.panic": "1"}"#)],
        r#"linux.sysctl["kernel.panic"]: is not in a separate namespace: it would change the host"#,
    ),
    (
        &[("/linux/sysctl", r#"{"net/../kernel/panic": "1"}"#)],
        r#"linux.sysctl["net/../kernel/panic"]: is not the name of a kernel parameter"#,
    ),
    (
        &[("/linux/sysctl", r#"{"net.ipv4.//.kernel": "1"}"#)],
        r#"linux.sysctl["net.ipv4.//.kernel"]: is not the name of a kernel parameter"#,
    ),
    (
        &[("/linux/sysctl", r#"{"kernel.shm_rmid_forcedx": "1"}"#)],
        r#"linux.sysctl["kernel.shm_rmid_forcedx"]: is not in a separate namespace: it would change the host"#,
    ),
    (
        &[
            ("/linux/namespaces/1", r#"{"type": "cgroup"}"#),
            ("/linux/sysctl", r#"{"net.ipv4.ip_forward": "1"}"#),
        ],
        r#"linux.sysctl["net.ipv4.ip_forward"]: needs a namespace of the type "network": it would change the host"#,
    ),
    (
        &[
            ("/linux/namespaces/2", r#"{"type": "cgroup"}"#),
            ("/linux/sysctl", r#"{"fs/mqueue/msg_max": "1"}"#),
        ],
        r#"linux.sysctl["fs/mqueue/msg_max"]: needs a namespace of the type "ipc": it would change the host"#,
    ),
    (
        &[("/linux/sysctl", r#"{"kernel.hostname": "other"}"#)],
        r#"linux.sysctl["kernel.hostname"]: conflicts with the property hostname"#,
    ),
    (
        &[
            ("/domainname", r#""d""#),
            ("/linux/sysctl", r#"{"kernel/domainname": "other"}"#),
        ],
        r#"linux.sysctl["kernel/domainname"]: conflicts with the property domainname"#,
    ),
    // Devices and paths.
    (
        &[(
            "/linux/devices",
            r#"[{"type": "x", "path": "/dev/x", "major": 1, "minor": 3}]"#,
        )],
        "linux.devices[0].type: unknown variant `x`, expected one of `c`, `u`, `b`, `p`",
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "c", "path": "dev/x", "major": 1, "minor": 3}]"#,
        )],
        r#"linux.devices[0].path: "dev/x" is not an absolute path of a node without "..""#,
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "c", "path": "/dev/../x", "major": 1, "minor": 3}]"#,
        )],
        r#"linux.devices[0].path: "/dev/../x" is not an absolute path of a node without "..""#,
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "b", "path": "/dev/x", "major": 1}]"#,
        )],
        "linux.devices[0].minor: required unless the type is p",
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "c", "path": "/dev/x", "major": 4096, "minor": 1}]"#,
        )],
        "linux.devices[0].major: 4096 is not between 0 and 4095",
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "p", "path": "/dev/x", "fileMode": 65536}]"#,
        )],
        "linux.devices[0].fileMode: 65536 is not a file mode",
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "p", "path": "/dev/x", "gid": 4294967295}]"#,
        )],
        r#"linux.devices[0].gid: 4294967295 is no id: the kernel reads it as "unchanged""#,
    ),
    (
        &[(
            "/linux/resources/devices",
            r#"[{"allow": true, "type": "x"}]"#,
        )],
        r#"linux.resources.devices[0].type: "x" is none of a, b and c"#,
    ),
    (
        &[(
            "/linux/resources/devices",
            r#"[{"allow": true, "access": "rwx"}]"#,
        )],
        r#"linux.resources.devices[0].access: "rwx" is not made of r, w and m"#,
    ),
    (
        &[(
            "/linux/resources/devices",
            r#"[{"allow": true, "type": "c", "major": -2}]"#,
        )],
        "linux.resources.devices[0].major: -2 is neither -1 nor a device number",
    ),
    (
        &[("/linux/maskedPaths", r#"["proc/kcore"]"#)],
        r#"linux.maskedPaths[0]: "proc/kcore" is not an absolute path"#,
    ),
    (
        &[("/linux/readonlyPaths", r#"["/a", ""]"#)],
        r#"linux.readonlyPaths[1]: "" is not an absolute path"#,
    ),
    (
        &[("/linux/rootfsPropagation", r#""public""#)],
        r#"linux.rootfsPropagation: "public" is none of shared, slave, private and unbindable"#,
    ),
    (
        &[("/linux/personality", r#"{"domain": "BSD"}"#)],
        r#"linux.personality.domain: "BSD" is neither LINUX nor LINUX32"#,
    ),
    (
        &[(
            "/linux/personality",
            r#"{"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}"#,
        )],
        "linux.personality.flags: no flag is supported",
    ),
    (
        &[("/linux/memoryPolicy", r#"{"mode": "MPOL_X"}"#)],
        r#"linux.memoryPolicy.mode: invalid memory policy mode "MPOL_X""#,
    ),
    (
        &[(
            "/linux/memoryPolicy",
            r#"{"mode": "MPOL_LOCAL", "flags": ["MPOL_F_X"]}"#,
        )],
        r#"linux.memoryPolicy.flags[0]: invalid memory policy flag "MPOL_F_X""#,
    ),
    (
        &[(
            "/linux/memoryPolicy",
            r#"{"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}"#,
        )],
        "linux.memoryPolicy.flags[0]: MPOL_F_NUMA_BALANCING does not go with MPOL_INTERLEAVE",
    ),
    (
        &[(
            "/linux/memoryPolicy",
            r#"{"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}"#,
        )],
        "linux.memoryPolicy.flags: nodes are static or relative, not both",
    ),
    (
        &[(
            "/linux/memoryPolicy",
            r#"{"mode": "MPOL_BIND", "nodes": "all"}"#,
        )],
        r#"linux.memoryPolicy.nodes: invalid memory policy node list "all": not such as 0-1"#,
    ),
    (
        &[(
            "/linux/memoryPolicy",
            r#"{"mode": "MPOL_LOCAL", "nodes": "0"}"#,
        )],
        "linux.memoryPolicy.nodes: MPOL_LOCAL mode requires 0 nodes but got 1",
    ),
    (
        &[("/linux/memoryPolicy", r#"{"mode": "MPOL_BIND"}"#)],
        "linux.memoryPolicy.nodes: MPOL_BIND needs nodes",
    ),
    // Cgroups.
    (
        &[("/linux/cgroupsPath", r#""/a/../../b""#)],
        r#"linux.cgroupsPath: /a/../../b steps up with "..""#,
    ),
    (
        &[("/linux/resources/memory/limit", "-2")],
        "linux.resources.memory.limit: -2 is below -1 (unlimited)",
    ),
    (
        &[("/linux/resources/memory/reservation", "-2")],
        "linux.resources.memory.reservation: -2 is below -1 (unlimited)",
    ),
    (
        &[("/linux/resources/memory/swap", "-2")],
        "linux.resources.memory.swap: -2 is below -1 (unlimited)",
    ),
    (
        &[
            ("/linux/resources/memory/limit", "2"),
            ("/linux/resources/memory/swap", "1"),
        ],
        "linux.resources.memory.swap: 1 is below linux.resources.memory.limit, which it includes",
    ),
    (
        &[("/linux/resources/memory/swap", "1")],
        "linux.resources.memory.swap: needs linux.resources.memory.limit, which it includes",
    ),
    (
        &[("/linux/resources/memory/kernel", "1")],
        "linux.resources.memory.kernel: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/memory/kernelTCP", "1")],
        "linux.resources.memory.kernelTCP: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/memory/swappiness", "0")],
        "linux.resources.memory.swappiness: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/memory/disableOOMKiller", "true")],
        "linux.resources.memory.disableOOMKiller: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/memory/useHierarchy", "false")],
        "linux.resources.memory.useHierarchy: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/cpu/period", "999")],
        "linux.resources.cpu.period: 999 is not between 1000 and 1000000 microseconds",
    ),
    (
        &[("/linux/resources/cpu/quota", "999")],
        "linux.resources.cpu.quota: 999 is below 1000 microseconds",
    ),
    (
        &[
            ("/linux/resources/cpu/quota", "1000"),
            ("/linux/resources/cpu/burst", "1001"),
        ],
        "linux.resources.cpu.burst: 1001 is above the quota 1000",
    ),
    (
        &[("/linux/resources/cpu/idle", "2")],
        "linux.resources.cpu.idle: 2 is neither 0 nor 1",
    ),
    (
        &[("/linux/resources/cpu/realtimeRuntime", "1")],
        "linux.resources.cpu.realtimeRuntime: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/cpu/realtimePeriod", "1")],
        "linux.resources.cpu.realtimePeriod: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/pids/limit", "-2")],
        "linux.resources.pids.limit: -2 is below -1 (unlimited)",
    ),
    (
        &[("/linux/resources/blockIO/weight", "9")],
        "linux.resources.blockIO.weight: 9 is not between 10 and 1000",
    ),
    (
        &[("/linux/resources/blockIO/leafWeight", "10")],
        "linux.resources.blockIO.leafWeight: only cgroup v1 has it",
    ),
    (
        &[(
            "/linux/resources/blockIO/weightDevice",
            r#"[{"major": 8, "minor": 0, "weight": 1001}]"#,
        )],
        "linux.resources.blockIO.weightDevice[0].weight: 1001 is not between 10 and 1000",
    ),
    (
        &[(
            "/linux/resources/blockIO/weightDevice",
            r#"[{"major": 8, "minor": 0, "leafWeight": 10}]"#,
        )],
        "linux.resources.blockIO.weightDevice[0].leafWeight: only cgroup v1 has it",
    ),
    (
        &[(
            "/linux/resources/blockIO/weightDevice",
            r#"[{"major": 8, "minor": 0}]"#,
        )],
        "linux.resources.blockIO.weightDevice[0]: needs a weight",
    ),
    (
        &[(
            "/linux/resources/blockIO/throttleReadIOPSDevice",
            r#"[{"major": -8, "minor": 0, "rate": 1}]"#,
        )],
        "linux.resources.blockIO.throttleReadIOPSDevice[0].major: -8 is no device number",
    ),
    (
        &[(
            "/linux/resources/blockIO/throttleWriteBpsDevice",
            r#"[{"major": 8, "minor": 0}]"#,
        )],
        "linux.resources.blockIO.throttleWriteBpsDevice[0]: missing property `rate`",
    ),
    (
        &[(
            "/linux/resources/blockIO/weightDevice",
            r#"[{"major": 8, "weight": 10}]"#,
        )],
        "linux.resources.blockIO.weightDevice[0]: missing property `minor`",
    ),
    (
        &[(
            "/linux/resources/hugepageLimits",
            r#"[{"pageSize": "2MB"}]"#,
        )],
        "linux.resources.hugepageLimits[0]: missing property `limit`",
    ),
    (
        &[(
            "/linux/resources/hugepageLimits",
            r#"[{"pageSize": "2 MB", "limit": 1}]"#,
        )],
        r#"linux.resources.hugepageLimits[0].pageSize: "2 MB" is not a size such as 2MB or 1GB"#,
    ),
    (
        &[(
            "/linux/resources/hugepageLimits",
            r#"[{"pageSize": "2MB", "limit": 1}, {"pageSize": "2MB", "limit": 2}]"#,
        )],
        "linux.resources.hugepageLimits[1].pageSize: a limit for 2MB stands here already",
    ),
    (
        &[("/linux/resources/network/classID", "1")],
        "linux.resources.network.classID: only cgroup v1 has it",
    ),
    (
        &[(
            "/linux/resources/network/priorities",
            r#"[{"name": "eth0", "priority": 1}]"#,
        )],
        "linux.resources.network.priorities: only cgroup v1 has it",
    ),
    (
        &[("/linux/resources/rdma", r#"{"a b": {"hcaHandles": 1}}"#)],
        r#"linux.resources.rdma["a b"]: is not the name of a device"#,
    ),
    (
        &[("/linux/resources/rdma", r#"{"mlx5_0": {}}"#)],
        r#"linux.resources.rdma["mlx5_0"]: needs hcaHandles or hcaObjects"#,
    ),
    (
        &[("/linux/resources/unified", r#"{"../../memory.high": "1"}"#)],
        r#"linux.resources.unified["../../memory.high"]: is not the name of a file such as memory.high"#,
    ),
    (
        &[("/linux/resources/unified", r#"{"..": "1"}"#)],
        r#"linux.resources.unified[".."]: is not the name of a file such as memory.high"#,
    ),
    (
        &[("/linux/resources/unified", r#"{"memory": "1"}"#)],
        r#"linux.resources.unified["memory"]: is not the name of a file such as memory.high"#,
    ),
    (
        &[("/linux/resources/unified", r#"{"cgroup.procs": "1"}"#)],
        r#"linux.resources.unified["cgroup.procs"]: belongs to the runtime"#,
    ),
    (
        &[("/linux/intelRdt", r#"{"closID": "a/b"}"#)],
        r#"linux.intelRdt.closID: "a/b" is not the name of a directory, nor "/""#,
    ),
    (
        &[("/linux/intelRdt", r#"{"closID": ".."}"#)],
        r#"linux.intelRdt.closID: ".." is not the name of a directory, nor "/""#,
    ),
    (
        &[("/linux/intelRdt", r#"{"memBwSchema": "L3:0=f"}"#)],
        "linux.intelRdt.memBwSchema: must begin with MB: and be one line",
    ),
    (
        &[(
            "/linux/intelRdt",
            r#"{"schemata": ["L3:0=f", "L2:0=f\nMB:0=20"]}"#,
        )],
        "linux.intelRdt.schemata[1]: must be one line",
    ),
    // Seccomp.
    (
        &[("/linux/seccomp", r#"{"defaultAction": "SCMP_ACT_PANIC"}"#)],
        "linux.seccomp.defaultAction: unknown variant `SCMP_ACT_PANIC`, expected one of `SCMP_ACT_KILL`, `SCMP_ACT_KILL_PROCESS`, `SCMP_ACT_KILL_THREAD`, `SCMP_ACT_TRAP`, `SCMP_ACT_ERRNO`, `SCMP_ACT_TRACE`, `SCMP_ACT_ALLOW`, `SCMP_ACT_LOG`, `SCMP_ACT_NOTIFY`",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#,
        )],
        "linux.seccomp.defaultErrnoRet: the action returns no errno",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#,
        )],
        "linux.seccomp.defaultErrnoRet: 4096 is above 4095",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/s", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        )],
        "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default action",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]}"#,
        )],
        r#"linux.seccomp.architectures[0]: unknown architecture "SCMP_ARCH_VAX""#,
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_X"]}"#,
        )],
        r#"linux.seccomp.flags[0]: unknown flag "SECCOMP_FILTER_FLAG_X""#,
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        )],
        "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "s"}"#,
        )],
        r#"linux.seccomp.listenerPath: "s" is not an absolute path"#,
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "m"}"#,
        )],
        "linux.seccomp.listenerMetadata: needs linux.seccomp.listenerPath",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_KILL"}]}"#,
        )],
        "linux.seccomp.syscalls[0].names: must name at least one system call, and none may be empty",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_KILL", "errnoRet": 1}]}"#,
        )],
        "linux.seccomp.syscalls[0].errnoRet: the action returns no errno",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_KILL", "args": [{"index": 9, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
        )],
        "linux.seccomp.syscalls[0].args[0].index: 9 is above 5: a system call has six arguments",
    ),
    // Hooks, annotations.
    (
        &[("/hooks/poststop", r#"[{"path": "sh"}]"#)],
        r#"hooks.poststop[0].path: "sh" is not an absolute path"#,
    ),
    (
        &[("/hooks/prestart", "[{}]")],
        r#"hooks.prestart[0].path: "" is not an absolute path"#,
    ),
    (
        &[("/hooks/createRuntime", r#"[{"path": "/a", "timeout": 0}]"#)],
        "hooks.createRuntime[0].timeout: 0 is not above 0 seconds",
    ),
    (
        &[(
            "/hooks/createContainer",
            r#"[{"path": "/a", "timeout": -1}]"#,
        )],
        "hooks.createContainer[0].timeout: -1 is not above 0 seconds",
    ),
    (
        &[("/hooks/startContainer", r#"[{"path": "a"}]"#)],
        r#"hooks.startContainer[0].path: "a" is not an absolute path"#,
    ),
    (
        &[("/hooks/poststart", r#"[{"path": "a"}]"#)],
        r#"hooks.poststart[0].path: "a" is not an absolute path"#,
    ),
    (
        &[(
            "/linux/devices",
            r#"[{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "uid": 4294967295}]"#,
        )],
        "linux.devices[0].uid: 4294967295 is no id: the kernel reads it as \"unchanged\"",
    ),
    (
        &[(
            "/linux/resources/devices",
            r#"[{"allow": true, "type": "c", "major": 1, "minor": -2}]"#,
        )],
        "linux.resources.devices[0].minor: -2 is neither -1 nor a device number",
    ),
    (
        &[("/linux/resources/cpu/cpus", r#""0-""#)],
        r#"linux.resources.cpu.cpus: "0-" is not a list such as 0-3,8"#,
    ),
    (
        &[("/linux/resources/cpu/mems", r#""1,banana""#)],
        r#"linux.resources.cpu.mems: "1,banana" is not a list such as 0-3,8"#,
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_OTHER", "runtime": 1}"#,
        )],
        "process.scheduler.runtime: only SCHED_DEADLINE has it",
    ),
    (
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_FIFO", "priority": 1, "period": 1}"#,
        )],
        "process.scheduler.period: only SCHED_DEADLINE has it",
    ),
    (
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_LIKE"}]}]}"#,
        )],
        "linux.seccomp.syscalls[0].args[0].op: unknown variant `SCMP_CMP_LIKE`, expected one of `SCMP_CMP_NE`, `SCMP_CMP_LT`, `SCMP_CMP_LE`, `SCMP_CMP_EQ`, `SCMP_CMP_GE`, `SCMP_CMP_GT`, `SCMP_CMP_MASKED_EQ`",
    ),
    (
        &[("/annotations/", r#""x""#)],
        "annotations: has an empty key",
    ),
];

#[test]
fn each_is_refused_by_one_failure_that_names_the_property_and_its_place() {
    assert_eq!(faults(&sound().to_string()), [""; 0]);
    let mut wrong = Vec::new();
    for (patches, expected) in CASES {
        let config = patched(&sound(), patches);
        let text = serde_json::to_string_pretty(&config).unwrap();
        let found = faults(&text);
        if found != [*expected] {
            wrong.push(format!(
                "{patches:?}\n  expected {expected}\n  found    {found:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_clock_that_there_is_not_is_refused_by_its_name() {
    let patches = &[("/linux/timeOffsets", r#"{"realtime": {"secs": 1}}"#)];
    let text = patched(&sound(), patches).to_string();
    let expected =
        "linux.timeOffsets.realtime: unknown field `realtime`, expected `monotonic` or `boottime`";
    assert_eq!(faults(&text), [expected]);
}

#[test]
fn the_position_is_that_of_the_value_at_fault() {
    let text = "{\n  \"ociVersion\": \"1.3.0\",\n  \"process\": {\n    \"user\": {\"uid\": \"root\"}\n  }\n}";
    let failure = failures(text).remove(0);
    assert_eq!(failure.field.pointer(), "/process/user/uid");
    assert_eq!(failure.position, Some((4, 21)));
    for (patches, _) in CASES {
        let config = patched(&sound(), patches);
        let text = serde_json::to_string_pretty(&config).unwrap();
        let failure = failures(&text).remove(0);
        let (line, column) = failure.position.expect("a position");
        let rest: String = text
            .lines()
            .nth(line - 1)
            .unwrap()
            .chars()
            .skip(column - 1)
            .collect();
        // What is missing is reported where it is missed: at the nearest value around it.
        let pointer = failure.field.pointer();
        let ends = pointer
            .match_indices('/')
            .map(|(end, _)| &pointer[..end])
            .chain([pointer.as_str()]);
        let value = ends
            .filter_map(|pointer| config.pointer(pointer))
            .next_back()
            .unwrap();
        let written = serde_json::to_string_pretty(value).unwrap();
        let first = written.lines().next().unwrap();
        assert!(
            rest.starts_with(first),
            "{failure}: {first} is not at {rest}"
        );
    }
}

#[test]
fn all_faults_are_reported_together() {
    let mut config = sound();
    set(&mut config, "/ociVersion", json!("2.0.0"));
    set(&mut config, "/process/cwd", json!("x"));
    set(&mut config, "/mounts/1/options/1", json!("readonly"));
    set(&mut config, "/linux/sysctl", json!({"kernel.panic": "1"}));
    assert_eq!(faults(&config.to_string()).len(), 4);
}

#[test]
fn a_property_that_stands_twice_is_refused() {
    let twice = |from: &str, to: &str, expected: &str| {
        let text = sound().to_string();
        assert!(text.contains(from));
        let found = faults(&text.replacen(from, to, 1));
        assert_eq!(found, [expected]);
    };
    twice(
        r#""cwd":"/""#,
        r#""cwd":"/","cwd":"/tmp""#,
        "process.cwd: duplicate property `cwd`",
    );
    twice(
        r#""com.example":"1""#,
        r#""com.example":"1","com.example":"2""#,
        r#"annotations["com.example"]: duplicate property"#,
    );
    for (map, entry) in [
        ("sysctl", r#""net.a.b":"1""#),
        ("netDevices", r#""eth0":{}"#),
    ] {
        let key = entry.split('"').nth(1).unwrap();
        let expected = format!("linux.{map}[{key:?}]: duplicate property");
        let to = format!(r#""linux":{{"{map}":{{{entry},{entry}}},"#);
        let text = sound().to_string().replacen(r#""linux":{"#, &to, 1);
        let found = faults(&text);
        assert!(found.contains(&expected), "{found:?}");
    }
    for (map, entry) in [
        ("unified", r#""a.b":"1""#),
        ("rdma", r#""a":{"hcaHandles":1}"#),
    ] {
        let key = entry.split('"').nth(1).unwrap();
        let to = format!(r#""resources":{{"{map}":{{{entry},{entry}}},"#);
        twice(
            r#""resources":{"#,
            &to,
            &format!("linux.resources.{map}[{key:?}]: duplicate property"),
        );
    }
}

#[test]
fn a_broken_text_is_refused_with_line_and_column() {
    for (text, expected) in [
        ("", "the file is empty"),
        ("   ", "line 1 column 3: EOF while parsing a value"),
        (
            "{\"ociVersion\": ",
            "line 1 column 15: EOF while parsing a value",
        ),
        (
            "{\n  \"ociVersion\": \"1.0.0\"",
            "EOF while parsing an object",
        ),
        ("{\n \"a\" 1}", "line 2 column 6: expected `:`"),
        ("[]", "invalid type: a list, expected an object"),
        ("\"x\"", "invalid type: string \"x\", expected an object"),
        (
            "\u{feff}{}",
            "the file begins with a byte order mark, which JSON forbids",
        ),
        (
            "{\0}\0",
            "the file is encoded as UTF-16 or UTF-32, not as UTF-8",
        ),
        ("{} x", "line 1 column 4: trailing characters"),
    ] {
        let failure = Loaded::from_text(text.as_bytes().to_vec()).unwrap_err();
        assert!(
            failure.to_string().contains(expected),
            "{text:?}: {failure}"
        );
    }
    let latin = Loaded::from_text(b"{\"ociVersion\": \"\xe9\"}".to_vec()).unwrap_err();
    assert!(latin.to_string().contains("invalid unicode"), "{latin}");
}

#[test]
fn depth_is_bounded_and_never_a_crash() {
    let deep = |levels: usize| {
        format!(
            r#"{{"process": {}{}}}"#,
            "{\"user\":[".repeat(levels),
            "]}".repeat(levels)
        )
    };
    for text in [
        deep(100_000),
        "[".repeat(100_000),
        format!("{{\"x\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        "{\"a\":".repeat(100_000),
    ] {
        assert!(!failures(&text).is_empty());
    }
}

#[test]
fn many_faults_and_many_annotations_take_no_time() {
    let mut config = sound();
    let mounts: Vec<Value> = (0..50_000).map(|_| json!({"destination": ""})).collect();
    set(&mut config, "/mounts", Value::from(mounts));
    assert_eq!(faults(&config.to_string()).len(), 64);
    let mut config = sound();
    let annotations = (0..100_000)
        .map(|index| (format!("key.{index}"), json!("value")))
        .collect();
    set(&mut config, "/annotations", Value::Object(annotations));
    assert_eq!(faults(&config.to_string()), [""; 0]);
}

/// What must pass, though it looks odd: callers send it.
#[test]
fn what_callers_rely_on_passes() {
    let pass: &[&[(&str, &str)]] = &[
        &[("/process", "null")],
        &[("/ociVersion", r#""1.0.2-dev""#)],
        &[("/ociVersion", r#""1.2.1+dev""#)],
        &[(
            "/linux/resources/memory",
            r#"{"swappiness": null, "disableOOMKiller": false, "kernel": -1, "kernelTCP": 0, "useHierarchy": true}"#,
        )],
        &[("/linux/resources/memory", r#"{"limit": -1, "swap": -1}"#)],
        &[("/linux/resources/memory", r#"{"limit": 1, "swap": 0}"#)],
        &[(
            "/linux/resources/network",
            r#"{"classID": 0, "priorities": null}"#,
        )],
        &[(
            "/linux/resources/cpu",
            r#"{"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0}"#,
        )],
        &[("/linux/resources/cpu", r#"{"quota": -1, "burst": 5}"#)],
        &[("/linux/resources/pids", r#"{"limit": 0}"#)],
        &[(
            "/linux/resources/devices",
            r#"[{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": -1, "minor": -1, "access": "m"}]"#,
        )],
        &[(
            "/linux/devices",
            r#"[{"type": "u", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 8630, "uid": 0, "gid": 0}]"#,
        )],
        // containerd and CRI-O send the mappings of a user namespace that they join.
        &[
            (
                "/linux/namespaces/-",
                r#"{"type": "user", "path": "/proc/1/ns/user"}"#,
            ),
            (
                "/linux/uidMappings",
                r#"[{"containerID": 0, "hostID": 1000, "size": 65536}]"#,
            ),
            (
                "/linux/gidMappings",
                r#"[{"containerID": 0, "hostID": 1000, "size": 65536}]"#,
            ),
        ],
        &[(
            "/linux/namespaces/-",
            r#"{"type": "user", "path": "/proc/1/ns/user"}"#,
        )],
        &[("/linux/namespaces/3/path", r#""/var/run/utsns/x""#)],
        &[("/mounts/1/type", r#""bind""#)],
        &[("/mounts/1/type", "null")],
        &[("/mounts/1/destination", r#""/proc/uptime""#)],
        &[("/mounts/1/destination", r#""/proc""#)],
        &[("/mounts/1/destination", r#""data""#)],
        &[(
            "/linux/sysctl",
            r#"{"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shmmax": "1", "kernel.domainname": "d", "net/ipv4/conf/eth0.1/forwarding": "1"}"#,
        )],
        &[("/linux/rootfsPropagation", r#""rslave""#)],
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "listenerPath": "/run/s", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW"}, {"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#,
        )],
        // As Go reads it, a number that is null is 0.
        &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": null, "value": null, "valueTwo": null, "op": "SCMP_CMP_EQ"}]}]}"#,
        )],
        &[(
            "/process/scheduler",
            r#"{"policy": "SCHED_OTHER", "nice": null, "priority": null, "runtime": null, "deadline": null, "period": null}"#,
        )],
        &[(
            "/process/ioPriority",
            r#"{"class": "IOPRIO_CLASS_BE", "priority": null}"#,
        )],
        &[(
            "/process/capabilities",
            r#"{"bounding": ["CAP_FUTURE", "chown"]}"#,
        )],
        &[("/annotations/nul", r#""\u0000""#)],
        &[("/unknown", r#"{"x": "\u0000"}"#)],
        &[("/hostname", r#""""#)],
    ];
    for patches in pass {
        let config = patched(&sound(), patches);
        assert_eq!(faults(&config.to_string()), [""; 0], "{patches:?}");
    }
}

#[test]
fn what_is_odd_but_no_error_is_a_warning() {
    for (pointer, value, expected) in [
        (
            "/ociVersion",
            json!("1.9.0"),
            "ociVersion: 1.9.0 is newer than 1.3.0: properties unknown here are ignored",
        ),
        (
            "/mounts/1/destination",
            json!("data"),
            "mounts[1].destination: \"data\" is read as /data: relative paths are deprecated",
        ),
        (
            "/mounts/1/options",
            json!(["bind", "sync"]),
            "mounts[1].options: sync has no effect on a bind mount: it belongs to the whole filesystem",
        ),
        (
            "/process/capabilities",
            json!({"ambient": ["CAP_KILL", "cap_kill"]}),
            "process.capabilities.ambient[1]: unknown capability \"cap_kill\" is not granted",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/s"}),
            "linux.seccomp.listenerPath: ignored: no rule uses SCMP_ACT_NOTIFY",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["a", "b"], "action": "SCMP_ACT_KILL"},
                {"names": ["b"], "action": "SCMP_ACT_ERRNO"},
            ]}),
            "linux.seccomp.syscalls[1].action: ignored for b: an earlier rule has another action for it",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["a"], "action": "SCMP_ACT_KILL"},
                {"names": ["b"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["b"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            ]}),
            "linux.seccomp.syscalls[2].action: ignored for b: an earlier rule has another action for it",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["a"], "action": "SCMP_ACT_KILL"},
                {"names": ["b"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["b"], "action": "SCMP_ACT_KILL"},
            ]}),
            "linux.seccomp.syscalls[2].action: ignored for b: an earlier rule has another action for it",
        ),
    ] {
        let mut config = sound();
        set(&mut config, pointer, value);
        let loaded = Loaded::from_text(config.to_string().into_bytes())
            .unwrap()
            .checked()
            .unwrap();
        assert_eq!(loaded.warnings, [expected]);
    }
}
