//! From a profile to a filter: which table has which number, and what the kernel does about it.

use std::num::NonZeroU32;

use seccompiler::sock_filter;

use crate::config::{Seccomp, SeccompAction as Action, SeccompRule};
use crate::error::{Failure, Field, Result};

use super::layout::{self, Decision, Family, Member, Runs};
use super::rules::{self, Chain, Test};
use super::tables::{self, ARCHITECTURES, Arch, Call, X32_BIT};
use super::words::{self, FLAGS};

/// The kernel's limit of a program (BPF_MAXINSNS).
const LONGEST: usize = 4096;

/// What the kernel is given.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Classic BPF over `struct seccomp_data`, ready to be loaded.
    pub instructions: Vec<sock_filter>,
    /// SECCOMP_FILTER_FLAG_*.
    pub flags: u64,
    /// Who answers SCMP_ACT_NOTIFY. Some exactly if the load yields a descriptor.
    pub listener: Option<Listener>,
    /// Names that no architecture knows; their rules are skipped.
    pub unknown: Vec<String>,
}

impl Filter {
    /// One that was compiled before, and has neither a listener nor names that nobody knows.
    pub fn compiled((instructions, flags): (Vec<sock_filter>, u64)) -> Self {
        Self {
            instructions,
            flags,
            listener: None,
            unknown: Vec::new(),
        }
    }
}

/// The agent behind `listenerPath`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its AF_UNIX stream socket.
    pub path: String,
    /// Passed on to it.
    pub metadata: String,
}

/// Compiles a profile for the programs that a kernel of the `native` architecture can run.
///
/// # Errors
/// A word that is not of config-linux.md, an errno that does not fit or that its action does not take,
/// rules that contradict each other, a listener without its path, a filter beyond the kernel's limit.
pub fn compile(profile: &Seccomp, native: Arch) -> Result<Filter> {
    let default = verdict(profile.default_action, profile.default_errno_ret)
        .map_err(|text| Failure::config(Field::new("linux.seccomp.defaultErrnoRet"), text))?;
    let rules = read_rules(profile, default)?;
    let archs = architectures(profile, native)?;
    let listener = listener(profile)?;
    let flags = flags(profile, listener.as_ref())?;

    let (names, unknown) = resolve(profile);
    let mut families: Vec<Family> = Vec::with_capacity(2);
    for family in archs.chunk_by(|a, b| a.audit() == b.audit()) {
        let newest =
            |arch| newest(&names, arch).filter(|_| hides_new_calls(profile.default_action));
        let members: Vec<Member> = family
            .iter()
            .map(|&arch| Member {
                arch,
                newest: newest(arch),
            })
            .collect();
        let mut runs = Runs::new(&members, default);
        for arch in family {
            decide_all(&names, &rules, *arch, &mut runs)?;
        }
        families.push(runs.finish(family[0].audit()));
    }
    let instructions = layout::program(&families, default);
    if instructions.len() > LONGEST {
        let text = format!(
            "the filter has {} instructions, the kernel takes {LONGEST}",
            instructions.len()
        );
        return Err(Failure::config(Field::new("linux.seccomp.syscalls"), text));
    }
    Ok(Filter {
        instructions,
        flags,
        listener,
        unknown,
    })
}

/// A rule as compilation needs it.
struct Rule {
    verdict: u32,
    /// Each a set of conditions that must all hold; one of the sets must.
    alternatives: Vec<Vec<Test>>,
    /// It says what happens anyway.
    idle: bool,
}

impl Rule {
    /// Whether it has no conditions.
    fn is_plain(&self) -> bool {
        matches!(&self.alternatives[..], [only] if only.is_empty())
    }
}

fn read_rules(profile: &Seccomp, default: u32) -> Result<Vec<Rule>> {
    let read = |(index, rule): (usize, &SeccompRule)| {
        let field = |leaf| Field::index("linux.seccomp.syscalls", index).leaf(leaf);
        let verdict = verdict(rule.action, rule.errno_ret)
            .map_err(|text| Failure::config(field("errnoRet"), text))?;
        if rule.args.iter().any(|arg| arg.index > 5) {
            return Err(Failure::config(
                field("args"),
                "a system call has arguments 0 to 5",
            ));
        }
        // The runtime itself writes after the filter is loaded, before the agent can answer.
        if rule.action == Action::Notify && rule.names.contains("write") {
            return Err(Failure::config(
                field("action"),
                "SCMP_ACT_NOTIFY cannot be used for the write syscall",
            ));
        }
        Ok(Rule {
            verdict,
            alternatives: alternatives(rule),
            idle: verdict == default,
        })
    };
    profile.syscalls.iter().enumerate().map(read).collect()
}

/// Conditions on distinct arguments must all hold; as soon as two are on one argument, every condition
/// of the rule is an alternative of its own (config-linux.md leaves it open, runc and crun agree).
fn alternatives(rule: &SeccompRule) -> Vec<Vec<Test>> {
    let mut tests: Vec<Test> = rule.args.iter().map(Test::new).collect();
    let shared = |test: &Test| {
        tests
            .iter()
            .filter(|other| other.argument == test.argument)
            .count()
            > 1
    };
    if tests.iter().any(shared) {
        return tests.into_iter().map(|test| vec![test]).collect();
    }
    tests.sort_by_key(|test| test.argument);
    vec![tests]
}

/// The SECCOMP_RET_* value of an action.
fn verdict(action: Action, errno: Option<u32>) -> std::result::Result<u32, String> {
    let takes_errno = matches!(action, Action::Errno | Action::Trace);
    if errno.is_some() && !takes_errno {
        return Err(format!("{} takes no errno", words::action_name(action)));
    }
    let data = match errno {
        Some(errno) => {
            u16::try_from(errno).map_err(|_| format!("{errno} does not fit into 16 bits"))?
        }
        None => 1, // EPERM
    };
    Ok(words::return_value(action) | if takes_errno { u32::from(data) } else { 0 })
}

/// The tables that this kernel serves among those that the profile names. Its own is always among them.
fn architectures(profile: &Seccomp, native: Arch) -> Result<Vec<Arch>> {
    let mut asked = vec![native];
    for (index, name) in profile.architectures.iter().enumerate() {
        let row = ARCHITECTURES
            .binary_search_by(|(known, _)| (*known).cmp(name))
            .map_err(|_| {
                let field = Field::index("linux.seccomp.architectures", index);
                Failure::config(field, format!("unknown architecture {name:?}"))
            })?;
        asked.extend(ARCHITECTURES[row].1);
    }
    Ok(native
        .served()
        .iter()
        .copied()
        .filter(|arch| asked.contains(arch))
        .collect())
}

/// A call that a rule names.
struct Name {
    rule: u32,
    call: Call,
}

/// The names that some architecture knows, in the order of the profile, and the others.
fn resolve(profile: &Seccomp) -> (Vec<Name>, Vec<String>) {
    let (mut known, mut unknown) = (Vec::with_capacity(512), Vec::new());
    for (rule, asked) in (0_u32..).zip(&profile.syscalls) {
        for name in asked.names.iter() {
            match tables::call(name) {
                Some(call) => known.push(Name { rule, call }),
                None => unknown.push(name.to_owned()),
            }
        }
    }
    (known, unknown)
}

/// A rule for a number of one table.
#[derive(Clone, Copy)]
struct Entry {
    number: u32,
    rule: u32,
    /// i386 reaches the call through socketcall or ipc.
    subcall: Option<NonZeroU32>,
}

/// Below this number tables are dense, x32's bit aside. Above it are some five calls of 32-bit ARM.
const DENSE: usize = 600;

/// Of a number whose entries stand apart.
const APART: u16 = u16::MAX;

/// What the numbers of one table meet.
struct Table {
    base: u32,
    /// By number: one more than the rule, nought where there is none. Most numbers have one rule, and nothing else.
    single: [u16; DENSE],
    /// Of the other numbers, as they come.
    apart: Vec<Entry>,
}

impl Table {
    fn of(names: &[Name], rules: &[Rule], arch: Arch) -> Self {
        let mut table = Self {
            base: if arch == Arch::X32 { X32_BIT } else { 0 },
            single: [0; DENSE],
            apart: Vec::with_capacity(64),
        };
        for name in names.iter().filter(|name| !rules[name.rule as usize].idle) {
            if arch == Arch::X86
                && let Some(known) = name.call.multiplexed()
            {
                table.add(known.through, name.rule, NonZeroU32::new(known.subcall));
            }
            if let Some(number) = name.call.numbers().on(arch) {
                table.add(number, name.rule, None);
            }
        }
        table
    }

    fn add(&mut self, number: u32, rule: u32, subcall: Option<NonZeroU32>) {
        let place = usize::try_from(number - self.base).unwrap_or(DENSE);
        if let Some(single) = self.single.get_mut(place) {
            let alone = u16::try_from(rule + 1).unwrap_or(APART);
            match (*single, subcall) {
                (0, None) if alone != APART => {
                    *single = alone;
                    return;
                }
                (0 | APART, _) => {}
                (first, _) => self.apart.push(Entry {
                    number,
                    rule: u32::from(first - 1),
                    subcall: None,
                }),
            }
            *single = APART;
        }
        self.apart.push(Entry {
            number,
            rule,
            subcall,
        });
    }
}

/// What one table's calls meet, by ascending number.
fn decide_all(names: &[Name], rules: &[Rule], arch: Arch, runs: &mut Runs) -> Result<()> {
    let mut table = Table::of(names, rules, arch);
    // Those of one number stay as they stand.
    table.apart.sort_by_key(|entry| entry.number);
    let mut apart = table.apart.chunk_by(|a, b| a.number == b.number);
    for (number, single) in (table.base..).zip(&table.single) {
        let Some(rule) = single.checked_sub(1) else {
            continue;
        };
        if *single == APART {
            if let Some(group) = apart.next() {
                runs.call(number, decide(rules, group, arch)?);
            }
            continue;
        }
        match &rules[usize::from(rule)] {
            plain if plain.is_plain() => runs.returns(number, plain.verdict),
            _ => {
                let (rule, subcall) = (u32::from(rule), None);
                let entry = Entry {
                    number,
                    rule,
                    subcall,
                };
                runs.call(number, decide(rules, &[entry], arch)?);
            }
        }
    }
    for group in apart {
        runs.call(group[0].number, decide(rules, group, arch)?);
    }
    Ok(())
}

fn decide(rules: &[Rule], entries: &[Entry], arch: Arch) -> Result<Decision> {
    // Nearly always there is one rule, without conditions; then nothing needs to be put in order.
    let first = &rules[entries[0].rule as usize];
    if entries[0].subcall.is_none() && first.is_plain() {
        return Ok(Decision::Return(first.verdict));
    }
    let mut chains = Vec::new();
    for entry in entries {
        let rule = &rules[entry.rule as usize];
        for tests in &rule.alternatives {
            let chain = Chain::new(
                tests,
                rule.verdict,
                arch.width(),
                entry.subcall.map(NonZeroU32::get),
            );
            rules::add(&mut chains, chain, arch.width()).map_err(|_| {
                let field = Field::index("linux.seccomp.syscalls", entry.rule as usize);
                Failure::config(
                    field,
                    "contradicts an earlier rule for the same system call",
                )
            })?;
        }
    }
    Ok(match &chains[..] {
        [only] if only.tests.is_empty() => Decision::Return(only.verdict),
        _ => Decision::Ask(Box::new((chains, arch.width()))),
    })
}

/// Whether calls newer than the profile must look as if the kernel did not have them.
///
/// A C library tries the new call first and falls back on ENOSYS, not on EPERM; runc answers so since
/// 1.0.0-rc93 (#2750) and images depend on it. An action that lets calls through needs no such answer.
fn hides_new_calls(default: Action) -> bool {
    !matches!(default, Action::Allow | Action::Log | Action::Trace)
}

/// The greatest number that the profile names, which stands for the newest call that its author knew.
/// Calls that i386 multiplexes do not count, as their direct numbers came long after them.
fn newest(names: &[Name], arch: Arch) -> Option<u32> {
    let direct = |name: &&Name| arch != Arch::X86 || name.call.multiplexed().is_none();
    let numbers = names
        .iter()
        .filter(direct)
        .filter_map(|name| name.call.numbers().on(arch));
    numbers.max().filter(|number| *number > 0)
}

/// The agent, if any rule asks for it.
fn listener(profile: &Seccomp) -> Result<Option<Listener>> {
    let field = |leaf| Field::new("linux.seccomp").leaf(leaf);
    if profile.default_action == Action::Notify {
        let text = "SCMP_ACT_NOTIFY cannot be used as default action";
        return Err(Failure::config(field("defaultAction"), text));
    }
    if profile.listener_path.is_empty() && !profile.listener_metadata.is_empty() {
        return Err(Failure::config(
            field("listenerMetadata"),
            "must not be set without listenerPath",
        ));
    }
    if !profile
        .syscalls
        .iter()
        .any(|rule| rule.action == Action::Notify)
    {
        return Ok(None);
    }
    if profile.listener_path.is_empty() {
        return Err(Failure::config(
            field("listenerPath"),
            "must be set for SCMP_ACT_NOTIFY",
        ));
    }
    Ok(Some(Listener {
        path: profile.listener_path.clone(),
        metadata: profile.listener_metadata.clone(),
    }))
}

/// The flags of the load. No list at all is not an empty one: it means SPEC_ALLOW, as in runc and crun.
fn flags(profile: &Seccomp, listener: Option<&Listener>) -> Result<u64> {
    let mut flags = if listener.is_some() {
        words::NEW_LISTENER
    } else {
        0
    };
    let Some(names) = &profile.flags else {
        return Ok(flags | words::SPEC_ALLOW);
    };
    for (index, name) in names.iter().enumerate() {
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else {
            let field = Field::index("linux.seccomp.flags", index);
            return Err(Failure::config(field, format!("unknown flag {name:?}")));
        };
        if !flag.listener_only || listener.is_some() {
            flags |= flag.bit;
        }
    }
    Ok(flags)
}
