//! `run`: create, start, wait, delete.

use std::time::Duration;

use super::create::{CreateFlags, StepFlags, TraceFlag};
use super::flags::flags;
use super::{Call, Subcommand, Words, duration};
use crate::engine::{self, AtEnd, Attachment, CreateRequest, RunRequest, Subreaper};
use crate::error::Result;

flags! {
    /// Flags and words.
    pub(super) struct Run {
        #[command(flatten)]
        flags: CreateFlags,
        #[command(flatten)]
        trace: TraceFlag,
        #[command(flatten)]
        step: StepFlags,
        /// Return when the program has been started
        #[arg(short, long)]
        detach: bool,
        /// Leave the stopped container when the program has ended
        #[arg(long)]
        keep: bool,
        /// Do not become the parent of the container's orphans
        #[arg(long)]
        no_subreaper: bool,
        /// Kill the container this long after it was asked to end by a forwarded signal
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        stop_timeout: Option<Duration>,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Run {
    const NAME: &'static str = "run";
    const ABOUT: &'static str = "Create and start a container, wait for it, delete it";
    const WORDS: Words = Words::Exactly(1);
    const PREFIX: &'static str = "run failed";

    fn run(self, call: &Call) -> Result<u8> {
        engine::run_before_exit(&RunRequest {
            create: CreateRequest {
                trace: self.trace.open()?,
                step: self.step.stepping(),
                ..self.flags.request(&self.id, call)?
            },
            attachment: if self.detach {
                Attachment::Detached
            } else {
                Attachment::Foreground
            },
            at_end: if self.keep {
                AtEnd::Keep
            } else {
                AtEnd::Delete
            },
            subreaper: if self.no_subreaper {
                Subreaper::Unchanged
            } else {
                Subreaper::Runtime
            },
            stop_timeout: self.stop_timeout,
        })
    }
}
