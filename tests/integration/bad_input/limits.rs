//! 55 to 65: capabilities, resource limits, kernel parameters.

use serde_json::json;

use super::scene::{Row, Scene, config, refused, story};

pub const ROWS: &[Row] = &[
    story(55, "an unknown capability", |scene| {
        // config.md: an unknown one MUST be a warning and SHOULD NOT fail.
        warns(scene, "CAP_WARP_DRIVE", "unknown capability \"CAP_WARP_DRIVE\" is not granted");
    }),
    story(56, "a capability in lower case", |scene| {
        warns(scene, "cap_kill", "unknown capability \"cap_kill\" is not granted");
    }),
    story(57, "a capability that the kernel, or the runtime, does not have", |scene| {
        scene.within = Some("exec setpriv --bounding-set -mknod \"$@\"".to_owned());
        scene.bundle.args(&["grep", "CapBnd", "/proc/self/status"]);
        let granted = scene.bundle.config["process"]["capabilities"]["bounding"].clone();
        assert!(granted.as_array().unwrap().contains(&json!("CAP_MKNOD")));
        // Without it, the default devices are those of the host, mounted.
        warns(scene, "CAP_MKNOD", "CAP_MKNOD cannot be granted");
    }),
    config(
        58,
        "an unknown limit",
        |scene| limit(scene, &json!([{"type": "RLIMIT_FISH", "soft": 1, "hard": 1}])),
        "process.rlimits[0].type",
        "unknown resource limit \"RLIMIT_FISH\"",
    ),
    config(
        59,
        "a soft limit above the hard one",
        |scene| limit(scene, &json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}])),
        "process.rlimits[0].soft",
        "2 is above the hard limit 1",
    ),
    config(
        60,
        "a limit twice",
        |scene| {
            let one = json!({"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64});
            limit(scene, &json!([one, one]));
        },
        "process.rlimits[1].type",
        "RLIMIT_NOFILE stands in process.rlimits[0] already",
    ),
    refused(
        61,
        "a limit above the runtime's own",
        |scene| {
            limit(scene, &json!([{"type": "RLIMIT_NOFILE", "soft": 4000, "hard": 4000}]));
            let lower = "ulimit -n 2000; exec setpriv --bounding-set -sys_resource \"$@\"";
            scene.within = Some(lower.to_owned());
            // Before anything is made: this cgroup could not be.
            scene.set("/linux/cgroupsPath", json!("/\u{1}/".to_owned() + &"x".repeat(300)));
        },
        &["process.rlimits[0].hard (line ", "4000 is above the runtime's own hard limit 2000"],
    ),
    config(
        62,
        "a parameter of the whole host",
        |scene| { scene.set("/linux/sysctl", json!({"kernel.panic": "1"})); },
        "linux.sysctl[\"kernel.panic\"]",
        "is not in a separate namespace",
    ),
    config(
        63,
        "a parameter whose name is a path out of its namespace",
        |scene| { scene.set("/linux/sysctl", json!({"net/../kernel/panic": "1"})); },
        "linux.sysctl[\"net/../kernel/panic\"]",
        "is not the name of a kernel parameter",
    ),
    config(
        64,
        "a parameter of a namespace that is the host's",
        |scene| {
            scene.bundle.share("network");
            scene.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        },
        "linux.sysctl[\"net.ipv4.ip_forward\"]",
        "needs a namespace of the type \"network\"",
    ),
    refused(
        65,
        "a parameter that the kernel does not know",
        |scene| { scene.set("/linux/sysctl", json!({"net.ipv4.warp": "1"})); },
        &["linux.sysctl[\"net.ipv4.warp\"]", "no such file or directory"],
    ),
    refused(
        65,
        "a parameter that the kernel does not take",
        |scene| { scene.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "perhaps"})); },
        &["linux.sysctl[\"net.ipv4.ip_forward\"]", "invalid argument"],
    ),
];

/// The program runs, and the person who asks is told of the capability that it does not have.
fn warns(scene: &mut Scene<'_>, capability: &str, words: &str) {
    scene.set("/process/capabilities/bounding/-", json!(capability));
    scene.write();
    let path = scene.bundle.dir.display().to_string();
    let call = scene
        .lab
        .call(&["--log-level", "warning", "run", "--bundle", &path, &scene.id]);
    let call = match &scene.within {
        Some(script) => call.within(scene.lab, script),
        None => call,
    };
    let done = call.done().ok();
    assert!(done.err.contains(words), "no {words}: {done:?}");
}

fn limit(scene: &mut Scene<'_>, limits: &serde_json::Value) {
    scene.set("/process/rlimits", limits.clone());
}
