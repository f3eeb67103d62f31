//! What a profile says, rule by rule: slow, plain, and without an order of its own.

use corten::config::{
    Seccomp, SeccompAction as Action, SeccompArg, SeccompOperator as Operator, SeccompRule,
};
use corten::seccomp::Arch;
use corten::seccomp::interpret::Call;
use corten::seccomp::tables::{Width, multiplexed, numbers};

/// A profile, spelt out per system call table.
pub struct Meaning {
    native: Arch,
    default: u32,
    tables: Vec<Table>,
}

struct Table {
    arch: Arch,
    newest: Option<u32>,
    rules: Vec<(u32, Vec<SeccompArg>, u32)>,
}

impl Meaning {
    /// Spells a profile out.
    pub fn new(profile: &Seccomp, native: Arch) -> Self {
        let named = |arch: &Arch| {
            profile
                .architectures
                .contains(&format!("SCMP_ARCH_{arch:?}").to_uppercase())
        };
        let archs = native
            .served()
            .iter()
            .filter(|arch| **arch == native || named(arch));
        let default = verdict(profile.default_action, profile.default_errno_ret);
        Self {
            native,
            default,
            tables: archs
                .map(|arch| Table::new(profile, *arch, default))
                .collect(),
        }
    }

    /// The verdicts of the rules that match a call. One unless rules contradict each other there.
    pub fn verdicts(&self, call: &Call) -> Vec<u32> {
        let x86_64 = self.native == Arch::X86_64 && call.audit == self.native.audit();
        let is_x32 = x86_64 && call.number & 0x4000_0000 != 0;
        let own = |table: &&Table| {
            table.arch.audit() == call.audit && (table.arch == Arch::X32) == is_x32
        };
        let Some(table) = self.tables.iter().find(own) else {
            // -1 is how a tracer skips a call; it belongs to no table.
            return vec![if x86_64 && call.number == u32::MAX {
                self.default
            } else {
                0
            }];
        };
        if table.newest.is_some_and(|newest| call.number > newest) {
            return vec![0x0005_0000 | 38];
        }
        let serves_x32 = self.tables.iter().any(|table| table.arch == Arch::X32);
        if x86_64 && call.number > 0x4000_0000 && !serves_x32 {
            return vec![0];
        }
        table.verdicts(call, self.default)
    }
}

impl Table {
    fn new(profile: &Seccomp, arch: Arch, default: u32) -> Self {
        let permissive = matches!(
            profile.default_action,
            Action::Allow | Action::Log | Action::Trace
        );
        let names = profile.syscalls.iter().flat_map(|rule| rule.names.iter());
        let direct = names.filter(|name| arch != Arch::X86 || multiplexed(name).is_none());
        let newest = direct.filter_map(|name| numbers(name)?.on(arch)).max();
        let mut table = Self {
            arch,
            newest: newest.filter(|newest| *newest > 0 && !permissive),
            rules: Vec::new(),
        };
        for rule in &profile.syscalls {
            let verdict = verdict(rule.action, rule.errno_ret);
            for name in rule.names.iter().filter(|_| verdict != default) {
                table.add(rule, name, verdict);
            }
        }
        table
    }

    fn add(&mut self, rule: &SeccompRule, name: &str, verdict: u32) {
        let (arch, direct) = (
            self.arch,
            numbers(name).and_then(|numbers| numbers.on(self.arch)),
        );
        for set in sets(rule) {
            if let Some(number) = direct {
                self.rules.push((number, set.clone(), verdict));
            }
            if let Some(known) = multiplexed(name).filter(|_| arch == Arch::X86) {
                let select = SeccompArg {
                    index: 0,
                    value: known.subcall.into(),
                    value_two: 0,
                    op: Operator::Eq,
                };
                let rest = set.iter().filter(|arg| arg.index != 0);
                self.rules.push((
                    known.through,
                    rest.chain([&select]).cloned().collect(),
                    verdict,
                ));
            }
        }
    }

    fn verdicts(&self, call: &Call, default: u32) -> Vec<u32> {
        let of_call = || self.rules.iter().filter(|rule| rule.0 == call.number);
        let width = self.arch.width();
        // The first rule without conditions decides alone.
        if let Some(always) = of_call().find(|rule| rule.1.iter().all(|arg| is_idle(arg, width))) {
            return vec![always.2];
        }
        let matching = of_call().filter(|rule| rule.1.iter().all(|arg| holds(arg, width, call)));
        let mut verdicts: Vec<u32> = matching.map(|rule| rule.2).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        if verdicts.is_empty() {
            vec![default]
        } else {
            verdicts
        }
    }
}

fn sets(rule: &SeccompRule) -> Vec<Vec<SeccompArg>> {
    let twice = |one: &SeccompArg| {
        rule.args
            .iter()
            .filter(|other| other.index == one.index)
            .count()
            > 1
    };
    if rule.args.iter().any(twice) {
        return rule.args.iter().map(|arg| vec![arg.clone()]).collect();
    }
    vec![rule.args.clone()]
}

fn is_idle(arg: &SeccompArg, width: Width) -> bool {
    arg.op == Operator::MaskedEq && register(arg.value, width) == 0
}

fn holds(arg: &SeccompArg, width: Width, call: &Call) -> bool {
    let index = usize::try_from(arg.index).unwrap();
    let (left, right) = (
        register(call.arguments[index], width),
        register(arg.value, width),
    );
    match arg.op {
        Operator::Ne => left != right,
        Operator::Lt => left < right,
        Operator::Le => left <= right,
        Operator::Eq => left == right,
        Operator::Ge => left >= right,
        Operator::Gt => left > right,
        Operator::MaskedEq => left & right == arg.value_two & right,
    }
}

fn register(value: u64, width: Width) -> u64 {
    if width == Width::Word {
        value & 0xffff_ffff
    } else {
        value
    }
}

/// SECCOMP_RET_* of an action.
pub fn verdict(action: Action, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1);
    match action {
        Action::Kill | Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno => 0x0005_0000 | data,
        Action::Trace => 0x7ff0_0000 | data,
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
        Action::Notify => 0x7fc0_0000,
    }
}
