//! The real binary in real namespaces; see `tests/harness` for the ground rules.
//!
//! Each module holds the claims about one theme. Regressions are named by what broke.

// A test that does not find what it needs fails by panicking.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // other suites use other parts of it
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../schema/mod.rs"]
mod schema;

mod attacks;
mod audit;
mod bad_input;
mod budget;
mod checkpoint;
mod completion;
mod doctor;
mod errors;
mod exec;
mod explain;
mod hooks;
mod hot_mounts;
mod idmap;
mod inspect;
mod isolation;
mod labels;
mod leavings;
mod library;
mod lifecycle;
mod mounts;
mod namespaces;
mod network;
mod output;
mod parity;
mod process;
mod readiness;
mod record;
mod resources;
mod restore;
mod rootless;
mod seccomp;
mod step;
mod syscalls;
mod systemd;
mod top;
mod trace;
mod update;
mod validate;

fn main() -> std::process::ExitCode {
    harness::runner::main(
        "integration",
        &[
            attacks::TESTS,
            audit::TESTS,
            bad_input::TESTS,
            budget::TESTS,
            checkpoint::TESTS,
            completion::TESTS,
            errors::TESTS,
            doctor::TESTS,
            exec::TESTS,
            explain::TESTS,
            hooks::TESTS,
            hot_mounts::TESTS,
            idmap::TESTS,
            inspect::TESTS,
            isolation::TESTS,
            labels::TESTS,
            leavings::TESTS,
            library::TESTS,
            lifecycle::TESTS,
            mounts::TESTS,
            namespaces::TESTS,
            network::TESTS,
            output::TESTS,
            parity::TESTS,
            process::TESTS,
            readiness::TESTS,
            record::TESTS,
            trace::TESTS,
            update::TESTS,
            resources::TESTS,
            restore::TESTS,
            rootless::TESTS,
            seccomp::TESTS,
            step::TESTS,
            syscalls::TESTS,
            systemd::TESTS,
            validate::TESTS,
            top::TESTS,
        ],
    )
}
