//! What a filter costs: Docker's default profile compiled, and loaded into the kernel.
//!
//! Prints medians of interleaved rounds, beside those of libseccomp's two filters for the same profile
//! where libseccomp.so.2 can be loaded. Each load happens in a process of its own, as a filter stays.
//!
//!     cargo bench --bench seccomp

#[path = "../tests/seccomp_oracle/library.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the oracle test")]
mod library;
#[path = "../tests/seccomp_oracle/meaning.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the oracle test")]
mod meaning;

use std::hint::black_box;
use std::time::{Duration, Instant};

use corten::config::Seccomp;
use corten::seccomp::{Arch, compile};
use library::{Library, Shape};
use seccompiler::sock_filter;

const ROUNDS: usize = 301;

fn main() {
    let text = include_str!("../src/seccomp/docker.json");
    let profile: Seccomp = serde_json::from_str(text).expect("the profile is valid");
    let filter = compile(&profile, Arch::native()).expect("the profile is valid");

    let compiling = median(|| {
        let start = Instant::now();
        black_box(compile(black_box(&profile), Arch::native()).is_ok());
        Some(start.elapsed())
    });
    println!("corten: compiled in {}", microseconds(compiling));

    let mut programs = vec![("corten", filter.instructions)];
    if let Some(library) = Library::open() {
        for (name, shape) in [
            ("libseccomp's list", Shape::List),
            ("libseccomp's tree", Shape::Tree),
        ] {
            let oracle = library.compile_as(&profile, Arch::native(), shape);
            programs.extend(oracle.map(|oracle| (name, oracle.instructions)));
        }
    }
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for ((_, program), times) in programs.iter().zip(&mut times) {
            times.extend(load(program));
        }
    }
    for ((name, program), mut times) in programs.iter().zip(times) {
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied();
        println!(
            "{name}: {} instructions, loaded in {}",
            program.len(),
            microseconds(median)
        );
    }
}

fn median(mut once: impl FnMut() -> Option<Duration>) -> Option<Duration> {
    let mut times: Vec<Duration> = (0..ROUNDS).filter_map(|_| once()).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn microseconds(time: Option<Duration>) -> String {
    time.map_or("no time: the kernel refused".to_owned(), |time| {
        format!("{} µs", time.as_micros())
    })
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
