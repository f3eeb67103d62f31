//! Errors with a next step: numbers that stay, pages, and where the number may not be.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Bundle, Lab, tests};

tests![
    every_number_has_a_page,
    failures_have_the_number_of_their_kind,
    the_number_is_for_a_terminal_and_never_among_the_words,
];

fn every_number_has_a_page(lab: &Lab) {
    lab.need_corten("runc has no numbers");
    let list = lab.corten(&["explain-error"]).ok().out;
    assert!(list.lines().count() > 30, "{list}");
    for line in list.lines() {
        let (number, title) = line.split_once("  ").unwrap();
        let page = lab.corten(&["explain-error", number]).ok().out;
        assert!(page.starts_with(&format!("{number}: {title}\n")), "{page}");
        for part in ["Usual causes:", "What to do:", "For example:"] {
            assert!(page.contains(part), "{page}");
        }
    }
    let same = lab.corten(&["explain-error", "e0201"]).ok().out;
    assert_eq!(lab.corten(&["explain-error", "201"]).ok().out, same);
    lab.corten(&["explain-error", "E9999"])
        .fails(1, "no such error: \"E9999\"");
}

/// The number in the JSON log of a `run` that fails, and all it says on stderr.
fn number(lab: &Lab, bundle: &Bundle) -> (String, String) {
    let (log, dir, id) = (
        lab.path("log").display().to_string(),
        bundle.write(),
        lab.id(),
    );
    let done = lab.corten(&[
        "--log",
        &log,
        "--log-format",
        "json",
        "run",
        "--bundle",
        &dir,
        &id,
    ]);
    assert_ne!(done.code, 0, "{done:?}");
    let line: Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
    (line["number"].as_str().unwrap().to_owned(), done.err)
}

fn failures_have_the_number_of_their_kind(lab: &Lab) {
    lab.need_corten("runc has no numbers");
    let cases: [(&str, &str, Value); 8] = [
        ("E0201", "/process/cwd", json!("relative")),
        // A list of another type is the property's fault, since the file is JSON.
        ("E0201", "/process/args", json!("no list")),
        ("E0204", "/root/path", json!("nowhere")),
        ("E0506", "/process/args", json!(["/no/such/program"])),
        ("E0506", "/process/args", json!(["no-such-program"])),
        ("E0507", "/process/args", json!(["/etc"])),
        (
            "E0501",
            "/mounts/0",
            json!({"destination": "/srv", "type": "nosuchfs", "source": "x"}),
        ),
        (
            "E0505",
            "/hooks",
            json!({"createRuntime": [{"path": "/bin/false"}]}),
        ),
    ];
    for (expected, pointer, value) in cases {
        let mut bundle = lab.bundle();
        bundle.set(pointer, value.clone());
        let (number, words) = number(lab, &bundle);
        assert_eq!(number, expected, "{pointer} {value}: {words}");
    }
    let log = lab.path("log").display().to_string();
    lab.corten(&["--log", &log, "--log-format", "json", "state", "nobody"]);
    assert!(
        fs::read_to_string(&log)
            .unwrap()
            .contains("\"number\":\"E0301\"")
    );
}

fn the_number_is_for_a_terminal_and_never_among_the_words(lab: &Lab) {
    lab.need_corten("runc has no numbers");
    let done = lab.corten(&["state", "nobody"]);
    assert_eq!(done.err.trim_end(), "corten: container does not exist");
    let (running, mut terminal) = lab.call(&["state", "nobody"]).start_on_a_terminal(100);
    let text = terminal.rest();
    assert_eq!(running.done().code, 1);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "corten: container does not exist",
            "E0301: corten explain-error E0301 says more"
        ]
    );
}
