//! Reads config.json: one buffer, one pass, and a second look only when something is wrong.
//!
//! The file is the caller's, yet a bundle is often unpacked by somebody else: a FIFO in its place
//! must not hang us, nor a huge file or a deep one take our memory or stack. A symbolic link is
//! followed, as every peer does.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::check::Warning;
use super::{Spec, check, fields};
use crate::error::{Act, Code, Failure, Kind, Result};
use crate::sys::Errno;

/// No configuration is larger: the largest seen, with 100,000 annotations, has 12 MiB.
const LARGEST: u64 = 16 << 20;

/// A configuration as it was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub spec: Box<Spec>,
    /// Its bytes, which the state directory keeps: later edits of the bundle must not matter
    /// (runtime.md, create).
    pub text: Vec<u8>,
    /// What the operator should know, though nothing is wrong. Filled by [`Self::checked`].
    pub warnings: Vec<String>,
    /// Whether the text is still what somebody wrote, so that a line of it means something.
    is_as_written: bool,
}

/// Reads `config.json` of a bundle. Only its form is checked; see [`Loaded::checked`].
pub fn load(bundle: &Path) -> Result<Loaded> {
    load_file(&bundle.join("config.json")).map_err(|failure| match std::fs::metadata(bundle) {
        // The words are runc's, which goes there.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let act = format!("chdir {}", bundle.display());
            of_bundle(Failure::system(act, Errno(libc::ENOENT))).of(Kind::NoConfiguration)
        }
        _ => failure,
    })
}

/// Reads a configuration from a file of any name.
pub fn load_file(path: &Path) -> Result<Loaded> {
    let text = read(path)?;
    let spec = parse(&text).map_err(|failure| name_file(failure, path))?;
    Ok(Loaded {
        spec: Box::new(spec),
        text,
        warnings: Vec::new(),
        is_as_written: true,
    })
}

impl Loaded {
    /// Takes a configuration from memory.
    pub fn from_text(text: Vec<u8>) -> Result<Self> {
        Ok(Self {
            spec: Box::new(parse(&text)?),
            text,
            warnings: Vec::new(),
            is_as_written: true,
        })
    }

    /// Takes a configuration that nobody wrote: errors name its properties, and no line of it.
    pub fn from_spec(spec: Spec) -> Result<Self> {
        Ok(Self {
            text: to_text(&spec)?,
            spec: Box::new(spec),
            warnings: Vec::new(),
            is_as_written: false,
        })
    }

    /// Applies every rule that needs no kernel. All that is wrong comes back, not only the first.
    pub fn checked(mut self) -> Result<Self, Vec<Failure>> {
        let findings = check::check(&self.spec, &self.text);
        if !findings.failures.is_empty() {
            let failures = findings.failures.into_iter();
            return Err(failures.map(|failure| self.place(failure)).collect());
        }
        self.warnings = findings.warnings.iter().map(Warning::to_string).collect();
        Ok(self)
    }

    /// A warning for each property that the specification does not know (config.md, Extensibility). It takes
    /// a second reading of the text, so it is asked for only where somebody will see them.
    pub fn unknown(&self) -> Vec<String> {
        fields::unknown(&self.text)
    }

    /// Takes over into the text what was changed after it was read.
    pub fn rewrite(&mut self) -> Result<()> {
        self.text = to_text(&self.spec)?;
        self.is_as_written = false;
        Ok(())
    }

    /// Says where the property at fault stands, where that is known.
    pub fn place(&self, failure: Failure) -> Failure {
        let pointer = failure.field.pointer();
        if pointer.is_empty() || failure.position.is_some() || !self.is_as_written {
            return failure;
        }
        Failure {
            position: Some(fields::locate(&self.text, &pointer)),
            ..failure
        }
    }
}

/// The text of a configuration that was not read, or is not any more what was read.
pub fn to_text(spec: &Spec) -> Result<Vec<u8>> {
    serde_json::to_vec(spec).map_err(|error| {
        Failure::new(Code::System, "cannot write the configuration").because(error.to_string())
    })
}

/// Parses a configuration. The failure names the property, its line and its column.
pub fn parse(text: &[u8]) -> Result<Spec> {
    // One look at the whole costs less than one at every string.
    match std::str::from_utf8(text) {
        Ok(words) => serde_json::from_str(words).map_err(|error| explain(text, &error)),
        Err(error) => Err(not_unicode(text, error.valid_up_to())),
    }
}

impl TryFrom<&oci_spec::runtime::Spec> for Loaded {
    type Error = Failure;

    /// For programs that build their configuration with oci-spec.
    fn try_from(spec: &oci_spec::runtime::Spec) -> Result<Self> {
        let text = serde_json::to_vec(spec).map_err(|error| {
            Failure::new(Code::Config, "cannot write the configuration").because(error.to_string())
        })?;
        Self::from_spec(parse(&text)?)
    }
}

impl TryFrom<&oci_spec::runtime::Spec> for Spec {
    type Error = Failure;

    fn try_from(spec: &oci_spec::runtime::Spec) -> Result<Self> {
        Loaded::try_from(spec).map(|loaded| *loaded.spec)
    }
}

/// The bytes of a configuration's file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    // O_NONBLOCK: the open of a FIFO without a writer, or of a terminal, would wait.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let mut file = match openat(AT_FDCWD, path, flags, Mode::empty()) {
        Err(nix::errno::Errno::ENOENT) => {
            return Err(Failure::new(
                Code::Bundle,
                "JSON specification file config.json not found",
            )
            .of(Kind::NoConfiguration));
        }
        opened => opened
            .map(File::from)
            .map_err(Errno::from)
            .act(|| format!("cannot open {}", path.display()))
            .map_err(of_bundle)?,
    };
    let metadata = file
        .metadata()
        .act(|| format!("cannot stat {}", path.display()))
        .map_err(of_bundle)?;
    if !metadata.is_file() {
        return Err(unreadable(path, "not a regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(unreadable(
            path,
            format!("{} bytes, more than 16 MiB", metadata.len()),
        ));
    }
    fill(&mut file, metadata.len())
        .act(|| format!("cannot read {}", path.display()))
        .map_err(of_bundle)
}

/// Reads as many bytes as the file had when it was opened: no more, or a growing file would be endless.
fn fill(file: &mut File, length: u64) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < text.len() {
        match file.read(&mut text[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    text.truncate(filled);
    Ok(text)
}

fn unreadable(path: &Path, why: impl Into<String>) -> Failure {
    Failure::new(Code::Bundle, format!("cannot read {}", path.display())).because(why)
}

fn of_bundle(failure: Failure) -> Failure {
    Failure {
        code: Code::Bundle,
        ..failure
    }
}

/// A failure of a property names its line; one of the whole text has nothing but the file's name.
fn name_file(failure: Failure, path: &Path) -> Failure {
    if !failure.field.is_none() {
        return failure;
    }
    Failure {
        act: format!("cannot read {}: {}", path.display(), failure.act),
        ..failure
    }
}

fn explain(text: &[u8], error: &serde_json::Error) -> Failure {
    let offset = offset_of(text, error.line(), error.column());
    explain_at(text, offset, in_words(&error.to_string()), error.is_data())
}

/// What is wrong first: what stands before the first byte that is no UTF-8, or that byte.
fn not_unicode(text: &[u8], place: usize) -> Failure {
    let before = std::str::from_utf8(&text[..place]).unwrap_or_default();
    match serde_json::from_str::<Spec>(before) {
        Err(error) if !error.is_eof() => explain(text, &error),
        _ => explain_at(text, place, "invalid unicode code point".to_owned(), false),
    }
}

fn explain_at(text: &[u8], offset: usize, words: String, is_data: bool) -> Failure {
    if let Some(encoding) = wrong_encoding(text) {
        return Failure::new(Code::Bundle, encoding);
    }
    // A number that no type holds, or another value where a word must stand, is no mistake of the text.
    let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    if (is_data || is_json())
        && let Some((field, start)) = fields::path_at(text, offset)
        && !field.is_none()
    {
        let failure = Failure::config(field, words);
        return Failure {
            position: Some(fields::position(text, start)),
            ..failure
        };
    }
    let (line, column) = fields::position(text, offset.saturating_sub(1));
    let failure = Failure::new(
        Code::Bundle,
        format!("line {line} column {column}: {words}"),
    );
    Failure {
        position: Some((line, column)),
        ..failure
    }
}

fn wrong_encoding(text: &[u8]) -> Option<&'static str> {
    match text {
        [] => Some("the file is empty"),
        [0xef, 0xbb, 0xbf, ..] => {
            Some("the file begins with a byte order mark, which JSON forbids")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Some("the file is encoded as UTF-16 or UTF-32, not as UTF-8")
        }
        _ => None,
    }
}

/// serde_json counts lines from 1 and, as column, the bytes of the line that it has taken.
fn offset_of(text: &[u8], line: usize, column: usize) -> usize {
    let newlines = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(offset, _)| offset + 1);
    let start = std::iter::once(0)
        .chain(newlines)
        .nth(line.saturating_sub(1))
        .unwrap_or(0);
    (start + column).min(text.len())
}

/// Rust's names of types, in the words of JSON.
const WORDS: [(&str, &str); 14] = [
    ("expected value", "invalid type: expected a string"),
    ("a sequence", "a list"),
    ("sequence,", "a list,"),
    (" map,", " an object,"),
    ("expected struct Spec", "expected an object"),
    ("expected u16", "expected a number from 0 to 65535"),
    ("expected u32", "expected a number from 0 to 4294967295"),
    (
        "expected u64",
        "expected a number from 0 to 18446744073709551615",
    ),
    (
        "expected i32",
        "expected a number from -2147483648 to 2147483647",
    ),
    ("expected i64", "expected a whole number of 64 bits"),
    ("expected a boolean", "expected true or false"),
    ("recursion limit exceeded", "nested deeper than 128 levels"),
    ("duplicate field", "duplicate property"),
    ("missing field", "missing property"),
];

fn in_words(message: &str) -> String {
    // serde_json appends its own position, which is the end of the value and not its beginning.
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(words, _)| words);
    WORDS.iter().fold(message.to_owned(), |text, (from, to)| {
        text.replace(from, to)
    })
}
