//! Descriptors that the program inherits besides the standard streams.
//!
//! Two callers ask for them. systemd's socket activation (sd_listen_fds(3)) passes descriptors from 3
//! on and says so in `LISTEN_FDS`, for the process `LISTEN_PID` alone. `--preserve-fds N` asks for N more,
//! those that follow. They keep their numbers, so there is nothing to move: all that can be decided is
//! how many stay open, and what the program is told.
//!
//! Both are claims of the environment about this process. A number that names nothing is refused
//! before anything is opened, because the runtime's own next file would get that number and the
//! container would inherit it. So [`plan`] runs first of all.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::error::{Act, Code, Failure, Field, Result};
use crate::sys::{self, descriptor};

/// SD_LISTEN_FDS_START.
const FIRST: RawFd = 3;

/// What the program inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Descriptors 3, 4 … 2 + count stay open.
    pub count: u32,
    /// Variables that its environment gets: name, value.
    pub variables: Vec<(String, String)>,
}

/// What the caller says, as strings of the environment and the flag.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer<'a> {
    /// `LISTEN_FDS`.
    pub listen_fds: Option<&'a str>,
    /// `LISTEN_PID`.
    pub listen_pid: Option<&'a str>,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
}

/// Decides what the program inherits. `pid` is this process, `is_open` tells whether a number names
/// anything (EBADF: it does not).
///
/// `LISTEN_FDS` that is no number, or is meant for another process, means nothing, as in
/// sd_listen_fds(3).
pub fn plan(
    offer: Offer<'_>,
    pid: i32,
    is_open: impl Fn(RawFd) -> sys::Result<()>,
) -> Result<Inherited> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let is_ours = number(offer.listen_pid) == u32::try_from(pid).ok();
    let listen = if is_ours {
        number(offer.listen_fds).unwrap_or(0)
    } else {
        0
    };
    let total = offer.preserve_fds;
    for index in 0..listen {
        check(
            index,
            &is_open,
            || format!("unable to stat listen-fd {index} (of {listen})"),
            "LISTEN_FDS",
        )?;
    }
    for index in 0..total {
        let act = || format!("unable to stat preserved-fd {index} (of {total})");
        check(
            listen.saturating_add(index),
            &is_open,
            act,
            "--preserve-fds",
        )?;
    }
    let variable = |name: &str, value: String| (name.to_owned(), value);
    let variables = match listen {
        0 => Vec::new(),
        // The program is 1 in its pid namespace; runc says so even where it has none of its own.
        listen => vec![
            variable("LISTEN_FDS", listen.to_string()),
            variable("LISTEN_PID", "1".to_owned()),
        ],
    };
    Ok(Inherited {
        count: listen + total,
        variables,
    })
}

fn check(
    index: u32,
    is_open: &impl Fn(RawFd) -> sys::Result<()>,
    act: impl Fn() -> String,
    flag: &'static str,
) -> Result<()> {
    let open = match RawFd::try_from(index)
        .ok()
        .and_then(|index| FIRST.checked_add(index))
    {
        Some(fd) => is_open(fd),
        None => Err(sys::Errno(libc::EBADF)),
    };
    open.act(act).map_err(|failure| {
        Failure {
            code: Code::Usage,
            ..failure
        }
        .at(Field::new(flag))
    })
}

/// The first number from 3 on that was not open when the program began; 0 while nobody has looked.
static FIRST_CLOSED: AtomicI32 = AtomicI32::new(0);

/// Looks which descriptors the program was started with, before it opens its own: else one of those
/// could be passed on for one that the caller promised and did not open.
///
/// `any`: whether there is a descriptor 3.
pub fn note_inherited(any: bool) {
    let mut fd = FIRST;
    while any && descriptor::is_open(fd).is_ok() {
        fd += 1;
    }
    FIRST_CLOSED.store(fd, Ordering::Relaxed);
}

/// Whether the caller left this descriptor open: the third argument of [`plan`]. In a library nobody
/// has looked in time, and what is open counts.
pub fn is_open(fd: RawFd) -> sys::Result<()> {
    match FIRST_CLOSED.load(Ordering::Relaxed) {
        0 => descriptor::is_open(fd),
        first if fd < first => Ok(()),
        _ => Err(sys::Errno(libc::EBADF)),
    }
}

/// Init, last before exec: the first `count` after the standard streams survive it. All others are closed
/// by now or close at exec.
pub fn keep(count: u32) -> sys::Result<()> {
    for index in 0..count {
        let fd = RawFd::try_from(index).map_err(|_| sys::Errno(libc::EBADF))?;
        descriptor::keep_at_exec(FIRST + fd)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs;

    /// A process in which descriptors below `end` are open.
    fn open_below(end: RawFd) -> impl Fn(RawFd) -> sys::Result<()> {
        move |fd| {
            if fd < end {
                Ok(())
            } else {
                Err(sys::Errno(libc::EBADF))
            }
        }
    }

    fn offer(fds: &'static str, pid: &'static str, preserve_fds: u32) -> Offer<'static> {
        Offer {
            listen_fds: Some(fds),
            listen_pid: Some(pid),
            preserve_fds,
        }
    }

    #[test]
    fn activated_sockets_come_first_and_the_program_is_told() {
        let inherited = plan(offer("2", "10", 3), 10, open_below(8)).unwrap();
        assert_eq!(inherited.count, 5);
        let told = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            inherited.variables,
            [told("LISTEN_FDS", "2"), told("LISTEN_PID", "1")]
        );
    }

    #[test]
    fn sockets_for_another_process_and_words_that_are_no_number_mean_nothing() {
        for offer in [
            offer("2", "11", 0),
            offer("two", "10", 0),
            offer("-1", "10", 0),
            offer("2", "", 0),
            Offer::default(),
        ] {
            assert_eq!(
                plan(offer, 10, open_below(3)).unwrap(),
                Inherited::default()
            );
        }
    }

    #[test]
    fn a_descriptor_that_is_not_there_is_refused() {
        let error = |offer| plan(offer, 10, open_below(4)).unwrap_err().to_string();
        assert_eq!(
            error(offer("", "", 2)),
            "--preserve-fds: unable to stat preserved-fd 1 (of 2): bad file descriptor"
        );
        assert_eq!(
            error(offer("1", "10", 1)),
            "--preserve-fds: unable to stat preserved-fd 0 (of 1): bad file descriptor"
        );
        assert_eq!(
            error(offer("2", "10", 0)),
            "LISTEN_FDS: unable to stat listen-fd 1 (of 2): bad file descriptor"
        );
        assert!(plan(offer("4294967295", "10", u32::MAX), 10, open_below(4)).is_err());
    }

    #[test]
    fn kept_descriptors_survive_exec() {
        use crate::sys::spawn::fork_for_test;
        use nix::fcntl::{FcntlArg, FdFlag, fcntl};
        let child = fork_for_test(|| {
            let null = fs::openat(fs::AT_FDCWD, c"/dev/null", libc::O_RDONLY, 0).unwrap();
            for fd in [3, 4] {
                descriptor::dup_onto(null, fd).unwrap();
                fcntl(
                    descriptor::borrow(&fd),
                    FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC),
                )
                .unwrap();
            }
            keep(2).unwrap();
            let stays =
                |fd: RawFd| std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
            // Octal 02000000 in the flags line is O_CLOEXEC.
            i32::from([3, 4].into_iter().all(|fd| !stays(fd).contains("02100000")))
        });
        assert_eq!(crate::sys::process::wait_pidfd(child.pidfd).unwrap(), 1);
        fs::close(child.pidfd);
    }
}
