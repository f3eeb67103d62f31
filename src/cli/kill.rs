//! `kill`: send a signal to Init, or, where that would not reach the rest, to all.

use super::flags::flags;
use super::{Call, FlagsEnd, Subcommand, Words, each, matching, signal};
use crate::error::Result;
use crate::state::{Container, Id, PidNamespace, identity};

flags! {
    /// Flags and words.
    pub(super) struct Kill {
        /// No error if the container has stopped
        #[arg(short, long, hide = true)]
        all: bool,
        /// The id is a regular expression: send it to all whose id it matches
        #[arg(short, long)]
        regex: bool,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
        /// Name or number [default: SIGTERM]
        #[arg(value_name = "SIGNAL")]
        signal: Option<String>,
    }
}

impl Subcommand for Kill {
    const NAME: &'static str = "kill";
    const ABOUT: &'static str = "Send a signal to the container's process";
    const WORDS: Words = Words::Between(1, 2);
    const FLAGS_END: FlagsEnd = FlagsEnd::AtFirstWord;

    fn run(self, call: &Call) -> Result<u8> {
        let given = self.signal.as_deref().filter(|signal| !signal.is_empty());
        let signal = signal::parse(given.unwrap_or("SIGTERM"))?;
        let root = call.root()?;
        let ids = match self.regex {
            true => matching(&root, &self.id)?,
            false => vec![Id::parse(&self.id)?],
        };
        each(call, &ids, |id| {
            self.kill(&Container::open(&root, id)?, signal)
        })?;
        Ok(0)
    }
}

impl Kill {
    fn kill(&self, container: &Container, signal: i32) -> Result<()> {
        let reached = match (signal, container.record().pid_namespace) {
            // Without a pid namespace of its own, the container would survive its first process.
            (libc::SIGKILL, PidNamespace::Shared) if container.record().cgroup.is_some() => {
                kill_all(container)?
            }
            _ => send(container, signal)?,
        };
        match reached {
            Reached::Somebody => Ok(()),
            Reached::Nobody if self.all => Ok(()),
            Reached::Nobody => Err(identity::not_running()),
        }
    }
}

enum Reached {
    Somebody,
    Nobody,
}

fn send(container: &Container, signal: i32) -> Result<Reached> {
    // A container that is being made is not running, though Init may exist already.
    if container.is_being_made()? {
        return Ok(Reached::Nobody);
    }
    let Some(process) = container.process()? else {
        return Ok(Reached::Nobody);
    };
    process.signal(signal)?;
    Ok(Reached::Somebody)
}

/// Also reaches what Init left behind when it ended.
fn kill_all(container: &Container) -> Result<Reached> {
    match container.cgroup()? {
        Some(cgroup) if !cgroup.is_empty()? => {
            cgroup.kill()?;
            Ok(Reached::Somebody)
        }
        _ => Ok(Reached::Nobody),
    }
}
