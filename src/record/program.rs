//! The watching programs, in eBPF (bpf(2), linux/bpf.h).
//!
//! Their marks are bytes in the one value of an array, which an instruction can address without a look-up. The capabilities that somebody had
//! are bits in a map, by the thread and by the credentials that were asked, which need not be the command's (see [`super`]). Credentials are known by
//! their address, and that may be another's as soon as the call is over. So the bits are those of one system call: a later one first settles what
//! the earlier one has left.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether the command has begun: a byte.
const BEGUN: i32 = 0;
/// One byte for each number of a system call.
pub const CALLS: Marks = Marks { at: 8, count: 512 };
/// One byte for each capability that was asked for and missing.
pub const MISSED: Marks = Marks { at: 520, count: 64 };
/// Whether there was no room for more threads or credentials.
pub const LOST: Marks = Marks { at: 584, count: 1 };
/// The capabilities that were used, bits.
const USED: i16 = 592;
/// The length of the value.
pub const LENGTH: usize = 600;

/// The capabilities that were used, bits: those of the calls that have ended.
pub fn used(value: &[u8; LENGTH]) -> u64 {
    let bytes = value.last_chunk().expect("they are the last");
    u64::from_ne_bytes(*bytes)
}

/// A part of the value.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    at: i16,
    count: i32,
}

impl Marks {
    /// The numbers that have a mark.
    pub fn read(self, value: &[u8; LENGTH]) -> impl Iterator<Item = u32> {
        let marks = value.iter().skip(usize::from(self.at.unsigned_abs()));
        let numbered = (0..self.count.unsigned_abs()).zip(marks);
        numbered
            .filter(|(_, mark)| **mark != 0)
            .map(|(number, _)| number)
    }
}

/// Where a kprobe finds what its function was called with, and what it returned, in the registers that were saved.
#[cfg(target_arch = "x86_64")]
mod registers {
    /// The first argument, rdi.
    pub const FIRST: i16 = 112;
    /// The third argument, rdx.
    pub const THIRD: i16 = 96;
    /// The fourth argument, rcx.
    pub const FOURTH: i16 = 88;
    /// The result, rax.
    pub const RESULT: i16 = 80;
}
#[cfg(target_arch = "aarch64")]
mod registers {
    /// The first argument, x0.
    pub const FIRST: i16 = 0;
    /// The third argument, x2.
    pub const THIRD: i16 = 16;
    /// The fourth argument, x3.
    pub const FOURTH: i16 = 24;
    /// The result, x0.
    pub const RESULT: i16 = 0;
}

/// CAP_OPT_NOAUDIT (linux/security.h).
const NO_AUDIT: i32 = 2;

const MAP_LOOKUP: i32 = 1;
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const CURRENT_PID_TGID: i32 = 14;
const CURRENT_CGROUP_ID: i32 = 80;

const MOVE: u8 = 0xbf;
const MOVE_HALF: u8 = 0xbc;
const MOVE_NUMBER: u8 = 0xb7;
const ADD: u8 = 0x0f;
const OR: u8 = 0x4f;
const AND: u8 = 0x5f;
const SHIFT_LEFT: u8 = 0x6f;
const ADD_NUMBER: u8 = 0x07;
const LOAD_LONG: u8 = 0x18;
const LOAD_BYTE: u8 = 0x71;
const LOAD: u8 = 0x79;
const STORE_BYTE: u8 = 0x72;
const STORE: u8 = 0x7b;
const STORE_NUMBER: u8 = 0x7a;
/// An atomic operation; its immediate says which.
const ATOMIC: u8 = 0xdb;
const ATOMIC_OR: i32 = 0x40;
const JUMP: u8 = 0x05;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_SAME: u8 = 0x1d;
const JUMP_IF_ABOVE: u8 = 0x25;
const JUMP_IF_SET: u8 = 0x45;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const JUMP_UNLESS_SAME: u8 = 0x5d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// BPF_NOEXIST of an update.
const NEW_KEYS_ONLY: i32 = 1;

/// Where the number of this thread is on the stack, below register 10: a key.
const THREAD: i16 = -8;
/// Where credentials are, before the thread: a key of two numbers.
const CREDENTIALS: i16 = -16;
/// Where the value of a map is, of one or two numbers.
const VALUE: i16 = -32;

/// The source "register" of a long load whose number is the descriptor of a map, and of one that means the map's value.
const OF_MAP: u8 = 1;
const OF_VALUE: u8 = 2;

/// What a program watches and where its marks go.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// The container's cgroup, by the number that the kernel has for it.
    pub cgroup: u64,
    /// The array of marks.
    pub marks: BorrowedFd<'a>,
}

/// The maps of the programs that watch capabilities.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// By thread: how many calls it has made.
    pub threads: BorrowedFd<'a>,
    /// By credentials and thread: the number of a call, and the capabilities that they had in it, bits.
    pub credentials: BorrowedFd<'a>,
    /// By thread: the credentials and the capability of a question without an answer yet.
    pub open: BorrowedFd<'a>,
    /// The capabilities of the container, bits. Credentials that have others are not the command's.
    pub granted: u64,
}

/// At the raw tracepoint `sys_enter` (registers, number). Where capabilities are asked for, calls are counted by thread.
pub fn calls(watched: Watched, asked: Option<Asked>) -> Vec<u64> {
    let mut code = Code::watching(watched);
    code.add(LOAD, 9, 6, 8, 0);
    // The first execve begins it, and counts.
    code.add(JUMP_IF_EQUAL, 9, 0, 2, number(libc::SYS_execve));
    code.add(JUMP_IF_EQUAL, 9, 0, 1, number(libc::SYS_execveat));
    code.add(JUMP, 0, 0, 1, 0);
    code.add(STORE_BYTE, 7, 0, 0, 1);
    code.leave_before_it_has_begun();
    if let Some(asked) = asked {
        code.count_call(asked);
    }
    code.leave(JUMP_IF_ABOVE, 9, 0, CALLS.count - 1);
    code.add(ADD, 7, 9, 0, 0);
    code.add(STORE_BYTE, 7, 0, CALLS.at, 1);
    code.end()
}

/// At the raw tracepoint `cap_capable` (credentials, namespace, namespace, capability, result).
pub fn capabilities(watched: Watched, asked: Asked) -> Vec<u64> {
    let mut code = Code::watching(watched);
    code.leave_before_it_has_begun();
    code.add(LOAD, 8, 6, 0, 0);
    code.add(LOAD, 9, 6, 24, 0);
    code.add(LOAD, 1, 6, 32, 0);
    code.answer(asked);
    code.end()
}

/// At the entry of `cap_capable` (credentials, namespace, capability, options): the question of this thread is put into a map.
pub fn question(watched: Watched, asked: Asked) -> Vec<u64> {
    let mut code = Code::watching(watched);
    code.leave_before_it_has_begun();
    code.add(LOAD, 2, 6, registers::FOURTH, 0);
    code.leave(JUMP_IF_SET, 2, 0, NO_AUDIT);
    code.add(LOAD, 8, 6, registers::FIRST, 0);
    code.add(LOAD, 9, 6, registers::THIRD, 0);
    code.this_thread();
    code.add(STORE, 10, 8, VALUE, 0);
    code.add(STORE, 10, 9, VALUE + 8, 0);
    code.update(asked.open, THREAD, 0);
    code.end()
}

/// At its return: the answer to the question of this thread.
pub fn answer(watched: Watched, asked: Asked) -> Vec<u64> {
    let mut code = Code::watching(watched);
    code.this_thread();
    code.look_up(asked.open, THREAD);
    code.leave(JUMP_IF_EQUAL, 0, 0, 0);
    code.add(LOAD, 8, 0, 0, 0);
    code.add(LOAD, 9, 0, 8, 0);
    code.key(asked.open, THREAD);
    code.call(MAP_DELETE);
    code.add(LOAD, 1, 6, registers::RESULT, 0);
    code.answer(asked);
    code.end()
}

/// A program that is being written. Register 6 holds the context, 7 the address of the marks.
struct Code {
    instructions: Vec<u64>,
    /// Jumps to the end, which is not known yet.
    leaves: Vec<usize>,
}

impl Code {
    /// The beginning of each: whoever is not in the cgroup is of no interest.
    fn watching(watched: Watched) -> Self {
        let mut code = Self {
            instructions: Vec::new(),
            leaves: Vec::new(),
        };
        code.add(MOVE, 6, 1, 0, 0);
        code.call(CURRENT_CGROUP_ID);
        let [low, high] = halves(watched.cgroup);
        code.long(1, 0, low, high);
        code.leave(JUMP_UNLESS_SAME, 0, 1, 0);
        code.long(7, OF_VALUE, watched.marks.as_raw_fd(), 0);
        code
    }

    fn add(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        let registers = if cfg!(target_endian = "little") {
            from << 4 | to
        } else {
            to << 4 | from
        };
        let ([o0, o1], [i0, i1, i2, i3]) = (offset.to_ne_bytes(), immediate.to_ne_bytes());
        self.instructions.push(u64::from_ne_bytes([
            code, registers, o0, o1, i0, i1, i2, i3,
        ]));
    }

    /// A load of 64 bits takes two instructions.
    fn long(&mut self, to: u8, from: u8, low: i32, high: i32) {
        self.add(LOAD_LONG, to, from, 0, low);
        self.add(0, 0, 0, 0, high);
    }

    fn call(&mut self, function: i32) {
        self.add(CALL, 0, 0, 0, function);
    }

    /// A jump to the end.
    fn leave(&mut self, code: u8, to: u8, from: u8, immediate: i32) {
        self.leaves.push(self.instructions.len());
        self.add(code, to, from, 0, immediate);
    }

    fn leave_before_it_has_begun(&mut self) {
        self.add(LOAD_BYTE, 1, 7, 0, BEGUN);
        self.leave(JUMP_IF_EQUAL, 1, 0, 0);
    }

    /// The number of this thread, on the stack.
    fn this_thread(&mut self) {
        self.call(CURRENT_PID_TGID);
        self.add(STORE, 10, 0, THREAD, 0);
    }

    /// A map and a key, which is on the stack, as the first arguments.
    fn key(&mut self, map: BorrowedFd, key: i16) {
        self.long(1, OF_MAP, map.as_raw_fd(), 0);
        self.add(MOVE, 2, 10, 0, 0);
        self.add(ADD_NUMBER, 2, 0, 0, i32::from(key));
    }

    /// The address of a value in register 0, or 0.
    fn look_up(&mut self, map: BorrowedFd, key: i16) {
        self.key(map, key);
        self.call(MAP_LOOKUP);
    }

    /// Puts the value that is on the stack into a map.
    fn update(&mut self, map: BorrowedFd, key: i16, flags: i32) {
        self.key(map, key);
        self.add(MOVE, 3, 10, 0, 0);
        self.add(ADD_NUMBER, 3, 0, 0, i32::from(VALUE));
        self.add(MOVE_NUMBER, 4, 0, 0, flags);
        self.call(MAP_UPDATE);
    }

    /// One call more of this thread.
    fn count_call(&mut self, asked: Asked) {
        self.this_thread();
        self.add(STORE_NUMBER, 10, 0, VALUE, 0);
        self.update(asked.threads, THREAD, NEW_KEYS_ONLY);
        self.look_up_or_lose(asked.threads, THREAD);
        self.add(LOAD, 1, 0, 0, 0);
        self.add(ADD_NUMBER, 1, 0, 0, 1);
        self.add(STORE, 0, 1, 0, 0);
    }

    /// A value that must be there; if it is not, the map was full, which is marked.
    fn look_up_or_lose(&mut self, map: BorrowedFd, key: i16) {
        self.look_up(map, key);
        self.add(JUMP_UNLESS_EQUAL, 0, 0, 2, 0);
        self.add(STORE_BYTE, 7, 0, LOST.at, 1);
        self.leave(JUMP, 0, 0, 0);
    }

    /// Marks for the credentials in register 8 that were asked for the capability in 9 and answered with 1; the last two are ints.
    fn answer(&mut self, asked: Asked) {
        self.add(MOVE_HALF, 1, 1, 0, 0);
        self.add(MOVE_HALF, 9, 9, 0, 0);
        self.leave(JUMP_IF_ABOVE, 9, 0, MISSED.count - 1);
        self.add(JUMP_IF_EQUAL, 1, 0, 3, 0);
        self.add(ADD, 7, 9, 0, 0);
        self.add(STORE_BYTE, 7, 0, MISSED.at, 1);
        self.leave(JUMP, 0, 0, 0);
        self.this_thread();
        self.add(STORE, 10, 8, CREDENTIALS, 0);
        // The number of the call.
        self.add(MOVE_NUMBER, 8, 0, 0, 0);
        self.look_up(asked.threads, THREAD);
        self.add(JUMP_IF_EQUAL, 0, 0, 1, 0);
        self.add(LOAD, 8, 0, 0, 0);
        self.add(STORE, 10, 8, VALUE, 0);
        self.add(STORE_NUMBER, 10, 0, VALUE + 8, 0);
        self.update(asked.credentials, CREDENTIALS, NEW_KEYS_ONLY);
        self.look_up_or_lose(asked.credentials, CREDENTIALS);
        self.settle(asked.granted);
        self.add(MOVE_NUMBER, 1, 0, 0, 1);
        self.add(SHIFT_LEFT, 1, 9, 0, 0);
        self.add(LOAD, 2, 0, 8, 0);
        self.add(OR, 2, 1, 0, 0);
        self.add(STORE, 0, 2, 8, 0);
    }

    /// If the value at register 0 is that of another call than the one in 8, its capabilities have been used, unless they are more than
    /// what the container has; and it becomes this call's.
    fn settle(&mut self, granted: u64) {
        let [low, high] = halves(!granted);
        self.add(LOAD, 1, 0, 0, 0);
        self.add(JUMP_IF_SAME, 1, 8, 8, 0);
        self.add(LOAD, 2, 0, 8, 0);
        self.long(3, 0, low, high);
        self.add(AND, 3, 2, 0, 0);
        self.add(JUMP_UNLESS_EQUAL, 3, 0, 1, 0);
        self.add(ATOMIC, 7, 2, USED, ATOMIC_OR);
        self.add(STORE, 0, 8, 0, 0);
        self.add(STORE_NUMBER, 0, 0, 8, 0);
    }

    fn end(mut self) -> Vec<u64> {
        let end = self.instructions.len();
        for place in self.leaves {
            let distance = i16::try_from(end - place - 1).expect("the programs are short");
            let mut bytes = self.instructions[place].to_ne_bytes();
            bytes[2..4].copy_from_slice(&distance.to_ne_bytes());
            self.instructions[place] = u64::from_ne_bytes(bytes);
        }
        self.leaves = Vec::new();
        self.add(MOVE_NUMBER, 0, 0, 0, 0);
        self.add(EXIT, 0, 0, 0, 0);
        self.instructions
    }
}

fn number(call: libc::c_long) -> i32 {
    i32::try_from(call).expect("the numbers of calls are small")
}

fn halves(number: u64) -> [i32; 2] {
    let half = |shift: u32| {
        let half = u32::try_from(number >> shift & u64::from(u32::MAX));
        half.expect("it is masked").cast_signed()
    };
    [half(0), half(32)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_by_their_numbers() {
        let mut value = [0; LENGTH];
        for place in [8, 8 + 511, 520 + 12] {
            value[place] = 1;
        }
        assert_eq!(CALLS.read(&value).collect::<Vec<_>>(), [0, 511]);
        assert_eq!(MISSED.read(&value).collect::<Vec<_>>(), [12]);
        assert_eq!(LOST.read(&value).count(), 0);
        value[592..].copy_from_slice(&(1u64 << 21).to_ne_bytes());
        assert_eq!(used(&value), 1 << 21);
    }

    #[test]
    fn a_number_of_a_cgroup_is_loaded_whole() {
        assert_eq!(halves(0x1_8000_0001), [i32::MIN + 1, 1]);
    }
}
