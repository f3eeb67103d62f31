//! `--step`: stops before each operation of both halves, shows it, and lets the person look around.
//!
//! The runtime asks at the terminal. Init asks the runtime, over a socket of its own: it says that it has come to a
//! step (which one stands on the report page) and waits for a byte. The runtime hears it wherever it waits
//! for init itself, so the person sees the steps of both halves in the order in which they happen. What is not asked
//! for costs init one comparison a step, and no call.
//!
//! Behind a system call filter init asks no more: the filter may not let it.

use std::cell::Cell;
use std::os::fd::{OwnedFd, RawFd};

use crate::error::{Act, Code, Failure, Field, Kind, Result};
use crate::plan::Plan;
use crate::plan::show::{self, Line, Look};
use crate::supervise::Signals;
use crate::sys::poll::{self, Deadline, Watch};
use crate::sys::{descriptor, fs, socket};

/// What was asked for: `--step`, `--until`.
#[derive(Clone, Debug)]
pub struct Stepping {
    /// Where to stop first: a number, the name of an operation, a field, or words of a sentence.
    pub until: Option<String>,
    /// How steps are shown on standard error.
    pub look: Look,
}

/// Init goes on.
pub const GO_ON: u8 = b'+';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// At every step.
    Stop,
    /// Not before this one.
    RunTo(usize),
    /// Never again.
    Run,
}

/// Steps under way.
#[derive(Debug)]
pub struct Pace<'a> {
    stepping: &'a Stepping,
    signals: &'a Signals,
    mode: Cell<Mode>,
    /// The runtime's end of the socket on which init asks.
    pub near: OwnedFd,
    /// Init's, until it is born.
    pub far: Option<OwnedFd>,
}

impl<'a> Pace<'a> {
    /// Before the first step: `--until` must name one.
    pub fn new(stepping: &'a Stepping, plan: &Plan, signals: &'a Signals) -> Result<Self> {
        let mode = match &stepping.until {
            None => Mode::Stop,
            Some(wanted) => Mode::RunTo(find(plan, wanted)?),
        };
        let (near, far) = socket::socketpair().act(|| "cannot make a socket for --step")?;
        Ok(Self {
            stepping,
            signals,
            mode: Cell::new(mode),
            near: descriptor::owned(near),
            far: Some(descriptor::owned(far)),
        })
    }

    /// Shows a step and waits until the person says go on.
    pub fn stop_before(&self, line: &Line<'_>, places: &str) -> Result<()> {
        match self.mode.get() {
            Mode::Run => return Ok(()),
            Mode::RunTo(number) if line.number != number => return Ok(()),
            Mode::Stop | Mode::RunTo(_) => self.mode.set(Mode::Stop),
        }
        let shown = show::one(line, self.stepping.look);
        tell(&format!("\n{shown}{places}"))?;
        loop {
            tell("Enter: go on   c: do not stop again   q: give up  > ")?;
            match self.answer()?.as_deref().map(str::trim) {
                Some("") => return Ok(()),
                Some("c") => {
                    self.mode.set(Mode::Run);
                    return Ok(());
                }
                None | Some("q") => {
                    let text = format!("given up before step {}: {}", line.number, line.sentence);
                    return Err(Failure::new(Code::System, text).of(Kind::Interrupted));
                }
                Some(_) => {}
            }
        }
    }

    /// One line of standard input, and no byte more: the rest is the program's. None at its end.
    fn answer(&self) -> Result<Option<String>> {
        use std::os::fd::AsRawFd;
        let mut line = Vec::new();
        loop {
            let mut watches = [
                Watch::readable(libc::STDIN_FILENO),
                Watch::readable(self.signals.as_raw_fd()),
            ];
            poll::wait(&mut watches, Deadline::NEVER).act(|| "cannot wait for an answer")?;
            if watches[1].is_ready() {
                super::runtime::stop_if_told(self.signals)?;
                continue;
            }
            let mut byte = [0u8; 1];
            match fs::read(libc::STDIN_FILENO, &mut byte).act(|| "cannot read an answer")? {
                0 => return Ok(None),
                _ if byte == *b"\n" => {
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                _ => line.push(byte[0]),
            }
        }
    }

    /// Init has asked: takes its byte. None when it is gone.
    pub fn question(&self) -> Result<Option<()>> {
        let mut byte = [0u8; 1];
        match fs::read(self.fd(), &mut byte) {
            Err(crate::sys::Errno(libc::ECONNRESET)) | Ok(0) => Ok(None),
            read => read.act(|| "cannot hear init").map(|_| Some(())),
        }
    }

    /// Lets init go on. If it is gone, whoever waits for it finds out.
    pub fn let_go(&self) -> Result<()> {
        match fs::write(self.fd(), &[GO_ON]) {
            Ok(()) | Err(crate::sys::Errno(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
            Err(errno) => Err(Failure::system("cannot let init go on", errno)),
        }
    }

    /// On which init asks.
    pub fn fd(&self) -> RawFd {
        use std::os::fd::AsRawFd;
        self.near.as_raw_fd()
    }
}

fn tell(text: &str) -> Result<()> {
    use std::io::Write;
    let mut stderr = std::io::stderr().lock();
    stderr
        .write_all(text.as_bytes())
        .act(|| "cannot write to standard error")
}

/// How a step can be meant, the surest way first. Words of a sentence come last, and without its paths: a bundle in a
/// directory called `pivot` has many steps that say so.
const WAYS: [fn(&Line<'_>, &str) -> bool; 5] = [
    |line, wanted| wanted.parse() == Ok(line.number),
    |line, wanted| plain(&line.operation) == plain(wanted),
    |line, wanted| !wanted.is_empty() && line.field.to_string() == wanted,
    |line, wanted| !wanted.is_empty() && plain(&line.operation).contains(&plain(wanted)),
    |line, wanted| said(line, wanted.contains('/')).contains(wanted),
];

fn plain(text: &str) -> String {
    text.replace(['-', '_', ' '], "").to_lowercase()
}

/// The sentence of a step, with its paths or without.
fn said(line: &Line<'_>, with_paths: bool) -> String {
    let words = line.sentence.split(' ');
    let words = words.filter(|word| with_paths || !word.contains('/'));
    words.collect::<Vec<_>>().join(" ")
}

/// The number of the step that `--until` means.
fn find(plan: &Plan, wanted: &str) -> Result<usize> {
    let lines = show::lines(plan);
    let found = WAYS
        .iter()
        .find_map(|fits| lines.iter().find(|line| fits(line, wanted)));
    let wrong = |text: String| Failure::new(Code::Usage, text).at(Field::new("--until"));
    let filter = lines.iter().find(|line| line.operation == "LoadFilter");
    if let (Some(line), Some(filter)) = (found, filter)
        && line.part == filter.part
        && line.number > filter.number
    {
        let text = format!("init cannot stop before {wanted:?}");
        return Err(wrong(text).because("the system call filter is loaded by then"));
    }
    found.map(|line| line.number).ok_or_else(|| {
        wrong(format!("no step of the plan is {wanted:?}"))
            .hint("a number, the name of an operation, a field of config.json or words of its sentence: corten explain --json shows them")
    })
}
