//! From decisions to a program: runs of numbers with one decision, in a balanced tree.
//!
//! Most neighbours share a decision (Docker's profile: 471 calls, 95 runs on x86-64), so the tree asks
//! "at least this number?" some seven times, where a list asks hundreds of times. When a filter is
//! installed the kernel evaluates it once for every number to learn which calls it always allows; that
//! is why a list of rules costs a millisecond to load and a tree a tenth of it. That evaluation knows
//! only loads, masks, comparisons and jumps (kernel/seccomp.c, seccomp_is_const_allow), which is why
//! there is nothing else here: a bitmap would be shorter to write and slower for ever after.

use seccompiler::sock_filter;

use crate::config::SeccompOperator as Operator;

use super::assemble::{ANY_BIT, AT_LEAST, EQUAL, GREATER, Program, Question, Target};
use super::rules::{Chain, Test};
use super::tables::{Arch, Width, X32_BIT};

/// Offset of `nr` in struct seccomp_data (linux/seccomp.h).
const NUMBER: u32 = 0;
/// Offset of `arch`.
const ARCHITECTURE: u32 = 4;
/// Offset of `args`, eight bytes each, low half first on both of our architectures.
const ARGUMENTS: u32 = 16;

const KILL: u32 = libc::SECCOMP_RET_KILL_THREAD;
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | 38;

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Always this.
    Return(u32),
    /// The first chain that matches decides, else the default. Few calls have one.
    Ask(Box<(Vec<Chain>, Width)>),
}

/// The runs of the tables that share an AUDIT_ARCH: one, or x86-64 and x32.
#[derive(Debug)]
pub struct Family {
    audit: u32,
    spans: Vec<Span>,
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Which.
    pub arch: Arch,
    /// Calls beyond this number do not exist, as far as the container is concerned.
    pub newest: Option<u32>,
}

/// Numbers from `first` to the next span's share a decision.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    first: u32,
    decision: Decision,
}

/// What numbers from `first` to the next region's meet unless a rule says otherwise.
#[derive(Debug)]
struct Region {
    first: u32,
    verdict: u32,
    /// Beyond the newest call there is nothing, not even a rule: i386's direct socket calls.
    void: bool,
}

impl Region {
    const fn ruled(first: u32, verdict: u32) -> Self {
        Self {
            first,
            verdict,
            void: false,
        }
    }
}

/// The whole program. Calls of other architectures than those of the families are killed.
pub fn program(families: &[Family], default: u32) -> Vec<sock_filter> {
    let mut emit = Emit {
        program: Program::new(),
        default,
    };
    let mut blocks = Vec::with_capacity(2);
    // Written backwards: the first family's block comes last, next to the question that leads to it.
    for family in families.iter().rev() {
        let tree = emit.tree(&family.spans);
        blocks.push((family.audit, emit.program.load(NUMBER, tree)));
    }
    let mut program = emit.program;
    let mut otherwise = Target::Return(KILL);
    for (audit, block) in blocks {
        otherwise = program.ask(
            Question {
                code: EQUAL,
                value: audit,
            },
            None,
            block,
            otherwise,
        );
    }
    let first = program.load(ARCHITECTURE, otherwise);
    program.finish(first)
}

/// The runs of numbers of a family in the making, from 0 to the greatest, no two neighbours alike.
#[derive(Debug)]
pub struct Runs {
    spans: Vec<Span>,
    /// The last is the current one's successor: they stand backwards.
    ahead: Vec<Region>,
    current: Region,
    /// Behind the last call, where the region goes on unless another call stands there.
    open: Option<u32>,
}

impl Runs {
    /// Those of tables without any rules, the native one first.
    pub fn new(members: &[Member], default: u32) -> Self {
        let mut ahead = regions(members, default);
        ahead.reverse();
        let mut runs = Self {
            spans: Vec::with_capacity(256),
            ahead,
            current: Region::ruled(0, default),
            open: None,
        };
        runs.extend(0, Decision::Return(default));
        runs
    }

    /// What a call meets that differs from the default. Its number is greater than that of the call before.
    pub fn call(&mut self, number: u32, decision: Decision) {
        while let Some(next) = self.ahead.pop_if(|next| next.first <= number) {
            self.enter(next);
        }
        if self.current.void {
            return;
        }
        if self.open != Some(number) {
            self.go_on();
        }
        self.extend(number, decision);
        self.open = number.checked_add(1);
    }

    fn go_on(&mut self) {
        if let Some(first) = self.open.take() {
            self.extend(first, Decision::Return(self.current.verdict));
        }
    }

    /// All of them.
    pub fn finish(mut self, audit: u32) -> Family {
        while let Some(next) = self.ahead.pop() {
            self.enter(next);
        }
        self.go_on();
        Family {
            audit,
            spans: self.spans,
        }
    }

    fn enter(&mut self, region: Region) {
        self.go_on();
        self.extend(region.first, Decision::Return(region.verdict));
        self.current = region;
    }

    /// Continues the runs with a decision from a number on, in place of what was said of it before.
    fn extend(&mut self, first: u32, decision: Decision) {
        self.spans.pop_if(|last| last.first == first);
        if self
            .spans
            .last()
            .is_none_or(|last| last.decision != decision)
        {
            self.spans.push(Span { first, decision });
        }
    }
}

/// The regions behind the first.
fn regions(members: &[Member], default: u32) -> Vec<Region> {
    let ruled = Region::ruled;
    let void = |first| Region {
        first,
        verdict: NO_SUCH_CALL,
        void: true,
    };
    let beyond = |member: &Member| member.newest.map(|newest| void(newest + 1));
    let mut regions = Vec::with_capacity(5);
    let Some(native) = members.first() else {
        return regions;
    };
    regions.extend(beyond(native));
    if native.arch != Arch::X86_64 {
        return regions;
    }
    let above = |first, newest: Option<u32>, verdict| {
        if newest.is_some() {
            void(first)
        } else {
            ruled(first, verdict)
        }
    };
    match members.get(1) {
        Some(x32) => {
            regions.push(ruled(X32_BIT, default));
            regions.extend(beyond(x32));
            regions.push(above(1 << 31, native.newest, default));
            regions.push(above(1 << 31 | X32_BIT, x32.newest, default));
        }
        None => {
            // Numbers with x32's bit belong to an architecture without rules. -1 does not: a tracer sets
            // it to skip a call, and the filter sees it (seccomp(2), SECCOMP_RET_TRACE).
            regions.push(ruled(X32_BIT, KILL));
            regions.push(above(1 << 31, native.newest, KILL));
            regions.push(ruled(1 << 31 | X32_BIT, KILL));
            regions.push(ruled(u32::MAX, default));
        }
    }
    regions
}

struct Emit {
    program: Program,
    default: u32,
}

impl Emit {
    /// A tree that finds the span of the number in A.
    fn tree(&mut self, spans: &[Span]) -> Target {
        if let [only] = spans {
            return self.decision(&only.decision);
        }
        let (low, high) = spans.split_at(spans.len() / 2);
        let at_least = Question {
            code: AT_LEAST,
            value: high[0].first,
        };
        let (high, low) = (self.tree(high), self.tree(low));
        self.program.ask(at_least, None, high, low)
    }

    fn decision(&mut self, decision: &Decision) -> Target {
        let (chains, width) = match decision {
            Decision::Return(verdict) => return Target::Return(*verdict),
            Decision::Ask(asked) => (&asked.0, asked.1),
        };
        let mut otherwise = Target::Return(self.default);
        for chain in chains.iter().rev() {
            let mut then = Target::Return(chain.verdict);
            for test in chain.tests.iter().rev() {
                then = self.test(test, width, then, otherwise);
            }
            otherwise = then;
        }
        otherwise
    }

    fn test(&mut self, test: &Test, width: Width, yes: Target, no: Target) -> Target {
        // What has no instruction of its own is the opposite of what has.
        let (yes, no) = match test.operator {
            Operator::Ne | Operator::Lt | Operator::Le => (no, yes),
            _ => (yes, no),
        };
        let code = match test.operator {
            Operator::Eq | Operator::Ne | Operator::MaskedEq => EQUAL,
            Operator::Gt | Operator::Le => GREATER,
            Operator::Ge | Operator::Lt => AT_LEAST,
        };
        let low = Half::low(test);
        if width == Width::Word {
            return self.half(low, code, yes, no);
        }
        let high = Half::high(test);
        if code == EQUAL {
            let then = self.half(low, EQUAL, yes, no);
            return self.half(high, EQUAL, then, no);
        }
        let then = self.half(low, code, yes, no);
        let equal = self.program.ask(
            Question {
                code: EQUAL,
                value: high.value,
            },
            Some(high.offset),
            then,
            no,
        );
        let greater = Question {
            code: GREATER,
            value: high.value,
        };
        let greater = self.program.ask(greater, Some(high.offset), yes, equal);
        self.program.load(high.offset, greater)
    }

    /// Compares one half of an argument.
    fn half(&mut self, half: Half, code: u16, yes: Target, no: Target) -> Target {
        let question = Question {
            code,
            value: half.value,
        };
        let asked = match (half.mask, half.value) {
            (0, _) => return yes,
            (u32::MAX, _) => self.program.ask(question, Some(half.offset), yes, no),
            (mask, 0) => self.program.ask(
                Question {
                    code: ANY_BIT,
                    value: mask,
                },
                Some(half.offset),
                no,
                yes,
            ),
            (mask, _) => {
                let asked = self.program.ask(question, None, yes, no);
                self.program.and(mask, asked)
            }
        };
        self.program.load(half.offset, asked)
    }
}

/// One half of a condition's argument.
#[derive(Clone, Copy)]
struct Half {
    offset: u32,
    mask: u32,
    value: u32,
}

impl Half {
    fn low(test: &Test) -> Self {
        let word = |double: u64| u32::try_from(double & 0xffff_ffff).expect("masked to 32 bits");
        Self {
            offset: ARGUMENTS + 8 * test.argument,
            mask: word(test.mask),
            value: word(test.value),
        }
    }

    fn high(test: &Test) -> Self {
        let word = |double: u64| u32::try_from(double >> 32).expect("32 bits are left");
        Self {
            offset: ARGUMENTS + 8 * test.argument + 4,
            mask: word(test.mask),
            value: word(test.value),
        }
    }
}
