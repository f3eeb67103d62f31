//! A tokenizer that knows where it is: every key and value of a JSON text with its path and offsets.
//!
//! Only slow paths use it, to say which line a failure belongs to and which properties nobody knows;
//! a container that is well is read by serde alone. The text may be broken: the scanner never fails,
//! it only stops making sense behind the fault. It does not recurse, so depth costs heap, not stack.

use std::borrow::Cow;

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// A key, unescaped.
    Key(Cow<'t, str>),
    /// A place in a list, from 0.
    Index(usize),
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key of a property; the path is that of its value.
    Key,
    /// A string, number, true, false or null.
    Scalar,
    /// The first byte of a list or an object.
    Open,
    /// The last byte of a list or an object.
    Close,
}

/// A token and where it stands: `text[start..end]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

/// Walks over a text, token by token.
#[derive(Debug)]
pub struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    path: Vec<Part<'t>>,
    awaiting_key: bool,
}

impl<'t> Scanner<'t> {
    /// Starts at the first byte.
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            path: Vec::new(),
            awaiting_key: false,
        }
    }

    /// The path of the token that [`Self::advance`] gave last.
    pub fn path(&self, token: Token) -> &[Part<'t>] {
        // An open container has pushed the place of its first element already.
        let depth = self.path.len() - usize::from(token.kind == Kind::Open);
        &self.path[..depth]
    }

    /// The next token; none at the end.
    pub fn advance(&mut self) -> Option<Token> {
        loop {
            let start = self.at;
            match *self.text.get(start)? {
                b'{' => return Some(self.open(Part::Key(Cow::Borrowed("")))),
                b'[' => return Some(self.open(Part::Index(0))),
                b'}' | b']' => return Some(self.close()),
                b',' => self.separate(),
                b':' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'"' => return Some(self.string()),
                _ => return Some(self.word()),
            }
        }
    }

    fn open(&mut self, first: Part<'t>) -> Token {
        self.awaiting_key = matches!(first, Part::Key(_));
        self.path.push(first);
        self.at += 1;
        Token {
            kind: Kind::Open,
            start: self.at - 1,
            end: self.at,
        }
    }

    fn close(&mut self) -> Token {
        self.path.pop();
        self.awaiting_key = false;
        self.at += 1;
        Token {
            kind: Kind::Close,
            start: self.at - 1,
            end: self.at,
        }
    }

    fn separate(&mut self) {
        self.at += 1;
        match self.path.last_mut() {
            Some(Part::Index(index)) => *index += 1,
            Some(Part::Key(_)) => self.awaiting_key = true,
            None => {}
        }
    }

    fn string(&mut self) -> Token {
        let start = self.at;
        let body = &self.text[start + 1..];
        let mut length = 0;
        while let Some(&byte) = body.get(length) {
            match byte {
                b'"' => break,
                b'\\' => length += 2,
                _ => length += 1,
            }
        }
        let length = length.min(body.len());
        self.at = (start + length + 2).min(self.text.len());
        if !self.awaiting_key {
            return Token {
                kind: Kind::Scalar,
                start,
                end: self.at,
            };
        }
        self.awaiting_key = false;
        if let Some(Part::Key(key)) = self.path.last_mut() {
            *key = unescape(&self.text[start..self.at], &body[..length]);
        }
        Token {
            kind: Kind::Key,
            start,
            end: self.at,
        }
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        let ends = |byte: &u8| b"{}[],:\" \t\r\n".contains(byte);
        let length = self.text[start..]
            .iter()
            .position(ends)
            .unwrap_or(self.text.len() - start);
        self.at = start + length;
        Token {
            kind: Kind::Scalar,
            start,
            end: self.at,
        }
    }
}

fn unescape<'t>(quoted: &[u8], body: &'t [u8]) -> Cow<'t, str> {
    if !body.contains(&b'\\') {
        return String::from_utf8_lossy(body);
    }
    // A key that serde cannot read either is named as it is written.
    serde_json::from_slice::<String>(quoted)
        .map_or_else(|_| String::from_utf8_lossy(body), Cow::Owned)
}
