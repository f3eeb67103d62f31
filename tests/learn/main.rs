//! The lessons of docs/learn, typed by a test that compares what the machine answers.
//!
//! A chapter is Markdown. Its blocks of ```` ```console ```` are typed in their order, each command into the terminal
//! where the reader has it, and the answer is held against the lines below the command.
//!
//! - `# COMMAND` is typed by root, `$ COMMAND` by a plain user; each has one terminal for the whole chapter. With words before
//!   the sign (`root@corten:/# ls`) the terminal's prompt must have that shape too: the reader is in another shell.
//! - A line that begins with `> ` right after a command continues it.
//! - ```` ```console second ```` is typed into root's second terminal.
//! - How answers are compared: see `shape.rs`. `...` is what may be anything.
//! - `<!-- any: NUMBERS -->` names numbers of the answers that are other ones on another machine.
//! - `<!-- needs: WORDS -->` names controllers (memory, cpu, pids) and programs without which the chapter cannot be played.
//!
//! A chapter has a directory of its own for HOME, and the machine is called `debian`. With `CORTEN_LEARN_WRITE=1` answers that
//! differ are written into the chapter: that is how a chapter gets its first ones, and an author reads them before anybody else.

// A test that does not find what it needs fails by panicking.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // other suites use other parts of it
#[path = "../harness/mod.rs"]
mod harness;

mod chapter;
mod form;
mod shape;
mod stage;
mod terminal;

use std::path::PathBuf;

use harness::{Lab, Test, host, skip};

use chapter::{Answer, Chapter};
use shape::Shape;
use stage::Stage;

fn main() -> std::process::ExitCode {
    let mut tests = vec![];
    tests.extend_from_slice(form::TESTS);
    tests.extend_from_slice(shape::TESTS);
    for path in form::chapters() {
        let stem = path.file_stem().expect("a chapter has a name").to_str();
        let name = format!("learn::chapter_{}", stem.expect("in ASCII"));
        // The list lives as long as the program.
        let name: &'static str = Box::leak(name.into_boxed_str());
        tests.push(Test { name, check: play });
    }
    harness::runner::main("learn", &[&tests])
}

/// The directory of the lessons.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/learn")
}

fn play(lab: &Lab) {
    let (_, stem) = lab.name.split_once("chapter_").expect("main named it");
    let path = directory().join(format!("{stem}.md"));
    let text = std::fs::read_to_string(&path).expect("main listed it");
    let mut chapter = Chapter::parse(&text).unwrap_or_else(|fault| panic!("{stem}.md:{fault}"));
    for need in &chapter.needs {
        require(need);
    }
    let mut stage = Stage::set(lab);
    let mut shape = Shape::of(&chapter.prose, &chapter.any);
    let mut faults = Vec::new();
    for answer in &mut chapter.answers {
        shape.enter(answer.section);
        if let Err(fault) = act(&mut stage, &mut shape, answer) {
            faults.push(format!("{stem}.md:{}: {fault}", answer.line));
        }
    }
    let left = stage.clear(lab);
    faults.extend(
        left.iter()
            .map(|id| format!("{stem}.md leaves the container {id}")),
    );
    if std::env::var_os("CORTEN_LEARN_WRITE").is_some() {
        std::fs::write(&path, chapter.text(&text)).expect("the lessons are writable");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Types a command; Err says how the answer differs from the chapter's, which then holds the real one.
fn act(stage: &mut Stage, shape: &mut Shape, answer: &mut Answer) -> Result<(), String> {
    let terminal = stage.terminal(answer.terminal);
    // To a newer busybox `/` is the home directory in there.
    let shown = match terminal.prompt() {
        "~ #" => "/ #",
        prompt => prompt,
    };
    if !shown.ends_with(&answer.prompt) && !shape.line(&answer.prompt, shown) {
        let prompt = terminal.prompt().to_owned();
        return Err(format!(
            "the prompt is {prompt:?} and not {:?}",
            answer.prompt
        ));
    }
    let real = terminal
        .enter(&answer.typed)
        .map_err(|why| format!("{:?}: {why}", answer.typed[0]))?;
    let real: Vec<String> = real
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let real = real[..real
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |last| last + 1)]
        .to_vec();
    if shape.lines(&answer.lines, &real) {
        return Ok(());
    }
    let fault = format!(
        "{}\n--- in the chapter\n{}\n--- the machine's\n{}\n---",
        answer.typed[0],
        answer.lines.join("\n"),
        real.join("\n")
    );
    answer.lines = real;
    Err(fault)
}

fn require(need: &str) {
    if ["cpu", "io", "memory", "pids"].contains(&need) {
        if !host::controllers().iter().any(|name| name == need) {
            skip(&format!("cgroup v2 has no {need} controller here"));
        }
    } else if host::program(need).is_none() {
        skip(&format!("{need} is not installed"));
    }
}
