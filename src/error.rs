//! One error type: the field that asked for it, the act that failed, the cause.
//!
//! `mounts[6]: cannot mount tmpfs on /data (size=banana): Bad value for 'size'`
//!
//! An engine matches on words, an operator reads the whole, a program reads the parts from the
//! JSON log. So a [`Failure`] keeps the parts, is printed once (in `main`), and its errno text is
//! lower case as Go prints it, because dockerd derives exit codes from `no such file or directory`.

use std::borrow::Cow;
use std::fmt;

use crate::sys::Errno;

/// The result of everything in the runtime half.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What asked for an operation: a path into config.json, a command-line flag, or nothing at all.
///
/// Shown as `mounts[6].options`, as a JSON pointer `/mounts/6/options`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Field {
    base: Cow<'static, str>,
    at: At,
    leaf: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
enum At {
    #[default]
    Whole,
    Index(usize),
    Key(String),
}

impl Field {
    /// A property by its dotted path, or a flag by its name: `linux.cgroupsPath`, `--pid-file`.
    pub const fn new(base: &'static str) -> Self {
        Self {
            base: Cow::Borrowed(base),
            at: At::Whole,
            leaf: "",
        }
    }

    /// A property whose path is only known at run time, as the parser reports it.
    pub fn path(base: String) -> Self {
        Self {
            base: Cow::Owned(base),
            at: At::Whole,
            leaf: "",
        }
    }

    /// An element of a list: `mounts[6]`.
    pub const fn index(base: &'static str, index: usize) -> Self {
        Self {
            base: Cow::Borrowed(base),
            at: At::Index(index),
            leaf: "",
        }
    }

    /// An element of a map: `linux.sysctl["net.ipv4.ip_forward"]`.
    pub fn key(base: &'static str, key: &str) -> Self {
        Self {
            base: Cow::Borrowed(base),
            at: At::Key(key.to_owned()),
            leaf: "",
        }
    }

    /// A property of an element: `mounts[6]` becomes `mounts[6].options`.
    pub fn leaf(mut self, leaf: &'static str) -> Self {
        self.leaf = leaf;
        self
    }

    /// Whether no field asked: an operation every container needs.
    pub fn is_none(&self) -> bool {
        self.base.is_empty()
    }

    /// The field as an RFC 6901 JSON pointer into config.json; empty for flags and for no field.
    pub fn pointer(&self) -> String {
        if self.base.is_empty() || self.base.starts_with('-') {
            return String::new();
        }
        let mut pointer = String::new();
        let mut push = |part: &str| {
            pointer.push('/');
            pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
        };
        // An index may stand inside a path that the parser reported: a[3].b
        for part in self.base.split('.').flat_map(|part| part.split('[')) {
            push(part.trim_end_matches(']'));
        }
        match &self.at {
            At::Whole => {}
            At::Index(index) => push(&index.to_string()),
            At::Key(key) => push(key),
        }
        if !self.leaf.is_empty() {
            self.leaf.split('.').for_each(push);
        }
        pointer
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        match &self.at {
            At::Whole => {}
            At::Index(index) => write!(f, "[{index}]")?,
            At::Key(key) => write!(f, "[{key:?}]")?,
        }
        if self.leaf.is_empty() {
            Ok(())
        } else {
            write!(f, ".{}", self.leaf)
        }
    }
}

/// What kind of failure it is, for programs; the JSON log prints it as `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The command line is wrong.
    Usage,
    /// A property of config.json is wrong or cannot be honoured on this host.
    Config,
    /// config.json or the root filesystem cannot be read.
    Bundle,
    /// The container is in a state that does not allow the operation.
    State,
    /// No container has that id.
    NotFound,
    /// The id is taken.
    Exists,
    /// The caller lacks a privilege.
    Permission,
    /// The kernel refused: a limit, a full disk, a missing call.
    System,
    /// A hook failed.
    Hook,
    /// The program of the container cannot be executed.
    Exec,
    /// A wait came to its deadline.
    Timeout,
}

impl Code {
    /// The stable name printed in the JSON log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::Bundle => "bundle",
            Self::State => "state",
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::Permission => "permission",
            Self::System => "system",
            Self::Hook => "hook",
            Self::Exec => "exec",
            Self::Timeout => "timeout",
        }
    }
}

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

    /// Says what to do about it.
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// All that is wrong, in one failure: the first one's parts, and the others in its words.
    pub fn together(failures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let mut first = failures.next()?;
        let others: String = failures.map(|other| format!("; {other}")).collect();
        if others.is_empty() {
            return Some(first);
        }
        // What was its cause and its hint stands before the others, not behind them.
        let told = Self {
            field: Field::default(),
            ..first.clone()
        };
        first.act = format!("{told}{others}");
        (first.cause, first.hint) = (None, None);
        Some(first)
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

    #[test]
    fn a_field_is_also_a_json_pointer() {
        assert_eq!(
            Field::index("mounts", 6).leaf("options").pointer(),
            "/mounts/6/options"
        );
        assert_eq!(
            Field::key("linux.sysctl", "a/b").pointer(),
            "/linux/sysctl/a~1b"
        );
        assert_eq!(
            Field::path("linux.namespaces[1].type".to_owned()).pointer(),
            "/linux/namespaces/1/type"
        );
        assert_eq!(Field::new("--pid-file").pointer(), "");
    }
}
