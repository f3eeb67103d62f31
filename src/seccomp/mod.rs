//! The system call filter: from a profile to classic BPF, in microseconds and without a library.
//!
//! The kernel runs a seccomp filter, a small program of classic BPF, at every system call of a process.
//! It sees the call's number, the architecture of the caller and the six argument registers, and answers
//! with a verdict: allow, log, fail with an errno, ask an agent or a tracer, trap, kill. It cannot
//! follow pointers. A filter stays for ever and is inherited by every child; more filters may be added
//! on top, and the strictest verdict counts.
//!
//! A profile (config-linux.md, Seccomp) names calls. What that means is settled in four steps, each a
//! file, all pure:
//!
//! * [`tables`]: a name has a number in each system call table that the kernel serves. i386 and x32
//!   programs run on an x86-64 kernel; a filter that forgot them would be no filter.
//! * `rules`: several rules on one call become chains of conditions in a fixed order.
//! * `layout`: neighbours with one decision become runs, the runs a balanced tree.
//! * `assemble`: the tree becomes instructions, written from the end, with returns shared.
//!
//! What runc and libseccomp decide, this decides (tests/seccomp_oracle.rs compares them call by call),
//! down to the answer ENOSYS for calls newer than the profile, which keeps new C libraries working
//! under old profiles. It parts from libseccomp (2.5.4 to 2.6.1) where that misses what the profile
//! says: when several rules with conditions stand on one call, its programs may compare the word of
//! another argument left in the accumulator, apply one rule's further condition to another's range, or
//! drop a rule. A profile's meaning wins.
//!
//! [`run`] has the two effects: the child loads the filter, the runtime hands the descriptor of a
//! listener to the agent that answers SCMP_ACT_NOTIFY.

mod assemble;
pub mod interpret;
mod layout;
mod plan;
mod rules;
pub mod run;
pub mod tables;
#[cfg(test)]
mod tests;
mod words;

/// Changes with the compiler: whatever was compiled by one with another number may be another filter.
pub const COMPILER: u64 = {
    const SOURCES: [&[u8]; 9] = [
        include_bytes!("assemble.rs"),
        include_bytes!("layout.rs"),
        include_bytes!("plan.rs"),
        include_bytes!("rules.rs"),
        include_bytes!("words.rs"),
        include_bytes!("tables/calls.rs"),
        include_bytes!("tables/mod.rs"),
        env!("CARGO_PKG_VERSION").as_bytes(),
        std::env::consts::ARCH.as_bytes(),
    ];
    // FNV-1a.
    let (mut hash, mut source) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while source < SOURCES.len() {
        let mut at = 0;
        while at < SOURCES[source].len() {
            hash = (hash ^ SOURCES[source][at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        source += 1;
    }
    hash
};

pub use assemble::{from_bytes, to_bytes};
pub use plan::{Filter, Listener, compile};
pub use tables::Arch;
pub use words::{actions, archs, known_flags, operators};
