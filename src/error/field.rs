//! What asked for an operation.

use std::borrow::Cow;
use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
