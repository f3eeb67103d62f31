//! `checkpoint` and `restore`, with the criu of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::harness::call::{Call, Running, eventually};
use crate::harness::pty::{ConsoleSocket, Terminal};
use crate::harness::{Bundle, Container, Done, Lab, skip, tests};

tests![
    help_is_refused_where_criu_cannot_work,
    without_criu_both_commands_and_their_help_fail,
    what_cannot_be_done_is_refused,
    a_restored_container_goes_on_and_is_like_any_other,
    a_checkpoint_after_a_pre_dump_and_one_that_lets_it_go_on,
    a_paused_container_is_saved_and_stays_paused,
    memory_comes_when_it_is_needed,
    a_joined_network_is_joined_again,
    a_restore_in_the_foreground_returns_the_status,
    a_terminal_comes_back_over_the_console_socket,
    a_terminal_of_its_own_comes_back_on_the_caller_s,
    a_container_on_the_caller_s_terminal_comes_back_on_another,
    streams_that_are_pipes_come_back,
    a_file_that_was_unlinked_comes_back,
    a_connection_is_only_saved_when_asked_for,
    a_cgroup_below_comes_back,
    a_cgroup_below_that_the_configuration_asks_for_comes_back,
    a_changed_mount_is_not_taken,
    memory_goes_to_a_page_server,
    a_failed_restore_leaves_nothing,
    what_exec_started_is_said_to_be_lost,
];

/// Why criu cannot work here.
fn unusable() -> Option<String> {
    let Ok(checked) = Command::new("criu").arg("check").output() else {
        return Some("criu is not installed here".to_owned());
    };
    let text = String::from_utf8_lossy(&checked.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    (!checked.status.success()).then(|| format!("criu check says: {last}"))
}

pub(super) fn need_criu(lab: &Lab) {
    lab.need_corten("it is its criu that is tested");
    if let Some(why) = unusable() {
        skip(&why);
    }
}

pub(super) fn call(lab: &Lab, words: &[&str]) -> Done {
    lab.call(words).deadline(Duration::from_secs(60)).done()
}

/// A container that counts in a directory of the host: one empty file for each number. A file that it has open when it is dumped
/// must still be there and as large when it comes back.
pub(super) fn counter(lab: &Lab) -> (Bundle, PathBuf) {
    let data = lab.path("data");
    fs::create_dir(&data).unwrap();
    let mut bundle = lab.bundle();
    bundle
        .bind(&data, "/data", &["rbind", "rw"])
        .bind(&data, "/same", &["rbind", "ro", "nosuid"])
        .sh("n=0; while :; do n=$((n+1)); : >/data/$n; sleep 0.05; done");
    (bundle, data)
}

fn count(path: &Path) -> u64 {
    let names = fs::read_dir(path).unwrap();
    let numbers = names.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers.max().unwrap_or_default()
}

pub(super) fn goes_on(path: &Path) {
    let before = count(path);
    eventually("it counts on", || count(path) > before);
}

/// `checkpoint` into a new directory, with flags.
#[track_caller]
pub(super) fn checkpoint(lab: &Lab, container: &Container<'_>, flags: &[&str]) -> String {
    let image = lab.path("image").display().to_string();
    let words = [
        &["checkpoint", "--image-path", &image],
        flags,
        &[&container.id],
    ]
    .concat();
    call(lab, &words).ok();
    image
}

/// `restore --detach`.
#[track_caller]
pub(super) fn restore(lab: &Lab, bundle: &Bundle, image: &str, flags: &[&str], id: &str) -> Done {
    let path = bundle.dir.display().to_string();
    let words: &[&str] = &[
        "restore",
        "--detach",
        "--image-path",
        image,
        "--bundle",
        &path,
    ];
    call(lab, &[words, flags, &[id]].concat()).ok()
}

fn help_is_refused_where_criu_cannot_work(lab: &Lab) {
    lab.need_corten("runc shows it");
    let can = unusable().is_none();
    for words in [
        ["checkpoint", "--help"],
        ["restore", "--help"],
        ["help", "restore"],
    ] {
        let done = call(lab, &words);
        assert_eq!(done.code == 0, can, "{done:?}");
        assert_eq!(done.out.contains("--image-path"), can, "{done:?}");
        assert!(
            can || done.err.contains("cannot checkpoint and restore here"),
            "{done:?}"
        );
    }
}

fn without_criu_both_commands_and_their_help_fail(lab: &Lab) {
    lab.need_corten("the words are its own");
    let container = lab.start(&lab.sleeper());
    let image = lab.path("image").display().to_string();
    fs::create_dir(&image).unwrap();
    for words in [
        ["checkpoint", "--image-path", &image, &container.id].as_slice(),
        &["checkpoint", "--help"],
        &["restore", "--help"],
    ] {
        let done = lab.call(words).env("PATH", "/nowhere").done();
        assert_eq!(done.code, 1, "{done:?}");
        assert!(
            done.err.contains("criu") && done.err.contains("the package criu"),
            "{done:?}"
        );
    }
    assert_eq!(container.status(), "running");
    container.end();
}

fn what_cannot_be_done_is_refused(lab: &Lab) {
    lab.need_corten("the words are its own");
    let container = lab.create(&lab.sleeper());
    let image = lab.path("image").display().to_string();
    let base = ["checkpoint", "--image-path", &image];
    for (flags, text) in [
        (["--parent-path", "/absolute"], "--parent-path"),
        (
            ["--manage-cgroups-mode", "banana"],
            "--manage-cgroups-mode: \"banana\"",
        ),
        (["--empty-ns", "user"], "--empty-ns"),
        (
            ["--page-server", "here"],
            "--page-server: \"here\" is no ADDRESS:PORT",
        ),
    ] {
        // Of a created container nothing is saved either; so the flag is looked at first, or not at all.
        let done = call(lab, &[&base[..], &flags, &[&container.id]].concat());
        assert_eq!(done.code, 1, "{done:?}");
        let not_running = done.err.contains("cannot be checkpointed in created state");
        assert!(done.err.contains(text) || not_running, "{done:?}");
    }
    container.start();
    let done = call(
        lab,
        &[&base[..], &["--parent-path", "../missing", &container.id]].concat(),
    );
    assert!(
        done.code == 1 && done.err.contains("--parent-path"),
        "{done:?}"
    );
    container.end();
    let done = call(lab, &["restore", "--no-pivot", &lab.id()]);
    assert!(
        done.code == 1 && done.err.contains("--no-pivot"),
        "{done:?}"
    );
    let mut bundle = lab.bundle();
    bundle
        .mount("volume", "kept", "/kept", &[])
        .args(&["sleep", "1000"]);
    let container = lab.start(&bundle);
    let done = call(lab, &[&base[..], &[&container.id]].concat());
    assert!(done.code == 1 && done.err.contains("mounts[7]"), "{done:?}");
    container.end();
    let container = lab.start(lab.sleeper().userns());
    let done = call(lab, &[&base[..], &[&container.id]].concat());
    assert!(
        done.code == 1 && done.err.contains("user namespace"),
        "{done:?}"
    );
    container.end();
}

fn a_restored_container_goes_on_and_is_like_any_other(lab: &Lab) {
    need_criu(lab);
    let (mut bundle, counted) = counter(lab);
    bundle
        .set("/root/readonly", json!(true))
        .set("/hooks/createRuntime", json!([{"path": "/bin/true"}]));
    let container = lab.start(&bundle);
    goes_on(&counted);
    let work = lab.path("work").display().to_string();
    let image = checkpoint(lab, &container, &["--work-path", &work]);
    assert!(Path::new(&work).join("dump.log").exists());
    assert_ne!(container.corten(&["state"], &[]).code, 0, "it is gone");
    assert!(!container.cgroup_dir().exists());
    let before = count(&counted);
    let pid_file = lab.path("pid");
    let flags = [
        "--work-path",
        &work,
        "--pid-file",
        pid_file.to_str().unwrap(),
    ];
    restore(lab, &bundle, &image, &flags, &container.id);
    goes_on(&counted);
    assert!(
        count(&counted) > before && count(&counted) < before + 5000,
        "it did not begin again"
    );
    assert_eq!(container.status(), "running");
    container.corten(&["audit"], &[]).ok();
    assert_eq!(
        fs::read_to_string(&pid_file).unwrap(),
        container.pid().to_string()
    );
    let script = "touch /x /same/x 2>/dev/null; echo x >/proc/kcore 2>/dev/null; cat /proc/self/cgroup; wc -c </proc/timer_list; echo $(hostname)";
    let done = container.exec(&["sh", "-c", script]).ok();
    assert_eq!(done.lines(), ["0::/", "0", "box"], "{done:?}");
    assert!(!bundle.rootfs().join("x").exists() && !counted.with_file_name("x").exists());
    container.corten(&["pause"], &[]).ok();
    assert_eq!(container.status(), "paused");
    container.corten(&["resume"], &[]).ok();
    goes_on(&counted);
    container.kill("KILL");
    container.wait();
    container.delete();
    assert!(!container.cgroup_dir().exists());
}

fn a_checkpoint_after_a_pre_dump_and_one_that_lets_it_go_on(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let first = checkpoint(lab, &container, &["--pre-dump"]);
    assert!(
        !Path::new(&first).join("core-1.img").exists(),
        "memory alone"
    );
    goes_on(&counted);
    let parent = format!("../{}", Path::new(&first).file_name().unwrap().display());
    let flags = ["--parent-path", &parent, "--auto-dedup", "--leave-running"];
    let last = checkpoint(lab, &container, &flags);
    assert!(Path::new(&last).join("parent").exists());
    assert_eq!(container.status(), "running");
    goes_on(&counted);
    container.end();
    restore(lab, &bundle, &last, &[], &container.id);
    goes_on(&counted);
    container.end();
}

fn a_paused_container_is_saved_and_stays_paused(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    container.corten(&["pause"], &[]).ok();
    checkpoint(lab, &container, &["--leave-running"]);
    assert_eq!(container.status(), "paused");
    container.corten(&["resume"], &[]).ok();
    goes_on(&counted);
    container.corten(&["pause"], &[]).ok();
    let image = checkpoint(lab, &container, &[]);
    assert!(!container.cgroup_dir().exists());
    restore(lab, &bundle, &image, &[], &container.id);
    if container.status() == "paused" {
        container.corten(&["resume"], &[]).ok();
    }
    goes_on(&counted);
    container.end();
}

fn memory_comes_when_it_is_needed(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = lab.path("image").display().to_string();
    let ready = lab.file("ready", "");
    let words = [
        "checkpoint",
        "--image-path",
        &image,
        "--lazy-pages",
        "--page-server",
        "127.0.0.1:27813",
        "--status-fd",
        "9",
        &container.id,
    ];
    let script = format!("exec 9>{}; exec \"$@\"", ready.display());
    let serving = lab
        .call(&words)
        .within(lab, &script)
        .deadline(Duration::from_secs(60))
        .start();
    eventually("it serves pages", || {
        fs::metadata(&ready).unwrap().len() > 0
    });
    let pages = [
        "lazy-pages",
        "--images-dir",
        &image,
        "--work-dir",
        &image,
        "--page-server",
        "--address",
        "127.0.0.1",
        "--port",
        "27813",
        "--log-file",
        "lazy.log",
    ];
    let mut daemon = Call::new(lab, Path::new("criu"));
    for word in pages {
        daemon.arg(word);
    }
    let daemon = daemon.deadline(Duration::from_secs(60)).start();
    let socket = Path::new(&image).join("lazy-pages.socket");
    eventually("the daemon listens", || socket.exists());
    // As on another machine: the first container is there until its memory is not needed any more.
    let (id, cgroup) = (lab.id(), format!("{}/other", lab.cgroup));
    let mut bundle = bundle;
    bundle.set("/linux/cgroupsPath", json!(cgroup)).write();
    restore(lab, &bundle, &image, &["--lazy-pages"], &id);
    goes_on(&counted);
    assert_eq!(serving.done().code, 0);
    assert_eq!(daemon.done().code, 0);
    lab.corten(&["delete", "--force", &id]).ok();
}

fn a_joined_network_is_joined_again(lab: &Lab) {
    need_criu(lab);
    let pod = lab.start(&lab.sleeper());
    let network = format!("/proc/{}/ns/net", pod.pid());
    let (mut bundle, counted) = counter(lab);
    bundle.join("network", &network);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = checkpoint(lab, &container, &[]);
    restore(lab, &bundle, &image, &[], &container.id);
    goes_on(&counted);
    let of = |path: String| fs::read_link(path).unwrap();
    assert_eq!(of(network), of(format!("/proc/{}/ns/net", container.pid())));
    container.end();
    pod.end();
}

fn a_restore_in_the_foreground_returns_the_status(lab: &Lab) {
    need_criu(lab);
    let mut bundle = lab.bundle();
    bundle.sh("while ! test -e /end; do sleep 0.05; done; exit 7");
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    let path = bundle.dir.display().to_string();
    let words = [
        "restore",
        "--image-path",
        &image,
        "--bundle",
        &path,
        &container.id,
    ];
    let running = lab.call(&words).deadline(Duration::from_secs(60)).start();
    eventually("it runs", || {
        container
            .corten(&["state"], &[])
            .out
            .contains("\"running\"")
    });
    fs::write(bundle.rootfs().join("end"), "").unwrap();
    let done = running.done();
    assert_eq!(done.code, 7, "{done:?}");
    assert_ne!(container.corten(&["state"], &[]).code, 0, "it is deleted");
}

/// Answers what is typed.
const ANSWERS: &str = "while read line; do echo got $line; test $line = end && exit 7; done";

fn a_terminal_comes_back_over_the_console_socket(lab: &Lab) {
    need_criu(lab);
    let socket = ConsoleSocket::new(lab);
    let path = socket.path.to_str().unwrap().to_owned();
    let mut bundle = lab.bundle();
    bundle.set("/process/terminal", json!(true)).sh(ANSWERS);
    let container = lab.create_with(&bundle, &["--console-socket", &path]);
    let mut terminal = socket.terminal();
    container.start();
    terminal.enter("one");
    terminal.expect("got one");
    for (flags, word) in [(&[][..], "two"), (&["--shell-job"], "three")] {
        let image = checkpoint(lab, &container, flags);
        let socket = ConsoleSocket::new(lab);
        let path = socket.path.to_str().unwrap().to_owned();
        let flags = [&["--console-socket", &path], flags].concat();
        restore(lab, &bundle, &image, &flags, &container.id);
        terminal = socket.terminal();
        terminal.enter(word);
        terminal.expect(&format!("got {word}"));
        fs::remove_dir_all(image).unwrap();
    }
    container.end();
}

/// The terminal of a test, on which a container runs in the foreground: what is typed is answered.
#[track_caller]
fn on_a_terminal(lab: &Lab, words: &[&str], typed: &str) -> (Running, Terminal) {
    let calling = lab.call(words).deadline(Duration::from_secs(60));
    let (running, mut terminal) = calling.start_on_a_terminal(80);
    terminal.enter(typed);
    terminal.expect(&format!("got {typed}"));
    (running, terminal)
}

/// `checkpoint --shell-job` of what runs there, which ends the call.
#[track_caller]
fn leave_the_terminal(lab: &Lab, running: Running, image: &str, id: &str) {
    let words = ["checkpoint", "--shell-job", "--image-path", image, id];
    call(lab, &words).ok();
    running.done();
    lab.corten(&["state", id]).fails(1, "does not exist");
}

fn a_terminal_of_its_own_comes_back_on_the_caller_s(lab: &Lab) {
    need_criu(lab);
    let mut bundle = lab.bundle();
    bundle.set("/process/terminal", json!(true)).sh(ANSWERS);
    let (path, id) = (bundle.write(), lab.id());
    let image = lab.path("image").display().to_string();
    let flags = ["--shell-job", "--image-path", &image, "--bundle", &path];
    let (running, _terminal) = on_a_terminal(lab, &["run", "--bundle", &path, &id], "one");
    leave_the_terminal(lab, running, &image, &id);
    let restore = [&["restore"], &flags[..], &[&id]].concat();
    let (running, mut terminal) = on_a_terminal(lab, &restore, "two");
    terminal.enter("end");
    assert_eq!(running.done().code, 7);
}

fn a_container_on_the_caller_s_terminal_comes_back_on_another(lab: &Lab) {
    need_criu(lab);
    let (path, id) = (lab.bundle().sh(ANSWERS).write(), lab.id());
    let image = lab.path("image").display().to_string();
    let flags = ["--shell-job", "--image-path", &image, "--bundle", &path];
    let (running, _terminal) = on_a_terminal(lab, &["run", "--bundle", &path, &id], "one");
    leave_the_terminal(lab, running, &image, &id);
    let restore = [&["restore"], &flags[..], &[&id]].concat();
    let (running, terminal) = on_a_terminal(lab, &restore, "two");
    leave_the_terminal(lab, running, &image, &id);
    drop(terminal);
    let detached = [&["restore", "--detach"], &flags[..], &[&id]].concat();
    let (running, mut terminal) = on_a_terminal(lab, &detached, "three");
    running.done().ok();
    terminal.enter("four");
    terminal.expect("got four");
    lab.corten(&["delete", "--force", &id]).ok();
}

fn streams_that_are_pipes_come_back(lab: &Lab) {
    need_criu(lab);
    let (bundle, id) = (
        lab.bundle()
            .sh("n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done")
            .clone(),
        lab.id(),
    );
    let path = bundle.write();
    // The reader of the pipe outlives the call.
    let (first, second) = (lab.path("first"), lab.path("second"));
    let through = |file: &Path| format!("\"$@\" > >(exec cat >{}) 2>&1", file.display());
    let words = ["run", "--detach", "--bundle", &path, &id];
    lab.call(&words).within(lab, &through(&first)).done().ok();
    let has = |file: &Path| {
        fs::read_to_string(file)
            .unwrap_or_default()
            .contains("line ")
    };
    eventually("it writes", || has(&first));
    let image = lab.path("image").display().to_string();
    call(lab, &["checkpoint", "--image-path", &image, &id]).ok();
    let words = [
        "restore",
        "--detach",
        "--image-path",
        &image,
        "--bundle",
        &path,
        &id,
    ];
    let restored = lab.call(&words).within(lab, &through(&second));
    restored.deadline(Duration::from_secs(60)).done().ok();
    eventually("it writes into the other pipe", || has(&second));
    let text = fs::read_to_string(&second).unwrap();
    assert!(!text.contains("line 1\n"), "it began again: {text}");
    lab.corten(&["delete", "--force", &id]).ok();
}

fn a_file_that_was_unlinked_comes_back(lab: &Lab) {
    need_criu(lab);
    let mut bundle = lab.bundle();
    bundle.sh("echo kept >/held; exec 7<>/held; rm /held; : >/ready; while ! test -e /end; do sleep 0.05; done; cat <&7 >/result; exec sleep 1000");
    let container = lab.start(&bundle);
    let ready = bundle.rootfs().join("ready");
    eventually("it holds the file", || ready.exists());
    let image = checkpoint(lab, &container, &["--file-locks", "--link-remap"]);
    restore(lab, &bundle, &image, &["--file-locks"], &container.id);
    fs::write(bundle.rootfs().join("end"), "").unwrap();
    let result = bundle.rootfs().join("result");
    eventually("the unlinked file is read", || {
        fs::read_to_string(&result).is_ok_and(|text| text == "kept\n")
    });
    container.end();
}

/// The loopback device of the container cannot be the end of a connection from outside, so both ends are in it.
fn a_connection_is_only_saved_when_asked_for(lab: &Lab) {
    need_criu(lab);
    let mut bundle = lab.bundle();
    for name in ["nc", "mkfifo"] {
        let link = bundle.rootfs().join("bin").join(name);
        if !link.exists() {
            std::os::unix::fs::symlink("busybox", link).unwrap();
        }
    }
    bundle.sh(
        "mkfifo /f; exec 8<>/f; nc -l -p 80 <&8 & until nc 127.0.0.1 80 <&8 2>/dev/null; do sleep 0.1; done",
    );
    let container = lab.start(&bundle);
    let established = || {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", container.pid()));
        table.unwrap_or_default().contains(" 01 ")
    };
    eventually("the connection is there", established);
    let image = lab.path("image").display().to_string();
    let done = call(lab, &["checkpoint", "--image-path", &image, &container.id]);
    assert!(
        done.code == 1 && done.err.contains("criu failed"),
        "{done:?}"
    );
    assert!(done.err.contains("dump.log"), "{done:?}");
    assert_eq!(container.status(), "running", "it goes on");
    let image = checkpoint(lab, &container, &["--tcp-established"]);
    restore(lab, &bundle, &image, &["--tcp-established"], &container.id);
    assert!(established());
    container.end();
}

fn a_cgroup_below_comes_back(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    let below = container.cgroup_dir().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cgroup.procs"), container.pid().to_string()).unwrap();
    let mode = ["--manage-cgroups-mode", "full"];
    let image = checkpoint(lab, &container, &mode);
    assert!(!below.exists());
    restore(lab, &bundle, &image, &mode, &container.id);
    goes_on(&counted);
    let procs = fs::read_to_string(below.join("cgroup.procs")).unwrap();
    assert!(
        procs.lines().any(|pid| pid == container.pid().to_string()),
        "{procs}"
    );
    container.end();
}

fn a_cgroup_below_that_the_configuration_asks_for_comes_back(lab: &Lab) {
    need_criu(lab);
    let (mut bundle, counted) = counter(lab);
    bundle.set("/annotations", json!({"run.oci.delegate-cgroup": "init"}));
    let container = lab.start(&bundle);
    let below = container.cgroup_dir().join("init");
    let members = || fs::read_to_string(below.join("cgroup.procs")).unwrap();
    assert!(members().contains(&container.pid().to_string()));
    let image = checkpoint(lab, &container, &[]);
    assert!(!below.exists());
    restore(lab, &bundle, &image, &[], &container.id);
    goes_on(&counted);
    assert!(members().contains(&container.pid().to_string()));
    container.end();
}

fn a_changed_mount_is_not_taken(lab: &Lab) {
    need_criu(lab);
    let (bundle, _) = counter(lab);
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    let mounts = Path::new(&image).join("mounts.json");
    let text = fs::read_to_string(&mounts).unwrap();
    assert!(text.contains("\"/same ro,"), "{text}");
    fs::write(&mounts, text.replace("\"/same ro,", "\"/same rw,")).unwrap();
    let path = bundle.dir.display().to_string();
    let done = call(
        lab,
        &[
            "restore",
            "--detach",
            "--image-path",
            &image,
            "--bundle",
            &path,
            &container.id,
        ],
    );
    assert!(done.code == 1 && done.err.contains("/same"), "{done:?}");
    assert_ne!(container.corten(&["state"], &[]).code, 0);
    assert!(!container.cgroup_dir().exists());
}

fn memory_goes_to_a_page_server(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = lab.path("image");
    fs::create_dir(&image).unwrap();
    let script = "criu page-server --images-dir \"$1\" --port 27812 --log-file page.log & \
                  for i in $(seq 200); do grep -q 6CA4 /proc/net/tcp && break; sleep 0.05; done; shift; \"$@\" && wait";
    let text = image.display().to_string();
    let words = [
        "checkpoint",
        "--image-path",
        &text,
        "--page-server",
        "127.0.0.1:27812",
        &container.id,
    ];
    let script = script.replace("$1", &text).replace("shift; ", "");
    let dumped = lab.call(&words).within(lab, &script);
    dumped.deadline(Duration::from_secs(60)).done().ok();
    restore(lab, &bundle, &text, &[], &container.id);
    goes_on(&counted);
    container.end();
}

fn a_failed_restore_leaves_nothing(lab: &Lab) {
    need_criu(lab);
    let (bundle, _) = counter(lab);
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    fs::remove_file(Path::new(&image).join("mm-1.img")).unwrap();
    let path = bundle.dir.display().to_string();
    let done = call(
        lab,
        &[
            "restore",
            "--detach",
            "--image-path",
            &image,
            "--bundle",
            &path,
            &container.id,
        ],
    );
    assert!(
        done.code == 1 && done.err.contains("criu failed"),
        "{done:?}"
    );
    assert!(done.err.contains("restore.log"), "{done:?}");
    assert_ne!(container.corten(&["state"], &[]).code, 0);
    assert!(!container.cgroup_dir().exists());
    let done = call(
        lab,
        &[
            "restore",
            "--detach",
            "--image-path",
            "/nowhere",
            "--bundle",
            &path,
            &container.id,
        ],
    );
    assert!(done.code == 1 && done.err.contains("/nowhere"), "{done:?}");
}

fn what_exec_started_is_said_to_be_lost(lab: &Lab) {
    need_criu(lab);
    let (bundle, data) = counter(lab);
    let container = lab.start(&bundle);
    container.exec_with(&["--detach"], &["sleep", "1000"]).ok();
    goes_on(&data);
    let image = lab.path("image").display().to_string();
    let words = ["checkpoint", "--image-path", &image, &container.id];
    let done = call(lab, &words).ok();
    let said = "warning: processes that exec started are not saved: ";
    assert_eq!(done.err.matches(said).count(), 1, "{done:?}");
    let id = lab.id();
    restore(lab, &bundle, &image, &[], &id);
    goes_on(&data);
    lab.corten(&["delete", "--force", &id]).ok();
}
