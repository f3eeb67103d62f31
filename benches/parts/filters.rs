//! The filter beside libseccomp's two, where libseccomp.so.2 can be loaded: instructions, time of compiling
//! and of loading. Each load happens in a process of its own, as a filter stays.

#[path = "../../tests/seccomp_oracle/library.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the oracle test")]
mod library;
#[path = "../../tests/seccomp_oracle/meaning.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the oracle test")]
mod meaning;

use std::time::{Duration, Instant};

use corten::config::Seccomp;
use corten::seccomp::{Arch, compile};
use library::{Library, Shape};
use seccompiler::sock_filter;

use super::{median, middle, say};

/// libseccomp takes milliseconds.
const COMPILATIONS: usize = 9;

/// Prints a line for each number.
pub fn compare(profile: &Seccomp, rounds: usize) {
    let own = compile(profile, Arch::native()).expect("the profile is valid");
    let mut programs = vec![("Corten's filter", own.instructions)];
    if let Some(library) = Library::open() {
        for (name, shape) in [
            ("libseccomp's list", Shape::List),
            ("libseccomp's tree", Shape::Tree),
        ] {
            let compiled = || library.compile_as(profile, Arch::native(), shape);
            if let Some(oracle) = compiled() {
                say(&format!("{name}, compiled"), median(COMPILATIONS, compiled));
                programs.push((name, oracle.instructions));
            }
        }
    }
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..rounds {
        for ((_, program), times) in programs.iter().zip(&mut times) {
            times.extend(load(program));
        }
    }
    for ((name, program), mut times) in programs.iter().zip(times) {
        println!("{name}, length\t{}\tinstructions of BPF", program.len());
        if let Some(time) = middle(&mut times) {
            say(&format!("{name}, loaded"), time);
        }
    }
}

/// How long a child takes to put itself behind a filter.
fn load(program: &[sock_filter]) -> Option<Duration> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: this process has one thread; the child makes system calls only and ends by exit_group.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain numbers.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        let start = Instant::now();
        let loaded = corten::sys::seccomp::load(program, 4).is_ok();
        let spent = if loaded {
            start.elapsed().as_nanos()
        } else {
            0
        };
        let bytes = u64::try_from(spent).unwrap_or(0).to_ne_bytes();
        // SAFETY: eight bytes that live on the stack; then the child ends without the parent's destructors.
        unsafe {
            libc::write(ends[1], bytes.as_ptr().cast(), bytes.len());
            libc::_exit(0);
        }
    }
    let mut bytes = [0; 8];
    // SAFETY: eight bytes to write to; both descriptors are ours and closed once; the child is ours.
    unsafe {
        libc::read(ends[0], bytes.as_mut_ptr().cast(), bytes.len());
        libc::waitpid(child, std::ptr::null_mut(), 0);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    let spent = u64::from_ne_bytes(bytes);
    (spent > 0).then(|| Duration::from_nanos(spent))
}
