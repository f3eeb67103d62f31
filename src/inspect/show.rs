//! Facts as text, for people.

use std::fmt::Write;

use super::cgroup::CgroupFacts;
use super::descriptors::Descriptors;
use super::mounts::{MountFact, Mounts};
use super::namespaces::{IdMaps, IdRange, NamespaceFact};
use super::process::{CapabilityFacts, CapabilitySet, Ids, LimitFact, ProcessFacts};
use super::{Facts, Live, plain};
use crate::config::words;

/// A page that grows line by line.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, text: &str) {
        self.line(format_args!("{text}"));
    }

    fn row(&mut self, name: &str, value: impl AsRef<str>) {
        self.line(format_args!("  {name:<18} {}", plain(value.as_ref())));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        self.0.write_fmt(text).ok();
        self.0.push('\n');
    }
}

/// The whole page.
pub fn text(facts: &Facts) -> String {
    let mut page = Page::default();
    page.head(&plain(&format!("{}: {}", facts.id, facts.status.name())));
    if facts.pid > 0 {
        page.row("pid", facts.pid.to_string());
    }
    page.row("bundle", &facts.bundle);
    page.row("root filesystem", &facts.rootfs);
    page.row("created", format!("{} by {}", facts.created, facts.owner));
    if let Some(live) = &facts.live {
        process(&mut page, &live.process);
        namespaces(&mut page, live);
    }
    if let Some(cgroup_facts) = &facts.cgroup {
        cgroup(&mut page, cgroup_facts);
    }
    if let Some(live) = &facts.live {
        mounts(&mut page, &live.mounts);
        descriptors(&mut page, &live.descriptors);
    }
    if !facts.unseen.is_empty() {
        page.head("not seen");
        for unseen in &facts.unseen {
            page.row(unseen.what, &unseen.why);
        }
    }
    page.0
}

fn process(page: &mut Page, process: &ProcessFacts) {
    page.head("process");
    page.row("name", &process.name);
    page.row(
        "state",
        format!("{}, {}", process.state, threads(process.threads)),
    );
    page.row("executable", &process.executable);
    page.row("working directory", &process.cwd);
    page.row("root", &process.root);
    page.row("user", ids(&process.uids));
    page.row("group", ids(&process.gids));
    let groups: Vec<String> = process.groups.iter().map(u32::to_string).collect();
    page.row("other groups", or_none(groups.join(" ")));
    capabilities(page, &process.capabilities);
    page.row("no_new_privs", yes(process.no_new_privileges));
    page.row(
        "seccomp",
        match process.seccomp.filters {
            0 => process.seccomp.mode.clone(),
            count => format!("{}, {count} in force", process.seccomp.mode),
        },
    );
    page.row("label", or_none(process.label.clone()));
    page.row(
        "oom score",
        format!(
            "{}, adjusted by {}",
            process.oom_score, process.oom_score_adj
        ),
    );
    page.head("limits");
    for limit in &process.rlimits {
        page.row(limit.kind, limit_text(limit));
    }
}

fn threads(count: u64) -> String {
    match count {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// One number where all four are the same.
fn ids(ids: &Ids) -> String {
    let all = [ids.real, ids.effective, ids.saved, ids.filesystem];
    if all.iter().all(|id| *id == ids.real) {
        return ids.real.to_string();
    }
    format!(
        "real {}, effective {}, saved {}, filesystem {}",
        ids.real, ids.effective, ids.saved, ids.filesystem
    )
}

fn limit_text(limit: &LimitFact) -> String {
    let number = |value: Option<u64>| match value {
        Some(value) => value.to_string(),
        None => "unlimited".to_owned(),
    };
    if limit.soft == limit.hard {
        return number(limit.soft);
    }
    format!("{}, at most {}", number(limit.soft), number(limit.hard))
}

fn capabilities(page: &mut Page, sets: &CapabilityFacts) {
    for (name, set) in [
        ("bounding", sets.bounding),
        ("effective", sets.effective),
        ("permitted", sets.permitted),
        ("inheritable", sets.inheritable),
        ("ambient", sets.ambient),
    ] {
        page.row(name, capability_text(set));
    }
}

/// All of them is one word, for the list says nothing then.
fn capability_text(set: CapabilitySet) -> String {
    let all = (1 << words::CAPABILITIES.len()) - 1;
    if set.0 & all == all {
        return format!("all {}", words::CAPABILITIES.len());
    }
    let names = set.names();
    let short = names.iter().map(|name| name.trim_start_matches("CAP_"));
    or_none(short.collect::<Vec<_>>().join(" "))
}

fn namespaces(page: &mut Page, live: &Live) {
    page.head("namespaces");
    for namespace in &live.namespaces {
        page.row(
            namespace.name(),
            format!("{}  {}", namespace.inode, whose(namespace)),
        );
    }
    let IdMaps {
        uids,
        gids,
        setgroups,
    } = &live.id_maps;
    page.row("user ids", map(uids));
    page.row("group ids", map(gids));
    page.row("setgroups", setgroups);
}

/// Who else has the host's says little: most have.
fn whose(namespace: &NamespaceFact) -> String {
    match (namespace.is_host, namespace.containers.as_slice()) {
        (true, _) => "the host's".to_owned(),
        (false, []) => "its own".to_owned(),
        (false, others) => format!("shared with {}", others.join(", ")),
    }
}

fn map(ranges: &[IdRange]) -> String {
    let range = |range: &IdRange| {
        format!(
            "{} is {} outside, {} ids",
            range.container, range.host, range.size
        )
    };
    or_none(ranges.iter().map(range).collect::<Vec<_>>().join("; "))
}

/// The values that limit, and those that tell how it goes; JSON has all of them.
const SHOWN: [&str; 22] = [
    "cgroup.controllers",
    "cgroup.freeze",
    "cpu.max",
    "cpu.max.burst",
    "cpu.weight",
    "cpu.idle",
    "cpuset.cpus",
    "cpuset.mems",
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.swap.max",
    "memory.oom.group",
    "memory.current",
    "memory.peak",
    "pids.max",
    "pids.current",
    "io.max",
    "io.weight",
    "hugetlb.2MB.max",
    "rdma.max",
];

fn cgroup(page: &mut Page, facts: &CgroupFacts) {
    page.head("cgroup");
    page.row("path", &facts.path);
    if let Some(unit) = &facts.unit {
        page.row("systemd unit", unit);
    }
    if !facts.exists {
        page.row("", "it is gone");
        return;
    }
    page.row("processes", facts.processes.to_string());
    for name in SHOWN {
        if let Some(value) = facts.values.get(name).filter(|value| !value.is_empty()) {
            page.row(name, value.replace('\n', "; "));
        }
    }
    let programs: Vec<String> = facts
        .device_programs
        .iter()
        .map(|program| {
            format!(
                "{} (number {}, tag {})",
                program.name, program.id, program.tag
            )
        })
        .collect();
    page.row("device program", or_none(programs.join("; ")));
}

fn mounts(page: &mut Page, mounts: &Mounts) {
    page.head("mounts");
    for mount in &mounts.list {
        page.line(format_args!("  {}", plain(&mount_text(mount))));
    }
    if mounts.is_cut {
        page.row("", "and more than can be shown");
    }
}

fn mount_text(mount: &MountFact) -> String {
    let mut text = format!(
        "{:<26} {:<8} {}",
        mount.destination,
        mount.kind,
        mount.options.join(",")
    );
    if mount.root != "/" {
        text += &format!("  shows {}", mount.root);
    }
    if mount.source != mount.kind && mount.source != "none" {
        text += &format!("  from {}", mount.source);
    }
    if !mount.propagation.is_empty() {
        text += &format!("  {}", mount.propagation.join(" "));
    }
    text
}

fn descriptors(page: &mut Page, descriptors: &Descriptors) {
    page.head("descriptors");
    for descriptor in &descriptors.list {
        let at_exec = if descriptor.closes_at_exec {
            ", closes at exec"
        } else {
            ""
        };
        page.row(
            &descriptor.fd.to_string(),
            format!("{} ({}{at_exec})", descriptor.target, descriptor.access),
        );
    }
    if descriptors.is_cut {
        page.row("", "and more than can be shown");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_all_the_same_are_one_number() {
        let same = Ids {
            real: 7,
            effective: 7,
            saved: 7,
            filesystem: 7,
        };
        assert_eq!(ids(&same), "7");
        assert_eq!(
            ids(&Ids { saved: 0, ..same }),
            "real 7, effective 7, saved 0, filesystem 7"
        );
    }

    #[test]
    fn a_hostile_mount_point_stays_on_its_line() {
        let mut page = Page::default();
        let mount = MountFact {
            destination: "/x\n  /etc/shadow".to_owned(),
            ..MountFact::default()
        };
        mounts(
            &mut page,
            &Mounts {
                list: vec![mount],
                is_cut: false,
            },
        );
        assert_eq!(page.0.lines().count(), 2);
    }
}
