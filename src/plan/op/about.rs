//! What there is to know about an operation besides its sentence: why it is done, where to read on, and the
//! system calls that it makes.
//!
//! It is data, one row for each operation, in the table beside the sentences (`init/about.rs`,
//! `runtime/about.rs`); the compiler sees to it that none is without, and `tests/laws.rs` that no row is empty.
//! That the system calls are true is a test with a tracer, `tests/integration/syscalls.rs`.

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// The chapter it belongs to.
    pub phase: Phase,
    /// Why it is done: one sentence.
    pub why: &'static str,
    /// Where to read on: `mount_setattr(2)`.
    pub manual: &'static str,
    /// The system calls it may make, the one that matters first. [`UNNAMED`] ones are left out, and of
    /// [`SPELLINGS`] one is told.
    pub calls: &'static [&'static str],
}

/// Calls that any operation may make and that say nothing about it: memory, the end of a descriptor.
pub const UNNAMED: &[&str] = &[
    "brk",
    "close",
    "close_range",
    "madvise",
    "mmap",
    "mremap",
    "munmap",
];

/// Calls that are one and the same in several spellings, of which each C library has its own: the first one
/// stands for all.
pub const SPELLINGS: &[&[&str]] = &[
    &["clone3", "clone", "fork", "vfork"],
    &["dup3", "dup", "dup2"],
    &["faccessat2", "access", "faccessat"],
    &["fchmod", "chmod", "fchmodat", "fchmodat2"],
    &["fchownat", "chown", "fchown", "lchown"],
    &["fstat", "lstat", "newfstatat", "stat", "statx"],
    &["mkdirat", "mkdir"],
    &["openat", "open"],
    &["ppoll", "poll"],
    &["readlinkat", "readlink"],
    &["recvmsg", "recvfrom"],
    &["rename", "renameat", "renameat2"],
    &["sendmsg", "sendto"],
    &["waitid", "wait4"],
];

/// The chapters of a plan, in their order: none is gone back to within a list, which is what makes them
/// headings. See [`Phase::after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Of no chapter: it belongs to the one it stands in.
    Anywhere,
    /// What must be there before anything is made: the record, above all.
    Record,
    /// The sockets over which others are heard.
    Channels,
    /// The cgroup and its kin.
    Cgroup,
    /// What init does first.
    Birth,
    /// What the container sees of the system besides files.
    Namespaces,
    /// Filesystems.
    Mounts,
    /// Nodes and links in /dev.
    Devices,
    /// The change of root, and what is hidden afterwards.
    Root,
    /// The clone.
    Clone,
    /// What it may use.
    Limits,
    /// Programs of the caller's.
    Hooks,
    /// Who the program is going to be, and what it may do.
    Identity,
    /// From the last look to execve(2).
    Program,
    /// What the caller is told.
    Handover,
}

impl Phase {
    /// The phase that a step stands in which comes after one of `before`.
    pub fn after(self, before: Self) -> Self {
        self.max(before)
    }

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "",
            Self::Record => "ground",
            Self::Channels => "channels",
            Self::Cgroup => "cgroup",
            Self::Birth => "birth",
            Self::Namespaces => "namespaces",
            Self::Mounts => "mounts",
            Self::Devices => "devices",
            Self::Root => "root filesystem",
            Self::Clone => "clone",
            Self::Limits => "limits",
            Self::Hooks => "hooks",
            Self::Identity => "identity and privileges",
            Self::Program => "program",
            Self::Handover => "hand over",
        }
    }
}

/// Rows: patterns, phase, manual page, system calls, reason.
macro_rules! table {
    ($op:expr; $($pattern:pat => $phase:ident, $manual:literal, [$($call:ident)*], $why:literal;)*) => {
        match $op {
            $($pattern => &$crate::plan::op::About {
                phase: $crate::plan::op::Phase::$phase,
                manual: $manual,
                calls: &[$(stringify!($call)),*],
                why: $why,
            },)*
        }
    };
}
pub(super) use table;
