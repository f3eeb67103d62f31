//! config-linux.md, Seccomp: what a profile may not say, whatever the system calls are called here.

use super::Findings;
use crate::config::words::{self, number};
use crate::config::{Seccomp, SeccompAction, SeccompRule};
use crate::error::Field;

pub(super) fn check(seccomp: &Seccomp, findings: &mut Findings) {
    errno(
        Field::new("linux.seccomp.defaultErrnoRet"),
        seccomp.default_action,
        seccomp.default_errno_ret,
        findings,
    );
    for (index, name) in seccomp.architectures.iter().enumerate() {
        if !words::SECCOMP_ARCHITECTURES.contains(&name.as_str()) {
            findings.refuse(
                Field::index("linux.seccomp.architectures", index),
                format!("unknown architecture {name:?}"),
            );
        }
    }
    for (index, flag) in seccomp.flags.iter().flatten().enumerate() {
        if number(&words::SECCOMP_FLAGS, flag).is_none() {
            findings.refuse(
                Field::index("linux.seccomp.flags", index),
                format!("unknown flag {flag:?}"),
            );
        }
    }
    listener(seccomp, findings);
    for (index, rule) in seccomp.syscalls.iter().enumerate() {
        rule_alone(index, rule, findings);
    }
    conflicts(seccomp, findings);
}

/// An errno on an action that has none MUST be an error. The kernel returns none above 4095, and
/// cuts a tracer's message to 16 bits.
fn errno(field: Field, action: SeccompAction, errno: Option<u32>, findings: &mut Findings) {
    let Some(errno) = errno else { return };
    let most = match action {
        SeccompAction::Errno => 4095,
        SeccompAction::Trace => 65535,
        _ => return findings.refuse(field, "the action returns no errno"),
    };
    if errno > most {
        findings.refuse(field, format!("{errno} is above {most}"));
    }
}

fn listener(seccomp: &Seccomp, findings: &mut Findings) {
    if seccomp.default_action == SeccompAction::Notify {
        // Nobody could answer for the calls that hand the listener over.
        findings.refuse(
            Field::new("linux.seccomp.defaultAction"),
            "SCMP_ACT_NOTIFY cannot be the default action",
        );
    }
    let notifies = |rule: &SeccompRule| rule.action == SeccompAction::Notify;
    let notified = seccomp.syscalls.iter().position(notifies);
    match (seccomp.listener_path.as_str(), notified) {
        ("", Some(index)) => {
            let text = "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath";
            findings.refuse(
                Field::index("linux.seccomp.syscalls", index).leaf("action"),
                text,
            );
        }
        ("", None) => {}
        (path, _) if !path.starts_with('/') => {
            findings.refuse(
                Field::new("linux.seccomp.listenerPath"),
                format!("{path:?} is not an absolute path"),
            );
        }
        // "If the SCMP_ACT_NOTIFY action is not used this value is ignored."
        (_, None) => findings.warn(
            Field::new("linux.seccomp.listenerPath"),
            "ignored: no rule uses SCMP_ACT_NOTIFY",
        ),
        (_, Some(_)) => {}
    }
    if seccomp.listener_path.is_empty() && !seccomp.listener_metadata.is_empty() {
        findings.refuse(
            Field::new("linux.seccomp.listenerMetadata"),
            "needs linux.seccomp.listenerPath",
        );
    }
}

fn rule_alone(index: usize, rule: &SeccompRule, findings: &mut Findings) {
    let field = |leaf| Field::index("linux.seccomp.syscalls", index).leaf(leaf);
    if rule.names.is_empty() || rule.names.has_an_empty_one() {
        findings.refuse(
            field("names"),
            "must name at least one system call, and none may be empty",
        );
    }
    errno(field("errnoRet"), rule.action, rule.errno_ret, findings);
    for (place, arg) in rule
        .args
        .iter()
        .enumerate()
        .filter(|(_, arg)| arg.index > 5)
    {
        let field = Field::path(format!(
            "linux.seccomp.syscalls[{index}].args[{place}].index"
        ));
        findings.refuse(
            field,
            format!("{} is above 5: a system call has six arguments", arg.index),
        );
    }
}

/// Two rules without conditions that ask for different things of one call: the first decides, as every peer has
/// it, and podman's default profile counts on it. One that asks for what the default does already is none:
/// engines write such rules, and every peer skips them.
fn conflicts(seccomp: &Seccomp, findings: &mut Findings) {
    let default = (
        seccomp.default_action,
        effect(seccomp.default_action, seccomp.default_errno_ret),
    );
    let mut rules: Vec<(usize, &SeccompRule, Effect)> = seccomp
        .syscalls
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.args.is_empty())
        .map(|(index, rule)| {
            (
                index,
                rule,
                (rule.action, effect(rule.action, rule.errno_ret)),
            )
        })
        .filter(|(_, _, wanted)| *wanted != default)
        .collect();
    let Some(&(_, _, usual)) = rules.first() else {
        return;
    };
    // Nearly all rules of a profile ask for the same: only the few others are sorted.
    let (same, other): (Vec<_>, Vec<_>) =
        rules.drain(..).partition(|(_, _, wanted)| *wanted == usual);
    let mut others: Vec<(&str, Effect, usize)> = other
        .iter()
        .flat_map(|(index, rule, wanted)| rule.names.iter().map(|name| (name, *wanted, *index)))
        .collect();
    others.sort_by_key(|(name, _, index)| (*name, *index));
    let mut warn = |name: &str, index: usize| {
        findings.warn(
            Field::index("linux.seccomp.syscalls", index).leaf("action"),
            &format!("ignored for {name}: an earlier rule has another action for it"),
        );
    };
    for pair in others
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
    {
        warn(pair[1].0, pair[1].2);
    }
    for (index, rule, _) in &same {
        for name in rule.names.iter() {
            if let Ok(found) = others.binary_search_by_key(&name, |(name, ..)| *name) {
                warn(name, others[found].2.max(*index));
            }
        }
    }
}

type Effect = (SeccompAction, u32);

/// The errno that an action returns; EPERM if it returns one and none is named.
fn effect(action: SeccompAction, errno: Option<u32>) -> u32 {
    match action {
        SeccompAction::Errno | SeccompAction::Trace => errno.unwrap_or(libc::EPERM.unsigned_abs()),
        _ => 0,
    }
}
