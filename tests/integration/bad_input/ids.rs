//! 119 to 128: names that no container can have.

use std::fs;

use super::scene::{Row, Scene, story};

pub const ROWS: &[Row] = &[
    story(119, "an empty name", |scene| refuse(scene, "", "container id cannot be empty")),
    story(120, "a path", |scene| refuse(scene, "a/b", FORMAT)),
    story(121, "the parent", |scene| refuse(scene, "..", FORMAT)),
    story(122, "the directory itself", |scene| refuse(scene, ".", FORMAT)),
    story(123, "a space", |scene| refuse(scene, "a b", FORMAT)),
    story(123, "a new line", |scene| refuse(scene, "a\nb", FORMAT)),
    story(124, "1024 letters", |scene| refuse(scene, &"x".repeat(1024), FORMAT)),
    story(124, "255 letters are not too many", |scene| {
        scene.id = "x".repeat(255);
        scene.create().ok();
        scene.end();
    }),
    story(125, "letters of other alphabets", |scene| refuse(scene, "kästchen", FORMAT)),
    story(126, "a dash at the beginning", |scene| {
        // Behind two dashes it is a word; before, it is a flag that nobody knows.
        refuse_words(scene, &["--", "-a"], FORMAT);
        refuse_words(scene, &["-x"], "-x");
    }),
    story(127, "a dot at the beginning", |scene| refuse(scene, ".a", FORMAT)),
    story(128, "a percent sign", |scene| refuse(scene, "a%2e", FORMAT)),
];

const FORMAT: &str = "invalid container ID format";

/// No command takes it, and none makes a file of it.
fn refuse(scene: &Scene<'_>, id: &str, words: &str) {
    refuse_words(scene, &["--", id], words);
}

fn refuse_words(scene: &Scene<'_>, id: &[&str], words: &str) {
    let bundle = scene.write();
    for command in [
        &["create", "--bundle", &bundle][..],
        &["run", "--bundle", &bundle],
        &["start"],
        &["state"],
        &["kill"],
        &["delete", "--force"],
        &["pause"],
        &["resume"],
        &["ps"],
        &["update"],
        &["events", "--stats"],
        &["stop"],
    ] {
        let all = [command, id].concat();
        let done = scene.lab.corten(&all);
        assert!(done.code == 1 && done.err.contains(words), "{all:?}: {done:?}");
    }
    let done = scene.lab.corten(&[&["exec"], id, &["true"]].concat());
    // What looks like a flag is a wrong command line, which has a status of its own.
    let code = if id[0] == "--" { 255 } else { 1 };
    assert!(done.code == code && done.err.contains(words), "exec {id:?}: {done:?}");
    assert_eq!(fs::read_dir(&scene.lab.root).unwrap().count(), 0);
    let above = scene.lab.root.parent().unwrap();
    assert!(!above.join("a").exists());
}
