//! 95 to 101: the system call filter.

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use super::scene::{Row, Scene, config, refused, story};

pub const ROWS: &[Row] = &[
    config(
        95,
        "an unknown action",
        |scene| { scene.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_PANIC"})); },
        "linux.seccomp.defaultAction",
        "unknown variant `SCMP_ACT_PANIC`",
    ),
    config(
        96,
        "an unknown architecture",
        |scene| allow(scene, &json!({"architectures": ["SCMP_ARCH_VAX"]})),
        "linux.seccomp.architectures[0]",
        "unknown architecture \"SCMP_ARCH_VAX\"",
    ),
    story(97, "an unknown system call", |scene| {
        let rule = json!({"names": ["warp", "chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95});
        allow(scene, &json!({"syscalls": [rule]}));
        scene.write();
        let path = scene.bundle.dir.display().to_string();
        let words = ["--log-level", "warning", "run", "--bundle", &path, &scene.id];
        let done = scene.lab.corten(&words).ok();
        let words = "linux.seccomp: unknown system calls are skipped: warp\n";
        assert!(done.err.contains(words), "{done:?}");
    }),
    config(
        98,
        "a seventh argument",
        |scene| {
            let arg = json!({"index": 9, "value": 0, "op": "SCMP_CMP_EQ"});
            let rule = json!({"names": ["chmod"], "action": "SCMP_ACT_KILL", "args": [arg]});
            allow(scene, &json!({"syscalls": [rule]}));
        },
        "linux.seccomp.syscalls[0].args[0].index",
        "9 is above 5",
    ),
    config(
        99,
        "a filter that kills the execution of the program",
        |scene| {
            let rule = json!({"names": ["execve"], "action": "SCMP_ACT_KILL_PROCESS"});
            allow(scene, &json!({"syscalls": [rule]}));
        },
        "linux.seccomp",
        "the filter stops the program before start: it kills execve",
    ),
    config(
        99,
        "a filter that refuses it",
        |scene| {
            let rule = json!({"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1});
            allow(scene, &json!({"syscalls": [rule]}));
        },
        "linux.seccomp",
        "the filter stops the program before start: it refuses execve",
    ),
    config(
        99,
        "a filter that allows nothing",
        |scene| {
            scene.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_KILL_PROCESS"}));
        },
        "linux.seccomp",
        "the filter stops the program before start: it kills execve",
    ),
    config(
        99,
        "a filter that kills the runtime while it waits",
        |scene| {
            notify(scene, "/no/such/agent");
            let rule = json!({"names": ["accept4"], "action": "SCMP_ACT_KILL_PROCESS"});
            scene.set("/linux/seccomp/syscalls/-", rule);
        },
        "linux.seccomp",
        "the filter stops the program before start: it kills accept4, with which init hears of start",
    ),
    story(100, "a listener for calls that nobody reports", |scene| {
        allow(scene, &json!({"listenerPath": "/no/such/agent"}));
        scene.write();
        let path = scene.bundle.dir.display().to_string();
        let words = ["--log-level", "warning", "run", "--bundle", &path, &scene.id];
        let done = scene.lab.corten(&words).ok();
        assert!(done.err.contains("linux.seccomp.listenerPath: ignored"), "{done:?}");
    }),
    config(
        100,
        "reported calls without a listener",
        |scene| {
            let rule = json!({"names": ["chmod"], "action": "SCMP_ACT_NOTIFY"});
            allow(scene, &json!({"syscalls": [rule]}));
        },
        "linux.seccomp.syscalls[0].action",
        "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath",
    ),
    refused(
        100,
        "a listener that is not there",
        |scene| notify(scene, "/no/such/agent"),
        &["linux.seccomp.listenerPath", "failed to connect with seccomp agent /no/such/agent"],
    ),
    story(100, "a listener that takes no connection", |scene| {
        let path = std::env::temp_dir().join(format!("corten-agent-{}", std::process::id()));
        let agent = UnixListener::bind(&path).unwrap();
        nix::sys::socket::listen(&agent, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        // The queue of a listener that never accepts is full with one connection.
        let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        notify(scene, path.to_str().unwrap());
        scene.create().fails(1, "linux.seccomp.listenerPath: failed to connect");
        std::fs::remove_file(&path).unwrap();
    }),
    // The first decides, as with libseccomp; podman's default profile allows setns and then refuses it.
    story(101, "two rules for one call", |scene| {
        let refused = json!({"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95});
        let killed = json!({"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_KILL"});
        allow(scene, &json!({"syscalls": [refused, killed]}));
        scene.set("/process/args", json!(["sh", "-c", "chmod 700 /; echo status $?"]));
        scene.write();
        let path = scene.bundle.dir.display().to_string();
        let words = ["--log-level", "warning", "run", "--bundle", &path, &scene.id];
        let done = scene.lab.corten(&words).ok();
        assert!(done.out.contains("status 1"), "{done:?}");
        let words = "linux.seccomp.syscalls[1].action: ignored for chmod: an earlier rule has another action for it";
        assert!(done.err.contains(words), "{done:?}");
    }),
];

/// A filter that allows everything, but for what is said.
fn allow(scene: &mut Scene<'_>, but: &Value) {
    let mut filter = but.clone();
    filter["defaultAction"] = json!("SCMP_ACT_ALLOW");
    scene.set("/linux/seccomp", filter);
}

fn notify(scene: &mut Scene<'_>, path: &str) {
    let rule = json!({"names": ["chmod"], "action": "SCMP_ACT_NOTIFY"});
    allow(scene, &json!({"syscalls": [rule], "listenerPath": path}));
}
