//! A copy of a configuration from which what is wrong is taken out, so that one can ask on.
//!
//! What is taken out of a list moves its later elements: [`Patient`] remembers what it took, and says of a
//! place in the copy where that was in the file.

use serde_json::{Value, json};

use crate::config::{self, Spec};
use crate::error::{Failure, Field};

/// A configuration under treatment.
#[derive(Debug)]
pub struct Patient {
    original: Value,
    value: Value,
    /// What was taken out, in order: the place at that time, and whether it was an element of a list.
    removed: Vec<Removed>,
    /// The same places in the file.
    touched: Vec<String>,
}

#[derive(Debug)]
struct Removed {
    parts: Vec<String>,
    moves_others: bool,
}

fn parts(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(str::to_owned).collect()
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

impl Patient {
    /// None if the text is no JSON.
    pub fn read(text: &[u8]) -> Option<Self> {
        let original: Value = serde_json::from_slice(text).ok()?;
        Some(Self {
            value: original.clone(),
            original,
            removed: Vec::new(),
            touched: Vec::new(),
        })
    }

    /// The text as it is now.
    pub fn text(&self) -> Vec<u8> {
        self.value.to_string().into_bytes()
    }

    /// What the parser says.
    pub fn parse(&self) -> Result<Spec, Failure> {
        config::parse(&self.text())
    }

    /// The same, if it says nothing.
    pub fn spec(&self) -> Option<Spec> {
        self.parse().ok()
    }

    /// Takes properties and elements out; whether anything was there.
    pub fn take_out(&mut self, mut pointers: Vec<String>) -> bool {
        // From the back, so that what is taken out of a list does not move what is yet to be.
        pointers.sort_by_key(|pointer| std::cmp::Reverse(order(pointer)));
        pointers.dedup();
        let mut taken = false;
        for pointer in pointers {
            // Also what is not there: somebody has missed it, and would again.
            self.touched.push(self.original_of(&pointer));
            taken |= self.take(&pointer);
        }
        taken
    }

    /// Puts something in the place of what every plan needs, so that there is one.
    pub fn complete(&mut self) {
        let essential = [
            ("/ociVersion", json!("1.0.0")),
            ("/root/path", json!("rootfs")),
            ("/process/args", json!(["true"])),
            ("/process/cwd", json!("/")),
        ];
        for (pointer, value) in essential {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(Value::Object(object)) = self.value.pointer_mut(parent) {
                object.entry(name).or_insert(value);
            }
        }
    }

    fn take(&mut self, pointer: &str) -> bool {
        let Some((parent, leaf)) = pointer.rsplit_once('/') else {
            return false;
        };
        let moves_others = match self.value.pointer_mut(parent) {
            Some(Value::Object(object)) => match object.remove(&unescaped(leaf)) {
                Some(_) => false,
                None => return false,
            },
            Some(Value::Array(list)) => match leaf.parse::<usize>() {
                Ok(index) if index < list.len() => {
                    list.remove(index);
                    true
                }
                _ => return false,
            },
            _ => return false,
        };
        self.removed.push(Removed {
            parts: parts(pointer),
            moves_others,
        });
        true
    }

    /// Whether a place of the file, one around it or one within it was taken out.
    pub fn is_touched(&self, pointer: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.touched
            .iter()
            .any(|touched| within(pointer, touched) || within(touched, pointer))
    }

    /// Where in the file a property of the copy is.
    pub fn original_pointer(&self, field: &Field) -> String {
        self.original_of(&field.pointer())
    }

    /// The property by its name in the file.
    pub fn original(&self, field: &Field) -> Field {
        let pointer = field.pointer();
        let original = self.original_of(&pointer);
        if original == pointer {
            return field.clone();
        }
        let mut name = String::new();
        let mut at = Some(&self.original);
        for part in parts(&original) {
            let key = unescaped(&part);
            match at {
                Some(Value::Array(_)) => name.push_str(&format!("[{key}]")),
                _ if name.is_empty() => name.push_str(&key),
                _ => name.extend([".", &key]),
            }
            at = at.and_then(|value| match value {
                Value::Array(list) => list.get(key.parse::<usize>().ok()?),
                value => value.get(&key),
            });
        }
        Field::path(name)
    }

    fn original_of(&self, pointer: &str) -> String {
        let mut place = parts(pointer);
        for removed in self
            .removed
            .iter()
            .rev()
            .filter(|removed| removed.moves_others)
        {
            let last = removed.parts.len() - 1;
            if place.len() <= last || place[..last] != removed.parts[..last] {
                continue;
            }
            let (here, gone) = (place[last].parse::<usize>(), removed.parts[last].parse());
            if let (Ok(here), Ok(gone)) = (here, gone)
                && here >= gone
            {
                place[last] = (here + 1).to_string();
            }
        }
        place.iter().map(|part| format!("/{part}")).collect()
    }
}

/// Elements of lists by their number.
fn order(pointer: &str) -> Vec<(usize, String)> {
    let part = |part: String| (part.parse().unwrap_or_default(), part);
    parts(pointer).into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient() -> Patient {
        Patient::read(br#"{"mounts": [{"a": 0}, {"a": 1}, {"a": 2}, {"a": 3}], "x/y": {"z": 1}}"#)
            .unwrap()
    }

    #[test]
    fn a_place_in_the_copy_is_found_in_the_file() {
        let mut patient = patient();
        assert!(patient.take_out(vec!["/mounts/0".into(), "/mounts/2".into()]));
        assert_eq!(patient.value["mounts"][0]["a"], 1);
        assert_eq!(patient.original_of("/mounts/0/a"), "/mounts/1/a");
        assert_eq!(patient.original_of("/mounts/1"), "/mounts/3");
        assert!(patient.take_out(vec!["/mounts/0".into()]));
        assert_eq!(patient.original_of("/mounts/0"), "/mounts/3");
        let field = Field::index("mounts", 0).leaf("a");
        assert_eq!(patient.original(&field).to_string(), "mounts[3].a");
        assert_eq!(patient.original_of("/x~1y/z"), "/x~1y/z");
    }

    #[test]
    fn what_was_taken_out_is_touched_with_what_is_in_it_and_around_it() {
        let mut patient = patient();
        assert!(patient.take_out(vec!["/x~1y/z".into()]));
        assert!(patient.is_touched("/x~1y/z") && patient.is_touched("/x~1y"));
        assert!(!patient.is_touched("/x~1y/zz") && !patient.is_touched("/mounts"));
        assert!(!patient.take_out(vec!["/nothing/there".into()]));
        assert!(patient.is_touched("/nothing/there"));
    }
}
