//! Reads a command's flags into its struct without clap.
//!
//! clap is the definition of the command line, and what help, manual pages, completions and messages
//! about wrong values come from. To build that definition and to parse by it costs a quarter of `state`,
//! so `flags!` makes of one struct both: clap's definition, and [`Flags`], which finds the same flags in the
//! same fields. What the second does not take (a wrong value, a flag that requires another) the
//! first decides. The tests read every flag of every command both ways.

use std::path::PathBuf;
use std::time::Duration;

use super::duration;

/// A flag as the reader of [`super::arguments`] has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The name of the field, or of the flag where they differ: `_` stands for `-`.
    pub name: &'static str,
    /// Whether a value follows.
    pub takes_value: bool,
    /// Whether there may be several, of which an empty one is one too.
    pub repeats: bool,
}

impl Flag {
    /// The name as it is typed.
    pub fn long(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// The flags and words of a command, read without clap's definition.
pub trait Flags: Sized {
    /// The flag of this name or letter.
    fn find(typed: &str) -> Option<Flag>;

    /// What is read from nothing: clap's defaults.
    fn empty() -> Self;

    /// Takes one flag, of the name that [`Flags::find`] gave; false where clap has to decide, None where
    /// it is another's.
    fn put(&mut self, name: &str, value: Option<&str>) -> Option<bool>;

    /// Takes the words that are not flags; how many were not taken, or None where clap has to decide.
    fn words(&mut self, words: &[String]) -> Option<usize>;
}

/// All of them, or None where clap has to decide.
pub fn fill<T: Flags>(flags: &[(Flag, Option<String>)], words: &[String]) -> Option<T> {
    let mut filled = T::empty();
    let taken = flags
        .iter()
        .all(|(flag, value)| filled.put(flag.name, value.as_deref()) == Some(true));
    // A definition without positionals leaves the words to its caller: it takes none of them.
    let rest = filled.words(words)?;
    (taken && (rest == 0 || rest == words.len())).then_some(filled)
}

/// One value as it is typed.
pub trait Value: Sized {
    /// None where clap has to say what is wrong.
    fn read(text: &str) -> Option<Self>;
}

/// A field: what a flag is read into.
pub trait Place {
    /// Whether a value follows the flag.
    const TAKES_VALUE: bool = true;
    /// Whether it takes all words that are left.
    const TAKES_ALL: bool = false;

    /// Takes a value; of a flag that is repeated without need the last counts. False where it is none.
    fn put(&mut self, value: Option<&str>) -> bool;
}

impl Place for bool {
    const TAKES_VALUE: bool = false;

    fn put(&mut self, value: Option<&str>) -> bool {
        *self = true;
        value.is_none()
    }
}

impl<T: Value> Place for Option<T> {
    fn put(&mut self, value: Option<&str>) -> bool {
        *self = value.and_then(T::read);
        self.is_some()
    }
}

impl<T: Value> Place for Vec<T> {
    const TAKES_ALL: bool = true;

    fn put(&mut self, value: Option<&str>) -> bool {
        let read = value.and_then(T::read);
        let is_value = read.is_some();
        self.extend(read);
        is_value
    }
}

/// Types that are typed as one value: how they are read.
macro_rules! values {
    ($($type:ty = $read:expr),* $(,)?) => {$(
        impl $crate::cli::flags::Value for $type {
            fn read(text: &str) -> Option<Self> {
                let read: fn(&str) -> Option<Self> = $read;
                read(text)
            }
        }

        impl $crate::cli::flags::Place for $type {
            fn put(&mut self, value: Option<&str>) -> bool {
                match value.and_then(<Self as $crate::cli::flags::Value>::read) {
                    Some(value) => *self = value,
                    None => return false,
                }
                true
            }
        }
    )*};
}

/// Types that are one of a few words.
macro_rules! choices {
    ($($type:ty),* $(,)?) => {
        $crate::cli::flags::values!($($type = |text| clap::ValueEnum::from_str(text, false).ok()),*);
    };
}

values!(
    String = |text| Some(text.to_owned()),
    // clap wants a path to have a letter.
    PathBuf = |text| (!text.is_empty()).then(|| PathBuf::from(text)),
    u16 = |text| text.parse().ok(),
    u32 = |text| text.parse().ok(),
    u64 = |text| text.parse().ok(),
    i32 = |text| text.parse().ok(),
    i64 = |text| text.parse().ok(),
    Duration = |text| duration::parse(text).ok(),
);

/// Whether what was typed is this name, in which `_` stands for `-`, or this letter.
pub fn is_typed(typed: &str, name: &str, letter: Option<char>) -> bool {
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    let mut letters = typed.chars();
    (typed.len() == name.len() && typed.bytes().eq(name.bytes().map(dashed)))
        || (letter.is_some() && letters.next() == letter && letters.next().is_none())
}

/// Makes of a struct with clap's attributes clap's definition and [`Flags`].
macro_rules! flags {
    (
        $(#[$outer:meta])*
        $visibility:vis struct $Name:ident {$(
            $(#[$($meta:tt)*])*
            $inner:vis $field:ident: $type:ty
        ),* $(,)?}
    ) => {
        $(#[$outer])*
        #[derive(Debug, clap::Args)]
        $visibility struct $Name {$(
            $(#[$($meta)*])*
            $inner $field: $type,
        )*}

        impl $crate::cli::flags::Flags for $Name {
            #[allow(unused_variables)]
            fn find(typed: &str) -> Option<$crate::cli::flags::Flag> {
                $($crate::cli::flags::field!(find typed, $field, $type, $([$($meta)*])*);)*
                None
            }

            fn empty() -> Self {
                Self {$(
                    $field: $crate::cli::flags::field!(empty (), $field, $type, $([$($meta)*])*),
                )*}
            }

            #[allow(unused_variables)]
            fn put(&mut self, name: &str, value: Option<&str>) -> Option<bool> {
                $($crate::cli::flags::field!(put (self, name, value), $field, $type, $([$($meta)*])*);)*
                None
            }

            #[allow(unused_mut)]
            fn words(&mut self, words: &[String]) -> Option<usize> {
                let mut words = words.iter();
                $($crate::cli::flags::field!(words (self, words), $field, $type, $([$($meta)*])*);)*
                Some(words.len())
            }
        }
    };
}

/// What a field says in one function of [`Flags`], by its attributes.
macro_rules! field {
    ($part:ident $given:tt, $field:ident, $type:ty, [doc = $doc:literal] $($rest:tt)*) => {
        $crate::cli::flags::field!($part $given, $field, $type, $($rest)*)
    };
    (find $typed:ident, $field:ident, $type:ty, [command(flatten)]) => {
        if let Some(flag) = <$type as $crate::cli::flags::Flags>::find($typed) {
            return Some(flag);
        }
    };
    (find $typed:ident, $field:ident, $type:ty, [arg($($said:tt)*)]) => {
        if let Some(name) = $crate::cli::flags::name!($field, $($said)*)
            && $crate::cli::flags::is_typed($typed, name, $crate::cli::flags::letter!($field, $($said)*))
        {
            let takes_value = <$type as $crate::cli::flags::Place>::TAKES_VALUE;
            let repeats = <$type as $crate::cli::flags::Place>::TAKES_ALL;
            return Some($crate::cli::flags::Flag { name, takes_value, repeats });
        }
    };
    (empty (), $field:ident, $type:ty, [command(flatten)]) => {
        <$type as $crate::cli::flags::Flags>::empty()
    };
    (empty (), $field:ident, $type:ty, [arg($($said:tt)*)]) => {
        $crate::cli::flags::fallback!($type, $($said)*)
    };
    (put ($this:ident, $name:ident, $value:ident), $field:ident, $type:ty, [command(flatten)]) => {
        if let Some(taken) = $crate::cli::flags::Flags::put(&mut $this.$field, $name, $value) {
            return Some(taken);
        }
    };
    (put ($this:ident, $name:ident, $value:ident), $field:ident, $type:ty, [arg($($said:tt)*)]) => {
        if $crate::cli::flags::name!($field, $($said)*) == Some($name) {
            let stands_alone = !$crate::cli::flags::requires!($($said)*);
            return Some(stands_alone && $crate::cli::flags::Place::put(&mut $this.$field, $value));
        }
    };
    (words $given:tt, $field:ident, $type:ty, [command(flatten)]) => {};
    (words ($this:ident, $words:ident), $field:ident, $type:ty, [arg($($said:tt)*)]) => {
        if $crate::cli::flags::name!($field, $($said)*).is_none() {
            let most = match <$type as $crate::cli::flags::Place>::TAKES_ALL {
                true => usize::MAX,
                false => 1,
            };
            for word in $words.by_ref().take(most) {
                if !$crate::cli::flags::Place::put(&mut $this.$field, Some(word)) {
                    return None;
                }
            }
        }
    };
}

/// The name of a flag; None for words.
macro_rules! name {
    ($field:ident, long = $name:literal $($rest:tt)*) => { Some($name) };
    ($field:ident, long $($rest:tt)*) => { Some(stringify!($field)) };
    ($field:ident, $skipped:tt $($rest:tt)*) => { $crate::cli::flags::name!($field, $($rest)*) };
    ($field:ident,) => { None::<&'static str> };
}

/// The letter of a flag, if it has one.
macro_rules! letter {
    ($field:ident, short = $letter:literal $($rest:tt)*) => { Some($letter) };
    ($field:ident, short $($rest:tt)*) => { stringify!($field).chars().next() };
    ($field:ident, $skipped:tt $($rest:tt)*) => { $crate::cli::flags::letter!($field, $($rest)*) };
    ($field:ident,) => { None };
}

/// The value of a field whose flag was not typed.
macro_rules! fallback {
    ($type:ty, default_value = $text:literal $($rest:tt)*) => {
        <$type as $crate::cli::flags::Value>::read($text).expect("clap's default is a value")
    };
    ($type:ty, default_value_t = $value:literal $($rest:tt)*) => { $value };
    ($type:ty, $skipped:tt $($rest:tt)*) => { $crate::cli::flags::fallback!($type, $($rest)*) };
    ($type:ty,) => { <$type>::default() };
}

/// Whether a flag requires another, which clap looks after.
macro_rules! requires {
    (requires $($rest:tt)*) => { true };
    ($skipped:tt $($rest:tt)*) => { $crate::cli::flags::requires!($($rest)*) };
    () => { false };
}

pub(crate) use {choices, fallback, field, flags, letter, name, requires, values};
