//! `--step`: each operation of both halves is shown, the person goes on or gives up, and nothing is left.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::pty::Terminal;
use crate::harness::{Bundle, Lab, tests};

tests![
    every_step_of_both_halves_is_shown_in_turn,
    what_is_given_up_is_undone,
    until_runs_without_stopping,
    until_must_name_a_step,
    a_terminal_of_the_containers_own_can_be_stepped_to,
    a_user_namespace_a_hook_and_a_filter_can_be_stepped_through,
    a_joined_user_namespace_can_be_stepped_through,
    a_shell_can_be_stepped_through,
    init_waits_where_it_says_it_is,
];

/// Prints `it ran`, which does not stand in its own words.
const RAN: &[&str] = &["sh", "-c", "echo it r''an"];

const PROMPT: &str = "q: give up  > ";

fn stepper(
    lab: &Lab,
    bundle: &Bundle,
    flags: &[&str],
) -> (crate::harness::call::Running, Terminal, String) {
    let (path, id) = (bundle.write(), lab.id());
    let words = [&["run", "--step"][..], flags, &["--bundle", &path, &id]].concat();
    let call = lab.call(&words).env("NO_COLOR", "1");
    let (running, terminal) = call.start_on_a_terminal(160);
    (running, terminal, id)
}

/// The plan of the same `run`, without what differs from that of a `create`.
fn planned(lab: &Lab, bundle: &Bundle) -> Vec<String> {
    let plan: Value = lab
        .corten(&["explain", "--json", &bundle.write()])
        .ok()
        .json();
    let differs = ["start", "requests", "keyring", "wait until the program"];
    let steps = plan["steps"].as_array().unwrap().iter();
    steps
        .map(|step| step["sentence"].as_str().unwrap().to_owned())
        .filter(|sentence| !differs.iter().any(|word| sentence.contains(word)))
        .collect()
}

fn every_step_of_both_halves_is_shown_in_turn(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let mut bundle = lab.bundle();
    bundle.args(RAN);
    let (running, mut terminal, id) = stepper(lab, &bundle, &[]);
    let text = answer_all(&mut terminal, "it ran");
    running.done().ok();
    // A step is its number and its sentence, which is folded where the terminal ends.
    let mut shown: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("   ")?.trim_start().split_once("  "))
        .filter_map(|(number, _)| number.parse().ok())
        .collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        (1..=text.matches(PROMPT).count()).collect::<Vec<_>>()
    );
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let planned = planned(lab, &bundle);
    assert!(planned.len() <= shown.len(), "{planned:?}");
    for sentence in planned {
        let start = sentence.split(' ').take(3).collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&start), "{sentence:?} is not in {text}");
    }
    assert!(
        flat.contains("there is no container yet") && flat.contains(",mountinfo,"),
        "{text}"
    );
    assert!(
        flat.contains("See pivot_root(2).") && flat.contains("calls: pivot_root"),
        "{text}"
    );
    lab.corten(&["state", &id]).fails(1, "does not exist");
}

/// Enter at every prompt until a text comes; all that was printed.
fn answer_all(terminal: &mut Terminal, end: &str) -> String {
    let mut answered = 0;
    loop {
        let text = terminal.expect_more_than(PROMPT, answered, end);
        if text.matches(PROMPT).count() <= answered {
            return text;
        }
        answered += 1;
        terminal.enter("");
    }
}

fn what_is_given_up_is_undone(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let bundle = lab.bundle();
    // In each part of the plan, and with the end of the input as well.
    for (until, answer) in [
        ("1", None),
        ("StartInit", Some("q")),
        ("PivotRoot", Some("q")),
        ("SetUid", None),
        ("WritePidFile", Some("q")),
        ("Execute", Some("q")),
    ] {
        let pid_file = lab.path("pid").display().to_string();
        let (running, mut terminal, id) =
            stepper(lab, &bundle, &["--until", until, "--pid-file", &pid_file]);
        terminal.expect(PROMPT);
        match answer {
            Some(word) => terminal.enter(word),
            None => terminal.end(),
        }
        let text = terminal.rest();
        let done = running.done();
        assert!(
            done.code == 1 && text.contains("given up before step"),
            "{until}: {text}"
        );
        lab.corten(&["state", &id]).fails(1, "does not exist");
        assert!(!Path::new(&pid_file).exists(), "{until}");
        let cgroup = bundle.config["linux"]["cgroupsPath"].as_str().unwrap();
        assert!(
            !Path::new("/sys/fs/cgroup").join(&cgroup[1..]).exists(),
            "{until}"
        );
    }
    lab.run(&bundle).ok();
}

fn until_runs_without_stopping(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let mut bundle = lab.bundle();
    bundle.args(RAN);
    // Words of a path are none of the step's.
    let elsewhere = bundle.rootfs().join("data/into the root");
    std::fs::create_dir_all(&elsewhere).unwrap();
    bundle.bind(&elsewhere, "/pivot", &["rbind"]);
    for until in ["PivotRoot", "pivot", "pivot into", "into the root"] {
        let (running, mut terminal, _) = stepper(lab, &bundle, &["--until", until]);
        let text = terminal.expect(PROMPT);
        assert_eq!(text.matches(PROMPT).count(), 1);
        assert!(text.contains("pivot into the root filesystem"), "{text}");
        terminal.enter("what?");
        terminal.enter("");
        terminal.expect_more_than(PROMPT, 2, "it ran");
        terminal.enter("c");
        let text = terminal.rest();
        running.done().ok();
        assert!(
            text.contains("it ran") && text.matches(PROMPT).count() == 3,
            "{text}"
        );
    }
}

fn until_must_name_a_step(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let (path, id) = (lab.bundle().write(), lab.id());
    let done = lab.corten(&["run", "--step", "--until", "paint", "--bundle", &path, &id]);
    done.fails(1, "--until: no step of the plan is \"paint\"");
    lab.corten(&["state", &id]).fails(1, "does not exist");
    let behind = lab.corten(&["shell", "--step", "--until", "Execute", "--", "true"]);
    behind.fails(1, "init cannot stop before \"Execute\"");
    lab.corten(&["run", "--until", "PivotRoot", "--bundle", &path, &id])
        .fails(1, "--step");
}

fn a_terminal_of_the_containers_own_can_be_stepped_to(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let mut bundle = lab.bundle();
    bundle.args(&["sh", "-c", "test -t 0 && echo it r''an"]);
    bundle.set("/process/terminal", json!(true));
    let (running, mut terminal, _) = stepper(lab, &bundle, &[]);
    let text = answer_all(&mut terminal, "it ran");
    running.done().ok();
    assert!(
        text.contains("receive the terminal") && text.contains("open a terminal"),
        "{text}"
    );
}

fn a_user_namespace_a_hook_and_a_filter_can_be_stepped_through(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let mut bundle = lab.bundle();
    bundle.userns();
    bundle.args(RAN);
    bundle.set("/hooks", json!({"createRuntime": [{"path": "/bin/true"}]}));
    // A filter that would end init, were it to ask once more.
    let allowed =
        json!({"names": ["read", "recvfrom", "ppoll", "poll"], "action": "SCMP_ACT_ERRNO"});
    bundle.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [allowed]}),
    );
    let (running, mut terminal, _) = stepper(lab, &bundle, &[]);
    let text = answer_all(&mut terminal, "it ran");
    drop(running.done());
    assert!(
        text.contains("load the system call filter") && text.contains("uid_map"),
        "{text}"
    );
    assert!(
        text.contains("run the createRuntime hook /bin/true"),
        "{text}"
    );
}

fn a_joined_user_namespace_can_be_stepped_through(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let mut bundle = lab.sleeper();
    bundle.userns();
    let other = lab.start(&bundle);
    bundle.join("user", &format!("/proc/{}/ns/user", other.pid()));
    bundle.args(RAN);
    bundle.set(
        "/linux/cgroupsPath",
        json!(format!("{}/joiner", lab.cgroup)),
    );
    let (running, mut terminal, _) = stepper(lab, &bundle, &[]);
    let text = answer_all(&mut terminal, "it ran");
    running.done().ok();
    assert!(
        text.contains("go on in a child") && text.contains("take over the process"),
        "{text}"
    );
    other.end();
}

fn a_shell_can_be_stepped_through(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let call = lab.call(&[
        "shell",
        "--step",
        "--until",
        "LoadFilter",
        "--",
        RAN[0],
        RAN[1],
        RAN[2],
    ]);
    let (running, mut terminal) = call.env("NO_COLOR", "1").start_on_a_terminal(100);
    let text = terminal.expect(PROMPT);
    assert!(
        text.contains("load the system call filter") && text.contains("init stops no more"),
        "{text}"
    );
    terminal.enter("");
    let text = answer_all(&mut terminal, "it ran");
    running.done().ok();
    assert!(text.contains("it ran"), "{text}");
}

fn init_waits_where_it_says_it_is(lab: &Lab) {
    lab.need_corten("runc has no steps");
    let bundle = lab.bundle();
    let (running, mut terminal, _) = stepper(lab, &bundle, &["--until", "SetHostname"]);
    let text = terminal.expect(PROMPT);
    let pid = text
        .split("look at /proc/")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let uts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/uts")).unwrap();
    assert_ne!(
        uts(pid),
        uts("self"),
        "init is in a uts namespace of its own"
    );
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    assert!(mounts.lines().count() > 1, "{mounts}");
    let cgroup = text.split("} and ").nth(1).unwrap().lines().next().unwrap();
    let members = fs::read_to_string(Path::new(cgroup).join("cgroup.procs")).unwrap();
    assert_eq!(members.trim(), pid);
    terminal.enter("q");
    terminal.rest();
    running.done();
    assert!(!Path::new("/proc").join(pid).exists());
}
