//! config-linux.md, Control groups.

use serde::{Deserialize, Serialize};

use super::json::{Pairs, is_default, nullable, objects, only_objects};

objects! {
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
}

only_objects! { DeviceRule WeightDevice ThrottleDevice HugepageLimit }

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

/// A device's weight.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WeightDevice {
    /// Device number.
    pub major: i64,
    /// Device number.
    pub minor: i64,
    /// 10 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Cgroup v1 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
}

/// A device's rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ThrottleDevice {
    /// Device number.
    pub major: i64,
    /// Device number.
    pub minor: i64,
    /// A second.
    pub rate: u64,
}

/// config-linux.md, Huge page limits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct HugepageLimit {
    /// `2MB`, `1GB`.
    #[serde(alias = "pagesize")]
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}
