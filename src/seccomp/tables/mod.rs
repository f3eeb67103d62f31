//! What a profile's words mean to the kernel: names of architectures and of system calls.
//!
//! One process meets several system call tables. An x86-64 kernel serves three: its own, i386 by
//! `int 0x80`, and x32, whose numbers carry bit 30 under the same AUDIT_ARCH. An arm64 kernel serves
//! its own and 32-bit ARM. Those five are the columns here. The other 18 architectures of the
//! specification are known by name and go no further: no process on these hosts can make such a call,
//! and should one ever, the filter kills it, as it does for any architecture without rules.

mod calls;

use calls::CALLS;

/// How many tables there are.
const ARCHS: usize = 5;

/// A call that a table does not have.
const NONE: i32 = -1;

/// The bit that marks a number as x32.
pub const X32_BIT: u32 = 1 << 30;

/// A system call table that one of our hosts serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// i386.
    X86,
    /// x86-64 with 32-bit pointers.
    X32,
    /// arm64.
    Aarch64,
    /// 32-bit ARM, EABI.
    Arm,
}

/// How much of an argument register a call of an architecture uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The low half.
    Word,
    /// All 64 bits.
    Double,
}

impl Arch {
    /// The table of this machine's own programs.
    pub const fn native() -> Self {
        #[cfg(target_arch = "x86_64")]
        return Self::X86_64;
        #[cfg(target_arch = "aarch64")]
        return Self::Aarch64;
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        compile_error!("src/seccomp/tables has no column for this architecture");
    }

    /// The tables that a kernel of this architecture serves, itself first.
    pub const fn served(self) -> &'static [Self] {
        match self {
            Self::X86_64 | Self::X86 | Self::X32 => &[Self::X86_64, Self::X32, Self::X86],
            Self::Aarch64 | Self::Arm => &[Self::Aarch64, Self::Arm],
        }
    }

    /// AUDIT_ARCH_*, which the kernel puts into `seccomp_data.arch` (linux/audit.h).
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// How much of an argument its calls use.
    pub const fn width(self) -> Width {
        match self {
            Self::X86_64 | Self::Aarch64 => Width::Double,
            Self::X86 | Self::X32 | Self::Arm => Width::Word,
        }
    }
}

/// The numbers of one system call.
#[derive(Clone, Copy, Debug)]
pub struct Numbers(&'static [i32; ARCHS]);

impl Numbers {
    /// The number as `seccomp_data.nr` has it, x32's bit included. None where the table lacks the call.
    pub fn on(self, arch: Arch) -> Option<u32> {
        let number = u32::try_from(self.0[arch as usize]).ok()?;
        Some(if arch == Arch::X32 {
            number | X32_BIT
        } else {
            number
        })
    }
}

/// A system call that some architecture has: its row in the table.
#[derive(Clone, Copy, Debug)]
pub struct Call(u16);

impl Call {
    /// Its numbers.
    pub fn numbers(self) -> Numbers {
        Numbers(&NUMBERS[usize::from(self.0)])
    }

    /// How i386 reaches it besides directly.
    pub fn multiplexed(self) -> Option<Multiplexed> {
        MULTIPLEXED_BY_ROW[usize::from(self.0)]
    }
}

/// The call of that name. None if no architecture has one.
pub fn call(name: &str) -> Option<Call> {
    let mut slot = slot(name.as_bytes());
    // There are more slots than calls: an empty one ends the search.
    while let Some(row) = BY_NAME[slot].checked_sub(1) {
        if CALLS[usize::from(row)].0 == name {
            return Some(Call(row));
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// The numbers of a call. None if no architecture has a call of that name.
pub fn numbers(name: &str) -> Option<Numbers> {
    call(name).map(Call::numbers)
}

/// How i386 reaches a call of that name besides directly.
pub fn multiplexed(name: &str) -> Option<Multiplexed> {
    call(name)?.multiplexed()
}

/// A profile names hundreds of calls, and each is looked for on every create: hence a hash table, made at compile time.
const SLOTS: usize = 2048;

/// One more than the row of a call; nought where there is none.
static BY_NAME: [u16; SLOTS] = by_name();

/// [`CALLS`] without the names.
static NUMBERS: [[i32; ARCHS]; CALLS.len()] = {
    let mut numbers = [[NONE; ARCHS]; CALLS.len()];
    let mut row = 0;
    while row < CALLS.len() {
        numbers[row] = CALLS[row].1;
        row += 1;
    }
    numbers
};

static MULTIPLEXED_BY_ROW: [Option<Multiplexed>; CALLS.len()] = {
    let mut known = [None; CALLS.len()];
    let mut entry = 0;
    while entry < MULTIPLEXED.len() {
        let (name, through, subcall) = MULTIPLEXED[entry];
        let mut row = 0;
        while row < CALLS.len() {
            if is_same(CALLS[row].0.as_bytes(), name.as_bytes()) {
                known[row] = Some(Multiplexed { through, subcall });
            }
            row += 1;
        }
        entry += 1;
    }
    known
};

#[allow(
    clippy::cast_possible_truncation,
    reason = "there is no TryFrom at compile time; 2048 is less than 2^16"
)]
const fn by_name() -> [u16; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut row = 0;
    while row < CALLS.len() {
        let mut slot = slot(CALLS[row].0.as_bytes());
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        row += 1;
        slots[slot] = row as u16;
    }
    slots
}

/// Where the search for a name begins.
const fn slot(name: &[u8]) -> usize {
    let mut hash: usize = 0;
    let mut place = 0;
    while place < name.len() {
        hash = hash.wrapping_mul(31).wrapping_add(name[place] as usize);
        place += 1;
    }
    hash % SLOTS
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut place = 0;
    while place < a.len() && place < b.len() && a[place] == b[place] {
        place += 1;
    }
    place == a.len() && place == b.len()
}

/// A call that i386 also reaches through `socketcall(2)` or `ipc(2)`, by the value of argument 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiplexed {
    /// The number of `socketcall` or `ipc`.
    pub through: u32,
    /// The value of argument 0.
    pub subcall: u32,
}

/// i386 `socketcall(2)`.
const SOCKETCALL: u32 = 102;
/// i386 `ipc(2)`.
const IPC: u32 = 117;

/// The calls of linux/net.h and linux/ipc.h, sorted by name.
const MULTIPLEXED: &[(&str, u32, u32)] = &[
    ("accept", SOCKETCALL, 5),
    ("accept4", SOCKETCALL, 18),
    ("bind", SOCKETCALL, 2),
    ("connect", SOCKETCALL, 3),
    ("getpeername", SOCKETCALL, 7),
    ("getsockname", SOCKETCALL, 6),
    ("getsockopt", SOCKETCALL, 15),
    ("listen", SOCKETCALL, 4),
    ("msgctl", IPC, 14),
    ("msgget", IPC, 13),
    ("msgrcv", IPC, 12),
    ("msgsnd", IPC, 11),
    ("recv", SOCKETCALL, 10),
    ("recvfrom", SOCKETCALL, 12),
    ("recvmmsg", SOCKETCALL, 19),
    ("recvmsg", SOCKETCALL, 17),
    ("semctl", IPC, 3),
    ("semget", IPC, 2),
    ("semop", IPC, 1),
    ("semtimedop", IPC, 4),
    ("send", SOCKETCALL, 9),
    ("sendmmsg", SOCKETCALL, 20),
    ("sendmsg", SOCKETCALL, 16),
    ("sendto", SOCKETCALL, 11),
    ("setsockopt", SOCKETCALL, 14),
    ("shmat", IPC, 21),
    ("shmctl", IPC, 24),
    ("shmdt", IPC, 22),
    ("shmget", IPC, 23),
    ("shutdown", SOCKETCALL, 13),
    ("socket", SOCKETCALL, 1),
    ("socketpair", SOCKETCALL, 8),
];

/// The architectures of config-linux.md, sorted, with the table for those that our hosts serve.
pub static ARCHITECTURES: &[(&str, Option<Arch>)] = &[
    ("SCMP_ARCH_AARCH64", Some(Arch::Aarch64)),
    ("SCMP_ARCH_ARM", Some(Arch::Arm)),
    ("SCMP_ARCH_LOONGARCH64", None),
    ("SCMP_ARCH_M68K", None),
    ("SCMP_ARCH_MIPS", None),
    ("SCMP_ARCH_MIPS64", None),
    ("SCMP_ARCH_MIPS64N32", None),
    ("SCMP_ARCH_MIPSEL", None),
    ("SCMP_ARCH_MIPSEL64", None),
    ("SCMP_ARCH_MIPSEL64N32", None),
    ("SCMP_ARCH_PARISC", None),
    ("SCMP_ARCH_PARISC64", None),
    ("SCMP_ARCH_PPC", None),
    ("SCMP_ARCH_PPC64", None),
    ("SCMP_ARCH_PPC64LE", None),
    ("SCMP_ARCH_RISCV64", None),
    ("SCMP_ARCH_S390", None),
    ("SCMP_ARCH_S390X", None),
    ("SCMP_ARCH_SH", None),
    ("SCMP_ARCH_SHEB", None),
    ("SCMP_ARCH_X32", Some(Arch::X32)),
    ("SCMP_ARCH_X86", Some(Arch::X86)),
    ("SCMP_ARCH_X86_64", Some(Arch::X86_64)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once() {
        assert!(CALLS.is_sorted_by(|a, b| a.0 < b.0), "none stands twice");
        for (name, numbers) in CALLS {
            let found = call(name).unwrap();
            assert_eq!(found.numbers().0, numbers, "{name}");
        }
        for name in ["", "reed", "Read", "read ", "\u{fffd}"] {
            assert!(call(name).is_none(), "{name}");
        }
        for (name, through, subcall) in MULTIPLEXED {
            let (through, subcall) = (*through, *subcall);
            let found = call(name).and_then(Call::multiplexed);
            assert_eq!(found, Some(Multiplexed { through, subcall }), "{name}");
        }
        let multiplexed = CALLS
            .iter()
            .filter(|row| call(row.0).unwrap().multiplexed().is_some());
        assert_eq!(multiplexed.count(), MULTIPLEXED.len());
    }

    #[test]
    fn architectures_are_sorted_so_that_a_search_finds_every_row() {
        assert!(ARCHITECTURES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(ARCHITECTURES.len(), 23);
    }

    #[test]
    fn no_two_names_share_a_number() {
        for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm] {
            let mut seen: Vec<i32> = CALLS
                .iter()
                .map(|row| row.1[arch as usize])
                .filter(|n| *n != NONE)
                .collect();
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count, "{arch:?}");
        }
    }

    #[test]
    fn numbers_agree_with_the_headers_that_this_was_built_with() {
        for (name, number) in [
            ("read", libc::SYS_read),
            ("clone3", libc::SYS_clone3),
            ("mseal", libc::SYS_mseal),
            ("execveat", libc::SYS_execveat),
            ("ptrace", libc::SYS_ptrace),
            ("openat2", libc::SYS_openat2),
        ] {
            let found = call(name)
                .and_then(|call| call.numbers().on(Arch::native()))
                .map(i64::from);
            assert_eq!(found, Some(number), "{name}");
        }
    }

    #[test]
    fn x32_numbers_carry_their_bit() {
        let execve = call("execve").unwrap().numbers();
        assert_eq!(execve.on(Arch::X32), Some(0x4000_0208));
        assert_eq!(execve.on(Arch::X86_64), Some(59));
    }
}
