//! 44 to 54: mounts.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::scene::{Row, config, elsewhere, refused, story};

pub const ROWS: &[Row] = &[
    elsewhere(
        44,
        "a relative destination is deprecated, and means the same below /",
        "a_relative_destination_counts_from_the_root",
    ),
    config(
        45,
        "no destination",
        |scene| { scene.set("/mounts/-", json!({"type": "tmpfs", "source": "tmpfs"})); },
        "mounts[7].destination",
        "required, and missing",
    ),
    config(
        46,
        "a destination that steps out of the root",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", "/a/../../b", &[]); },
        "mounts[7].destination",
        "/a/../../b leaves the root filesystem",
    ),
    config(
        46,
        "a mount over the root filesystem",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", "/", &[]); },
        "mounts[7].destination",
        "is the root filesystem itself, which cannot be covered",
    ),
    refused(
        47,
        "a source that is not there",
        |scene| { scene.bundle.mount("bind", "/no/such/source", "/mnt", &["rbind"]); },
        &["mounts[7]", "/no/such/source", "no such file or directory"],
    ),
    refused(
        48,
        "an unknown file system",
        |scene| { scene.bundle.mount("warpfs", "warp", "/mnt", &[]); },
        &["mounts[7]", "warpfs", "no such device"],
    ),
    refused(
        49,
        "an unknown option of a file system",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", "/mnt", &["colour=blue"]); },
        &["mounts[7]", "colour"],
    ),
    refused(
        49,
        "an unknown option of the cgroup's file system",
        |scene| { scene.bundle.mount("cgroup", "cgroup", "/mnt", &["colour=blue"]); },
        &["mounts[7]", "colour"],
    ),
    config(
        49,
        "an option of a file system at a bind mount",
        |scene| { scene.bundle.mount("bind", "/srv", "/mnt", &["rbind", "colour"]); },
        "mounts[7].options[1]",
        "unknown option \"colour\"",
    ),
    config(
        50,
        "a mount over a file of /proc",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", "/proc/self/attr", &[]); },
        "mounts[7].destination",
        "cannot be mounted: /proc/self/attr is inside /proc",
    ),
    config(
        50,
        "a tmpfs over /proc",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", "/proc", &[]); },
        "mounts[7].type",
        "/proc must be procfs",
    ),
    story(51, "2000 mounts", |scene| {
        let mount = |index| {
            json!({"type": "tmpfs", "source": "tmpfs", "destination": format!("/mnt/{index}")})
        };
        let mounts: Vec<Value> = (0..2000).map(mount).collect();
        let list = scene.bundle.config["mounts"].as_array_mut().unwrap();
        list.extend(mounts);
        scene.bundle.sh("grep -c ' /mnt/' /proc/self/mountinfo");
        assert_eq!(scene.run().ok().out, "2000\n");
    }),
    story(51, "2000 mounts with few descriptors", |scene| {
        let mounts: Vec<Value> = (0..2000)
            .map(|index| {
                json!({"type": "bind", "source": "/usr", "destination": format!("/mnt/{index}"), "options": ["bind"]})
            })
            .collect();
        scene.bundle.config["mounts"].as_array_mut().unwrap().extend(mounts);
        scene.within = Some("ulimit -n 64; exec \"$@\"".to_owned());
        scene.run().ok();
    }),
    story(52, "a destination 1200 levels deep", |scene| {
        let path = "/d".repeat(1200);
        scene.bundle.mount("tmpfs", "tmpfs", &path, &[]);
        scene.bundle.sh("grep -c ' /d/d/' /proc/self/mountinfo");
        assert_eq!(scene.run().ok().out, "1\n");
    }),
    refused(
        52,
        "a destination that is longer than a path",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", &"/d".repeat(2100), &[]); },
        &["mounts[7]", "file name too long"],
    ),
    refused(
        53,
        "a destination through a loop of links",
        |scene| {
            symlink("two", scene.bundle.rootfs().join("one")).unwrap();
            symlink("one", scene.bundle.rootfs().join("two")).unwrap();
            scene.bundle.mount("tmpfs", "tmpfs", "/one/x", &[]);
        },
        &["mounts[7]", "/one/x", "too many levels of symbolic links"],
    ),
    refused(
        54,
        "a directory over a file",
        |scene| { scene.bundle.mount("tmpfs", "tmpfs", "/etc/passwd", &[]); },
        &["mounts[7]", "/etc/passwd", "not a directory"],
    ),
    refused(
        54,
        "a file over a directory",
        |scene| {
            let file = scene.bundle.dir.join("file");
            fs::write(&file, "").unwrap();
            scene.bundle.bind(&file, "/etc", &["rbind"]);
        },
        &["mounts[7]", "/etc", "not a directory"],
    ),
];
