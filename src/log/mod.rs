//! Where a failure goes: stderr, and `--log`, in the shapes that engines read.
//!
//! containerd's shims take the newest line whose `level` is `error`, need `time` in RFC 3339, and
//! give up at the first line that is not JSON; the file is shared by all calls of a task, so it is
//! appended to. podman reads the whole file as one object. So a command that fails writes exactly
//! one object, and one that succeeds writes nothing, unless `--debug` asks for more. Warnings ride
//! in the object of the failure, beside its parts: readers ignore keys that they do not know.

mod destination;

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use serde::Serialize;

use destination::Destination;

use crate::error::{Failure, Result};
use crate::state::{Program, time};

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"` in a file, the bare message on stderr.
    Text,
    /// One object a line, as logrus writes it.
    Json,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Errors.
    Normal,
    /// Warnings too, as they happen.
    Warnings,
    /// Steps too, as they happen.
    Debug,
}

/// The log of one call.
#[derive(Debug)]
pub struct Log {
    program: Program,
    argv0: String,
    destination: Option<Destination>,
    format: Format,
    level: Level,
    warnings: Mutex<Vec<String>>,
}

/// A line of the JSON log. The first three are what readers know.
#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    parts: Option<Parts<'a>>,
}

/// The parts of a failure, for programs.
#[derive(Serialize)]
struct Parts<'a> {
    code: &'a str,
    number: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

impl Log {
    /// A log that is only stderr, for failures before the flags are known, and for tests.
    pub fn to_stderr(argv0: &str) -> Self {
        Self {
            program: Program::of(argv0),
            argv0: argv0.to_owned(),
            destination: None,
            format: Format::Text,
            level: Level::Normal,
            warnings: Mutex::default(),
        }
    }

    /// A log that is stderr, and a file or a service if one is named: a path, `file:PATH`, `journald:NAME`
    /// or `syslog:NAME`.
    pub fn open(argv0: &str, wanted: Option<&str>, format: Format, level: Level) -> Result<Self> {
        let wanted = wanted.filter(|wanted| !wanted.is_empty());
        Ok(Self {
            destination: wanted.map(Destination::open).transpose()?,
            format,
            level,
            ..Self::to_stderr(argv0)
        })
    }

    /// How much is told: a caller may save itself the trouble of making a line.
    pub fn level(&self) -> Level {
        self.level
    }

    /// A step, told at [`Level::Debug`] only.
    pub fn debug(&self, text: impl FnOnce() -> String) {
        if self.level == Level::Debug {
            self.write("debug", &text(), None);
        }
    }

    /// Something that is not as it should be but does not stop the command.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        if self.level != Level::Normal {
            self.write("warning", &text, None);
        }
        self.warnings().push(text);
    }

    /// A sentence for the person at stderr alone, never for the log: it is no failure of the command.
    pub fn note(&self, text: &str) {
        self.to_person(text);
    }

    /// The one failure of a command, with the warnings before it. `prefix`: `runc create failed: `.
    pub fn failure(&self, prefix: &str, failure: &Failure) {
        let message = format!("{prefix}{failure}");
        let warnings = self.warnings();
        let (line, column) = failure.position.unzip();
        let parts = Parts {
            code: failure.code.name(),
            number: failure.kind().number(),
            field: failure.field.to_string(),
            pointer: failure.field.pointer(),
            line,
            column,
            operation: &failure.act,
            errno: failure.errno().map(|errno| errno.name()),
            hint: failure.hint.as_deref(),
            warnings: &warnings,
        };
        self.write("error", &message, Some(parts));
        if self.destination.is_some() {
            self.to_person(&message);
        }
        // Engines take stderr for the message and match on its words; a person reads on.
        if self.format == Format::Text && std::io::stderr().is_terminal() {
            let (name, number) = (self.program.name(), failure.kind().number());
            to_stderr(&format!(
                "{number}: {name} explain-error {number} says more"
            ));
        }
    }

    /// The command has succeeded: a person who has not asked for a log is told the warnings. Otherwise stderr may
    /// be the container's too: podman would keep them for the program's words. Of `runc` it knows that there are
    /// logs, and asks for one; whoever else calls `runc` looks for warnings on stderr.
    pub fn finish(&self) {
        let warnings = self.warnings();
        let quiet = warnings.is_empty()
            || self.level != Level::Normal
            || self.destination.is_some()
            || self.format == Format::Json
            || (self.program == Program::Corten && !std::io::stderr().is_terminal());
        if quiet {
            return;
        }
        for warning in warnings.iter() {
            self.to_person(&format!("warning: {warning}"));
        }
    }

    fn warnings(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        // A panic with the lock held aborts the program, so nobody finds it poisoned.
        self.warnings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self, level: &str, message: &str, parts: Option<Parts<'_>>) {
        let line = match (self.format, &self.destination) {
            (Format::Json, _) => json(&Line {
                level,
                msg: message,
                time: time::now(),
                parts,
            }),
            (Format::Text, Some(destination)) if destination.has_clock() => message.to_owned(),
            (Format::Text, None) if level == "error" => return self.to_person(message),
            (Format::Text, None) if self.level != Level::Debug => {
                return self.to_person(&format!("{level}: {message}"));
            }
            (Format::Text, _) => format!("time={:?} level={level} msg={message:?}", time::now()),
        };
        let Some(destination) = &self.destination else {
            return to_stderr(&line);
        };
        if let Err(error) = destination.write(level, &line) {
            to_stderr(&format!("cannot write to the log: {error}"));
        }
    }

    /// A sentence for stderr. Those that say nothing of the command begin with the program.
    fn to_person(&self, message: &str) {
        let name = self.program.name();
        let named = ["exec failed: ", name, &self.argv0];
        match named.iter().any(|start| message.starts_with(start)) {
            true => to_stderr(message),
            false => to_stderr(&format!("{name}: {message}")),
        }
    }
}

fn json(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("strings and numbers are JSON")
}

fn to_stderr(text: &str) {
    // If stderr is closed there is nobody left to tell.
    drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Field;
    use crate::state::container::tests::Scratch;
    use crate::sys::Errno;

    fn log(scratch: &Scratch, format: Format, level: Level) -> Log {
        let path = scratch.path().join("log");
        Log {
            destination: Some(Destination::open(path.to_str().unwrap()).unwrap()),
            format,
            level,
            ..Log::to_stderr("runc")
        }
    }

    fn failure() -> Failure {
        Failure::system("cannot mount \"tmpfs\"", Errno(libc::EINVAL))
            .at(Field::index("mounts", 6))
            .hint("try less")
    }

    fn lines(scratch: &Scratch) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(scratch.path().join("log")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_failure_is_one_object_that_holds_its_parts_and_the_warnings() {
        let scratch = Scratch::new();
        let log = log(&scratch, Format::Json, Level::Normal);
        log.debug(|| "a step".into());
        log.warn("unknown capability");
        log.failure("runc create failed: ", &failure());
        let lines = lines(&scratch);
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["level"], "error");
        assert_eq!(
            line["msg"],
            "runc create failed: mounts[6]: cannot mount \"tmpfs\": invalid argument (try less)"
        );
        assert_eq!(line["pointer"], "/mounts/6");
        assert_eq!(line["errno"], "EINVAL");
        assert_eq!(
            (&line["code"], &line["number"]),
            (&"system".into(), &"E0501".into())
        );
        assert_eq!(line["warnings"][0], "unknown capability");
        assert!(line.get("line").is_none());
    }

    #[test]
    fn the_log_is_appended_to_and_success_writes_nothing() {
        let scratch = Scratch::new();
        log(&scratch, Format::Json, Level::Normal).failure("", &failure());
        log(&scratch, Format::Json, Level::Normal).finish();
        log(&scratch, Format::Json, Level::Normal).failure("", &failure());
        assert_eq!(lines(&scratch).len(), 2);
    }

    #[test]
    fn debug_tells_steps_and_warnings_as_they_happen() {
        let scratch = Scratch::new();
        let log = log(&scratch, Format::Json, Level::Debug);
        log.debug(|| "a step".into());
        log.warn("a warning");
        let levels: Vec<_> = lines(&scratch)
            .iter()
            .map(|line| line["level"].clone())
            .collect();
        assert_eq!(levels, ["debug", "warning"]);
    }
}
