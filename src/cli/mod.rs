//! The command line: what callers of runc depend on, word for word, and a little more.
//!
//! Engines were written against runc, whose parser is Go's: one dash or two before a long flag,
//! `--flag=false`, flags after words but not after the first word of `exec`, exit status 1 for a wrong
//! flag. [`arguments`] is the one place that knows these habits. It reads the definition of a
//! command, which is clap's, and turns what was typed into what clap accepts; so help, parsing and
//! the types of values still have one source, the structs in the files of the commands.
//!
//! Building clap's tree for 25 commands would cost more than `state` may: [`COMMANDS`] is a table of
//! functions, and only the definition of the command that was called is built. `--help`, `completion`
//! and `man` alone build them all.
//!
//! A command is one file: a struct of its flags and words, and a `run` that fills a request for the
//! engine, or asks [`crate::state`] and prints. It returns the exit status, or the one failure that
//! [`log`] writes: on stderr, and as exactly one JSON object into `--log`, because podman reads the
//! whole file as one. `exec` fails with 255, as callers tell the runtime's failure from the
//! program's by it; everything else with 1.

pub mod arguments;
pub mod duration;
pub mod globals;
pub mod log;
pub mod signal;
pub mod user;

mod audit;
mod checkpoint;
mod completion;
mod create;
mod delete;
mod destination;
mod doctor;
mod events;
mod exec;
mod explain;
mod explain_error;
mod features;
mod inspect;
mod kill;
mod list;
mod man;
mod page;
mod pause;
mod ps;
mod restore;
mod resume;
mod run;
mod shell;
mod size;
mod spec;
mod start;
mod state;
mod stop;
mod top;
mod update;
mod validate;
mod volume;

use std::ffi::CString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use crate::error::{Act, Code, Failure, Field, Result};
use crate::state::{Id, Program, Root};
use crate::sys::regex::Regex;
use arguments::{Read, Typed};
use globals::Globals;
use log::Log;

/// How a command reads its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagsEnd {
    /// Flags may stand before, between and after the words.
    Anywhere,
    /// All that follows the first word are words: `exec ID ls -l`.
    AtFirstWord,
}

/// How many words a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// No fewer and no more.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
    /// From the first to the second.
    Between(usize, usize),
}

/// One command: its flags and words are the fields of the type that implements it.
pub trait Subcommand: Args {
    /// What is typed.
    const NAME: &'static str;
    /// One line of help.
    const ABOUT: &'static str;
    /// How many words.
    const WORDS: Words;
    /// Where flags may stand.
    const FLAGS_END: FlagsEnd = FlagsEnd::Anywhere;
    /// What goes before the message of a failure, after the program's name: `create failed`.
    const PREFIX: &'static str = "";
    /// The exit status of the runtime's own failure.
    const FAILURE: u8 = 1;

    /// Whether this machine has what it takes. podman asks `--help`, and takes help for a yes.
    fn can_work() -> Result<()> {
        Ok(())
    }

    /// Carries it out; the exit status.
    fn run(self, call: &Call) -> Result<u8>;
}

/// The circumstances of a call: everything that stands before the command.
#[derive(Debug)]
pub struct Call {
    /// Under which name.
    pub program: Program,
    /// argv[0] as it was given.
    pub argv0: String,
    /// The flags before the command.
    pub globals: Globals,
    /// Where errors go.
    pub log: Arc<Log>,
}

impl Call {
    /// The directory of containers.
    pub fn root(&self) -> Result<Root> {
        match &self.globals.root {
            Some(path) => Root::given(path),
            None => Ok(Root::default_of(self.program)),
        }
    }
}

/// A row of the table of commands.
struct Entry {
    name: &'static str,
    words: Words,
    flags_end: FlagsEnd,
    prefix: &'static str,
    failure: u8,
    define: fn() -> Command,
    can_work: fn() -> Result<()>,
    run: fn(&ArgMatches, &Call) -> Result<u8>,
}

const fn entry<T: Subcommand>() -> Entry {
    Entry {
        name: T::NAME,
        words: T::WORDS,
        flags_end: T::FLAGS_END,
        prefix: T::PREFIX,
        failure: T::FAILURE,
        define: || with_help(T::augment_args(Command::new(T::NAME)).about(T::ABOUT)),
        can_work: T::can_work,
        run: |matches, call| {
            T::from_arg_matches(matches)
                .map_err(arguments::failure)?
                .run(call)
        },
    }
}

/// The order of runc's help: readers of the first two lines find the name there.
fn help_layout(name: &str) -> String {
    format!("NAME:\n   {name} - {{about}}\n\nUSAGE:\n   {{usage}}\n\n{{all-args}}{{after-help}}")
}

/// clap's own flag would tell of a longer help that there is not.
fn with_help(command: Command) -> Command {
    let help = Arg::new("help").short('h').long("help").help("Print help");
    command
        .disable_help_flag(true)
        .arg(help.action(ArgAction::SetTrue))
}

/// All commands, in the order of the help: the specification's, runc's, ours.
static COMMANDS: &[Entry] = &[
    entry::<create::Create>(),
    entry::<start::Start>(),
    entry::<state::State>(),
    entry::<kill::Kill>(),
    entry::<delete::Delete>(),
    entry::<run::Run>(),
    entry::<exec::Exec>(),
    entry::<list::List>(),
    entry::<ps::Ps>(),
    entry::<pause::Pause>(),
    entry::<resume::Resume>(),
    entry::<update::Update>(),
    entry::<events::Events>(),
    entry::<checkpoint::Checkpoint>(),
    entry::<restore::Restore>(),
    entry::<spec::SpecCommand>(),
    entry::<features::Features>(),
    entry::<stop::Stop>(),
    entry::<shell::Shell>(),
    entry::<explain::Explain>(),
    entry::<explain_error::ExplainError>(),
    entry::<inspect::Inspect>(),
    entry::<validate::Validate>(),
    entry::<audit::AuditCommand>(),
    entry::<top::Top>(),
    entry::<doctor::Doctor>(),
    entry::<volume::Volume>(),
    entry::<completion::Completion>(),
    entry::<man::Manual>(),
];

/// Runs the program: argv with argv[0]; the exit status.
pub fn main(argv: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let mut words = Vec::new();
    for word in argv {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => {
                let failure = Failure::new(Code::Usage, format!("argument {word:?} is not UTF-8"));
                Log::to_stderr("corten").failure("", &failure);
                return 1;
            }
        }
    }
    let mut words = words.into_iter();
    let argv0 = words.next().unwrap_or_else(|| "corten".to_owned());
    let program = Program::of(&argv0);
    match call(program, &argv0, words.collect()) {
        Ok(status) => status,
        // Before the log is known, a failure has only stderr to go to.
        Err(failure) => {
            Log::to_stderr(&argv0).failure("", &failure);
            1
        }
    }
}

/// Reads what stands before the command, then runs the command.
fn call(program: Program, argv0: &str, words: Vec<String>) -> Result<u8> {
    let typed = Typed {
        words,
        flags_end: FlagsEnd::AtFirstWord,
    };
    let definition = globals::define(program);
    let (flags, words) = match arguments::read(&definition, typed)? {
        Read::Help => return print(&help(program)).map(|()| 0),
        Read::Canonical { flags, words } => (flags, words),
    };
    let matches = arguments::values(definition, flags, &words)?;
    let mut rest = words.into_iter();
    let globals = Globals::read(&matches)?;
    if globals.version {
        return print(&globals::version(program)).map(|()| 0);
    }
    let log = Arc::new(Log::open(argv0, &globals)?);
    let Some(name) = rest.next() else {
        return print(&help(program)).map(|()| 0);
    };
    let call = Call {
        program,
        argv0: argv0.to_owned(),
        globals,
        log,
    };
    if name == "help" {
        return help_for(&call, rest.next());
    }
    match COMMANDS.iter().find(|entry| entry.name == name) {
        Some(entry) => Ok(run(entry, &call, rest.collect())),
        None => {
            let asks_help = rest.any(|word| matches!(word.as_str(), "-h" | "--help"));
            let failure = if asks_help { no_topic } else { unknown };
            call.log.failure("", &failure(&call, &name));
            Ok(1)
        }
    }
}

/// The sentence is runc's.
fn no_topic(call: &Call, name: &str) -> Failure {
    Failure::new(Code::Usage, format!("No help topic for '{name}'"))
        .hint(format!("{} --help lists them", call.program.name()))
}

fn unknown(call: &Call, name: &str) -> Failure {
    Failure::new(Code::Usage, format!("no such command: {name:?}"))
        .hint(format!("{} --help lists them", call.program.name()))
}

/// Runs one command, and tells its failure.
fn run(entry: &Entry, call: &Call, words: Vec<String>) -> u8 {
    let failure = match parse_and_run(entry, call, words) {
        Ok(status) => {
            call.log.finish();
            return status;
        }
        Err(failure) => failure,
    };
    // Engines strip this prefix or show it; the words are runc's.
    let prefix = match (entry.prefix, failure.code) {
        ("", _) | (_, Code::Usage) => String::new(),
        ("exec failed", _) => "exec failed: ".to_owned(),
        (prefix, _) => format!("{} {prefix}: ", call.program.name()),
    };
    call.log.failure(&prefix, &failure);
    entry.failure
}

fn parse_and_run(entry: &Entry, call: &Call, words: Vec<String>) -> Result<u8> {
    let typed = Typed {
        words,
        flags_end: entry.flags_end,
    };
    let mut definition = definition(entry, call.program);
    match arguments::read(&definition, typed)? {
        Read::Help => {
            (entry.can_work)()?;
            print(&definition.render_help().to_string()).map(|()| 0)
        }
        Read::Canonical { flags, words } => {
            check_count(entry, call, words.len())?;
            (entry.run)(&arguments::values(definition, flags, &words)?, call)
        }
    }
}

fn definition(entry: &Entry, program: Program) -> Command {
    let name = format!("{} {}", program.name(), entry.name);
    (entry.define)()
        .help_template(help_layout(&name))
        .bin_name(name)
}

/// runc's three sentences, and its habit of showing the help on stdout.
fn check_count(entry: &Entry, call: &Call, count: usize) -> Result<()> {
    let (least, most) = match entry.words {
        Words::Exactly(number) => (number, number),
        Words::AtLeast(number) => (number, usize::MAX),
        Words::Between(least, most) => (least, most),
    };
    let expected = match entry.words {
        Words::Exactly(number) if count != number => format!("exactly {number}"),
        _ if count < least => format!("a minimum of {least}"),
        _ if count > most => format!("a maximum of {most}"),
        _ => return Ok(()),
    };
    let help = definition(entry, call.program).render_help();
    print(&format!("Incorrect Usage.\n\n{help}"))?;
    let text = format!(
        "{}: {:?} requires {expected} argument(s)",
        call.argv0, entry.name
    );
    Err(Failure::new(Code::Usage, text))
}

/// The whole tree, for `--help`, completions and manual pages.
fn tree(program: Program) -> Command {
    let commands = COMMANDS.iter().map(|entry| (entry.define)());
    globals::define(program)
        .subcommands(commands)
        .disable_help_subcommand(true)
}

fn help(program: Program) -> String {
    tree(program).render_help().to_string()
}

fn help_for(call: &Call, name: Option<String>) -> Result<u8> {
    let Some(name) = name else {
        return print(&help(call.program)).map(|()| 0);
    };
    match COMMANDS.iter().find(|entry| entry.name == name) {
        Some(entry) => {
            (entry.can_work)()?;
            print(&definition(entry, call.program).render_help().to_string()).map(|()| 0)
        }
        None => Err(no_topic(call, &name)),
    }
}

/// `--regex`: the word is an extended regular expression, and all containers are meant in whose id it is found.
pub(crate) fn matching(root: &Root, word: &str) -> Result<Vec<Id>> {
    let wrong = |text: String| Failure::new(Code::Usage, text).at(Field::new("--regex"));
    let c_string =
        |text: &str| CString::new(text).map_err(|_| wrong(format!("{text:?} has a NUL")));
    let regex = Regex::new(&c_string(word)?).map_err(|text| wrong(format!("{word:?}: {text}")))?;
    let mut ids = root.ids()?;
    let mut found = Vec::new();
    for id in ids.drain(..) {
        if regex.is_in(&c_string(id.as_str())?) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Does something to each; the first failure counts, the others are told.
pub(crate) fn each(call: &Call, ids: &[Id], act: impl Fn(&Id) -> Result<()>) -> Result<()> {
    let mut first = Ok(());
    for id in ids {
        match (act(id), &first) {
            (Err(failure), Ok(())) => first = Err(failure),
            (Err(failure), Err(_)) => call.log.note(&format!("container {id}: {failure}")),
            (Ok(()), _) => {}
        }
    }
    first
}

/// A path that still means the same after a change of directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).act(|| format!("cannot resolve {:?}", path.display()))
}

/// Writes to stdout; a reader that has gone is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .act(|| "cannot write to stdout")
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

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
}
