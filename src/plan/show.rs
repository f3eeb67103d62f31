//! A plan for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::op::{InitOp, RuntimeOp};
use super::{Plan, Step};
use crate::error::Field;

/// Both lists as text: number, who, what, and on the right the field that asked.
///
/// The runtime's steps up to the clone come first; then the two halves are shown one after the other,
/// and the gates say where they wait for each other.
pub fn text(plan: &Plan) -> String {
    let clone = plan
        .runtime
        .iter()
        .position(|step| matches!(step.op, RuntimeOp::StartInit { .. }));
    let clone = clone.map_or(plan.runtime.len(), |place| place + 1);
    let mut out = String::new();
    let mut number = 0;
    section(
        &mut out,
        "the runtime, on the host, before there is a container",
    );
    lines(
        &mut out,
        &mut number,
        plan.runtime[..clone].iter().map(line),
    );
    section(&mut out, "init, the container's first process");
    lines(&mut out, &mut number, plan.init.iter().map(line));
    section(&mut out, "the runtime, on the host, meanwhile");
    lines(
        &mut out,
        &mut number,
        plan.runtime[clone..].iter().map(line),
    );
    for warning in &plan.warnings {
        // A String takes everything.
        writeln!(out, "\nwarning: {warning}").unwrap_or(());
    }
    out
}

fn line<O: std::fmt::Display>(step: &Step<O>) -> (String, &Field) {
    (step.op.to_string(), &step.field)
}

fn section(out: &mut String, title: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(title);
    out.push_str(":\n");
}

/// Where the field begins.
const COLUMN: usize = 64;

fn lines<'a>(
    out: &mut String,
    number: &mut usize,
    steps: impl Iterator<Item = (String, &'a Field)>,
) {
    for (sentence, field) in steps {
        *number += 1;
        let sentence = shorten(&sentence);
        let line = if field.is_none() {
            format!("{number:4}  {sentence}")
        } else {
            format!("{number:4}  {sentence:<COLUMN$}  {field}")
        };
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Sentences with a long list in them are cut: `--json` has all of it.
fn shorten(sentence: &str) -> String {
    const LONGEST: usize = 160;
    if sentence.chars().count() <= LONGEST {
        return sentence.to_owned();
    }
    sentence.chars().take(LONGEST).chain(['…']).collect()
}

/// Both lists as JSON: `{"steps": [{"actor", "operation", "sentence", "field", "pointer"}], "warnings"}`.
/// Runtime steps before the clone, then init's, then the rest of the runtime's.
pub fn json(plan: &Plan) -> Value {
    let clone = plan
        .runtime
        .iter()
        .position(|step| matches!(step.op, RuntimeOp::StartInit { .. }));
    let clone = clone.map_or(plan.runtime.len(), |place| place + 1);
    let runtime = |step: &Step<RuntimeOp>| entry("runtime", name(&step.op), step);
    let init = |step: &Step<InitOp>| entry("init", name(&step.op), step);
    let steps: Vec<Value> = plan.runtime[..clone]
        .iter()
        .map(runtime)
        .chain(plan.init.iter().map(init))
        .chain(plan.runtime[clone..].iter().map(runtime))
        .collect();
    json!({ "version": 1, "steps": steps, "warnings": plan.warnings })
}

fn entry<O: std::fmt::Display>(actor: &str, operation: String, step: &Step<O>) -> Value {
    let mut entry =
        json!({ "actor": actor, "operation": operation, "sentence": step.op.to_string() });
    if !step.field.is_none() {
        entry["field"] = step.field.to_string().into();
        entry["pointer"] = step.field.pointer().into();
    }
    entry
}

/// The operation's name as the source has it.
fn name<O: std::fmt::Debug>(op: &O) -> String {
    let text = format!("{op:?}");
    text.split([' ', '(', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}
