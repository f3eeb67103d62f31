//! config.md, Process: the program, its ids, limits and scheduling.

use super::{Findings, is_number_list};
use crate::config::words::{self, number};
use crate::config::{
    Capabilities, CpuAffinity, IdMapping, IoPriority, Linux, Process, Rlimit, Scheduler, User,
};
use crate::error::{Cause, Code, Failure, Field};
use crate::sys::Errno;

/// The checks that `exec --process` needs as well. `linux` is none where there is no such section.
pub(super) fn check(process: &Process, linux: Option<&Linux>, findings: &mut Findings) {
    program(process, findings);
    cwd(&process.cwd, findings);
    environment(&process.env, findings);
    user(&process.user, linux, findings);
    rlimits(&process.rlimits, findings);
    if let Some(capabilities) = &process.capabilities {
        known_capabilities(capabilities, findings);
    }
    if let Some(score) = process
        .oom_score_adj
        .filter(|score| !(-1000..=1000).contains(score))
    {
        findings.refuse(
            Field::new("process.oomScoreAdj"),
            format!("{score} is not between -1000 and 1000"),
        );
    }
    if let Some(scheduler) = &process.scheduler {
        scheduling(scheduler, findings);
    }
    if let Some(priority) = &process.io_priority {
        io_priority(priority, findings);
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        cpu_affinity(affinity, findings);
    }
}

fn program(process: &Process, findings: &mut Findings) {
    match process.args.first().map(String::as_str) {
        None => findings.refuse(Field::new("process.args"), "must name the program"),
        Some("") => findings.refuse(
            Field::index("process.args", 0),
            "the name of the program is empty",
        ),
        Some(_) => {}
    }
    for (index, arg) in process.args.iter().enumerate() {
        length("process.args", index, arg, findings);
    }
}

/// execve(2), MAX_ARG_STRLEN: 32 pages. Pages are larger on some machines; only those of x86 never are.
const LONGEST_STRING: usize = 32 * 4096;

fn length(list: &'static str, index: usize, text: &str, findings: &mut Findings) {
    if cfg!(target_arch = "x86_64") && text.len() >= LONGEST_STRING {
        let act = format!(
            "{} bytes in one string, of which the kernel takes {}",
            text.len(),
            LONGEST_STRING - 1
        );
        let failure = Failure::new(Code::System, act).at(Field::index(list, index));
        findings.add(Failure {
            cause: Some(Cause::Errno(Errno(libc::E2BIG))),
            ..failure
        });
    }
}

/// cwd MUST be absolute. A path through a descriptor would lead out of the root (CVE-2024-21626); the
/// operation checks that again, this names the field.
fn cwd(cwd: &str, findings: &mut Findings) {
    let field = Field::new("process.cwd");
    if cwd.is_empty() {
        findings.refuse(field, "required, and missing");
    } else if !cwd.starts_with('/') {
        findings.refuse(field, format!("{cwd:?} is not an absolute path"));
    } else if through_descriptor(cwd) {
        findings.refuse(
            field,
            format!("{cwd} leads through a descriptor, out of the root filesystem"),
        );
    }
}

fn through_descriptor(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    match parts.next() {
        Some("proc") => parts.any(|part| matches!(part, "fd" | "root" | "cwd" | "map_files")),
        Some("dev") => parts.next() == Some("fd"),
        _ => false,
    }
}

pub(super) fn environment(env: &[String], findings: &mut Findings) {
    for (index, entry) in env.iter().enumerate() {
        let text = match entry.find('=') {
            None => format!("{:?} has no \"=\"", shortened(entry)),
            Some(0) => format!("{:?} has no name", shortened(entry)),
            Some(_) => {
                length("process.env", index, entry, findings);
                continue;
            }
        };
        findings.refuse(Field::index("process.env", index), text);
    }
}

/// An environment may hold secrets: a message quotes no more than a name's worth of it.
fn shortened(entry: &str) -> &str {
    let end = entry
        .char_indices()
        .nth(16)
        .map_or(entry.len(), |(end, _)| end);
    &entry[..end]
}

/// -1, which setresuid(2) takes for "leave it": a user who asks for it would stay root.
const UNCHANGED: u32 = u32::MAX;

fn user(user: &User, linux: Option<&Linux>, findings: &mut Findings) {
    let mapped = |maps: &[IdMapping], id: u32| {
        let inside = |map: &IdMapping| id >= map.container_id && id - map.container_id < map.size;
        maps.is_empty() || maps.iter().any(inside)
    };
    let (uids, gids) = linux.map_or((&[][..], &[][..]), |linux| {
        (&linux.uid_mappings[..], &linux.gid_mappings[..])
    });
    for (field, id, maps) in [
        ("process.user.uid", user.uid, uids),
        ("process.user.gid", user.gid, gids),
    ] {
        if id == UNCHANGED {
            findings.refuse(
                Field::new(field),
                format!("{id} is no id: the kernel reads it as \"unchanged\""),
            );
        } else if !mapped(maps, id) {
            findings.refuse(
                Field::new(field),
                format!("{id} is not mapped in the user namespace"),
            );
        }
    }
    for (index, _) in user
        .additional_gids
        .iter()
        .enumerate()
        .filter(|(_, gid)| **gid == UNCHANGED)
    {
        let field = Field::index("process.user.additionalGids", index);
        findings.refuse(
            field,
            format!("{UNCHANGED} is no id: the kernel reads it as \"unchanged\""),
        );
    }
    if let Some(umask) = user.umask.filter(|umask| *umask > 0o777) {
        findings.refuse(
            Field::new("process.user.umask"),
            format!("{umask} is above 511 (octal 777)"),
        );
    }
}

/// An unknown type and a second entry of one type MUST be an error.
fn rlimits(rlimits: &[Rlimit], findings: &mut Findings) {
    for (index, rlimit) in rlimits.iter().enumerate() {
        let field = Field::index("process.rlimits", index);
        if number(&words::RLIMITS, &rlimit.kind).is_none() {
            findings.refuse(
                field.clone().leaf("type"),
                format!("unknown resource limit {:?}", rlimit.kind),
            );
        }
        if let Some(first) = rlimits[..index]
            .iter()
            .position(|other| other.kind == rlimit.kind)
        {
            let text = format!("{} stands in process.rlimits[{first}] already", rlimit.kind);
            findings.refuse(field.clone().leaf("type"), text);
        }
        if rlimit.soft > rlimit.hard {
            findings.refuse(
                field.leaf("soft"),
                format!("{} is above the hard limit {}", rlimit.soft, rlimit.hard),
            );
        }
    }
}

/// A capability that nobody knows MUST be a warning and SHOULD NOT fail.
fn known_capabilities(capabilities: &Capabilities, findings: &mut Findings) {
    let sets = [
        ("process.capabilities.bounding", &capabilities.bounding),
        ("process.capabilities.effective", &capabilities.effective),
        (
            "process.capabilities.inheritable",
            &capabilities.inheritable,
        ),
        ("process.capabilities.permitted", &capabilities.permitted),
        ("process.capabilities.ambient", &capabilities.ambient),
    ];
    for (name, set) in sets {
        for (index, word) in set
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, word)| !words::is_capability(word))
        {
            findings.warn(
                Field::index(name, index),
                &format!("unknown capability {word:?} is not granted"),
            );
        }
    }
}

/// config.md, Scheduler, and what sched_setattr(2) would answer EINVAL to.
fn scheduling(scheduler: &Scheduler, findings: &mut Findings) {
    let field = |leaf| Field::new("process.scheduler").leaf(leaf);
    let Some(policy) = number(&words::SCHEDULER_POLICIES, &scheduler.policy) else {
        return findings.refuse(
            field("policy"),
            format!("unknown policy {:?}", scheduler.policy),
        );
    };
    for (index, flag) in scheduler.flags.iter().enumerate() {
        if number(&words::SCHEDULER_FLAGS, flag).is_none() {
            findings.refuse(
                Field::index("process.scheduler.flags", index),
                format!("unknown flag {flag:?}"),
            );
        }
    }
    if !(-20..=19).contains(&scheduler.nice) {
        findings.refuse(
            field("nice"),
            format!("{} is not between -20 and 19", scheduler.nice),
        );
    }
    let real_time = ["SCHED_FIFO", "SCHED_RR"]
        .map(|name| number(&words::SCHEDULER_POLICIES, name))
        .contains(&Some(policy));
    match scheduler.priority {
        1..=99 if real_time => {}
        0 if !real_time => {}
        priority if real_time => {
            findings.refuse(
                field("priority"),
                format!("{priority} is not between 1 and 99"),
            );
        }
        _ => findings.refuse(
            field("priority"),
            "only SCHED_FIFO and SCHED_RR have a priority",
        ),
    }
    deadline(scheduler, findings);
}

fn deadline(scheduler: &Scheduler, findings: &mut Findings) {
    let times = [
        ("runtime", scheduler.runtime),
        ("deadline", scheduler.deadline),
        ("period", scheduler.period),
    ];
    if scheduler.policy != "SCHED_DEADLINE" {
        for (leaf, _) in times.iter().filter(|(_, time)| *time != 0) {
            findings.refuse(
                Field::new("process.scheduler").leaf(leaf),
                "only SCHED_DEADLINE has it",
            );
        }
        return;
    }
    // A period of 0 is that of the deadline.
    let period = if scheduler.period == 0 {
        scheduler.deadline
    } else {
        scheduler.period
    };
    if scheduler.runtime == 0
        || scheduler.runtime > scheduler.deadline
        || scheduler.deadline > period
    {
        findings.refuse(
            Field::new("process.scheduler"),
            "SCHED_DEADLINE needs 0 < runtime <= deadline <= period",
        );
    }
}

fn io_priority(priority: &IoPriority, findings: &mut Findings) {
    let field = Field::new("process.ioPriority");
    if number(&words::IO_CLASSES, &priority.class).is_none() {
        findings.refuse(
            field.clone().leaf("class"),
            format!("unknown class {:?}", priority.class),
        );
    }
    if !(0..=7).contains(&priority.priority) {
        findings.refuse(
            field.leaf("priority"),
            format!("{} is not between 0 and 7", priority.priority),
        );
    }
}

fn cpu_affinity(affinity: &CpuAffinity, findings: &mut Findings) {
    let lists = [
        ("process.execCPUAffinity.initial", &affinity.initial),
        ("process.execCPUAffinity.final", &affinity.last),
    ];
    for (name, list) in lists {
        if let Some(list) = list.as_ref().filter(|list| !is_number_list(list)) {
            findings.refuse(
                Field::new(name),
                format!("{list:?} is not a list of CPUs such as 0-3,8"),
            );
        }
    }
}
