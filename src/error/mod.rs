//! One error type: the field that asked for it, the act that failed, the cause.
//!
//! `mounts[6]: cannot mount tmpfs on /data (size=banana): Bad value for 'size'`
//!
//! An engine matches on words, an operator reads the whole, a program reads the parts from the
//! JSON log. So a [`Failure`] keeps the parts, is printed once (in `main`), and its errno text is
//! lower case as Go prints it, because dockerd derives exit codes from `no such file or directory`.
//!
//! [`Code`] is what the runtime itself decides by. A person wants to know more: what it means, what
//! usually causes it, what to do. For that a failure has a [`Kind`], with a number that stays (E0201) and a page
//! ([`pages`]) that `corten explain-error` prints and docs/errors.md collects. The kind follows from the failure's
//! parts (`kind.rs`); who knows better says so with [`Failure::of`].

mod code;
mod field;
mod kind;
pub mod pages;

pub use code::Code;
pub use field::Field;
pub use kind::Kind;

use std::fmt;

use crate::sys::Errno;

/// The result of everything in the runtime half.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why an act failed: an errno, or words (the kernel's own, a parser's, a rule's).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The errno of a system call.
    Errno(Errno),
    /// A sentence, lower case, no full stop.
    Text(String),
}

/// An operation that failed: `field: act: cause`.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind, for programs.
    pub code: Code,
    /// What asked for the operation.
    pub field: Field,
    /// What was tried: "cannot mount tmpfs on /data". Empty where the cause says it all.
    pub act: String,
    /// Why it failed. None where the act says it all: "container does not exist".
    pub cause: Option<Cause>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Line and column in config.json, from 1, where known.
    pub position: Option<(usize, usize)>,
    /// What it is, where that does not follow from the other parts: see [`Self::kind`].
    pub known: Option<Kind>,
    /// Where it tells several: each of them. See [`Self::together`].
    pub parts: Vec<Self>,
}

impl Failure {
    /// A failure that is one sentence: `container does not exist`.
    pub fn new(code: Code, act: impl Into<String>) -> Self {
        Self {
            code,
            field: Field::default(),
            act: act.into(),
            cause: None,
            hint: None,
            position: None,
            known: None,
            parts: Vec::new(),
        }
    }

    /// A property that is wrong: `linux.namespaces[2]: duplicate namespace`.
    pub fn config(field: Field, text: impl Into<String>) -> Self {
        Self::new(Code::Config, text).at(field)
    }

    /// A system call that failed: `cannot open /x: no such file or directory`.
    pub fn system(act: impl Into<String>, errno: Errno) -> Self {
        let code = match errno.0 {
            libc::EPERM | libc::EACCES => Code::Permission,
            libc::ETIMEDOUT => Code::Timeout,
            _ => Code::System,
        };
        Self {
            cause: Some(Cause::Errno(errno)),
            ..Self::new(code, act)
        }
    }

    /// Names the field that asked.
    pub fn at(mut self, field: Field) -> Self {
        self.field = field;
        self
    }

    /// Says why in words.
    pub fn because(mut self, text: impl Into<String>) -> Self {
        self.cause = Some(Cause::Text(text.into()));
        self
    }

    /// Says what it is, where its parts do not.
    pub fn of(mut self, kind: Kind) -> Self {
        self.known = Some(kind);
        self
    }

    /// What it is, with a number that stays.
    pub fn kind(&self) -> Kind {
        self.known.unwrap_or_else(|| kind::derived(self))
    }

    /// Says what to do about it.
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// All that is wrong, in one failure: the first one's parts, and the others in its words.
    pub fn together(failures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let parts: Vec<Self> = failures.into_iter().flat_map(Self::parts).collect();
        let (first, others) = parts.split_first()?;
        let mut first = first.clone();
        if others.is_empty() {
            return Some(first);
        }
        let others: String = others.iter().map(|other| format!("; {other}")).collect();
        // What was its cause and its hint stands before the others, not behind them.
        let told = Self {
            field: Field::default(),
            ..first.clone()
        };
        first.act = format!("{told}{others}");
        (first.cause, first.hint, first.parts) = (None, None, parts);
        Some(first)
    }

    /// Each of what it tells; itself, if that is one thing.
    pub fn parts(mut self) -> Vec<Self> {
        match std::mem::take(&mut self.parts) {
            parts if parts.is_empty() => vec![self],
            parts => parts,
        }
    }

    /// The errno, where a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self.cause {
            Some(Cause::Errno(errno)) => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_none() {
            write!(f, "{}", self.field)?;
            if let Some((line, column)) = self.position {
                write!(f, " (line {line} column {column})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.act)?;
        match &self.cause {
            None => {}
            Some(cause) => {
                if !self.act.is_empty() {
                    f.write_str(": ")?;
                }
                match cause {
                    Cause::Errno(errno) => write!(f, "{errno}")?,
                    Cause::Text(text) => f.write_str(text)?,
                }
            }
        }
        match &self.hint {
            None => Ok(()),
            Some(hint) => write!(f, " ({hint})"),
        }
    }
}

impl std::error::Error for Failure {}

/// Turns the errno of a system call into a [`Failure`] that says what was tried.
pub trait Act<T> {
    /// `act` is built only when the call failed.
    fn act<S: Into<String>>(self, act: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Act<T> for std::result::Result<T, Errno> {
    fn act<S: Into<String>>(self, act: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Failure::system(act(), errno))
    }
}

impl<T> Act<T> for std::io::Result<T> {
    fn act<S: Into<String>>(self, act: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(errno) => Failure::system(act(), Errno(errno)),
            None => Failure::new(Code::System, act()).because(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_field_act_cause() {
        let failure = Failure::system("cannot mount tmpfs on /data", Errno(libc::EINVAL))
            .at(Field::index("mounts", 6));
        assert_eq!(
            failure.to_string(),
            "mounts[6]: cannot mount tmpfs on /data: invalid argument"
        );
    }
}
