//! Hooks: programs of the engine that run at six points of a container's life (config.md,
//! POSIX-platform hooks).
//!
//! ```text
//! prestart          create   runtime's namespaces    before pivot_root     a failure ends the create
//! createRuntime     create   runtime's namespaces    before pivot_root     a failure ends the create
//! createContainer   create   the container's         before pivot_root     a failure ends the create
//! startContainer    start    the container's         last before exec      a failure ends the start
//! poststart         start    runtime's namespaces    after exec            a failure ends the container
//! poststop          delete   runtime's namespaces    when all is gone      a warning, the rest still runs
//! ```
//!
//! What each gets: the state of the container as JSON on standard input, the environment of its
//! `env` and not a word more (an LD_PRELOAD meant for the container would run here with the
//! privileges of the host, CVE-2025-23266), the bundle as working directory, three descriptors.
//!
//! A createContainer hook is looked up where the runtime lives but runs where the container does:
//! before pivot_root the container's mount namespace is still a copy of the host's, so a child that
//! joins it finds the same path. It does not join the user namespace unless the runtime itself could
//! not join the others without.
//!
//! A hook must not be able to hold the runtime up, by accident least of all:
//! - the state is a sealed memory file, not a pipe, so a hook that does not read it blocks nobody;
//! - what it prints is read while it runs, and the last 4 KiB ([`Tail`]) end up in the error;
//!   (a file may be named for it instead: `run.oci.hooks.stdout`, `run.oci.hooks.stderr`, as crun does);
//! - the end is the end of the process, not of its output, which a daemon may inherit;
//! - at the timeout the whole tree goes: its session, all descendants and the orphans, which become
//!   children of the runtime, stopped first so that none forks away (`tree`). Without a timeout we
//!   wait, but a SIGTERM to the runtime ends the wait.
//!
//! [`plan`] turns the property into C strings, before any clone; [`run`] starts and watches,
//! [`failure`] tells. Init runs startContainer hooks itself, with the parts that do not allocate.

pub mod failure;
pub mod plan;
pub mod run;
pub mod tail;
mod tree;

pub use plan::{Environment, Kind, OutputFiles, PreparedHook, prepare, prepare_all};
pub use run::{
    Ended, Orphans, Place, Where, run_hook, run_hook_in_init, run_hooks, run_poststop, state_file,
};
pub use tail::Tail;

#[cfg(test)]
mod tests;
