//! `--trace`: when each step of both halves began and ended, on one clock.
//!
//! The clock is CLOCK_REALTIME: a time namespace shifts the others, and init may enter one between two of
//! its steps. Init notes its times in the shared memory that it reports on ([`super::report`]), so it
//! needs no call for it but the vDSO's. What is not asked for costs one comparison a step.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::report::Report;
use crate::error::{Act, Failure, Field, Result};
use crate::log::Log;
use crate::plan::{Plan, show};

/// Nanoseconds since the epoch; 0 if the clock cannot be read, which only a filter could cause.
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| {
        let (seconds, nanoseconds) = (time.tv_sec(), time.tv_nsec());
        seconds.cast_unsigned() * 1_000_000_000 + nanoseconds.cast_unsigned()
    })
}

/// Who spent the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    Runtime,
    Init,
}

impl Actor {
    const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Init => "init",
        }
    }
}

/// Something that took its time.
#[derive(Clone, Debug)]
struct Span {
    actor: Actor,
    what: String,
    /// Its name; empty for what is no step of the plan.
    operation: String,
    field: Field,
    begin: u64,
    end: u64,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// The Trace Event Format, as Perfetto and chrome://tracing open it.
    Events,
    /// Lines with bars.
    Timeline,
}

/// A trace under way.
#[derive(Debug)]
pub struct Trace {
    output: File,
    format: Format,
    spans: Mutex<Vec<Span>>,
}

impl Trace {
    /// Opens the file, before anything is made; `-` is a timeline on standard error, because standard
    /// output is the container's.
    pub fn open(path: &Path) -> Result<Self> {
        let at = |failure: Failure| failure.at(Field::new("--trace"));
        let (output, format) = if path == Path::new("-") {
            let own = nix::unistd::dup(std::io::stderr()).map_err(crate::sys::Errno::from);
            let own = own.act(|| "cannot use standard error").map_err(at)?;
            (File::from(own), Format::Timeline)
        } else {
            let file = File::create(path).act(|| format!("cannot write {}", path.display()));
            (file.map_err(at)?, Format::Events)
        };
        Ok(Self {
            output,
            format,
            spans: Mutex::default(),
        })
    }

    /// Times a piece of the runtime's work that is no step of the plan.
    pub fn time<T>(trace: Option<&Self>, what: &str, work: impl FnOnce() -> T) -> T {
        let Some(trace) = trace else { return work() };
        let begin = now();
        let done = work();
        trace.add(Span {
            actor: Actor::Runtime,
            what: what.to_owned(),
            operation: String::new(),
            field: Field::default(),
            begin,
            end: now(),
        });
        done
    }

    fn add(&self, span: Span) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push(span);
    }

    /// Takes over the times of a plan that was walked to its end, or as far as it went.
    pub(super) fn walked(&self, plan: &Plan, runtime: &[(u64, u64)], report: &Report) {
        for (step, (begin, end)) in plan.runtime.iter().zip(runtime) {
            self.add(Span {
                actor: Actor::Runtime,
                what: step.op.to_string(),
                operation: show::name(&step.op),
                field: step.field.clone(),
                begin: *begin,
                end: *end,
            });
        }
        // A step ends where the next begins; the last known one when the runtime saw its end.
        let begun: Vec<u64> = (0..plan.init.len())
            .map_while(|step| report.begun(step))
            .collect();
        let last = runtime.last().map_or(0, |(_, end)| *end);
        let ends = begun.iter().copied().skip(1).chain([last]);
        for ((step, begin), end) in plan.init.iter().zip(&begun).zip(ends) {
            self.add(Span {
                actor: Actor::Init,
                what: step.op.to_string(),
                operation: show::name(&step.op),
                field: step.field.clone(),
                begin: *begin,
                end: end.max(*begin),
            });
        }
    }

    /// Writes it. A container that was made is not undone for a trace that cannot be written.
    pub fn finish_or_warn(&self, log: &Log) {
        if let Err(failure) = self.finish() {
            log.warn(failure.to_string());
        }
    }

    fn finish(&self) -> Result<()> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.sort_by_key(|span| span.begin);
        let text = match self.format {
            Format::Events => format!("{:#}\n", events(&spans)),
            Format::Timeline => timeline(&spans),
        };
        (&self.output)
            .write_all(text.as_bytes())
            .act(|| "cannot write the trace")
            .map_err(|failure| failure.at(Field::new("--trace")))
    }
}

fn beginning(spans: &[Span]) -> u64 {
    spans.first().map_or(0, |span| span.begin)
}

/// Complete events ("ph": "X"), times in microseconds from the first, one thread for each half.
fn events(spans: &[Span]) -> Value {
    let start = beginning(spans);
    let thread = |actor: Actor| if actor == Actor::Runtime { 1 } else { 2 };
    let names = [Actor::Runtime, Actor::Init].map(|actor| {
        json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": thread(actor),
                "args": { "name": actor.name() } })
    });
    let steps = spans.iter().map(|span| {
        let mut event = json!({
            "ph": "X", "cat": "corten", "name": span.what, "pid": 1, "tid": thread(span.actor),
            "ts": microseconds(span.begin - start), "dur": microseconds(span.end - span.begin),
        });
        if !span.field.is_none() {
            event["args"]["field"] = span.field.to_string().into();
        }
        if !span.operation.is_empty() {
            event["args"]["operation"] = span.operation.clone().into();
        }
        event
    });
    json!({
        "displayTimeUnit": "ns",
        // A JSON number has not the room for it.
        "otherData": { "clock": "CLOCK_REALTIME", "beginning": start.to_string() },
        "traceEvents": names.into_iter().chain(steps).collect::<Vec<_>>(),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a creation takes less than the 104 days of which a double knows every nanosecond"
)]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

/// How many characters wide the bars are.
const WIDTH: u64 = 40;
/// Longer sentences are cut.
const LONGEST: usize = 72;

fn timeline(spans: &[Span]) -> String {
    let start = beginning(spans);
    let end = spans.iter().map(|span| span.end).max().unwrap_or(start);
    let whole = (end - start).max(1);
    let mut out = format!(
        "{:>9}  {:>8}  {:7}  {:width$}\n",
        "at µs",
        "took µs",
        "who",
        "",
        width = usize::try_from(WIDTH).unwrap_or_default()
    );
    for span in spans {
        let place = |time: u64| (time - start) * WIDTH / whole;
        let first = place(span.begin).min(WIDTH - 1);
        let last = place(span.end).clamp(first + 1, WIDTH);
        let bar: String = (0..WIDTH)
            .map(|column| {
                if (first..last).contains(&column) {
                    '█'
                } else {
                    '·'
                }
            })
            .collect();
        let what: String = span.what.chars().take(LONGEST).collect();
        // A String takes everything.
        writeln!(
            out,
            "{:>9.1}  {:>8.1}  {:7}  {bar}  {what}",
            microseconds(span.begin - start),
            microseconds(span.end - span.begin),
            span.actor.name(),
        )
        .unwrap_or(());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans() -> Vec<Span> {
        let span = |actor, what: &str, begin, end| Span {
            actor,
            what: what.to_owned(),
            operation: "OpenRoot".to_owned(),
            field: Field::new("root.path"),
            begin,
            end,
        };
        vec![
            span(Actor::Runtime, "make the cgroup", 1_000_000, 1_010_000),
            span(Actor::Init, "open the root", 1_010_000, 1_040_500),
        ]
    }

    #[test]
    fn events_are_in_microseconds_from_the_first_with_a_thread_for_each_half() {
        let events = events(&spans());
        let list = events["traceEvents"].as_array().unwrap();
        assert_eq!(list.len(), 4);
        assert_eq!(list[0]["args"]["name"], "runtime");
        assert_eq!(
            (&list[2]["ts"], &list[2]["dur"]),
            (&json!(0.0), &json!(10.0))
        );
        assert_eq!(
            (&list[3]["ts"], &list[3]["dur"]),
            (&json!(10.0), &json!(30.5))
        );
        assert_eq!(list[3]["tid"], 2);
        assert_eq!(
            list[3]["args"],
            json!({ "field": "root.path", "operation": "OpenRoot" })
        );
        assert_eq!(events["otherData"]["beginning"], "1000000");
    }

    #[test]
    fn a_timeline_shows_each_step_where_it_was() {
        let text = timeline(&spans());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("runtime  █") && lines[1].ends_with("make the cgroup"));
        assert!(lines[2].contains("init     ·") && lines[2].contains("30.5"));
        assert_eq!(
            lines[1].matches('█').count() + lines[2].matches('█').count(),
            40
        );
        assert_eq!(timeline(&[]).lines().count(), 1);
    }
}
