//! Device rules become an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE), in pure code.
//!
//! The kernel runs the program for every open and mknod of a device node with the node's type,
//! numbers and the wanted access (a set of read, write, mknod), and denies when it returns 0.
//!
//! The meaning of a list of rules is that of config-linux.md, "applied in order": for each wanted
//! access by itself, the last rule that names it decides; nothing named is denied. So the program
//! asks the rules from the last to the first and keeps in a register what is still undecided: an
//! allowing rule takes its accesses out and allows when nothing is left, a denying rule denies when
//! one of its accesses is left.
//!
//! This differs from runc where runc refuses (a hole in a wildcard) or widens (an `a` rule with
//! numbers or less than `rwm`, which it takes for everything): here a rule means what it says.
//!
//! After the container's own rules come the defaults that runc and crun append: without them no
//! container can open /dev/null. Removing the tun device from them broke VPNs (runc#4555).

use std::fmt;

use crate::config::DeviceRule;
use crate::error::{Failure, Field, Result};

const FIELD: &str = "linux.resources.devices";

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Devices that match may be used.
    Allow,
    /// They may not.
    Deny,
}

/// The kind of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Character.
    Char,
    /// Block.
    Block,
    /// Both.
    Any,
}

/// A set of BPF_DEVCG_ACC_*: mknod 1, read 2, write 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    const MKNOD: Self = Self(1);
    const ALL: Self = Self(7);

    fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One rule. `None` is every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it decides.
    pub verdict: Verdict,
    /// Of which nodes.
    pub kind: Kind,
    /// Device number.
    pub major: Option<u32>,
    /// Device number.
    pub minor: Option<u32>,
    /// For which accesses.
    pub access: Access,
}

/// A program ready for bpf(2), and the rules it was made from, the useless ones removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProgram {
    /// What no rule names.
    pub base: Verdict,
    /// In their order: the last that matches decides.
    pub rules: Vec<Rule>,
    /// `struct bpf_insn` in the byte order of this machine.
    pub instructions: Vec<u64>,
}

/// More rules than anybody has. The verifier gives up (E2BIG) at 8192 jumps that it has yet to follow,
/// and a rule has up to four; it also keeps every jump within its 16 bits.
const MOST_RULES: usize = 1024;

/// Appended to every list of rules.
const DEFAULTS: [Rule; 12] = [
    allow(Kind::Char, None, None, Access::MKNOD),
    allow(Kind::Block, None, None, Access::MKNOD),
    allow(Kind::Char, Some(1), Some(3), Access::ALL), // null
    allow(Kind::Char, Some(1), Some(5), Access::ALL), // zero
    allow(Kind::Char, Some(1), Some(7), Access::ALL), // full
    allow(Kind::Char, Some(1), Some(8), Access::ALL), // random
    allow(Kind::Char, Some(1), Some(9), Access::ALL), // urandom
    allow(Kind::Char, Some(5), Some(0), Access::ALL), // tty
    allow(Kind::Char, Some(5), Some(1), Access::ALL), // console
    allow(Kind::Char, Some(5), Some(2), Access::ALL), // ptmx
    allow(Kind::Char, Some(136), None, Access::ALL),  // pts/*
    allow(Kind::Char, Some(10), Some(200), Access::ALL), // net/tun
];

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
    Rule {
        verdict: Verdict::Allow,
        kind,
        major,
        minor,
        access,
    }
}

/// The program for a container's rules; none if they allow everything.
pub fn program(rules: &[DeviceRule]) -> Result<Option<DeviceProgram>> {
    if rules.len() > MOST_RULES {
        let text = format!("{} rules, of which at most {MOST_RULES} fit", rules.len());
        return Err(Failure::config(Field::new(FIELD), text));
    }
    let mut list = Vec::with_capacity(rules.len() + DEFAULTS.len());
    for (index, rule) in rules.iter().enumerate() {
        list.push(parse(rule).map_err(|(leaf, text)| {
            Failure::config(Field::index(FIELD, index).leaf(leaf), text)
        })?);
    }
    list.extend(DEFAULTS);
    let (base, rules) = simplify(&list);
    if base == Verdict::Allow && rules.is_empty() {
        return Ok(None);
    }
    let instructions = assemble(base, &rules);
    Ok(Some(DeviceProgram {
        base,
        rules,
        instructions,
    }))
}

/// A rule of config.json; what is absent means all (config-linux.md, Allowed Device list).
fn parse(rule: &DeviceRule) -> Result<Rule, (&'static str, String)> {
    let kind = match rule.kind.as_deref() {
        None | Some("" | "a") => Kind::Any,
        Some("c") => Kind::Char,
        Some("b") => Kind::Block,
        Some(other) => return Err(("type", format!("{other:?} is none of a, b, c"))),
    };
    let number = |leaf, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err((leaf, format!("{number} is no device number"))),
        },
    };
    let mut access = Access(0);
    for letter in rule.access.as_deref().unwrap_or_default().chars() {
        access.0 |= match letter {
            'm' => 1,
            'r' => 2,
            'w' => 4,
            other => return Err(("access", format!("{other:?} is none of r, w, m"))),
        };
    }
    Ok(Rule {
        verdict: if rule.allow {
            Verdict::Allow
        } else {
            Verdict::Deny
        },
        kind,
        major: number("major", rule.major)?,
        minor: number("minor", rule.minor)?,
        access: if access.0 == 0 { Access::ALL } else { access },
    })
}

impl Rule {
    fn is_total(&self) -> bool {
        self.kind == Kind::Any
            && (self.major, self.minor) == (None, None)
            && self.access == Access::ALL
    }

    /// Whether every node and access that `other` matches, this matches too.
    fn covers(&self, other: &Self) -> bool {
        (self.kind == Kind::Any || self.kind == other.kind)
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
            && self.access.covers(other.access)
    }

    /// Whether some node and access matches both.
    fn meets(&self, other: &Self) -> bool {
        let same =
            |one: Option<u32>, two: Option<u32>| one.is_none() || two.is_none() || one == two;
        (self.kind == other.kind || self.kind == Kind::Any || other.kind == Kind::Any)
            && same(self.major, other.major)
            && same(self.minor, other.minor)
            && self.access.meets(other.access)
    }
}

/// Drops rules that change nothing: those before one that matches everything, those that a later
/// one covers, those that repeat the base where nothing has contradicted it.
fn simplify(list: &[Rule]) -> (Verdict, Vec<Rule>) {
    let (base, list) = match list.iter().rposition(Rule::is_total) {
        Some(index) => (list[index].verdict, &list[index + 1..]),
        None => (Verdict::Deny, list),
    };
    let mut kept: Vec<Rule> = Vec::with_capacity(list.len());
    for rule in list.iter().rev() {
        if !kept.iter().any(|later| later.covers(rule)) {
            kept.push(*rule);
        }
    }
    kept.reverse();
    let mut rules: Vec<Rule> = Vec::with_capacity(kept.len());
    for rule in kept {
        let contradicts = |earlier: &Rule| earlier.verdict != base && earlier.meets(&rule);
        if rule.verdict != base || rules.iter().any(contradicts) {
            rules.push(rule);
        }
    }
    (base, rules)
}

// struct bpf_cgroup_dev_ctx: u32 access << 16 | type, u32 major, u32 minor.
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const RESULT: u8 = 0;

const BPF_DEVCG_DEV_BLOCK: i32 = 1;
const BPF_DEVCG_DEV_CHAR: i32 = 2;

/// Operation codes of include/uapi/linux/bpf.h, put together. All arithmetic is 32 bits wide.
mod code {
    pub const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
    pub const MOVE: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
    pub const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    pub const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
    pub const SET: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
    pub const JUMP: u8 = 0x05; // BPF_JMP | BPF_JA
    pub const JUMP_EQUAL: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
    pub const JUMP_UNEQUAL: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
    pub const JUMP_ANY_BIT: u8 = 0x46; // BPF_JMP32 | BPF_JSET | BPF_K
    pub const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT
}

/// A place in the program that jumps may name before it is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Label(usize);

/// Verdicts are the first two labels.
const ALLOW: Label = Label(0);
const DENY: Label = Label(1);

#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    target: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

impl Verdict {
    fn label(self) -> Label {
        match self {
            Self::Allow => ALLOW,
            Self::Deny => DENY,
        }
    }
}

struct Assembler {
    code: Vec<Instruction>,
    /// Where a label stands, once it stands.
    places: Vec<Option<usize>>,
    /// Jumps to be finished, by instruction.
    jumps: Vec<(usize, Label)>,
}

/// Whether anything is left to ask.
#[derive(PartialEq, Eq)]
enum Decided {
    Wholly,
    Partly,
}

/// Sorted rules: those with a number, and those for any.
fn numbered_first(rules: &[Rule], number: impl Fn(&Rule) -> Option<u32>) -> (&[Rule], &[Rule]) {
    rules.split_at(rules.partition_point(|rule| number(rule).is_some()))
}

/// What rules for the same nodes, with one verdict, decide together.
fn union(rules: &[Rule]) -> Access {
    Access(rules.iter().fold(0, |all, rule| all | rule.access.0))
}

/// Rules next to each other with one verdict may be asked in any order: group them by type, major and
/// minor number, so that one comparison skips many. What has matched a number goes on behind the other
/// numbers: else the verifier, which follows every path and knows the number on it, would follow each of
/// them through all comparisons that come after, and a thousand rules would take it a tenth of a second.
fn assemble(base: Verdict, rules: &[Rule]) -> Vec<u64> {
    let mut assembler = Assembler::new();
    let mut reversed: Vec<Rule> = rules.iter().rev().copied().collect();
    for run in reversed.chunk_by_mut(|one, two| one.verdict == two.verdict) {
        let last = |number: Option<u32>| (number.is_none(), number);
        run.sort_by_key(|rule| (rule.kind, last(rule.major), last(rule.minor)));
        for nodes in run.chunk_by(|one, two| one.kind == two.kind) {
            assembler.nodes_of_a_kind(nodes);
        }
    }
    assembler.finish(base)
}

impl Assembler {
    fn new() -> Self {
        let mut assembler = Self {
            code: Vec::new(),
            places: vec![None, None],
            jumps: Vec::new(),
        };
        assembler.emit(code::LOAD_WORD, TYPE, CONTEXT, 0, 0);
        assembler.emit(code::MOVE, WANTED, TYPE, 0, 0);
        assembler.emit(code::AND, TYPE, 0, 0, 0xffff);
        assembler.emit(code::SHIFT_RIGHT, WANTED, 0, 0, 16);
        assembler.emit(code::LOAD_WORD, MAJOR, CONTEXT, 4, 0);
        assembler.emit(code::LOAD_WORD, MINOR, CONTEXT, 8, 0);
        assembler
    }

    fn nodes_of_a_kind(&mut self, rules: &[Rule]) {
        let end = self.label();
        match rules[0].kind {
            Kind::Any => {}
            Kind::Char => self.jump(code::JUMP_UNEQUAL, TYPE, BPF_DEVCG_DEV_CHAR, end),
            Kind::Block => self.jump(code::JUMP_UNEQUAL, TYPE, BPF_DEVCG_DEV_BLOCK, end),
        }
        let (numbered, any) = numbered_first(rules, |rule| rule.major);
        let any_major = self.label();
        for rules in numbered.chunk_by(|one, two| one.major == two.major) {
            let other = self.label();
            let major = rules[0].major.expect("these have a number");
            self.jump(code::JUMP_UNEQUAL, MAJOR, major.cast_signed(), other);
            if self.nodes_of_a_major(rules) == Decided::Partly {
                self.jump(code::JUMP, 0, 0, any_major);
            }
            self.place(other);
        }
        self.place(any_major);
        self.nodes_of_a_major(any);
        self.place(end);
    }

    /// Type and major number match already.
    fn nodes_of_a_major(&mut self, rules: &[Rule]) -> Decided {
        let (numbered, any) = numbered_first(rules, |rule| rule.minor);
        let any_minor = self.label();
        for rules in numbered.chunk_by(|one, two| one.minor == two.minor) {
            let minor = rules[0].minor.expect("these have a number").cast_signed();
            let (verdict, access) = (rules[0].verdict, union(rules));
            if access == Access::ALL {
                self.jump(code::JUMP_EQUAL, MINOR, minor, verdict.label());
                continue;
            }
            let other = self.label();
            self.jump(code::JUMP_UNEQUAL, MINOR, minor, other);
            self.decide(verdict, access);
            self.jump(code::JUMP, 0, 0, any_minor);
            self.place(other);
        }
        self.place(any_minor);
        match any.first() {
            Some(rule) => self.decide(rule.verdict, union(any)),
            None => Decided::Partly,
        }
    }

    /// Everything else matches already.
    fn decide(&mut self, verdict: Verdict, access: Access) -> Decided {
        if access == Access::ALL {
            self.jump(code::JUMP, 0, 0, verdict.label());
            return Decided::Wholly;
        }
        let access = i32::from(access.0);
        match verdict {
            Verdict::Allow => {
                self.emit(code::AND, WANTED, 0, 0, !access);
                self.jump(code::JUMP_EQUAL, WANTED, 0, ALLOW);
            }
            Verdict::Deny => self.jump(code::JUMP_ANY_BIT, WANTED, access, DENY),
        }
        Decided::Partly
    }

    /// The verdicts, the base first, because the rules fall through to it. The other one only if
    /// something jumps there: the verifier refuses instructions that nothing reaches.
    fn finish(mut self, base: Verdict) -> Vec<u64> {
        let verdicts = match base {
            Verdict::Allow => [(ALLOW, 1), (DENY, 0)],
            Verdict::Deny => [(DENY, 0), (ALLOW, 1)],
        };
        for (index, (label, value)) in verdicts.into_iter().enumerate() {
            if index == 0 || self.jumps.iter().any(|(_, target)| *target == label) {
                self.place(label);
                self.emit(code::SET, RESULT, 0, 0, value);
                self.emit(code::EXIT, 0, 0, 0, 0);
            }
        }
        for (from, label) in &self.jumps {
            let to = self.places[label.0].expect("every label that a jump names is placed");
            self.code[*from].offset =
                i16::try_from(to - from - 1).expect("MOST_RULES keeps programs short");
        }
        self.code.iter().map(Instruction::encode).collect()
    }

    fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.code.len());
    }

    fn jump(&mut self, code: u8, register: u8, immediate: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(code, register, 0, 0, immediate);
    }

    fn emit(&mut self, code: u8, target: u8, source: u8, offset: i16, immediate: i32) {
        self.code.push(Instruction {
            code,
            target,
            source,
            offset,
            immediate,
        });
    }
}

impl Instruction {
    /// `struct bpf_insn`: its two register nibbles are a C bit field, whose order follows the
    /// machine's byte order, as do offset and immediate.
    fn encode(&self) -> u64 {
        let registers = if cfg!(target_endian = "little") {
            self.source << 4 | self.target
        } else {
            self.target << 4 | self.source
        };
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        u64::from_ne_bytes([self.code, registers, o0, o1, i0, i1, i2, i3])
    }
}

/// `allow c 1:3 rwm`, the notation of the kernel's devices.list.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Allow => "allow ",
            Verdict::Deny => "deny ",
        })?;
        f.write_str(match self.kind {
            Kind::Any => "a ",
            Kind::Char => "c ",
            Kind::Block => "b ",
        })?;
        for (number, end) in [(self.major, ":"), (self.minor, " ")] {
            match number {
                Some(number) => write!(f, "{number}{end}")?,
                None => write!(f, "*{end}")?,
            }
        }
        for (bit, letter) in [(2, "r"), (4, "w"), (1, "m")] {
            if self.access.0 & bit != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
