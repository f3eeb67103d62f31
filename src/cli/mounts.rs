//! `mounts`: mounts come into a container that is there, or leave it. The command is crun's.

use std::io::Read;
use std::path::PathBuf;

use super::flags::flags;
use super::{Call, Subcommand, Words};
use crate::config::Mount;
use crate::engine::{self, Change, MountsRequest};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::state::Id;

/// No list of mounts is longer.
const LONGEST: u64 = 1 << 20;

flags! {
    /// Words.
    pub(super) struct Mounts {
        /// add or remove
        #[arg(value_name = "ACTION", required = true)]
        action: String,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
        /// JSON: an array as `mounts` of config.json; to remove, the destinations count
        #[arg(value_name = "FILE", required = true)]
        file: PathBuf,
    }
}

impl Subcommand for Mounts {
    const NAME: &'static str = "mounts";
    const ABOUT: &'static str = "Mount in a container that is there, or unmount";
    const WORDS: Words = Words::Exactly(3);

    fn run(self, call: &Call) -> Result<u8> {
        let change = match self.action.as_str() {
            "add" => Change::Add,
            "remove" => Change::Remove,
            other => {
                let text = format!("no such action of mounts: {other:?}");
                return Err(Failure::new(Code::Usage, text).hint("add or remove"));
            }
        };
        engine::change_mounts(&MountsRequest {
            id: Id::parse(&self.id)?,
            root: call.root()?,
            change,
            mounts: self.read()?,
            data: call.globals.data()?,
            log: call.log.clone(),
        })?;
        Ok(0)
    }
}

impl Mounts {
    fn read(&self) -> Result<Vec<Mount>> {
        let act = || format!("cannot read {}", self.file.display());
        let mut text = Vec::new();
        std::fs::File::open(&self.file)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
            .act(act)?;
        serde_json::from_slice(&text).map_err(|error| {
            let mut failure = Failure::new(Code::Config, act())
                .because(error.to_string())
                .at(Field::new("mounts"));
            failure.position = Some((error.line(), error.column()));
            failure
        })
    }
}
