//! `ps`: the processes of a container, as the host numbers them.

use std::process::{Command, Stdio};

use clap::ValueEnum;

use super::flags::{choices, flags};
use super::{Call, FlagsEnd, Subcommand, Words, print};
use crate::error::{Act, Code, Failure, Result};
use crate::state::{Container, Id, members};
use crate::sys::signal;

flags! {
    /// Flags and words.
    pub(super) struct Ps {
        /// How to print
        #[arg(
            short,
            long,
            value_name = "FORMAT",
            value_enum,
            default_value = "table"
        )]
        format: PsFormat,
        /// The container's id, then options of ps(1) [default: -ef]
        #[arg(value_name = "ID [OPTION", required = true, num_args = 1.., trailing_var_arg = true)]
        words: Vec<String>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PsFormat {
    Table,
    Json,
}

choices!(PsFormat);

impl Subcommand for Ps {
    const NAME: &'static str = "ps";
    const ABOUT: &'static str = "List the processes of a container";
    const WORDS: Words = Words::AtLeast(1);
    const FLAGS_END: FlagsEnd = FlagsEnd::AtFirstWord;

    fn run(mut self, call: &Call) -> Result<u8> {
        let options = self.words.split_off(1);
        let container = Container::open(&call.root()?, &Id::parse(&self.words[0])?)?;
        let pids = members::of(&container)?;
        match self.format {
            PsFormat::Json => print(&format!("{}\n", serde_json::json!(pids)))?,
            PsFormat::Table => print(&table(&listing(options)?, &pids)?)?,
        }
        Ok(0)
    }
}

/// What the host's ps(1) says of all processes.
fn listing(options: Vec<String>) -> Result<String> {
    let options = if options.is_empty() {
        vec!["-ef".to_owned()]
    } else {
        options
    };
    // A caller who ignores SIGCHLD leaves that to us, and the kernel would discard the status.
    signal::set_default(libc::SIGCHLD).act(|| "cannot run ps")?;
    let output = Command::new("ps")
        .args(&options)
        .stderr(Stdio::inherit())
        .output()
        .act(|| "cannot run ps")?;
    if !output.status.success() {
        return Err(Failure::new(Code::System, "cannot list processes")
            .because(format!("ps: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The head and those lines whose column PID has one of the numbers.
fn table(listing: &str, pids: &[i32]) -> Result<String> {
    let head = listing.lines().next().unwrap_or_default();
    let column = head
        .split_whitespace()
        .position(|word| word == "PID")
        .ok_or_else(|| Failure::new(Code::Usage, "couldn't find PID field in ps output"))?;
    let is_ours = |line: &&str| {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| pids.binary_search(&pid).is_ok())
    };
    let lines = std::iter::once(head).chain(listing.lines().skip(1).filter(is_ours));
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_the_column_pid_alone() {
        let listing = "UID PID PPID CMD\nroot 1 0 init\nroot 7 1 sleep 8\nroot 8 7 7\n";
        assert_eq!(
            table(listing, &[7]).unwrap(),
            "UID PID PPID CMD\nroot 7 1 sleep 8\n"
        );
        let failure = table("UID COMMAND\n", &[7]).unwrap_err();
        assert_eq!(failure.to_string(), "couldn't find PID field in ps output");
    }
}
