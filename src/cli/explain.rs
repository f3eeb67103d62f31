//! `explain`: the plan of a container, without making it.

use std::path::PathBuf;

use super::create::CreateFlags;
use super::flags::flags;
use super::{Call, Subcommand, Words, absolute, page, print};
use crate::engine::{self, ExplainFormat, ExplainRequest};
use crate::error::Result;
use crate::plan::show::Look;

flags! {
    /// Flags and words.
    pub(super) struct Explain {
        #[command(flatten)]
        flags: CreateFlags,
        /// How to print the plan
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: ExplainFormat,
        /// The same as --format json
        #[arg(long)]
        json: bool,
        /// Say why each step is done, and where to read on
        #[arg(long)]
        why: bool,
        /// Name the system calls of each step
        #[arg(long)]
        syscalls: bool,
        /// Print what would be done otherwise for this bundle
        #[arg(long, value_name = "OTHER_BUNDLE")]
        diff: Option<PathBuf>,
        /// The bundle; the same as --bundle
        #[arg(value_name = "BUNDLE")]
        directory: Option<PathBuf>,
    }
}

impl Subcommand for Explain {
    const NAME: &'static str = "explain";
    const ABOUT: &'static str =
        "Print every step of making a container, with the field that asks for it";
    const WORDS: Words = Words::Between(0, 1);

    fn run(self, call: &Call) -> Result<u8> {
        let mut create = self.flags.request("explained", call)?;
        if let Some(directory) = self.directory {
            create.bundle = absolute(&directory)?;
        }
        print(&engine::explain(&ExplainRequest {
            create,
            format: if self.json {
                ExplainFormat::Json
            } else {
                self.format
            },
            look: Look {
                why: self.why,
                calls: self.syscalls,
                width: page::width(),
                colours: page::colours(),
            },
            other: self.diff.map(|other| absolute(&other)).transpose()?,
        })?)?;
        Ok(0)
    }
}
