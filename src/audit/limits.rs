//! Limits of the cgroup: what the configuration and `update` wrote, and what stands in the files now.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;

use super::{Book, Kind, Subject};
use crate::cgroups::plan::plan_writes;
use crate::cgroups::{CgroupHost, DeviceFilter, Need, Write, systemd};
use crate::error::{Field, Result};
use crate::process::plan::bits;
use crate::state::record::UpdatedLimit;
use crate::sys::cgroup;

const PATH: Field = crate::cgroups::plan::PATH_FIELD;

/// Which value of which file: of `io.max`, the device and the property.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: String,
    line: Option<String>,
    key: Option<String>,
}

/// What was asked to stand there, and by which property.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    value: String,
    field: Field,
}

pub(super) fn compare(subject: &Subject<'_>, book: &mut Book) -> Result<()> {
    let Some(recorded) = &subject.record.cgroup else {
        return Ok(());
    };
    let path = recorded.path.to_string_lossy();
    let Some(found) = subject.container.cgroup()? else {
        book.note(Kind::Missing, &PATH, path, "the cgroup is gone");
        return Ok(());
    };
    member(subject, &path, book);
    let host = CgroupHost::probe(Some("/"), DeviceFilter::NotPermitted)?.with_holders()?;
    let mut writes = plan_writes(&subject.linux.resources, &host)?;
    if recorded.unit.is_some() {
        writes = systemd::plan::agreed(writes);
    }
    for (place, asked) in places(&writes, &subject.record.updated, found.directory()) {
        let Some(text) = read(found.directory(), &place.file) else {
            continue;
        };
        let effective = value_at(&place, &text);
        if let Some(kind) = difference(&place, &asked.value, &effective) {
            let name = [Some(&place.file), place.line.as_ref(), place.key.as_ref()];
            let name: Vec<&str> = name.into_iter().flatten().map(String::as_str).collect();
            let found = format!("{effective} in {}", name.join(" "));
            book.note(kind, &asked.field, asked.value, found);
        }
    }
    Ok(())
}

/// Init may have moved to a cgroup below, as one that manages cgroups does.
fn member(subject: &Subject<'_>, path: &str, book: &mut Book) {
    let text = subject.held.small(c"cgroup").unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix("0::"));
    let Some(found) = found else {
        book.cannot(
            "linux.cgroupsPath",
            "the kernel does not say where the process is",
        );
        return;
    };
    if !crate::inspect::mounts::is_below_or_at(found, path) {
        book.note(
            Kind::Different,
            &PATH,
            path,
            format!("the process is in {found}"),
        );
    }
}

/// Later writes to the same place replace earlier ones.
fn places(
    writes: &[Write],
    updated: &[UpdatedLimit],
    directory: BorrowedFd<'_>,
) -> BTreeMap<Place, Asked> {
    let mut all = BTreeMap::new();
    for write in writes {
        let chosen = match &write.need {
            Need::OrElse(other) if read(directory, &write.file).is_none() => other,
            _ => write,
        };
        all.extend(expand(&chosen.file, &chosen.value, &chosen.field));
    }
    for limit in updated {
        let field = Field::path(limit.field.clone());
        all.extend(expand(&limit.file, &limit.value, &field));
    }
    all
}

/// `8:0 rbps=1 wiops=2` are two values; `8:0 200` and `default 100` are one each, of a line.
fn expand(file: &str, value: &str, field: &Field) -> Vec<(Place, Asked)> {
    let one = |line: Option<&str>, key: Option<&str>, value: &str| {
        let place = Place {
            file: file.to_owned(),
            line: line.map(str::to_owned),
            key: key.map(str::to_owned),
        };
        let value = value.trim().to_owned();
        let field = field.clone();
        (place, Asked { value, field })
    };
    // Controllers handed down are no limit, and others may add some.
    if value.starts_with(['+', '-']) {
        return Vec::new();
    }
    let (line, rest) = value.split_once(' ').unwrap_or(("", value));
    if rest.contains('=') {
        let pairs = rest
            .split_ascii_whitespace()
            .filter_map(|pair| pair.split_once('='));
        return pairs
            .map(|(key, value)| one(Some(line), Some(key), value))
            .collect();
    }
    if line == "default" || line.contains(':') {
        return vec![one(Some(line), None, rest)];
    }
    if file.ends_with("weight") && file.starts_with("io") {
        return vec![one(Some("default"), None, value)];
    }
    vec![one(None, None, value)]
}

fn read(directory: BorrowedFd<'_>, file: &str) -> Option<String> {
    let name = CString::new(file).ok()?;
    cgroup::read_value(directory, &name).ok()
}

/// What stands at a place; a device without a line has no limit.
fn value_at(place: &Place, text: &str) -> String {
    let text = text.trim();
    let Some(line) = &place.line else {
        return text.to_owned();
    };
    let found = text
        .lines()
        .filter_map(|found| found.split_once(' '))
        .find_map(|(name, rest)| (name == line).then_some(rest));
    match (&place.key, found) {
        (_, None) => "max".to_owned(),
        (None, Some(rest)) => rest.to_owned(),
        (Some(key), Some(rest)) => rest
            .split_ascii_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(name, value)| (name == key).then(|| value.to_owned()))
            .unwrap_or_else(|| "max".to_owned()),
    }
}

/// Files whose number is an upper bound; `*` stands for a size of pages.
fn is_bound(place: &Place) -> bool {
    let file = place.file.as_str();
    let is_of_pages = file.starts_with("hugetlb.") && file.ends_with("max");
    let named = [
        "memory.max",
        "memory.high",
        "memory.swap.max",
        "memory.swap.high",
        "memory.zswap.max",
        "pids.max",
        "cpu.max.burst",
        "io.max",
        "rdma.max",
        "misc.max",
    ];
    is_of_pages || named.contains(&file)
}

fn difference(place: &Place, asked: &str, found: &str) -> Option<Kind> {
    match place.file.as_str() {
        "cpu.max" => bandwidth(asked, found),
        "cpuset.cpus" | "cpuset.mems" => processors(asked, found),
        // An idle group has no weight.
        "cpu.weight" if found == "0" => None,
        _ if is_bound(place) => bound(place, asked, found),
        "memory.low" | "memory.min" => bound(place, asked, found).map(|_| Kind::Different),
        _ => {
            let words = |text: &str| {
                let words = text.split_ascii_whitespace();
                words.map(str::to_owned).collect::<Vec<_>>()
            };
            (words(asked) != words(found)).then_some(Kind::Different)
        }
    }
}

fn bound(place: &Place, asked: &str, found: &str) -> Option<Kind> {
    let (Some(asked), Some(found)) = (number(asked), number(found)) else {
        return (asked != found).then_some(Kind::Different);
    };
    let unit = unit(&place.file);
    // The kernel rounds to pages, and knows no more of them than fit into its counter.
    const ENDLESS: u64 = 1 << 62;
    if asked.abs_diff(found) < unit || asked.min(found) >= ENDLESS {
        return None;
    }
    Some(if found > asked {
        Kind::Weaker
    } else {
        Kind::Different
    })
}

fn number(text: &str) -> Option<u64> {
    if text == "max" {
        return Some(u64::MAX);
    }
    text.parse().ok()
}

/// How exact the kernel is: a page, or a huge one.
fn unit(file: &str) -> u64 {
    let size = file
        .strip_prefix("hugetlb.")
        .and_then(|rest| rest.split('.').next());
    if let Some(size) = size {
        let (digits, shift) = match size.len().checked_sub(2).map(|end| size.split_at(end)) {
            Some((digits, "KB")) => (digits, 10),
            Some((digits, "MB")) => (digits, 20),
            Some((digits, "GB")) => (digits, 30),
            _ => return 1,
        };
        return digits.parse::<u64>().unwrap_or(1) << shift;
    }
    if file.starts_with("memory.") {
        procfs::page_size()
    } else {
        1
    }
}

/// `quota period`: what counts is the share of a processor.
fn bandwidth(asked: &str, found: &str) -> Option<Kind> {
    let share = |text: &str| {
        let (quota, period) = text.split_once(' ').unwrap_or((text, "100000"));
        let period: f64 = period.trim().parse().ok()?;
        match quota {
            "max" => Some(f64::INFINITY),
            quota => Some(quota.parse::<f64>().ok()? / period),
        }
    };
    let (Some(asked), Some(found)) = (share(asked), share(found)) else {
        return Some(Kind::Different);
    };
    if asked == found {
        return None;
    }
    Some(if found > asked {
        Kind::Weaker
    } else {
        Kind::Different
    })
}

fn processors(asked: &str, found: &str) -> Option<Kind> {
    // What cannot be read is not what was asked for.
    let (Ok(asked), Ok(found)) = (bits(asked, ""), bits(found, "")) else {
        return Some(Kind::Different);
    };
    let at = |set: &[u64], index: usize| set.get(index).copied().unwrap_or(0);
    let words = 0..asked.len().max(found.len());
    if words
        .clone()
        .all(|index| at(&asked, index) == at(&found, index))
    {
        return None;
    }
    // No list at all means all of them.
    let has_all = words
        .clone()
        .all(|index| at(&asked, index) & !at(&found, index) == 0);
    Some(if found.is_empty() || has_all {
        Kind::Weaker
    } else {
        Kind::Different
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(file: &str, asked: &str, text: &str) -> Vec<Option<Kind>> {
        let field = Field::new("x");
        expand(file, asked, &field)
            .into_iter()
            .map(|(place, asked)| difference(&place, &asked.value, &value_at(&place, text)))
            .collect()
    }

    #[test]
    fn a_bound_that_was_raised_is_weaker_and_one_that_was_lowered_different() {
        for (file, asked, found, kind) in [
            ("memory.max", "67108864", "67108864\n", None),
            ("memory.max", "67108865", "67108864\n", None),
            ("memory.max", "67108864", "max\n", Some(Kind::Weaker)),
            ("memory.max", "67108864", "1048576\n", Some(Kind::Different)),
            ("memory.max", "max", "1048576\n", Some(Kind::Different)),
            ("pids.max", "20", "21\n", Some(Kind::Weaker)),
            ("hugetlb.2MB.max", "max", "9223372036854771712\n", None),
            ("hugetlb.2MB.max", "5000000", "4194304\n", None),
            (
                "hugetlb.2MB.max",
                "4194304",
                "8388608\n",
                Some(Kind::Weaker),
            ),
            ("memory.oom.group", "1", "0\n", Some(Kind::Different)),
            ("memory.low", "4097", "4096\n", None),
            ("memory.low", "8192", "4096\n", Some(Kind::Different)),
            ("memory.min", "4096", "max\n", Some(Kind::Different)),
            ("memory.oom.group", "0", "1\n", Some(Kind::Different)),
        ] {
            assert_eq!(
                compared(file, asked, found),
                [kind],
                "{file} {asked} {found}"
            );
        }
    }

    #[test]
    fn the_share_of_a_processor_counts() {
        for (asked, found, kind) in [
            ("50000 100000", "50000 100000\n", None),
            ("50000 100000", "100000 200000\n", None),
            ("max 100000", "max 50000\n", None),
            ("max", "max 100000\n", None),
            ("50000 100000", "max 100000\n", Some(Kind::Weaker)),
            ("50000 100000", "60000 100000\n", Some(Kind::Weaker)),
            ("50000 100000", "40000 100000\n", Some(Kind::Different)),
        ] {
            assert_eq!(compared("cpu.max", asked, found), [kind], "{asked} {found}");
        }
        for (asked, found, kind) in [
            ("0-1", "0,1\n", None),
            ("0", "0-1\n", Some(Kind::Weaker)),
            ("0", "\n", Some(Kind::Weaker)),
            ("0-1", "1\n", Some(Kind::Different)),
        ] {
            assert_eq!(
                compared("cpuset.cpus", asked, found),
                [kind],
                "{asked} {found}"
            );
        }
    }

    #[test]
    fn of_many_lines_that_of_the_device_counts() {
        let text =
            "8:16 rbps=max wbps=max riops=max wiops=9\n8:0 rbps=5 wbps=max riops=max wiops=max\n";
        assert_eq!(compared("io.max", "8:0 rbps=5", text), [None]);
        assert_eq!(
            compared("io.max", "8:0 rbps=4 wiops=1", text),
            [Some(Kind::Weaker), Some(Kind::Weaker)]
        );
        assert_eq!(compared("io.max", "9:0 rbps=4", text), [Some(Kind::Weaker)]);
        assert_eq!(compared("io.weight", "100", "default 100\n"), [None]);
        assert_eq!(
            compared("io.weight", "8:0 50", "default 100\n8:0 50\n"),
            [None]
        );
        assert_eq!(compared("cgroup.subtree_control", "+cpu", ""), []);
    }

    #[test]
    fn what_cannot_be_read_is_a_finding() {
        assert_eq!(processors("0-3", "all"), Some(Kind::Different));
        assert_eq!(bandwidth("50000 100000", "much"), Some(Kind::Different));
        assert_eq!(processors("0-3", "0-3"), None);
        assert_eq!(bandwidth("50000 100000", "50000 100000"), None);
    }
}
