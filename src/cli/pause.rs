//! `pause`: stop every process of a container where it stands.

use std::time::{Duration, Instant};

use super::flags::flags;
use super::{Call, Subcommand, Words};
use crate::cgroups::freeze;
use crate::error::{Code, Failure, Result};
use crate::state::{Container, Id, Status, identity};

/// How long processes may take to come to a stop.
const DEADLINE: Duration = Duration::from_secs(10);

flags! {
    /// Words.
    pub(super) struct Pause {
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Pause {
    const NAME: &'static str = "pause";
    const ABOUT: &'static str = "Stop every process of a container where it stands";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let (container, _lock) = Container::open_locked(&call.root()?, &Id::parse(&self.id)?)?;
        if !matches!(
            container.status_locked()?,
            Status::Created | Status::Running
        ) {
            return Err(identity::not_running());
        }
        let cgroup = container.cgroup()?.ok_or_else(|| {
            Failure::new(Code::State, "cannot pause the container")
                .because("it has no cgroup of its own")
        })?;
        freeze::freeze(cgroup.directory(), Instant::now() + DEADLINE)?;
        Ok(0)
    }
}
