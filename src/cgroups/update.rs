//! Other limits for a cgroup that is in use: all of them, or none.
//!
//! A value that the kernel refuses halfway must not leave the container with some of the new limits
//! and some of the old. So each file is read before it is written, and what was written is put back
//! in reverse. Device rules are no limits and stay as they are (runc-update(8)).

use std::os::fd::BorrowedFd;

use super::knobs::usage_limits;
use super::plan::plan_writes;
use super::run::{check_usage, write};
use super::systemd;
use super::{CgroupHost, DeviceFilter, Need, Write};
use crate::config::Resources;
use crate::error::{Act, Failure, Field, Result};
use crate::sys::Errno;
use crate::sys::cgroup::read_file;

/// What an update did.
#[derive(Clone, Debug)]
pub struct Updated {
    /// Everything that was written, in order.
    pub writes: Vec<Write>,
    /// What the caller should know.
    pub warning: Option<&'static str>,
}

/// Changes what `wanted` names and leaves the rest.
///
/// `unit` is systemd's, who is told before the files are written.
pub fn update(directory: BorrowedFd<'_>, unit: Option<&str>, wanted: Resources) -> Result<Updated> {
    let host = CgroupHost::probe(Some("/"), DeviceFilter::NotPermitted)?.with_holders()?;
    let wanted = complete(wanted, |file| read(directory, file))?;
    let mut writes = plan_writes(&wanted, &host)?;
    if unit.is_some() {
        writes = systemd::plan::agreed(writes);
    }
    for limit in usage_limits(&wanted) {
        check_usage(directory, &limit)?;
    }
    let mut old = Vec::new();
    for next in &writes {
        let text = in_force(directory, &next.file)?;
        old.push(text.and_then(|text| inverse(next, &text)));
    }
    tell(unit, &writes)?;
    let mut undo = Vec::new();
    for (next, old) in writes.iter().zip(old) {
        if let Err(failure) = write(directory, next) {
            let untold = tell(unit, &undo).err();
            let failure = put_back(directory, undo, failure);
            return Err(match untold {
                Some(untold) => failure.hint(untold.to_string()),
                None => failure,
            });
        }
        undo.extend(old);
    }
    let warning = unit.and_then(|_| systemd::plan::conflict(&wanted));
    Ok(Updated { writes, warning })
}

fn tell(unit: Option<&str>, writes: &[Write]) -> Result<()> {
    match unit {
        Some(unit) => systemd::run::set(unit, &systemd::plan::properties(writes)),
        None => Ok(()),
    }
}

/// cpu.max holds quota and period, memory.max is a part of what v1 called swap: where only one of
/// such a pair is given, the other is what the cgroup has.
fn complete(
    mut wanted: Resources,
    read: impl Fn(&str) -> Result<Option<String>>,
) -> Result<Resources> {
    if let Some(cpu) = &mut wanted.cpu
        && cpu.period.is_none_or(|period| period == 0)
        && cpu.quota.is_some_and(|quota| quota != 0)
        && let Some(max) = read("cpu.max")?
    {
        let period = max.split_whitespace().nth(1);
        cpu.period = period.and_then(|period| period.parse().ok());
    }
    if let Some(cpu) = &mut wanted.cpu
        && cpu.period.is_some_and(|period| period != 0)
        && cpu.quota.is_none_or(|quota| quota == 0)
        && let Some(max) = read("cpu.max")?
    {
        cpu.quota = first_number(&max);
    }
    if let Some(memory) = &mut wanted.memory
        && memory.swap.is_some_and(|swap| swap > 0)
        && memory.limit.is_none_or(|limit| limit == 0)
        && let Some(max) = read("memory.max")?
    {
        memory.limit = first_number(&max);
    }
    Ok(wanted)
}

/// `max` is no number, and means the same as -1.
fn first_number(text: &str) -> Option<i64> {
    let word = text.split_whitespace().next()?;
    if word == "max" {
        Some(-1)
    } else {
        word.parse().ok()
    }
}

/// None where the kernel has no such file: then there is nothing to put back either.
fn read(directory: BorrowedFd<'_>, file: &str) -> Result<Option<String>> {
    let act = || format!("cannot read {file}");
    let name = std::ffi::CString::new(file)
        .map_err(|_| Errno(libc::EINVAL))
        .act(act)?;
    match read_file(directory, &name) {
        Ok(text) => Ok(Some(text)),
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(Failure::system(act(), errno)),
    }
}

/// What a file says, or means where it says nothing: a cpuset that has processes cannot be emptied again (ENOSPC),
/// but it can be given what it had.
fn in_force(directory: BorrowedFd<'_>, file: &str) -> Result<Option<String>> {
    let text = read(directory, file)?;
    if text.as_ref().is_some_and(|text| text.trim_end().is_empty()) {
        return Ok(read(directory, &format!("{file}.effective"))?.or(text));
    }
    Ok(text)
}

/// What restores a file. A file of many lines (`io.max`, `hugetlb`) takes one line a write, and a
/// device that had none then has `max` for all.
fn inverse(next: &Write, old: &str) -> Option<Write> {
    let old = old.trim_end();
    let value = match next.value.split_once(' ') {
        Some((device, limits)) if device.contains(':') => {
            let line = old
                .lines()
                .find(|line| line.split(' ').next() == Some(device));
            line.map_or_else(|| unlimited(device, limits), str::to_owned)
        }
        _ => old.lines().next().unwrap_or_default().to_owned(),
    };
    // An empty file (cpuset.cpus.exclusive) is emptied by an empty line.
    let value = if value.is_empty() {
        "\n".to_owned()
    } else {
        value
    };
    Some(Write {
        value,
        need: Need::IfPresent,
        ..next.clone()
    })
}

/// `8:0 rbps=1 wbps=2` becomes `8:0 rbps=max wbps=max`; a weight becomes the default.
fn unlimited(device: &str, limits: &str) -> String {
    let lift = |limit: &str| match limit.split_once('=') {
        Some((key, _)) => format!("{key}=max"),
        None => "default".to_owned(),
    };
    let limits: Vec<_> = limits.split(' ').map(lift).collect();
    format!("{device} {}", limits.join(" "))
}

fn put_back(directory: BorrowedFd<'_>, undo: Vec<Write>, failure: Failure) -> Failure {
    let mut left: Vec<Field> = Vec::new();
    for old in undo.into_iter().rev() {
        if write(directory, &old).is_err() {
            left.push(old.field);
        }
    }
    match left.first() {
        None => failure,
        Some(field) => failure.hint(format!("and {field} could not be put back")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cpu, Memory};

    fn had(file: &str) -> Result<Option<String>> {
        Ok(match file {
            "cpu.max" => Some("50000 100000\n".to_owned()),
            "memory.max" => Some("max\n".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_period_alone_keeps_the_quota() {
        let cpu = |quota, period| Resources {
            cpu: Some(Cpu {
                quota,
                period,
                ..Cpu::default()
            }),
            ..Resources::default()
        };
        assert_eq!(
            complete(cpu(None, Some(20_000)), had).unwrap(),
            cpu(Some(50_000), Some(20_000))
        );
        assert_eq!(
            complete(cpu(Some(7), None), had).unwrap(),
            cpu(Some(7), Some(100_000))
        );
        assert_eq!(
            complete(cpu(Some(7), Some(9)), had).unwrap(),
            cpu(Some(7), Some(9))
        );
    }

    #[test]
    fn swap_alone_counts_the_memory_that_is_allowed() {
        let memory = |limit, swap| Resources {
            memory: Some(Memory {
                limit,
                swap,
                ..Memory::default()
            }),
            ..Resources::default()
        };
        assert_eq!(
            complete(memory(None, Some(1 << 30)), had).unwrap(),
            memory(Some(-1), Some(1 << 30))
        );
        assert_eq!(
            complete(memory(None, Some(-1)), had).unwrap(),
            memory(None, Some(-1))
        );
    }

    fn back(value: &str, old: &str) -> String {
        let next = Write {
            file: "file".into(),
            value: value.to_owned(),
            field: Field::default(),
            need: Need::Required,
            controller: "".into(),
        };
        inverse(&next, old).unwrap().value
    }

    #[test]
    fn what_was_is_what_is_put_back() {
        assert_eq!(back("100", "max\n"), "max");
        assert_eq!(back("7 9", "50000 100000\n"), "50000 100000");
        assert_eq!(back("0-1", "\n"), "\n");
        assert_eq!(
            back("8:0 rbps=1", "8:16 rbps=2 wbps=max\n8:0 rbps=3 wbps=max\n"),
            "8:0 rbps=3 wbps=max"
        );
        assert_eq!(
            back("8:0 rbps=1 wiops=2", "8:16 rbps=2\n"),
            "8:0 rbps=max wiops=max"
        );
        assert_eq!(back("8:0 200", "default 100\n"), "8:0 default");
    }
}
