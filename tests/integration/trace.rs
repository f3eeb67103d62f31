//! `--trace`: when each step of both halves began and ended.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Lab, tests};

tests!(
    a_trace_has_every_step_of_both_halves_on_one_clock,
    a_trace_of_a_failed_run_ends_with_the_step_that_failed,
    a_timeline_goes_to_standard_error,
    exec_is_traced_too,
    a_trace_that_cannot_be_written_stops_before_anything_is_made,
    explain_makes_nothing_and_traces_nothing,
);

fn events(path: &str) -> Vec<Value> {
    let trace: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

/// The sentences of one half, `runtime` 1 or `init` 2, in the order of their beginnings.
fn steps(events: &[Value], thread: u64) -> Vec<&str> {
    let mut steps: Vec<_> = events
        .iter()
        .filter(|event| event["ph"] == "X" && event["tid"] == thread)
        .collect();
    steps.sort_by(|a, b| a["ts"].as_f64().partial_cmp(&b["ts"].as_f64()).unwrap());
    steps
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect()
}

fn a_trace_has_every_step_of_both_halves_on_one_clock(lab: &Lab) {
    lab.need_corten("runc has no trace");
    let mut bundle = lab.bundle();
    bundle.args(&["true"]);
    let path = lab.path("trace.json").display().to_string();
    lab.run_with(&bundle, &["--trace", &path]).ok();
    let events = events(&path);
    let plan = lab
        .corten(&["explain", "--json", "--bundle", &bundle.write()])
        .ok();
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    let sentences = plan["steps"].as_array().unwrap().iter();
    let planned: Vec<_> = sentences
        .filter(|step| step["actor"] == "init")
        .map(|step| step["sentence"].as_str().unwrap())
        // `explain` shows a create, which waits for start or an end, of a container with another id.
        .filter(|sentence| {
            let other = ["start", "requests", "keyring"];
            !other.iter().any(|word| sentence.contains(word))
        })
        .collect();
    let init = steps(&events, 2);
    for sentence in planned {
        assert!(init.contains(&sentence), "{sentence:?} is not in {init:?}");
    }
    let runtime = steps(&events, 1);
    assert_eq!(runtime[0], "read config.json");
    assert_eq!(runtime.last(), Some(&"wait until the program is executed"));
    // One clock: init begins while the runtime waits, and ends before the runtime has seen it.
    let at = |name: &str| {
        let event = events.iter().find(|event| event["name"] == name).unwrap();
        let begin = event["ts"].as_f64().unwrap();
        (begin, begin + event["dur"].as_f64().unwrap())
    };
    let (execute, seen) = (at("execute true").0, at(runtime[runtime.len() - 1]));
    assert!(execute <= seen.1, "{execute} {seen:?}");
    assert!(events.iter().all(|event| event["ph"] == "M"
        || event["dur"].as_f64().unwrap() >= 0.0 && event["ts"].as_f64().unwrap() >= 0.0));
    assert!(
        events
            .iter()
            .any(|event| event["args"]["field"] == "process.args")
    );
}

fn a_trace_of_a_failed_run_ends_with_the_step_that_failed(lab: &Lab) {
    lab.need_corten("runc has no trace");
    let mut bundle = lab.bundle();
    bundle.set("/process/args", json!(["/nothing/here"]));
    let path = lab.path("trace.json").display().to_string();
    let done = lab.run_with(&bundle, &["--trace", &path]);
    assert_ne!(done.code, 0);
    let events = events(&path);
    assert_eq!(
        steps(&events, 2).last(),
        Some(&"find the program /nothing/here")
    );
}

fn a_timeline_goes_to_standard_error(lab: &Lab) {
    lab.need_corten("runc has no trace");
    let mut bundle = lab.bundle();
    bundle.args(&["echo", "hello"]);
    let done = lab.run_with(&bundle, &["--trace", "-"]).ok();
    assert_eq!(done.out, "hello\n");
    let pivot = done.err.lines().find(|line| line.contains("pivot into"));
    assert!(
        pivot.is_some_and(|line| line.contains("init") && line.contains('█')),
        "{}",
        done.err
    );
}

fn exec_is_traced_too(lab: &Lab) {
    lab.need_corten("runc has no trace");
    let container = lab.start(&lab.sleeper());
    let path = lab.path("trace.json").display().to_string();
    container
        .corten(&["exec", "--trace", &path], &["true"])
        .ok();
    let events = events(&path);
    assert!(steps(&events, 2).len() > 5 && steps(&events, 1).len() > 2);
    container.end();
}

fn a_trace_that_cannot_be_written_stops_before_anything_is_made(lab: &Lab) {
    lab.need_corten("runc has no trace");
    let bundle = lab.bundle();
    lab.run_with(&bundle, &["--trace", "/nothing/here/trace"])
        .fails(1, "--trace: cannot write /nothing/here/trace");
}

fn explain_makes_nothing_and_traces_nothing(lab: &Lab) {
    lab.need_corten("runc has no explain");
    let bundle = lab.bundle().write();
    lab.corten(&["explain", "--trace", "x", &bundle])
        .fails(1, "-trace");
}
