//! config-linux.md, Control groups and IntelRdt: limits that cannot be.
//!
//! Only cgroup v2 is used. What cgroup v1 alone could do is refused where it asks for something, and
//! passes where it says what holds anyway.

use super::{Findings, is_number_list, no_duplicates, steps_up};
use crate::config::{BlockIo, Cpu, HugepageLimit, IntelRdt, Linux, Memory, Network, Resources};
use crate::error::Field;

pub(super) fn check(linux: &Linux, findings: &mut Findings) {
    if let Some(path) = linux.cgroups_path.as_ref().filter(|path| steps_up(path)) {
        findings.refuse(
            Field::new("linux.cgroupsPath"),
            format!("{path} steps up with \"..\""),
        );
    }
    limits(&linux.resources, findings);
    if let Some(rdt) = &linux.intel_rdt {
        intel_rdt(rdt, findings);
    }
}

/// The rules for `linux.resources`; device rules apart.
pub(super) fn limits(resources: &Resources, findings: &mut Findings) {
    if let Some(memory) = &resources.memory {
        memory_limits(memory, findings);
        memory_of_v1(memory, findings);
    }
    if let Some(cpu) = &resources.cpu {
        cpu_limits(cpu, findings);
    }
    if let Some(limit) = resources
        .pids
        .as_ref()
        .and_then(|pids| pids.limit)
        .filter(|limit| *limit < -1)
    {
        findings.refuse(
            Field::new("linux.resources.pids.limit"),
            format!("{limit} is below -1 (unlimited)"),
        );
    }
    if let Some(block) = &resources.block_io {
        block_io(block, findings);
    }
    hugepages(&resources.hugepage_limits, findings);
    if let Some(network) = &resources.network {
        network_of_v1(network, findings);
    }
    rdma(resources, findings);
    unified(resources, findings);
}

fn memory_limits(memory: &Memory, findings: &mut Findings) {
    let field = |leaf| Field::new("linux.resources.memory").leaf(leaf);
    for (leaf, value) in [
        ("limit", memory.limit),
        ("reservation", memory.reservation),
        ("swap", memory.swap),
    ] {
        if let Some(value) = value.filter(|value| *value < -1) {
            findings.refuse(field(leaf), format!("{value} is below -1 (unlimited)"));
        }
    }
    // swap counts memory and swap together, cgroup v2 swap alone: the difference must exist.
    match (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0)) {
        (limit @ 1.., swap @ 1..) if swap < limit => {
            findings.refuse(
                field("swap"),
                format!("{swap} is below linux.resources.memory.limit, which it includes"),
            );
        }
        (..=0, 1..) => {
            findings.refuse(
                field("swap"),
                "needs linux.resources.memory.limit, which it includes",
            );
        }
        _ => {}
    }
}

const V1_ONLY: &str = "only cgroup v1 has it";

fn memory_of_v1(memory: &Memory, findings: &mut Findings) {
    let asked = [
        ("kernel", memory.kernel.is_some_and(|limit| limit > 0)),
        (
            "kernelTCP",
            memory.kernel_tcp.is_some_and(|limit| limit > 0),
        ),
        ("swappiness", memory.swappiness.is_some()),
        ("disableOOMKiller", memory.disable_oom_killer == Some(true)),
        // cgroup v2 is always hierarchical: true holds, false cannot.
        ("useHierarchy", memory.use_hierarchy == Some(false)),
    ];
    for (leaf, _) in asked.iter().filter(|(_, asked)| *asked) {
        findings.refuse(Field::new("linux.resources.memory").leaf(leaf), V1_ONLY);
    }
}

/// The kernel's bounds of a period and of a quota, in microseconds (cgroup-v2, cpu.max).
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 1_000_000;

fn cpu_limits(cpu: &Cpu, findings: &mut Findings) {
    let field = |leaf| Field::new("linux.resources.cpu").leaf(leaf);
    if let Some(period) = cpu
        .period
        .filter(|period| *period != 0 && !(SHORTEST..=LONGEST).contains(period))
    {
        findings.refuse(
            field("period"),
            format!("{period} is not between {SHORTEST} and {LONGEST} microseconds"),
        );
    }
    let quota = cpu
        .quota
        .and_then(|quota| u64::try_from(quota).ok())
        .filter(|quota| *quota != 0);
    if let Some(quota) = quota.filter(|quota| *quota < SHORTEST) {
        findings.refuse(
            field("quota"),
            format!("{quota} is below {SHORTEST} microseconds"),
        );
    }
    if let Some((burst, quota)) = cpu.burst.zip(quota).filter(|(burst, quota)| burst > quota) {
        findings.refuse(
            field("burst"),
            format!("{burst} is above the quota {quota}"),
        );
    }
    if let Some(idle) = cpu.idle.filter(|idle| !(0..=1).contains(idle)) {
        findings.refuse(field("idle"), format!("{idle} is neither 0 nor 1"));
    }
    for (leaf, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
        if let Some(list) = list.as_ref().filter(|list| !is_number_list(list)) {
            findings.refuse(field(leaf), format!("{list:?} is not a list such as 0-3,8"));
        }
    }
    if cpu.realtime_runtime.is_some_and(|runtime| runtime != 0) {
        findings.refuse(field("realtimeRuntime"), V1_ONLY);
    }
    if cpu.realtime_period.is_some_and(|period| period != 0) {
        findings.refuse(field("realtimePeriod"), V1_ONLY);
    }
}

fn block_io(block: &BlockIo, findings: &mut Findings) {
    let wrong =
        |weight: Option<u16>| weight.filter(|weight| *weight != 0 && !(10..=1000).contains(weight));
    if let Some(weight) = wrong(block.weight) {
        findings.refuse(
            Field::new("linux.resources.blockIO.weight"),
            format!("{weight} is not between 10 and 1000"),
        );
    }
    if block.leaf_weight.is_some_and(|weight| weight != 0) {
        findings.refuse(Field::new("linux.resources.blockIO.leafWeight"), V1_ONLY);
    }
    for (index, device) in block.weight_device.iter().enumerate() {
        let field = Field::index("linux.resources.blockIO.weightDevice", index);
        if let Some(weight) = wrong(device.weight) {
            findings.refuse(
                field.clone().leaf("weight"),
                format!("{weight} is not between 10 and 1000"),
            );
        }
        if device.leaf_weight.is_some_and(|weight| weight != 0) {
            findings.refuse(field.clone().leaf("leafWeight"), V1_ONLY);
        } else if device.weight.is_none() {
            findings.refuse(field.clone(), "needs a weight");
        }
        numbers(field, device.major, device.minor, findings);
    }
    for (name, devices) in [
        (
            "linux.resources.blockIO.throttleReadBpsDevice",
            &block.throttle_read_bps_device,
        ),
        (
            "linux.resources.blockIO.throttleWriteBpsDevice",
            &block.throttle_write_bps_device,
        ),
        (
            "linux.resources.blockIO.throttleReadIOPSDevice",
            &block.throttle_read_iops_device,
        ),
        (
            "linux.resources.blockIO.throttleWriteIOPSDevice",
            &block.throttle_write_iops_device,
        ),
    ] {
        for (index, device) in devices.iter().enumerate() {
            numbers(
                Field::index(name, index),
                device.major,
                device.minor,
                findings,
            );
        }
    }
}

fn numbers(field: Field, major: i64, minor: i64, findings: &mut Findings) {
    for (leaf, number) in [("major", major), ("minor", minor)] {
        if u32::try_from(number).is_err() {
            findings.refuse(
                field.clone().leaf(leaf),
                format!("{number} is no device number"),
            );
        }
    }
}

fn hugepages(limits: &[HugepageLimit], findings: &mut Findings) {
    for (index, limit) in limits.iter().enumerate() {
        let field = Field::index("linux.resources.hugepageLimits", index).leaf("pageSize");
        let size = limit.page_size.as_str();
        let digits = ["KB", "MB", "GB"]
            .iter()
            .find_map(|unit| size.strip_suffix(unit))
            .unwrap_or("");
        if digits.is_empty()
            || digits.starts_with('0')
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            findings.refuse(field, format!("{size:?} is not a size such as 2MB or 1GB"));
        } else if limits[..index].iter().any(|other| other.page_size == *size) {
            findings.refuse(field, format!("a limit for {size} stands here already"));
        }
    }
}

fn network_of_v1(network: &Network, findings: &mut Findings) {
    if network.class_id.is_some_and(|class| class != 0) {
        findings.refuse(Field::new("linux.resources.network.classID"), V1_ONLY);
    }
    if !network.priorities.is_empty() {
        findings.refuse(Field::new("linux.resources.network.priorities"), V1_ONLY);
    }
}

/// A device needs at least one limit; its name is a word in a file of words.
fn rdma(resources: &Resources, findings: &mut Findings) {
    no_duplicates(&resources.rdma, "linux.resources.rdma", findings);
    for (device, limit) in resources.rdma.iter() {
        if device.is_empty()
            || device
                .bytes()
                .any(|byte| byte.is_ascii_whitespace() || byte == b'/')
        {
            findings.refuse(
                Field::key("linux.resources.rdma", device),
                "is not the name of a device",
            );
        }
        if limit.hca_handles.is_none() && limit.hca_objects.is_none() {
            findings.refuse(
                Field::key("linux.resources.rdma", device),
                "needs hcaHandles or hcaObjects",
            );
        }
    }
}

/// Files of every cgroup that the runtime itself works with: writing `cgroup.procs` would move a
/// process of the host into the container, `cgroup.freeze` would stop the container's birth.
const OURS: [&str; 6] = [
    "cgroup.procs",
    "cgroup.threads",
    "cgroup.subtree_control",
    "cgroup.type",
    "cgroup.freeze",
    "cgroup.kill",
];

/// Keys are file names in the container's cgroup; unknown ones are written all the same.
fn unified(resources: &Resources, findings: &mut Findings) {
    no_duplicates(&resources.unified, "linux.resources.unified", findings);
    for (key, _) in resources.unified.iter() {
        let field = || Field::key("linux.resources.unified", key);
        if key.contains('/') || key.starts_with('.') || !key.contains('.') {
            findings.refuse(field(), "is not the name of a file such as memory.high");
        } else if OURS.contains(&key) {
            findings.refuse(field(), "belongs to the runtime");
        }
    }
}

/// config-linux.md, IntelRdt: closID names a directory, "/" the default class.
fn intel_rdt(rdt: &IntelRdt, findings: &mut Findings) {
    let field = |leaf| Field::new("linux.intelRdt").leaf(leaf);
    if let Some(id) = rdt.clos_id.as_deref() {
        let name = !matches!(id, "" | "." | "..") && !id.contains(['/', '\n']);
        if !name && id != "/" {
            findings.refuse(
                field("closID"),
                format!("{id:?} is not the name of a directory, nor \"/\""),
            );
        }
    }
    if rdt
        .mem_bw_schema
        .as_ref()
        .is_some_and(|schema| !schema.starts_with("MB:") || schema.contains('\n'))
    {
        findings.refuse(field("memBwSchema"), "must begin with MB: and be one line");
    }
    if rdt
        .l3_cache_schema
        .as_ref()
        .is_some_and(|schema| !schema.starts_with("L3:") || schema.contains('\n'))
    {
        findings.warn(
            field("l3CacheSchema"),
            "should begin with L3: and be one line",
        );
    }
    for (index, line) in rdt.schemata.iter().enumerate() {
        if line.contains('\n') {
            let field = Field::index("linux.intelRdt.schemata", index);
            findings.refuse(field, "must be one line");
        }
    }
}
