//! The rules that need no kernel: what config.json can be refused for by reading it alone.
//!
//! They run before any side effect, over the whole file, and all that is wrong is reported together:
//! who writes a configuration by hand, or an engine, should not have to find five mistakes in five
//! attempts. Each failure names its property; line and column are looked up afterwards, so that a
//! configuration without fault pays nothing for them.
//!
//! The specification's rule for a value it does not allow is an error (config.md: "runtimes MUST
//! generate an error when an invalid or unsupported value is encountered"), and for a property it
//! does not know silence. So a cgroup v1 value that asks for something is refused, since nothing here
//! can honour it, and one that asks for nothing (`swappiness: null`, `disableOOMKiller: false`)
//! passes. Exceptions that callers rely on are noted at their rule.
//!
//! What depends on the host (whether an id is mapped for us, whether a device exists, whether a
//! controller is there) belongs to the planner, and what depends on the root filesystem to the
//! operation. Paths here are words: they are compared, never looked up.

mod devices;
mod mounts;
mod namespaces;
mod process;
mod resources;
mod seccomp;
mod sysctl;

use std::fmt;

use super::{Pairs, Spec, fields};
use crate::error::{Code, Failure, Field, Kind, Result};

pub use sysctl::{file as sysctl_file, namespace_of as sysctl_namespace};

/// Who sends a configuration with more faults than this will not read them all, and looking up a
/// hundred thousand lines takes a while.
const MOST: usize = 64;

/// What the rules found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What must be mended; at most 64.
    pub failures: Vec<Failure>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// What is allowed, and hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub field: Field,
    /// A sentence.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.text)
    }
}

impl Findings {
    fn refuse(&mut self, field: Field, text: impl Into<String>) {
        self.add(Failure::config(field, text));
    }

    fn add(&mut self, failure: Failure) {
        if self.failures.len() < MOST {
            self.failures.push(failure);
        }
    }

    fn warn(&mut self, field: Field, text: &str) {
        if self.warnings.len() < MOST {
            self.warnings.push(Warning {
                field,
                text: text.to_owned(),
            });
        }
    }
}

/// Applies every rule to a configuration and the text it was parsed from.
pub fn check(spec: &Spec, text: &[u8]) -> Findings {
    let mut findings = Findings::default();
    version(spec, &mut findings);
    root(spec, &mut findings);
    for field in fields::with_nul(text) {
        findings.refuse(
            field,
            "contains a NUL character, where the kernel would cut it off",
        );
    }
    mounts::check(spec, &mut findings);
    if let Some(process) = &spec.process {
        process::check(process, spec.linux.as_deref(), &mut findings);
    }
    hooks(spec, &mut findings);
    namespaces::check(spec, &mut findings);
    annotations(spec, &mut findings);
    if let Some(linux) = &spec.linux {
        devices::check(linux, &mut findings);
        resources::check(linux, &mut findings);
        sysctl::check(spec, linux, &mut findings);
        if let Some(seccomp) = &linux.seccomp {
            seccomp::check(seccomp, &mut findings);
        }
    }
    findings
}

/// The rules for limits alone, which `update` needs too.
pub fn check_resources(limits: &super::Resources) -> Vec<Failure> {
    let mut findings = Findings::default();
    resources::limits(limits, &mut findings);
    findings.failures
}

/// What is wrong with an environment.
pub fn check_environment(env: &[String]) -> Vec<Failure> {
    let mut findings = Findings::default();
    process::environment(env, &mut findings);
    findings.failures
}

/// Whether a container may have this id. It becomes a file name, and a part of a cgroup's.
pub fn check_id(id: &str) -> Result<()> {
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+".contains(byte);
    let other = |byte: &u8| first(byte) || b".-".contains(byte);
    match id.as_bytes() {
        [] => {
            let text = "container id cannot be empty";
            Err(Failure::new(Code::Usage, text).of(Kind::InvalidId))
        }
        [head, tail @ ..] if first(head) && tail.len() < 255 && tail.iter().all(other) => Ok(()),
        _ => Err(
            Failure::new(Code::Usage, format!("invalid container ID format: {id:?}"))
                .hint("a letter, digit, _ or +, then up to 254 of these, . and -")
                .of(Kind::InvalidId),
        ),
    }
}

/// runtime-spec 1.3.0: the version whose properties are known here.
const MINOR: u64 = 3;

/// config.md, Specification version: a runtime of 1.x accepts every 1.y that it knows.
fn version(spec: &Spec, findings: &mut Findings) {
    let field = Field::new("ociVersion");
    let version = &spec.oci_version;
    if version.is_empty() {
        return findings.refuse(field, "required, and missing");
    }
    match semantic(version) {
        None => findings.refuse(
            field,
            format!("{version:?} is not a semantic version such as 1.3.0"),
        ),
        Some((1, minor)) if minor > MINOR => {
            findings.warn(
                field,
                &format!(
                    "{version} is newer than 1.{MINOR}.0: properties unknown here are ignored"
                ),
            );
        }
        Some((1, _)) => {}
        Some(_) => findings.refuse(
            field,
            format!("{version} is not supported, only versions from 1.0.0 to below 2.0.0"),
        ),
    }
}

/// Major and minor number of a version as of SemVer 2.0.0: `1.0.2-dev+build`.
fn semantic(version: &str) -> Option<(u64, u64)> {
    let (version, build) = version
        .split_once('+')
        .map_or((version, None), |(version, build)| (version, Some(build)));
    let (core, pre) = version
        .split_once('-')
        .map_or((version, None), |(core, pre)| (core, Some(pre)));
    let named = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !pre
        .iter()
        .chain(&build)
        .all(|tail| tail.split('.').all(named))
    {
        return None;
    }
    let mut numbers = core.split('.').map(|number| {
        let plain = number == "0" || !number.starts_with('0');
        (plain && number.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| number.parse::<u64>().ok())?
    });
    let (major, minor, _patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some((major, minor))
}

fn root(spec: &Spec, findings: &mut Findings) {
    let (field, text) = match &spec.root {
        None => (Field::new("root"), "required on Linux, and missing"),
        Some(root) if root.path.is_empty() => (Field::new("root.path"), "required, and empty"),
        Some(_) => return,
    };
    findings.add(Failure {
        code: Code::Bundle,
        ..Failure::config(field, text)
    });
}

/// config.md, POSIX-platform hooks.
fn hooks(spec: &Spec, findings: &mut Findings) {
    let hooks = &spec.hooks;
    let lists = [
        ("hooks.prestart", &hooks.prestart),
        ("hooks.createRuntime", &hooks.create_runtime),
        ("hooks.createContainer", &hooks.create_container),
        ("hooks.startContainer", &hooks.start_container),
        ("hooks.poststart", &hooks.poststart),
        ("hooks.poststop", &hooks.poststop),
    ];
    for (name, list) in lists {
        for (index, hook) in list.iter().enumerate() {
            let field = Field::index(name, index);
            if !hook.path.starts_with('/') {
                findings.refuse(
                    field.clone().leaf("path"),
                    format!("{:?} is not an absolute path", hook.path),
                );
            }
            if let Some(timeout @ ..=0) = hook.timeout {
                findings.refuse(
                    field.leaf("timeout"),
                    format!("{timeout} is not above 0 seconds"),
                );
            }
        }
    }
}

/// config.md, Annotations: keys MUST NOT be empty.
fn annotations(spec: &Spec, findings: &mut Findings) {
    if spec.annotations.get("").is_some() {
        findings.refuse(Field::new("annotations"), "has an empty key");
    }
    no_duplicates(&spec.annotations, "annotations", findings);
}

/// A key that stands twice means two things; serde refuses that itself where the keys are fixed.
fn no_duplicates<V>(pairs: &Pairs<V>, map: &'static str, findings: &mut Findings) {
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    for pair in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
        findings.refuse(Field::key(map, pair[0]), "duplicate property");
    }
}

/// How many levels a path lies below where it starts, by its words alone; none if it leaves.
fn depth(path: &str) -> Option<usize> {
    path.split('/').try_fold(0_usize, |depth, part| match part {
        "" | "." => Some(depth),
        ".." => depth.checked_sub(1),
        _ => Some(depth + 1),
    })
}

/// Whether a path steps up anywhere.
fn steps_up(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// Whether a list of numbers is one as of cpuset(7): `0-3,8`, empty for none.
fn is_number_list(list: &str) -> bool {
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u32>().ok())?
    };
    list.is_empty()
        || list
            .trim_end_matches('\n')
            .split(',')
            .all(|range| match range.split_once('-') {
                None => number(range).is_some(),
                Some((first, last)) => number(first)
                    .zip(number(last))
                    .is_some_and(|(first, last)| first <= last),
            })
}
