//! `explain`: the plan of a container, without making it.

use clap::Args;

use super::create::CreateFlags;
use super::{Call, Subcommand, Words, print};
use crate::engine::{self, ExplainFormat, ExplainRequest};
use crate::error::Result;

/// Flags and words.
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    flags: CreateFlags,
    /// How to print the plan
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: ExplainFormat,
    /// The id the container would have [default: explained]
    #[arg(value_name = "ID")]
    id: Option<String>,
}

impl Subcommand for Explain {
    const NAME: &'static str = "explain";
    const ABOUT: &'static str =
        "Print every step of making a container, with the field that asks for it";
    const WORDS: Words = Words::Between(0, 1);

    fn run(self, call: &Call) -> Result<u8> {
        let id = self.id.as_deref().unwrap_or("explained");
        let create = self.flags.request(id, call)?;
        print(&engine::explain(&ExplainRequest {
            create,
            format: self.format,
        })?)?;
        Ok(0)
    }
}
