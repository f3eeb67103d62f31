//! 66 to 80: namespaces, host names, maps of ids.

use serde_json::{Value, json};

use super::scene::{Row, Scene, config, elsewhere, refused};

pub const ROWS: &[Row] = &[
    config(
        66,
        "an unknown namespace",
        |scene| { scene.set("/linux/namespaces/-", json!({"type": "net"})); },
        "linux.namespaces[6].type",
        "unknown variant `net`",
    ),
    config(
        67,
        "a namespace twice",
        |scene| { scene.set("/linux/namespaces/-", json!({"type": "pid"})); },
        "linux.namespaces[6].type",
        "duplicate namespace: linux.namespaces[0] has the type already",
    ),
    refused(
        68,
        "a namespace that is not there",
        |scene| { scene.bundle.join("network", "/no/such/namespace"); },
        &["linux.namespaces[5]", "/no/such/namespace", "no such file or directory"],
    ),
    refused(
        69,
        "a namespace of another type",
        |scene| { scene.bundle.join("network", "/proc/self/ns/ipc"); },
        &["linux.namespaces[5]", "invalid argument"],
    ),
    refused(
        69,
        "a namespace that is a plain file",
        |scene| { scene.bundle.join("network", "/etc/passwd"); },
        &["linux.namespaces[5]", "invalid argument"],
    ),
    config(
        70,
        "no mount namespace",
        |scene| { scene.bundle.share("mount"); },
        "linux.namespaces",
        "has no mount namespace: root and mounts would act on the host",
    ),
    elsewhere(
        70,
        "and nothing is mounted on the host",
        "a_container_without_a_mount_namespace_never_mounts_on_the_host",
    ),
    config(
        71,
        "a host name without a namespace for it",
        |scene| { scene.bundle.share("uts"); },
        "hostname",
        "needs a UTS namespace",
    ),
    config(
        72,
        "a host name of 70 letters",
        |scene| { scene.set("/hostname", json!("x".repeat(70))); },
        "hostname",
        "70 bytes, of which the kernel takes 64",
    ),
    refused(
        73,
        "a host without cgroup v2",
        |scene| {
            let hide = "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";
            scene.within = Some(format!("exec unshare -m bash -c '{hide}' bash \"$@\""));
        },
        &["cgroup v2", "/sys/fs/cgroup"],
    ),
    config(
        74,
        "maps without a user namespace",
        |scene| maps(scene, &json!([{"containerID": 0, "hostID": 1, "size": 1}])),
        "linux.uidMappings",
        "needs a user namespace",
    ),
    config(
        75,
        "a user namespace without maps",
        |scene| { scene.bundle.unshare("user"); },
        "linux.uidMappings",
        "a new user namespace needs mappings",
    ),
    config(
        76,
        "maps that overlap inside",
        |scene| mapped(scene, &[(0, 1000, 10), (9, 5000, 10)]),
        "linux.uidMappings[1].containerID",
        "overlaps mapping 0",
    ),
    config(
        76,
        "maps that overlap outside",
        |scene| mapped(scene, &[(0, 1000, 10), (20, 1009, 10)]),
        "linux.uidMappings[1].hostID",
        "overlaps mapping 0",
    ),
    config(
        77,
        "a map of nothing",
        |scene| mapped(scene, &[(0, 1000, 0)]),
        "linux.uidMappings[0].size",
        "maps no id",
    ),
    config(
        78,
        "341 maps",
        |scene| {
            let lines: Vec<_> = (0..341).map(|index| (index, 1000 + index, 1)).collect();
            mapped(scene, &lines);
        },
        "linux.uidMappings[340]",
        "341 mappings, of which the kernel takes 340",
    ),
];

fn maps(scene: &mut Scene<'_>, maps: &Value) {
    scene.set("/linux/uidMappings", maps.clone());
}

fn mapped(scene: &mut Scene<'_>, lines: &[(u32, u32, u32)]) {
    let line = |(inside, outside, size): &(u32, u32, u32)| json!({"containerID": inside, "hostID": outside, "size": size});
    let lines: Vec<Value> = lines.iter().map(line).collect();
    scene.bundle.userns();
    scene.set("/linux/uidMappings", json!(lines));
}

