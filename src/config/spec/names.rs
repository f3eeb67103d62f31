//! A list of many short words in two blocks of memory, where a `Vec<String>` takes one for each word.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Words in the order of the file. Of a profile's system calls there are hundreds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// All of them, one behind the other.
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

/// As many as most lists have: fourteen capabilities, twelve masked paths. Where there are more it is a profile's calls.
const FEW: usize = 16;

impl Names {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
        }
    }

    /// Adds one behind the others.
    pub fn push(&mut self, name: &str) {
        if self.ends.len() == FEW {
            self.text.reserve(4096);
            self.ends.reserve(512);
        }
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The one at a place, the first at 0.
    pub fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            text: &self.text,
            start: 0,
            ends: self.ends.iter(),
        }
    }

    /// Whether one of them has no letter.
    pub fn has_an_empty_one(&self) -> bool {
        self.ends.first() == Some(&0) || self.ends.windows(2).any(|two| two[0] == two[1])
    }

    /// Whether it is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|known| known == name)
    }
}

/// Of [`Names::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    text: &'a str,
    start: usize,
    ends: std::slice::Iter<'a, usize>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = *self.ends.next()?;
        Some(&self.text[std::mem::replace(&mut self.start, end)..end])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Names {
    type Item = &'a str;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<S: AsRef<str>> Extend<S> for Names {
    fn extend<I: IntoIterator<Item = S>>(&mut self, names: I) {
        for name in names {
            self.push(name.as_ref());
        }
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut list = Self::new();
        list.extend(names);
        list
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Names {
            text: String::with_capacity(128),
            ends: Vec::with_capacity(FEW),
        };
        while let Some(Word) = list.next_element_seed(Into(&mut names))? {}
        Ok(names)
    }
}

/// One was added.
struct Word;

/// Adds the next word to the list, without a block of its own.
struct Into<'a>(&'a mut Names);

impl<'de> serde::de::DeserializeSeed<'de> for Into<'_> {
    type Value = Word;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Word, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Into<'_> {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, name: &str) -> Result<Word, E> {
        self.0.push(name);
        Ok(Word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written_as_it_stands() {
        for text in [r#"["read","","cl\"ose","é"]"#, "[]"] {
            let names: Names = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&names).unwrap(), text);
        }
        let names: Names = serde_json::from_str(r#"["a","","bc"]"#).unwrap();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a", "", "bc"]);
        assert!(names.contains("") && names.contains("bc") && !names.contains("ab"));
        assert!(names.has_an_empty_one());
        for (text, expected) in [
            (r#"["a","bc"]"#, false),
            (r#"["","a"]"#, true),
            ("[]", false),
        ] {
            let names: Names = serde_json::from_str(text).unwrap();
            assert_eq!(names.has_an_empty_one(), expected, "{text}");
        }
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let list: Names = many.iter().collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), many);
        assert_eq!((names.len(), names.is_empty()), (3, false));
        assert_eq!(
            [0, 1, 2, 3].map(|place| names.get(place)),
            [Some("a"), Some(""), Some("bc"), None]
        );
        assert_eq!(names, ["a", "", "bc"].into_iter().collect());
        assert_ne!(names, ["ab", "", "c"].into_iter().collect());
    }

    #[test]
    fn what_is_no_list_of_words_is_refused_as_any_such() {
        for text in [r#"["a", 1]"#, r#""a""#, "{}", r#"["a", null]"#] {
            let ours = serde_json::from_str::<Names>(text).unwrap_err();
            let usual = serde_json::from_str::<Vec<String>>(text).unwrap_err();
            assert_eq!(ours.to_string(), usual.to_string());
        }
    }
}
