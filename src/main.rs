//! The command line: parse it, call one command, print one error, choose the exit code.
//!
//! The C library calls `main` itself: see [`corten::sys::start`] for what the standard library's own start
//! would have done, and why it does not.

#![no_main]

use std::ffi::{c_char, c_int};

use corten::sys::memory::Memory;
use corten::sys::{Errno, fs, process, start};

#[global_allocator]
// SAFETY: nothing in the program starts a thread but `memory::spawn` (tests/house.rs).
static MEMORY: Memory = unsafe { Memory::new() };

// SAFETY: the only `main` of the program, with main(3)'s arguments.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    match start::prepare() {
        Ok(more) => corten::process::listen::note_inherited(more),
        Err(errno) => fail("open /dev/null for a closed standard stream", errno),
    }
    // Whatever the caller leaked must not reach a container or a hook (CVE-2024-21626): closed at
    // exec from the first moment; `--preserve-fds` asks some of them back. Without close_range(2)
    // no other call would succeed either, so a failure shows there.
    if let Err(errno) = fs::close_at_exec_from(3) {
        fail("mark descriptors close-on-exec", errno);
    }
    // SAFETY: they are what the C library was given.
    let arguments = unsafe { start::arguments(argc, argv) };
    // The end of a process that has flushed what it wrote: exit(3) has nothing to do for it.
    process::exit_now(i32::from(corten::cli::main(arguments)))
}

fn fail(step: &str, errno: Errno) -> ! {
    eprintln!("corten: cannot {step}: {errno}");
    std::process::exit(1)
}
