//! The runtime as a library: `examples/embed.rs`, which cargo builds beside the tests.

use std::process::{Command, Stdio};

use crate::harness::{Lab, skip, tests};

tests!(a_program_that_links_the_runtime_runs_a_bundle);

fn a_program_that_links_the_runtime_runs_a_bundle(lab: &Lab) {
    lab.need_corten("runc is no library");
    let tests = std::env::current_exe().unwrap();
    let Some(program) = tests
        .ancestors()
        .nth(2)
        .map(|dir| dir.join("examples/embed"))
    else {
        unreachable!("a test program lies in deps/ of a profile's directory");
    };
    if !program.exists() {
        skip("examples/embed is not built (cargo build --example embed)");
    }
    let mut bundle = lab.bundle();
    bundle.args(&["sh", "-c", "echo from inside; exit 5"]);
    let done = Command::new(program)
        .args([
            &lab.path("state").display().to_string(),
            &bundle.write(),
            &lab.id(),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let plan = String::from_utf8_lossy(&done.stderr);
    assert!(plan.contains("pivot into the root filesystem"), "{plan}");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "from inside\n");
    assert_eq!(done.status.code(), Some(5), "{plan}");
}
