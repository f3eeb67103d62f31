//! `update` is all or nothing: what was written before a value that the kernel refuses is put back.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Container, Lab, skip, tests};

tests![
    an_update_that_fails_halfway_puts_back_what_it_wrote,
    limits_of_every_controller_are_put_back,
];

fn read(cgroup: &Path, files: &[&str]) -> Vec<String> {
    let text = |file: &&str| fs::read_to_string(cgroup.join(file)).unwrap();
    files.iter().map(text).collect()
}

/// `good` can be set, and is; followed by a line that the kernel refuses it leaves everything as it was.
fn put_back(lab: &Lab, container: &Container<'_>, good: &Value, files: &[&str]) {
    let refused = "cgroup.max.descendants";
    let mut bad = good.clone();
    bad["unified"][refused] = json!("banana");
    let update = |resources: &Value| {
        let file = lab.file("limits.json", &resources.to_string());
        container.corten(&["update", "--resources", file.to_str().unwrap()], &[])
    };
    let cgroup = container.cgroup_dir();
    let before = read(&cgroup, files);
    update(&bad).fails(1, refused);
    assert_eq!(read(&cgroup, files), before, "{files:?}");
    update(good).ok();
    for (file, (new, old)) in files.iter().zip(read(&cgroup, files).iter().zip(&before)) {
        assert_ne!(new, old, "{file} could not show that it was put back");
    }
}

fn an_update_that_fails_halfway_puts_back_what_it_wrote(lab: &Lab) {
    lab.need_corten("no other runtime promises all or nothing");
    let mut bundle = lab.sleeper();
    bundle.set("/linux/resources/unified", json!({"cgroup.max.depth": "7"}));
    let container = lab.start(&bundle);
    let good = json!({"unified": {"cgroup.max.depth": "5"}});
    put_back(lab, &container, &good, &["cgroup.max.depth"]);
    container.end();
}

fn limits_of_every_controller_are_put_back(lab: &Lab) {
    lab.need_corten("no other runtime promises all or nothing");
    for controller in ["cpu", "cpuset", "memory", "pids"] {
        lab.need_controller(controller);
    }
    if std::thread::available_parallelism().is_ok_and(|count| count.get() == 1) {
        skip("of one processor none can be taken away");
    }
    let mut bundle = lab.sleeper();
    bundle.set("/linux/resources/pids", json!({"limit": 100}));
    bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
    let container = lab.start(&bundle);
    let good = json!({
        "cpu": {"quota": 5000, "period": 50_000, "shares": 200, "cpus": "0"},
        "memory": {"limit": 32 << 20},
        "pids": {"limit": 50},
    });
    // cpu.max had no quota. cpuset.cpus was empty, which the kernel does not allow again.
    let files = [
        "cpu.max",
        "cpu.weight",
        "cpuset.cpus.effective",
        "memory.max",
        "pids.max",
    ];
    put_back(lab, &container, &good, &files);
    container.end();
}
