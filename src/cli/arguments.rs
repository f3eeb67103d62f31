//! From what was typed to what clap accepts: the habits of Go's flag parsers, in one place.
//!
//! The definition of the command ([`super::flags`]) says which flags exist and which of them take a
//! value. With that, the words are read once, the way runc reads them, and taken apart into flags, their values
//! and words. The command's fields are filled from those; where that fails, clap gets them in the one
//! form that needs no interpretation: `--flag`, `--flag=value`, `--`, words. What clap then refuses can only be
//! a value.

use std::error::Error;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Command};

use super::FlagsEnd;
use super::flags::Flag;
use crate::error::{Code, Failure, Result};

/// What was typed after the program's or the command's name.
#[derive(Debug)]
pub struct Typed {
    /// As the shell made them.
    pub words: Vec<String>,
    /// Where flags may stand.
    pub flags_end: FlagsEnd,
}

/// What was typed, taken apart.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// Help was asked for.
    Help,
    /// Flags, and all words that are not flags, for the caller to count.
    Parts(Parts),
}

/// Flags and words.
#[derive(Debug, PartialEq)]
pub struct Parts {
    /// In the order typed, with their values.
    pub flags: Vec<(Flag, Option<String>)>,
    /// In the order typed.
    pub words: Vec<String>,
}

impl Parts {
    /// `--flag` and `--flag=value`.
    fn canonical(&self) -> impl Iterator<Item = String> {
        self.flags.iter().map(|(flag, value)| match value {
            Some(value) => format!("--{}={value}", flag.long()),
            None => format!("--{}", flag.long()),
        })
    }
}

/// The values of flags and, where the definition has positionals, of words, by clap. Of a flag that was
/// repeated without need the last counts, as in Go.
pub fn values(definition: Command, parts: &Parts) -> Result<ArgMatches> {
    // A definition without positionals leaves the words to its caller.
    let takes_words = definition.get_positionals().next().is_some();
    let separator = takes_words.then(|| "--".to_owned());
    let positionals = if takes_words { &parts.words[..] } else { &[] };
    let arguments = parts
        .canonical()
        .chain(separator)
        .chain(positionals.iter().cloned());
    definition
        .no_binary_name(true)
        .args_override_self(true)
        .try_get_matches_from(arguments)
        .map_err(failure)
}

/// clap's complaint about a value, in one line.
pub fn failure(error: clap::Error) -> Failure {
    if let Some(text) = wrong_value(&error) {
        return Failure::new(Code::Usage, text);
    }
    let text = error.to_string();
    // What is missing stands below; usage and tips come after an empty line.
    let lines = text.lines().take_while(|line| !line.is_empty());
    let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    Failure::new(Code::Usage, line.trim_start_matches("error: "))
}

/// The sentence is Go's up to the colon.
fn wrong_value(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let value = text(ContextKind::InvalidValue)?;
    let flag = text(ContextKind::InvalidArg)?.strip_prefix("--")?;
    let name = flag.split_whitespace().next()?;
    let why = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(words))) => format!("not one of {}", words.join(", ")),
        _ => "parse error".to_owned(),
    };
    Some(format!("invalid value {value:?} for flag -{name}: {why}"))
}

/// Reads by a definition: `find` knows its flags.
pub fn read(find: fn(&str) -> Option<Flag>, typed: Typed) -> Result<Read> {
    let (mut flags, mut words) = (Vec::new(), Vec::new());
    let mut rest = typed.words.into_iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            words.extend(rest);
            break;
        }
        let Some((name, value)) = split(&word) else {
            words.push(word);
            if typed.flags_end == FlagsEnd::AtFirstWord {
                words.extend(rest);
                break;
            }
            continue;
        };
        if matches!(name, "h" | "help") {
            if value.map_or(Ok(true), |value| boolean(name, value))? {
                return Ok(Read::Help);
            }
            continue;
        }
        let flag = find(name).ok_or_else(|| undefined(name))?;
        if flag.takes_value {
            // The next word is the value whatever it looks like: `--memory -1`.
            let value = value
                .map(str::to_owned)
                .or_else(|| rest.next())
                .ok_or_else(|| missing(name))?;
            // Go's flags have a default, most often the empty text: that one means that none is given.
            if !value.is_empty() || flag.repeats {
                flags.push((flag, Some(value)));
            }
        } else if value.map_or(Ok(true), |value| boolean(name, value))? {
            flags.push((flag, None));
        }
    }
    Ok(Read::Parts(Parts { flags, words }))
}

/// `-name`, `--name`, `-name=value`, `--name=value`; None for a word, and for `-`, which means stdin.
fn split(word: &str) -> Option<(&str, Option<&str>)> {
    let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    if body.is_empty() {
        return None;
    }
    Some(
        body.split_once('=')
            .map_or((body, None), |(name, value)| (name, Some(value))),
    )
}

/// strconv.ParseBool.
fn boolean(name: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Failure::new(
            Code::Usage,
            format!("invalid boolean value {value:?} for -{name}: parse error"),
        )),
    }
}

/// podman looks for these words when it asks whether `restore` knows a flag.
fn missing(name: &str) -> Failure {
    Failure::new(Code::Usage, format!("flag needs an argument: -{name}"))
}

fn undefined(name: &str) -> Failure {
    Failure::new(
        Code::Usage,
        format!("flag provided but not defined: -{name}"),
    )
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;
    use crate::cli::flags::{self, Flags, flags};

    flags! {
        struct Test {
            #[arg(short, long)]
            bundle: Option<String>,
            #[arg(short, long)]
            env: Vec<String>,
            #[arg(short, long)]
            keep: bool,
            #[arg(long, value_name = "memory")]
            memory: Option<i64>,
            #[arg(value_name = "WORDS")]
            words: Vec<String>,
        }
    }

    fn typed(flags_end: FlagsEnd, words: &[&str]) -> Typed {
        Typed {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            flags_end,
        }
    }

    fn parts(flags_end: FlagsEnd, words: &[&str]) -> Result<Parts> {
        match read(Test::find, typed(flags_end, words))? {
            Read::Parts(parts) => Ok(parts),
            Read::Help => panic!("no help was asked for"),
        }
    }

    fn canonical(flags_end: FlagsEnd, words: &[&str]) -> (String, String) {
        let parts = parts(flags_end, words).unwrap();
        let flags: Vec<_> = parts.canonical().collect();
        (flags.join(" "), parts.words.join(" "))
    }

    /// By our own reader, or else by clap; where both can, they say the same.
    fn parse(words: &[&str]) -> Result<Test> {
        let parts = parts(FlagsEnd::Anywhere, words)?;
        let definition = Test::augment_args(Command::new("test"));
        let values = values(definition, &parts)?;
        let by_clap = Test::from_arg_matches(&values).map_err(failure)?;
        let ours: Option<Test> = flags::fill(&parts.flags, &parts.words);
        assert_eq!(format!("{:?}", ours.unwrap()), format!("{by_clap:?}"));
        Ok(by_clap)
    }

    #[test]
    fn a_long_flag_takes_one_dash_or_two_and_an_equal_sign_or_none() {
        for words in [
            &["--bundle", "/b", "x"][..],
            &["-bundle", "/b", "x"],
            &["--bundle=/b", "x"],
            &["-bundle=/b", "x"],
            &["-b", "/b", "x"],
            &["-b=/b", "x"],
            &["--b=/b", "x"],
            &["x", "--bundle", "/b"],
        ] {
            assert_eq!(
                canonical(FlagsEnd::Anywhere, words),
                ("--bundle=/b".into(), "x".into()),
                "{words:?}"
            );
        }
    }

    #[test]
    fn a_boolean_may_say_true_or_false() {
        assert_eq!(
            canonical(FlagsEnd::Anywhere, &["-keep=true", "x"]).0,
            "--keep"
        );
        assert_eq!(canonical(FlagsEnd::Anywhere, &["--keep=0", "x"]).0, "");
        assert_eq!(
            canonical(FlagsEnd::Anywhere, &["--keep", "false"]),
            ("--keep".into(), "false".into())
        );
        assert!(parse(&["--keep=perhaps"]).is_err());
    }

    #[test]
    fn an_empty_value_is_none_unless_there_may_be_several() {
        for words in [
            &["--bundle=", "x"][..],
            &["--bundle", "", "x"],
            &["-b", "", "x"],
        ] {
            assert_eq!(
                canonical(FlagsEnd::Anywhere, words),
                (String::new(), "x".into()),
                "{words:?}"
            );
        }
        assert_eq!(canonical(FlagsEnd::Anywhere, &["-e", ""]).0, "--env=");
    }

    #[test]
    fn flags_end_at_the_first_word_where_a_program_follows() {
        let words = ["-k", "id", "ls", "-k", "--", "-l"];
        assert_eq!(
            canonical(FlagsEnd::AtFirstWord, &words),
            ("--keep".into(), "id ls -k -- -l".into())
        );
        assert_eq!(
            canonical(FlagsEnd::Anywhere, &["--", "-k"]),
            (String::new(), "-k".into())
        );
        assert_eq!(
            canonical(FlagsEnd::Anywhere, &["-"]),
            (String::new(), "-".into())
        );
    }

    #[test]
    fn a_value_may_look_like_a_flag_and_commas_are_nothing_special() {
        let matches = parse(&["--memory", "-1", "-e", "A=a,b", "--env", "--b"]).unwrap();
        assert_eq!(matches.memory, Some(-1));
        assert_eq!(matches.env, ["A=a,b", "--b"]);
    }

    #[test]
    fn of_a_repeated_flag_the_last_counts() {
        let matches = parse(&["-b", "/a", "-k", "--bundle=/b", "-k"]).unwrap();
        assert_eq!(matches.bundle.as_deref(), Some("/b"));
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_that_callers_look_for() {
        for (words, text) in [
            (&["--bundle"][..], "flag needs an argument: -bundle"),
            (&["-b"], "flag needs an argument: -b"),
            (&["--colour", "x"], "flag provided but not defined: -colour"),
            (
                &["--keep=perhaps"],
                "invalid boolean value \"perhaps\" for -keep: parse error",
            ),
            (
                &["--memory", "much"],
                "invalid value \"much\" for flag -memory: invalid digit found in string",
            ),
        ] {
            assert_eq!(parse(words).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn help_is_found_wherever_flags_are() {
        for words in [
            &["-h"][..],
            &["--help"],
            &["-help"],
            &["x", "-h"],
            &["-b", "/b", "--help"],
        ] {
            assert_eq!(
                read(Test::find, typed(FlagsEnd::Anywhere, words)).unwrap(),
                Read::Help
            );
        }
        assert_eq!(canonical(FlagsEnd::Anywhere, &["--help=false", "x"]).1, "x");
        assert_eq!(canonical(FlagsEnd::AtFirstWord, &["id", "-h"]).1, "id -h");
        assert_eq!(
            canonical(FlagsEnd::Anywhere, &["-b", "-h"]).0,
            "--bundle=-h"
        );
    }
}
