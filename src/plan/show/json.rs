//! The plan for programs.

use serde_json::{Value, json};

use super::{Line, Part, lines};
use crate::plan::Plan;

/// Both lists as JSON; docs/explain.md and docs/schema/explain.json say what is in it.
pub fn json(plan: &Plan) -> Value {
    let steps: Vec<Value> = lines(plan).iter().map(step).collect();
    json!({ "version": 1, "steps": steps, "warnings": plan.warnings })
}

/// One step. What may be added later is new properties: these stay.
pub(super) fn step(line: &Line<'_>) -> Value {
    let actor = match line.part {
        Part::Init => "init",
        Part::Before | Part::Meanwhile => "runtime",
    };
    let mut step = json!({
        "number": line.number,
        "actor": actor,
        "part": line.part.name(),
        "phase": line.phase.title(),
        "operation": line.operation,
        "sentence": line.sentence,
        "why": line.about.why,
        "manual": line.about.manual,
        "syscalls": line.about.calls,
    });
    if !line.field.is_none() {
        step["field"] = line.field.to_string().into();
        step["pointer"] = line.field.pointer().into();
    }
    step
}
