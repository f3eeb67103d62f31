//! `completion`: what a shell needs to complete a command line.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Call, Subcommand, Words, print, tree};
use crate::error::{Code, Failure, Result};

/// Words.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell that will read it
    #[arg(value_name = "bash|zsh|fish", required = true)]
    shell: String,
}

impl Subcommand for Completion {
    const NAME: &'static str = "completion";
    const ABOUT: &'static str = "Print what a shell needs to complete command lines";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let shell = Shell::from_str(&self.shell, false)
            .ok()
            .filter(|shell| matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish))
            .ok_or_else(|| {
                let text = format!("unknown shell {:?}", self.shell);
                Failure::new(Code::Usage, text).because("not bash, zsh or fish")
            })?;
        let mut text = Vec::new();
        generate(
            shell,
            &mut tree(call.program),
            call.program.name(),
            &mut text,
        );
        print(&String::from_utf8_lossy(&text))?;
        Ok(0)
    }
}
