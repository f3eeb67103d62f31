//! The command line: what callers of runc depend on, word for word, and a little more.
//!
//! Engines were written against runc, whose parser is Go's: one dash or two before a long flag,
//! `--flag=false`, flags after words but not after the first word of `exec`, exit status 1 for a wrong
//! flag. [`arguments`] is the one place that knows these habits. Help, parsing and the types of values
//! have one source, the structs in the files of the commands: clap's definition is made of them, and so
//! is what reads the flags without it ([`flags`]), because building a definition costs more than `state` may.
//! `COMMANDS` is a table of functions: clap's definition of a command is built where a value is wrong or help is
//! asked for. `--help`, `completion` and `man` build them all.
//!
//! A command is one file: a struct of its flags and words, and a `run` that fills a request for the
//! engine, or asks [`crate::state`] and prints. It returns the exit status, or the one failure that
//! [`crate::log`] writes: on stderr, and as exactly one JSON object into `--log`, because podman reads the
//! whole file as one. `exec` fails with 255, as callers tell the runtime's failure from the
//! program's by it; a wrong command line and everything else with 1; a command that there is not with 3, as runc.

pub mod arguments;
pub mod duration;
pub mod flags;
pub mod globals;
pub mod signal;
pub mod user;

mod audit;
mod checkpoint;
mod completion;
mod create;
mod delete;
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
mod mounts;
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
#[cfg(test)]
mod tests;
mod top;
mod update;
mod validate;
mod volume;
mod words;

use std::ffi::CString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, Args, Command};

use crate::error::{Act, Code, Failure, Field, Result};
use crate::log::Log;
use crate::state::{Id, Program, Root};
use crate::sys::regex::Regex;
use arguments::{Parts, Read, Typed};
use flags::{Flag, Flags};
use globals::Globals;

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
pub trait Subcommand: Args + Flags + std::fmt::Debug {
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
    /// `argv[0]` as it was given.
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

/// A command whose flags and words are read.
type Ready = Box<dyn FnOnce(&Call) -> Result<u8>>;

/// A row of the table of commands.
struct Entry {
    name: &'static str,
    words: Words,
    flags_end: FlagsEnd,
    prefix: &'static str,
    failure: u8,
    define: fn() -> Command,
    find: fn(&str) -> Option<Flag>,
    can_work: fn() -> Result<()>,
    ready: fn(&Parts, Program) -> Result<Ready>,
    #[cfg(test)]
    both: tests::Both,
}

const fn entry<T: Subcommand + 'static>() -> Entry {
    Entry {
        name: T::NAME,
        words: T::WORDS,
        flags_end: T::FLAGS_END,
        prefix: T::PREFIX,
        failure: T::FAILURE,
        define: define::<T>,
        find: T::find,
        can_work: T::can_work,
        ready: |parts, program| {
            let filled = filled::<T>(parts, program)?;
            Ok(Box::new(move |call| filled.run(call)))
        },
        #[cfg(test)]
        both: tests::both::<T>,
    }
}

fn define<T: Subcommand>() -> Command {
    with_help(T::augment_args(Command::new(T::NAME)).about(T::ABOUT))
}

/// The command's flags and words.
fn filled<T: Subcommand>(parts: &Parts, program: Program) -> Result<T> {
    if let Some(filled) = flags::fill(&parts.flags, &parts.words) {
        return Ok(filled);
    }
    let definition = named(define::<T>(), program, T::NAME);
    T::from_arg_matches(&arguments::values(definition, parts)?).map_err(arguments::failure)
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
    entry::<mounts::Mounts>(),
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

/// Runs the program: argv with `argv[0]`; the exit status.
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
    let parts = match arguments::read(Globals::find, typed)? {
        Read::Help => return print(&help(program)).map(|()| 0),
        Read::Parts(parts) => parts,
    };
    let globals = Globals::read(program, &parts)?;
    let mut rest = parts.words.into_iter();
    if globals.version {
        return print(&globals::version(program)).map(|()| 0);
    }
    let log = Arc::new(globals.open_log(argv0)?);
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
        None => Ok(no_topic(&call, &name)),
    }
}

/// There is no such command: the sentence and the status are runc's.
fn no_topic(call: &Call, name: &str) -> u8 {
    let failure = Failure::new(Code::Usage, format!("No help topic for '{name}'"))
        .hint(format!("{} --help lists them", call.program.name()));
    call.log.failure("", &failure);
    3
}

/// Runs one command, and tells its failure.
fn run(entry: &Entry, call: &Call, words: Vec<String>) -> u8 {
    let ready = match parse(entry, call, words) {
        Ok(Some(ready)) => ready,
        Ok(None) => return told(call, show_help(entry, call)),
        Err(failure) => {
            call.log.failure("", &failure);
            // Nothing of the command has run: 255 is a word of `exec` itself.
            return if entry.failure == 255 {
                1
            } else {
                entry.failure
            };
        }
    };
    match ready(call) {
        Ok(status) => told(call, Ok(status)),
        Err(failure) => {
            // Engines strip this prefix or show it; the words are runc's.
            let prefix = match entry.prefix {
                "" => String::new(),
                "exec failed" => "exec failed: ".to_owned(),
                prefix => format!("{} {prefix}: ", call.program.name()),
            };
            call.log.failure(&prefix, &failure);
            entry.failure
        }
    }
}

/// The end of a call: its status, or 1 for a failure without a prefix.
fn told(call: &Call, result: Result<u8>) -> u8 {
    match result {
        Ok(status) => {
            call.log.finish();
            status
        }
        Err(failure) => {
            call.log.failure("", &failure);
            1
        }
    }
}

/// What a command line asks for; none if that is help. A wrong one shows the help on stdout, as with runc.
fn parse(entry: &Entry, call: &Call, words: Vec<String>) -> Result<Option<Ready>> {
    let typed = Typed {
        words,
        flags_end: entry.flags_end,
    };
    let wrong = |introduction: String, failure: Failure| {
        let help = definition(entry, call.program).render_help();
        print(&format!("Incorrect Usage{introduction}\n\n{help}"))?;
        Err(failure)
    };
    let parts = match arguments::read(entry.find, typed) {
        Ok(Read::Help) => return Ok(None),
        Ok(Read::Parts(parts)) => parts,
        Err(failure) => return wrong(format!(": {failure}"), failure),
    };
    if let Err(failure) = check_count(entry, call, parts.words.len()) {
        return wrong(".".to_owned(), failure);
    }
    match (entry.ready)(&parts, call.program) {
        Ok(ready) => Ok(Some(ready)),
        Err(failure) => wrong(format!(": {failure}"), failure),
    }
}

fn show_help(entry: &Entry, call: &Call) -> Result<u8> {
    (entry.can_work)()?;
    print(&definition(entry, call.program).render_help().to_string()).map(|()| 0)
}

fn definition(entry: &Entry, program: Program) -> Command {
    named((entry.define)(), program, entry.name)
}

fn named(definition: Command, program: Program, name: &str) -> Command {
    let name = format!("{} {name}", program.name());
    definition.help_template(help_layout(&name)).bin_name(name)
}

/// runc's three sentences.
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
        Some(entry) => show_help(entry, call),
        None => Ok(no_topic(call, &name)),
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
