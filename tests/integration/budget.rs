//! What a container may cost: a run of a Docker-like bundle makes no more system calls than is written here.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Lab, tests};

tests!(a_run_makes_no_more_system_calls_than_its_budget);

/// Those of the runtime, of init and of the program; a debug build makes thirty more than the release. Who needs more says in docs/performance.md what for.
const BUDGET: usize = 410;

fn a_run_makes_no_more_system_calls_than_its_budget(lab: &Lab) {
    lab.need_corten("a peer has a budget of its own");
    lab.need_program("strace");
    let mut bundle = lab.bundle();
    let profile: Value =
        serde_json::from_str(include_str!("../../src/seccomp/docker.json")).unwrap();
    bundle
        .args(&["true"])
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
    let counts = lab.path("counts");
    let script = format!("strace -f -c -o {} \"$@\"", counts.display());
    let (path, id) = (bundle.write(), lab.id());
    let call = lab.call(&["run", "--bundle", &path, &id]);
    call.within(lab, &script).done().ok();
    let counts = fs::read_to_string(counts).unwrap();
    let total = counts.lines().last().unwrap();
    let calls: usize = total
        .split_ascii_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        calls <= BUDGET,
        "{calls} calls, of which {BUDGET} are allowed:\n{counts}"
    );
}
