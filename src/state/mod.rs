//! What Corten remembers about a container between two commands, and where.
//!
//! Corten has no daemon: `create` ends, and days later `delete` must know what to undo. All it has
//! is one directory a container, `<root>/<id>/`, on a tmpfs:
//!
//! ```text
//! state.json    the record: written before the first side effect, again when created
//! config.json   a frozen copy of what `create` read; later changes in the bundle mean nothing
//! exec.kept     what the first `exec` found out for the next ones
//! start.sock    the start gate: Init listens, `start` connects; it closes when the program runs
//! ```
//!
//! Three rules carry the rest. **Written ahead**: a `create` may be killed at any instant (callers do
//! that on timeouts), so the record names the cgroup and the undo list before they exist; undoing
//! what was never done is no error. **Status is computed, never stored**: a record cannot know
//! that the program has ended. The process is the one we made if its number, its start time and the
//! boot are those of the record; it has begun its program if nobody listens on the gate any more.
//! **Not readable is not stopped**: an identity that cannot be read is an error, because "stopped"
//! would let `delete` forget a living process.
//!
//! Commands that change a container hold flock(2) on its directory, so that they exclude each
//! other; the kernel drops the lock of a killed command. Commands that only look take no lock.
//!
//! [`root`] says where, [`record`] what, `directory.rs` in which files, [`container`] puts them together, `lock.rs` lets in one
//! at a time, [`identity`] knows
//! processes, [`kept`] what an `exec` leaves to the next, [`members`] finds all of a container, [`gate`] is the outer side of the start gate, [`report`] what `state` prints, [`hooks`] those of later
//! commands,
//! [`mod@destroy`] the way out.

pub mod cgroup;
pub mod container;
pub mod destroy;
mod directory;
pub mod gate;
pub mod hooks;
pub mod identity;
pub mod kept;
mod lock;
pub mod members;
pub mod record;
pub mod report;
pub mod root;
pub mod time;

pub use cgroup::Cgroup;
pub use container::{Container, Status};
pub use destroy::{Thoroughness, destroy};
pub use lock::Lock;
pub use record::{CgroupDriver, CgroupRecord, JoinedNamespace, PidNamespace, Record, Stage, Undo};
pub use root::{Id, Program, Root};
