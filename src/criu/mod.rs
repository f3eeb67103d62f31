//! Checkpoint and restore, which CRIU does (criu(8)): it owns the processes, so there is no plan of init's.
//!
//! `criu swrk` is started as a child and asked over a socket, in the protocol of its rpc.proto; [`rpc`] knows
//! the few messages, [`conversation`] speaks. What to ask is decided in [`plan`]: which mounts are the
//! container's own, which come from outside and have to be brought again at restore, by which name.
//! The container's cgroup is Corten's business on both sides: it is made from config.json as for `run`, and criu
//! is put into it before it restores, so everything that it forks begins there, under its limits. criu makes
//! the cgroups below again, and the cgroup namespace.
//!
//! Restoring needs a root directory that is a mount point, and the mounts that come from outside with their
//! flags, which criu does not set. They are made in a mount namespace that only criu has, so the host's
//! mounts stay as they are. Before criu lets go of the processes, the container's mounts are compared with those
//! at the checkpoint: one that came back writable would be an escape.

pub mod conversation;
pub mod plan;
pub mod rpc;

/// The standard streams as they were at the checkpoint, in the image directory, as runc writes them.
pub const DESCRIPTORS: &str = "descriptors.json";
/// Where the stage is, in the state directory.
pub const STAGE: &str = "restore";
/// The directory in which criu looks for cgroup hierarchies, and the name of v2 there.
pub const YARD: &str = "cgroups";
/// See [`YARD`].
pub const UNIFIED: &str = "unified";
/// Where the mounts from outside are, links followed, in the order of the configuration; in the image directory.
pub const EXTERNALS: &str = "externals.json";
/// The mounts at the checkpoint, in the image directory.
pub const MOUNTS: &str = "mounts.json";
/// Which hidden paths are files and which directories, in the image directory.
pub const HIDDEN: &str = "hidden.json";
