//! What callers of an OCI runtime depend on, as one table: situation, exit code, words, log, files.
//!
//! `table.rs` is the contract; `scene.rs` plays a row. Corten has to keep all of it. An installed runc
//! (the one in $PATH, or `CONTRACT_PEER`) plays the same rows: where it does otherwise, the row and what it
//! did are printed, so that one sees on which side a difference is, and the comparison counts as skipped.

// A test that does not find what it needs fails by panicking.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // other suites use other parts of it
#[path = "../harness/mod.rs"]
mod harness;

mod scene;
mod table;

use std::path::{Path, PathBuf};

use harness::{Lab, host, skip, tests};
use table::{ROWS, Row};

tests![corten_keeps_the_contract, an_installed_runc_is_compared];

fn corten_keeps_the_contract(lab: &Lab) {
    lab.need_corten("it is the other side of the comparison");
    let faults = faults(lab, &host::binary());
    for (row, fault) in &faults {
        let peer = peer().map(|runc| scene::play(lab, &runc, row));
        println!("{}: corten: {fault}", row.situation);
        match peer {
            Some(Ok(())) => println!("    runc keeps it: the difference is Corten's"),
            Some(Err(other)) => println!("    runc neither: {other}"),
            None => {}
        }
    }
    assert!(faults.is_empty(), "{} of {} rows", faults.len(), ROWS.len());
}

fn an_installed_runc_is_compared(lab: &Lab) {
    let Some(runc) = peer() else {
        skip("no runc is installed here");
    };
    let faults = faults(lab, &runc);
    let rows = faults.iter().map(|(row, fault)| {
        let fault: String = fault.chars().take(160).collect();
        format!("; {}: {}", row.situation, fault.replace('\n', " "))
    });
    let rows: String = rows.collect();
    if !faults.is_empty() {
        skip(&format!("{} does otherwise{rows}", runc.display()));
    }
}

fn faults(lab: &Lab, program: &Path) -> Vec<(&'static Row, String)> {
    let played = ROWS.iter().map(|row| (row, scene::play(lab, program, row)));
    played
        .filter_map(|(row, result)| Some((row, result.err()?)))
        .collect()
}

fn peer() -> Option<PathBuf> {
    let named = std::env::var_os("CONTRACT_PEER").map(PathBuf::from);
    named.or_else(|| host::program("runc"))
}

fn main() -> std::process::ExitCode {
    harness::runner::main("contract", &[TESTS])
}
