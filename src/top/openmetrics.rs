//! The text form of OpenMetrics 1.0, which Prometheus reads: counters as they are, no rates.

use std::fmt::Write;

use crate::cgroups::stats::{Pressure, Stall, Stats};
use crate::inspect::usage::{Counted, Sample};

/// What a family is, and how its value is found.
struct Family {
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
    points: fn(&Counted) -> Vec<Point>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Info,
}

/// Labels besides the container's id, and the value.
struct Point {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

const FAMILIES: [Family; 14] = [
    family(
        "corten_container",
        Kind::Info,
        "",
        "A live container.",
        |container| vec![labelled("status", container.status.name(), 1.0)],
    ),
    family(
        "corten_container_cpu_seconds",
        Kind::Counter,
        "seconds",
        "Time of processors used.",
        |container| {
            of(container, |stats| {
                vec![plain(seconds(stats.cpu.usage.total))]
            })
        },
    ),
    family(
        "corten_container_cpu_periods",
        Kind::Counter,
        "",
        "Periods of the quota that passed.",
        |container| {
            of(container, |stats| {
                vec![plain(real(stats.cpu.throttling.periods))]
            })
        },
    ),
    family(
        "corten_container_cpu_throttled_periods",
        Kind::Counter,
        "",
        "Periods that ran out of quota.",
        |container| {
            of(container, |stats| {
                vec![plain(real(stats.cpu.throttling.throttled_periods))]
            })
        },
    ),
    family(
        "corten_container_cpu_throttled_seconds",
        Kind::Counter,
        "seconds",
        "Time denied by the quota.",
        |container| {
            of(container, |stats| {
                vec![plain(seconds(stats.cpu.throttling.throttled_time))]
            })
        },
    ),
    family(
        "corten_container_memory_bytes",
        Kind::Gauge,
        "bytes",
        "Memory in use.",
        |container| of(container, |stats| memory(stats, stats.memory.usage.usage)),
    ),
    family(
        "corten_container_memory_limit_bytes",
        Kind::Gauge,
        "bytes",
        "Limit of memory; absent without one.",
        |container| {
            of(container, |stats| match stats.memory.usage.limit {
                u64::MAX => Vec::new(),
                limit => memory(stats, limit),
            })
        },
    ),
    family(
        "corten_container_oom_kills",
        Kind::Counter,
        "",
        "Processes killed for want of memory.",
        |container| {
            container
                .oom_kills
                .map(|kills| plain(real(kills)))
                .into_iter()
                .collect()
        },
    ),
    family(
        "corten_container_pids",
        Kind::Gauge,
        "",
        "Processes and threads.",
        |container| of(container, |stats| vec![plain(real(stats.pids.current))]),
    ),
    family(
        "corten_container_pids_limit",
        Kind::Gauge,
        "",
        "Limit of processes and threads; absent without one.",
        |container| {
            of(container, |stats| match stats.pids.limit {
                0 => Vec::new(),
                limit => vec![plain(real(limit))],
            })
        },
    ),
    family(
        "corten_container_io_bytes",
        Kind::Counter,
        "bytes",
        "Bytes read and written, by device.",
        io,
    ),
    family(
        "corten_container_cpu_stalled_seconds",
        Kind::Counter,
        "seconds",
        "Time in which tasks waited for a processor.",
        |container| of(container, |stats| stalls(stats.cpu.psi)),
    ),
    family(
        "corten_container_memory_stalled_seconds",
        Kind::Counter,
        "seconds",
        "Time in which tasks waited for memory.",
        |container| of(container, |stats| stalls(stats.memory.psi)),
    ),
    family(
        "corten_container_io_stalled_seconds",
        Kind::Counter,
        "seconds",
        "Time in which tasks waited for input and output.",
        |container| of(container, |stats| stalls(stats.blkio.psi)),
    ),
];

const fn family(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
    points: fn(&Counted) -> Vec<Point>,
) -> Family {
    Family {
        name,
        kind,
        unit,
        help,
        points,
    }
}

/// The whole exposition, `# EOF` included.
pub fn text(sample: &Sample) -> String {
    let mut text = String::new();
    for family in &FAMILIES {
        let Family {
            name, unit, help, ..
        } = family;
        let (kind, suffix) = match family.kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
            Kind::Info => ("info", "_info"),
        };
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            // Writing to a String does not fail.
            text.write_fmt(arguments).ok();
            text.push('\n');
        };
        line(format_args!("# TYPE {name} {kind}"));
        if !unit.is_empty() {
            line(format_args!("# UNIT {name} {unit}"));
        }
        line(format_args!("# HELP {name} {help}"));
        for container in &sample.list {
            for Point { labels, value } in (family.points)(container) {
                let labels = labels
                    .iter()
                    .map(|(key, value)| format!(",{key}=\"{}\"", escaped(value)));
                let labels: String = labels.collect();
                let id = escaped(&container.id);
                line(format_args!(
                    "{name}{suffix}{{id=\"{id}\"{labels}}} {value}"
                ));
            }
        }
    }
    text + "# EOF\n"
}

fn of(container: &Counted, points: impl Fn(&Stats) -> Vec<Point>) -> Vec<Point> {
    container.stats.as_ref().map(points).unwrap_or_default()
}

fn plain(value: f64) -> Point {
    Point {
        labels: Vec::new(),
        value,
    }
}

fn labelled(key: &'static str, text: &str, value: f64) -> Point {
    Point {
        labels: vec![(key, text.to_owned())],
        value,
    }
}

/// Without the controller there is nothing to tell.
fn memory(stats: &Stats, bytes: u64) -> Vec<Point> {
    if stats.memory.raw.is_empty() {
        return Vec::new();
    }
    vec![plain(real(bytes))]
}

fn io(container: &Counted) -> Vec<Point> {
    of(container, |stats| {
        let entries = stats.blkio.io_service_bytes_recursive.iter();
        entries
            .map(|entry| Point {
                labels: vec![
                    ("device", format!("{}:{}", entry.major, entry.minor)),
                    ("operation", entry.op.to_ascii_lowercase()),
                ],
                value: real(entry.value),
            })
            .collect()
    })
}

fn stalls(pressure: Option<Pressure>) -> Vec<Point> {
    let Some(Pressure { some, full }) = pressure else {
        return Vec::new();
    };
    let point = |which, stall: Stall| labelled("tasks", which, real(stall.total) / 1e6);
    vec![point("some", some), point("all", full)]
}

fn seconds(nanoseconds: u64) -> f64 {
    real(nanoseconds) / 1e9
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the values of OpenMetrics are 64-bit floating point numbers"
)]
fn real(number: u64) -> f64 {
    number as f64
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::inspect::usage::tests::{counted, sample};

    #[test]
    fn counters_end_in_total_and_units_are_part_of_names() {
        let text = text(&sample(Instant::now(), vec![counted("a", 1_500_000_000)]));
        for line in [
            "# TYPE corten_container_cpu_seconds counter",
            "# UNIT corten_container_cpu_seconds seconds",
            "corten_container_cpu_seconds_total{id=\"a\"} 1.5",
            "corten_container_info{id=\"a\",status=\"running\"} 1",
            "corten_container_memory_bytes{id=\"a\"} 10485760",
            "corten_container_io_bytes_total{id=\"a\",device=\"8:0\",operation=\"read\"} 1000",
            "corten_container_memory_stalled_seconds_total{id=\"a\",tasks=\"all\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
        for family in &FAMILIES {
            assert!(family.name.ends_with(family.unit), "{}", family.name);
        }
    }

    #[test]
    fn a_label_cannot_end_early() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
