//! Who uses how much: the statistics of every live container, and what happened between two looks at them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cgroups::stats::{self, BlkioEntry, Pressure, Stats};
use crate::error::{Code, Failure, Result};
use crate::state::{Container, Id, Root, Status};

/// All live containers at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// By id.
    pub list: Vec<Counted>,
    /// Containers that could not be read.
    pub failures: Vec<(Id, Failure)>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The container's id.
    pub id: String,
    /// When it was looked at.
    pub status: Status,
    /// None without a cgroup of its own.
    pub stats: Option<Stats>,
    /// None without the memory controller.
    pub oom_kills: Option<u64>,
}

impl Sample {
    /// Looks at all containers of a root directory that have a process.
    pub fn take(root: &Root) -> Result<Self> {
        let mut sample = Self {
            at: Instant::now(),
            list: Vec::new(),
            failures: Vec::new(),
        };
        for id in root.ids()? {
            match count(root, &id) {
                Ok(counted) => sample.list.extend(counted),
                // Deleted while we looked, or the empty directory of a `create` that was killed.
                Err(failure) if failure.code == Code::NotFound => {}
                Err(failure) => sample.failures.push((id, failure)),
            }
        }
        Ok(sample)
    }
}

fn count(root: &Root, id: &Id) -> Result<Option<Counted>> {
    let container = Container::open(root, id)?;
    let status = container.status()?;
    if matches!(status, Status::Creating | Status::Stopped) {
        return Ok(None);
    }
    let mut counted = Counted {
        id: id.as_str().to_owned(),
        status,
        stats: None,
        oom_kills: None,
    };
    if let Some(cgroup) = container.cgroup()? {
        counted.stats = Some(stats::read(cgroup.directory())?);
        counted.oom_kills = stats::oom_kills(cgroup.directory())?;
    }
    Ok(Some(counted))
}

/// A container's use of the machine, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The container's id.
    pub id: String,
    /// When it was looked at.
    pub status: Status,
    /// None for a container without a cgroup of its own.
    pub cpu: Option<CpuUsage>,
    /// None without the memory controller.
    pub memory: Option<MemoryUsage>,
    /// None without the io controller.
    pub io: Option<IoUsage>,
    /// None for a container without a cgroup of its own.
    pub pids: Option<PidsUsage>,
    /// Processes killed for want of memory; None without the memory controller.
    pub oom_kills: Option<u64>,
}

/// Time of processors.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuUsage {
    /// Of one processor, in the last interval; None at the first look.
    pub percent: Option<f64>,
    /// Since the cgroup was made.
    pub usage_seconds: f64,
    /// Periods that ran out of quota, of those of the last interval, in percent; None at the first look and
    /// without a quota.
    pub throttled_percent: Option<f64>,
    /// Since the cgroup was made.
    pub throttled_seconds: f64,
    /// Time spent waiting.
    pub pressure: Option<Pressure>,
}

/// Bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUsage {
    /// Now.
    pub bytes: u64,
    /// None is unlimited.
    pub limit: Option<u64>,
    /// Time spent waiting.
    pub pressure: Option<Pressure>,
}

/// Bytes, of all devices.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IoUsage {
    /// Since the cgroup was made.
    pub read_bytes: u64,
    /// Since the cgroup was made.
    pub written_bytes: u64,
    /// In the last interval; None at the first look.
    pub read_bytes_per_second: Option<f64>,
    /// In the last interval; None at the first look.
    pub written_bytes_per_second: Option<f64>,
    /// Time spent waiting.
    pub pressure: Option<Pressure>,
}

/// Processes and threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PidsUsage {
    /// Now.
    pub current: u64,
    /// None is unlimited.
    pub limit: Option<u64>,
}

const NANOSECONDS: f64 = 1e9;

/// Numbers of the kernel as numbers to calculate with: exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "nobody reads nanoseconds of a year to the last digit"
)]
fn real(number: u64) -> f64 {
    number as f64
}

/// Usage now, by id; what happened since, where there is an earlier look.
pub fn usages(before: Option<&Sample>, now: &Sample) -> Vec<Usage> {
    let one = |counted: &Counted| {
        let old = before.and_then(|before| {
            let old = before.list.iter().find(|old| old.id == counted.id)?;
            Some((old.stats.as_ref()?, now.at.duration_since(before.at)))
        });
        usage(counted, old)
    };
    now.list.iter().map(one).collect()
}

fn usage(counted: &Counted, old: Option<(&Stats, Duration)>) -> Usage {
    let stats = counted.stats.as_ref();
    // A cgroup without the controller has no files of it.
    let memory = stats.filter(|stats| !stats.memory.raw.is_empty());
    Usage {
        id: counted.id.clone(),
        status: counted.status,
        cpu: stats.map(|stats| cpu(stats, old)),
        memory: memory.map(|stats| MemoryUsage {
            bytes: stats.memory.usage.usage,
            limit: Some(stats.memory.usage.limit).filter(|limit| *limit != u64::MAX),
            pressure: stats.memory.psi,
        }),
        io: stats
            .filter(|stats| !stats.blkio.io_service_bytes_recursive.is_empty())
            .map(|stats| io(stats, old)),
        pids: stats.map(|stats| PidsUsage {
            current: stats.pids.current,
            limit: Some(stats.pids.limit).filter(|limit| *limit != 0),
        }),
        oom_kills: counted.oom_kills,
    }
}

fn cpu(stats: &Stats, old: Option<(&Stats, Duration)>) -> CpuUsage {
    let (usage, throttling) = (&stats.cpu.usage, &stats.cpu.throttling);
    let percent = old.map(|(old, time)| {
        let used = usage.total.saturating_sub(old.cpu.usage.total);
        per_second(used, time) / NANOSECONDS * 100.0
    });
    let throttled_percent = old.and_then(|(old, _)| {
        let old = &old.cpu.throttling;
        let periods = throttling.periods.saturating_sub(old.periods);
        let throttled = throttling
            .throttled_periods
            .saturating_sub(old.throttled_periods);
        (periods > 0).then(|| real(throttled) / real(periods) * 100.0)
    });
    CpuUsage {
        percent,
        usage_seconds: real(usage.total) / NANOSECONDS,
        throttled_percent,
        throttled_seconds: real(throttling.throttled_time) / NANOSECONDS,
        pressure: stats.cpu.psi,
    }
}

fn per_second(amount: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds == 0.0 {
        return 0.0;
    }
    real(amount) / seconds
}

/// Of all devices.
fn sum(stats: &Stats, op: &str) -> u64 {
    let entries = stats.blkio.io_service_bytes_recursive.iter();
    let of_op = entries.filter(|entry: &&BlkioEntry| entry.op == op);
    of_op.fold(0, |sum, entry| sum.saturating_add(entry.value))
}

fn io(stats: &Stats, old: Option<(&Stats, Duration)>) -> IoUsage {
    let rate =
        |op| old.map(|(old, time)| per_second(sum(stats, op).saturating_sub(sum(old, op)), time));
    IoUsage {
        read_bytes: sum(stats, "Read"),
        written_bytes: sum(stats, "Write"),
        read_bytes_per_second: rate("Read"),
        written_bytes_per_second: rate("Write"),
        pressure: stats.blkio.psi,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn counted(id: &str, nanoseconds: u64) -> Counted {
        let mut stats = Stats::default();
        stats.cpu.usage.total = nanoseconds;
        stats.cpu.throttling.periods = nanoseconds / 100_000_000;
        stats.cpu.throttling.throttled_periods = nanoseconds / 400_000_000;
        stats.memory.usage.usage = 10 << 20;
        stats.memory.usage.limit = 64 << 20;
        stats.memory.raw.insert("anon".to_owned(), 1);
        stats.memory.psi = Some(Pressure::default());
        stats.pids.current = 3;
        for (op, value) in [("Read", 1000), ("Write", nanoseconds / 1000)] {
            stats.blkio.io_service_bytes_recursive.push(BlkioEntry {
                major: 8,
                minor: 0,
                op,
                value,
            });
        }
        Counted {
            id: id.to_owned(),
            status: Status::Running,
            stats: Some(stats),
            oom_kills: Some(2),
        }
    }

    pub(crate) fn sample(at: Instant, list: Vec<Counted>) -> Sample {
        Sample {
            at,
            list,
            failures: Vec::new(),
        }
    }

    #[test]
    fn shares_are_those_of_the_time_between_two_looks() {
        let begin = Instant::now();
        let before = sample(begin, vec![counted("a", 0)]);
        let later = begin + Duration::from_secs(2);
        let now = sample(later, vec![counted("a", 1_000_000_000), counted("b", 5)]);
        let usages = usages(Some(&before), &now);
        let cpu = usages[0].cpu.as_ref().unwrap();
        assert_eq!((cpu.percent, cpu.usage_seconds), (Some(50.0), 1.0));
        assert_eq!(cpu.throttled_percent, Some(20.0));
        let io = usages[0].io.as_ref().unwrap();
        assert_eq!(io.written_bytes_per_second, Some(500_000.0));
        assert_eq!(io.read_bytes_per_second, Some(0.0));
        assert_eq!(usages[1].cpu.as_ref().unwrap().percent, None);
    }

    #[test]
    fn what_no_controller_counts_is_absent() {
        let mut without = counted("a", 0);
        without.stats = Some(Stats::default());
        let usage = &usages(None, &sample(Instant::now(), vec![without]))[0];
        assert_eq!((&usage.memory, &usage.io), (&None, &None));
        let pids = usage.pids.as_ref().unwrap();
        assert_eq!((pids.current, pids.limit), (0, None));
    }
}
