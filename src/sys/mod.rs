//! The fence around `unsafe`: one file per man-page family, one function per system call.
//!
//! Every function returns the errno as it came. Code that runs after clone3 calls these and nothing
//! else: none of them allocates, locks or panics. Arguments are C strings and raw descriptors, so
//! that a caller in the child need not own anything.

pub mod bpf;
pub mod cgroup;
pub mod credentials;
pub mod descriptor;
mod errno;
pub mod exec;
pub mod executable;
pub mod fs;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod network;
mod pidfd;
pub mod poll;
pub mod probe;
pub mod process;
pub mod pty;
pub mod regex;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod start;
pub mod tracing;

pub use errno::Errno;
pub use pidfd::Pidfd;

/// The result of one system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// Turns the kernel's -1 into the errno.
#[inline]
pub fn check<T: PartialEq + From<i8>>(result: T) -> Result<T> {
    if result == T::from(-1) {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// A number in decimal, at the end of `buffer`: ten digits hold any. Init has no format!.
pub fn decimal(number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let (mut at, mut rest) = (buffer.len(), number);
    loop {
        at -= 1;
        buffer[at] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        if rest == 0 {
            return &buffer[at..];
        }
    }
}
