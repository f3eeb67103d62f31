//! config-linux.md, but for limits and the system call filter.

use serde::{Deserialize, Serialize};

use super::json::{Pairs, is_default, nullable, objects, only_objects};
use super::{Names, Resources, Seccomp};

objects! {
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
        masked_paths: Names,
        /// Made read-only.
        readonly_paths: Names,
        /// SELinux context of the mounts.
        mount_label: Option<String>,
        /// personality(2).
        personality: Option<Personality>,
    }

    /// config-linux.md, Offset for time namespace.
    #[serde(deny_unknown_fields)]
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

only_objects! { IdMapping Device Namespace Personality }

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
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
