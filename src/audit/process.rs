//! Ids, capabilities, filters, limits, label of the first process.

use super::{Book, Kind, Subject};
use crate::config::{Process, words};
use crate::error::Field;
use crate::inspect::process::{CapabilitySet, Ids, LimitFact};
use crate::plan::Planner;
use crate::plan::annotations;
use crate::process::plan::{Sets, capabilities};

const CAP_SYS_ADMIN: u64 = 1 << 21;

pub(super) fn compare(subject: &Subject<'_>, book: &mut Book) {
    let Some(process) = &subject.spec.process else {
        return;
    };
    no_new_privileges(subject, process, book);
    seccomp(subject, book);
    sets(subject, process, book);
    ids(subject, process, book);
    limits(subject, process, book);
    oom_score(subject, process, book);
    if subject.runs() {
        label(subject, process, book);
    }
}

fn no_new_privileges(subject: &Subject<'_>, process: &Process, book: &mut Book) {
    if process.no_new_privileges && !subject.live.process.no_new_privileges {
        let field = Field::new("process.noNewPrivileges");
        book.note(Kind::Missing, &field, "no_new_privs", "not set");
    }
}

/// Init loads the filter last of all, so a container that has not been started has none yet.
fn seccomp(subject: &Subject<'_>, book: &mut Book) {
    let mode = &subject.live.process.seccomp.mode;
    if subject.linux.seccomp.is_some() && subject.runs() && mode != "filter" {
        let field = Field::new("linux.seccomp");
        book.note(
            Kind::Missing,
            &field,
            "a filter",
            format!("seccomp is {mode}"),
        );
    }
}

fn sets(subject: &Subject<'_>, process: &Process, book: &mut Book) {
    // What cannot be granted was warned of by `create`; here more is as good as all.
    let asked = capabilities(
        &mut Planner::default(),
        process.capabilities.as_ref(),
        u64::MAX,
    );
    let allowed = allowed(subject, process, asked);
    let found = &subject.live.process.capabilities;
    for (leaf, found, allowed) in [
        ("bounding", found.bounding, asked.bounding),
        ("permitted", found.permitted, allowed),
        ("effective", found.effective, allowed),
        (
            "inheritable",
            found.inheritable,
            allowed | asked.sets.inheritable,
        ),
        ("ambient", found.ambient, allowed),
    ] {
        let more = CapabilitySet(found.0 & !allowed).names();
        if !more.is_empty() {
            let field = Field::new("process.capabilities").leaf(leaf);
            let asked = CapabilitySet(allowed).names();
            book.note(
                Kind::Extra,
                &field,
                list(&asked),
                format!("also {}", list(&more)),
            );
        }
    }
}

/// What the process may have. By exec, root gets all of the bounding and inheritable sets, unless it may gain nothing
/// (capabilities(7), Capabilities and execution of programs by root).
fn allowed(subject: &Subject<'_>, process: &Process, asked: Sets) -> u64 {
    let own = asked.sets.permitted | asked.ambient;
    if !subject.runs() {
        // For the load of the filter.
        let needs = subject.linux.seccomp.is_some() && !process.no_new_privileges;
        return own | if needs { CAP_SYS_ADMIN } else { 0 };
    }
    if process.user.uid == 0 && !process.no_new_privileges {
        return own | asked.bounding | asked.sets.inheritable;
    }
    own
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

/// Root may become anybody; whoever is not root stays who it is.
fn ids(subject: &Subject<'_>, process: &Process, book: &mut Book) {
    let user = &process.user;
    let maps = &subject.live.id_maps;
    if user.uid == 0 {
        return;
    }
    let found = &subject.live.process;
    let all = |ids: &Ids| [ids.real, ids.effective, ids.saved, ids.filesystem];
    for (leaf, asked, host, ids) in [
        ("uid", user.uid, maps.host_uid(user.uid), &found.uids),
        ("gid", user.gid, maps.host_gid(user.gid), &found.gids),
    ] {
        if let Some(host) = host
            && all(ids).iter().any(|id| *id != host)
        {
            let found = format!(
                "real {}, effective {}, saved {}, filesystem {}, on the host",
                ids.real, ids.effective, ids.saved, ids.filesystem
            );
            let asked = format!("{asked}, which is {host} on the host");
            let field = Field::new("process.user").leaf(leaf);
            book.note(Kind::Different, &field, asked, found);
        }
    }
    // Where setgroups(2) is denied, or nobody asked for it, the groups of the caller of `create` stay.
    let keeps = annotations::is_on(&subject.spec.annotations, annotations::KEEP_GROUPS);
    if keeps || maps.setgroups == "deny" {
        return;
    }
    let asked: Vec<u32> = user
        .additional_gids
        .iter()
        .filter_map(|gid| maps.host_gid(*gid))
        .chain(maps.host_gid(user.gid))
        .collect();
    let more = found.groups.iter().filter(|group| !asked.contains(group));
    let more: Vec<String> = more.map(u32::to_string).collect();
    if !more.is_empty() {
        let field = Field::new("process.user.additionalGids");
        let asked = format!("{:?}", user.additional_gids);
        book.note(
            Kind::Extra,
            &field,
            asked,
            format!("also {}", more.join(" ")),
        );
    }
}

/// A process may lower its limits and move the soft one below the hard one; raise that it may not.
fn limits(subject: &Subject<'_>, process: &Process, book: &mut Book) {
    for (index, rlimit) in process.rlimits.iter().enumerate() {
        let is_it = |found: &&LimitFact| found.kind == rlimit.kind;
        let Some(found) = subject.live.process.rlimits.iter().find(is_it) else {
            continue;
        };
        let hard = found.hard.unwrap_or(u64::MAX);
        if hard > rlimit.hard {
            let field = Field::index("process.rlimits", index).leaf("hard");
            let text = |value| match value {
                u64::MAX => "unlimited".to_owned(),
                value => value.to_string(),
            };
            book.note(
                Kind::Weaker,
                &field,
                format!("{} {}", rlimit.kind, text(rlimit.hard)),
                text(hard),
            );
        }
    }
}

fn oom_score(subject: &Subject<'_>, process: &Process, book: &mut Book) {
    let found = subject.live.process.oom_score_adj;
    if let Some(asked) = process.oom_score_adj
        && found < asked
    {
        let field = Field::new("process.oomScoreAdj");
        book.note(Kind::Weaker, &field, asked.to_string(), found.to_string());
    }
}

fn label(subject: &Subject<'_>, process: &Process, book: &mut Book) {
    let found = subject.live.process.label.as_str();
    let asked = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
    if let Some(profile) = asked(&process.apparmor_profile) {
        let field = Field::new("process.apparmorProfile");
        let (name, mode) = found.split_once(" (").unwrap_or((found, ""));
        match (name, mode) {
            ("" | "unconfined", _) => book.note(Kind::Missing, &field, profile, found),
            (name, _) if name != profile => book.note(Kind::Different, &field, profile, found),
            (_, "complain)") => book.note(Kind::Weaker, &field, profile, found),
            _ => {}
        }
    }
    if let Some(label) = asked(&process.selinux_label)
        && label != found
    {
        let field = Field::new("process.selinuxLabel");
        book.note(Kind::Different, &field, label, found);
    }
}

/// Whether the container's own programs may mount: CAP_SYS_ADMIN is within their reach.
pub(super) fn may_mount(subject: &Subject<'_>) -> bool {
    let process = subject.spec.process.as_ref();
    let sets = process.and_then(|process| process.capabilities.as_ref());
    let bounding = sets.and_then(|sets| sets.bounding.as_ref());
    let name = words::CAPABILITIES[CAP_SYS_ADMIN.trailing_zeros() as usize];
    bounding.is_some_and(|names| names.iter().any(|found| found == name))
}
