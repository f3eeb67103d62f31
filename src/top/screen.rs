//! A live page on a terminal, which is given back as it was.

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::error::{Act, Result};
use crate::supervise::Signals;
use crate::sys::poll::{Deadline, Watch, wait};
use crate::sys::pty::{self, Modes};
use crate::sys::{Errno, fs};

const STDIN: RawFd = libc::STDIN_FILENO;
const STDOUT: RawFd = libc::STDOUT_FILENO;

/// Another page, cleared, without a cursor; and back. ECMA-48, and xterm's private modes.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// The rest of the line; the rest of the page.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// q, Ctrl-C, Ctrl-D.
const KEYS_TO_QUIT: [u8; 4] = [b'q', b'Q', 3, 4];

/// The terminal, ours until it is dropped.
#[derive(Debug)]
pub struct Screen {
    /// Of standard input; None where that is no terminal.
    modes: Option<Modes>,
    signals: Signals,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Time for the next page.
    Page,
    /// Somebody wants to leave.
    Quit,
}

/// Whether standard output is a terminal.
pub fn is_terminal() -> bool {
    pty::modes(STDOUT).is_ok()
}

impl Screen {
    /// Takes the terminal.
    pub fn enter() -> Result<Self> {
        let signals = Signals::block()?;
        let modes = match pty::modes(STDIN) {
            Err(Errno(_)) => None,
            Ok(modes) => {
                pty::set_modes(STDIN, modes.raw()).act(|| "cannot use the terminal")?;
                Some(modes)
            }
        };
        let screen = Self { modes, signals };
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows a page; what does not fit is cut.
    pub fn show(&self, text: &str) -> Result<()> {
        let (rows, columns) = match pty::window_size(STDOUT) {
            Ok(size) if size.rows > 0 && size.columns > 0 => (size.rows, size.columns),
            // A terminal that does not know.
            _ => (24, 80),
        };
        write(&page(text, rows.into(), columns.into()))
    }

    /// Waits for the interval, a key, or a signal.
    pub fn wait(&self, interval: Duration) -> Result<Next> {
        let act = || "cannot wait for a key";
        let deadline = Deadline::after(interval);
        let keys = match self.modes {
            Some(_) => Watch::readable(STDIN),
            None => Watch::nothing(),
        };
        let mut watches = [keys, Watch::readable(self.signals.as_raw_fd())];
        while wait(&mut watches, deadline).act(act)? > 0 {
            if watches[0].is_ready() {
                let mut typed = [0; 64];
                let length = fs::read(STDIN, &mut typed).act(act)?;
                let is_quit = |key: &u8| KEYS_TO_QUIT.contains(key);
                return Ok(if length == 0 || typed[..length].iter().any(is_quit) {
                    Next::Quit
                } else {
                    Next::Page
                });
            }
            match self.signals.next().act(act)? {
                Some(libc::SIGWINCH) => return Ok(Next::Page),
                Some(libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT) => {
                    return Ok(Next::Quit);
                }
                _ => {}
            }
        }
        Ok(Next::Page)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing back.
        write(LEAVE).ok();
        if let Some(modes) = self.modes {
            pty::set_modes(STDIN, modes).ok();
        }
    }
}

fn page(text: &str, rows: usize, columns: usize) -> String {
    let mut page = HOME.to_owned();
    for (index, line) in text.lines().take(rows).enumerate() {
        if index > 0 {
            page.push('\n');
        }
        page.extend(line.chars().take(columns));
        page += CLEAR_LINE;
    }
    page + CLEAR_REST
}

fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .act(|| "cannot write to the terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_into_its_window() {
        assert_eq!(
            page("abcdef\nx\ny\n", 2, 4),
            "\x1b[Habcd\x1b[K\nx\x1b[K\x1b[J"
        );
    }
}
