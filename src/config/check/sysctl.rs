//! config-linux.md, Sysctl: kernel parameters, of which only namespaced ones may be set.
//!
//! The specification lists none. Peers refuse what would change the host, and engines count on that:
//! so each key needs the namespace that it belongs to.

use super::namespaces::find;
use super::{Findings, no_duplicates};
use crate::config::{Linux, NamespaceType, Spec};
use crate::error::Field;

/// Keys by the namespace that isolates them; one that ends in a dot stands for all below it.
const NAMESPACED: [(&str, NamespaceType); 17] = [
    ("net.", NamespaceType::Network),
    ("fs.mqueue.", NamespaceType::Ipc),
    ("kernel.auto_msgmni", NamespaceType::Ipc),
    ("kernel.msg_next_id", NamespaceType::Ipc),
    ("kernel.msgmax", NamespaceType::Ipc),
    ("kernel.msgmnb", NamespaceType::Ipc),
    ("kernel.msgmni", NamespaceType::Ipc),
    ("kernel.sem", NamespaceType::Ipc),
    ("kernel.sem_next_id", NamespaceType::Ipc),
    ("kernel.shm_next_id", NamespaceType::Ipc),
    ("kernel.shm_rmid_forced", NamespaceType::Ipc),
    ("kernel.shmall", NamespaceType::Ipc),
    ("kernel.shmmax", NamespaceType::Ipc),
    ("kernel.shmmni", NamespaceType::Ipc),
    ("kernel.hostname", NamespaceType::Uts),
    ("kernel.domainname", NamespaceType::Uts),
    ("user.", NamespaceType::User),
];

/// The file of a key below /proc/sys: `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are
/// `net/ipv4/ip_forward`. None if the key is no path that stays there.
///
/// As in sysctl.d(5), the separator that comes first separates, the other one is part of a name:
/// `net.ipv4.conf.eth0/100.forwarding` and `net/ipv4/conf/eth0.100/forwarding` are one parameter.
pub fn file(key: &str) -> Option<String> {
    let separator = key.find(['.', '/']).map(|at| key.as_bytes()[at])?;
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if separator == b'.' {
        key.chars().map(swap).collect()
    } else {
        key.to_owned()
    };
    path.split('/')
        .all(|part| !matches!(part, "" | "." | ".."))
        .then_some(path)
}

/// The namespace that a key belongs to; None for those of the host.
pub fn namespace_of(key: &str) -> Option<NamespaceType> {
    isolated_by(&file(key)?.replace('/', "."))
}

fn isolated_by(dotted: &str) -> Option<NamespaceType> {
    let belongs = |(name, _): &&(&str, NamespaceType)| {
        if name.ends_with('.') {
            dotted.starts_with(name)
        } else {
            dotted == *name
        }
    };
    let found = NAMESPACED.iter().find(belongs);
    found.map(|(_, kind)| *kind)
}

pub(super) fn check(spec: &Spec, linux: &Linux, findings: &mut Findings) {
    no_duplicates(&linux.sysctl, "linux.sysctl", findings);
    for (key, _) in linux.sysctl.iter() {
        if let Some(fault) = fault(spec, linux, key) {
            findings.refuse(Field::key("linux.sysctl", key), fault);
        }
    }
}

fn fault(spec: &Spec, linux: &Linux, key: &str) -> Option<String> {
    let Some(path) = file(key) else {
        return Some("is not the name of a kernel parameter".to_owned());
    };
    let dotted = path.replace('/', ".");
    let Some(kind) = isolated_by(&dotted) else {
        return Some("is not in a separate namespace: it would change the host".to_owned());
    };
    if find(&linux.namespaces, kind).is_none() {
        let kind = serde_json::to_string(&kind).unwrap_or_default();
        return Some(format!(
            "needs a namespace of the type {kind}: it would change the host"
        ));
    }
    let conflict = match dotted.as_str() {
        "kernel.hostname" => ("hostname", &spec.hostname),
        "kernel.domainname" => ("domainname", &spec.domainname),
        _ => return None,
    };
    let set = conflict.1.as_ref().is_some_and(|name| !name.is_empty());
    set.then(|| format!("conflicts with the property {}", conflict.0))
}
