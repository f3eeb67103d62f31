//! 81 to 86: device nodes.

use serde_json::json;

use super::scene::{Row, Scene, config, elsewhere, refused};

pub const ROWS: &[Row] = &[
    config(
        81,
        "an unknown type",
        |scene| device(scene, &json!({"type": "x", "path": "/dev/x", "major": 1, "minor": 3})),
        "linux.devices[0].type",
        "unknown variant `x`",
    ),
    config(
        82,
        "a relative path",
        |scene| device(scene, &json!({"type": "c", "path": "dev/x", "major": 1, "minor": 3})),
        "linux.devices[0].path",
        "\"dev/x\" is not an absolute path",
    ),
    config(
        83,
        "a path that steps up",
        |scene| device(scene, &json!({"type": "c", "path": "/dev/../x", "major": 1, "minor": 3})),
        "linux.devices[0].path",
        "\"/dev/../x\" is not an absolute path of a node without \"..\"",
    ),
    elsewhere(84, "over another file", "a_device_over_another_file_is_refused"),
    refused(
        84,
        "over another device",
        |scene| device(scene, &json!({"type": "c", "path": "/dev/shm", "major": 1, "minor": 3})),
        &["linux.devices[0]", "/dev/shm", "exists and is not that device"],
    ),
    config(
        85,
        "without a minor number",
        |scene| device(scene, &json!({"type": "c", "path": "/dev/x", "major": 1})),
        "linux.devices[0].minor",
        "required unless the type is p",
    ),
    refused(
        86,
        "in a user namespace, and not on the host",
        |scene| {
            scene.bundle.userns();
            device(scene, &json!({"type": "c", "path": "/dev/warp", "major": 1, "minor": 3}));
        },
        &["linux.devices[0]", "/dev/warp", "no such file or directory"],
    ),
    elsewhere(86, "in a user namespace", "devices_work_in_a_user_namespace"),
];

fn device(scene: &mut Scene<'_>, device: &serde_json::Value) {
    scene.set("/linux/devices", json!([device]));
}
