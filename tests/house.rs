//! The rules of the house that can be read off the source.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

/// All Rust files below src, by their path from there, without their test modules.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            (
                path.strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
                code,
            )
        })
        .collect()
}

/// Lines of code, numbered, without comments.
fn lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = code
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.trim()));
    code.filter(|(_, line)| !line.starts_with("//"))
}

fn breaches(files: impl Fn(&str) -> bool, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, code) in sources().into_iter().filter(|(path, _)| files(path)) {
        for (number, line) in lines(&code) {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                found.push(format!("src/{path}:{number}: {word}: {line}"));
            }
        }
    }
    found
}

#[test]
fn a_plan_asks_the_system_nothing() {
    // What plans may name of `sys` is data: the arguments of operations.
    let forbidden = [
        "std::fs",
        "std::env",
        "std::process",
        "crate::execute",
        "sys::fs",
        "sys::namespace",
        "sys::socket",
        "sys::bpf",
        "libc::open",
        "libc::getpid",
        "Instant::now",
        "SystemTime",
        "procfs::",
    ];
    let is_plan = |path: &str| {
        path.contains("plan/") || path.ends_with("/plan.rs") || path == "rootfs/devices.rs"
    };
    let found = breaches(is_plan, &forbidden);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_init_calls_does_not_allocate() {
    let forbidden = [
        "format!",
        "println!",
        "eprintln!",
        "vec![",
        "Vec::",
        "String::",
        "Box::",
        ".to_owned()",
        ".to_string()",
        ".collect",
        "HashMap",
        "crate::config::Spec",
        "panic!",
        ".expect(",
        "serde_json",
    ];
    let is_init = |path: &str| {
        [
            "execute/init.rs",
            "execute/spent.rs",
            "rootfs/run.rs",
            "rootfs/overlay.rs",
            "rootfs/hide.rs",
            "rootfs/resolve.rs",
            "rootfs/copy.rs",
            "process/run.rs",
            "process/home.rs",
            "process/elf.rs",
        ]
        .contains(&path)
    };
    let found = breaches(is_init, &forbidden);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_stays_behind_its_fence() {
    let is_outside = |path: &str| {
        !path.starts_with("sys/")
            && !["execute/clone.rs", "execute/report.rs", "main.rs"].contains(&path)
    };
    let found = breaches(is_outside, &["unsafe {", "unsafe fn", "unsafe impl"]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_result_is_thrown_away_without_a_reason() {
    let found = breaches(|_| true, &["let _ ="]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_room_begins_with_an_essay() {
    for (path, code) in sources()
        .into_iter()
        .filter(|(path, _)| path.ends_with("/mod.rs"))
    {
        let essay = code
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        assert!(essay >= 5, "src/{path} has an essay of {essay} lines");
    }
}

/// The names of the claims in tests/engines/groups, and those in docs/engines.md between backticks at the start of a row.
#[test]
fn the_table_of_engines_names_every_claim() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut claims = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(root.join("tests/engines/groups")).unwrap() {
        for line in read(&entry.unwrap().path()).lines() {
            let line = line.trim_start();
            // Some are made only where a condition holds.
            let line = line.find("|| claim \"").map_or(line, |at| &line[at + 3..]);
            let start = ["claim \"", "differs \""]
                .iter()
                .find_map(|word| line.strip_prefix(word));
            let name = start.and_then(|rest| rest.split('"').next());
            // Claims about limits are made with either driver of cgroups.
            claims.extend(name.map(|name| name.replace(", by $1", "")));
        }
    }
    let table = read(&root.join("docs/engines.md"));
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: std::collections::BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(claims, rows);
}
