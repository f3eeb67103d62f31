//! The flags before the command, and what `--version` prints.

use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches, ValueEnum};

use super::arguments::{self, Parts};
use super::flags::{self, choices, flags};
use crate::engine::{CgroupDriver, Rootless};
use crate::error::{Code, Failure, Result};
use crate::log::{Format, Level, Log};
use crate::state::Program;

/// The version of runc whose command line and messages are matched, for callers that look.
const RUNC_VERSION: &str = "1.5.1";
/// The version of the runtime specification.
pub const SPEC_VERSION: &str = "1.3.0";

flags! {
    /// The flags before the command.
    #[derive(Clone)]
    pub struct Globals {
        /// Tell every step on stderr or in the log
        #[arg(long)]
        debug: bool,
        /// How much to tell; debug is the same as --debug
        #[arg(long, value_name = "LEVEL", value_enum)]
        log_level: Option<LogLevel>,
        /// Append errors to a file, or send them to journald:NAME or syslog:NAME, besides stderr
        #[arg(long, value_name = "FILE")]
        pub log: Option<String>,
        /// Format of the log: text or json
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        log_format: String,
        /// Directory of the containers' state [default: /run/PROGRAM, or below $XDG_RUNTIME_DIR]
        #[arg(long, value_name = "DIR")]
        pub root: Option<PathBuf>,
        /// Directory of named volumes [default: /var/lib/corten, or below $XDG_DATA_HOME]
        #[arg(long, value_name = "DIR")]
        pub data: Option<PathBuf>,
        /// Let systemd make cgroups; cgroupsPath is then slice:prefix:name
        #[arg(long)]
        systemd_cgroup: bool,
        /// Who makes the container's cgroup
        #[arg(long, value_name = "WHO", value_enum)]
        cgroup_manager: Option<CgroupDriver>,
        /// Ignore missing permissions on cgroups: true, false or auto
        #[arg(long, value_name = "WHEN", default_value = "auto")]
        rootless: String,
        /// Print the version
        #[arg(long, short = 'v')]
        pub version: bool,
    }
}

/// crun's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Error,
    Warning,
    Debug,
}

/// The definition that `--help` comes from.
pub fn define(program: Program) -> Command {
    let name = program.name();
    super::with_help(Globals::augment_args(
        Command::new(name).disable_version_flag(true),
    ))
    .about("Open Container Initiative runtime that decides first and acts second")
    .help_template(super::help_layout(name))
    .override_usage(format!("{name} [FLAGS] COMMAND [FLAGS] [WORDS]"))
    .after_help(format!("{name} COMMAND --help says more about a command."))
}

choices!(LogLevel);

impl Globals {
    /// From what was typed; the words are the caller's.
    pub fn read(program: Program, parts: &Parts) -> Result<Self> {
        let globals = match flags::fill(&parts.flags, &[]) {
            Some(globals) => globals,
            None => Self::from_arg_matches(&arguments::values(define(program), parts)?)
                .map_err(arguments::failure)?,
        };
        globals.rootless()?;
        Ok(globals)
    }

    /// The log that they ask for.
    pub fn open_log(&self, argv0: &str) -> Result<Log> {
        Log::open(argv0, self.log.as_deref(), self.log_format()?, self.level())
    }

    /// The sentence is runc's.
    fn log_format(&self) -> Result<Format> {
        match self.log_format.as_str() {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => Err(Failure::new(
                Code::Usage,
                format!("invalid log-format: {other}"),
            )),
        }
    }

    /// `--debug` or `--log-level`.
    fn level(&self) -> Level {
        match (self.debug, self.log_level) {
            (true, _) | (_, Some(LogLevel::Debug)) => Level::Debug,
            (_, Some(LogLevel::Warning)) => Level::Warnings,
            (_, Some(LogLevel::Error) | None) => Level::Normal,
        }
    }

    /// `--cgroup-manager`, else `--systemd-cgroup`. Asked only by commands that make a cgroup: engines
    /// say it to all of them.
    pub fn cgroup_driver(&self) -> CgroupDriver {
        match (self.cgroup_manager, self.systemd_cgroup) {
            (Some(driver), _) => driver,
            (None, true) => CgroupDriver::Systemd,
            (None, false) => CgroupDriver::Cgroupfs,
        }
    }

    /// `--rootless`.
    pub fn rootless(&self) -> Result<Rootless> {
        match self.rootless.as_str() {
            "auto" => Ok(Rootless::Auto),
            "true" | "1" | "t" => Ok(Rootless::Yes),
            "false" | "0" | "f" => Ok(Rootless::No),
            other => Err(Failure::new(
                Code::Usage,
                format!("invalid value {other:?} for --rootless"),
            )
            .because("not true, false or auto")),
        }
    }

    /// `--data`, or where a program's lasting data belongs: hier(7), the XDG base directories. None for
    /// a user of whom neither $XDG_DATA_HOME nor $HOME is known: only named volumes need it.
    pub fn data(&self) -> Result<Option<PathBuf>> {
        if let Some(directory) = &self.data {
            return super::absolute(directory).map(Some);
        }
        if crate::sys::credentials::began_as_root() {
            return Ok(Some(PathBuf::from("/var/lib/corten")));
        }
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Ok(variable("XDG_DATA_HOME")
            .or_else(|| Some(variable("HOME")?.join(".local/share")))
            .map(|directory| directory.join("corten")))
    }
}

/// go-runc wants line 1 to begin `runc version `; moby takes the last line that holds the word
/// `version`, so no other line may.
pub fn version(program: Program) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let commit = option_env!("CORTEN_COMMIT").unwrap_or("unknown");
    match program {
        Program::Corten => {
            format!("corten version {own}\ncommit: {commit}\nspec: {SPEC_VERSION}\n")
        }
        Program::Runc => {
            format!(
                "runc version {RUNC_VERSION}\ncommit: {commit}\nspec: {SPEC_VERSION}\ncorten: {own}\n"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_holds_the_word_version() {
        for program in [Program::Corten, Program::Runc] {
            let text = version(program);
            assert!(text.starts_with(&format!("{} version ", program.name())));
            assert_eq!(
                text.lines().filter(|line| line.contains("version")).count(),
                1
            );
            assert!(text.contains("\nspec: 1.3.0\n"));
        }
    }
}
