//! The words that sentences are made of: flags, limits and capabilities by their names.

use std::ffi::{CStr, CString};
use std::fmt;

use super::Propagation;
use crate::config::NamespaceType;
use crate::sys::mount::{Attributes, Reach};
use crate::sys::process::Limit;

/// A C string for people.
pub fn text(string: &CStr) -> std::borrow::Cow<'_, str> {
    string.to_string_lossy()
}

pub(super) struct Parameters<'a>(pub &'a [(CString, Option<CString>)]);

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { " (" } else { "," })?;
            f.write_str(&text(key))?;
            if let Some(value) = value {
                write!(f, "={}", text(value))?;
            }
        }
        if self.0.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

pub(super) struct Namespaces(pub i32);

/// Names of CLONE_NEW* flags.
pub const NAMESPACE_FLAGS: [(i32, &str); 8] = [
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNET, "network"),
    (libc::CLONE_NEWNS, "mount"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
    (libc::CLONE_NEWTIME, "time"),
];

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = NAMESPACE_FLAGS
            .iter()
            .filter(|(flag, _)| self.0 & flag != 0)
            .map(|(_, name)| *name)
            .collect();
        match names.as_slice() {
            [] => f.write_str("no namespaces"),
            [one] => write!(f, "the {one} namespace"),
            [first @ .., last] => write!(f, "the {}, {last} namespaces", first.join(", ")),
        }
    }
}

/// The specification's word for a kind of namespace.
pub fn namespace_name(kind: NamespaceType) -> &'static str {
    match kind {
        NamespaceType::User => "user",
        NamespaceType::Pid => "pid",
        NamespaceType::Network => "network",
        NamespaceType::Mount => "mount",
        NamespaceType::Ipc => "ipc",
        NamespaceType::Uts => "uts",
        NamespaceType::Cgroup => "cgroup",
        NamespaceType::Time => "time",
    }
}

pub(super) struct Attrs(pub u64, pub u64);

/// MOUNT_ATTR_* in words of mount(8).
const ATTRIBUTE_NAMES: [(u64, &str); 8] = [
    (libc::MOUNT_ATTR_RDONLY, "ro"),
    (libc::MOUNT_ATTR_NOSUID, "nosuid"),
    (libc::MOUNT_ATTR_NODEV, "nodev"),
    (libc::MOUNT_ATTR_NOEXEC, "noexec"),
    (libc::MOUNT_ATTR_NOATIME, "noatime"),
    (libc::MOUNT_ATTR_STRICTATIME, "strictatime"),
    (libc::MOUNT_ATTR_NODIRATIME, "nodiratime"),
    (libc::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

impl fmt::Display for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |bits: u64| {
            ATTRIBUTE_NAMES
                .iter()
                .filter(move |(bit, _)| bits & bit != 0)
                .map(|(_, name)| *name)
        };
        // Of the atime modes, which are one field, the one that is set replaces the one cleared.
        let cleared = self.1 & !libc::MOUNT_ATTR__ATIME;
        let words: Vec<String> = names(self.0)
            .map(str::to_owned)
            .chain(names(cleared).map(|name| format!("not {name}")))
            .collect();
        f.write_str(&words.join(","))
    }
}

pub(super) fn set_attributes(
    f: &mut fmt::Formatter<'_>,
    attributes: Attributes,
    reach: Reach,
) -> fmt::Result {
    f.write_str("make it ")?;
    let mut words = Attrs(attributes.set, attributes.clear).to_string();
    for propagation in [
        Propagation::Shared,
        Propagation::Slave,
        Propagation::Private,
        Propagation::Unbindable,
    ] {
        if attributes.propagation == propagation.flag() {
            words = if words.is_empty() {
                propagation.name().to_owned()
            } else {
                format!("{words},{}", propagation.name())
            };
        }
    }
    f.write_str(&words)?;
    if reach == Reach::Tree {
        f.write_str(", all below it too")
    } else {
        Ok(())
    }
}

pub(super) fn limit_sentence(f: &mut fmt::Formatter<'_>, limit: &Limit, name: &str) -> fmt::Result {
    let number = |value: u64| {
        if value == u64::MAX {
            "unlimited".to_owned()
        } else {
            value.to_string()
        }
    };
    write!(
        f,
        "limit {name} to {}:{}",
        number(limit.soft),
        number(limit.hard)
    )
}

pub(super) fn capabilities(bits: u64) -> String {
    let mut held: Vec<caps::Capability> = caps::all()
        .into_iter()
        .filter(|capability| bits & capability.bitmask() != 0)
        .collect();
    held.sort_unstable_by_key(|capability| capability.index());
    if held.is_empty() {
        return "none".to_owned();
    }
    let name =
        |capability: &caps::Capability| capability.to_string().replace("CAP_", "").to_lowercase();
    held.iter().map(name).collect::<Vec<_>>().join(",")
}
