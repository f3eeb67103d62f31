//! `start`: open the gate at which Init waits.

use clap::Args;

use super::{Call, Subcommand, Words};
use crate::error::{Code, Failure, Result};
use crate::state::{Container, Id, Status, gate};

/// Words.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// The container's id
    #[arg(value_name = "ID", required = true)]
    id: String,
}

impl Subcommand for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Let a created container run its program";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let (container, _lock) = Container::open_locked(&call.root()?, &Id::parse(&self.id)?)?;
        let refused = match container.status_locked()? {
            Status::Created => return gate::open(container.directory()).map(|()| 0),
            Status::Stopped => "cannot start a container that has stopped",
            Status::Running => "cannot start an already running container",
            Status::Paused => "cannot start a container in the paused state",
            Status::Creating => "cannot start a container that is being created",
        };
        Err(Failure::new(Code::State, refused))
    }
}
