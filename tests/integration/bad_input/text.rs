//! 1 to 12: config.json is not there, not JSON, or not a configuration of this specification.

use std::fs;

use nix::sys::stat::Mode;
use serde_json::json;

use super::scene::{Row, Scene, config, refused, story};

pub const ROWS: &[Row] = &[
    story(1, "config.json is missing", |scene| {
        scene.write();
        fs::remove_file(scene.bundle.dir.join("config.json")).unwrap();
        refuse(scene, "JSON specification file config.json not found");
    }),
    refused(2, "empty", |scene| text(scene, b""), &["config.json", "the file is empty"]),
    refused(
        3,
        "truncated",
        |scene| text(scene, b"{\n  \"ociVersion\": \"1.0.2\",\n  \"process\": {"),
        &["config.json", "line 3 column", "EOF while parsing"],
    ),
    refused(4, "an array", |scene| text(scene, b"[]"), &["a list, expected an object"]),
    refused(
        5,
        "larger than 16 MiB",
        |scene| scene.text = Some(vec![b' '; (16 << 20) + 1]),
        &["config.json", "more than 16 MiB"],
    ),
    refused(
        6,
        "nested 100,000 times, without an end",
        |scene| scene.text = Some(format!("{{\"x\": {}", "[".repeat(100_000)).into_bytes()),
        &["line 1 column", "EOF while parsing a list"],
    ),
    story(6, "nested 100,000 times, in a property that nobody knows", |scene| {
        // config.md, Extensibility: what is unknown MUST be ignored, however deep it is.
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        let text = scene.bundle.config.to_string();
        scene.text = Some(text.replacen('{', &format!("{{\"x\": {open}{close},"), 1).into_bytes());
        scene.run().ok();
    }),
    refused(
        7,
        "with a byte order mark",
        |scene| text(scene, b"\xef\xbb\xbf{}"),
        &["config.json", "byte order mark"],
    ),
    refused(
        7,
        "in UTF-16",
        |scene| text(scene, b"\xff\xfe{\0}\0"),
        &["config.json", "UTF-16"],
    ),
    story(8, "a fifo", |scene| {
        let path = scene.bundle.dir.join("config.json");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        refuse(scene, "not a regular file");
    }),
    story(8, "a directory", |scene| {
        fs::create_dir(scene.bundle.dir.join("config.json")).unwrap();
        refuse(scene, "not a regular file");
    }),
    config(
        9,
        "no version",
        |scene| { scene.bundle.remove("/ociVersion"); },
        "ociVersion",
        "required, and missing",
    ),
    config(
        10,
        "a version that is none",
        |scene| { scene.set("/ociVersion", json!("latest")); },
        "ociVersion",
        "\"latest\" is not a semantic version",
    ),
    config(
        11,
        "version 2",
        |scene| { scene.set("/ociVersion", json!("2.0.0")); },
        "ociVersion",
        "2.0.0 is not supported",
    ),
    config(
        11,
        "version 99",
        |scene| { scene.set("/ociVersion", json!("99.0.0")); },
        "ociVersion",
        "99.0.0 is not supported",
    ),
    story(11, "a newer version of the same kind", |scene| {
        scene.set("/ociVersion", json!("1.99.0")).write();
        let call = scene.lab.call(&["--log-level", "warning", "run", "--bundle"]);
        let mut call = call;
        call.arg(&scene.bundle.dir.display().to_string()).arg(&scene.id);
        let done = call.done().ok();
        assert!(done.err.contains("1.99.0 is newer"), "{done:?}");
    }),
    refused(
        12,
        "a property twice",
        |scene| {
            let twice = |text: &str| text.replacen("\"cwd\":\"/\"", "\"cwd\":\"/\",\"cwd\":\"/tmp\"", 1);
            scene.text = Some(twice(&scene.bundle.config.to_string()).into_bytes());
        },
        &["process.cwd (line 1 column", "duplicate property"],
    ),
];

fn text(scene: &mut Scene<'_>, text: &[u8]) {
    scene.text = Some(text.to_vec());
}

fn refuse(scene: &Scene<'_>, words: &str) {
    scene.call(&["create"]).done().fails(1, words);
}
