//! Control groups: who belongs to the container, what it may use, and how all of it is stopped.
//!
//! Linux has one cgroup v2 tree, a filesystem: a cgroup is a directory, a limit is a file in it.
//! Making a container's cgroup is mkdir; limiting it is writing `memory.max`; moving into it is
//! clone3 with CLONE_INTO_CGROUP, so that no process of the container ever runs outside. Three more
//! things hang on the directory: a BPF program that allows or denies device nodes, `cgroup.freeze`
//! for pause, and `cgroup.kill`, which no fork can outrun.
//!
//! Two rules of the kernel shape this room. A controller's files appear in a cgroup only if the
//! parent names the controller in `cgroup.subtree_control`, so controllers are enabled from the top
//! down. And a cgroup that has processes cannot enable (domain) controllers for its children, which
//! is why a relative cgroupsPath stands beside our own cgroup and not below it.
//!
//! The specification's words are those of cgroup v1. [`knobs`] is the one table that translates
//! them: spec field, controller, file, text. Where v2 has no equal the value is refused (by
//! [`crate::config`]); where a v1 hierarchy still holds the controller, [`mod@plan`] says which. Corten
//! never touches a v1 hierarchy, not even to read from it.
//!
//! The specification says that `resources` are applied to `cgroupsPath`, absolute paths being
//! relative to the mount point of the tree. [`layout`] finds that mount point and is the only part
//! that knows of hybrid hosts. [`mod@plan`] decides path, controllers, writes and device program;
//! [`devices`] assembles the program. [`run`], [`freeze`], [`remove`], [`walk`] and [`stats`]
//! act on directories they hold open, never on path strings twice.
//!
//! Either we make the directory ourselves, or [`systemd`] makes it and we write the same files below it.

pub mod devices;
pub mod freeze;
pub mod knobs;
pub mod layout;
pub mod plan;
pub mod remove;
pub mod run;
pub mod stats;
pub mod systemd;
mod texts;
pub mod update;
pub mod walk;

pub use devices::DeviceProgram;
pub use knobs::{Need, UsageLimit, Write};
pub use layout::{CgroupHost, DeviceFilter, Layout};
pub use plan::{CgroupPath, CgroupPlan, Enable, plan};
pub use run::Created;
