//! The operations: each one sentence that you would say to a student, and one failure message.
//!
//! An operation holds its arguments as the kernel takes them (C strings, numbers), because init may
//! not allocate. Its `Display` is the sentence: `explain` prints it, and an error is `cannot ` and
//! the sentence. So each begins with a verb and holds no "and". `init` has the operations of one half
//! and their sentences, `runtime` those of the other; what there is to know about each ([`About`]: why it is
//! done, the manual page, the system calls) stands in the table beside them.

pub mod about;
mod arguments;
mod init;
mod runtime;
mod words;

pub use about::{About, Phase};
pub use arguments::{
    Attestation, Birthplace, Filesystem, Follow, IdMaps, IdRange, Layer, MapWriter, Mode,
    MountPoint, Node, Overlay, Propagation, Stage, Upper,
};
pub use init::InitOp;
pub use runtime::RuntimeOp;
pub use words::{NAMESPACE_FLAGS, namespace_name, text};

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The parent, on the host.
    Runtime,
    /// The child, in the container.
    Init,
}

/// A descriptor that is born while the plan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// The container's root directory.
    pub const ROOT: Self = Self(0);
    /// A procfs of the container's pid namespace that nobody else can reach.
    pub const PROC: Self = Self(1);
    /// The container's cgroup directory.
    pub const CGROUP: Self = Self(2);
    /// The socket on which init waits for `start`.
    pub const START: Self = Self(3);
    /// The socket that takes the terminal.
    pub const CONSOLE: Self = Self(4);
    /// The slave side of the terminal.
    pub const TERMINAL: Self = Self(5);
    /// The pidfd of init, in the runtime; of the container's first process, for exec.
    pub const INIT: Self = Self(6);
    /// The mount whose file and directory hide masked paths.
    pub const MASK: Self = Self(7);
    /// The root directory of the host, held across the pivot.
    pub const OLD_ROOT: Self = Self(8);
    /// The program, open.
    pub const PROGRAM: Self = Self(9);
    /// The container's /dev.
    pub const DEV: Self = Self(10);
    /// The file in which hooks of the container read its state.
    pub const HOOK_STATE: Self = Self(11);
    /// The signalfd on which init, waiting for start, hears that it should end.
    pub const REQUESTS: Self = Self(12);
    /// What the kernel says of init, in a procfs that is not the container's.
    pub const STATUS: Self = Self(13);
    /// How many have a fixed meaning.
    pub const FIRST_FREE: usize = 14;

    pub(super) fn new(index: usize) -> Self {
        Self(
            u16::try_from(index)
                .expect("a plan has fewer than 65536 slots: it has at most four a mount"),
        )
    }

    /// Index into the table of descriptors.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A place where one half waits until the other one has come as far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Gate {
    /// Init may act as root of its user namespace.
    IdMapsWritten = 1,
    /// The runtime has done to init's namespaces what only the host may.
    HostReady = 2,
    /// All mounts are in place; host hooks may look at them.
    MountsReady = 3,
    /// The hooks that come before pivot_root have run.
    HooksDone = 4,
    /// Init has done everything that can fail.
    Prepared = 5,
    /// The container is recorded as created: init no longer depends on the runtime.
    Recorded = 6,
    /// The system call filter is about to be loaded; its listener will have the number reported.
    ListenerExpected = 7,
    /// The runtime holds the process that init went on in.
    Adopted = 8,
    /// The runtime has made the network namespace, which comes with the byte.
    NetworkMade = 9,
    /// systemd has moved init into the container's cgroup.
    Moved = 10,
    /// Init has copied a tree that only it sees, which comes with the byte.
    TreeCopied = 11,
    /// The runtime has mapped the ids of that copy.
    TreeMapped = 12,
    /// Init has joined the container's namespaces, and joins no other.
    Joined = 13,
}

impl Gate {
    /// Who lets the other one pass.
    pub fn opener(self) -> Actor {
        match self {
            Self::IdMapsWritten
            | Self::HostReady
            | Self::HooksDone
            | Self::Recorded
            | Self::Adopted
            | Self::Moved
            | Self::NetworkMade
            | Self::TreeMapped => Actor::Runtime,
            Self::MountsReady
            | Self::Prepared
            | Self::ListenerExpected
            | Self::TreeCopied
            | Self::Joined => Actor::Init,
        }
    }

    /// What is true once it is open.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::IdMapsWritten => "the id maps are written",
            Self::HostReady => "the host's part is done",
            Self::MountsReady => "the mounts are in place",
            Self::HooksDone => "the hooks before pivot_root have run",
            Self::Prepared => "everything that can fail is done",
            Self::Recorded => "the container is recorded",
            Self::Adopted => "the runtime holds the process that init went on in",
            Self::ListenerExpected => "the system call filter is about to be loaded",
            Self::Moved => "init is in the container's cgroup",
            Self::NetworkMade => "the network namespace is made",
            Self::TreeCopied => "the tree is copied",
            Self::TreeMapped => "its ids are mapped",
            Self::Joined => "the container's namespaces are joined",
        }
    }
}
