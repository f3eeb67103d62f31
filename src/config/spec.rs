//! The configuration of a container as plain data: `config.json` of runtime-spec 1.3.0.
//!
//! One struct a JSON object, one field a property, in the specification's order and words. What an
//! engine may send as `null` (Go's nil slice) reads as absent. Words that the specification closes
//! are enums, so that the parser refuses a wrong one with its line and column; words that it leaves
//! open (capabilities, mount options, system calls) stay strings.
//!
//! These are our own types, not oci-spec's: those close the set of capabilities, where an unknown
//! one must be a warning, and know neither the position of an error nor an unknown property.

use serde::{Deserialize, Deserializer, Serialize};

/// A JSON object with free keys, in the order of the file. [`super::check`] refuses duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<V>(pub Vec<(String, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Pairs<V> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

impl<V: Serialize> Serialize for Pairs<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Go writes a nil slice, map or pointer as `null`: read it as absent.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a type from a JSON object and from nothing else.
///
/// serde's derive also takes a struct from an array, by position: `"root": ["/", true]` would pass.
/// So the derive is `remote = "Self"`, which makes inherent functions, and the traits are ours.
macro_rules! only_objects {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(Visitor)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, serializer)
            }
        }
    )*};
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $ty:ty,)* })*) => {$(
        only_objects!($name);

        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(remote = "Self", rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$attr])*
                #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
                pub $field: $ty,
            )*
        }
    )*};
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

objects! {
    /// config.md: the whole file.
    Spec {
        /// SemVer 2.0.0 of the specification that the file follows.
        oci_version: String,
        /// The root filesystem; required on Linux.
        root: Option<Root>,
        /// In the order in which they are mounted.
        mounts: Vec<Mount>,
        /// May be absent at create; `start` then fails.
        process: Option<Process>,
        /// Of the UTS namespace.
        hostname: Option<String>,
        /// Of the UTS namespace.
        domainname: Option<String>,
        /// Programs run at points of the container's life.
        hooks: Hooks,
        /// Free words for engines, some of which ask things of the runtime.
        annotations: Pairs<String>,
        /// config-linux.md.
        linux: Option<Linux>,
    }

    /// config.md, Root.
    Root {
        /// Absolute, or relative to the bundle.
        path: String,
        /// The root filesystem is read-only inside the container.
        readonly: bool,
    }

    /// config.md, Mounts.
    Mount {
        /// Path inside the container.
        destination: String,
        /// Filesystem type; a dummy for bind mounts. `volume` is ours: a named volume.
        #[serde(rename = "type")]
        kind: Option<String>,
        /// Device, file or directory; relative to the bundle for binds.
        source: Option<String>,
        /// Mount options as of mount(8), plus the specification's own.
        options: Vec<String>,
        /// Of an idmapped mount.
        uid_mappings: Vec<IdMapping>,
        /// Of an idmapped mount.
        gid_mappings: Vec<IdMapping>,
    }

    /// config.md, Process.
    Process {
        /// Attach a pseudo-terminal.
        terminal: bool,
        /// Ignored unless `terminal`.
        console_size: Option<ConsoleSize>,
        /// Working directory, absolute, inside the container.
        cwd: String,
        /// `NAME=value`, as environ(7).
        env: Vec<String>,
        /// The program and its arguments; at least one.
        args: Vec<String>,
        /// setrlimit(2).
        rlimits: Vec<Rlimit>,
        /// Profile to change to at exec.
        apparmor_profile: Option<String>,
        /// The five sets of capabilities(7).
        capabilities: Option<Capabilities>,
        /// prctl(PR_SET_NO_NEW_PRIVS).
        no_new_privileges: bool,
        /// -1000 to 1000; set only if present.
        oom_score_adj: Option<i32>,
        /// sched_setattr(2).
        scheduler: Option<Scheduler>,
        /// Label to change to at exec.
        selinux_label: Option<String>,
        /// ioprio_set(2).
        io_priority: Option<IoPriority>,
        /// CPUs of processes that `exec` adds.
        #[serde(rename = "execCPUAffinity")]
        exec_cpu_affinity: Option<CpuAffinity>,
        /// Ids inside the container.
        user: User,
    }

    /// config.md: rows and columns of the terminal.
    ConsoleSize {
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    }

    /// config.md, Linux process capabilities: names such as `CAP_CHOWN`; unknown ones are a warning.
    Capabilities {
        /// Limits what exec can gain.
        bounding: Option<Vec<String>>,
        /// What the kernel checks.
        effective: Option<Vec<String>>,
        /// Kept across exec of a file with inheritable capabilities.
        inheritable: Option<Vec<String>>,
        /// What may be made effective.
        permitted: Option<Vec<String>>,
        /// Kept across exec of an unprivileged program.
        ambient: Option<Vec<String>>,
    }

    /// config.md, Linux process: execCPUAffinity. CPU lists as of cpuset(7).
    CpuAffinity {
        /// Set before the process moves into the container's cgroup.
        initial: Option<String>,
        /// Set after it.
        #[serde(rename = "final")]
        last: Option<String>,
    }

    /// config.md, POSIX-platform hooks.
    Hooks {
        /// Deprecated; runs right before createRuntime.
        prestart: Vec<Hook>,
        /// Runtime's namespace, before pivot_root.
        create_runtime: Vec<Hook>,
        /// Container's namespace, path from the runtime's, before pivot_root.
        create_container: Vec<Hook>,
        /// Container's namespace, before the user's program.
        start_container: Vec<Hook>,
        /// Runtime's namespace, after the user's program was executed.
        poststart: Vec<Hook>,
        /// Runtime's namespace, after the container is deleted.
        poststop: Vec<Hook>,
    }

    /// config.md: one program.
    Hook {
        /// Absolute.
        path: String,
        /// argv, `args[0]` included; the path alone if absent.
        args: Vec<String>,
        /// environ.
        env: Vec<String>,
        /// Seconds, above 0.
        timeout: Option<i64>,
    }

    /// config-linux.md.
    Linux {
        /// Namespaces to make or to join.
        namespaces: Vec<Namespace>,
        /// Of the user namespace.
        uid_mappings: Vec<IdMapping>,
        /// Of the user namespace.
        gid_mappings: Vec<IdMapping>,
        /// Of the time namespace.
        time_offsets: TimeOffsets,
        /// Nodes besides the default ones.
        devices: Vec<Device>,
        /// Interfaces of the host that move into the container, by their name on the host.
        net_devices: Pairs<NetDevice>,
        /// Absolute: below the cgroup mount point. systemd: slice:prefix:name.
        cgroups_path: Option<String>,
        /// Limits.
        resources: Resources,
        /// Resource director technology (resctrl).
        intel_rdt: Option<IntelRdt>,
        /// set_mempolicy(2).
        memory_policy: Option<MemoryPolicy>,
        /// Namespaced kernel parameters.
        sysctl: Pairs<String>,
        /// System call filter.
        seccomp: Option<Seccomp>,
        /// shared, slave, private or unbindable.
        rootfs_propagation: Option<String>,
        /// Hidden.
        masked_paths: Vec<String>,
        /// Made read-only.
        readonly_paths: Vec<String>,
        /// SELinux context of the mounts.
        mount_label: Option<String>,
        /// personality(2).
        personality: Option<Personality>,
    }

    /// config-linux.md, Offset for time namespace.
    TimeOffsets {
        /// CLOCK_MONOTONIC.
        monotonic: Option<TimeOffset>,
        /// CLOCK_BOOTTIME.
        boottime: Option<TimeOffset>,
    }

    /// An offset of a clock.
    TimeOffset {
        /// Seconds.
        secs: i64,
        /// Nanoseconds.
        nanosecs: u32,
    }

    /// config-linux.md, Network devices.
    NetDevice {
        /// Name inside the container; unchanged if absent. `%d` is a template.
        name: Option<String>,
    }

    /// config-linux.md, Control groups.
    Resources {
        /// Device rules, applied in order.
        devices: Vec<DeviceRule>,
        /// Memory controller.
        memory: Option<Memory>,
        /// CPU and cpuset controllers.
        cpu: Option<Cpu>,
        /// Pids controller.
        pids: Option<Pids>,
        /// IO controller.
        #[serde(rename = "blockIO")]
        block_io: Option<BlockIo>,
        /// HugeTLB controller.
        hugepage_limits: Vec<HugepageLimit>,
        /// Cgroup v1 only.
        network: Option<Network>,
        /// RDMA controller, by device.
        rdma: Pairs<Rdma>,
        /// Cgroup v2 files and what is written to them.
        unified: Pairs<String>,
    }

    /// config-linux.md, Memory. Bytes; -1 is unlimited.
    Memory {
        /// memory.max.
        limit: Option<i64>,
        /// memory.low.
        reservation: Option<i64>,
        /// Memory plus swap.
        swap: Option<i64>,
        /// Cgroup v1 only.
        kernel: Option<i64>,
        /// Cgroup v1 only.
        #[serde(rename = "kernelTCP")]
        kernel_tcp: Option<i64>,
        /// Cgroup v1 only.
        swappiness: Option<u64>,
        /// Cgroup v1 only.
        #[serde(rename = "disableOOMKiller")]
        disable_oom_killer: Option<bool>,
        /// Cgroup v1 only.
        use_hierarchy: Option<bool>,
        /// A limit below the usage is refused by `update`.
        check_before_update: Option<bool>,
    }

    /// config-linux.md, CPU. Microseconds.
    Cpu {
        /// Relative weight, cgroup v1's scale.
        shares: Option<u64>,
        /// Per period; negative is unlimited.
        quota: Option<i64>,
        /// Unused quota that may be saved up.
        burst: Option<u64>,
        /// Length of a period.
        period: Option<u64>,
        /// Cgroup v1 only.
        realtime_runtime: Option<i64>,
        /// Cgroup v1 only.
        realtime_period: Option<u64>,
        /// cpuset list.
        cpus: Option<String>,
        /// cpuset list.
        mems: Option<String>,
        /// 1: SCHED_IDLE for the whole group.
        idle: Option<i64>,
    }

    /// config-linux.md, PIDs.
    Pids {
        /// -1 is unlimited, 0 is a limit of none.
        limit: Option<i64>,
    }

    /// config-linux.md, Block IO.
    BlockIo {
        /// 10 to 1000.
        weight: Option<u16>,
        /// Cgroup v1 only.
        leaf_weight: Option<u16>,
        /// Per device.
        weight_device: Vec<WeightDevice>,
        /// Bytes a second.
        throttle_read_bps_device: Vec<ThrottleDevice>,
        /// Bytes a second.
        throttle_write_bps_device: Vec<ThrottleDevice>,
        /// Operations a second.
        #[serde(rename = "throttleReadIOPSDevice")]
        throttle_read_iops_device: Vec<ThrottleDevice>,
        /// Operations a second.
        #[serde(rename = "throttleWriteIOPSDevice")]
        throttle_write_iops_device: Vec<ThrottleDevice>,
    }

    /// A device's weight.
    WeightDevice {
        /// Device number.
        major: i64,
        /// Device number.
        minor: i64,
        /// 10 to 1000.
        weight: Option<u16>,
        /// Cgroup v1 only.
        leaf_weight: Option<u16>,
    }

    /// A device's rate.
    ThrottleDevice {
        /// Device number.
        major: i64,
        /// Device number.
        minor: i64,
        /// A second.
        rate: u64,
    }

    /// config-linux.md, Huge page limits.
    HugepageLimit {
        /// `2MB`, `1GB`.
        #[serde(alias = "pagesize")]
        page_size: String,
        /// Bytes.
        limit: u64,
    }

    /// config-linux.md, Network: cgroup v1 only.
    Network {
        /// net_cls.
        #[serde(rename = "classID")]
        class_id: Option<u32>,
        /// net_prio.
        priorities: Vec<InterfacePriority>,
    }

    /// net_prio of an interface.
    InterfacePriority {
        /// Interface.
        name: String,
        /// Priority.
        priority: u32,
    }

    /// config-linux.md, RDMA.
    Rdma {
        /// Handles.
        hca_handles: Option<u32>,
        /// Objects.
        hca_objects: Option<u32>,
    }

    /// config-linux.md, IntelRdt.
    IntelRdt {
        /// Class of service: a directory of resctrl.
        #[serde(rename = "closID")]
        clos_id: Option<String>,
        /// Lines of the schemata file.
        schemata: Vec<String>,
        /// `L3:` line, written first.
        l3_cache_schema: Option<String>,
        /// `MB:` line.
        mem_bw_schema: Option<String>,
        /// A monitoring group of its own.
        enable_monitoring: bool,
    }

    /// config-linux.md, Memory policy.
    MemoryPolicy {
        /// MPOL_*.
        mode: String,
        /// Node list.
        nodes: Option<String>,
        /// MPOL_F_*.
        flags: Vec<String>,
    }
}

only_objects! {
    IdMapping User Device DeviceRule Namespace Rlimit Scheduler IoPriority Personality
    Seccomp SeccompRule SeccompArg
}

/// config-linux.md, User namespace mappings. A missing number would read as root's: all are required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct IdMapping {
    /// First id inside the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id on the host.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// config.md, User. The ids are written even where they are 0: readers require them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase", default)]
pub struct User {
    /// In the container's user namespace.
    pub uid: u32,
    /// In the container's user namespace.
    pub gid: u32,
    /// File mode creation mask; unchanged if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
    /// Not used on Linux; parsed so that it is not unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// config-linux.md, Devices: a node to make.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Device {
    /// c, b, u or p.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// Absolute path inside the container.
    pub path: String,
    /// Required unless a fifo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// Required unless a fifo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Permission bits, 0666 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// config-linux.md, Devices: kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DeviceType {
    /// Character.
    #[serde(rename = "c", alias = "u")]
    Char,
    /// Block.
    #[serde(rename = "b")]
    Block,
    /// Fifo.
    #[serde(rename = "p")]
    Fifo,
}

/// config-linux.md, Allowed Device list: one rule.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// a (all), c or b; all if absent.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Any if absent or -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// Any if absent or -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Of `rwm`; all three if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// config-linux.md, Namespaces: one of them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct Namespace {
    /// Which.
    #[serde(rename = "type")]
    pub kind: NamespaceType,
    /// Join this one, absolute; make a new one if absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// config-linux.md, Namespaces: the eight kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceType {
    /// user_namespaces(7)
    User,
    /// pid_namespaces(7)
    Pid,
    /// network_namespaces(7)
    Network,
    /// mount_namespaces(7)
    Mount,
    /// ipc_namespaces(7)
    Ipc,
    /// uts_namespaces(7)
    Uts,
    /// cgroup_namespaces(7)
    Cgroup,
    /// time_namespaces(7)
    Time,
}

/// config.md, Process: a resource limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct Rlimit {
    /// RLIMIT_*.
    #[serde(rename = "type")]
    pub kind: String,
    /// rlim_cur.
    pub soft: u64,
    /// rlim_max.
    pub hard: u64,
}

/// config.md, Scheduler: sched_setattr(2).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Scheduler {
    /// SCHED_*.
    pub policy: String,
    /// -20 to 19.
    #[serde(default)]
    pub nice: i32,
    /// Static priority.
    #[serde(default)]
    pub priority: i32,
    /// SCHED_FLAG_*.
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
    /// Nanoseconds.
    #[serde(default)]
    pub runtime: u64,
    /// Nanoseconds.
    #[serde(default)]
    pub deadline: u64,
    /// Nanoseconds.
    #[serde(default)]
    pub period: u64,
}

/// config.md, I/O Priority: ioprio_set(2).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct IoPriority {
    /// IOPRIO_CLASS_*.
    pub class: String,
    /// 0 to 7.
    #[serde(default)]
    pub priority: i32,
}

/// config-linux.md, Personality.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct Personality {
    /// LINUX or LINUX32.
    pub domain: String,
    /// None is supported.
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// config-linux.md, Seccomp.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Seccomp {
    /// Of system calls that no rule matches.
    pub default_action: SeccompAction,
    /// errno of the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// SCMP_ARCH_*; the native one is always covered.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub architectures: Vec<String>,
    /// SECCOMP_FILTER_FLAG_*. Absent differs from empty: absent means the default flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Socket of the agent that answers SCMP_ACT_NOTIFY.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub listener_path: String,
    /// Passed to the agent.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub listener_metadata: String,
    /// Rules.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub syscalls: Vec<SeccompRule>,
}

/// config-linux.md, Seccomp: the nine actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SeccompAction {
    /// Kill the thread.
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    /// Kill the process.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// Kill the thread.
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// Send SIGSYS.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    /// Fail with an errno.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// Tell the tracer.
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    /// Allow.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// Allow and log.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// Ask the agent.
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// config-linux.md, Seccomp: one rule.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SeccompRule {
    /// System calls.
    pub names: Vec<String>,
    /// What happens.
    pub action: SeccompAction,
    /// errno of ERRNO, message of TRACE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold; several on one index are alternatives.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<SeccompArg>,
}

/// config-linux.md, Seccomp: a condition on an argument.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SeccompArg {
    /// 0 to 5.
    pub index: u32,
    /// Compared with; the mask of MASKED_EQ.
    pub value: u64,
    /// Compared with under the mask.
    #[serde(default)]
    pub value_two: u64,
    /// How.
    pub op: SeccompOperator,
}

/// config-linux.md, Seccomp: the seven operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SeccompOperator {
    /// !=
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    /// <
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    /// <=
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    /// ==
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    /// >=
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    /// >
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    /// (argument & value) == valueTwo
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}
