//! From decisions to a program: runs of numbers with one decision, in a balanced tree.
//!
//! Most neighbours share a decision (Docker's profile: 471 calls, 95 runs on x86-64), so the tree asks
//! "at least this number?" some six times, where a list asks hundreds of times. A single call that differs from the calls on both
//! its sides costs one question, "this number?", and not two. What x32 has in common with x86-64, which is most of it, it does
//! not have twice: without their bit, its numbers go down x86-64's tree. When a filter is
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
        let tree = emit.family(&family.spans);
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

    /// The same with a verdict, which mostly is that of the call before.
    pub fn returns(&mut self, number: u32, verdict: u32) {
        let is_ahead = |next: &Region| number < next.first;
        let is_alike =
            |last: &Span| matches!(last.decision, Decision::Return(known) if known == verdict);
        if self.open == Some(number)
            && self.ahead.last().is_none_or(is_ahead)
            && self.spans.last().is_some_and(is_alike)
        {
            self.open = number.checked_add(1);
        } else {
            self.call(number, Decision::Return(verdict));
        }
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

/// How many runs of x32 are worth three more instructions.
const WORTH_SHARING: usize = 8;

/// What a number is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf<'a> {
    Decided(&'a Decision),
    /// Another tree knows.
    Elsewhere(Target),
}

/// Numbers from `first` to the next piece's are the same.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    first: u32,
    leaf: Leaf<'a>,
}

impl<'a> Piece<'a> {
    fn of(span: &'a Span) -> Self {
        Self {
            first: span.first,
            leaf: Leaf::Decided(&span.decision),
        }
    }
}

/// A piece, and single numbers in it that are something else.
struct Node<'a> {
    piece: Piece<'a>,
    exceptions: [Option<(u32, Leaf<'a>)>; 3],
}

fn nodes<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> Vec<Node<'a>> {
    let mut nodes: Vec<Node<'_>> = Vec::with_capacity(96);
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let goes_on = |last: &Node<'_>, next: &Piece<'_>| {
            next.leaf == last.piece.leaf && piece.first.checked_add(1) == Some(next.first)
        };
        if let Some(last) = nodes.last_mut()
            && let Some(free) = last.exceptions.iter().position(Option::is_none)
            && pieces.next_if(|next| goes_on(last, next)).is_some()
        {
            last.exceptions[free] = Some((piece.first, piece.leaf));
        } else {
            nodes.push(Node {
                piece,
                exceptions: [None; 3],
            });
        }
    }
    nodes
}

/// The spans below x32's bit, those with it, and those of numbers that are negative. A span may be in two of them.
fn thirds(spans: &[Span]) -> (&[Span], &[Span], &[Span]) {
    let before = |number| spans.partition_point(|span| span.first < number);
    let with = |number| spans.partition_point(|span| span.first <= number) - 1;
    (
        &spans[..before(X32_BIT)],
        &spans[with(X32_BIT)..before(1 << 31)],
        &spans[with(1 << 31)..],
    )
}

/// x32's calls by their numbers without the bit: what differs from x86-64's, and where `shared` knows.
fn differences<'a>(native: &'a [Span], x32: &'a [Span], shared: Target) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(96);
    let (mut native, mut x32) = (native, x32);
    let mut first = 0;
    loop {
        let (own, other) = (&x32[0].decision, &native[0].decision);
        let leaf = if own == other {
            Leaf::Elsewhere(shared)
        } else {
            Leaf::Decided(own)
        };
        if pieces.last().is_none_or(|last| last.leaf != leaf) {
            pieces.push(Piece { first, leaf });
        }
        let next = |spans: &[Span]| spans.get(1).map(|span| span.first & !X32_BIT);
        first = match (next(native), next(x32)) {
            (None, None) => return pieces,
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(other)) => one.min(other),
        };
        if next(native) == Some(first) {
            native = &native[1..];
        }
        if next(x32) == Some(first) {
            x32 = &x32[1..];
        }
    }
}

struct Emit {
    program: Program,
    default: u32,
}

impl Emit {
    /// A tree that finds the span of the number in A.
    fn family(&mut self, spans: &[Span]) -> Target {
        let (native, x32, rest) = thirds(spans);
        if x32.len() < WORTH_SHARING {
            return self.tree(&nodes(spans.iter().map(Piece::of)));
        }
        let shared = self.tree(&nodes(native.iter().map(Piece::of)));
        let pieces = differences(native, x32, shared);
        let x32 = self.tree(&nodes(pieces.into_iter()));
        let x32 = self.program.and(!X32_BIT, x32);
        let rest = self.tree(&nodes(rest.iter().map(Piece::of)));
        let at_least = |value| Question {
            code: AT_LEAST,
            value,
        };
        let upper = self.program.ask(at_least(1 << 31), None, rest, x32);
        self.program.ask(at_least(X32_BIT), None, upper, shared)
    }

    fn tree(&mut self, nodes: &[Node<'_>]) -> Target {
        if let [only] = nodes {
            return self.node(only);
        }
        let (low, high) = nodes.split_at(nodes.len() / 2);
        let at_least = Question {
            code: AT_LEAST,
            value: high[0].piece.first,
        };
        let (high, low) = (self.tree(high), self.tree(low));
        self.program.ask(at_least, None, high, low)
    }

    fn node(&mut self, node: &Node<'_>) -> Target {
        let mut found = self.leaf(node.piece.leaf);
        for (number, leaf) in node.exceptions.iter().flatten() {
            let equal = Question {
                code: EQUAL,
                value: *number,
            };
            let exception = self.leaf(*leaf);
            found = self.program.ask(equal, None, exception, found);
        }
        found
    }

    fn leaf(&mut self, leaf: Leaf<'_>) -> Target {
        match leaf {
            Leaf::Decided(decision) => self.decision(decision),
            Leaf::Elsewhere(target) => target,
        }
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
