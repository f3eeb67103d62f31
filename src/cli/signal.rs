//! Signals by name or number, as kill(1) and engines write them.

use crate::error::{Code, Failure, Result};

/// signal(7), without the prefix SIG; those with two names have both.
const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("UNUSED", libc::SIGSYS),
];

/// The first real-time signal as the C library counts: it keeps 32 and 33 for itself.
const RTMIN: i32 = 34;
/// The last signal of the kernel.
const RTMAX: i32 = 64;

/// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`, `SIGRTMAX-1`; numbers up to 64. 0 asks the
/// kernel whether the process is there.
pub fn parse(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = match upper.parse::<i32>() {
        Ok(number) => Some(number),
        Err(_) => NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
            .or_else(|| real_time(name)),
    };
    number
        .filter(|number| (0..=RTMAX).contains(number))
        .ok_or_else(|| Failure::new(Code::Usage, format!("unknown signal {text:?}")))
}

fn real_time(name: &str) -> Option<i32> {
    let (base, offset) = match name.strip_prefix("RTMIN") {
        Some(offset) => (RTMIN, offset),
        None => (RTMAX, name.strip_prefix("RTMAX")?),
    };
    let number = match offset {
        "" => base,
        // `+3` and `-1`, but not `3`.
        _ if offset.starts_with(['+', '-']) => base.checked_add(offset.parse().ok()?)?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_many_spellings() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("Term", 15),
            ("15", 15),
            ("9", 9),
            ("0", 0),
            ("SIGBUS", 7),
            ("7", 7),
            ("IOT", 6),
            ("SIGRTMIN", 34),
            ("rtmin+3", 37),
            ("SIGRTMIN+30", 64),
            ("RTMAX", 64),
            ("SIGRTMAX-14", 50),
            ("37", 37),
            ("64", 64),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_named() {
        for text in [
            "",
            "SIG",
            "FOO",
            "SIGSIGTERM",
            "-9",
            "65",
            "RTMIN+31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN3",
            "9x",
        ] {
            assert_eq!(
                parse(text).unwrap_err().to_string(),
                format!("unknown signal {text:?}")
            );
        }
    }
}
