//! create, start, run, state, kill, delete, stop: what each does and what each refuses.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::call::eventually;
use crate::harness::{Lab, tests};

tests![
    run_returns_the_exit_code_of_the_program,
    run_returns_128_and_the_signal_of_a_killed_program,
    run_passes_stdin_stdout_and_stderr,
    the_program_has_stdio_and_the_descriptors_that_were_promised,
    run_removes_the_container_at_the_end,
    run_with_keep_leaves_a_stopped_container,
    run_forwards_signals,
    run_in_the_background_returns_at_once,
    run_takes_the_working_directory_as_the_bundle,
    orphans_of_the_program_die_with_it,
    a_created_container_runs_nothing_until_start,
    a_created_container_keeps_its_first_configuration,
    state_follows_the_life_of_a_container,
    start_of_a_running_container_is_refused,
    start_of_a_stopped_container_is_refused,
    delete_of_a_running_container_is_refused,
    delete_of_a_created_container_ends_it,
    delete_with_force_ends_a_running_container,
    delete_with_force_of_an_unknown_id_succeeds,
    unknown_ids_do_not_exist,
    an_id_is_unique,
    an_id_can_be_used_again,
    kill_knows_every_spelling_of_a_signal,
    kill_knows_real_time_signals,
    kill_sends_sigterm_by_default,
    kill_refuses_unknown_signals,
    kill_of_a_stopped_container_is_refused,
    kill_all_reaches_every_process_of_a_shared_pid_namespace,
    pause_stops_and_resume_continues_every_process,
    pause_twice_and_resume_twice_are_refused,
    a_paused_container_can_be_deleted_with_force,
    a_created_container_that_is_paused_is_not_started_and_keeps_nobody_waiting,
    the_pid_file_holds_the_pid_without_a_newline,
    ps_lists_the_processes,
    ps_does_not_need_a_caller_who_hears_of_children,
    a_program_that_daemonizes_leaves_nothing,
    many_containers_live_side_by_side,
];

fn run_returns_the_exit_code_of_the_program(lab: &Lab) {
    for code in [0, 1, 42, 255] {
        let mut bundle = lab.bundle();
        bundle.sh(&format!("exit {code}"));
        assert_eq!(lab.run(&bundle).code, code);
    }
}

fn run_returns_128_and_the_signal_of_a_killed_program(lab: &Lab) {
    let mut bundle = lab.bundle();
    // The first process of a pid namespace ignores its own signals, so a child must die of it.
    bundle.share("pid").sh("kill -KILL $$");
    assert_eq!(lab.run(&bundle).code, 137);
}

fn run_passes_stdin_stdout_and_stderr(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("read line; echo out $line; echo err $line >&2");
    let done = lab
        .run_call(&bundle, &[], &lab.id())
        .stdin("hello\n")
        .done()
        .ok();
    assert_eq!(
        (done.out.as_str(), done.err.as_str()),
        ("out hello\n", "err hello\n")
    );
}

fn the_program_has_stdio_and_the_descriptors_that_were_promised(lab: &Lab) {
    let files = ["first", "second", "third"].map(|name| lab.file(name, &format!("{name}\n")));
    let [first, second, third] = files.map(|path| path.display().to_string());
    let promise = format!(
        "exec 3<{first} 4<{second} 5<{third} 9</; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\""
    );
    let mut bundle = lab.bundle();
    bundle.sh("ls /proc/$$/fd; cat <&3; cat <&4; echo $LISTEN_FDS");
    let call = lab.run_call(&bundle, &["--preserve-fds", "1"], &lab.id());
    let done = call.within(lab, &promise).done().ok();
    let expected = ["0", "1", "2", "3", "4", "first", "second", "1"];
    assert_eq!(done.lines(), expected, "{done:?}");
}

fn run_removes_the_container_at_the_end(lab: &Lab) {
    let (bundle, id) = (lab.bundle(), lab.id());
    lab.run_call(&bundle, &[], &id).done().ok();
    lab.corten(&["state", &id]).fails(1, "does not exist");
}

fn run_with_keep_leaves_a_stopped_container(lab: &Lab) {
    let (mut bundle, id) = (lab.bundle(), lab.id());
    bundle.sh("exit 3");
    assert_eq!(lab.run_call(&bundle, &["--keep"], &id).done().code, 3);
    assert_eq!(lab.corten(&["state", &id]).ok().json()["status"], "stopped");
    lab.corten(&["delete", &id]).ok();
}

fn run_forwards_signals(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("trap 'echo got HUP' HUP; trap 'echo got TERM; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let mut running = lab.run_call(&bundle, &[], &lab.id()).start();
    running.wait_for("ready");
    running.signal(Signal::SIGHUP);
    running.wait_for("got HUP");
    running.signal(Signal::SIGTERM);
    let done = running.done();
    assert!(done.out.contains("got TERM"), "{done:?}");
    assert_eq!(done.code, 7);
}

fn run_in_the_background_returns_at_once(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    assert_eq!(container.status(), "running");
    container.end();
}

fn run_takes_the_working_directory_as_the_bundle(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.args(&["echo", "here"]).write();
    let done = lab
        .call(&["run", &lab.id()])
        .current_dir(&bundle.dir)
        .done()
        .ok();
    assert_eq!(done.out, "here\n");
}

fn orphans_of_the_program_die_with_it(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("sleep 1000 & sleep 1000 & exit 5");
    assert_eq!(lab.run(&bundle).code, 5);
}

fn a_created_container_runs_nothing_until_start(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("echo ran > /ran; sleep 1000");
    let ran = bundle.rootfs().join("ran");
    let container = lab.create(&bundle);
    assert!(!ran.exists());
    container.start();
    eventually("the program runs", || ran.exists());
    container.end();
}

fn a_created_container_keeps_its_first_configuration(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.args(&["echo", "first"]);
    let container = lab.create(&bundle);
    bundle.args(&["echo", "second"]).write();
    container.start();
    container.wait();
    assert_eq!(container.out(), "first\n");
    container.delete();
}

fn state_follows_the_life_of_a_container(lab: &Lab) {
    let mut bundle = lab.sleeper();
    bundle.set("/annotations", json!({"colour": "red"}));
    let container = lab.create(&bundle);
    let state = container.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], container.id.as_str());
    assert_eq!(state["bundle"], bundle.dir.to_str().unwrap());
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().unwrap());
    assert_eq!(state["annotations"]["colour"], "red");
    assert!(
        state["ociVersion"].as_str().unwrap().starts_with("1."),
        "{state}"
    );
    assert!(
        state["created"].as_str().unwrap().starts_with("20"),
        "{state}"
    );
    let pid = state["pid"].as_i64().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    container.start();
    assert_eq!(container.status(), "running");
    assert_eq!(
        container.state()["pid"].as_i64(),
        Some(pid),
        "the pid stays"
    );
    container.kill("KILL");
    container.wait();
    assert_eq!(
        container.state()["pid"],
        0,
        "a stopped container has no process"
    );
    container.delete();
    lab.corten(&["state", &container.id])
        .fails(1, "does not exist");
    assert!(!container.cgroup_dir().exists());
    assert!(fs::read_dir(&lab.root).unwrap().next().is_none());
}

fn start_of_a_running_container_is_refused(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    container
        .corten(&["start"], &[])
        .fails(1, "cannot start an already running container");
    assert_eq!(container.status(), "running", "nothing has changed");
    container.end();
}

fn start_of_a_stopped_container_is_refused(lab: &Lab) {
    let container = lab.start(&lab.bundle());
    container.wait();
    container
        .corten(&["start"], &[])
        .fails(1, "cannot start a container that has stopped");
    container.delete();
}

fn delete_of_a_running_container_is_refused(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    container
        .corten(&["delete"], &[])
        .fails(1, "that is not stopped: running");
    assert_eq!(container.status(), "running", "nothing has changed");
    container.end();
}

fn delete_of_a_created_container_ends_it(lab: &Lab) {
    let container = lab.create(&lab.bundle());
    container.delete();
    container.corten(&["state"], &[]).fails(1, "does not exist");
}

fn delete_with_force_ends_a_running_container(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("trap '' TERM HUP INT; sleep 1000 & wait");
    let container = lab.start(&bundle);
    container.end();
    container.corten(&["state"], &[]).fails(1, "does not exist");
}

fn delete_with_force_of_an_unknown_id_succeeds(lab: &Lab) {
    lab.corten(&["delete", "--force", "nobody"]).ok();
    lab.corten(&["delete", "nobody"]).fails(1, "does not exist");
}

fn unknown_ids_do_not_exist(lab: &Lab) {
    for command in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        lab.corten(&[command, "nobody"])
            .fails(1, "container does not exist");
    }
    let done = lab.corten(&["exec", "nobody", "true"]);
    assert!(
        done.code != 0 && done.err.contains("container does not exist"),
        "{done:?}"
    );
}

fn an_id_is_unique(lab: &Lab) {
    let bundle = lab.sleeper();
    let container = lab.start(&bundle);
    lab.run_call(&lab.bundle(), &[], &container.id)
        .done()
        .fails(1, "already exists");
    assert_eq!(container.status(), "running", "the first one lives on");
    container.end();
}

fn an_id_can_be_used_again(lab: &Lab) {
    let (bundle, id) = (lab.bundle(), lab.id());
    for _ in 0..3 {
        lab.run_call(&bundle, &[], &id).done().ok();
    }
}

/// A container that writes the number of each signal it gets.
const LISTENER: &str = "for s in 1 2 10 12 15 18; do trap \"echo got $s\" $s; done; echo ready; while :; do sleep 0.05; done";

fn kill_knows_every_spelling_of_a_signal(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh(LISTENER);
    let container = lab.start(&bundle);
    container.call.wait_for("ready");
    for (word, number) in [
        ("HUP", 1),
        ("SIGINT", 2),
        ("sigusr1", 10),
        ("usr2", 12),
        ("Term", 15),
        ("18", 18),
    ] {
        container.kill(word);
        container.call.wait_for(&format!("got {number}\n"));
    }
    container.end();
}

fn kill_knows_real_time_signals(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh(
        "trap 'echo got 36' 36; trap 'echo got 34' 34; echo ready; while :; do sleep 0.05; done",
    );
    let container = lab.start(&bundle);
    container.call.wait_for("ready");
    container.kill("36");
    container.call.wait_for("got 36");
    container.end();
}

fn kill_sends_sigterm_by_default(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh(LISTENER);
    let container = lab.start(&bundle);
    container.call.wait_for("ready");
    container.corten(&["kill"], &[]).ok();
    container.call.wait_for("got 15\n");
    container.end();
}

fn kill_refuses_unknown_signals(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    for word in ["NOTHING", "SIGFOO", "TERMINATE"] {
        container
            .corten(&["kill"], &[word])
            .fails(1, &format!("unknown signal \"{word}\""));
    }
    for word in ["-5", "100000"] {
        assert_ne!(
            container.corten(&["kill"], &[word]).code,
            0,
            "{word:?} was taken for a signal"
        );
    }
    assert_eq!(container.status(), "running");
    container.end();
}

fn kill_of_a_stopped_container_is_refused(lab: &Lab) {
    let container = lab.start(&lab.bundle());
    container.wait();
    container
        .corten(&["kill"], &["TERM"])
        .fails(1, "container not running");
    container.corten(&["kill", "--all"], &["KILL"]).ok();
    container.delete();
}

fn kill_all_reaches_every_process_of_a_shared_pid_namespace(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .share("pid")
        .sh("sleep 1000 & sleep 1000 & echo ready; wait");
    let container = lab.start(&bundle);
    container.call.wait_for("ready");
    container.corten(&["kill", "--all"], &["KILL"]).ok();
    container.wait();
    eventually("no process is left", || {
        fs::read_to_string(container.cgroup_dir().join("cgroup.procs"))
            .unwrap()
            .is_empty()
    });
    container.delete();
}

fn pause_stops_and_resume_continues_every_process(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.01; done");
    let count = bundle.rootfs().join("count");
    let container = lab.start(&bundle);
    eventually("it counts", || count.exists());
    container.corten(&["pause"], &[]).ok();
    assert_eq!(container.status(), "paused");
    let frozen = fs::read_to_string(container.cgroup_dir().join("cgroup.events")).unwrap();
    assert!(
        frozen.contains("frozen 1"),
        "pause returns when they stand still: {frozen}"
    );
    let stands = fs::read_to_string(&count).unwrap();
    container
        .corten(&["exec"], &["true"])
        .fails(255, "cannot exec in a paused container");
    container.corten(&["start"], &[]).fails(1, "cannot start");
    assert_eq!(fs::read_to_string(&count).unwrap(), stands);
    container.corten(&["resume"], &[]).ok();
    assert_eq!(container.status(), "running");
    eventually("it counts again", || {
        fs::read_to_string(&count).unwrap() != stands
    });
    container.end();
}

fn pause_twice_and_resume_twice_are_refused(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    container
        .corten(&["resume"], &[])
        .fails(1, "container not paused");
    container.corten(&["pause"], &[]).ok();
    container
        .corten(&["pause"], &[])
        .fails(1, "container not running");
    container.corten(&["resume"], &[]).ok();
    container.end();
}

fn a_created_container_that_is_paused_is_not_started_and_keeps_nobody_waiting(lab: &Lab) {
    let container = lab.create(&lab.sleeper());
    container.corten(&["pause"], &[]).ok();
    // More than the gate's queue holds, which a frozen init does not empty.
    for _ in 0..20 {
        assert!(
            container
                .corten(&["state"], &[])
                .ok()
                .out
                .contains("paused")
        );
    }
    container.corten(&["start"], &[]).fails(1, "start");
    container.corten(&["resume"], &[]).ok();
    container.corten(&["start"], &[]).ok();
    container.end();
}

fn a_paused_container_can_be_deleted_with_force(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    container.corten(&["pause"], &[]).ok();
    container
        .corten(&["delete"], &[])
        .fails(1, "that is not stopped: paused");
    container.end();
}

fn the_pid_file_holds_the_pid_without_a_newline(lab: &Lab) {
    let (file, bundle) = (lab.path("pid"), lab.sleeper());
    let container = lab.create_with(&bundle, &["--pid-file", file.to_str().unwrap()]);
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        container.pid().to_string()
    );
    let out = container.exec_with(
        &["--detach", "--pid-file", file.to_str().unwrap()],
        &["sleep", "1000"],
    );
    container.start();
    drop(out); // exec in a created container may be refused or not; the file of create is what counts here
    container.end();
    // A relative path counts from where the caller stands, not from the bundle.
    let path = bundle.write();
    let id = lab.id();
    lab.call(&["create", "--pid-file", "here", "--bundle", &path, &id])
        .current_dir(&lab.dir)
        .done()
        .ok();
    assert!(lab.dir.join("here").exists());
    lab.corten(&["delete", "--force", &id]).ok();
}

fn ps_lists_the_processes(lab: &Lab) {
    lab.need_program("ps");
    let mut bundle = lab.bundle();
    bundle.sh("sleep 999 & echo ready; sleep 1000");
    let container = lab.start(&bundle);
    container.call.wait_for("ready");
    let pid = container.pid();
    let list = container
        .corten(&["ps", "--format", "json"], &[])
        .ok()
        .json();
    assert!(list.as_array().unwrap().contains(&json!(pid)), "{list}");
    assert!(list.as_array().unwrap().len() >= 2, "{list}");
    let table = container.corten(&["ps"], &[]).ok();
    assert!(table.lines()[0].contains("PID"), "{table:?}");
    assert!(table.out.contains("sleep 999"), "{table:?}");
    let short = container.corten(&["ps"], &["-o", "pid,comm"]).ok();
    assert!(
        short.out.contains(&pid.to_string()) && !short.out.contains("999"),
        "{short:?}"
    );
    container.end();
}

fn ps_does_not_need_a_caller_who_hears_of_children(lab: &Lab) {
    lab.need_corten("of runc nobody asks it");
    let container = lab.start(&lab.sleeper());
    let done = lab
        .call(&["ps", &container.id])
        .within(lab, "exec env --ignore-signal=CHLD \"$@\"")
        .done()
        .ok();
    assert!(done.out.contains("sleep 1000"), "{done:?}");
    container.end();
}

fn a_program_that_daemonizes_leaves_nothing(lab: &Lab) {
    lab.need_corten("runc 1.1 leaves the cgroup");
    let mut bundle = lab.bundle();
    bundle
        .share("pid")
        .sh("setsid sh -c 'setsid sleep 1000 &'; sleep 0.1");
    lab.run(&bundle).ok();
}

fn many_containers_live_side_by_side(lab: &Lab) {
    let bundles: Vec<_> = (0..8).map(|_| lab.sleeper()).collect();
    let containers: Vec<_> = bundles.iter().map(|bundle| lab.start(bundle)).collect();
    let list = lab.corten(&["list", "--format", "json"]).ok().json();
    assert_eq!(list.as_array().unwrap().len(), containers.len());
    // A link to a bundle is as good as the bundle.
    symlink(&bundles[0].dir, lab.dir.join("link")).unwrap();
    for container in containers {
        container.end();
    }
}
