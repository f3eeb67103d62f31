//! config.md, Mounts: where, from what, and with which options.

use std::path::Path;

use super::{Findings, depth, namespaces};
use crate::config::{Mount, Spec};
use crate::error::Field;
use crate::rootfs::options::{IdMapping as Source, MountOptions, Reach};
use crate::rootfs::plan::clean;

pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    for (index, mount) in spec.mounts.iter().enumerate() {
        destination(index, mount, findings);
        let options = match MountOptions::parse(&mount.options) {
            Ok(options) => options,
            Err(fault) => {
                let field = Field::path(format!("mounts[{index}].options[{}]", fault.index));
                findings.refuse(field, fault.text);
                continue;
            }
        };
        covers_root(index, mount, &options, findings);
        source(index, mount, &options, findings);
        filesystem(index, mount, &options, findings);
        mappings(index, mount, &options, spec, findings);
    }
}

/// "A relative path is relative to "/"", config.md says, and calls that deprecated.
fn destination(index: usize, mount: &Mount, findings: &mut Findings) {
    let field = || Field::index("mounts", index).leaf("destination");
    let path = mount.destination.as_str();
    if path.is_empty() {
        return findings.refuse(field(), "required, and missing");
    }
    if depth(path).is_none() {
        return findings.refuse(field(), format!("{path} leaves the root filesystem"));
    }
    if !path.starts_with('/') {
        findings.warn(
            field(),
            &format!("{path:?} is read as /{path}: relative paths are deprecated"),
        );
    }
    if let Ok(file) = clean(Path::new(path)).strip_prefix("/proc")
        && file != Path::new("")
        && !IN_PROC.iter().any(|known| file == Path::new(known))
    {
        findings.refuse(
            field(),
            format!("cannot be mounted: {path} is inside /proc"),
        );
    }
}

/// What is mounted on the root filesystem itself would be seen by way of `..` alone: the program's root lies below it.
fn covers_root(index: usize, mount: &Mount, options: &MountOptions<'_>, findings: &mut Findings) {
    let is_mount =
        options.bind.is_some() || mount.kind.as_deref().is_some_and(|kind| kind != "none");
    let path = mount.destination.as_str();
    if is_mount && !options.remount && !path.is_empty() && clean(Path::new(path)) == Path::new("/")
    {
        findings.refuse(
            Field::index("mounts", index).leaf("destination"),
            "is the root filesystem itself, which cannot be covered",
        );
    }
}

/// What may be covered inside /proc: files that only inform. A mount elsewhere in it could hide that
/// a security label was never written (CVE-2019-16884).
const IN_PROC: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

fn source(index: usize, mount: &Mount, options: &MountOptions<'_>, findings: &mut Findings) {
    let missing = mount.source.as_ref().is_none_or(String::is_empty);
    if options.bind.is_some() && missing {
        findings.refuse(
            Field::index("mounts", index).leaf("source"),
            "a bind mount needs a source",
        );
    }
}

fn filesystem(index: usize, mount: &Mount, options: &MountOptions<'_>, findings: &mut Findings) {
    let field = |leaf| Field::index("mounts", index).leaf(leaf);
    let kind = mount.kind.as_deref().unwrap_or("");
    if options.bind.is_none() && !options.remount && options.propagation.is_empty() {
        match kind {
            "" | "none" => findings.refuse(
                field("type"),
                "required, as neither bind nor rbind stands in the options",
            ),
            // The kernel would say "no such device": there is no such filesystem.
            "bind" => findings.refuse(
                field("options"),
                "the type bind needs the option bind or rbind",
            ),
            _ => {}
        }
    }
    if kind.contains('/') {
        findings.refuse(
            field("type"),
            format!("{kind:?} is not the name of a filesystem"),
        );
    }
    if clean(Path::new(&mount.destination)) == Path::new("/proc")
        && options.bind.is_none()
        && !matches!(kind, "proc" | "" | "none" | "bind")
    {
        findings.refuse(field("type"), format!("/proc must be procfs, not {kind}"));
    }
    if options.tmpcopyup && (kind != "tmpfs" || options.bind.is_some()) {
        findings.refuse(field("options"), "tmpcopyup needs the type tmpfs");
    }
    let whole = [&options.superblock[..], &options.ignored].concat();
    if options.bind.is_some() && !whole.is_empty() {
        let words = whole.join(",");
        findings.warn(
            field("options"),
            &format!("{words} has no effect on a bind mount: it belongs to the whole filesystem"),
        );
    }
}

/// config.md: mappings come in pairs, and `idmap` without any takes the container's.
fn mappings(
    index: usize,
    mount: &Mount,
    options: &MountOptions<'_>,
    spec: &Spec,
    findings: &mut Findings,
) {
    let sides = [
        ("uidMappings", &mount.uid_mappings),
        ("gidMappings", &mount.gid_mappings),
    ];
    for (name, maps) in sides {
        let field = |place: usize, leaf: &str| {
            Field::path(format!("mounts[{index}].{name}[{place}]{leaf}"))
        };
        namespaces::ranges(&field, maps, findings);
    }
    let given = !mount.uid_mappings.is_empty();
    if given == mount.gid_mappings.is_empty() {
        let missing = if given { "gidMappings" } else { "uidMappings" };
        findings.refuse(
            Field::index("mounts", index).leaf(missing),
            "both kinds of mappings are needed, or neither",
        );
    }
    let Some((reach, source)) = &options.idmap else {
        return;
    };
    let container = spec.linux.as_ref().is_some_and(|linux| {
        namespaces::find(&linux.namespaces, crate::config::NamespaceType::User).is_some()
    });
    if *source == Source::Inherited && !given && !container {
        let word = if *reach == Reach::Tree {
            "ridmap"
        } else {
            "idmap"
        };
        let text = format!("{word} needs mappings: neither the mount nor the container has any");
        findings.refuse(Field::index("mounts", index).leaf("options"), text);
    }
}
