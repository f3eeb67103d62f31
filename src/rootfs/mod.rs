//! The root filesystem: from a directory on the host to `/` of the container.
//!
//! What the kernel offers: a mount is an object with a descriptor. fsopen(2) and fsmount(2) make one
//! that is attached nowhere, open_tree(2) takes a detached copy of one that exists, mount_setattr(2) changes its
//! flags while nobody can see it, and move_mount(2) attaches it, in its final state, on what another
//! descriptor names. So nothing is ever mounted by a path that somebody could change in between, and
//! nothing is ever visible half done.
//!
//! What happens, in the order in which init does it, in a mount namespace of its own that is a copy of
//! the host's: the copy stops sending mount events to the host; the root filesystem becomes a mount
//! (a bind of the bundle's directory, or an overlay); the mounts of config.json are attached in their
//! order; /dev gets its nodes; then pivot_root(2) makes it `/`. Only now are paths hidden or made
//! read-only, because only now is every mount in its place, and at last the host's old root, which lay
//! on top of `/` until here, is detached.
//!
//! The rules are config.md (Root, Mounts) and config-linux.md (Default Filesystems, Devices, Default
//! Devices, Masked Paths, Readonly Paths, Rootfs Mount Propagation).
//!
//! - [`options`]: the table of mount options;
//! - [`plan`]: which operations, decided;
//! - [`resolve`]: how a path inside the root becomes a descriptor, and what that keeps out;
//! - [`run`]: the operations; [`nodes`] makes devices, [`copy`] is the one of tmpcopyup, `short` the usual way to mount a new filesystem.

pub mod copy;
pub mod devices;
pub mod hide;
pub mod nodes;
pub mod options;
pub mod overlay;
pub mod plan;
pub mod resolve;
pub mod run;
mod short;
