//! `events`: the numbers of a container, line by line, and word of each kill for want of memory.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::flags::flags;
use super::{Call, Subcommand, Words, duration, print};
use crate::cgroups::stats::{self, Stats};
use crate::error::{Act, Code, Failure, Result};
use crate::state::cgroup::Cgroup;
use crate::state::{Container, Id, Status};
use crate::sys::Errno;
use crate::sys::cgroup::{open_file, reread, wait_change};

flags! {
    /// Flags and words.
    pub(super) struct Events {
        /// Time between two lines of numbers
        #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "5s")]
        interval: Duration,
        /// Print the numbers once
        #[arg(long)]
        stats: bool,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

/// The shape that go-runc reads.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

impl Subcommand for Events {
    const NAME: &'static str = "events";
    const ABOUT: &'static str =
        "Print the statistics of a container, and when it runs out of memory";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        if self.interval.is_zero() {
            return Err(Failure::new(
                Code::Usage,
                "duration interval must be greater than 0",
            ));
        }
        let container = Container::open(&call.root()?, &Id::parse(&self.id)?)?;
        let refuse = |why: &str| {
            let text = format!("container with id {} {why}", self.id);
            Err(Failure::new(Code::State, text))
        };
        if container.status()? == Status::Stopped {
            return refuse("is not running");
        }
        let Some(cgroup) = container.cgroup()? else {
            return refuse("has no cgroup of its own, so nothing is counted");
        };
        self.numbers(&cgroup)?;
        if !self.stats {
            self.follow(&cgroup)?;
        }
        Ok(0)
    }
}

impl Events {
    /// Until the cgroup goes away, or its last process.
    fn follow(&self, cgroup: &Cgroup) -> Result<()> {
        let act = || "cannot watch the container's memory";
        // Without the memory controller nobody counts kills, and the timer alone wakes us.
        let file = match open_file(cgroup.directory(), c"memory.events", libc::O_RDONLY) {
            Err(Errno(libc::ENOENT)) => None,
            file => Some(file.act(act)?),
        };
        let mut kills = stats::oom_kills(cgroup.directory())?;
        let mut next = Instant::now() + self.interval;
        while !cgroup.is_empty()? {
            let left = next
                .saturating_duration_since(Instant::now())
                .min(Duration::from_secs(1));
            match &file {
                // Read, or the same change would wake us again.
                Some(file) if reread(file).is_ok() => {
                    let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
                    wait_change(file, milliseconds).act(act)?;
                }
                _ => std::thread::sleep(left),
            }
            let now = stats::oom_kills(cgroup.directory())?;
            if now > kills {
                self.line("oom", None)?;
            }
            kills = now.max(kills);
            if Instant::now() >= next {
                self.numbers(cgroup)?;
                next += self.interval;
            }
        }
        Ok(())
    }

    fn numbers(&self, cgroup: &Cgroup) -> Result<()> {
        self.line("stats", Some(stats::read(cgroup.directory())?))
    }

    fn line(&self, kind: &str, data: Option<Stats>) -> Result<()> {
        let event = Event {
            kind,
            id: &self.id,
            data,
        };
        let json = serde_json::to_string(&event).expect("strings and numbers are JSON");
        print(&(json + "\n"))
    }
}
