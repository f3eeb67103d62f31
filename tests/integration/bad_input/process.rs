//! 13 to 28: the program's arguments, identity, environment and working directory.

use serde_json::{Value, json};

use super::scene::{Row, config, elsewhere, refused};

pub const ROWS: &[Row] = &[
    config(
        13,
        "arguments that are one string",
        |scene| { scene.set("/process/args", json!("sh -c")); },
        "process.args",
        "invalid type: string \"sh -c\", expected a list",
    ),
    config(
        14,
        "a user by name",
        |scene| { scene.set("/process/user/uid", json!("root")); },
        "process.user.uid",
        "invalid type: string \"root\"",
    ),
    config(
        15,
        "a negative user",
        |scene| { scene.set("/process/user/uid", json!(-1)); },
        "process.user.uid",
        "invalid value: integer `-1`",
    ),
    config(
        16,
        "the user that means no change",
        |scene| { scene.set("/process/user/uid", json!(u32::MAX)); },
        "process.user.uid",
        "4294967295 is no id",
    ),
    config(
        16,
        "the group that means no change",
        |scene| { scene.set("/process/user/gid", json!(u32::MAX)); },
        "process.user.gid",
        "4294967295 is no id",
    ),
    config(
        17,
        "groups that are not numbers",
        |scene| { scene.set("/process/user/additionalGids", json!([1, "2"])); },
        "process.user.additionalGids[1]",
        "invalid type: string \"2\"",
    ),
    elsewhere(
        18,
        "no process",
        "a_container_without_a_process_can_be_created_but_not_started",
    ),
    config(
        19,
        "no arguments",
        |scene| { scene.set("/process/args", json!([])); },
        "process.args",
        "must name the program",
    ),
    config(
        20,
        "an empty name",
        |scene| { scene.set("/process/args", json!([""])); },
        "process.args[0]",
        "the name of the program is empty",
    ),
    config(
        21,
        "a NUL in an argument",
        |scene| { scene.set("/process/args", json!(["echo", "a\0b"])); },
        "process.args[1]",
        "contains a NUL character",
    ),
    config(
        21,
        "a NUL in a variable",
        |scene| { scene.set("/process/env", json!(["A=\0"])); },
        "process.env[0]",
        "contains a NUL character",
    ),
    config(
        22,
        "a variable without a value",
        |scene| { scene.set("/process/env", json!(["PATH=/bin", "LONELY"])); },
        "process.env[1]",
        "\"LONELY\" has no \"=\"",
    ),
    config(
        23,
        "one variable of 3 MB",
        |scene| { scene.set("/process/env/-", json!(format!("BIG={}", "x".repeat(3 << 20)))); },
        "process.env[2]",
        "3145732 bytes in one string, of which the kernel takes 131071: argument list too long",
    ),
    refused(
        23,
        "an environment of 3 MB",
        |scene| {
            let variable = |index| json!(format!("V{index}={}", "x".repeat(100_000)));
            let variables: Vec<Value> = (0..30).map(variable).collect();
            scene.set("/process/env", json!(variables));
        },
        &[
            "process.env (line ",
            "bytes of arguments and environment, of which the kernel takes",
            "argument list too long",
        ],
    ),
    config(
        24,
        "no working directory",
        |scene| { scene.bundle.remove("/process/cwd"); },
        "process.cwd",
        "required, and missing",
    ),
    config(
        25,
        "a relative working directory",
        |scene| { scene.set("/process/cwd", json!("tmp")); },
        "process.cwd",
        "\"tmp\" is not an absolute path",
    ),
    elsewhere(
        26,
        "a working directory that is not there",
        "a_missing_working_directory_is_made",
    ),
    refused(
        27,
        "a working directory that is a file",
        |scene| { scene.set("/process/cwd", json!("/etc/passwd")); },
        &["process.cwd: ", "/etc/passwd", "not a directory"],
    ),
    config(
        28,
        "a working directory by descriptor",
        |scene| { scene.set("/process/cwd", json!("/proc/self/fd/7")); },
        "process.cwd",
        "/proc/self/fd/7 leads through a descriptor",
    ),
];
