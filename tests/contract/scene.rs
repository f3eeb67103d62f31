//! Plays one row: a bundle, the commands before, the command, and a look at what it left.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::table::{File, Log, Row};
use crate::harness::call::Call;
use crate::harness::{Bundle, Done, Lab};

/// The first thing that is not as the row says.
pub fn play(lab: &Lab, program: &Path, row: &Row) -> Result<(), String> {
    let mut scene = Scene {
        lab,
        program,
        bundle: lab.bundle(),
        dir: lab.path("row"),
        id: lab.id(),
    };
    fs::create_dir(&scene.dir).unwrap();
    scene.bundle.args(&["sleep", "1000"]);
    (row.bundle)(&mut scene.bundle);
    scene.bundle.write();
    let result = scene.play(row);
    scene.done("delete --force @id", None);
    result
}

struct Scene<'a> {
    lab: &'a Lab,
    program: &'a Path,
    bundle: Bundle,
    /// Files of the row.
    dir: PathBuf,
    id: String,
}

impl Scene<'_> {
    fn play(&self, row: &Row) -> Result<(), String> {
        for command in row.before {
            let done = self.done(command, None);
            if done.code != 0 {
                return Err(format!("{command}: {done:?}"));
            }
        }
        let log = self.dir.join("log.json");
        let done = self.done(row.command, Some(&log));
        let all = |text: &str, words: &[&str], what: &str| {
            let missing = words.iter().map(|word| self.filled(word));
            match missing.into_iter().find(|word| !text.contains(word)) {
                Some(word) => Err(format!("{what} does not say {word:?}: {done:?}")),
                None => Ok(()),
            }
        };
        if done.code != row.code {
            return Err(format!(
                "exit code {}, not {}: {}{}",
                done.code, row.code, done.err, done.out
            ));
        }
        all(&done.err, row.says, "stderr")?;
        all(&done.out, row.prints, "stdout")?;
        if row.says.is_empty() && !done.err.is_empty() {
            return Err(format!("stderr is not empty: {}", done.err));
        }
        logged(
            &log,
            row.log,
            |text, words| all(text, words, "the log"),
            row.says,
        )?;
        row.files.iter().try_for_each(|file| self.look(file))?;
        self.afterwards(row)
    }

    fn afterwards(&self, row: &Row) -> Result<(), String> {
        let Some(status) = row.status else {
            return Ok(());
        };
        let done = self.done("state @id", None);
        let found = serde_json::from_str::<Value>(&done.out).unwrap_or_default();
        let found = found["status"].as_str().unwrap_or("none").to_owned();
        if found == status {
            Ok(())
        } else {
            Err(format!("afterwards the container is {found}, not {status}"))
        }
    }

    fn look(&self, file: &File) -> Result<(), String> {
        let (name, holds) = match file {
            File::Absent(name) => (name, None),
            File::Holds(name, holds) => (name, Some(holds)),
        };
        let path = PathBuf::from(self.filled(name));
        match (fs::read_to_string(&path), holds) {
            (Err(_), None) => Ok(()),
            (Ok(text), Some(holds)) if holds(&text) => Ok(()),
            (Ok(text), _) => Err(format!("{name} holds {text:?}")),
            (Err(error), Some(_)) => Err(format!("{name}: {error}")),
        }
    }

    fn done(&self, command: &str, log: Option<&Path>) -> Done {
        let mut call = Call::new(self.lab, self.program);
        let (globals, words) = match command.split_once(" -- ") {
            Some((globals, words)) => (globals, words),
            None => ("--root @root", command),
        };
        for word in globals.split_whitespace() {
            call.arg(&self.filled(word));
        }
        if let Some(log) = log {
            call.arg("--log").arg(&log.display().to_string());
            if !globals.contains("--log-format") {
                call.arg("--log-format").arg("json");
            }
        }
        for word in words.split_whitespace() {
            call.arg(&self.filled(word));
        }
        call.current_dir(&self.bundle.dir).done()
    }

    fn filled(&self, word: &str) -> String {
        word.replace("@bundle", &self.bundle.dir.display().to_string())
            .replace("@root", &self.lab.root.display().to_string())
            .replace("@dir", &self.dir.display().to_string())
            .replace("@id", &self.id)
    }
}

/// One object a failure, nothing else; what is in it.
fn logged(
    path: &Path,
    log: Log,
    says: impl Fn(&str, &[&str]) -> Result<(), String>,
    words: &[&str],
) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    match (log, lines.next(), lines.next()) {
        (Log::Anything, ..) | (Log::Nothing, None, _) => Ok(()),
        (Log::OneError, Some(line), None) => {
            let object: Value =
                serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            if object["level"] != "error" {
                return Err(format!("the level is not error: {line}"));
            }
            let time = object["time"].as_str().unwrap_or_default().as_bytes();
            if time.len() < 20
                || time[10] != b'T'
                || !(time.ends_with(b"Z") || time.contains(&b'+'))
            {
                return Err(format!("the time is not RFC 3339: {line}"));
            }
            says(object["msg"].as_str().unwrap_or_default(), words)
        }
        _ => Err(format!("the log is {text:?}")),
    }
}
