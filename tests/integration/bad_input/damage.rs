//! 139 to 145: the state directory was damaged, or belongs to another time.
//!
//! `delete --force` must end the container all the same: by its cgroup, whatever the record says.

use std::fs;

use serde_json::{Value, json};

use super::scene::{Row, Scene, story};
use crate::harness::call::eventually;

pub const ROWS: &[Row] = &[
    story(139, "truncated in the middle", |scene| {
        damaged(scene, |text| text.truncate(text.len() / 2));
    }),
    story(139, "truncated after the first words", |scene| damaged(scene, |text| text.truncate(10))),
    story(140, "empty", |scene| damaged(scene, Vec::clear)),
    story(141, "of the wrong types", |scene| {
        changed(scene, |record| {
            record["pid"] = json!("one");
            record["cgroup"] = json!(7);
            record["undo"] = json!({});
        });
    }),
    story(141, "not an object", |scene| damaged(scene, |text| *text = b"[1, 2]".to_vec())),
    story(141, "a directory", |scene| {
        sleeping(scene);
        let record = scene.state_dir().join("state.json");
        fs::remove_file(&record).unwrap();
        fs::create_dir(&record).unwrap();
        ends(scene);
    }),
    story(141, "a fifo", |scene| {
        sleeping(scene);
        let record = scene.state_dir().join("state.json");
        fs::remove_file(&record).unwrap();
        nix::unistd::mkfifo(&record, nix::sys::stat::Mode::S_IRWXU).unwrap();
        ends(scene);
    }),
    story(142, "process 1", |scene| another_process(scene, |_| (1, 1))),
    story(142, "a number that another process has now", |scene| {
        another_process(scene, |begin| (i64::from(std::process::id()), begin + 1));
    }),
    story(143, "gone, and its cgroup lives on", |scene| {
        sleeping(scene);
        fs::remove_file(scene.state_dir().join("state.json")).unwrap();
        scene.corten(&["state"]).fails(1, "container does not exist");
        ends(scene);
    }),
    story(144, "of a newer program", |scene| {
        changed(scene, |record| record["version"] = json!(99));
    }),
    story(145, "of another boot", |scene| {
        sleeping(scene);
        change(scene, |record| record["bootId"] = json!("00000000-0000-0000-0000-000000000000"));
        // Nothing of another boot is alive; but what sits in the cgroup is ours.
        assert_eq!(scene.status(), "stopped");
        ends(scene);
    }),
];

fn sleeping(scene: &mut Scene<'_>) {
    scene.bundle.args(&["sleep", "1000"]);
    scene.write();
    scene.call(&["run", "--detach"]).done().ok();
}

/// Damages the bytes of the record.
fn damaged(scene: &mut Scene<'_>, how: fn(&mut Vec<u8>)) {
    sleeping(scene);
    let path = scene.state_dir().join("state.json");
    let mut text = fs::read(&path).unwrap();
    how(&mut text);
    fs::write(&path, text).unwrap();
    unreadable(scene);
    ends(scene);
}

/// Changes properties of the record so that it cannot be read.
fn changed(scene: &mut Scene<'_>, how: fn(&mut Value)) {
    sleeping(scene);
    change(scene, how);
    unreadable(scene);
    ends(scene);
}

fn change(scene: &Scene<'_>, how: impl Fn(&mut Value)) {
    let path = scene.state_dir().join("state.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    how(&mut record);
    fs::write(&path, record.to_string()).unwrap();
}

/// Every command says so, and how to go on; `list` shows the others.
fn unreadable(scene: &Scene<'_>) {
    for command in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        let done = scene.corten(&[command]).fails(1, "state.json");
        assert!(done.err.contains("delete --force"), "{command}: {done:?}");
    }
    let done = scene.lab.corten(&["exec", &scene.id, "true"]);
    assert!(done.code == 255 && done.err.contains("state.json"), "{done:?}");
    let list = scene.lab.corten(&["list"]).ok();
    assert!(list.err.contains(&scene.id), "{list:?}");
}

/// `delete --force` kills and removes everything.
fn ends(scene: &Scene<'_>) {
    scene.end();
    assert!(!scene.state_dir().exists(), "its directory is still there");
    eventually("its cgroup is gone", || !scene.cgroup().exists());
}

/// The record names a process that is not the container's: it must not be touched.
fn another_process(scene: &mut Scene<'_>, named: fn(u64) -> (i64, u64)) {
    sleeping(scene);
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let begin: u64 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let (pid, start_time) = named(begin);
    change(scene, |record| {
        record["pid"] = json!(pid);
        record["startTime"] = json!(start_time);
    });
    assert_eq!(scene.status(), "stopped");
    scene.corten(&["kill", "--all"]).ok();
    ends(scene);
}
