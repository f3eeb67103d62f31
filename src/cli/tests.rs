//! Every command: help, completions, manual pages, and the two ways of reading.

use clap_complete::Shell;

use super::*;

/// What is read without clap, and what clap reads.
pub(super) type Both = fn(&Parts, Command) -> (Option<String>, Option<String>);

pub(super) fn both<T: Args + Flags + std::fmt::Debug>(
    parts: &Parts,
    definition: Command,
) -> (Option<String>, Option<String>) {
    let ours = flags::fill::<T>(&parts.flags, &parts.words);
    let clap = arguments::values(definition, parts).ok();
    let clap = clap.map(|matches| T::from_arg_matches(&matches).unwrap());
    (
        ours.map(|read| format!("{read:?}")),
        clap.map(|read| format!("{read:?}")),
    )
}

/// Holds one command's reader against clap: nothing, each flag with each of these values, each twice.
fn reads_as_clap(definition: &Command, find: fn(&str) -> Option<Flag>, both: Both, words: usize) {
    const VALUES: &[&str] = &[
        "",
        "x",
        "-",
        "--",
        "-1",
        "0",
        "+5",
        "7",
        "65536",
        "4294967296",
        "0x10",
        "1.5",
        "5s",
        "1m30s",
        "/a b",
        "é",
        "a=b",
        "a,b",
        "true",
        "text",
        "json",
        "table",
        "none",
        "host",
        "auto",
        "TEXT",
        "docker",
        "warning",
        "systemd",
        "disabled",
        "docker-rootless",
        "plan",
        "bash",
    ];
    let name = definition.get_name();
    let words = vec!["bash".to_owned(); words];
    let check = |flags: Vec<(Flag, Option<String>)>| {
        let parts = Parts {
            flags,
            words: words.clone(),
        };
        let (ours, clap) = both(&parts, definition.clone());
        // What is not read without clap is clap's to read or refuse.
        assert!(
            ours.is_none() || ours == clap,
            "{name} {parts:?}: {ours:?}, {clap:?}"
        );
        ours.is_some()
    };
    assert!(check(Vec::new()), "{name} without flags");
    for arg in definition
        .get_arguments()
        .filter(|arg| arg.get_id() != "help")
    {
        let Some(long) = arg.get_long() else { continue };
        let flag = find(long).unwrap();
        assert_eq!(flag.long(), long, "{name}");
        assert_eq!(
            flag.takes_value,
            arg.get_action().takes_values(),
            "{name} --{long}"
        );
        let letter = arg.get_short().map(String::from);
        assert!(
            letter.is_none_or(|letter| find(&letter) == Some(flag)),
            "{name} --{long}"
        );
        let values = match flag.takes_value {
            true => VALUES
                .iter()
                .map(|value| Some((*value).to_owned()))
                .collect(),
            false => vec![None],
        };
        let is_read = |value: &Option<String>| check(vec![(flag, value.clone())]);
        let read: Vec<_> = values.iter().filter(|value| is_read(value)).collect();
        // clap looks after flags that require another.
        let is_claps = matches!(long, "until" | "record" | "output");
        assert!(is_claps || !read.is_empty(), "{name} --{long}");
        for pair in read.windows(2) {
            check(pair.iter().map(|value| (flag, (*value).clone())).collect());
        }
    }
    assert_eq!(find("no-such-flag"), None);
    assert_eq!(find(""), None);
}

#[test]
fn every_flag_is_read_as_clap_reads_it() {
    for entry in COMMANDS {
        let words = match entry.words {
            Words::Exactly(number) | Words::AtLeast(number) | Words::Between(number, _) => number,
        };
        for words in [words, words + 1] {
            if matches!(entry.words, Words::Exactly(number) if number != words) {
                continue;
            }
            let definition = definition(entry, Program::Corten);
            reads_as_clap(&definition, entry.find, entry.both, words);
        }
    }
    let definition = globals::define(Program::Corten);
    reads_as_clap(&definition, Globals::find, both::<Globals>, 0);
}

#[test]
fn every_definition_is_consistent() {
    for entry in COMMANDS {
        definition(entry, Program::Corten).debug_assert();
    }
    help(Program::Runc);
}

/// Every flag with a name to type, by its command; those before the command have none.
fn flags() -> Vec<(String, String)> {
    let tree = tree(Program::Corten);
    let of = |command: &Command| {
        let name = command.get_name().to_owned();
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let longs = shown.filter_map(Arg::get_long);
        longs
            .map(|long| (name.clone(), long.to_owned()))
            .collect::<Vec<_>>()
    };
    let commands = tree.get_subcommands().flat_map(of);
    commands.chain(of(&tree)).collect()
}

/// What a script says of one command.
fn part_of<'a>(script: &'a str, shell: Shell, command: &str) -> Vec<&'a str> {
    let is_global = command == "corten";
    let lines = script.lines();
    match shell {
        Shell::Fish => {
            let of = match is_global {
                true => "__fish_corten_needs_command\"".to_owned(),
                false => format!("__fish_corten_using_subcommand {command}\""),
            };
            lines.filter(|line| line.contains(&of)).collect()
        }
        Shell::Zsh if is_global => lines.take_while(|line| line.trim() != "(create)").collect(),
        Shell::Zsh => {
            let opened = format!("({command})");
            let after = lines.skip_while(|line| line.trim() != opened);
            after.take_while(|line| *line != ";;").collect()
        }
        _ => {
            let function = match is_global {
                true => "        corten)".to_owned(),
                false => format!(
                    "        corten__subcmd__{})",
                    command.replace('-', "__subcmd__")
                ),
            };
            let after = lines.skip_while(|line| *line != function);
            after.take_while(|line| *line != "            ;;").collect()
        }
    }
}

#[test]
fn completions_know_every_command_and_flag() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = completion::script(shell, Program::Corten);
        for entry in COMMANDS {
            let part = part_of(&script, shell, "corten").join("\n") + &script;
            assert!(part.contains(entry.name), "{shell}: {}", entry.name);
        }
        for (command, flag) in flags() {
            let typed = match shell {
                Shell::Fish => format!("-l {flag} "),
                _ => format!("--{flag}"),
            };
            let part = part_of(&script, shell, &command);
            assert!(
                part.iter().any(|line| line.contains(&typed)),
                "{shell}: {command} --{flag} is not in {part:#?}"
            );
        }
    }
}

#[test]
fn ids_are_completed_where_a_container_is_meant() {
    let commands = completion::commands_of_ids(Program::Corten);
    let has = |name: &str| commands.iter().any(|command| command == name);
    assert!(has("state") && has("exec") && has("delete") && has("inspect"));
    assert!(!has("create") && !has("run") && !has("volume") && !has("shell"));
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = completion::script(shell, Program::Runc);
        assert!(script.contains("runc list --quiet"), "{shell}");
    }
}

#[test]
fn manual_pages_know_every_command_and_flag() {
    let pages = man::pages(Program::Corten);
    assert_eq!(pages.len(), COMMANDS.len() + 1);
    for (command, flag) in flags() {
        let name = match command.as_str() {
            "corten" => command.clone(),
            command => format!("corten-{command}"),
        };
        let (_, page) = pages.iter().find(|(page, _)| *page == name).unwrap();
        let page = man::page(&name, page.clone()).unwrap();
        let typed = format!("\\-\\-{}", flag.replace('-', "\\-"));
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(&typed), "{name}: {typed} is not in {page}");
    }
}
