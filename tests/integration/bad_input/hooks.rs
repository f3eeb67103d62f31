//! 102 to 110: hooks.

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::scene::{Row, Scene, config, refused, story};
use crate::harness::call::eventually;

pub const ROWS: &[Row] = &[
    refused(
        102,
        "a hook that is not there",
        |scene| hook(scene, "createRuntime", json!({"path": "/no/such/hook"})),
        &["hooks.createRuntime[0]", "cannot execute hook /no/such/hook: no such file or directory"],
    ),
    story(102, "a hook of the container that is not there", |scene| {
        hook(scene, "startContainer", json!({"path": "/no/such/hook"}));
        scene.create().ok();
        scene
            .corten(&["start"])
            .fails(1, "hooks.startContainer[0]: error running startContainer hook #0: hook /no/such/hook failed: no such file or directory");
        scene.corten(&["state"]).fails(1, "container does not exist");
    }),
    config(
        103,
        "a relative path",
        |scene| hook(scene, "poststop", json!({"path": "sh"})),
        "hooks.poststop[0].path",
        "\"sh\" is not an absolute path",
    ),
    refused(
        104,
        "a hook that fails",
        |scene| { scene.bundle.hook("createRuntime", "echo no such device >&2; exit 3"); },
        &["hooks.createRuntime[0]", "hook /bin/sh exited with status 3: no such device"],
    ),
    refused(
        104,
        "a hook in the container that fails",
        |scene| { scene.bundle.hook("createContainer", "echo no such device >&2; exit 3"); },
        &["hooks.createContainer[0]", "hook /bin/sh exited with status 3: no such device"],
    ),
    story(105, "a hook that hangs, with all it has started", |scene| {
        let mark = format!("{}", 100_000 + std::process::id());
        let script = format!("echo waiting >&2; setsid sleep {mark} & sleep {mark}");
        scene.bundle.hook("createRuntime", &script);
        scene.set("/hooks/createRuntime/0/timeout", json!(1));
        let done = scene
            .create()
            .fails(1, "hooks.createRuntime[0]: error running createRuntime hook #0: hook /bin/sh did not end within 1 s");
        assert!(done.err.contains("waiting"), "{done:?}");
        assert_eq!(running(&mark), 0, "a process of the hook lives on");
    }),
    story(106, "a hook that hangs without end", |scene| {
        scene.bundle.hook("createRuntime", "echo $$ > pid; sleep 1000");
        scene.write();
        let create = scene.call(&["create"]).start();
        let pid = scene.bundle.dir.join("pid");
        eventually("the hook runs", || fs::read_to_string(&pid).is_ok_and(|text| !text.is_empty()));
        create.signal(Signal::SIGTERM);
        let done = create.done().fails(1, "hooks.createRuntime[0]");
        assert!(done.err.contains("signal 15"), "{done:?}");
        scene.corten(&["state"]).fails(1, "container does not exist");
    }),
    story(106, "the same, and create is killed", |scene| {
        scene.bundle.hook("createRuntime", "echo $$ > pid; exec sleep 1000");
        scene.write();
        let create = scene.call(&["create"]).start();
        let pid = scene.bundle.dir.join("pid");
        eventually("the hook runs", || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
        create.signal(Signal::SIGKILL);
        create.done();
        scene.end();
        let pid: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        eventually("the hook is gone as well", || !is_alive(pid));
    }),
    config(
        107,
        "a timeout of 0",
        |scene| hook(scene, "createRuntime", json!({"path": "/bin/true", "timeout": 0})),
        "hooks.createRuntime[0].timeout",
        "0 is not above 0 seconds",
    ),
    config(
        107,
        "a timeout of -1",
        |scene| hook(scene, "createRuntime", json!({"path": "/bin/true", "timeout": -1})),
        "hooks.createRuntime[0].timeout",
        "-1 is not above 0 seconds",
    ),
    story(108, "a hook after the start that fails", |scene| {
        scene.bundle.args(&["sleep", "1000"]);
        scene.bundle.hook("poststart", "echo no such device >&2; exit 3");
        scene.bundle.hook("poststop", "echo ran > poststop");
        scene.create().ok();
        scene
            .corten(&["start"])
            .fails(1, "hooks.poststart[0]: error running poststart hook #0: hook /bin/sh exited with status 3: no such device");
        scene.corten(&["state"]).fails(1, "container does not exist");
        assert!(scene.bundle.dir.join("poststop").exists());
    }),
    story(109, "a hook after the end that fails", |scene| {
        scene.bundle.hook("poststop", "echo no such device >&2; exit 3");
        scene.bundle.hook("poststop", "echo ran > second");
        scene.create().ok();
        let done = scene.corten(&["delete"]).ok();
        let words = "hooks.poststop[0]: error running poststop hook #0: hook /bin/sh exited with status 3: no such device";
        assert!(done.err.contains("warning: ") && done.err.contains(words), "{done:?}");
        assert!(scene.bundle.dir.join("second").exists(), "the second hook did not run");
        scene.corten(&["state"]).fails(1, "container does not exist");
    }),
    story(110, "a hook whose daemon keeps its output open", |scene| {
        scene.bundle.hook("createRuntime", "sleep 1000 & echo $! > pid");
        let begin = Instant::now();
        scene.create().ok();
        assert!(begin.elapsed().as_secs() < 10 * slowness(), "create waited for the daemon");
        scene.end();
        let pid: i32 = fs::read_to_string(scene.bundle.dir.join("pid")).unwrap().trim().parse().unwrap();
        // It is the hook's own affair, and lives on.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }),
];

fn slowness() -> u64 {
    crate::harness::host::patience(std::time::Duration::from_secs(1)).as_secs()
}

fn hook(scene: &mut Scene<'_>, kind: &str, hook: Value) {
    scene.set(&format!("/hooks/{kind}"), json!([hook]));
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_none_or(|(_, tail)| tail.starts_with('Z')))
}

/// How many processes have this word on their command line.
fn running(word: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()))
        .count()
}
