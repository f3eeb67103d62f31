//! What `events` prints: the numbers of the container's cgroup under the names that go-runc reads.
//!
//! The names are those of cgroup v1, because engines grew up with it; v2's numbers are put where
//! they belong. What v2 does not count is 0 or absent. A controller that is not enabled has no
//! files: its part stays empty, which is no error.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use serde::Serialize;

use crate::error::{Act, Failure, Result};
use crate::sys::Errno;
use crate::sys::cgroup;

/// The `data` of an event of type `stats`, but for what is not of cgroups.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Nanoseconds.
    pub cpu: Cpu,
    /// Only cgroup v1 counted here.
    pub cpuset: Empty,
    /// Bytes.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Bytes and operations by device.
    pub blkio: Blkio,
    /// By page size, `2MB`.
    pub hugetlb: BTreeMap<String, HugePages>,
}

/// An object without properties.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Empty {}

/// Time used and time denied.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Used.
    pub usage: CpuUsage,
    /// Denied.
    pub throttling: Throttling,
    /// Waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Nanoseconds since the cgroup was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// Kernel plus user.
    pub total: u64,
    /// In system calls.
    pub kernel: u64,
    /// Outside of them.
    pub user: u64,
}

/// How often the quota was used up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that have passed.
    pub periods: u64,
    /// Periods that ran out of quota.
    pub throttled_periods: u64,
    /// Nanoseconds.
    pub throttled_time: u64,
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    pub cache: u64,
    /// Memory without swap.
    pub usage: MemoryEntry,
    /// Memory plus swap, as v1 counted.
    pub swap: MemoryEntry,
    /// Only cgroup v1 counted here.
    pub kernel: MemoryEntry,
    /// Only cgroup v1 counted here.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// memory.stat as it is.
    pub raw: BTreeMap<String, u64>,
    /// Waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Bytes; no limit is the largest number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// At most.
    pub limit: u64,
    /// Now.
    pub usage: u64,
    /// Ever (memory.peak, Linux 5.19).
    pub max: u64,
    /// Times that the limit was hit.
    pub failcnt: u64,
}

/// Tasks; no limit is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pids {
    /// Now.
    pub current: u64,
    /// At most.
    pub limit: u64,
}

/// By device and direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One number of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BlkioEntry {
    /// Device number.
    pub major: u64,
    /// Device number.
    pub minor: u64,
    /// `Read` or `Write`.
    pub op: &'static str,
    /// Bytes or operations.
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HugePages {
    /// Reserved, or used where reservations are not counted.
    pub usage: u64,
    /// Only cgroup v1 counted here.
    pub max: u64,
    /// Times that the limit was hit.
    pub failcnt: u64,
}

/// Pressure stall information (Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Some tasks waited.
    pub some: Stall,
    /// All of them did.
    pub full: Stall,
}

/// Shares of time in percent, and the sum in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stall {
    /// Of ten seconds.
    pub avg10: f64,
    /// Of a minute.
    pub avg60: f64,
    /// Of five minutes.
    pub avg300: f64,
    /// Microseconds.
    pub total: u64,
}

/// Reads the statistics of a cgroup.
pub fn read(dir: BorrowedFd<'_>) -> Result<Stats> {
    Ok(Stats {
        cpu: cpu(dir)?,
        cpuset: Empty {},
        memory: memory(dir)?,
        pids: pids(dir)?,
        blkio: blkio(dir)?,
        hugetlb: hugetlb(dir)?,
    })
}

/// How many processes of the cgroup and below it the kernel killed for want of memory; none
/// without the memory controller.
pub fn oom_kills(dir: BorrowedFd<'_>) -> Result<Option<u64>> {
    let events = text(dir, c"memory.events")?;
    Ok(events.map(|events| pair(&events, "oom_kill")))
}

fn cpu(dir: BorrowedFd<'_>) -> Result<Cpu> {
    // cpu.stat has the usage even where the controller is not enabled.
    let stat = text(dir, c"cpu.stat")?.unwrap_or_default();
    let nanoseconds = |key| pair(&stat, key).saturating_mul(1000);
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
        },
        throttling: Throttling {
            periods: pair(&stat, "nr_periods"),
            throttled_periods: pair(&stat, "nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: pressure(dir, c"cpu.pressure")?,
    })
}

fn memory(dir: BorrowedFd<'_>) -> Result<Memory> {
    let psi = pressure(dir, c"memory.pressure")?;
    let Some(stat) = text(dir, c"memory.stat")? else {
        return Ok(Memory {
            psi,
            ..Memory::default()
        });
    };
    let raw: BTreeMap<String, u64> = pairs(&stat)
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let events = text(dir, c"memory.events")?.unwrap_or_default();
    let usage = MemoryEntry {
        limit: number(dir, c"memory.max")?,
        usage: number(dir, c"memory.current")?,
        max: number(dir, c"memory.peak")?,
        failcnt: pair(&events, "max"),
    };
    let swap = MemoryEntry {
        limit: number(dir, c"memory.swap.max")?.saturating_add(usage.limit),
        usage: number(dir, c"memory.swap.current")?.saturating_add(usage.usage),
        ..MemoryEntry::default()
    };
    Ok(Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap,
        raw,
        psi,
        ..Memory::default()
    })
}

fn pids(dir: BorrowedFd<'_>) -> Result<Pids> {
    let Some(current) = text(dir, c"pids.current")? else {
        // Without the controller count the processes, if the cgroup is not threaded.
        let procs = cgroup::read_file(dir, c"cgroup.procs").unwrap_or_default();
        let current = u64::try_from(procs.lines().count()).unwrap_or(0);
        return Ok(Pids { current, limit: 0 });
    };
    let limit = match number(dir, c"pids.max")? {
        u64::MAX => 0,
        limit => limit,
    };
    Ok(Pids {
        current: parse(&current),
        limit,
    })
}

fn blkio(dir: BorrowedFd<'_>) -> Result<Blkio> {
    let stat = text(dir, c"io.stat")?.unwrap_or_default();
    Ok(Blkio {
        psi: pressure(dir, c"io.pressure")?,
        ..parse_io(&stat)
    })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`; devices that did nothing may stand alone.
fn parse_io(stat: &str) -> Blkio {
    let mut blkio = Blkio::default();
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            let (major, minor) = (parse(major), parse(minor));
            list.push(BlkioEntry {
                major,
                minor,
                op,
                value: parse(value),
            });
        }
    }
    blkio
}

/// The page sizes are those that the cgroup has files for.
fn hugetlb(dir: BorrowedFd<'_>) -> Result<BTreeMap<String, HugePages>> {
    let mut sizes = BTreeMap::new();
    let names = cgroup::names(dir, libc::DT_REG).act(|| "cannot list the container's cgroup")?;
    for name in names.iter().filter_map(|name| name.to_str().ok()) {
        let size = name
            .strip_prefix("hugetlb.")
            .and_then(|rest| rest.strip_suffix(".current"));
        let Some(size) = size.filter(|size| !size.contains('.')) else {
            continue;
        };
        let file =
            |suffix: &str| CString::new(format!("hugetlb.{size}.{suffix}")).unwrap_or_default();
        let usage = match text(dir, &file("rsvd.current"))? {
            Some(reserved) => parse(&reserved),
            None => number(dir, &file("current"))?,
        };
        let events = text(dir, &file("events"))?.unwrap_or_default();
        let pages = HugePages {
            usage,
            max: 0,
            failcnt: pair(&events, "max"),
        };
        sizes.insert(size.to_owned(), pages);
    }
    Ok(sizes)
}

fn pressure(dir: BorrowedFd<'_>, file: &CStr) -> Result<Option<Pressure>> {
    Ok(text(dir, file)?.map(|text| parse_pressure(&text)))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`.
fn parse_pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let stall = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let share = || value.parse().unwrap_or(0.0);
            match key {
                "avg10" => stall.avg10 = share(),
                "avg60" => stall.avg60 = share(),
                "avg300" => stall.avg300 = share(),
                "total" => stall.total = parse(value),
                _ => {}
            }
        }
    }
    pressure
}

/// The text of a file; none if the controller, or the kernel, does not have it. Pressure files say
/// EOPNOTSUPP where the kernel was told not to count.
fn text(dir: BorrowedFd<'_>, file: &CStr) -> Result<Option<String>> {
    match cgroup::read_file(dir, file) {
        Ok(text) => Ok(Some(text)),
        Err(Errno(libc::ENOENT | libc::EOPNOTSUPP)) => Ok(None),
        Err(errno) => Err(Failure::system(
            format!("cannot read {}", file.to_string_lossy()),
            errno,
        )),
    }
}

/// The number in a file of its own; 0 if there is no such file.
fn number(dir: BorrowedFd<'_>, file: &CStr) -> Result<u64> {
    Ok(text(dir, file)?.map_or(0, |text| parse(&text)))
}

/// "max" is the largest number; what is no number is 0, as the kernel writes nothing else.
fn parse(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        digits => digits.parse().unwrap_or(0),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    let split = text.lines().filter_map(|line| line.split_once(' '));
    split.map(|(key, value)| (key, parse(value)))
}

fn pair(text: &str, key: &str) -> u64 {
    pairs(text)
        .find(|(found, _)| *found == key)
        .map_or(0, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_lines_are_split_by_device_and_direction() {
        let blkio = parse_io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:0\n");
        let values = |list: &[BlkioEntry]| {
            list.iter()
                .map(|entry| (entry.minor, entry.op, entry.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            values(&blkio.io_service_bytes_recursive),
            [(16, "Read", 1), (16, "Write", 2)]
        );
        assert_eq!(
            values(&blkio.io_serviced_recursive),
            [(16, "Read", 3), (16, "Write", 4)]
        );
    }

    #[test]
    fn pressure_has_both_lines() {
        let text = "some avg10=1.50 avg60=0.20 avg300=0.03 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = parse_pressure(text);
        assert_eq!(
            (
                pressure.some.avg10,
                pressure.some.total,
                pressure.full.total
            ),
            (1.5, 42, 7)
        );
    }

    #[test]
    fn names_are_those_that_go_runc_reads() {
        let mut stats = Stats::default();
        stats.hugetlb.insert("2MB".to_owned(), HugePages::default());
        stats.cpu.psi = Some(Pressure::default());
        let json = serde_json::to_value(&stats).unwrap();
        for pointer in [
            "/cpu/usage/total",
            "/cpu/usage/kernel",
            "/cpu/usage/user",
            "/cpu/throttling/throttledPeriods",
            "/cpu/psi/some/avg10",
            "/memory/usage/limit",
            "/memory/kernelTCP/failcnt",
            "/memory/raw",
            "/pids/current",
            "/blkio/ioServiceBytesRecursive",
            "/blkio/ioServicedRecursive",
            "/hugetlb/2MB/usage",
            "/cpuset",
        ] {
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn pairs_know_max() {
        assert_eq!(pair("low 0\nmax 12\n", "max"), 12);
        assert_eq!(pair("low 0\n", "max"), 0);
        assert_eq!(parse("max\n"), u64::MAX);
    }
}
