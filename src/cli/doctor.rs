//! `doctor`: what this machine can do for containers.

use clap::ValueEnum;
use serde::Serialize;

use super::flags::{choices, flags};
use super::{Call, Subcommand, Words, print};
use crate::doctor::{self, Check, State, Target, show};
use crate::error::Result;

flags! {
    /// Flags.
    pub(super) struct Doctor {
        /// Whose needs; by default those of Corten, and of a plain user rootless ones
        #[arg(long = "for", value_name = "WHOM", value_enum)]
        target: Option<Target>,
        /// How to print
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: Format,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The JSON form: docs/see-inside.md.
#[derive(Serialize)]
struct Page {
    version: u32,
    #[serde(rename = "for")]
    target: Target,
    state: State,
    checks: Vec<Check>,
}

choices!(Format);

impl Subcommand for Doctor {
    const NAME: &'static str = "doctor";
    const ABOUT: &'static str =
        "Try what this machine can do for containers; exit status 1 for warnings, 2 for failures";
    const WORDS: Words = Words::Exactly(0);
    const FAILURE: u8 = 2;

    fn run(self, _: &Call) -> Result<u8> {
        let by_default = if nix::unistd::geteuid().is_root() {
            Target::Corten
        } else {
            Target::Rootless
        };
        let target = self.target.unwrap_or(by_default);
        let checks = doctor::examine(target)?;
        let state = doctor::worst(&checks);
        print(&match self.format {
            Format::Text => show::text(&checks),
            Format::Json => json(target, state, checks),
        })?;
        Ok(match state {
            State::Ok => 0,
            State::Warn => 1,
            State::Fail => 2,
        })
    }
}

fn json(target: Target, state: State, checks: Vec<Check>) -> String {
    let page = Page {
        version: doctor::VERSION,
        target,
        state,
        checks,
    };
    serde_json::to_string_pretty(&page).expect("strings are JSON") + "\n"
}
