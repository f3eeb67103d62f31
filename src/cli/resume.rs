//! `resume`: let a paused container go on.

use super::flags::flags;
use super::{Call, Subcommand, Words};
use crate::cgroups::freeze;
use crate::error::{Code, Failure, Result};
use crate::state::{Container, Id, Status};

flags! {
    /// Words.
    pub(super) struct Resume {
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Resume {
    const NAME: &'static str = "resume";
    const ABOUT: &'static str = "Let the processes of a paused container go on";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let (container, _lock) = Container::open_locked(&call.root()?, &Id::parse(&self.id)?)?;
        match (container.status_locked()?, container.cgroup()?) {
            (Status::Paused, Some(cgroup)) => freeze::thaw(cgroup.directory()).map(|()| 0),
            _ => Err(Failure::new(Code::State, "container not paused")),
        }
    }
}
