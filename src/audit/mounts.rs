//! Mounts that are missing, have lost options, or that nobody asked for.

use super::inside::{Inside, destination, is_cover};
use super::process::may_mount;
use super::{Book, Kind, Subject};
use crate::config::{Mount, Names, NamespaceType};
use crate::error::Field;
use crate::inspect::mounts::{MountFact, is_below_or_at};
use crate::namespaces::plan::Namespaces;
use crate::rootfs::options::{self, MountOptions};

/// What each attribute is called in the mount table. Times of access protect nothing.
const ATTRIBUTES: [(u64, &str); 5] = [
    (options::MOUNT_ATTR_RDONLY, "ro"),
    (options::MOUNT_ATTR_NOSUID, "nosuid"),
    (options::MOUNT_ATTR_NODEV, "nodev"),
    (options::MOUNT_ATTR_NOEXEC, "noexec"),
    (options::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

/// What the runtime puts into a container by itself (config-linux.md, Default Devices), where it binds
/// the host's nodes; the terminal; the socket of readiness.
const OF_THE_RUNTIME: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/console",
    "/dev/ptmx",
    crate::process::notify::DIRECTORY,
];

/// An entry of `mounts`, and where it is.
struct Entry<'a> {
    index: usize,
    mount: &'a Mount,
    options: MountOptions<'a>,
    place: String,
}

impl Entry<'_> {
    fn kind(&self) -> &str {
        self.mount.kind.as_deref().unwrap_or_default()
    }

    /// Whether it shows what is mounted elsewhere, with all that is mounted below it there.
    fn brings_others(&self, subject: &Subject<'_>) -> bool {
        let is_other = |kind| Namespaces::of(subject.linux).is_other(kind);
        self.options.bind.is_some()
            || matches!(self.kind(), "bind" | "volume")
            || self.kind() == "sysfs" && is_other(NamespaceType::User)
    }

    fn field(&self) -> Field {
        Field::index("mounts", self.index)
    }
}

/// Whether the mount table shows all there is: not if it was cut, or if init has a part of its root for a
/// root, and so shows only what is below.
pub(super) fn are_comparable(subject: &Subject<'_>, book: &mut Book) -> bool {
    let mounts = &subject.live.mounts;
    if mounts.is_cut || mounts.list.is_empty() {
        book.cannot("mounts", "there are more than can be read, or none");
        return false;
    }
    match subject.held.mount_of(c"root") {
        Ok(Some(root)) if mounts.has(root) => true,
        Ok(_) => {
            let why = "the process has changed its root, so its mounts cannot be compared";
            book.cannot("mounts", why);
            false
        }
        Err(errno) => {
            book.cannot("mounts", errno.to_string());
            false
        }
    }
}

pub(super) fn compare(subject: &Subject<'_>, inside: &Inside<'_>, book: &mut Book) {
    let entries = entries(subject, inside);
    root(subject, book);
    for (position, entry) in entries.iter().enumerate() {
        let later = &entries[position + 1..];
        let is_replaced = |later: &Entry<'_>| later.place == entry.place && !later.options.remount;
        if !entry.options.remount && !later.iter().any(is_replaced) {
            one(subject, inside, entry, later, book);
        }
    }
    if !may_mount(subject) {
        extra(subject, inside, &entries, book);
    }
}

fn entries<'a>(subject: &Subject<'a>, inside: &Inside<'_>) -> Vec<Entry<'a>> {
    let read = |(index, mount): (usize, &'a Mount)| {
        Some(Entry {
            index,
            mount,
            // `create` has read them before, and they were right.
            options: MountOptions::parse(&mount.options).ok()?,
            place: inside.resolved(&destination(subject, &mount.destination)),
        })
    };
    let mounts = subject.spec.mounts.iter().enumerate();
    mounts.filter_map(read).collect()
}

fn root(subject: &Subject<'_>, book: &mut Book) {
    let asked = subject.spec.root.as_ref().is_some_and(|root| root.readonly);
    let found = subject.live.mounts.at("/");
    if asked && found.is_some_and(|mount| !mount.is_readonly()) {
        let field = Field::new("root.readonly");
        book.note(Kind::Weaker, &field, "a read-only root", "it is writable");
    }
}

fn one(
    subject: &Subject<'_>,
    inside: &Inside<'_>,
    entry: &Entry<'_>,
    later: &[Entry<'_>],
    book: &mut Book,
) {
    let field = entry.field();
    let Some(found) = inside.uncovered(&entry.place) else {
        // Instead of a mount the same link was made.
        if !entry.options.copy_symlink {
            let asked = format!("a mount on {}", entry.mount.destination);
            book.note(Kind::Missing, &field, asked, "nothing is mounted there");
        }
        return;
    };
    if let Some(asked) = kind_asked(entry)
        && asked != found.kind
    {
        let field = field.clone().leaf("type");
        book.note(Kind::Different, &field, asked, &*found.kind);
        return;
    }
    let field = field.leaf("options");
    let place = &entry.mount.destination;
    // A later remount says what counts.
    let mut remounts = later
        .iter()
        .filter(|later| later.options.remount && later.place == entry.place);
    let last = remounts.next_back();
    let options = last.map_or(&entry.options, |last| &last.options);
    lost(
        found,
        options.set | options.recursive_set,
        place,
        &field,
        book,
    );
    for (key, found) in lost_data(entry, found) {
        book.note(Kind::Weaker, &field, format!("{key} on {place}"), found);
    }
    let of_others = |mount: &&MountFact| {
        let is_at = |later: &Entry<'_>| is_below_or_at(&mount.destination, &later.place);
        !later.iter().any(is_at) && !is_cover(mount)
    };
    for below in subject.live.mounts.below(&entry.place).filter(of_others) {
        lost(
            below,
            options.recursive_set,
            &below.destination,
            &field,
            book,
        );
    }
}

fn lost(found: &MountFact, asked: u64, place: &str, field: &Field, book: &mut Book) {
    let is_lost = |(bit, word): &&(u64, &str)| asked & bit != 0 && !found.has(word);
    let words: Vec<&str> = ATTRIBUTES
        .iter()
        .filter(is_lost)
        .map(|(_, word)| *word)
        .collect();
    if !words.is_empty() {
        let asked = format!("{} on {place}", words.join(","));
        book.note(Kind::Weaker, field, asked, found.options.join(","));
    }
}

/// What the mount table calls a filesystem that was asked for; None where it cannot be told.
fn kind_asked(entry: &Entry<'_>) -> Option<&'static str> {
    if entry.options.bind.is_some() {
        return None;
    }
    match entry.kind() {
        "proc" => Some("proc"),
        "sysfs" => Some("sysfs"),
        "tmpfs" => Some("tmpfs"),
        "devpts" => Some("devpts"),
        "mqueue" => Some("mqueue"),
        "overlay" => Some("overlay"),
        "cgroup" | "cgroup2" => Some("cgroup2"),
        _ => None,
    }
}

/// Options of filesystems that limit or hide: the size of a tmpfs, the part of procfs that is seen.
fn lost_data(entry: &Entry<'_>, found: &MountFact) -> Vec<(String, String)> {
    let mut lost = Vec::new();
    for (key, value) in &entry.options.data {
        let value = value.unwrap_or_default();
        let effective = found
            .filesystem_options
            .iter()
            .find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
        let is_less = match (entry.kind(), *key) {
            ("tmpfs", "size") => match (bytes(value), effective.map(bytes)) {
                // Rounded up to pages.
                (Some(asked), Some(Some(found))) => found > asked.saturating_add(0xffff),
                (Some(_), None) => true,
                _ => false,
            },
            ("proc", "subset") => effective != Some(value),
            ("proc", "hidepid") => effective.is_none() && !matches!(value, "0" | "off"),
            _ => false,
        };
        if is_less {
            let effective =
                effective.map_or("without it".to_owned(), |found| format!("{key}={found}"));
            lost.push((format!("{key}={value}"), effective));
        }
    }
    lost
}

/// `64k`; None for a share of memory, and for 0, which is no limit.
fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.chars().last()?.to_ascii_lowercase() {
        'k' => (&text[..text.len() - 1], 10),
        'm' => (&text[..text.len() - 1], 20),
        'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    number.checked_mul(1 << shift)
}

/// What is mounted in the container though nobody asked, and though its own programs may not mount.
fn extra(subject: &Subject<'_>, inside: &Inside<'_>, entries: &[Entry<'_>], book: &mut Book) {
    let at = |paths: &Names| -> Vec<String> {
        let place = |path| inside.resolved(&destination(subject, path));
        paths.iter().map(place).collect()
    };
    let masked = at(&subject.linux.masked_paths);
    let readonly = at(&subject.linux.readonly_paths);
    let of_the_root = below_the_bundle(subject);
    let devices: Vec<&str> = subject
        .linux
        .devices
        .iter()
        .map(|device| device.path.as_str())
        .collect();
    let is_asked = |place: &str| {
        let of_entry = |entry: &Entry<'_>| {
            entry.place == place
                || entry.brings_others(subject) && is_below_or_at(place, &entry.place)
        };
        place == "/"
            || entries.iter().any(of_entry)
            || masked.iter().any(|path| path == place)
            || readonly.iter().any(|path| is_below_or_at(place, path))
            || OF_THE_RUNTIME.contains(&place)
            || devices.contains(&place)
            || of_the_root.iter().any(|path| path == place)
    };
    for mount in &subject.live.mounts.list {
        if !is_asked(&mount.destination) {
            let found = format!("a {} on {}", mount.kind, mount.destination);
            book.note(Kind::Extra, &Field::new("mounts"), "no mount there", found);
        }
    }
}

/// Mounts of the host below the root filesystem, which come along with it.
fn below_the_bundle(subject: &Subject<'_>) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let root = subject.record.rootfs.to_string_lossy();
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|place| is_below_or_at(place, &root))
        .map(|place| format!("/{}", place[root.len()..].trim_start_matches('/')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_letters() {
        assert_eq!(bytes("64k"), Some(65_536));
        assert_eq!(bytes("65536"), Some(65_536));
        assert_eq!(bytes("2G"), Some(2 << 30));
        assert_eq!((bytes("50%"), bytes("0"), bytes("")), (None, None, None));
    }

    #[test]
    fn every_attribute_that_protects_has_a_word() {
        let mut book = Book::default();
        let found = MountFact {
            options: vec!["rw".to_owned(), "nodev".to_owned()],
            ..MountFact::default()
        };
        let asked =
            options::MOUNT_ATTR_RDONLY | options::MOUNT_ATTR_NODEV | options::MOUNT_ATTR_NOATIME;
        lost(&found, asked, "/x", &Field::index("mounts", 1), &mut book);
        assert_eq!(book.findings.len(), 1);
        assert_eq!(book.findings[0].asked, "ro on /x");
        assert_eq!(book.findings[0].pointer, "/mounts/1");
    }
}
