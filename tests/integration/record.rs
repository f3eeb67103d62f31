//! `shell --record`: what a command needed is written down, and is enough for it and for no more.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::call::Done;
use crate::harness::{Bundle, Lab, tests};

tests![
    recorded_system_calls_are_enough_for_the_command_and_no_more,
    recorded_system_calls_are_those_of_every_process,
    recorded_capabilities_are_enough_for_the_command_and_no_more,
    recorded_capabilities_are_not_those_of_the_overlay,
    recording_keeps_the_status_of_the_command,
    recording_of_a_program_that_is_not_there_leaves_no_cgroup,
    recording_without_a_cgroup_of_its_own_is_refused,
    recording_to_a_file_that_cannot_be_is_refused_before_the_command,
];

/// Records a script; the profile, and the call.
fn record(lab: &Lab, bundle: &Bundle, what: &str, script: &str) -> (Value, Done) {
    lab.need_corten("it is a command of its own");
    let output = lab.path("profile");
    let (rootfs, path) = (bundle.rootfs(), output.display().to_string());
    let rootfs = rootfs.to_str().unwrap();
    let words = [
        "shell", "--rootfs", rootfs, "--record", what, "--output", &path, "--", "sh", "-c", script,
    ];
    let done = lab.corten(&words);
    let text = fs::read_to_string(&output)
        .unwrap_or_else(|error| panic!("no profile ({error}): {done:?}"));
    (serde_json::from_str(&text).unwrap(), done)
}

const LISTS: &str = "ls /bin > /dev/null && echo listed";

fn recorded_system_calls_are_enough_for_the_command_and_no_more(lab: &Lab) {
    let mut bundle = lab.bundle();
    let (profile, done) = record(lab, &bundle, "seccomp", LISTS);
    assert_eq!(done.ok().out, "listed\n");
    bundle.set("/linux/seccomp", profile);
    bundle.sh(LISTS);
    assert_eq!(lab.run(&bundle).ok().out, "listed\n");
    bundle.sh("mkdir /tmp/x || echo refused");
    let more = lab.run(&bundle);
    assert!(more.err.contains("Operation not permitted"), "{more:?}");
    assert_eq!(more.out, "refused\n");
}

fn recorded_system_calls_are_those_of_every_process(lab: &Lab) {
    let bundle = lab.bundle();
    let names = |script: &str| {
        let (profile, _) = record(lab, &bundle, "seccomp", script);
        let rules = profile["syscalls"].as_array().unwrap().clone();
        let names = rules
            .iter()
            .flat_map(|rule| rule["names"].as_array().unwrap().clone());
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    let (few, many) = (names("true"), names("(sleep 0.1; mkdir /tmp/x) & wait"));
    assert!(has(&few, "execve") && has(&few, "exit_group"), "{few:?}");
    assert!(!has(&few, "mkdir") && has(&many, "mkdir"), "{many:?}");
    // What init does before the program is not the command's.
    assert!(!has(&few, "capset") && !has(&few, "setsid"), "{few:?}");
}

fn recorded_capabilities_are_enough_for_the_command_and_no_more(lab: &Lab) {
    let mut bundle = lab.bundle();
    let script = "touch /tmp/x && chown 5:5 /tmp/x && echo given";
    let (profile, done) = record(lab, &bundle, "caps", script);
    assert_eq!(done.ok().out, "given\n");
    assert_eq!(profile["bounding"], json!(["CAP_CHOWN"]));
    assert_eq!(profile["effective"], profile["bounding"]);
    bundle.set("/process/capabilities", profile);
    bundle.sh(script);
    assert_eq!(lab.run(&bundle).ok().out, "given\n");
    bundle.sh("mknod /tmp/n c 1 3 || echo refused");
    assert_eq!(lab.run(&bundle).out, "refused\n");
}

fn recorded_capabilities_are_not_those_of_the_overlay(lab: &Lab) {
    let bundle = lab.bundle();
    let (profile, done) = record(
        lab,
        &bundle,
        "caps",
        "chmod 700 /bin && rm -r /etc && echo done",
    );
    assert_eq!(done.ok().out, "done\n");
    assert_eq!(profile["bounding"], json!([]));
    let (_, done) = record(lab, &bundle, "caps", "ulimit -Hc 0; ulimit -Hc 1; true");
    assert!(done.err.contains("CAP_SYS_RESOURCE"), "{done:?}");
}

fn recording_keeps_the_status_of_the_command(lab: &Lab) {
    let (profile, done) = record(lab, &lab.bundle(), "seccomp", "exit 7");
    assert_eq!(done.code, 7);
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
}

fn recording_of_a_program_that_is_not_there_leaves_no_cgroup(lab: &Lab) {
    lab.need_corten("it is a command of its own");
    let output = lab.path("profile").display().to_string();
    let words = [
        "shell",
        "--record",
        "seccomp",
        "--output",
        &output,
        "--",
        "/nowhere/x",
    ];
    let call = lab.call(&words).start();
    let cgroup = format!("/sys/fs/cgroup/corten/shell-{}", call.pid());
    call.done().fails(1, "/nowhere/x");
    assert!(!Path::new(&cgroup).exists(), "{cgroup}");
}

fn recording_without_a_cgroup_of_its_own_is_refused(lab: &Lab) {
    lab.need_corten("it is a command of its own");
    let output = lab.path("profile").display().to_string();
    let words = [
        "--cgroup-manager",
        "disabled",
        "shell",
        "--record",
        "caps",
        "--output",
        &output,
        "--",
        "true",
    ];
    lab.corten(&words)
        .fails(1, "--record: without a cgroup of its own");
    lab.corten(&["shell", "--record", "caps", "--", "true"])
        .fails(1, "--output");
}

fn recording_to_a_file_that_cannot_be_is_refused_before_the_command(lab: &Lab) {
    lab.need_corten("it is a command of its own");
    let words = [
        "shell",
        "--record",
        "caps",
        "--output",
        "/nowhere/x",
        "--",
        "echo",
        "ran",
    ];
    let done = lab
        .corten(&words)
        .fails(1, "--output: cannot write /nowhere/x");
    assert_eq!(done.out, "");
}
