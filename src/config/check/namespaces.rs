//! config-linux.md, Namespaces: which there are, and the properties that need one of them.

use super::{Findings, no_duplicates};
use crate::config::{IdMapping, Linux, Namespace, NamespaceType, Spec};
use crate::error::Field;

pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    let namespaces = spec
        .linux
        .as_ref()
        .map_or(&[][..], |linux| &linux.namespaces[..]);
    list(namespaces, findings);
    // Root, mounts and masks act on the mount namespace: without one of its own they would act on
    // the host's. runc falls back to chroot there, and mounts on the host.
    if find(namespaces, NamespaceType::Mount).is_none() {
        let text = "has no mount namespace: root and mounts would act on the host";
        findings.refuse(Field::new("linux.namespaces"), text);
    }
    names(spec, namespaces, findings);
    let Some(linux) = &spec.linux else { return };
    mappings(linux, findings);
    time(linux, findings);
    interfaces(linux, findings);
}

/// The entry of a kind.
pub(super) fn find(namespaces: &[Namespace], kind: NamespaceType) -> Option<&Namespace> {
    namespaces.iter().find(|namespace| namespace.kind == kind)
}

/// The path of a namespace that is joined; an empty one asks for a new namespace.
pub(super) fn joined(namespace: &Namespace) -> Option<&str> {
    namespace.path.as_deref().filter(|path| !path.is_empty())
}

fn list(namespaces: &[Namespace], findings: &mut Findings) {
    for (index, namespace) in namespaces.iter().enumerate() {
        let field = Field::index("linux.namespaces", index);
        if let Some(first) = namespaces[..index]
            .iter()
            .position(|other| other.kind == namespace.kind)
        {
            let text =
                format!("duplicate namespace: linux.namespaces[{first}] has the type already");
            findings.refuse(field.clone().leaf("type"), text);
        }
        if let Some(path) = joined(namespace).filter(|path| !path.starts_with('/')) {
            findings.refuse(
                field.leaf("path"),
                format!("{path:?} is not an absolute path"),
            );
        }
    }
}

/// sethostname(2): __NEW_UTS_LEN.
const LONGEST_NAME: usize = 64;

fn names(spec: &Spec, namespaces: &[Namespace], findings: &mut Findings) {
    for (name, value) in [
        ("hostname", &spec.hostname),
        ("domainname", &spec.domainname),
    ] {
        let Some(value) = value.as_ref().filter(|value| !value.is_empty()) else {
            continue;
        };
        if find(namespaces, NamespaceType::Uts).is_none() {
            findings.refuse(
                Field::new(name),
                "needs a UTS namespace: it would rename the host",
            );
        }
        if value.len() > LONGEST_NAME {
            findings.refuse(
                Field::new(name),
                format!(
                    "{} bytes, of which the kernel takes {LONGEST_NAME}",
                    value.len()
                ),
            );
        }
    }
}

/// config-linux.md, User namespace mappings. With a path the mappings describe the namespace that is
/// joined, as containerd and CRI-O send them; whether they are true is found out when it is joined.
fn mappings(linux: &Linux, findings: &mut Findings) {
    let sides = [
        ("linux.uidMappings", &linux.uid_mappings),
        ("linux.gidMappings", &linux.gid_mappings),
    ];
    let user = find(&linux.namespaces, NamespaceType::User);
    let made = user.is_some_and(|namespace| joined(namespace).is_none());
    for (name, maps) in sides {
        if !maps.is_empty() && user.is_none() {
            findings.refuse(Field::new(name), "needs a user namespace");
        }
        if maps.is_empty() && made {
            findings.refuse(Field::new(name), "a new user namespace needs mappings");
        }
        ranges(&name_of(name), maps, findings);
    }
    if made || user.is_none() {
        return;
    }
    if linux.uid_mappings.is_empty() != linux.gid_mappings.is_empty() {
        let missing = usize::from(linux.gid_mappings.is_empty());
        findings.refuse(
            Field::new(sides[missing].0),
            "both kinds of mappings are needed, or neither",
        );
    }
}

fn name_of(name: &'static str) -> impl Fn(usize, &str) -> Field {
    move |index, leaf| Field::path(format!("{name}[{index}]{leaf}"))
}

/// user_namespaces(7): the kernel takes 340 lines, none of which may be empty, overflow or overlap
/// another on either side.
pub(super) fn ranges(
    field: &impl Fn(usize, &str) -> Field,
    maps: &[IdMapping],
    findings: &mut Findings,
) {
    if maps.len() > 340 {
        return findings.refuse(
            field(340, ""),
            format!("{} mappings, of which the kernel takes 340", maps.len()),
        );
    }
    for (index, map) in maps.iter().enumerate() {
        if map.size == 0 {
            findings.refuse(field(index, ".size"), "maps no id");
        }
        let ends = [(".containerID", map.container_id), (".hostID", map.host_id)];
        for (leaf, first) in ends
            .into_iter()
            .filter(|(_, first)| first.checked_add(map.size).is_none())
        {
            findings.refuse(
                field(index, leaf),
                format!("{} ids from {first} reach beyond the last id", map.size),
            );
        }
        for (earlier, other) in maps[..index].iter().enumerate() {
            for (leaf, first, second) in [
                (".containerID", map.container_id, other.container_id),
                (".hostID", map.host_id, other.host_id),
            ] {
                if overlap((first, map.size), (second, other.size)) {
                    findings.refuse(field(index, leaf), format!("overlaps mapping {earlier}"));
                }
            }
        }
    }
}

fn overlap((first, length): (u32, u32), (other, reach): (u32, u32)) -> bool {
    u64::from(first) < u64::from(other) + u64::from(reach)
        && u64::from(other) < u64::from(first) + u64::from(length)
}

/// config-linux.md, Offset for time namespace: they can only be set in a namespace without processes.
fn time(linux: &Linux, findings: &mut Findings) {
    let offsets = [
        ("monotonic", &linux.time_offsets.monotonic),
        ("boottime", &linux.time_offsets.boottime),
    ];
    if offsets.iter().all(|(_, offset)| offset.is_none()) {
        return;
    }
    match find(&linux.namespaces, NamespaceType::Time) {
        None => findings.refuse(Field::new("linux.timeOffsets"), "needs a time namespace"),
        Some(namespace) if joined(namespace).is_some() => {
            findings.refuse(
                Field::new("linux.timeOffsets"),
                "cannot be set in a time namespace that is joined",
            );
        }
        Some(_) => {}
    }
    for (name, offset) in offsets {
        if let Some(nanoseconds) = offset
            .as_ref()
            .map(|offset| offset.nanosecs)
            .filter(|nanoseconds| *nanoseconds > 999_999_999)
        {
            let field = Field::path(format!("linux.timeOffsets.{name}.nanosecs"));
            findings.refuse(field, format!("{nanoseconds} is above 999999999"));
        }
    }
}

/// config-linux.md, Network devices.
fn interfaces(linux: &Linux, findings: &mut Findings) {
    let devices = &linux.net_devices;
    if !devices.is_empty() && find(&linux.namespaces, NamespaceType::Network).is_none() {
        findings.refuse(Field::new("linux.netDevices"), "needs a network namespace");
    }
    no_duplicates(devices, "linux.netDevices", findings);
    for (index, (name, device)) in devices.iter().enumerate() {
        if !is_interface(name) {
            findings.refuse(
                Field::key("linux.netDevices", name),
                "is not the name of an interface",
            );
        }
        let inside = device
            .name
            .as_deref()
            .filter(|inside| !inside.is_empty())
            .unwrap_or(name);
        // `%d` is the kernel's template for a free number.
        if !is_interface(&inside.replacen("%d", "0", 1)) {
            let text = format!("{inside:?} is not the name of an interface");
            findings.refuse(Field::key("linux.netDevices", name).leaf("name"), text);
        }
        let same = |(other, device): (&str, &crate::config::NetDevice)| {
            device.name.as_deref().unwrap_or(other) == inside
        };
        if !inside.contains("%d") && devices.iter().take(index).any(same) {
            let text = format!("another interface is named {inside} already");
            findings.refuse(Field::key("linux.netDevices", name).leaf("name"), text);
        }
    }
}

/// dev_valid_name() of the kernel: IFNAMSIZ counts the NUL.
fn is_interface(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() < libc::IFNAMSIZ && name != "." && name != "..";
    fits && !name
        .bytes()
        .any(|byte| matches!(byte, b'/' | b':' | b'%') || byte.is_ascii_whitespace())
}
