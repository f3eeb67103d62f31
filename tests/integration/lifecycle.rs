//! create, start, run, state, list, kill, delete: what each does, prints and refuses.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::call::eventually;
use crate::harness::{Lab, tests};

tests![
    run_returns_the_exit_code_of_the_program,
    a_created_container_runs_nothing_until_start,
    state_follows_the_life_of_a_container,
];

fn run_returns_the_exit_code_of_the_program(lab: &Lab) {
    for code in [0, 1, 42, 255] {
        let mut bundle = lab.bundle();
        bundle.sh(&format!("exit {code}"));
        assert_eq!(lab.run(&bundle).code, code);
    }
}

fn a_created_container_runs_nothing_until_start(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("echo ran > /ran; sleep 1000");
    let ran = bundle.rootfs().join("ran");
    let container = lab.create(&bundle);
    assert!(!ran.exists());
    container.start();
    eventually("the program runs", || ran.exists());
    container.end();
}

fn state_follows_the_life_of_a_container(lab: &Lab) {
    let mut bundle = lab.sleeper();
    bundle.set("/annotations", json!({"colour": "red"}));
    let container = lab.create(&bundle);
    let state = container.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], container.id.as_str());
    assert_eq!(state["bundle"], bundle.dir.to_str().unwrap());
    assert_eq!(state["annotations"]["colour"], "red");
    let pid = state["pid"].as_i64().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    container.start();
    assert_eq!(container.status(), "running");
    assert_eq!(
        container.state()["pid"].as_i64(),
        Some(pid),
        "the pid stays"
    );
    container.kill("KILL");
    container.wait();
    assert_eq!(
        container.state()["pid"],
        0,
        "a stopped container has no process"
    );
    container.delete();
    lab.corten(&["state", &container.id])
        .fails(1, "does not exist");
    assert!(!container.cgroup_dir().exists());
    assert!(fs::read_dir(&lab.root).unwrap().next().is_none());
}
