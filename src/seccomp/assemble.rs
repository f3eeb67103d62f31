//! Writes a classic BPF program from its end to its start.
//!
//! BPF jumps forward only, at most 255 instructions. Written backwards, every target stands already
//! when a jump to it is written, so its distance is known at once. Two things follow: a return value is
//! written once and shared by all jumps within reach, which halves the program, and a target out of
//! reach gets a stepping stone (the return again, or a long jump) right behind the jump.

use seccompiler::sock_filter;

/// `A = seccomp_data[k..k + 4]`.
pub const LOAD: u16 = 0x20;
/// `A &= k`.
pub const AND: u16 = 0x54;
/// Skip `k` instructions.
pub const JUMP: u16 = 0x05;
/// `A == k`.
pub const EQUAL: u16 = 0x15;
/// `A > k`, unsigned.
pub const GREATER: u16 = 0x25;
/// `A >= k`, unsigned.
pub const AT_LEAST: u16 = 0x35;
/// `A & k` is not zero.
pub const ANY_BIT: u16 = 0x45;
/// The verdict.
pub const RETURN: u16 = 0x06;

/// The instructions of a program as the kernel takes it: eight bytes each, in this machine's order. None if bytes are left over.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<sock_filter>> {
    let (instructions, []) = bytes.as_chunks::<8>() else {
        return None;
    };
    let instruction = |&[a, b, jt, jf, w, x, y, z]: &[u8; 8]| sock_filter {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes([w, x, y, z]),
    };
    Some(instructions.iter().map(instruction).collect())
}

/// The way back.
pub fn to_bytes(instruction: &sock_filter) -> [u8; 8] {
    let [a, b] = instruction.code.to_ne_bytes();
    let [w, x, y, z] = instruction.k.to_ne_bytes();
    [a, b, instruction.jt, instruction.jf, w, x, y, z]
}

/// How far a conditional jump may reach here: two short of 255, for the stones of both its ways.
const REACH: usize = 253;

/// Where control goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The call meets this SECCOMP_RET_* value.
    Return(u32),
    /// On to the instruction that was the nth to be written.
    At(usize),
}

/// What a conditional jump asks of the accumulator.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// [`EQUAL`], [`GREATER`], [`AT_LEAST`] or [`ANY_BIT`].
    pub code: u16,
    /// What it is compared with.
    pub value: u32,
}

/// A program in the making, last instruction first.
#[derive(Debug, Default)]
pub struct Program {
    reversed: Vec<sock_filter>,
    returns: Vec<(u32, usize)>,
}

impl Program {
    /// An empty program with room for as many instructions as a usual profile needs.
    pub fn new() -> Self {
        Self {
            reversed: Vec::with_capacity(512),
            returns: Vec::with_capacity(8),
        }
    }

    /// Asks, and goes one way or the other. `held` is the offset of the word that A holds unmasked,
    /// where the caller knows: a way that begins with the same load enters behind it.
    pub fn ask(
        &mut self,
        question: Question,
        held: Option<u32>,
        yes: Target,
        no: Target,
    ) -> Target {
        let (yes, no) = (self.behind_load(yes, held), self.behind_load(no, held));
        let (yes, no) = (self.near(yes), self.near(no));
        let (jt, jf) = (self.distance(yes), self.distance(no));
        self.push(question.code, jt, jf, question.value)
    }

    /// Loads the word at an offset of seccomp_data and goes on.
    pub fn load(&mut self, offset: u32, then: Target) -> Target {
        self.straight(LOAD, offset, then)
    }

    /// Masks the accumulator and goes on.
    pub fn and(&mut self, mask: u32, then: Target) -> Target {
        self.straight(AND, mask, then)
    }

    /// The program in the order of execution, beginning at `first`.
    pub fn finish(mut self, first: Target) -> Vec<sock_filter> {
        self.fall_into(first);
        self.reversed.reverse();
        self.reversed
    }

    fn straight(&mut self, code: u16, value: u32, then: Target) -> Target {
        self.fall_into(then);
        self.push(code, 0, 0, value)
    }

    /// Makes sure that what is written next falls into the target.
    fn fall_into(&mut self, target: Target) {
        match target {
            Target::At(place) if place + 1 == self.reversed.len() => {}
            Target::At(place) => self.stone(place),
            Target::Return(value) => self.give(value),
        }
    }

    fn behind_load(&self, target: Target, held: Option<u32>) -> Target {
        match (target, held) {
            (Target::At(place), Some(word)) if place > 0 => {
                let next = &self.reversed[place];
                if next.code == LOAD && next.k == word {
                    Target::At(place - 1)
                } else {
                    target
                }
            }
            _ => target,
        }
    }

    /// A place within reach of the next instruction that leads to the target.
    fn near(&mut self, target: Target) -> usize {
        let known = match target {
            Target::At(place) => Some(place),
            Target::Return(value) => self
                .returns
                .iter()
                .find(|known| known.0 == value)
                .map(|known| known.1),
        };
        if let Some(place) = known
            && self.reversed.len() - place <= REACH
        {
            return place;
        }
        match target {
            Target::At(place) => self.stone(place),
            Target::Return(value) => self.give(value),
        }
        self.reversed.len() - 1
    }

    fn give(&mut self, value: u32) {
        let place = self.reversed.len();
        match self.returns.iter_mut().find(|known| known.0 == value) {
            Some(known) => known.1 = place,
            None => self.returns.push((value, place)),
        }
        self.push(RETURN, 0, 0, value);
    }

    fn stone(&mut self, place: usize) {
        let distance = self.reversed.len() - place - 1;
        self.push(
            JUMP,
            0,
            0,
            u32::try_from(distance).expect("a program is shorter than 2^32"),
        );
    }

    fn distance(&self, place: usize) -> u8 {
        u8::try_from(self.reversed.len() - place - 1).expect("near() keeps both ways within reach")
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Target {
        self.reversed.push(sock_filter { code, jt, jf, k });
        Target::At(self.reversed.len() - 1)
    }
}
