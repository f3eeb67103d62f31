//! The table, for people: the busiest container first.

use std::cmp::Ordering;

use crate::cgroups::stats::Pressure;
use crate::inspect::usage::Usage;

const HEAD: [&str; 12] = [
    "ID",
    "STATUS",
    "CPU%",
    "THROTTLED%",
    "MEMORY",
    "LIMIT",
    "MEMORY%",
    "STALLED%",
    "READ/S",
    "WRITE/S",
    "PIDS",
    "OOM",
];

/// Columns as wide as they have to be, numbers to the right.
pub fn text(usages: &[Usage]) -> String {
    let mut sorted: Vec<&Usage> = usages.iter().collect();
    sorted.sort_by(|one, other| {
        let busier = share(other).partial_cmp(&share(one));
        busier
            .unwrap_or(Ordering::Equal)
            .then(one.id.cmp(&other.id))
    });
    let head = HEAD.map(str::to_owned);
    let rows: Vec<[String; 12]> = std::iter::once(head)
        .chain(sorted.into_iter().map(row))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 12]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    rows.iter().map(line).collect()
}

fn share(usage: &Usage) -> f64 {
    let percent = usage.cpu.as_ref().and_then(|cpu| cpu.percent);
    percent.unwrap_or(0.0)
}

fn row(usage: &Usage) -> [String; 12] {
    let (cpu, memory, io) = (usage.cpu.as_ref(), usage.memory.as_ref(), usage.io.as_ref());
    let limit = memory.and_then(|memory| memory.limit);
    let filled = memory.zip(limit).filter(|(_, limit)| *limit > 0);
    let filled = filled.map(|(memory, limit)| {
        // One decimal is shown, so whole thousandths are exact enough.
        let thousandths = u128::from(memory.bytes) * 1000 / u128::from(limit);
        format!("{}.{}", thousandths / 10, thousandths % 10)
    });
    let stalled = memory.and_then(|memory| memory.pressure);
    let pids = usage.pids.as_ref().map(|pids| match pids.limit {
        Some(limit) => format!("{}/{limit}", pids.current),
        None => pids.current.to_string(),
    });
    [
        short(&usage.id).to_owned(),
        usage.status.name().to_owned(),
        or_dash(cpu.and_then(|cpu| cpu.percent).map(tenths)),
        or_dash(cpu.and_then(|cpu| cpu.throttled_percent).map(tenths)),
        or_dash(memory.map(|memory| size(memory.bytes))),
        or_dash(limit.map(size)),
        or_dash(filled),
        or_dash(stalled.map(|Pressure { some, .. }| tenths(some.avg10))),
        or_dash(io.and_then(|io| io.read_bytes_per_second).map(rate)),
        or_dash(io.and_then(|io| io.written_bytes_per_second).map(rate)),
        or_dash(pids),
        or_dash(usage.oom_kills.map(|kills| kills.to_string())),
    ]
}

/// Engines give ids of 64 digits, and show the first twelve.
fn short(id: &str) -> &str {
    let is_digest = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { &id[..12] } else { id }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

/// `10.0M`: powers of 1024.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, char); 4] = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let unit = UNITS.iter().find(|(shift, _)| bytes >> shift > 0);
    let Some((shift, letter)) = unit else {
        return bytes.to_string();
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{}{letter}", tenths / 10, tenths % 10)
}

fn rate(bytes: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is not negative, and `as` stops at the largest number"
    )]
    let bytes = bytes as u64;
    size(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::inspect::usage::tests::{counted, sample};
    use crate::inspect::usage::usages;

    #[test]
    fn an_engine_s_id_is_as_the_engine_shows_it() {
        assert_eq!(short(&"a1".repeat(32)), "a1a1a1a1a1a1");
        assert_eq!(short("web"), "web");
        assert_eq!(short(&"web-".repeat(16)).len(), 64);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(1023), "1023");
        assert_eq!(size(1536), "1.5K");
        assert_eq!(size(64 << 20), "64.0M");
        assert_eq!(size(u64::MAX), "16777215.9T");
    }

    #[test]
    fn the_busiest_comes_first_and_columns_line_up() {
        let begin = Instant::now();
        let before = sample(begin, vec![counted("idle", 0), counted("busy", 0)]);
        let now = sample(
            begin + Duration::from_secs(1),
            vec![counted("idle", 0), counted("busy", 1_500_000_000)],
        );
        let text = text(&usages(Some(&before), &now));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("ID    STATUS"), "{text}");
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(
            words,
            [
                "busy", "running", "150.0", "20.0", "10.0M", "64.0M", "15.6", "0.0", "0", "1.4M",
                "3", "2"
            ]
        );
        assert!(lines[2].starts_with("idle"));
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    }
}
