//! The plan for people.

use std::fmt::Write as _;

use super::{Colours, Line, Look, Part, lines};
use crate::plan::Plan;
use crate::plan::op::Phase;

/// Where the field begins, if there is room.
const COLUMN: usize = 64;
/// What stands left of a sentence: a mark, the number, two spaces.
const MARGIN: usize = 8;
/// No column of sentences is narrower.
const NARROWEST: usize = 24;
/// Sentences with a longer list in them are cut where lines are not: `--json` has all of it.
const LONGEST: usize = 160;

/// Both lists as text: number, what, and on the right the field that asked; the same everywhere.
pub fn text(plan: &Plan) -> String {
    text_with(plan, Look::default())
}

/// The same, for a terminal, or with more lines for each step.
pub fn text_with(plan: &Plan, look: Look) -> String {
    let lines = lines(plan);
    let mut page = Page::new(&lines, look);
    for line in &lines {
        page.headings(line);
        page.step(' ', line);
    }
    page.warnings(plan);
    page.out
}

/// One step with its headings.
pub fn one(line: &Line<'_>, look: Look) -> String {
    let mut page = Page::new(std::slice::from_ref(line), look);
    page.headings(line);
    page.step(' ', line);
    page.out
}

/// A text in the making.
pub(super) struct Page {
    pub(super) out: String,
    look: Look,
    /// How wide sentences may be.
    column: usize,
    part: Option<Part>,
    phase: Phase,
}

impl Page {
    pub(super) fn new(lines: &[Line<'_>], look: Look) -> Self {
        let widest = lines.iter().map(|line| line.field.to_string().len()).max();
        let room = look.width.map_or(COLUMN, |width| {
            let taken = MARGIN + 2 + widest.unwrap_or_default();
            width.saturating_sub(taken).clamp(NARROWEST, COLUMN)
        });
        Self {
            out: String::new(),
            look,
            column: room,
            part: None,
            phase: Phase::Anywhere,
        }
    }

    /// The headings that a line stands under, if the line before stood under others.
    pub(super) fn headings(&mut self, line: &Line<'_>) {
        if self.part != Some(line.part) {
            if !self.out.is_empty() {
                self.out.push('\n');
            }
            let title = self.painted(BOLD, line.part.title());
            self.push(&format!("{title}:"));
            (self.part, self.phase) = (Some(line.part), Phase::Anywhere);
        }
        if self.phase != line.phase {
            let title = self.painted(HEADING, line.phase.title());
            self.push(&format!("  {title}"));
            self.phase = line.phase;
        }
    }

    /// One step, with a mark in front: a space, or what a comparison says.
    pub(super) fn step(&mut self, mark: char, line: &Line<'_>) {
        let field = line.field.to_string();
        let sentence = self.folded(&line.sentence);
        let mut rows = sentence.lines();
        let first = rows.next().unwrap_or_default();
        let colour = match mark {
            '-' => REMOVED,
            '+' => ADDED,
            _ => "",
        };
        let head = format!("{mark}{:5}", line.number);
        let head = self.painted(if mark == ' ' { FAINT } else { colour }, &head);
        let what = self.painted(colour, first);
        if field.is_empty() {
            self.push(&format!("{head}  {what}"));
        } else {
            let gap = " ".repeat(self.column.saturating_sub(first.chars().count()));
            let field = self.painted(FIELD, &field);
            self.push(&format!("{head}  {what}{gap}  {field}"));
        }
        for row in rows {
            let row = self.painted(colour, row);
            self.push(&format!("{:MARGIN$}{row}", ""));
        }
        self.extras(line);
    }

    fn extras(&mut self, line: &Line<'_>) {
        if self.look.why {
            self.note(&format!("{} See {}.", line.about.why, line.about.manual));
        }
        if self.look.calls && !line.about.calls.is_empty() {
            self.note(&format!("calls: {}", line.about.calls.join(", ")));
        }
    }

    /// A line below a step.
    pub(super) fn note(&mut self, text: &str) {
        const INDENT: usize = MARGIN + 4;
        let text = match self.look.width {
            None => text.to_owned(),
            Some(width) => fold(text, width.saturating_sub(INDENT).max(NARROWEST)),
        };
        for row in text.lines() {
            let row = self.painted(FAINT, row);
            self.push(&format!("{:INDENT$}{row}", ""));
        }
    }

    pub(super) fn warnings(&mut self, plan: &Plan) {
        for warning in &plan.warnings {
            let word = self.painted(WARNING, "warning");
            self.push(&format!("\n{word}: {warning}"));
        }
    }

    fn folded(&self, sentence: &str) -> String {
        match self.look.width {
            Some(_) => fold(sentence, self.column),
            None => shorten(sentence),
        }
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        match self.look.colours {
            Colours::Ansi if !colour.is_empty() => format!("{colour}{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    pub(super) fn push(&mut self, line: &str) {
        // A String takes everything.
        writeln!(self.out, "{}", line.trim_end()).unwrap_or(());
    }
}

const BOLD: &str = "\x1b[1m";
const HEADING: &str = "\x1b[1;36m";
const FAINT: &str = "\x1b[2m";
const FIELD: &str = "\x1b[33m";
const WARNING: &str = "\x1b[1;33m";
const ADDED: &str = "\x1b[32m";
const REMOVED: &str = "\x1b[31m";

fn shorten(sentence: &str) -> String {
    if sentence.chars().count() <= LONGEST {
        return sentence.to_owned();
    }
    sentence.chars().take(LONGEST).chain(['…']).collect()
}

/// Broken at spaces and, where a word is longer than a line, after commas or anywhere.
fn fold(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            out.push('\n');
            used = 0;
        }
        if used > 0 {
            out.push(' ');
            used += 1;
        }
        while word.len() > width {
            let comma = word[..width].iter().rposition(|letter| *letter == ',');
            let rest = word.split_off(comma.map_or(width, |place| place + 1));
            out.extend(word);
            out.push('\n');
            word = rest;
        }
        used += word.len();
        out.extend(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_it_may_be() {
        let text = "drop capabilities from the bounding set, all but chown,dac_override,fowner";
        for width in [10, 24, 40, 200] {
            let folded = fold(text, width);
            assert!(folded.lines().all(|line| line.chars().count() <= width));
            let letters = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(letters(&folded), letters(text));
        }
        assert_eq!(fold("one two three", 8), "one two\nthree");
        assert_eq!(fold("a,bb,ccc,dddd", 6), "a,bb,\nccc,\ndddd");
    }
}
