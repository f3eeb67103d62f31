//! A terminal with a shell, and somebody who types and waits for the prompt.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};

use crate::harness::{host, leaks};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(40);

/// A prompt is the end of what comes, so for so long nothing follows it.
const QUIET: Duration = Duration::from_millis(25);

/// A terminal with a shell.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    shell: Child,
    prompt: String,
}

impl Terminal {
    /// Starts a shell, by a command that ends in one, and waits for its prompt.
    pub fn open(mut command: Command) -> Self {
        // Wide enough that no shell has to break a command that is typed.
        let size = Winsize {
            ws_row: 50,
            ws_col: 160,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).expect("a terminal can be made");
        let end = || {
            Stdio::from(
                pty.slave
                    .try_clone()
                    .expect("a descriptor can be duplicated"),
            )
        };
        let shell = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("a shell can be started");
        leaks::spare(shell.id());
        let mut terminal = Self {
            file: File::from(pty.master),
            shell,
            prompt: String::new(),
        };
        terminal.read_to_prompt().expect("a shell has a prompt");
        terminal
    }

    /// The prompt that it shows, up to its sign.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// Types the lines of a command; what was printed until the next prompt.
    pub fn enter(&mut self, lines: &[String]) -> Result<String, String> {
        let mut output = String::new();
        for line in lines {
            writeln!(self.file, "{line}")
                .map_err(|error| format!("the terminal is gone: {error}"))?;
            output = self.read_to_prompt()?;
        }
        Ok(output)
    }

    /// What comes until the next prompt, without the echo of what was typed.
    fn read_to_prompt(&mut self) -> Result<String, String> {
        let deadline = Instant::now() + host::patience(DEADLINE);
        let mut bytes = Vec::new();
        loop {
            if self.read(&mut bytes)? {
                leaks::reap_orphans();
                let text = plain(&String::from_utf8_lossy(&bytes));
                let (body, last) = text.rsplit_once('\n').unwrap_or(("", &text));
                if let Some(prompt) = prompt(last) {
                    self.prompt = prompt.to_owned();
                    let echo = body.find('\n').map_or(body.len(), |end| end + 1);
                    return Ok(body[echo..].to_owned());
                }
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "no prompt after {:?}",
                    String::from_utf8_lossy(&bytes)
                ));
            }
        }
    }

    /// Reads what there is; true when nothing more came for a moment.
    fn read(&mut self, bytes: &mut Vec<u8>) -> Result<bool, String> {
        let quiet = PollTimeout::try_from(QUIET).expect("a short time");
        let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, quiet).expect("the terminal is open") == 0 {
            return Ok(true);
        }
        let mut buffer = [0; 4096];
        let length = self.file.read(&mut buffer).map_err(|error| {
            format!(
                "the shell has ended ({error}) after {:?}",
                String::from_utf8_lossy(bytes)
            )
        })?;
        bytes.extend_from_slice(&buffer[..length]);
        Ok(false)
    }

    /// Ends the shell as a terminal that is closed does.
    pub fn close(mut self) {
        drop(self.file);
        let deadline = Instant::now() + host::patience(Duration::from_secs(2));
        while self.shell.try_wait().expect("the shell is ours").is_none() {
            if Instant::now() > deadline {
                self.shell.kill().expect("the shell is ours");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The prompt, up to its sign, if the last line of a terminal is one: of a shell, or of a command that goes on.
fn prompt(line: &str) -> Option<&str> {
    let prompt = line.strip_suffix(' ')?;
    let is_one = prompt.ends_with(['#', '$']) || prompt == ">" || prompt.ends_with("q: give up  >");
    let is_one = is_one && prompt.len() < 80;
    is_one.then_some(prompt)
}

/// What a reader sees: without carriage returns and what moves the cursor.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\x1b' => drop(rest.by_ref().find(char::is_ascii_alphabetic)),
            '\r' | '\x07' => {}
            letter => plain.push(letter),
        }
    }
    plain
}
