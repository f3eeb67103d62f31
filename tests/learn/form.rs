//! What every chapter has, so that a reader finds it again in the next one.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Lab, tests};

tests![
    every_chapter_has_the_form_of_a_lesson,
    the_index_lists_every_chapter
];

/// The chapters in their order.
pub fn chapters() -> Vec<PathBuf> {
    let entries = fs::read_dir(crate::directory()).expect("there are lessons");
    let mut chapters: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    chapters.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".md") && name.starts_with(|letter: char| letter.is_ascii_digit())
    });
    chapters.sort();
    chapters
}

fn every_chapter_has_the_form_of_a_lesson(_: &Lab) {
    let mut faults = Vec::new();
    for path in chapters() {
        let text = fs::read_to_string(&path).unwrap();
        let has_picture = text.contains("```mermaid") || text.contains(".svg)");
        let mut require = |what: &str, holds: bool| {
            if !holds {
                faults.push(format!("{}: {what}", path.display()));
            }
        };
        require("a title in its first line", text.starts_with("# "));
        require(
            "a question below it, in bold",
            text.lines()
                .nth(2)
                .is_some_and(|line| line.starts_with("**") && line.ends_with("?**")),
        );
        require("a console", text.contains("```console"));
        require("a picture", has_picture);
        require("exercises", text.contains("\n## Exercises\n"));
        require("answers, folded", text.contains("<details>"));
        require(
            "a manual page",
            text.contains("(7)") || text.contains("(2)") || text.contains("(8)"),
        );
        for target in links(&text) {
            require(
                &format!("{target}, which it links to"),
                crate::directory().join(&target).exists(),
            );
        }
    }
    assert!(faults.is_empty(), "missing:\n{}", faults.join("\n"));
}

/// The files that a text links to.
fn links(text: &str) -> Vec<String> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target.split('#').next().unwrap().to_owned());
    targets
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

fn the_index_lists_every_chapter(_: &Lab) {
    let index = fs::read_to_string(crate::directory().join("README.md")).unwrap();
    for path in chapters() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let title = text
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("# ")
            .to_owned();
        assert!(
            index.contains(&format!("[{title}]({name})")),
            "docs/learn/README.md does not list [{title}]({name})"
        );
    }
    let missing: Vec<String> = links(&index)
        .into_iter()
        .filter(|target| !crate::directory().join(target).exists())
        .collect();
    assert!(
        missing.is_empty(),
        "docs/learn/README.md links to {missing:?}"
    );
}
