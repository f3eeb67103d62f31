//! The mounts of a process: /proc/PID/mountinfo (proc_pid_mountinfo(5)), taken apart.

use serde::Serialize;

use super::held::Held;
use crate::error::{Act, Result};

/// A mount namespace has at most 100,000 mounts (fs.mount-max); what is beyond this is not read.
const LONGEST: usize = 16 << 20;

/// All mounts that the process can reach from its root, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mounts {
    /// Those that were read.
    pub list: Vec<MountFact>,
    /// Whether there are more than anybody wants to read.
    pub is_cut: bool,
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountFact {
    /// Its number.
    pub id: u64,
    /// The number of the mount that it stands on.
    pub parent: u64,
    /// `major:minor` of its filesystem.
    pub device: String,
    /// Which directory or file of its filesystem it shows.
    pub root: String,
    /// Where, as the process sees it.
    pub destination: String,
    /// Of the mount: `ro`, `nosuid`.
    pub options: Vec<String>,
    /// `shared:7`, `master:3`; empty is private.
    pub propagation: Vec<String>,
    /// The filesystem's.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the filesystem calls its source.
    pub source: String,
    /// Of the whole filesystem: `rw`, `size=65536k`.
    pub filesystem_options: Vec<String>,
}

impl Mounts {
    /// Reads and takes apart.
    pub fn read(held: &Held) -> Result<Self> {
        let text = held
            .text(c"mountinfo", LONGEST)
            .act(|| "cannot read the mounts")?;
        Ok(Self {
            list: text.text.lines().filter_map(parse).collect(),
            is_cut: !text.is_whole,
        })
    }

    /// The mount that is seen at exactly this path: the last one that was put there.
    pub fn at(&self, path: &str) -> Option<&MountFact> {
        self.list
            .iter()
            .rev()
            .find(|mount| mount.destination == path)
    }

    /// The mount that a path is on.
    pub fn covering(&self, path: &str) -> Option<&MountFact> {
        let mut candidates: Vec<&MountFact> = self
            .list
            .iter()
            .filter(|mount| is_below_or_at(path, &mount.destination))
            .collect();
        // The longest, and of several there the last.
        candidates.sort_by_key(|mount| mount.destination.trim_end_matches('/').len());
        candidates.pop()
    }

    /// The mounts below a path.
    pub fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a MountFact> {
        self.list.iter().filter(move |mount| {
            mount.destination != path && is_below_or_at(&mount.destination, path)
        })
    }

    /// Whether a number is that of one of the mounts.
    pub fn has(&self, id: u64) -> bool {
        self.list.iter().any(|mount| mount.id == id)
    }
}

/// Whether a path is a directory or something in it, by their text.
pub fn is_below_or_at(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl MountFact {
    /// Whether it has an option, or its whole filesystem.
    pub fn has(&self, option: &str) -> bool {
        let is_it = |found: &String| found == option;
        self.options.iter().any(is_it) || self.filesystem_options.iter().any(is_it)
    }

    /// Whether nothing can be written there.
    pub fn is_readonly(&self) -> bool {
        self.has("ro")
    }
}

fn parse(line: &str) -> Option<MountFact> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ');
    let mut back = back.split(' ');
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut mount = MountFact {
        id: front.next()?.parse().ok()?,
        parent: front.next()?.parse().ok()?,
        device: front.next()?.to_owned(),
        root: unescape(front.next()?),
        destination: unescape(front.next()?),
        options: list(front.next()?),
        propagation: front.map(str::to_owned).collect(),
        kind: unescape(back.next()?),
        source: unescape(back.next()?),
        filesystem_options: Vec::new(),
    };
    // Options may hold blanks only as escapes.
    mount.filesystem_options = list(&unescape(back.next().unwrap_or_default()));
    Some(mount)
}

/// `\040` is a blank: the kernel writes blanks, tabs, line ends and backslashes so.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes
            .get(at + 1..at + 4)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) if byte == b'\\' => {
                plain.push(escaped);
                at += 4;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn mounts(text: &str) -> Mounts {
        Mounts {
            list: text.lines().filter_map(parse).collect(),
            is_cut: false,
        }
    }

    const TEXT: &str = "\
1 0 8:1 / / rw,relatime - ext4 /dev/vda1 rw
2 1 0:5 / /proc rw,nosuid - proc proc rw
3 2 0:5 /sys /proc/sys ro - proc proc rw
4 1 0:6 / /a\\040b rw shared:7 master:3 - tmpfs with\\134slash rw,size=64k
5 1 0:7 / /a\\040b ro - tmpfs upper rw
";

    #[test]
    fn a_line_is_taken_apart() {
        let mount = &mounts(TEXT).list[3];
        assert_eq!(mount.destination, "/a b");
        assert_eq!(mount.propagation, ["shared:7", "master:3"]);
        assert_eq!(mount.source, "with\\slash");
        assert_eq!(mount.filesystem_options, ["rw", "size=64k"]);
        assert_eq!(parse("1 2 3"), None);
    }

    #[test]
    fn the_uppermost_and_the_innermost_mount_count() {
        let mounts = mounts(TEXT);
        assert_eq!(mounts.at("/a b").map(|mount| mount.id), Some(5));
        let covering = |path| mounts.covering(path).map(|mount| mount.id);
        assert_eq!(covering("/proc/sys/kernel"), Some(3));
        assert_eq!(covering("/proc/system"), Some(2));
        assert_eq!(covering("/a b/c"), Some(5));
        assert_eq!(covering("/"), Some(1));
        let below: Vec<u64> = mounts.below("/proc").map(|mount| mount.id).collect();
        assert_eq!(below, [3]);
        assert_eq!(mounts.below("/").count(), 4);
    }
}
