//! `explain`: the plan for people and for programs, in a pipe and on a terminal; it makes nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Lab, tests};

tests![
    explain_prints_the_plan_and_makes_nothing,
    reasons_and_system_calls_are_asked_for,
    a_terminal_gets_colours_and_lines_that_fit,
    who_wants_no_colours_gets_none,
    two_bundles_are_compared,
    a_bundle_that_is_wrong_is_explained_to_nobody,
];

/// Everything below a directory: paths, sizes, times of change.
fn tree(directory: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let data = entry.metadata().unwrap();
        let times = (data.mtime_nsec(), data.ctime_nsec(), data.len());
        found.push(format!("{} {times:?}", entry.path().display()));
        if data.is_dir() {
            found.extend(tree(&entry.path()));
        }
    }
    found.sort();
    found
}

fn explain_prints_the_plan_and_makes_nothing(lab: &Lab) {
    lab.need_corten("runc cannot show what it is going to do");
    let mut bundle = lab.bundle();
    let cgroups = || tree(Path::new("/sys/fs/cgroup").join(&lab.cgroup[1..]).as_path()).len();
    for terminal in [false, true] {
        let path = bundle.set("/process/terminal", json!(terminal)).write();
        let (before, groups) = ((tree(&bundle.dir), tree(&lab.root)), cgroups());
        let text = lab.corten(&["explain", &path]).ok().out;
        assert!(
            text.contains("pivot into the root filesystem") && text.contains("mounts[0]"),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "colours in a pipe: {text}");
        let json = lab.corten(&["explain", "--json", &path]).ok().out;
        let plan: Value = serde_json::from_str(&json).unwrap();
        let steps = plan["steps"].as_array().unwrap();
        assert!(
            steps.iter().any(|step| step["pointer"] == "/mounts/0"),
            "{json}"
        );
        let same = lab.corten(&["explain", "--format", "json", "--bundle", &path]);
        assert_eq!(same.ok().out, json);
        assert_eq!((tree(&bundle.dir), tree(&lab.root)), before);
        assert_eq!(cgroups(), groups);
    }
    assert_eq!(lab.corten(&["list", "--quiet"]).ok().out, "");
}

fn reasons_and_system_calls_are_asked_for(lab: &Lab) {
    lab.need_corten("runc cannot show what it is going to do");
    let path = lab.bundle().write();
    let plain = lab.corten(&["explain", &path]).ok().out;
    let why = lab.corten(&["explain", "--why", &path]).ok().out;
    assert!(
        why.contains("See pivot_root(2).") && !plain.contains("See "),
        "{why}"
    );
    let calls = lab.corten(&["explain", "--syscalls", &path]).ok().out;
    assert!(
        calls.contains("calls: clone3, ") && !calls.contains("See "),
        "{calls}"
    );
    for text in [&why, &calls] {
        let left: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("            "))
            .collect();
        assert_eq!(left, plain.lines().collect::<Vec<_>>());
    }
}

fn a_terminal_gets_colours_and_lines_that_fit(lab: &Lab) {
    lab.need_corten("runc cannot show what it is going to do");
    let path = lab.bundle().write();
    for columns in [72, 100] {
        let call = lab.call(&["explain", "--why", &path]).env("TERM", "xterm");
        let (running, mut terminal) = call.start_on_a_terminal(columns);
        let text = terminal.rest();
        running.done().ok();
        assert!(text.contains("\x1b[1;36mnamespaces\x1b[0m"), "{text}");
        for line in text.lines() {
            let printed = line
                .split('\x1b')
                .enumerate()
                .map(|(index, part)| match index {
                    0 => part.chars().count(),
                    _ => part.chars().count() - part.find('m').unwrap() - 1,
                });
            assert!(
                printed.sum::<usize>() <= usize::from(columns),
                "{columns}: {line}"
            );
        }
    }
}

fn who_wants_no_colours_gets_none(lab: &Lab) {
    lab.need_corten("runc cannot show what it is going to do");
    let path = lab.bundle().write();
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let call = lab
            .call(&["explain", &path])
            .env("TERM", "xterm")
            .env(name, value);
        let (running, mut terminal) = call.start_on_a_terminal(200);
        let text = terminal.rest();
        running.done().ok();
        assert!(
            text.contains("pivot into") && !text.contains('\x1b'),
            "{text}"
        );
    }
}

fn two_bundles_are_compared(lab: &Lab) {
    lab.need_corten("runc cannot show what it is going to do");
    let (one, mut other) = (lab.bundle(), lab.bundle());
    other.set("/hostname", json!("elsewhere"));
    let cgroup = one.config["linux"]["cgroupsPath"].clone();
    other.set("/linux/cgroupsPath", cgroup);
    let (one, other) = (one.write(), other.write());
    assert_eq!(
        lab.corten(&["explain", "--diff", &one, &one])
            .ok()
            .out
            .lines()
            .filter(|line| !line.contains("alike"))
            .count(),
        0
    );
    let text = lab.corten(&["explain", "--diff", &other, &one]).ok().out;
    let changed: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(['-', '+']))
        .collect();
    assert!(
        changed.len() == 2 && changed[1].contains("set the hostname elsewhere"),
        "{text}"
    );
    let json = lab
        .corten(&["explain", "--json", "--diff", &other, &one])
        .ok()
        .json();
    assert_eq!(json["changes"][1]["change"], "added");
    assert_eq!(json["changes"][1]["pointer"], "/hostname");
}

fn a_bundle_that_is_wrong_is_explained_to_nobody(lab: &Lab) {
    lab.need_corten("runc cannot show what it is going to do");
    let right = lab.bundle().write();
    let mut wrong = lab.bundle();
    let wrong = wrong.set("/process/args", json!([])).write();
    let done = lab.corten(&["explain", &wrong]);
    assert!(
        done.code == 1 && done.out.is_empty() && done.err.contains("process.args"),
        "{done:?}"
    );
    let done = lab.corten(&["explain", "--diff", &wrong, &right]);
    assert!(
        done.code == 1 && done.out.is_empty() && done.err.contains("process.args"),
        "{done:?}"
    );
}
