//! `stop`: ask the program to end, then make it.

use std::time::Duration;

use super::flags::flags;
use super::{Call, Subcommand, Words, duration, signal};
use crate::error::Result;
use crate::state::{Container, Id, destroy, identity};

/// The annotation by which an image says how its program is stopped (image-spec, annotations).
const STOP_SIGNAL: &str = "org.opencontainers.image.stopSignal";

flags! {
    /// Flags and words.
    pub(super) struct Stop {
        /// How long the program has until it is killed
        #[arg(short, long, value_name = "TIME", value_parser = duration::parse, default_value = "10s")]
        time: Duration,
        /// Signal that asks it to end [default: that of the image, else SIGTERM]
        #[arg(short, long, value_name = "SIGNAL")]
        signal: Option<String>,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Stop {
    const NAME: &'static str = "stop";
    const ABOUT: &'static str = "Ask the program to end; kill the container if it does not in time";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let container = Container::open(&call.root()?, &Id::parse(&self.id)?)?;
        let annotation = container.record().annotations.get(STOP_SIGNAL);
        let word = self
            .signal
            .as_ref()
            .or(annotation)
            .map_or("SIGTERM", String::as_str);
        let signal = signal::parse(word)?;
        let Some(process) = container.process()? else {
            return Err(identity::not_running());
        };
        process.signal(signal)?;
        process.ended_within(self.time)?;
        // Also when it has ended: what it left behind in the cgroup is no more wanted than itself.
        destroy::kill(&container)?;
        Ok(0)
    }
}
