//! Where in config.json a property stands, and which properties the specification does not know.
//!
//! [`locate`] and [`path_at`] run only when something is wrong already. [`unknown`] reads the whole
//! text once more, so create does not call it: `corten validate` and `--debug` do. A property that
//! nobody knows is no error (config.md, Extensibility: it MUST be ignored and MAY be logged); yet
//! `rootPropagation` for `rootfsPropagation` is a security setting that silently does nothing.

use super::scan::{Kind, Part, Scanner};
use super::schema::{SPEC, Shape};
use crate::error::Field;

/// Line and column, from 1, of the value that a JSON pointer names; of the nearest value around it
/// where the text has no such value. Columns count characters.
pub fn locate(text: &[u8], pointer: &str) -> (usize, usize) {
    let wanted: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let mut scanner = Scanner::new(text);
    let mut best: Option<(usize, usize)> = None;
    while let Some(token) = scanner.advance() {
        if !matches!(token.kind, Kind::Scalar | Kind::Open) {
            continue;
        }
        let path = scanner.path(token);
        let deeper = best.is_none_or(|(depth, _)| path.len() > depth);
        if deeper
            && path.len() <= wanted.len()
            && path.iter().zip(&wanted).all(|(part, name)| is(part, name))
        {
            best = Some((path.len(), token.start));
        }
    }
    position(text, best.map_or(0, |(_, start)| start))
}

fn is(part: &Part<'_>, name: &str) -> bool {
    match part {
        Part::Key(key) => key == name,
        Part::Index(index) => name.parse() == Ok(*index),
    }
}

/// Line and column, from 1, of a byte. Columns count characters.
pub fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    (
        line,
        String::from_utf8_lossy(&before[start..]).chars().count() + 1,
    )
}

/// The value (or key) that a parser had just read, or was about to read, when it stopped at an
/// offset; and where that begins. None where there is none: an empty text, or one cut off.
pub fn path_at(text: &[u8], offset: usize) -> Option<(Field, usize)> {
    let offset = offset.min(text.len());
    let mut scanner = Scanner::new(text);
    let mut opened = Vec::new();
    while let Some(token) = scanner.advance() {
        let start = match token.kind {
            Kind::Open => {
                opened.push(token.start);
                token.start
            }
            Kind::Close => opened.pop().unwrap_or(token.start),
            Kind::Key | Kind::Scalar => token.start,
        };
        // A wrong number is refused when it has been read; a list where a string should stand is
        // refused by its first byte, before it is.
        let read = token.kind != Kind::Open
            && token.end <= offset
            && text[token.end..offset].iter().all(u8::is_ascii_whitespace);
        let inside = token.kind == Kind::Scalar && (token.start..token.end).contains(&offset);
        if read || inside || token.start >= offset {
            return Some((field(scanner.path(token)), start));
        }
    }
    None
}

/// The maps whose keys are free, and may hold dots.
const MAPS: [&str; 5] = [
    "annotations",
    "linux.sysctl",
    "linux.netDevices",
    "linux.resources.rdma",
    "linux.resources.unified",
];

/// The properties of what stands in such a map.
const OF_MAPS: [&str; 3] = ["name", "hcaHandles", "hcaObjects"];

fn field(path: &[Part<'_>]) -> Field {
    let mut dotted = String::new();
    for (index, part) in path.iter().enumerate() {
        if let (Part::Key(key), Some(map)) = (part, MAPS.iter().find(|map| **map == dotted)) {
            let field = Field::key(map, key);
            let below = path.get(index + 1);
            let leaf = OF_MAPS
                .iter()
                .find(|leaf| below.is_some_and(|part| is(part, leaf)));
            return match leaf {
                Some(leaf) => field.leaf(leaf),
                None => field,
            };
        }
        match part {
            Part::Key(key) if dotted.is_empty() => dotted.push_str(key),
            Part::Key(key) => dotted.extend([".", key]),
            Part::Index(index) => dotted.push_str(&format!("[{index}]")),
        }
    }
    Field::path(dotted)
}

/// The strings that hold a NUL and would be cut there on their way to the kernel. Annotations go to
/// no system call; properties that nobody knows go nowhere.
pub fn with_nul(text: &[u8]) -> Vec<Field> {
    // JSON has no raw NUL: only this escape can make one, and hardly a file has it.
    if !text.contains(&b'\\') || !text.windows(6).any(|window| window == br"\u0000") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut scanner = Scanner::new(text);
    while let Some(token) = scanner.advance() {
        let word = &text[token.start..token.end];
        if !word.windows(6).any(|window| window == br"\u0000") {
            continue;
        }
        let string: Option<String> = serde_json::from_slice(word).ok();
        let path = scanner.path(token);
        let free = path.first() == Some(&Part::Key("annotations".into()));
        if string.is_some_and(|string| string.contains('\0')) && !free && shape_at(path).is_ok() {
            found.push(field(path));
        }
    }
    found
}

/// A property that the specification does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProperty {
    /// Which.
    pub field: Field,
    /// Line and column of its name, from 1.
    pub position: Option<(usize, usize)>,
    /// The name it may have meant.
    pub likely: Option<&'static str>,
}

/// One warning for each property that the specification does not know, with the name it may have meant.
pub fn unknown(text: &[u8]) -> Vec<String> {
    let warning = |unknown: UnknownProperty| {
        let (line, column) = unknown.position.unwrap_or_default();
        let hint = unknown
            .likely
            .map_or_else(String::new, |name| format!(", did you mean {name}"));
        format!(
            "{} (line {line} column {column}): unknown property{hint}",
            unknown.field
        )
    };
    unknown_properties(text).into_iter().map(warning).collect()
}

/// All properties that the specification does not know.
pub fn unknown_properties(text: &[u8]) -> Vec<UnknownProperty> {
    let mut found = Vec::new();
    let mut scanner = Scanner::new(text);
    while let Some(token) = scanner.advance() {
        if token.kind != Kind::Key {
            continue;
        }
        let path = scanner.path(token);
        let Err(unknown) = shape_at(path) else {
            continue;
        };
        // What stands inside an unknown property has no right name: report the outermost only.
        if unknown.depth == path.len() {
            found.push(UnknownProperty {
                field: field(path),
                position: Some(position(text, token.start)),
                likely: unknown.likely,
            });
        }
    }
    found
}

struct Unknown {
    /// How many parts of the path are known, and one.
    depth: usize,
    likely: Option<&'static str>,
}

/// What the specification says about the value at a path.
fn shape_at(path: &[Part<'_>]) -> Result<&'static Shape, Unknown> {
    let mut shape: &'static Shape = &SPEC;
    for (depth, part) in path.iter().enumerate() {
        shape = match (shape, part) {
            (Shape::Object(fields), Part::Key(key)) => {
                match fields.iter().find(|(name, _)| name == key) {
                    Some((_, shape)) => shape,
                    None => {
                        return Err(Unknown {
                            depth: depth + 1,
                            likely: nearest(key, fields.iter().map(|(name, _)| *name)),
                        });
                    }
                }
            }
            (Shape::List(shape) | Shape::Map(shape), _) => shape,
            (shape, _) => shape,
        };
    }
    Ok(shape)
}

/// The word of a set that a misspelt one may have meant.
pub fn nearest(word: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let candidates = names.map(|name| (distance(&lower, &name.to_ascii_lowercase()), name));
    // More than a third of the letters changed is another word.
    candidates
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(word.len()) / 3)
        .map(|(_, name)| name)
}

/// How many letters to insert, remove, replace or exchange with their neighbour to turn one word into the other (Damerau and
/// Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) =
        (from.chars().take(64).collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (above, letter) in from.iter().enumerate() {
        let mut row = vec![above + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = rows[above][column] + usize::from(letter != other);
            let mut least = replaced
                .min(rows[above][column + 1] + 1)
                .min(row[column] + 1);
            if above > 0 && column > 0 && from[above - 1] == *other && *letter == to[column - 1] {
                least = least.min(rows[above - 1][column - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
