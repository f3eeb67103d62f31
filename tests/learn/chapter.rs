//! A chapter: what is to be typed, what it answers, and the prose around it.

/// Who types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root, in the first terminal.
    Root,
    /// Root, in the second terminal.
    Second,
    /// A plain user.
    User,
}

/// A command and what it answers.
#[derive(Debug)]
pub struct Answer {
    /// Where in the chapter, from 1.
    pub line: usize,
    /// How many headings are above it.
    pub section: usize,
    /// Which terminal.
    pub terminal: Who,
    /// The prompt as shown, up to its sign.
    pub prompt: String,
    /// The lines of the command.
    pub typed: Vec<String>,
    /// The lines of the answer.
    pub lines: Vec<String>,
    /// How many lines the answer had in the file.
    length: usize,
}

/// A chapter, read.
#[derive(Debug)]
pub struct Chapter {
    /// What it cannot be played without.
    pub needs: Vec<String>,
    /// Numbers of answers that are any.
    pub any: Vec<String>,
    /// In their order.
    pub answers: Vec<Answer>,
    /// All text that is outside of consoles and pictures.
    pub prose: String,
    section: usize,
}

impl Chapter {
    /// Err names the line and what is wrong in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut chapter = Self {
            needs: Vec::new(),
            any: Vec::new(),
            answers: Vec::new(),
            prose: String::new(),
            section: 0,
        };
        let mut fence: Option<&str> = None;
        let mut is_first = false;
        for (number, line) in text.lines().enumerate() {
            match (fence, line.strip_prefix("```")) {
                (None, Some(info)) => (fence, is_first) = (Some(info), true),
                (Some(_), Some(_)) => fence = None,
                (Some(info), None) if info.starts_with("console") => {
                    let wrong = |why: &str| format!("{}: {why}", number + 1);
                    let second = match info {
                        "console" => false,
                        "console second" => true,
                        _ => return Err(wrong("no such console")),
                    };
                    chapter
                        .console(line, number + 1, second, is_first)
                        .map_err(wrong)?;
                    is_first = false;
                }
                (_, None) => {
                    chapter.section += usize::from(line.starts_with("## "));
                    chapter.needs.extend(remark(line, "needs"));
                    chapter.any.extend(remark(line, "any"));
                    // The numbers in a picture are those of an answer; a comment is for the test alone.
                    if fence != Some("mermaid") && !line.starts_with("<!-- ") {
                        chapter.prose += line;
                        chapter.prose.push('\n');
                    }
                }
            }
        }
        Ok(chapter)
    }

    fn console(
        &mut self,
        line: &str,
        number: usize,
        second: bool,
        is_first: bool,
    ) -> Result<(), &'static str> {
        if let Some((prompt, command)) = prompt(line) {
            let terminal = match (second, prompt.ends_with('$')) {
                (false, false) => Who::Root,
                (true, false) => Who::Second,
                (_, true) => Who::User,
            };
            let typed = vec![command.to_owned()];
            let prompt = prompt.to_owned();
            self.answers.push(Answer {
                line: number,
                section: self.section,
                terminal,
                prompt,
                typed,
                lines: Vec::new(),
                length: 0,
            });
            return Ok(());
        }
        if is_first {
            return Err("a console begins with a command");
        }
        let answer = self
            .answers
            .last_mut()
            .ok_or("a console begins with a command")?;
        match line.strip_prefix("> ") {
            Some(more) if answer.lines.is_empty() => answer.typed.push(more.to_owned()),
            _ => {
                answer.lines.push(line.to_owned());
                answer.length += 1;
            }
        }
        Ok(())
    }

    /// The text of the file with the answers as they are now.
    pub fn text(&self, old: &str) -> String {
        let old: Vec<&str> = old.lines().collect();
        let mut new: Vec<&str> = Vec::new();
        let mut done = 0;
        for answer in &self.answers {
            let begin = answer.line - 1 + answer.typed.len();
            new.extend(&old[done..begin]);
            new.extend(answer.lines.iter().map(String::as_str));
            done = begin + answer.length;
        }
        new.extend(&old[done..]);
        new.join("\n") + "\n"
    }
}

/// The words of a comment that begins with a certain one.
fn remark(line: &str, about: &str) -> Vec<String> {
    let words = line
        .strip_prefix("<!-- ")
        .and_then(|rest| rest.strip_prefix(about)?.strip_prefix(": "))
        .and_then(|rest| rest.strip_suffix(" -->"));
    let words = words.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

/// Splits a line that is a prompt and a command: `# ls`, `root@corten:/# ls`, `/ # ls`, or the question of `--step` and an answer.
fn prompt(line: &str) -> Option<(&str, &str)> {
    if let Some((question, answer)) = line.split_once("q: give up  > ") {
        return Some((&line[..question.len() + 13], answer));
    }
    let at = line.find(['#', '$'])?;
    let (prompt, rest) = line.split_at(at + 1);
    let before = &prompt[..at];
    let is_place = before.contains('@') && !before.contains(' ')
        || before.starts_with('/') && before.ends_with(' ');
    (before.is_empty() || is_place).then_some(())?;
    Some((prompt, rest.strip_prefix(' ')?))
}
