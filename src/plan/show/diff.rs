//! What changes between two plans.
//!
//! Two steps are the same if they stand in the same part and say the same sentence. A field that has
//! only moved (`mounts[5]` to `mounts[6]`) is no change, because what is done is not another thing. The
//! longest common subsequence decides, so a step that comes earlier or later is taken away here and added
//! there: order matters in a plan.

use serde_json::{Value, json};

use super::json::step;
use super::text::Page;
use super::{Line, Look, Part, lines};
use crate::plan::Plan;

/// A plan, and the directory of its bundle, which is shown as `BUNDLE`: two bundles are never in the same place.
#[derive(Debug)]
pub struct Side<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Absolute.
    pub bundle: &'a str,
}

impl Side<'_> {
    fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = lines(self.plan);
        for line in &mut lines {
            line.sentence = line.sentence.replace(self.bundle, "BUNDLE");
        }
        lines
    }
}

/// A step of one plan, or of both.
enum Change<'a> {
    Removed(&'a Line<'a>),
    Added(&'a Line<'a>),
    Same,
}

/// For people: `-` what only the first plan does, `+` what only the second one does.
pub fn text(before: &Side<'_>, after: &Side<'_>, look: Look) -> String {
    let (old, new) = (before.lines(), after.lines());
    let both: Vec<Line<'_>> = old.iter().chain(&new).cloned().collect();
    let mut page = Page::new(&both, look);
    let mut alike = 0;
    for change in changes(&old, &new) {
        let (mark, line) = match change {
            Change::Same => {
                alike += 1;
                continue;
            }
            Change::Removed(line) => ('-', line),
            Change::Added(line) => ('+', line),
        };
        skipped(&mut page, &mut alike);
        page.headings(line);
        page.step(mark, line);
    }
    skipped(&mut page, &mut alike);
    page.out
}

fn skipped(page: &mut Page, alike: &mut usize) {
    match std::mem::take(alike) {
        0 => {}
        1 => page.push("        … one step alike"),
        count => page.push(&format!("        … {count} steps alike")),
    }
}

/// For programs: docs/explain.md.
pub fn json(before: &Side<'_>, after: &Side<'_>) -> Value {
    let (old, new) = (before.lines(), after.lines());
    let mut alike = 0;
    let mut list = Vec::new();
    for change in changes(&old, &new) {
        let (word, line) = match change {
            Change::Same => {
                alike += 1;
                continue;
            }
            Change::Removed(line) => ("removed", line),
            Change::Added(line) => ("added", line),
        };
        let mut entry = step(line);
        entry["change"] = word.into();
        list.push(entry);
    }
    json!({ "version": 1, "changes": list, "alike": alike })
}

/// Part by part, because the parts of two plans are told one after the other.
fn changes<'a>(old: &'a [Line<'a>], new: &'a [Line<'a>]) -> Vec<Change<'a>> {
    let of = |lines: &'a [Line<'a>], part: Part| -> Vec<&'a Line<'a>> {
        lines.iter().filter(|line| line.part == part).collect()
    };
    [Part::Before, Part::Init, Part::Meanwhile]
        .into_iter()
        .flat_map(|part| changes_of(&of(old, part), &of(new, part)))
        .collect()
}

/// Walks the table of the lengths of common subsequences. Plans have some hundred steps: a table is no burden.
fn changes_of<'a>(old: &[&'a Line<'a>], new: &[&'a Line<'a>]) -> Vec<Change<'a>> {
    let mut longest = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for (row, a) in old.iter().enumerate().rev() {
        for (column, b) in new.iter().enumerate().rev() {
            longest[row][column] = if a.sentence == b.sentence {
                longest[row + 1][column + 1] + 1
            } else {
                longest[row + 1][column].max(longest[row][column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut changes = Vec::new();
    while let (Some(a), Some(b)) = (old.get(row), new.get(column)) {
        if a.sentence == b.sentence {
            changes.push(Change::Same);
            (row, column) = (row + 1, column + 1);
        } else if longest[row + 1][column] >= longest[row][column + 1] {
            changes.push(Change::Removed(a));
            row += 1;
        } else {
            changes.push(Change::Added(b));
            column += 1;
        }
    }
    changes.extend(old[row..].iter().map(|line| Change::Removed(line)));
    changes.extend(new[column..].iter().map(|line| Change::Added(line)));
    changes
}
