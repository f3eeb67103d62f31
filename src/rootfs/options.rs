//! Mount options: the words of mount(8) and of the specification, as what the kernel's mount calls take.
//!
//! One table says what each word does. A word may change attributes of the mount (mount_setattr(2),
//! of this mount or of the tree below it), its propagation, the filesystem itself (fsconfig(2)), or
//! tell the runtime how to mount. What the table does not know belongs to the filesystem and goes to
//! fsconfig. A bind mount has no filesystem of its own: mount(2) ignores `key=value` there, and so does this;
//! another unknown word is a mistake, because it may be a misspelt `ro`.
//!
//! Words apply from left to right; the last one wins. The times of access are one field of three
//! values, not flags: whoever sets one must clear the field, so both masks are kept consistent here.

use libc::c_ulong;

/// mount_setattr(2). glibc's bindings lack the constants; the values are the kernel's ABI.
pub const MOUNT_ATTR_RDONLY: u64 = 0x0000_0001;
/// mount_setattr(2)
pub const MOUNT_ATTR_NOSUID: u64 = 0x0000_0002;
/// mount_setattr(2)
pub const MOUNT_ATTR_NODEV: u64 = 0x0000_0004;
/// mount_setattr(2)
pub const MOUNT_ATTR_NOEXEC: u64 = 0x0000_0008;
/// mount_setattr(2): the field of the three values below.
pub const MOUNT_ATTR_ATIME: u64 = 0x0000_0070;
/// mount_setattr(2)
pub const MOUNT_ATTR_RELATIME: u64 = 0x0000_0000;
/// mount_setattr(2)
pub const MOUNT_ATTR_NOATIME: u64 = 0x0000_0010;
/// mount_setattr(2)
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x0000_0020;
/// mount_setattr(2)
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x0000_0080;
/// mount_setattr(2)
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;

/// How far an option reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This mount alone: `bind`, `ro`, `private`, `idmap`.
    Mount,
    /// This mount and all below it: `rbind`, `rro`, `rprivate`, `ridmap`.
    Tree,
}

/// A change of propagation: one of MS_SHARED, MS_SLAVE, MS_PRIVATE and MS_UNBINDABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// The flag, without MS_REC. mount_setattr(2) takes it as it is.
    pub flag: c_ulong,
    /// What it reaches.
    pub reach: Reach,
}

/// On or off, where leaving alone is the third choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Switched on.
    On,
    /// Switched off.
    Off,
}

/// Where the mappings of an idmapped mount come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMapping {
    /// From the mount's `uidMappings` and `gidMappings`; without them, from the container.
    Inherited,
    /// From the option itself: crun's `idmap=uids=0-1-10#10-11-10;gids=0-100-10`.
    Given {
        /// User ids.
        uids: Vec<IdRange>,
        /// Group ids.
        gids: Vec<IdRange>,
    },
}

/// A range of an idmapped mount, in crun's notation `from-to-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id in the filesystem.
    pub from: u32,
    /// First id it appears as: on the host, or in the container if relative.
    pub to: u32,
    /// How many.
    pub size: u32,
    /// Whose id `to` is.
    pub base: IdBase,
}

/// Whose ids the right side of a range counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdBase {
    /// The host's.
    Host,
    /// The container's: the range was written `@from-to-size`.
    Container,
}

/// What the options of one mount ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions<'a> {
    /// MOUNT_ATTR_* to set on this mount; also what fsmount(2) takes.
    pub set: u64,
    /// MOUNT_ATTR_* to clear on this mount. Clearing comes first, then setting.
    pub clear: u64,
    /// MOUNT_ATTR_* to set on this mount and all below, with AT_RECURSIVE.
    pub recursive_set: u64,
    /// MOUNT_ATTR_* to clear on this mount and all below, with AT_RECURSIVE.
    pub recursive_clear: u64,
    /// In order: `slave` and then `shared` makes a mount both.
    pub propagation: Vec<Propagation>,
    /// Attach what stands at the source already, alone or with all below it.
    pub bind: Option<Reach>,
    /// Change a mount that exists.
    pub remount: bool,
    /// Copy what the tmpfs hides into it.
    pub tmpcopyup: bool,
    /// Where the source is a symbolic link, make the same link instead of mounting.
    pub copy_symlink: bool,
    /// Mount a symbolic link itself, not what it points to.
    pub source_nofollow: bool,
    /// Mount over a symbolic link itself, not over what it points to.
    pub destination_nofollow: bool,
    /// Map the owners of files.
    pub idmap: Option<(Reach, IdMapping)>,
    /// Flags of the whole filesystem, as FSCONFIG_SET_FLAG takes them, in order.
    pub superblock: Vec<&'static str>,
    /// MS_I_VERSION: fsconfig(2) has no word for it, only mount(2) with MS_REMOUNT sets it.
    pub i_version: Option<Switch>,
    /// Options of the filesystem: FSCONFIG_SET_STRING, or FSCONFIG_SET_FLAG without a value.
    pub data: Vec<(&'a str, Option<&'a str>)>,
    /// Options of a filesystem that a bind mount cannot have, as written.
    pub ignored: Vec<&'a str>,
}

/// An option that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the list.
    pub index: usize,
    /// What is wrong with it.
    pub text: String,
}

/// What one word does.
#[derive(Clone, Copy, Debug)]
enum Effect {
    /// Sets a MOUNT_ATTR_* bit.
    Set(u64, Reach),
    /// Clears a MOUNT_ATTR_* bit.
    Clear(u64, Reach),
    /// Chooses a value of the atime field.
    Atime(u64, Reach),
    /// Takes back a value of the atime field: what remains is the kernel's default, relatime.
    NotAtime(u64, Reach),
    Propagate(c_ulong, Reach),
    Bind(Reach),
    Idmap(Reach),
    /// A flag that fsconfig(2) takes by this name.
    Superblock,
    IVersion(Switch),
    Remount,
    Tmpcopyup,
    CopySymlink,
    SourceNofollow,
    DestinationNofollow,
    /// Says what holds anyway. `silent` and `loud`: a filesystem context never prints to the kernel log.
    Nothing,
}

use Effect::{Atime, Bind, Clear, IVersion, Idmap, NotAtime, Nothing, Propagate, Set, Superblock};
use Reach::{Mount, Tree};

/// Every word, in alphabetical order.
const OPTIONS: [(&str, Effect); 65] = [
    ("async", Superblock),
    ("atime", NotAtime(MOUNT_ATTR_NOATIME, Mount)),
    ("bind", Bind(Mount)),
    ("copy-symlink", Effect::CopySymlink),
    ("defaults", Nothing),
    ("dest-nofollow", Effect::DestinationNofollow),
    ("dev", Clear(MOUNT_ATTR_NODEV, Mount)),
    ("diratime", Clear(MOUNT_ATTR_NODIRATIME, Mount)),
    ("dirsync", Superblock),
    ("exec", Clear(MOUNT_ATTR_NOEXEC, Mount)),
    ("idmap", Idmap(Mount)),
    ("iversion", IVersion(Switch::On)),
    ("lazytime", Superblock),
    ("loud", Nothing),
    ("mand", Superblock),
    ("noatime", Atime(MOUNT_ATTR_NOATIME, Mount)),
    ("nodev", Set(MOUNT_ATTR_NODEV, Mount)),
    ("nodiratime", Set(MOUNT_ATTR_NODIRATIME, Mount)),
    ("noexec", Set(MOUNT_ATTR_NOEXEC, Mount)),
    ("noiversion", IVersion(Switch::Off)),
    ("nolazytime", Superblock),
    ("nomand", Superblock),
    ("norelatime", NotAtime(MOUNT_ATTR_RELATIME, Mount)),
    ("nostrictatime", NotAtime(MOUNT_ATTR_STRICTATIME, Mount)),
    ("nosuid", Set(MOUNT_ATTR_NOSUID, Mount)),
    ("nosymfollow", Set(MOUNT_ATTR_NOSYMFOLLOW, Mount)),
    ("private", Propagate(libc::MS_PRIVATE, Mount)),
    ("ratime", NotAtime(MOUNT_ATTR_NOATIME, Tree)),
    ("rbind", Bind(Tree)),
    ("rdev", Clear(MOUNT_ATTR_NODEV, Tree)),
    ("rdiratime", Clear(MOUNT_ATTR_NODIRATIME, Tree)),
    ("relatime", Atime(MOUNT_ATTR_RELATIME, Mount)),
    ("remount", Effect::Remount),
    ("rexec", Clear(MOUNT_ATTR_NOEXEC, Tree)),
    ("ridmap", Idmap(Tree)),
    ("rnoatime", Atime(MOUNT_ATTR_NOATIME, Tree)),
    ("rnodev", Set(MOUNT_ATTR_NODEV, Tree)),
    ("rnodiratime", Set(MOUNT_ATTR_NODIRATIME, Tree)),
    ("rnoexec", Set(MOUNT_ATTR_NOEXEC, Tree)),
    ("rnorelatime", NotAtime(MOUNT_ATTR_RELATIME, Tree)),
    ("rnostrictatime", NotAtime(MOUNT_ATTR_STRICTATIME, Tree)),
    ("rnosuid", Set(MOUNT_ATTR_NOSUID, Tree)),
    ("rnosymfollow", Set(MOUNT_ATTR_NOSYMFOLLOW, Tree)),
    ("ro", Set(MOUNT_ATTR_RDONLY, Mount)),
    ("rprivate", Propagate(libc::MS_PRIVATE, Tree)),
    ("rrelatime", Atime(MOUNT_ATTR_RELATIME, Tree)),
    ("rro", Set(MOUNT_ATTR_RDONLY, Tree)),
    ("rrw", Clear(MOUNT_ATTR_RDONLY, Tree)),
    ("rshared", Propagate(libc::MS_SHARED, Tree)),
    ("rslave", Propagate(libc::MS_SLAVE, Tree)),
    ("rstrictatime", Atime(MOUNT_ATTR_STRICTATIME, Tree)),
    ("rsuid", Clear(MOUNT_ATTR_NOSUID, Tree)),
    ("rsymfollow", Clear(MOUNT_ATTR_NOSYMFOLLOW, Tree)),
    ("runbindable", Propagate(libc::MS_UNBINDABLE, Tree)),
    ("rw", Clear(MOUNT_ATTR_RDONLY, Mount)),
    ("shared", Propagate(libc::MS_SHARED, Mount)),
    ("silent", Nothing),
    ("slave", Propagate(libc::MS_SLAVE, Mount)),
    ("src-nofollow", Effect::SourceNofollow),
    ("strictatime", Atime(MOUNT_ATTR_STRICTATIME, Mount)),
    ("suid", Clear(MOUNT_ATTR_NOSUID, Mount)),
    ("symfollow", Clear(MOUNT_ATTR_NOSYMFOLLOW, Mount)),
    ("sync", Superblock),
    ("tmpcopyup", Effect::Tmpcopyup),
    ("unbindable", Propagate(libc::MS_UNBINDABLE, Mount)),
];

/// The words with a meaning of their own, for `corten features`.
pub fn known_options() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

impl<'a> MountOptions<'a> {
    /// Reads the options of one mount.
    pub fn parse(words: impl IntoIterator<Item = &'a str>) -> Result<Self, Fault> {
        let mut options = Self::default();
        let mut first_bare = None;
        for (index, word) in words.into_iter().enumerate() {
            if let Ok(found) = OPTIONS.binary_search_by_key(&word, |(name, _)| name) {
                let (name, effect) = OPTIONS[found];
                options.apply(name, effect);
            } else if let Some((reach, ranges)) = idmap_with_ranges(word) {
                let mapping = parse_ranges(ranges).map_err(|text| Fault { index, text })?;
                options.idmap = Some((reach, mapping));
            } else if !word.is_empty() {
                if !word.contains('=') {
                    first_bare = first_bare.or(Some((index, word)));
                }
                options.ignored.push(word);
                options.data.extend(split_data(word).map(key_and_value));
            }
        }
        match (options.bind, first_bare) {
            (Some(_), Some((index, word))) => {
                return Err(Fault {
                    index,
                    text: format!(
                        "unknown option {word:?}: a bind mount has no options of a filesystem"
                    ),
                });
            }
            (Some(_), None) => options.data.clear(),
            (None, _) => options.ignored.clear(),
        }
        Ok(options)
    }

    fn apply(&mut self, name: &'static str, effect: Effect) {
        match effect {
            Set(bits, reach) => self.change(bits, bits, reach),
            Clear(bits, reach) => self.change(bits, 0, reach),
            Atime(value, reach) => self.change(MOUNT_ATTR_ATIME, value, reach),
            NotAtime(value, reach) => self.take_back_atime(value, reach),
            Propagate(flag, reach) => self.propagation.push(Propagation { flag, reach }),
            Bind(Tree) => self.bind = Some(Tree),
            Bind(Mount) => self.bind = self.bind.or(Some(Mount)),
            Idmap(reach) => self.idmap = Some((reach, IdMapping::Inherited)),
            Superblock => self.superblock.push(name),
            IVersion(switch) => self.i_version = Some(switch),
            Effect::Remount => self.remount = true,
            Effect::Tmpcopyup => self.tmpcopyup = true,
            Effect::CopySymlink => self.copy_symlink = true,
            Effect::SourceNofollow => self.source_nofollow = true,
            Effect::DestinationNofollow => self.destination_nofollow = true,
            Nothing => {}
        }
    }

    /// Gives the bits of `mask` the value `bits`. The kernel clears first and sets then, so `clear`
    /// may name what `set` names; it must, for the atime field.
    fn change(&mut self, mask: u64, bits: u64, reach: Reach) {
        let (set, clear) = self.masks(reach);
        *set = *set & !mask | bits;
        // What is only set needs no clearing, so that the masks stay what a reader expects.
        *clear = if mask == bits {
            *clear & !mask
        } else {
            *clear | mask
        };
    }

    /// `norelatime` takes back nothing: relatime is what remains in any case (mount(2), MS_RELATIME). What
    /// was not chosen here is not taken back either: a bind mount keeps its source's (mount(2) too).
    fn take_back_atime(&mut self, value: u64, reach: Reach) {
        let (set, clear) = self.masks(reach);
        let chosen = (*clear & MOUNT_ATTR_ATIME != 0).then_some(*set & MOUNT_ATTR_ATIME);
        if value != MOUNT_ATTR_RELATIME && chosen == Some(value) {
            self.change(MOUNT_ATTR_ATIME, MOUNT_ATTR_RELATIME, reach);
        }
    }

    fn masks(&mut self, reach: Reach) -> (&mut u64, &mut u64) {
        match reach {
            Mount => (&mut self.set, &mut self.clear),
            Tree => (&mut self.recursive_set, &mut self.recursive_clear),
        }
    }
}

/// Cuts at commas, as mount(2) would have done with the joined options. Quoted commas belong to an
/// SELinux context (`context="…:c1,c2"`), escaped ones to overlay's paths.
fn split_data(word: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    word.split(move |letter| {
        let cut = letter == ',' && !quoted && !escaped;
        quoted ^= letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        cut
    })
    .filter(|part| !part.is_empty())
}

/// fsconfig(2) takes key and value apart, and the value without the quotes that guarded its commas.
fn key_and_value(part: &str) -> (&str, Option<&str>) {
    let Some((key, value)) = part.split_once('=') else {
        return (part, None);
    };
    let bare = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    (key, Some(bare.unwrap_or(value)))
}

fn idmap_with_ranges(word: &str) -> Option<(Reach, &str)> {
    let mount = word.strip_prefix("idmap=").map(|ranges| (Mount, ranges));
    mount.or_else(|| word.strip_prefix("ridmap=").map(|ranges| (Tree, ranges)))
}

fn parse_ranges(text: &str) -> Result<IdMapping, String> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for side in text.split(';').filter(|side| !side.is_empty()) {
        let (list, ranges) = match side.split_once('=') {
            Some(("uids", ranges)) => (&mut uids, ranges),
            Some(("gids", ranges)) => (&mut gids, ranges),
            _ => return Err(format!("{side:?} is neither uids=… nor gids=…")),
        };
        // An @ before the first range counts for all of them, as in crun.
        let base = if ranges.starts_with('@') {
            IdBase::Container
        } else {
            IdBase::Host
        };
        for range in ranges.split('#') {
            let bare = range.strip_prefix('@').unwrap_or(range);
            list.push(
                parse_range(bare, base)
                    .ok_or_else(|| format!("{range:?} is no range such as 0-1000-10"))?,
            );
        }
    }
    if uids.is_empty() || gids.is_empty() {
        return Err("idmap needs both uids=… and gids=…".to_owned());
    }
    Ok(IdMapping::Given { uids, gids })
}

fn parse_range(text: &str, base: IdBase) -> Option<IdRange> {
    let mut numbers = text.split('-').map(|number| {
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| number.parse::<u32>().ok())?
    });
    let (from, to, size) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (numbers.next().is_none() && size > 0).then_some(IdRange {
        from,
        to,
        size,
        base,
    })
}
