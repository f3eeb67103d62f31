//! The first moments of the process, without those of the standard library: its handler of stack
//! overflows and the look at its own memory map are a dozen system calls that no command needs.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use super::{Result, check, descriptor, fs, signal};

/// The command line.
///
/// # Safety
/// `argv` holds `argc` pointers to C strings, as main(3) gets them.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    let word = |index| {
        // SAFETY: the caller vouches for `argc` pointers and the strings they point to.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    };
    (0..count).map(word).collect()
}

/// Closed standard streams become /dev/null, so that no file of ours takes their numbers; a reader that
/// went away and a file that may not grow are errors of write(2) and no death by SIGPIPE or SIGXFSZ.
///
/// Whether the caller left a descriptor 3.
pub fn prepare() -> Result<bool> {
    let mut streams = [0, 1, 2, 3].map(|fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    });
    // SAFETY: four pollfd, which live through the call.
    check(unsafe { libc::poll(streams.as_mut_ptr(), 4, 0) })?;
    let [streams @ .., third] = streams;
    for stream in streams {
        if stream.revents & libc::POLLNVAL != 0 {
            // The lowest free number is this one.
            let null = fs::openat(fs::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0)?;
            descriptor::keep_at_exec(null)?;
        }
    }
    signal::ignore(libc::SIGPIPE)?;
    signal::ignore(libc::SIGXFSZ)?;
    Ok(third.revents & libc::POLLNVAL == 0)
}
