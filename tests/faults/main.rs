//! Every system call of the runtime fails once, or is where the runtime dies.
//!
//! A fault is one thing that goes wrong at one point: an error number instead of the call, a SIGKILL at
//! its entry, an interruption where it waits. For each there is a ground of its own, a run of the
//! scenario, and questions: did it end, what did it say, what is left, does `delete --force` remove it, is
//! the id free again; and where the command said that all is well, is the container the one that it would
//! have been? See `scenario.rs`. Or a directory of the image becomes a link there: see `swap.rs`.
//!
//! The default is a fixed sample; `--all` is the sweep (`make faults`). Words choose: `create`, `create:kill`, `swap`,
//! or one fault as it is printed, `"create process 1 read #3 EIO"`.

// A test that does not find what it needs fails by panicking.
#![allow(clippy::unwrap_used)]

mod calls;
mod ground;
#[allow(dead_code, unused_macros, unused_imports)] // other suites use other parts of it
#[path = "../harness/mod.rs"]
mod harness;
mod probe;
mod scenario;
mod swap;
mod sweep;
mod tracer;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--traced") => tracer::stub(&words[1..]),
        Some("--enter") => sweep::enter(&words[1], &words[2]),
        Some("--ground") => sweep::stand(&words[1], &words[2]),
        _ => sweep::main(&words),
    }
}
