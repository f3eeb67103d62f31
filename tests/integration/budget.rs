//! What a container may cost: a run of a Docker-like bundle, and an exec in one, make no more system calls than is written here.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Bundle, Lab, tests};

tests!(
    a_run_makes_no_more_system_calls_than_its_budget,
    an_exec_makes_no_more_system_calls_than_its_budget,
);

/// Those of the runtime, of init and of the program; a debug build makes thirty more than the release. Who needs more says in docs/performance.md what for.
const RUN: usize = 410;
/// Of the second one in a container, which reads what the first one has kept.
const EXEC: usize = 240;

fn a_run_makes_no_more_system_calls_than_its_budget(lab: &Lab) {
    need(lab);
    let mut bundle = docker_like(lab);
    let (path, id) = (bundle.args(&["true"]).write(), lab.id());
    check(lab, &["run", "--bundle", &path, &id], RUN);
}

fn an_exec_makes_no_more_system_calls_than_its_budget(lab: &Lab) {
    need(lab);
    let mut bundle = docker_like(lab);
    let container = lab.start(bundle.args(&["sleep", "1000"]));
    let call = ["exec", &container.id, "true"];
    lab.call(&call).done().ok();
    check(lab, &call, EXEC);
    container.end();
}

fn need(lab: &Lab) {
    lab.need_corten("a peer has a budget of its own");
    lab.need_program("strace");
}

fn docker_like(lab: &Lab) -> Bundle {
    let mut bundle = lab.bundle();
    let profile: Value =
        serde_json::from_str(include_str!("../../src/seccomp/docker.json")).unwrap();
    bundle
        .set("/linux/seccomp", profile)
        .set(
            "/linux/sysctl",
            json!({"net.ipv4.ip_unprivileged_port_start": "0"}),
        )
        .mount(
            "tmpfs",
            "shm",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777"],
        )
        .mount(
            "mqueue",
            "mqueue",
            "/dev/mqueue",
            &["nosuid", "noexec", "nodev"],
        );
    for name in ["resolv.conf", "hostname", "hosts"] {
        let file = lab.file(name, "");
        bundle.bind(&file, &format!("/etc/{name}"), &["rbind", "rprivate"]);
    }
    bundle
}

fn check(lab: &Lab, words: &[&str], budget: usize) {
    let counts = lab.path("counts");
    let script = format!("strace -f -c -o {} \"$@\"", counts.display());
    lab.call(words).within(lab, &script).done().ok();
    let counts = fs::read_to_string(counts).unwrap();
    let total = counts.lines().last().unwrap();
    let calls: usize = total
        .split_ascii_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        calls <= budget,
        "{calls} calls, of which {budget} are allowed:\n{counts}"
    );
}
