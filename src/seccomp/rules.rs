//! The rules of one system call: chains of conditions, and which chain decides when several match.
//!
//! A profile says little about rules that overlap. libseccomp is the de facto answer, and its users
//! test against it, so its order is kept:
//!
//! * The first rule without conditions decides, whatever rules with conditions say.
//! * Conditions of one rule are asked by ascending argument. Among rules, those that begin with a
//!   higher argument come first; on the same argument equalities come before `<` and `<=`, these
//!   before `>` and `>=`; then the value decides: greater first, for `<` and `<=` smaller first, so
//!   that the narrower of two ranges wins.
//! * A rule that adds later conditions to those of an earlier rule is never asked. Of two rules that
//!   mean the same, the one with fewer conditions is enough. A rule that says otherwise than an earlier
//!   one with the same conditions and possibly more is a contradiction, and refused.
//!
//! Values on 32-bit architectures lose their high half, as the registers do. MASKED_EQ masks both
//! sides.

use std::cmp::Ordering;

use crate::config::{SeccompArg, SeccompOperator as Operator};

use super::tables::Width;

/// A condition on an argument, with operands fit for the architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// 0 to 5.
    pub argument: u32,
    /// How.
    pub operator: Operator,
    /// What is left of the argument before it is compared.
    pub mask: u64,
    /// What it is compared with, itself masked.
    pub value: u64,
}

impl Test {
    /// A condition as the profile has it.
    pub fn new(arg: &SeccompArg) -> Self {
        let (mask, value) = match arg.op {
            Operator::MaskedEq => (arg.value, arg.value_two & arg.value),
            _ => (u64::MAX, arg.value),
        };
        Self {
            argument: arg.index,
            operator: arg.op,
            mask,
            value,
        }
    }

    /// `argument 0 is value`: the subcall of socketcall and ipc.
    pub fn subcall(value: u32) -> Self {
        Self {
            argument: 0,
            operator: Operator::Eq,
            mask: u64::MAX,
            value: value.into(),
        }
    }

    fn narrow(self, width: Width) -> Self {
        match width {
            Width::Double => self,
            Width::Word => Self {
                mask: self.mask & LOW,
                value: self.value & LOW,
                ..self
            },
        }
    }

    /// Whether it holds for every argument.
    fn is_idle(self) -> bool {
        self.mask == 0
    }
}

const LOW: u64 = 0xffff_ffff;

/// Conditions that must all hold, by ascending argument, and the verdict if they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Empty: always.
    pub tests: Vec<Test>,
    /// SECCOMP_RET_* with its data.
    pub verdict: u32,
}

impl Chain {
    /// A rule made fit for an architecture: idle conditions are dropped, and with a subcall argument 0
    /// is what selects it, whatever the rule asked of argument 0 of the direct call.
    pub fn new(tests: &[Test], verdict: u32, width: Width, subcall: Option<u32>) -> Self {
        let select = subcall.map(Test::subcall);
        let kept = tests
            .iter()
            .filter(|test| select.is_none() || test.argument != 0);
        let narrowed = select
            .iter()
            .chain(kept)
            .map(|test| test.narrow(width))
            .filter(|test| !test.is_idle());
        Self {
            tests: narrowed.collect(),
            verdict,
        }
    }

    /// Whether it says the same as the other under fewer conditions.
    fn covers(&self, other: &Self) -> bool {
        self.verdict == other.verdict && self.tests.iter().all(|test| other.tests.contains(test))
    }
}

/// Two rules that mean different things in the same case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction;

/// Adds a rule to those of its call, which stand in the order in which they are asked.
///
/// # Errors
/// [`Contradiction`] if an earlier rule with other conditions or more of them says otherwise.
pub fn add(chains: &mut Vec<Chain>, new: Chain, width: Width) -> Result<(), Contradiction> {
    if chains.iter().any(|old| old.tests.is_empty()) {
        return Ok(());
    }
    if new.tests.is_empty() {
        chains.clear();
        chains.push(new);
        return Ok(());
    }
    if chains.iter().any(|old| old.covers(&new)) {
        return Ok(());
    }
    let is_longer = |old: &Chain| old.tests.starts_with(&new.tests);
    if chains
        .iter()
        .any(|old| old.verdict != new.verdict && is_longer(old))
    {
        return Err(Contradiction);
    }
    if chains.iter().any(|old| new.tests.starts_with(&old.tests)) {
        return Ok(());
    }
    chains.retain(|old| !new.covers(old));
    let place = chains
        .iter()
        .position(|old| order(&new.tests, &old.tests, width) == Ordering::Less);
    chains.insert(place.unwrap_or(chains.len()), new);
    Ok(())
}

/// Less: `a` is asked before `b`. Equal: whichever was added first.
fn order(a: &[Test], b: &[Test], width: Width) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let by_kind = b
            .argument
            .cmp(&a.argument)
            .then(rank(b.operator).cmp(&rank(a.operator)));
        if by_kind.is_ne() {
            return by_kind;
        }
        let halves: &[u32] = if width == Width::Double {
            &[32, 0]
        } else {
            &[0]
        };
        for shift in halves {
            let by_value = by_value(a, b, *shift);
            if by_value.is_ne() || !same_question(a, b, *shift) {
                return by_value;
            }
        }
    }
    Ordering::Equal
}

fn rank(operator: Operator) -> u8 {
    match operator {
        Operator::Eq | Operator::Ne | Operator::MaskedEq => 3,
        Operator::Lt | Operator::Le => 2,
        Operator::Ge | Operator::Gt => 1,
    }
}

fn by_value(a: &Test, b: &Test, shift: u32) -> Ordering {
    let half = |test: &Test| (test.value >> shift) & LOW;
    match a.operator {
        Operator::Lt | Operator::Le => half(a).cmp(&half(b)),
        _ => half(b).cmp(&half(a)),
    }
}

/// Whether two conditions, equal in value so far, go on together to what comes after this half.
fn same_question(a: &Test, b: &Test, shift: u32) -> bool {
    let kind = |test: &Test| match test.operator {
        Operator::Eq | Operator::Ne => 0,
        Operator::MaskedEq => 1,
        // The high half of all four asks first whether it is greater.
        _ if shift == 32 => 2,
        Operator::Gt | Operator::Le => 2,
        Operator::Ge | Operator::Lt => 3,
    };
    kind(a) == kind(b) && (a.mask >> shift) & LOW == (b.mask >> shift) & LOW
}
