//! `delete`: undo what `create` did.

use super::flags::flags;
use super::{Call, Subcommand, Words, each, matching};
use crate::error::Result;
use crate::state::{Id, Thoroughness, destroy};

flags! {
    /// Flags and words.
    pub(super) struct Delete {
        /// Kill the container if it runs; no error if it does not exist
        #[arg(short, long)]
        force: bool,
        /// The id is a regular expression: remove all whose id it matches
        #[arg(short, long)]
        regex: bool,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Delete {
    const NAME: &'static str = "delete";
    const ABOUT: &'static str = "Remove a container that has stopped";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let thoroughness = if self.force {
            Thoroughness::Force
        } else {
            Thoroughness::OnlyStopped
        };
        let root = call.root()?;
        let ids = match self.regex {
            true => matching(&root, &self.id)?,
            false => vec![Id::parse(&self.id)?],
        };
        each(call, &ids, |id| {
            for warning in destroy(&root, id, thoroughness)? {
                call.log.note(&format!("warning: {warning}"));
            }
            Ok(())
        })?;
        Ok(0)
    }
}
