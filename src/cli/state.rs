//! `state`: what is known of a container, as JSON.

use super::flags::flags;
use super::{Call, Subcommand, Words, print};
use crate::error::Result;
use crate::state::report::Report;
use crate::state::{Container, Id};

flags! {
    /// Words.
    pub(super) struct State {
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for State {
    const NAME: &'static str = "state";
    const ABOUT: &'static str = "Print the state of a container as JSON";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let container = Container::open(&call.root()?, &Id::parse(&self.id)?)?;
        let report = Report::of(&container, container.status()?);
        let json = serde_json::to_string_pretty(&report).expect("strings and numbers are JSON");
        print(&(json + "\n"))?;
        Ok(0)
    }
}
