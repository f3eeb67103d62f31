//! What operations are about: filesystems, id maps, overlays, device nodes.

use std::ffi::CString;
use std::fmt;

use super::{Slot, text};
use crate::config::DeviceType;
use crate::sys::credentials::CapabilitySets;

/// Whose mode the root of a new filesystem has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What its options say, or the kernel.
    Own,
    /// That of the directory which it is going to hide, if there is one.
    OfDestination,
}

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MountPoint {
    /// A directory, made if missing. Symbolic links are followed inside the root.
    Directory,
    /// A directory reached without any symbolic link: for procfs and sysfs, which a link in the
    /// image must never redirect (CVE-2019-19921, CVE-2023-27561).
    OrdinaryDirectory,
    /// What the source is: a directory for a directory, a file for anything else.
    LikeSource,
    /// As LikeSource, but a final symbolic link is itself the mount point.
    LikeSourceNoFollow,
    /// A file, for a source that has to be this device: the host may have another file at its path.
    Device {
        /// Character or block.
        kind: DeviceType,
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
    },
}

/// A filesystem to make with fsopen(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Type: `tmpfs`.
    pub kind: CString,
    /// Source, shown in mountinfo.
    pub source: Option<CString>,
    /// Parameters in order: `size=64m`, `ro`.
    pub parameters: Vec<(CString, Option<CString>)>,
    /// MOUNT_ATTR_*.
    pub attributes: u64,
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text(&self.kind))
    }
}

/// One line of an id map: inside, outside, how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// Maps of users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// uid_map.
    pub users: Vec<IdRange>,
    /// gid_map.
    pub groups: Vec<IdRange>,
}

/// In which cgroup init begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birthplace {
    /// The one in its slot (CLONE_INTO_CGROUP).
    Cgroup,
    /// The runtime's, for want of another one.
    Here,
    /// The runtime's, from where systemd moves it.
    Elsewhere,
}

impl Birthplace {
    /// The container's own cgroup where there is one.
    pub fn of<T>(cgroup: Option<&T>) -> Self {
        match cgroup {
            Some(_) => Self::Cgroup,
            None => Self::Here,
        }
    }
}

/// Who writes the id maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapWriter {
    /// The runtime itself.
    Runtime,
    /// newuidmap(1) and newgidmap(1), which may map what /etc/subuid grants.
    Programs,
}

/// What is written into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the first side effect: all that `delete` must know.
    Creating,
    /// Init waits for `start`.
    Created,
}

/// What init must have become; compared by it before the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Real, effective and saved.
    pub uid: u32,
    /// Real, effective and saved.
    pub gid: u32,
    /// The three sets of capget(2).
    pub capabilities: CapabilitySets,
    /// The bounding set.
    pub bounding: u64,
    /// PR_GET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
}

/// Whether a final symbolic link is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It is.
    Links,
    /// The link itself is meant.
    Nothing,
}

/// MS_SHARED and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// MS_SHARED
    Shared,
    /// MS_SLAVE
    Slave,
    /// MS_PRIVATE
    Private,
    /// MS_UNBINDABLE
    Unbindable,
}

impl Propagation {
    /// For mount_setattr(2).
    pub const fn flag(self) -> u64 {
        match self {
            Self::Shared => libc::MS_SHARED,
            Self::Slave => libc::MS_SLAVE,
            Self::Private => libc::MS_PRIVATE,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }

    /// The specification's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Slave => "slave",
            Self::Private => "private",
            Self::Unbindable => "unbindable",
        }
    }
}

/// An overlayfs root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Lower layers, uppermost first.
    pub layers: Vec<Layer>,
    /// Where writes go.
    pub upper: Upper,
}

/// A lower layer of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// On the host.
    pub path: CString,
    /// A detached copy of it with mapped ids, where the container has a user namespace.
    pub mapped: Option<Slot>,
}

/// Where the writes of an overlay go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// A tmpfs that dies with the container.
    Tmpfs,
    /// `upper` and `work` below this directory, kept.
    Directory(CString),
}

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Character, block or fifo.
    pub kind: DeviceType,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}
