//! The names that runtime-spec 1.3.0 gives to properties, as one table.
//!
//! The types in [`super::spec`] read the properties; they cannot list what they did not read without
//! costing every container for it. A test holds the two against each other, in both directions.

/// What stands at a place of config.json.
#[derive(Debug)]
pub enum Shape {
    /// A string, a number, a word, or something whose inside nobody looks at.
    Leaf,
    /// An object with these properties.
    Object(&'static [(&'static str, Shape)]),
    /// A list of such things.
    List(&'static Shape),
    /// An object with free keys.
    Map(&'static Shape),
}

use Shape::{Leaf, List, Map, Object};

const LEAVES: Shape = List(&Leaf);

const ID_MAPPINGS: Shape = List(&Object(&[
    ("containerID", Leaf),
    ("hostID", Leaf),
    ("size", Leaf),
]));

const HOOKS: Shape = List(&Object(&[
    ("path", Leaf),
    ("args", LEAVES),
    ("env", LEAVES),
    ("timeout", Leaf),
]));

const TIME_OFFSET: Shape = Object(&[("secs", Leaf), ("nanosecs", Leaf)]);

const THROTTLE: Shape = List(&Object(&[("major", Leaf), ("minor", Leaf), ("rate", Leaf)]));

/// config.md and config-linux.md.
pub const SPEC: Shape = Object(&[
    ("ociVersion", Leaf),
    ("root", Object(&[("path", Leaf), ("readonly", Leaf)])),
    ("mounts", List(&MOUNT)),
    ("process", PROCESS),
    ("hostname", Leaf),
    ("domainname", Leaf),
    (
        "hooks",
        Object(&[
            ("prestart", HOOKS),
            ("createRuntime", HOOKS),
            ("createContainer", HOOKS),
            ("startContainer", HOOKS),
            ("poststart", HOOKS),
            ("poststop", HOOKS),
        ]),
    ),
    ("annotations", Map(&Leaf)),
    ("linux", LINUX),
    // Other platforms' sections are known, and nothing to us.
    ("solaris", Map(&Leaf)),
    ("windows", Map(&Leaf)),
    ("vm", Map(&Leaf)),
    ("zos", Map(&Leaf)),
    ("freebsd", Map(&Leaf)),
]);

const MOUNT: Shape = Object(&[
    ("destination", Leaf),
    ("type", Leaf),
    ("source", Leaf),
    ("options", LEAVES),
    ("uidMappings", ID_MAPPINGS),
    ("gidMappings", ID_MAPPINGS),
]);

const PROCESS: Shape = Object(&[
    ("terminal", Leaf),
    ("consoleSize", Object(&[("height", Leaf), ("width", Leaf)])),
    ("cwd", Leaf),
    ("env", LEAVES),
    ("args", LEAVES),
    // Windows' form of args.
    ("commandLine", Leaf),
    (
        "rlimits",
        List(&Object(&[("type", Leaf), ("soft", Leaf), ("hard", Leaf)])),
    ),
    ("apparmorProfile", Leaf),
    (
        "capabilities",
        Object(&[
            ("bounding", LEAVES),
            ("effective", LEAVES),
            ("inheritable", LEAVES),
            ("permitted", LEAVES),
            ("ambient", LEAVES),
        ]),
    ),
    ("noNewPrivileges", Leaf),
    ("oomScoreAdj", Leaf),
    (
        "scheduler",
        Object(&[
            ("policy", Leaf),
            ("nice", Leaf),
            ("priority", Leaf),
            ("flags", LEAVES),
            ("runtime", Leaf),
            ("deadline", Leaf),
            ("period", Leaf),
        ]),
    ),
    ("selinuxLabel", Leaf),
    ("ioPriority", Object(&[("class", Leaf), ("priority", Leaf)])),
    (
        "execCPUAffinity",
        Object(&[("initial", Leaf), ("final", Leaf)]),
    ),
    (
        "user",
        Object(&[
            ("uid", Leaf),
            ("gid", Leaf),
            ("umask", Leaf),
            ("additionalGids", LEAVES),
            ("username", Leaf),
        ]),
    ),
]);

const LINUX: Shape = Object(&[
    (
        "namespaces",
        List(&Object(&[("type", Leaf), ("path", Leaf)])),
    ),
    ("uidMappings", ID_MAPPINGS),
    ("gidMappings", ID_MAPPINGS),
    (
        "timeOffsets",
        Object(&[("monotonic", TIME_OFFSET), ("boottime", TIME_OFFSET)]),
    ),
    (
        "devices",
        List(&Object(&[
            ("type", Leaf),
            ("path", Leaf),
            ("major", Leaf),
            ("minor", Leaf),
            ("fileMode", Leaf),
            ("uid", Leaf),
            ("gid", Leaf),
        ])),
    ),
    ("netDevices", Map(&Object(&[("name", Leaf)]))),
    ("cgroupsPath", Leaf),
    ("resources", RESOURCES),
    (
        "intelRdt",
        Object(&[
            ("closID", Leaf),
            ("schemata", LEAVES),
            ("l3CacheSchema", Leaf),
            ("memBwSchema", Leaf),
            ("enableMonitoring", Leaf),
        ]),
    ),
    (
        "memoryPolicy",
        Object(&[("mode", Leaf), ("nodes", Leaf), ("flags", LEAVES)]),
    ),
    ("sysctl", Map(&Leaf)),
    ("seccomp", SECCOMP),
    ("rootfsPropagation", Leaf),
    ("maskedPaths", LEAVES),
    ("readonlyPaths", LEAVES),
    ("mountLabel", Leaf),
    (
        "personality",
        Object(&[("domain", Leaf), ("flags", LEAVES)]),
    ),
]);

/// config-linux.md, Control groups.
const RESOURCES: Shape = Object(&[
    (
        "devices",
        List(&Object(&[
            ("allow", Leaf),
            ("type", Leaf),
            ("major", Leaf),
            ("minor", Leaf),
            ("access", Leaf),
        ])),
    ),
    (
        "memory",
        Object(&[
            ("limit", Leaf),
            ("reservation", Leaf),
            ("swap", Leaf),
            ("kernel", Leaf),
            ("kernelTCP", Leaf),
            ("swappiness", Leaf),
            ("disableOOMKiller", Leaf),
            ("useHierarchy", Leaf),
            ("checkBeforeUpdate", Leaf),
        ]),
    ),
    (
        "cpu",
        Object(&[
            ("shares", Leaf),
            ("quota", Leaf),
            ("burst", Leaf),
            ("period", Leaf),
            ("realtimeRuntime", Leaf),
            ("realtimePeriod", Leaf),
            ("cpus", Leaf),
            ("mems", Leaf),
            ("idle", Leaf),
        ]),
    ),
    ("pids", Object(&[("limit", Leaf)])),
    (
        "blockIO",
        Object(&[
            ("weight", Leaf),
            ("leafWeight", Leaf),
            (
                "weightDevice",
                List(&Object(&[
                    ("major", Leaf),
                    ("minor", Leaf),
                    ("weight", Leaf),
                    ("leafWeight", Leaf),
                ])),
            ),
            ("throttleReadBpsDevice", THROTTLE),
            ("throttleWriteBpsDevice", THROTTLE),
            ("throttleReadIOPSDevice", THROTTLE),
            ("throttleWriteIOPSDevice", THROTTLE),
        ]),
    ),
    (
        "hugepageLimits",
        List(&Object(&[("pageSize", Leaf), ("limit", Leaf)])),
    ),
    (
        "network",
        Object(&[
            ("classID", Leaf),
            (
                "priorities",
                List(&Object(&[("name", Leaf), ("priority", Leaf)])),
            ),
        ]),
    ),
    (
        "rdma",
        Map(&Object(&[("hcaHandles", Leaf), ("hcaObjects", Leaf)])),
    ),
    ("unified", Map(&Leaf)),
]);

/// config-linux.md, Seccomp.
const SECCOMP: Shape = Object(&[
    ("defaultAction", Leaf),
    ("defaultErrnoRet", Leaf),
    ("architectures", LEAVES),
    ("flags", LEAVES),
    ("listenerPath", Leaf),
    ("listenerMetadata", Leaf),
    (
        "syscalls",
        List(&Object(&[
            ("names", LEAVES),
            ("action", Leaf),
            ("errnoRet", Leaf),
            (
                "args",
                List(&Object(&[
                    ("index", Leaf),
                    ("value", Leaf),
                    ("valueTwo", Leaf),
                    ("op", Leaf),
                ])),
            ),
        ])),
    ),
]);
