//! config-linux.md: device nodes, device rules, and the paths that are hidden or made read-only.

use super::{Findings, steps_up};
use crate::config::words::{self, number};
use crate::config::{Device, DeviceRule, DeviceType, Linux, MemoryPolicy};
use crate::error::Field;

pub(super) fn check(linux: &Linux, findings: &mut Findings) {
    for (index, device) in linux.devices.iter().enumerate() {
        node(index, device, findings);
    }
    for (index, rule) in linux.resources.devices.iter().enumerate() {
        device_rule(index, rule, findings);
    }
    for (name, paths) in [
        ("linux.maskedPaths", &linux.masked_paths),
        ("linux.readonlyPaths", &linux.readonly_paths),
    ] {
        for (index, path) in paths
            .iter()
            .enumerate()
            .filter(|(_, path)| !path.starts_with('/'))
        {
            findings.refuse(
                Field::index(name, index),
                format!("{path:?} is not an absolute path"),
            );
        }
    }
    let propagation = linux.rootfs_propagation.as_deref().unwrap_or("");
    if !propagation.is_empty() && !words::PROPAGATIONS.contains(&propagation) {
        let text = format!("{propagation:?} is none of shared, slave, private and unbindable");
        findings.refuse(Field::new("linux.rootfsPropagation"), text);
    }
    if let Some(policy) = &linux.memory_policy {
        memory_policy(policy, findings);
    }
    personality(linux, findings);
}

/// makedev(3) in the kernel: 12 bits of major, 20 bits of minor. Higher ones would name another device.
const NUMBERS: [(&str, i64); 2] = [("major", 0xfff), ("minor", 0xf_ffff)];

fn node(index: usize, device: &Device, findings: &mut Findings) {
    let field = |leaf| Field::index("linux.devices", index).leaf(leaf);
    let path = &device.path;
    if !path.starts_with('/') || steps_up(path) || path.ends_with('/') {
        findings.refuse(
            field("path"),
            format!("{path:?} is not an absolute path of a node without \"..\""),
        );
    }
    for ((leaf, most), value) in NUMBERS.into_iter().zip([device.major, device.minor]) {
        match value {
            None if device.kind != DeviceType::Fifo => {
                findings.refuse(field(leaf), "required unless the type is p")
            }
            Some(value) if !(0..=most).contains(&value) => {
                findings.refuse(field(leaf), format!("{value} is not between 0 and {most}"));
            }
            _ => {}
        }
    }
    // Some engines send the file type along with the permissions, as stat(2) gives it.
    if let Some(mode) = device.file_mode.filter(|mode| *mode > 0o177_777) {
        findings.refuse(field("fileMode"), format!("{mode} is not a file mode"));
    }
    for (leaf, id) in [("uid", device.uid), ("gid", device.gid)] {
        if id == Some(u32::MAX) {
            findings.refuse(
                field(leaf),
                "4294967295 is no id: the kernel reads it as \"unchanged\"",
            );
        }
    }
}

fn device_rule(index: usize, rule: &DeviceRule, findings: &mut Findings) {
    let field = |leaf| Field::index("linux.resources.devices", index).leaf(leaf);
    let kind = rule.kind.as_deref().unwrap_or("");
    if !matches!(kind, "" | "a" | "b" | "c") {
        findings.refuse(field("type"), format!("{kind:?} is none of a, b and c"));
    }
    let access = rule.access.as_deref().unwrap_or("");
    if !access.bytes().all(|letter| b"rwm".contains(&letter)) {
        findings.refuse(
            field("access"),
            format!("{access:?} is not made of r, w and m"),
        );
    }
    for (leaf, value) in [("major", rule.major), ("minor", rule.minor)] {
        // -1 is any, and so is what is absent.
        if let Some(value) = value.filter(|value| !(-1..=i64::from(u32::MAX)).contains(value)) {
            findings.refuse(
                field(leaf),
                format!("{value} is neither -1 nor a device number"),
            );
        }
    }
}

/// config-linux.md, Memory policy, and what set_mempolicy(2) would answer EINVAL to.
fn memory_policy(policy: &MemoryPolicy, findings: &mut Findings) {
    let field = |leaf| Field::new("linux.memoryPolicy").leaf(leaf);
    let mode = policy.mode.as_str();
    if number(&words::MEMORY_MODES, mode).is_none() {
        findings.refuse(
            field("mode"),
            format!("invalid memory policy mode {mode:?}"),
        );
    }
    for (index, flag) in policy.flags.iter().enumerate() {
        let field = Field::index("linux.memoryPolicy.flags", index);
        if number(&words::MEMORY_FLAGS, flag).is_none() {
            findings.refuse(field, format!("invalid memory policy flag {flag:?}"));
        } else if flag == "MPOL_F_NUMA_BALANCING"
            && !matches!(mode, "MPOL_BIND" | "MPOL_PREFERRED_MANY")
        {
            findings.refuse(field, format!("{flag} does not go with {mode}"));
        }
    }
    let has = |flag: &str| policy.flags.iter().any(|other| other == flag);
    if has("MPOL_F_STATIC_NODES") && has("MPOL_F_RELATIVE_NODES") {
        findings.refuse(field("flags"), "nodes are static or relative, not both");
    }
    let nodes = policy.nodes.as_deref().unwrap_or("");
    if !super::is_number_list(nodes) {
        findings.refuse(
            field("nodes"),
            format!("invalid memory policy node list {nodes:?}: not such as 0-1"),
        );
    }
    match mode {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if !nodes.is_empty() => {
            let count: u64 = nodes.split(',').filter_map(length).sum();
            let text = format!("{mode} mode requires 0 nodes but got {count}");
            findings.refuse(field("nodes"), text);
        }
        "MPOL_BIND" | "MPOL_INTERLEAVE" | "MPOL_PREFERRED_MANY" | "MPOL_WEIGHTED_INTERLEAVE"
            if nodes.is_empty() =>
        {
            findings.refuse(field("nodes"), format!("{mode} needs nodes"));
        }
        _ => {}
    }
}

/// How many nodes `3` or `0-7` are.
fn length(part: &str) -> Option<u64> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let number = |text: &str| text.trim().parse::<u64>().ok();
    number(last)?.checked_sub(number(first)?)?.checked_add(1)
}

fn personality(linux: &Linux, findings: &mut Findings) {
    let Some(personality) = &linux.personality else {
        return;
    };
    if !matches!(personality.domain.as_str(), "LINUX" | "LINUX32") {
        let text = format!("{:?} is neither LINUX nor LINUX32", personality.domain);
        findings.refuse(Field::new("linux.personality.domain"), text);
    }
    if !personality.flags.is_empty() {
        findings.refuse(
            Field::new("linux.personality.flags"),
            "no flag is supported",
        );
    }
}
