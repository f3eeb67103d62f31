//! 87 to 94: where the container's cgroup is, and what is written to it.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::scene::{Row, Scene, config, refused, story};
use crate::harness::host;

pub const ROWS: &[Row] = &[
    config(
        87,
        "a relative path that steps up",
        |scene| { scene.set("/linux/cgroupsPath", json!("../../x")); },
        "linux.cgroupsPath",
        "../../x steps up with \"..\"",
    ),
    config(
        88,
        "an absolute path that steps up",
        |scene| { scene.set("/linux/cgroupsPath", json!("/../../x")); },
        "linux.cgroupsPath",
        "/../../x steps up with \"..\"",
    ),
    refused(
        88,
        "the root of the tree",
        |scene| { scene.set("/linux/cgroupsPath", json!("/")); },
        &["linux.cgroupsPath", "\"/\" is the root of the cgroup tree"],
    ),
    story(89, "below a cgroup that is threaded", below_a_threaded_cgroup),
    story(90, "a limit whose controller is not there", |scene| {
        let (_, property, limit) = [
            ("memory", "memory", json!({"limit": 64 << 20})),
            ("pids", "pids", json!({"limit": 10})),
            ("rdma", "rdma", json!({"mlx5_0": {"hcaHandles": 3}})),
            ("hugetlb", "hugepageLimits", json!([{"pageSize": "2MB", "limit": 0}])),
            // Every known controller is there: the one of a property that names its own never is.
            ("warp", "unified", json!({"warp.max": "1"})),
        ]
        .into_iter()
        .find(|(name, ..)| !host::controllers().iter().any(|have| have == name))
        .unwrap();
        scene.set(&format!("/linux/resources/{property}"), limit);
        let done = scene.create().fails(1, "controller on this host");
        assert!(done.err.contains(&format!("linux.resources.{property}")), "{done:?}");
        assert!(!scene.cgroup().exists());
    }),
    config(
        91,
        "a negative limit",
        |scene| { scene.set("/linux/resources/memory", json!({"limit": -2})); },
        "linux.resources.memory.limit",
        "-2 is below -1 (unlimited)",
    ),
    config(
        92,
        "a file outside of the cgroup",
        |scene| { scene.set("/linux/resources/unified", json!({"../../memory.high": "1"})); },
        "linux.resources.unified[\"../../memory.high\"]",
        "is not the name of a file such as memory.high",
    ),
    refused(
        93,
        "a file of no controller",
        |scene| { scene.set("/linux/resources/unified", json!({"warp.max": "1"})); },
        &["linux.resources.unified[\"warp.max\"]", "no warp controller"],
    ),
    refused(
        93,
        "a file that is not there",
        |scene| { scene.set("/linux/resources/unified", json!({"cgroup.warp": "1"})); },
        &["linux.resources.unified[\"cgroup.warp\"]", "the kernel has no such knob here"],
    ),
    story(94, "a cgroup that has processes", |scene| {
        let cgroup = scene.cgroup();
        fs::create_dir(&cgroup).unwrap();
        let mut sleeper = crate::harness::call::Call::script(scene.lab, "echo 0 > \"$1/cgroup.procs\"; echo in; sleep 1000");
        sleeper.arg(cgroup.to_str().unwrap());
        let mut sleeper = sleeper.start();
        sleeper.wait_for("in");
        refuse_and_keep(scene, &cgroup, "not empty");
        sleeper.signal(nix::sys::signal::Signal::SIGKILL);
        sleeper.done();
        crate::harness::leaks::end_everything(&cgroup);
    }),
    story(94, "a cgroup that is frozen", |scene| {
        let cgroup = scene.cgroup();
        fs::create_dir(&cgroup).unwrap();
        fs::write(cgroup.join("cgroup.freeze"), "1").unwrap();
        refuse_and_keep(scene, &cgroup, "frozen");
        fs::remove_dir(&cgroup).unwrap();
    }),
];

fn below_a_threaded_cgroup(scene: &mut Scene<'_>) {
    let domain = scene.lab.cgroup_dir().join("domain");
    let threaded = domain.join("threaded");
    fs::create_dir_all(&threaded).unwrap();
    fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    let path = format!("{}/domain/threaded/box", scene.lab.cgroup);
    scene.set("/linux/cgroupsPath", json!(path));
    let done = scene.create().fails(1, "the cgroup is below a threaded one");
    assert!(done.err.contains("linux.cgroupsPath"), "{done:?}");
    assert!(!threaded.join("box").exists());
    fs::remove_dir(&threaded).unwrap();
    fs::remove_dir(&domain).unwrap();
}

/// It is somebody else's: refused, and left as it was.
fn refuse_and_keep(scene: &Scene<'_>, cgroup: &Path, words: &str) {
    let procs = || fs::read_to_string(cgroup.join("cgroup.procs")).unwrap();
    let before = procs();
    let done = scene.create().fails(1, words);
    assert!(done.err.contains("linux.cgroupsPath"), "{done:?}");
    assert_eq!(procs(), before, "its processes live on");
}
