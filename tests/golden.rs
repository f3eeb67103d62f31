//! Golden plans: what each feature makes of a configuration, operation by operation, with the field
//! that asked. A change of behaviour is a change of these files; `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod plans;

use std::path::Path;

use corten::plan::{compile, show};

#[test]
fn plans_are_what_they_were() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    // criu stands where the laws want init: a golden file, and no case of theirs.
    let restored: plans::Case = ("restore", || {
        let run = plans::CASES.iter().find(|(name, _)| *name == "run");
        compile::restored(run.unwrap().1()).unwrap()
    });
    for (name, make) in plans::CASES.iter().chain([&restored]) {
        let path = directory.join(format!("{name}.txt"));
        let text = show::text(&make());
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

#[test]
fn the_same_input_gives_the_same_plan() {
    for (name, make) in plans::CASES {
        assert_eq!(make(), make(), "{name}");
    }
}

#[test]
fn every_operation_has_a_json_entry() {
    for (name, make) in plans::CASES {
        let plan = make();
        let json = show::json(&plan);
        assert_eq!(
            json["steps"].as_array().unwrap().len(),
            plan.init.len() + plan.runtime.len(),
            "{name}"
        );
    }
}
