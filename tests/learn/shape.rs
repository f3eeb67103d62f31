//! Whether an answer has the shape of the printed one.
//!
//! `...` alone in a line is any number of lines, within a line it is any text. Spaces are one or many. Of the rest:
//!
//! - a number of three digits or more is any number, and so are a decimal (`0.25`) and a time (`12:03`, `00:00:01`); a
//!   shorter number is that number. But a number that the chapter's prose speaks of is that number everywhere, and one that
//!   the chapter names by `<!-- any: 26 -->` is any: a count that another machine has otherwise;
//! - a short number before a time is any (ps(1) has there how busy a process is), and so is a date (`Nov 21 12:20`);
//! - a hardware address is any; a hash (12, 32, 40 or 64 hexadecimal digits) is any of its length, the name that mktemp made is any such name;
//! - the inode of a namespace (`pid:[4026531836]`) is any, but where a section prints two that are the same or
//!   different, the machine's are too;
//! - a terminal (`pts/0`) is any, and so is the number of a step of a plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Lab, tests};

tests![
    numbers_are_classes,
    what_the_chapter_says_of_a_number_holds,
    namespaces_are_compared,
    anything_is_elided
];

/// What a chapter has printed so far in one of its sections.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    exact: BTreeSet<String>,
    any: BTreeSet<String>,
    section: usize,
    real: BTreeMap<String, String>,
    shown: BTreeMap<String, String>,
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Piece<'a> {
    Any,
    Number(&'a str),
    Decimal,
    Time,
    Date,
    Load,
    Hash(usize),
    Hardware,
    Terminal,
    Made,
    Namespace(&'a str),
    Text(&'a str),
}

impl Shape {
    /// For a chapter with this prose, which calls some numbers any.
    pub fn of(prose: &str, any: &[String]) -> Self {
        let words = prose.split(|letter: char| !letter.is_ascii_digit());
        Self {
            exact: words
                .filter(|word| word.len() > 2)
                .map(str::to_owned)
                .collect(),
            any: any.iter().cloned().collect(),
            ..Self::default()
        }
    }

    /// Goes on to a section; the kernel uses the inodes of namespaces again that are gone.
    pub fn enter(&mut self, section: usize) {
        if section != self.section {
            self.section = section;
            self.real.clear();
            self.shown.clear();
        }
    }

    /// Whether lines have the shape of the printed ones.
    pub fn lines(&mut self, printed: &[String], real: &[String]) -> bool {
        match printed.split_first() {
            None => real.is_empty(),
            Some((first, rest)) if first.trim() == "..." => {
                self.somewhere(real, |shape, real| shape.lines(rest, real))
            }
            Some((first, rest)) => real
                .split_first()
                .is_some_and(|(line, others)| self.line(first, line) && self.lines(rest, others)),
        }
    }

    /// Whether the rest has the shape from some place on; what was noted on the way there is forgotten.
    fn somewhere<T>(&mut self, real: &[T], mut rest: impl FnMut(&mut Self, &[T]) -> bool) -> bool {
        let before = self.clone();
        (0..=real.len()).any(|skipped| {
            self.clone_from(&before);
            rest(self, &real[skipped..])
        })
    }

    /// Whether a line has the shape of a printed one.
    pub fn line(&mut self, printed: &str, real: &str) -> bool {
        let (printed, real) = match (step(printed), step(real)) {
            (Some(printed), Some(real)) => (printed, real),
            _ => (printed, real),
        };
        let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        let real = real.split_whitespace().collect::<Vec<_>>().join(" ");
        self.pieces(&pieces(&printed), &pieces(&real))
    }

    fn pieces(&mut self, printed: &[Piece], real: &[Piece]) -> bool {
        match (printed.split_first(), real.split_first()) {
            (None, None) => true,
            (Some((Piece::Any, rest)), _) => {
                self.somewhere(real, |shape, real| shape.pieces(rest, real))
            }
            (Some((one, rest)), Some((other, others))) => {
                self.piece(one, other) && self.pieces(rest, others)
            }
            _ => false,
        }
    }

    fn piece(&mut self, printed: &Piece, real: &Piece) -> bool {
        match (printed, real) {
            (Piece::Number(printed), Piece::Number(real)) => {
                printed == real
                    || printed.len() > 2 && !self.exact.contains(*printed)
                    || self.any.contains(*printed)
            }
            // A hash may happen to have nothing but digits.
            (Piece::Hash(length), Piece::Number(text)) => text.len() == *length,
            (Piece::Namespace(printed), Piece::Namespace(real)) => self.namespace(printed, real),
            _ => printed == real,
        }
    }

    fn namespace(&mut self, printed: &str, real: &str) -> bool {
        let known = self
            .real
            .entry(printed.to_owned())
            .or_insert_with(|| real.to_owned());
        let shown = self
            .shown
            .entry(real.to_owned())
            .or_insert_with(|| printed.to_owned());
        known == real && shown == printed
    }
}

/// The sentence of a step as `explain` prints it, which stands behind its number.
fn step(line: &str) -> Option<&str> {
    let numbered = line.strip_prefix("  ")?.trim_start();
    let sentence = numbered.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let words = sentence.strip_prefix("  ")?;
    (numbered != sentence && words.starts_with(char::is_alphabetic)).then_some(words)
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (piece, length) = piece(rest, pieces.last());
        pieces.push(piece);
        rest = &rest[length..];
    }
    pieces
}

fn piece<'a>(text: &'a str, before: Option<&Piece>) -> (Piece<'a>, usize) {
    if text.starts_with("...") {
        return (Piece::Any, 3);
    }
    if let Some(number) = text.strip_prefix("pts/") {
        return (
            Piece::Terminal,
            4 + span(number, |letter| letter.is_ascii_digit()),
        );
    }
    let word = span(text, |letter| letter.is_ascii_alphanumeric());
    if word == 0 {
        let length = text.chars().next().map_or(1, char::len_utf8);
        return (Piece::Text(&text[..length]), length);
    }
    if let Some(address) = text.get(..17)
        && address
            .split(':')
            .all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok())
    {
        return (Piece::Hardware, address.len());
    }
    if let Some(length) = namespace(text, word) {
        return (Piece::Namespace(&text[..length]), length);
    }
    let is_hash = [12, 32, 40, 64].contains(&word)
        && text[..word]
            .chars()
            .all(|letter| letter.is_ascii_hexdigit());
    if is_hash && text[..word].contains(|letter: char| letter.is_ascii_alphabetic()) {
        return (Piece::Hash(word), word);
    }
    if before == Some(&Piece::Text("."))
        && word == 10
        && text[..word].contains(|letter: char| letter.is_ascii_uppercase())
    {
        return (Piece::Made, word);
    }
    if let Some(length) = date(text) {
        return (Piece::Date, length);
    }
    let digits = span(text, |letter| letter.is_ascii_digit());
    if digits == 0 {
        let letters = span(text, |letter| letter.is_ascii_alphabetic());
        return (Piece::Text(&text[..letters]), letters);
    }
    if is_time(text[digits..].strip_prefix(' ')) {
        return (Piece::Load, digits);
    }
    let groups = groups(text);
    match (text.as_bytes().get(digits), groups.len()) {
        (Some(b'.'), 2) if before != Some(&Piece::Text(".")) => {
            (Piece::Decimal, groups[0] + 1 + groups[1])
        }
        (Some(b':'), 2 | 3) if groups[1] == 2 => {
            (Piece::Time, groups.iter().sum::<usize>() + groups.len() - 1)
        }
        _ => (Piece::Number(&text[..digits]), digits),
    }
}

/// Whether what follows is a time.
fn is_time(text: Option<&str>) -> bool {
    text.is_some_and(|text| {
        let digits = span(text, |letter| letter.is_ascii_digit());
        digits > 0 && text[digits..].starts_with(':') && groups(text).get(1) == Some(&2)
    })
}

/// The length of `Nov 21`, where a time follows.
fn date(text: &str) -> Option<usize> {
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let month = text.get(..3)?;
    let day = text[3..].strip_prefix(' ')?;
    let digits = span(day, |letter| letter.is_ascii_digit());
    let is_one = months.split(' ').any(|name| name == month)
        && [1, 2].contains(&digits)
        && is_time(day[digits..].strip_prefix(' '));
    is_one.then_some(4 + digits)
}

/// The lengths of the numbers at the beginning of a text that are separated by the sign after the first.
fn groups(text: &str) -> Vec<usize> {
    let first = span(text, |letter| letter.is_ascii_digit());
    let sign = text[first..].chars().next();
    let end = span(text, |letter| {
        letter.is_ascii_digit() || Some(letter) == sign && [Some('.'), Some(':')].contains(&sign)
    });
    let numbers = text[..end].split(|letter| Some(letter) == sign);
    numbers.map(str::len).filter(|length| *length > 0).collect()
}

/// The length of `kind:[inode]`.
fn namespace(text: &str, word: usize) -> Option<usize> {
    let rest = text[word..].strip_prefix(":[")?;
    let digits = span(rest, |letter| letter.is_ascii_digit());
    rest[digits..]
        .starts_with(']')
        .then_some(word + 2 + digits + 1)
}

/// How many bytes at the beginning of a text belong together.
fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

fn same(shape: &mut Shape, printed: &str, real: &str) -> bool {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    shape.lines(&lines(printed), &lines(real))
}

fn numbers_are_classes(_: &Lab) {
    let mut shape = Shape::default();
    for (printed, real) in [
        ("pid 4242", "pid  98"),
        ("at 12:03, 00:00:01", "at 1:59, 10:11:12"),
        ("0.25 s", "13.5 s"),
        ("at b6:65:3b:81:9d:70", "at 00:11:22:aa:bb:cc"),
        ("/tmp/tmp.aBcDeFgHiJ/x", "/tmp/tmp.Q1w2E3r4T5/x"),
        ("id 0123456789ab", "id ffffffffffff"),
        ("memory: 67108864B", "memory: 1234B"),
        ("    6  clone init", "   12  clone init"),
        ("root 1 0  0 12:14 pts/0", "root 1 0 77 09:41 pts/3"),
        ("5 Nov 21 12:20 added", "5 Dec  3 02:07 added"),
    ] {
        assert!(same(&mut shape, printed, real), "{printed} is {real}");
    }
    for (printed, real) in [
        ("pid 1", "pid 2"),
        ("  6  clone init", "  6  mount proc"),
        ("10.0.0.1", "10.0.0.2"),
        ("root 1 0  0 12:14 pts/0", "root 1 1 0 12:14 pts/0"),
        ("5 Nov 21 12:20 added", "4 Nov 21 12:20 added"),
        ("in Nov 21 days", "in Dec 21 days"),
        ("max", "12"),
        ("0000000000001234ab", "00"),
        ("a", "a\nb"),
    ] {
        assert!(!same(&mut shape, printed, real), "{printed} is not {real}");
    }
}

fn what_the_chapter_says_of_a_number_holds(_: &Lab) {
    let mut shape = Shape::of("137 is 128 and 9", &["26".to_owned()]);
    assert!(!same(&mut shape, "status 137", "status 143"));
    assert!(same(&mut shape, "status 139", "status 143"));
    assert!(same(&mut shape, "26", "22"));
    assert!(!same(&mut shape, "27", "22"));
    assert!(!same(&mut shape, "26", "many"));
}

fn namespaces_are_compared(_: &Lab) {
    let mut shape = Shape::default();
    assert!(same(&mut shape, "pid:[4026531836]", "pid:[4026531999]"));
    assert!(same(&mut shape, "pid:[4026531837]", "pid:[4026531888]"));
    assert!(same(&mut shape, "pid:[4026531836]", "pid:[4026531999]"));
    assert!(!same(&mut shape, "pid:[4026531836]", "pid:[4026531888]"));
    assert!(!same(&mut shape, "pid:[4026531838]", "pid:[4026531888]"));
}

fn anything_is_elided(_: &Lab) {
    let mut shape = Shape::default();
    assert!(same(&mut shape, "a\n...\nb", "a\nb"));
    assert!(same(&mut shape, "a\n...\nb", "a\nx\ny\nb"));
    assert!(same(&mut shape, "a ... b", "a x – y b"));
    assert!(!same(&mut shape, "a\n...\nb", "a\nb\nc"));
}
