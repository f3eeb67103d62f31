//! `volume`: named directories that outlive containers.

use clap::Args;

use super::{Call, Subcommand, Words};
use crate::error::{Code, Failure, Result};

/// Words.
#[derive(Debug, Args)]
pub(super) struct Volume {
    /// create NAME, list, inspect NAME, or remove NAME
    #[arg(value_name = "ACTION", required = true)]
    action: String,
    /// The volume
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl Subcommand for Volume {
    const NAME: &'static str = "volume";
    const ABOUT: &'static str = "Make, list, show and remove named volumes";
    const WORDS: Words = Words::Between(1, 2);

    fn run(self, call: &Call) -> Result<u8> {
        let _data = call.globals.data()?;
        match (self.action.as_str(), self.name.as_deref()) {
            ("create" | "inspect" | "remove", Some(_)) | ("list", None) => {
                Err(Failure::new(Code::System, "not built yet"))
            }
            ("create" | "inspect" | "remove", None) => Err(Failure::new(
                Code::Usage,
                format!("volume {} needs a name", self.action),
            )),
            ("list", Some(_)) => Err(Failure::new(Code::Usage, "volume list takes no name")),
            (other, _) => Err(Failure::new(
                Code::Usage,
                format!("no such action of volume: {other:?}"),
            )),
        }
    }
}
