//! What a stream is: a terminal, which has a width and may have colours, or something that a program
//! reads, which has neither.

use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::AsRawFd;

use crate::plan::show::{Colours, Look};
use crate::sys::pty;

/// Columns of standard output; none for a pipe or a file.
pub(super) fn width() -> Option<usize> {
    width_of(&stdout())
}

/// Colours on standard output, unless the user has said no: https://no-color.org, and TERM=dumb has none.
pub(super) fn colours() -> Colours {
    colours_of(&stdout())
}

/// A step with all there is to know about it, on standard error.
pub(super) fn look_of_stderr() -> Look {
    Look {
        why: true,
        calls: true,
        width: width_of(&stderr()),
        colours: colours_of(&stderr()),
    }
}

fn width_of(stream: &(impl AsRawFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = pty::window_size(stream.as_raw_fd()).unwrap_or_default();
    // A terminal that does not know its size says 0.
    Some(usize::from(size.columns)).filter(|columns| *columns > 0)
}

fn colours_of(stream: &impl IsTerminal) -> Colours {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb {
        Colours::Ansi
    } else {
        Colours::None
    }
}
