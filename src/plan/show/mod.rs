//! A plan for people and for programs.
//!
//! [`lines`] puts the two lists into the order of reading: the runtime's steps up to the clone, then init's,
//! then the rest of the runtime's, numbered through; the gates say where the halves wait for each other. Each
//! line knows the heading it stands under. [`text()`] prints them, [`json()`] writes them for programs
//! (documented, with a schema, in docs/explain.md), [`diff`] compares those of two plans. [`Look`] says how
//! much is shown and for how wide a terminal; without one the text is the same everywhere, as golden files
//! need it.

pub mod diff;
mod json;
mod text;

pub use json::json;
pub use text::{one, text, text_with};

use super::op::{About, InitOp, Phase, RuntimeOp};
use super::{Plan, Step};
use crate::error::Field;

/// Whether escape sequences are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colours {
    /// Plain text.
    #[default]
    None,
    /// ECMA-48, what every terminal knows.
    Ansi,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// A line with the reason and the manual page below each step.
    pub why: bool,
    /// A line with the system calls below each step.
    pub calls: bool,
    /// Columns of the terminal; without one lines are as long as they are.
    pub width: Option<usize>,
    /// On a terminal.
    pub colours: Colours,
}

/// Which part of which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The runtime's, up to the clone.
    Before,
    /// Init's.
    Init,
    /// The runtime's, after the clone.
    Meanwhile,
}

impl Part {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Before => "the runtime, on the host, before there is a container",
            Self::Init => "init, the container's first process",
            Self::Meanwhile => "the runtime, on the host, meanwhile",
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Init => "init",
            Self::Meanwhile => "meanwhile",
        }
    }
}

/// A step as it is shown.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// From 1, through all parts.
    pub number: usize,
    /// Where it stands.
    pub part: Part,
    /// Under which heading.
    pub phase: Phase,
    /// The operation's name as the source has it.
    pub operation: String,
    /// What is done.
    pub sentence: String,
    /// What asked for it.
    pub field: &'a Field,
    /// What else there is to know.
    pub about: &'static About,
}

/// All steps, in the order of reading.
pub fn lines(plan: &Plan) -> Vec<Line<'_>> {
    let (before, meanwhile) = plan.runtime.split_at(clone_end(plan));
    let mut lines = Vec::with_capacity(plan.runtime.len() + plan.init.len());
    add(&mut lines, Part::Before, before, RuntimeOp::about);
    add(&mut lines, Part::Init, &plan.init, InitOp::about);
    add(&mut lines, Part::Meanwhile, meanwhile, RuntimeOp::about);
    lines
}

/// How many steps of the runtime come up to the clone, with it; all where there is none.
pub fn clone_end(plan: &Plan) -> usize {
    let clone = plan
        .runtime
        .iter()
        .position(|step| matches!(step.op, RuntimeOp::StartInit { .. }));
    clone.map_or(plan.runtime.len(), |place| place + 1)
}

fn add<'a, O: std::fmt::Display + std::fmt::Debug>(
    lines: &mut Vec<Line<'a>>,
    part: Part,
    steps: &'a [Step<O>],
    about: fn(&O) -> &'static About,
) {
    let mut phase = Phase::Anywhere;
    for step in steps {
        let about = about(&step.op);
        phase = about.phase.after(phase);
        lines.push(Line {
            number: lines.len() + 1,
            part,
            phase,
            operation: name(&step.op),
            sentence: step.op.to_string(),
            field: &step.field,
            about,
        });
    }
}

/// The operation's name as the source has it.
pub fn name<O: std::fmt::Debug>(op: &O) -> String {
    let text = format!("{op:?}");
    text.split([' ', '(', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}
