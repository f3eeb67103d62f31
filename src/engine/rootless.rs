//! A user namespace for a plain user whose configuration asks for none.
//!
//! Without privileges a container is possible in a user namespace alone. An engine for rootless containers
//! says so in config.json; a person who runs a bundle by hand should not have to. Root of the
//! namespace is the caller, and the ids from 1 on are those that /etc/subuid and /etc/subgid grant
//! (subuid(5)): newuidmap(1) writes them. A caller without any has the one id.

use std::path::Path;

use crate::config::{IdMapping, Namespace, NamespaceType, Spec};
use crate::host::{CAP_SYS_ADMIN, Own};
use crate::state::report::user_name;

/// The ids that a user may map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    users: Vec<Range>,
    groups: Vec<Range>,
}

/// First id and how many.
type Range = (u32, u32);

/// Adds a user namespace where the caller can do nothing without. Whether it did.
pub fn complete(spec: &mut Spec, own: &Own) -> bool {
    let (euid, egid) = (own.euid, own.egid);
    let Some(linux) = &mut spec.linux else {
        return false;
    };
    let has_one = linux
        .namespaces
        .iter()
        .any(|namespace| namespace.kind == NamespaceType::User);
    if euid == 0 || has_one || own.has(CAP_SYS_ADMIN) {
        return false;
    }
    let grants = Grants::of(euid);
    linux.namespaces.push(Namespace {
        kind: NamespaceType::User,
        path: None,
    });
    linux.uid_mappings = beside_root(euid, &grants.users);
    linux.gid_mappings = beside_root(egid, &grants.groups);
    true
}

impl Grants {
    /// Those of a user of this host. A file that is not there grants nothing.
    pub fn of(uid: u32) -> Self {
        let name = user_name(uid);
        let read = |path: &str| {
            let text = std::fs::read_to_string(Path::new(path)).unwrap_or_default();
            granted(&text, &name, uid)
        };
        Self {
            users: read("/etc/subuid"),
            groups: read("/etc/subgid"),
        }
    }

    /// How many users and groups.
    pub fn counts(&self) -> (u64, u64) {
        let sum = |ranges: &[Range]| ranges.iter().map(|(_, count)| u64::from(*count)).sum();
        (sum(&self.users), sum(&self.groups))
    }

    /// Maps without the caller's own ids: 0 is the first that is granted. None without a grant.
    pub fn alone(&self) -> Option<(Vec<IdMapping>, Vec<IdMapping>)> {
        if self.users.is_empty() || self.groups.is_empty() {
            return None;
        }
        Some((from(0, &self.users), from(0, &self.groups)))
    }
}

/// Lines such as `name:100000:65536`; a number stands for a user too.
fn granted(text: &str, name: &str, uid: u32) -> Vec<Range> {
    let uid = uid.to_string();
    let range = |line: &str| {
        let mut parts = line.trim().split(':');
        let owner = parts.next()?;
        if owner != name && owner != uid {
            return None;
        }
        let (first, count) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (count > 0).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

fn beside_root(own: u32, ranges: &[Range]) -> Vec<IdMapping> {
    let root = IdMapping {
        container_id: 0,
        host_id: own,
        size: 1,
    };
    std::iter::once(root).chain(from(1, ranges)).collect()
}

/// The ranges one after the other.
fn from(first: u32, ranges: &[Range]) -> Vec<IdMapping> {
    let mut container_id = first;
    let mut mappings = Vec::with_capacity(ranges.len());
    for (host_id, size) in ranges {
        // Ids end at 2^32 - 2; what is granted beyond cannot be mapped.
        let size = (*size).min(u32::MAX - container_id);
        mappings.push(IdMapping {
            container_id,
            host_id: *host_id,
            size,
        });
        container_id += size;
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_granted_by_name_and_by_number() {
        let text =
            "other:1:2\nplain:100000:65536\n# comment\n1000:300000:10\nplain:x:1\nplain:5:0\n";
        assert_eq!(
            granted(text, "plain", 1000),
            [(100_000, 65_536), (300_000, 10)]
        );
        assert_eq!(granted(text, "nobody", 7), []);
    }

    #[test]
    fn granted_ids_follow_the_own_one_without_a_gap() {
        let maps = beside_root(1000, &[(100_000, 5), (300_000, u32::MAX)]);
        let numbers: Vec<_> = maps
            .iter()
            .map(|map| (map.container_id, map.host_id, map.size))
            .collect();
        assert_eq!(
            numbers,
            [(0, 1000, 1), (1, 100_000, 5), (6, 300_000, u32::MAX - 6)]
        );
    }
}
