//! The rules of the house that can be read off the source.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
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
            "execute/last_words.rs",
            "rootfs/run.rs",
            "rootfs/overlay.rs",
            "rootfs/hide.rs",
            "rootfs/nodes.rs",
            "rootfs/short.rs",
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

/// The allocator takes no lock before it is told that there is a second thread.
#[test]
fn threads_are_started_by_the_allocator_s_function() {
    let found = breaches(
        |path| path != "sys/memory.rs",
        &["thread::spawn", "thread::scope", "thread::Builder"],
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_result_is_thrown_away_without_a_reason() {
    let mut found = breaches(|_| true, &["let _ ="]);
    for (path, code) in sources() {
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            // A value that is kept begins with `let`, and perhaps some lines before.
            let statement = lines[..=index]
                .iter()
                .rposition(|line| {
                    line.ends_with(['{', '}']) || line.ends_with(';') && !line.ends_with(".ok();")
                })
                .map_or(0, |before| before + 1);
            let is_kept = lines[statement.min(index)..=index].iter().any(|line| {
                ["let ", "return ", "|"]
                    .iter()
                    .any(|word| line.contains(word))
            });
            let reason = lines[index.saturating_sub(3)..index]
                .iter()
                .any(|line| line.starts_with("//"));
            if line.ends_with(".ok();") && !is_kept && !reason {
                found.push(format!("src/{path}:{}: {line}", index + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// From the ground up: a room uses what stands on its own floor and below, never what is above.
const FLOORS: &[&[&str]] = &[
    &["sys"],
    &["error"],
    &[
        "cgroups",
        "config",
        "criu",
        "execute",
        "hooks",
        "host",
        "log",
        "namespaces",
        "network",
        "plan",
        "process",
        "resctrl",
        "rootfs",
        "seccomp",
        "state",
        "supervise",
        "volumes",
    ],
    &["inspect", "record"],
    &["engine"],
    &["audit", "doctor", "features", "top", "validate"],
    &["cli"],
];

/// The rooms that a file names, `use crate::{a, b::c}` included.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code: String = lines(code).map(|(_, line)| line).collect();
    for rest in code.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => outermost(list),
            None => vec![rest],
        };
        let word = |name: &str| {
            name.split(|c: char| c != '_' && !c.is_alphanumeric())
                .next()
                .map(str::to_owned)
        };
        found.extend(names.into_iter().filter_map(word));
    }
    found
}

/// The parts of `a, b::{c, d}, e};…` up to the brace that ends the list.
fn outermost(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' | b',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn rooms_use_what_is_below_them() {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    let mut found = Vec::new();
    for (path, code) in sources() {
        let room = path.split('/').next().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&room) {
            continue;
        }
        let own = floor(room).unwrap_or_else(|| panic!("{room} is on no floor"));
        let above = rooms_named(&code).into_iter();
        let above = above.filter(|other| floor(other).is_some_and(|other| other > own));
        found.extend(above.map(|other| format!("src/{path} uses {other}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn lists_of_use_are_understood() {
    let named =
        rooms_named("use crate::{a::{b, c}, d};\n// crate::e\nuse crate::f::g; crate::h::i()");
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["a", "d", "f", "h"]);
}

#[test]
fn the_command_line_is_known_to_one_room() {
    let is_outside = |path: &str| !path.starts_with("cli/");
    let found = breaches(is_outside, &["clap::", "clap_"]);
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
    let mut claims = BTreeSet::new();
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
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(claims, rows);
}

/// Cargo does not look at the linker's script.
#[test]
fn another_order_of_the_code_is_linked() {
    let touches = |flag: &str| {
        let made = std::process::Command::new("make")
            .args(["--dry-run", flag, "bench/order.ld", "build"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("make is installed");
        let text = String::from_utf8(made.stdout).unwrap();
        assert!(text.contains("cargo build"), "{text}");
        text.contains("touch src/main.rs")
    };
    assert!(touches("--what-if"), "a new one");
    assert!(!touches("--old-file"), "the same one");
}
