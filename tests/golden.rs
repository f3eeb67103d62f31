//! Golden plans: what each feature makes of a configuration, operation by operation, with the field
//! that asked. A change of behaviour is a change of these files; `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod plans;
mod schema;

use std::path::Path;

use corten::plan::show::{self, Colours, Look, diff};
use corten::plan::{Plan, restored};
use serde_json::Value;

fn case(name: &str) -> Plan {
    let found = plans::CASES.iter().find(|(case, _)| *case == name);
    found.unwrap().1()
}

fn side(plan: &Plan) -> diff::Side<'_> {
    let bundle = "/bundle";
    diff::Side { plan, bundle }
}

/// All texts, by the names of their files.
fn texts() -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = plans::CASES
        .iter()
        .map(|(name, make)| ((*name).to_owned(), show::text(&make())))
        .collect();
    // criu stands where the laws want init: a golden file, and no case of theirs.
    let restored = restored::of_run(case("run")).unwrap();
    let look = Look {
        why: true,
        calls: true,
        width: Some(100),
        ..Look::default()
    };
    let (rooted, own_users) = (case("create"), case("user_namespace"));
    texts.extend([
        ("restore".to_owned(), show::text(&restored)),
        (
            "run_with_reasons".to_owned(),
            show::text_with(&case("run"), look),
        ),
        (
            "diff_user_namespace".to_owned(),
            diff::text(&side(&rooted), &side(&own_users), Look::default()),
        ),
    ]);
    texts
}

#[test]
fn plans_are_what_they_were() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for (name, text) in texts() {
        let path = directory.join(format!("{name}.txt"));
        if update {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
            different.push(format!("{}:\n{text}", path.display()));
        }
    }
    assert!(
        different.is_empty(),
        "not as the golden file:\n{}",
        different.join("\n")
    );
}

/// The schema of a file in docs/schema.
fn schema_of(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/schema")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_document_of_errors_is_that_of_their_pages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let text = corten::error::pages::document();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/errors.md is old: UPDATE_GOLDEN=1 cargo test --test golden"
    );
}

#[test]
fn json_is_as_its_schema_says() {
    let (schema, of_changes) = (schema_of("explain.json"), schema_of("explain-diff.json"));
    let base = case("create");
    for (name, make) in plans::CASES {
        let plan = make();
        let errors = schema::errors(&schema, &show::json(&plan));
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let changes = diff::json(&side(&base), &side(&plan));
        let errors = schema::errors(&of_changes, &changes);
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    let mut broken = show::json(&base);
    broken["steps"][0]["actor"] = "nobody".into();
    broken["steps"][1].as_object_mut().unwrap().remove("why");
    broken["steps"][2]["colour"] = "red".into();
    assert_eq!(schema::errors(&schema, &broken).len(), 3);
}

#[test]
fn what_changes_is_what_only_one_plan_has() {
    let (a, b) = (case("create"), case("run"));
    let same = diff::json(&side(&a), &side(&a));
    assert_eq!(same["changes"].as_array().unwrap().len(), 0);
    assert_eq!(same["alike"], a.init.len() + a.runtime.len());
    let changes = diff::json(&side(&a), &side(&b));
    let of = |word: &str| {
        let list = changes["changes"].as_array().unwrap().iter();
        let of = list.filter(|change| change["change"] == word);
        of.map(|change| change["operation"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("removed"),
        [
            "MakeStartSocket",
            "ListenForRequests",
            "AwaitStart",
            "ListenForStart",
            "DropExecutable"
        ]
    );
    assert_eq!(of("added"), ["DropExecutable", "AwaitExecution"]);
    // Whatever moves is told twice: order matters.
    for (name, make) in plans::CASES {
        let other = make();
        let changes = diff::json(&side(&a), &side(&other));
        let list = changes["changes"].as_array().unwrap();
        let count = |word: &str| {
            list.iter()
                .filter(|change| change["change"] == word)
                .count()
        };
        let alike = usize::try_from(changes["alike"].as_u64().unwrap()).unwrap();
        assert_eq!(
            alike + count("removed"),
            a.init.len() + a.runtime.len(),
            "{name}"
        );
        assert_eq!(
            alike + count("added"),
            other.init.len() + other.runtime.len(),
            "{name}"
        );
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (name, make) in plans::CASES {
        for width in [80, 100, 140] {
            let look = Look {
                why: true,
                calls: true,
                width: Some(width),
                ..Look::default()
            };
            for line in show::text_with(&make(), look).lines() {
                assert!(line.chars().count() <= width, "{name}, {width}: {line}");
            }
        }
    }
}

#[test]
fn colours_change_no_word() {
    let plan = case("process");
    let look = Look {
        colours: Colours::Ansi,
        ..Look::default()
    };
    let mut text = show::text_with(&plan, look);
    assert!(text.contains("\x1b["));
    while let Some(start) = text.find("\x1b[") {
        let end = start + text[start..].find('m').unwrap();
        text.replace_range(start..=end, "");
    }
    assert_eq!(text, show::text(&plan));
}

#[test]
fn the_same_input_gives_the_same_plan() {
    for (name, make) in plans::CASES {
        assert_eq!(make(), make(), "{name}");
    }
}
