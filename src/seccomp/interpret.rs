//! What a filter does, without a kernel: a classic BPF machine over `struct seccomp_data`.
//!
//! It knows the instructions that Corten's and libseccomp's filters are made of. The planner asks it
//! whether a filter lets the program be executed at all; the tests ask it everything.

use seccompiler::sock_filter;

use super::assemble::{AND, ANY_BIT, AT_LEAST, EQUAL, GREATER, JUMP, LOAD, RETURN};

/// `struct seccomp_data` (linux/seccomp.h): what a filter sees of a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The number, x32's bit included.
    pub number: u32,
    /// AUDIT_ARCH_*.
    pub audit: u32,
    /// Where it was made.
    pub instruction_pointer: u64,
    /// The registers.
    pub arguments: [u64; 6],
}

impl Call {
    /// The 32-bit word at an offset, little endian. None beyond the end or off its boundary.
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |double: u64, offset: u32| (double >> (8 * (offset % 8))) & 0xffff_ffff;
        let double = match offset {
            _ if !offset.is_multiple_of(4) => return None,
            0 => return Some(self.number),
            4 => return Some(self.audit),
            8 | 12 => self.instruction_pointer,
            _ => *self
                .arguments
                .get(usize::try_from((offset - 16) / 8).ok()?)?,
        };
        u32::try_from(half(double, offset)).ok()
    }
}

/// The SECCOMP_RET_* value that a call meets, and how many instructions that took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// SECCOMP_RET_* with its data.
    pub verdict: u32,
    /// Instructions evaluated.
    pub steps: usize,
}

/// Runs a filter. None if it is not a filter: no end, or an instruction that none should have.
pub fn run(instructions: &[sock_filter], call: &Call) -> Option<Outcome> {
    run_watched(instructions, call, |_| {})
}

fn run_watched(
    instructions: &[sock_filter],
    call: &Call,
    mut watch: impl FnMut(&sock_filter),
) -> Option<Outcome> {
    let (mut accumulator, mut next, mut steps) = (0_u32, 0_usize, 0_usize);
    loop {
        let instruction = instructions.get(next)?;
        watch(instruction);
        let (k, mut skip) = (instruction.k, 0);
        let mut way =
            |yes: bool| skip = usize::from(if yes { instruction.jt } else { instruction.jf });
        match instruction.code {
            LOAD => accumulator = call.word(k)?,
            AND => accumulator &= k,
            EQUAL => way(accumulator == k),
            GREATER => way(accumulator > k),
            AT_LEAST => way(accumulator >= k),
            ANY_BIT => way(accumulator & k != 0),
            JUMP => skip = usize::try_from(k).ok()?,
            RETURN => {
                return Some(Outcome {
                    verdict: k,
                    steps: steps + 1,
                });
            }
            _ => return None,
        }
        (next, steps) = (next + 1 + skip, steps + 1);
    }
}

/// Whether a filter lets a call of the native architecture through, whatever its arguments.
pub fn passes(instructions: &[sock_filter], number: u32, audit: u32) -> bool {
    let reads_arguments =
        |instruction: &sock_filter| instruction.code == LOAD && instruction.k >= 16;
    let call = Call {
        number,
        audit,
        ..Call::default()
    };
    // What a call meets without arguments, every such call meets, unless one was looked at on the way.
    let mut looked = false;
    let end = run_watched(instructions, &call, |instruction| {
        looked |= reads_arguments(instruction);
    });
    !looked && end.is_some_and(|end| end.verdict == libc::SECCOMP_RET_ALLOW)
}

/// How a filter keeps a call of the native architecture from happening, whatever its arguments: it
/// `kills` or `refuses`. None if it lets it through, or leaves it to an agent or a tracer.
pub fn stops(instructions: &[sock_filter], number: u32, audit: u32) -> Option<&'static str> {
    let call = |value| Call {
        number,
        audit,
        arguments: [value; 6],
        ..Call::default()
    };
    let verdict = |value| run(instructions, &call(value)).map(|end| end.verdict);
    // Conditions on the arguments may let it through after all.
    let stops = verdict(0).filter(|first| verdict(u64::MAX) == Some(*first))?;
    match stops & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_KILL_PROCESS | libc::SECCOMP_RET_KILL_THREAD | libc::SECCOMP_RET_TRAP => {
            Some("kills")
        }
        libc::SECCOMP_RET_ERRNO => Some("refuses"),
        _ => None,
    }
}
