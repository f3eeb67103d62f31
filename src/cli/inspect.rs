//! `inspect`: what a container really is, read from the kernel.

use clap::ValueEnum;

use super::flags::{choices, flags};
use super::{Call, Subcommand, Words, print};
use crate::error::Result;
use crate::inspect::{Facts, show};
use crate::state::{Container, Id};

flags! {
    /// Flags and words.
    pub(super) struct Inspect {
        /// How to print
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: Format,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

choices!(Format);

impl Subcommand for Inspect {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Print what a container really is, as the kernel knows it";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let root = call.root()?;
        let container = Container::open(&root, &Id::parse(&self.id)?)?;
        let facts = Facts::of(&container, &root)?;
        print(&match self.format {
            Format::Text => show::text(&facts),
            Format::Json => {
                serde_json::to_string_pretty(&facts).expect("strings and numbers are JSON") + "\n"
            }
        })?;
        Ok(0)
    }
}
