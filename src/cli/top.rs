//! `top`: what all live containers use.

use std::time::Duration;

use clap::ValueEnum;

use super::flags::{choices, flags};
use super::{Call, Subcommand, Words, duration, print};
use crate::error::{Code, Failure, Result};
use crate::inspect::usage::{Sample, Usage, usages};
use crate::state::Root;
use crate::top::screen::{Next, Screen};
use crate::top::{self, openmetrics, screen, table};

flags! {
    /// Flags.
    pub(super) struct Top {
        /// Print once; shares of time are those of one interval
        #[arg(short = '1', long)]
        once: bool,
        /// How to print; openmetrics prints once
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: Format,
        /// Time between two looks
        #[arg(short, long, value_name = "TIME", value_parser = duration::parse, default_value = "1s")]
        interval: Duration,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Openmetrics,
}

choices!(Format);

impl Subcommand for Top {
    const NAME: &'static str = "top";
    const ABOUT: &'static str = "Show what all live containers use, again and again; q quits";
    const WORDS: Words = Words::Exactly(0);

    fn run(self, call: &Call) -> Result<u8> {
        if self.interval.is_zero() {
            return Err(Failure::new(Code::Usage, "--interval: must be above 0"));
        }
        let root = call.root()?;
        if self.format == Format::Openmetrics {
            print(&openmetrics::text(&take(call, &root)?))?;
        } else if self.once {
            let before = take(call, &root)?;
            std::thread::sleep(self.interval);
            self.print(&usages(Some(&before), &take(call, &root)?))?;
        } else if self.format == Format::Text && screen::is_terminal() {
            self.live(&root)?;
        } else {
            self.follow(call, &root)?;
        }
        Ok(0)
    }
}

/// Who cannot be read is named, and the others are shown.
fn take(call: &Call, root: &Root) -> Result<Sample> {
    let sample = Sample::take(root)?;
    for (id, failure) in &sample.failures {
        call.log.note(&format!("container {id}: {failure}"));
    }
    Ok(sample)
}

impl Top {
    fn print(&self, usages: &[Usage]) -> Result<()> {
        print(&match self.format {
            Format::Json => top::json(usages),
            _ => table::text(usages),
        })
    }

    /// Into a pipe or a file: one table, or one line of JSON, after the other, until the reader goes.
    fn follow(&self, call: &Call, root: &Root) -> Result<()> {
        let mut before = take(call, root)?;
        loop {
            std::thread::sleep(self.interval);
            let now = take(call, root)?;
            self.print(&usages(Some(&before), &now))?;
            before = now;
        }
    }

    /// No word of what cannot be read: there is no place for it on the page.
    fn live(&self, root: &Root) -> Result<()> {
        let screen = Screen::enter()?;
        let mut before: Option<Sample> = None;
        loop {
            let now = Sample::take(root)?;
            let head = format!(
                "q quits; {} containers in {}, every {:?}\n\n",
                now.list.len(),
                root.path().display(),
                self.interval
            );
            screen.show(&(head + &table::text(&usages(before.as_ref(), &now))))?;
            // The first look has nothing to subtract from: the second comes soon.
            let wait = match before {
                None => self.interval.min(Duration::from_millis(250)),
                Some(_) => self.interval,
            };
            before = Some(now);
            if screen.wait(wait)? == Next::Quit {
                return Ok(());
            }
        }
    }
}
