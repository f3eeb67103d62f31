//! Whose namespaces they are: compared by inode with the caller's own and with those of other containers.

use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;

use serde::Serialize;

use super::Unseens;
use super::held::{Held, SMALL};
use crate::config::NamespaceType;
use crate::error::{Act, Result};
use crate::plan::op::namespace_name;
use crate::state::{Container, Id, Root};
use crate::sys::{self, Errno, fs};

/// One namespace of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceFact {
    /// The specification's word: `network`.
    #[serde(rename = "type")]
    pub kind: NamespaceType,
    /// What tells namespaces of a kind apart.
    pub inode: u64,
    /// `host`: the caller is in it too.
    pub is_host: bool,
    /// Ids of other containers of the same root directory that are in it.
    pub containers: Vec<String>,
}

/// The kinds and their links in /proc/PID/ns.
pub const LINKS: [(NamespaceType, &CStr); 8] = [
    (NamespaceType::User, c"ns/user"),
    (NamespaceType::Pid, c"ns/pid"),
    (NamespaceType::Network, c"ns/net"),
    (NamespaceType::Mount, c"ns/mnt"),
    (NamespaceType::Ipc, c"ns/ipc"),
    (NamespaceType::Uts, c"ns/uts"),
    (NamespaceType::Cgroup, c"ns/cgroup"),
    (NamespaceType::Time, c"ns/time"),
];

/// The inode of a process's namespace of each kind; None where it may not be asked, or does not exist.
pub type Inodes = [Option<u64>; 8];

/// Reads the links of a held process.
pub fn inodes(held: &Held) -> Inodes {
    LINKS.map(|(_, link)| {
        held.link(link)
            .ok()
            .and_then(|target| inode_in(target.as_bytes()))
    })
}

/// Those of the caller.
pub fn own_inodes() -> Inodes {
    LINKS.map(|(_, link)| own_inode(link).ok().flatten())
}

fn own_inode(link: &CStr) -> sys::Result<Option<u64>> {
    let path = [b"/proc/self/", link.to_bytes()].concat();
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let mut target = [0; 64];
    let length = fs::readlinkat(fs::AT_FDCWD, &path, &mut target)?;
    Ok(inode_in(&target[..length]))
}

/// `net:[4026531840]`.
fn inode_in(target: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(target).ok()?;
    let (_, number) = text.split_once(":[")?;
    number.strip_suffix(']')?.parse().ok()
}

/// Other containers, by id, and their namespaces.
pub type Others = Vec<(String, Inodes)>;

/// All namespaces of a process, and with which of the others it shares them.
pub fn read(held: &Held, others: &Others, unseen: &mut Unseens) -> Vec<NamespaceFact> {
    let readable = held.link(c"ns/user").map(|_| ());
    unseen.or_default("namespaces", readable);
    let (found, own) = (inodes(held), own_inodes());
    let fact = |(index, (kind, _)): (usize, &(NamespaceType, &CStr))| {
        let inode = found[index]?;
        let shares = |(_, inodes): &&(String, Inodes)| inodes[index] == Some(inode);
        Some(NamespaceFact {
            kind: *kind,
            inode,
            is_host: own[index] == Some(inode),
            containers: others
                .iter()
                .filter(shares)
                .map(|(id, _)| id.clone())
                .collect(),
        })
    };
    LINKS.iter().enumerate().filter_map(fact).collect()
}

/// The live containers of a root directory but one.
pub fn others(id: &Id, root: &Root) -> Result<Others> {
    let mut found = Vec::new();
    for other in root.ids()?.iter().filter(|other| *other != id) {
        // Deleted while we look, or without a readable record: nobody to share anything with.
        let Ok(container) = Container::open(root, other) else {
            continue;
        };
        if let Some(held) = Held::init_of(container.record())? {
            found.push((other.as_str().to_owned(), inodes(&held)));
        }
    }
    Ok(found)
}

impl NamespaceFact {
    /// The specification's word.
    pub fn name(&self) -> &'static str {
        namespace_name(self.kind)
    }
}

/// What a user namespace makes of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<IdRange>,
    /// Group ids.
    pub gids: Vec<IdRange>,
    /// `allow` or `deny`: whether setgroups(2) works in it.
    pub setgroups: String,
}

/// A line of /proc/PID/uid_map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct IdRange {
    /// First id inside.
    pub container: u32,
    /// First id as the caller's user namespace numbers it.
    pub host: u32,
    /// How many.
    pub size: u32,
}

impl IdMaps {
    /// Reads both maps. Of the caller's own namespace they map everything to itself.
    pub fn read(held: &Held) -> Result<Self> {
        let read = |name: &CStr| {
            let text = held.text(name, SMALL).act(|| "cannot read an id map")?;
            Ok(ranges(&text.text))
        };
        Ok(Self {
            uids: read(c"uid_map")?,
            gids: read(c"gid_map")?,
            setgroups: held
                .small(c"setgroups")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        })
    }

    /// The host's number of a user of the container.
    pub fn host_uid(&self, uid: u32) -> Option<u32> {
        outside(&self.uids, uid)
    }

    /// The host's number of a group of the container.
    pub fn host_gid(&self, gid: u32) -> Option<u32> {
        outside(&self.gids, gid)
    }
}

fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges
        .iter()
        .find(|range| id >= range.container && id - range.container < range.size)?;
    range.host.checked_add(id - range.container)
}

fn ranges(text: &str) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut numbers = line
            .split_ascii_whitespace()
            .map(|number| number.parse().ok());
        Some(IdRange {
            container: numbers.next()??,
            host: numbers.next()??,
            size: numbers.next()??,
        })
    };
    text.lines().filter_map(range).collect()
}

/// Whether a process is in the pid namespace of another, or in one below it. None if it cannot be told,
/// because it has ended or may not be asked.
pub fn is_in_pid_namespace(held: &Held, inode: u64) -> Option<bool> {
    /// The kernel's MAX_PID_NS_LEVEL.
    const DEEPEST: usize = 33;
    let path = c"ns/pid";
    if inode_in(held.link(path).ok()?.as_bytes()) == Some(inode) {
        return Some(true);
    }
    let file = fs::openat(held.directory().as_raw_fd(), path, libc::O_RDONLY, 0).ok()?;
    let mut namespace = sys::descriptor::owned(file);
    for _ in 0..DEEPEST {
        if fs::fstat(namespace.as_raw_fd()).ok()?.st_ino == inode {
            return Some(true);
        }
        namespace = match sys::namespace::parent(namespace.as_raw_fd()) {
            Ok(parent) => sys::descriptor::owned(parent),
            // Ours, or one outside of it: it has no parent that we may see.
            Err(Errno(libc::EPERM)) => return Some(false),
            Err(_) => return None,
        };
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_stands_in_brackets() {
        assert_eq!(inode_in(b"net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(inode_in(b"/tmp/x:[7"), None);
        assert!(own_inodes().iter().take(7).all(Option::is_some));
    }

    #[test]
    fn ids_are_found_in_their_range() {
        let maps = IdMaps {
            uids: ranges("         0     100000      65536\n65536 7 1\nbroken\n"),
            ..IdMaps::default()
        };
        assert_eq!(maps.host_uid(1000), Some(101_000));
        assert_eq!(maps.host_uid(65_536), Some(7));
        assert_eq!(maps.host_uid(65_537), None);
    }
}
