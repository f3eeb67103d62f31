//! Random profiles, and the calls that tell two filters apart.

use corten::config::{
    Seccomp, SeccompAction as Action, SeccompArg, SeccompOperator as Operator, SeccompRule,
};
use corten::seccomp::Arch;
use corten::seccomp::interpret::Call;
use corten::seccomp::tables::numbers;

use super::library::Library;

/// xorshift64*: random enough to find bugs, the same on every run.
pub struct Dice(u64);

impl Dice {
    /// A die whose throws depend on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// True once in so many throws.
    pub fn one_in(&mut self, sides: u64) -> bool {
        self.throw().is_multiple_of(sides)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = self.throw() >> 11;
        from[usize::try_from(index).unwrap() % from.len()].clone()
    }
}

/// Names that the library knows; those that are special to i386 and those that meet often come first.
pub fn names(library: &Library) -> Vec<String> {
    let special = "socket accept accept4 sendto semop semget shmctl msgrcv socketcall ipc clone personality ioctl";
    let known = |name: &&str| library.knows(name);
    special
        .split(' ')
        .chain(all_names())
        .filter(known)
        .map(str::to_owned)
        .collect()
}

/// The name of every call.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    include_str!("names.txt").split_whitespace()
}

const VALUES: &[u64] = &[
    0,
    1,
    2,
    5,
    7,
    40,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    (1 << 32) + 5,
    (1 << 32) + 7,
    0x7e02_0000,
    0xffff_ffff_0000_0000,
    u64::MAX,
];

const OPERATORS: &[Operator] = &[
    Operator::Ne,
    Operator::Lt,
    Operator::Le,
    Operator::Eq,
    Operator::Ge,
    Operator::Gt,
    Operator::MaskedEq,
];

/// A profile of a few rules.
pub fn random(names: &[String], native: Arch, dice: &mut Dice) -> Seccomp {
    let actions = [
        Action::Errno,
        Action::Errno,
        Action::Kill,
        Action::KillProcess,
        Action::Trap,
        Action::Allow,
        Action::Log,
    ];
    let default_action = dice.pick(&actions);
    let architectures = native
        .served()
        .iter()
        .filter(|_| !dice.one_in(3))
        .map(|arch| format!("SCMP_ARCH_{arch:?}").to_uppercase());
    let architectures = architectures.collect();
    let count = 1 + dice.throw() % 12;
    let main = dice.pick(&[
        Action::Allow,
        Action::Allow,
        Action::Errno,
        Action::Notify,
        Action::Trace,
    ]);
    let syscalls = (0..count).map(|_| rule(names, main, dice)).collect();
    let default_errno_ret =
        (default_action == Action::Errno && dice.one_in(2)).then(|| dice.pick(&[1, 38, 95]));
    Seccomp {
        default_action,
        default_errno_ret,
        architectures,
        flags: None,
        listener_path: "/agent".to_owned(),
        listener_metadata: String::new(),
        syscalls,
    }
}

fn rule(names: &[String], main: Action, dice: &mut Dice) -> SeccompRule {
    let action = if dice.one_in(5) {
        dice.pick(&[Action::Errno, Action::Allow, Action::Trap])
    } else {
        main
    };
    let count = 1 + dice.throw() % 4;
    // Half of the names come from the special ones, so that rules meet.
    let mut name = || {
        if dice.one_in(2) {
            dice.pick(&names[..13])
        } else {
            dice.pick(names)
        }
    };
    let names: Vec<String> = (0..count).map(|_| name()).collect();
    let names = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "write")
        .collect();
    let errno_ret = (action == Action::Errno && dice.one_in(2)).then(|| dice.pick(&[13, 38, 22]));
    let count = if dice.one_in(3) {
        0
    } else {
        1 + dice.throw() % 2
    };
    let args = (0..count).map(|_| argument(dice)).collect();
    SeccompRule {
        names,
        action,
        errno_ret,
        args,
    }
}

fn argument(dice: &mut Dice) -> SeccompArg {
    SeccompArg {
        index: dice.pick(&[0, 0, 1, 2, 5]),
        value: dice.pick(VALUES),
        value_two: dice.pick(VALUES),
        op: dice.pick(OPERATORS),
    }
}

/// Whether two rules of one call compare an argument with ranges that libseccomp mixes up. It shares the
/// comparison of the high halves, and with it loses one rule or applies its further condition to the
/// other's range; it asks a range where it asks its complement, `== 7` where it asks `!= 7`; of two "not equal" with different
/// actions one wins if the high halves differ, the other if they do not.
pub fn mixes_ranges(profile: &Seccomp) -> bool {
    let rules = || profile.syscalls.iter().enumerate();
    let meet = |a: &SeccompRule, b: &SeccompRule| a.names.iter().any(|name| b.names.contains(name));
    rules().any(|(i, a)| rules().any(|(j, b)| i < j && meet(a, b) && mix(a, b)))
}

fn mix(a: &SeccompRule, b: &SeccompRule) -> bool {
    let longer = a.args.len().max(b.args.len()) > 1;
    let differ = (a.action, a.errno_ret) != (b.action, b.errno_ret);
    let mix = |one: &SeccompArg, two: &SeccompArg| match (one.op, two.op) {
        (Operator::Ne, Operator::Ne) => differ,
        (Operator::Eq, Operator::Ne) | (Operator::Ne, Operator::Eq) => longer,
        // Up to 2.5.4 the wider range wins below the narrower one's high half.
        (Operator::Lt | Operator::Le, Operator::Lt | Operator::Le) => longer || differ,
        (Operator::Ge | Operator::Gt, Operator::Ge | Operator::Gt) => longer,
        (Operator::Lt | Operator::Le, Operator::Ge | Operator::Gt) => longer || differ,
        (Operator::Ge | Operator::Gt, Operator::Lt | Operator::Le) => longer || differ,
        _ => false,
    };
    let against = |one: &SeccompArg| {
        b.args
            .iter()
            .any(|two| one.index == two.index && mix(one, two))
    };
    a.args.iter().any(against)
}

/// Every number once, the ruled ones often, with arguments around the values that rules compare with.
pub fn calls(profile: &Seccomp, native: Arch, dice: &mut Dice) -> Vec<Call> {
    let constants = profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.args)
        .flat_map(|arg| [arg.value, arg.value_two]);
    let around = |value: u64| {
        [
            value,
            value.wrapping_add(1),
            value.wrapping_sub(1),
            value ^ (1 << 32),
            value & 0xffff_ffff,
        ]
    };
    let mut values: Vec<u64> = constants.flat_map(around).collect();
    values.extend([0, 1, 20, 21, u64::MAX]);
    let mut call = |audit, number| {
        let arguments = [0; 6].map(|_| dice.pick(&values));
        Call {
            number,
            audit,
            instruction_pointer: 0,
            arguments,
        }
    };
    let mut calls = Vec::new();
    for arch in native.served() {
        for number in (0..600).chain([
            0x3fff_ffff,
            0x7fff_ffff,
            0x8000_0000,
            0xbfff_ffff,
            0xc000_0000,
            0xffff_fffe,
            0xffff_ffff,
        ]) {
            calls.push(call(arch.audit(), number));
            calls.push(call(arch.audit(), number | 0x4000_0000));
        }
    }
    let names = profile
        .syscalls
        .iter()
        .flat_map(|rule| rule.names.iter())
        .filter_map(numbers);
    let on = |arch: &Arch| {
        names
            .clone()
            .filter_map(|numbers| Some((arch.audit(), numbers.on(*arch)?)))
            .collect::<Vec<_>>()
    };
    let ruled = native.served().iter().flat_map(on);
    for (audit, number) in ruled.chain([(0x4000_0003, 102), (0x4000_0003, 117)]) {
        calls.extend((0..100).map(|_| call(audit, number)));
        let subcalls = (0..26).map(|subcall| Call {
            arguments: [subcall; 6],
            ..call(audit, number)
        });
        calls.extend(subcalls);
    }
    calls.push(call(0xc000_003d, 0));
    calls
}
