//! What standard output is: a terminal, which has a width and may have colours, or something that a program
//! reads, which has neither.

use std::io::{IsTerminal, stdout};
use std::os::fd::AsRawFd;

use crate::plan::show::Colours;
use crate::sys::pty;

/// Columns of the terminal; none for a pipe or a file.
pub(super) fn width() -> Option<usize> {
    if !stdout().is_terminal() {
        return None;
    }
    let size = pty::window_size(stdout().as_raw_fd()).unwrap_or_default();
    // A terminal that does not know its size says 0.
    Some(usize::from(size.columns)).filter(|columns| *columns > 0)
}

/// Colours on a terminal, unless the user has said no: https://no-color.org, and TERM=dumb has none.
pub(super) fn colours() -> Colours {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb {
        Colours::Ansi
    } else {
        Colours::None
    }
}
