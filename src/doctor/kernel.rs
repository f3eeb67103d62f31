//! Calls of the kernel that everything builds on.

use seccompiler::sock_filter;

use super::{Circumstances, Outcome, words};
use crate::host::require_kernel;
use crate::sys::probe::in_child;
use crate::sys::{Pidfd, descriptor, fs, process, seccomp as filter};

/// BPF_RET | BPF_K with SECCOMP_RET_ALLOW.
const ALLOW: sock_filter = sock_filter {
    code: 0x06,
    jt: 0,
    jf: 0,
    k: 0x7fff_0000,
};
/// SECCOMP_FILTER_FLAG_LOG and SECCOMP_FILTER_FLAG_NEW_LISTENER.
const LOG: u64 = 1 << 1;
const NEW_LISTENER: u64 = 1 << 3;

pub(super) fn release(_: &Circumstances) -> Outcome {
    match require_kernel() {
        Err(failure) => Outcome::lacks(words(failure)),
        Ok(()) => {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
            Outcome::works(format!("Linux {}", release.unwrap_or_default().trim()))
        }
    }
}

pub(super) fn openat2(_: &Circumstances) -> Outcome {
    let how = fs::resolve::IN_ROOT | fs::resolve::NO_MAGICLINKS;
    let opened = fs::openat2(fs::AT_FDCWD, c".", libc::O_PATH, 0, how);
    Outcome::of(opened.map(fs::close))
}

pub(super) fn pidfd(_: &Circumstances) -> Outcome {
    let tried = Pidfd::open(process::getpid()).and_then(|own| {
        own.signal(0)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&own));
        process::pidfd_getfd(fd, fd)
            .map(descriptor::owned)
            .map(drop)
    });
    Outcome::of(tried)
}

pub(super) fn seccomp(_: &Circumstances) -> Outcome {
    Outcome::of(in_child(None, || {
        process::set_no_new_privileges()?;
        filter::load(&[ALLOW], 0).map(|_| ())
    }))
}

pub(super) fn seccomp_log(_: &Circumstances) -> Outcome {
    known(LOG)
}

pub(super) fn seccomp_notify(_: &Circumstances) -> Outcome {
    known(NEW_LISTENER)
}

fn known(flag: u64) -> Outcome {
    if filter::knows_flags(flag) {
        Outcome::works("works")
    } else {
        Outcome::lacks("the kernel does not know the flag")
    }
}
