//! A real runtime process, a real program, real terminals. The test plays the user.
//!
//! Signals are a matter of the whole process and the test runner has threads, so each runtime is a
//! fork. Whoever waits, waits against a deadline.

use std::ffi::CString;
use std::os::fd::{AsFd, RawFd};
use std::time::Duration;

use super::*;
use crate::process::terminal::{Terminal, attach, give_plain_newlines, open_terminal};
use crate::sys::descriptor::{Pipe, dup_onto, owned, pipe, write_all};
use crate::sys::exec::{CStringArray, execve};
use crate::sys::fs::{close, openat, read};
use crate::sys::poll::wait_readable;
use crate::sys::process::wait_pidfd;
use crate::sys::pty::{self, WindowSize};
use crate::sys::signal::{LAST, reset};
use crate::sys::spawn::{Child, fork_for_test};

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> i32 {
    let strings = |strings: &[&str]| {
        CStringArray::new(strings.iter().map(|s| CString::new(*s).unwrap()).collect())
    };
    execve(
        c"/bin/sh",
        &strings(&["sh", "-c", script]),
        &strings(&["PATH=/usr/bin:/bin"]),
        None,
    );
    127
}

/// What the runtime does around `supervise`.
struct Run<'a> {
    script: &'a str,
    stop_timeout: Option<Duration>,
    /// A terminal for the program.
    terminal: Option<Terminal>,
}

impl Run<'_> {
    /// In the runtime process: starts the program and stays with it.
    fn supervise(self) -> i32 {
        let signals = Signals::block().unwrap();
        adopt_orphans().unwrap();
        let terminal = self.terminal;
        let program = fork_for_test(|| {
            reset().unwrap();
            if let Some(terminal) = terminal {
                attach(terminal).unwrap();
                close(terminal.slave);
                close(terminal.master);
            }
            shell(self.script)
        });
        if let Some(terminal) = terminal {
            close(terminal.slave);
        }
        let pidfd = owned(program.pidfd);
        let kill_all = || {
            pidfd_send_signal(program.pidfd, libc::SIGKILL).unwrap();
            Ok(())
        };
        let supervised = Supervised {
            pidfd: pidfd.as_fd(),
            pid: program.pid,
            terminal: terminal.map(|terminal| owned(terminal.master)),
            stop_timeout: self.stop_timeout,
            kill_all: &kill_all,
        };
        i32::from(supervise(supervised, &signals).unwrap())
    }
}

fn plain(script: &str) -> Run<'_> {
    Run {
        script,
        stop_timeout: None,
        terminal: None,
    }
}

fn status_of(runtime: Child) -> i32 {
    wait_readable(runtime.pidfd, Deadline::after(LONG)).unwrap();
    let status = wait_pidfd(runtime.pidfd).unwrap();
    close(runtime.pidfd);
    status
}

/// Reads until `wanted` was seen, or to the end if it is empty.
fn read_until(fd: RawFd, wanted: &str) -> String {
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        wait_readable(fd, Deadline::after(LONG)).unwrap();
        match read(fd, &mut bytes) {
            // A master whose slave is closed.
            Ok(0) | Err(Errno(libc::EIO)) => break,
            result => seen.extend_from_slice(&bytes[..result.unwrap()]),
        }
        if !wanted.is_empty() && String::from_utf8_lossy(&seen).contains(wanted) {
            break;
        }
    }
    String::from_utf8(seen).unwrap()
}

/// A terminal of the machine's devpts.
fn terminal() -> Terminal {
    let root = openat(
        crate::sys::fs::AT_FDCWD,
        c"/",
        libc::O_PATH | libc::O_DIRECTORY,
        0,
    )
    .unwrap();
    let terminal = open_terminal(root).unwrap();
    give_plain_newlines(terminal.master).unwrap();
    close(root);
    terminal
}

fn close_both(terminal: Terminal) {
    close(terminal.master);
    close(terminal.slave);
}

#[test]
fn the_status_is_the_programs_or_128_and_its_signal() {
    for (script, status) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -64 $$", 192),
    ] {
        assert_eq!(
            status_of(fork_for_test(|| plain(script).supervise())),
            status,
            "{script}"
        );
    }
}

#[test]
fn signals_reach_the_program_but_for_those_that_are_ours() {
    let Pipe { read: out, write } = pipe().unwrap();
    let script = "trap 'echo usr1' USR1; trap 'echo urg' URG; trap 'echo winch' WINCH
trap 'echo chld' CHLD; trap 'echo last' 64; trap 'exit 42' TERM
echo ready; while :; do read line; done";
    let Pipe {
        read: input,
        write: held,
    } = pipe().unwrap();
    let runtime = fork_for_test(|| {
        dup_onto(input, 0).unwrap();
        dup_onto(write, 1).unwrap();
        plain(script).supervise()
    });
    close(write);
    assert_eq!(read_until(out, "ready\n"), "ready\n");
    // The shell tells pending signals in the order of their numbers: after 64 there is none left.
    let sent = [
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGCHLD,
        libc::SIGUSR1,
        LAST,
    ];
    for signal in sent {
        pidfd_send_signal(runtime.pidfd, signal).unwrap();
    }
    assert_eq!(read_until(out, "last\n"), "usr1\nlast\n");
    pidfd_send_signal(runtime.pidfd, libc::SIGTERM).unwrap();
    assert_eq!(status_of(runtime), 42);
    [out, input, held].into_iter().for_each(close);
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_when_its_grace_is_over() {
    let Pipe { read: out, write } = pipe().unwrap();
    let runtime = fork_for_test(|| {
        dup_onto(write, 1).unwrap();
        let stop_timeout = Some(Duration::from_millis(30));
        Run {
            stop_timeout,
            ..plain("trap '' TERM; echo ready; while :; do sleep 1; done")
        }
        .supervise()
    });
    close(write);
    read_until(out, "ready\n");
    pidfd_send_signal(runtime.pidfd, libc::SIGTERM).unwrap();
    assert_eq!(status_of(runtime), 137);
    close(out);
}

#[test]
fn orphans_are_reaped() {
    let runtime = fork_for_test(|| {
        // The orphan writes its own end, so the program outlives it.
        let status =
            plain("p=$(mktemp -u); mkfifo $p; sh -c \"(: >$p) &\"; : <$p; rm $p; exec sleep 0.1")
                .supervise();
        assert_eq!(status, 0);
        assert_eq!(reap(), Ok(None));
        0
    });
    assert_eq!(status_of(runtime), 0);
}

#[test]
fn a_terminal_is_copied_both_ways_and_the_callers_is_given_back() {
    let (user, container) = (terminal(), terminal());
    pty::set_window_size(
        user.master,
        WindowSize {
            rows: 33,
            columns: 77,
        },
    )
    .unwrap();
    let before = format!("{:?}", pty::modes(user.slave).unwrap());
    let runtime = fork_for_test(|| {
        (0..3).for_each(|stream| dup_onto(user.slave, stream).unwrap());
        close_both(user);
        let script = "tty; stty size; read x; echo got $x; trap 'stty size; exit 5' WINCH; echo ready; while :; do read y; done";
        Run {
            terminal: Some(container),
            ..plain(script)
        }
        .supervise()
    });
    close_both(container);
    let start = read_until(user.master, "33 77");
    assert!(start.starts_with("/dev/pts/"), "{start}");
    let raw = format!("{:?}", pty::modes(user.slave).unwrap());
    assert_ne!(raw, before);
    write_all(user.master, b"hello\r").unwrap();
    // The container's terminal echoes, the caller's does not: once only.
    let answer = read_until(user.master, "ready");
    assert_eq!(answer.matches("hello").count(), 2, "{answer}");
    pty::set_window_size(
        user.master,
        WindowSize {
            rows: 10,
            columns: 20,
        },
    )
    .unwrap();
    pidfd_send_signal(runtime.pidfd, libc::SIGWINCH).unwrap();
    read_until(user.master, "10 20");
    assert_eq!(status_of(runtime), 5);
    assert_eq!(format!("{:?}", pty::modes(user.slave).unwrap()), before);
    close_both(user);
}

#[test]
fn control_c_goes_through_the_terminal_to_the_program() {
    let (user, container) = (terminal(), terminal());
    let runtime = fork_for_test(|| {
        (0..3).for_each(|stream| dup_onto(user.slave, stream).unwrap());
        close_both(user);
        Run {
            terminal: Some(container),
            ..plain("trap 'exit 9' INT; echo ready; while :; do read y; done")
        }
        .supervise()
    });
    close_both(container);
    read_until(user.master, "ready");
    write_all(user.master, b"\x03").unwrap();
    assert_eq!(status_of(runtime), 9);
    close_both(user);
}

#[test]
fn what_a_program_wrote_last_is_not_lost_and_newlines_stay_plain() {
    let container = terminal();
    let Pipe { read: out, write } = pipe().unwrap();
    let runtime = fork_for_test(|| {
        close(out);
        close(0);
        dup_onto(write, 1).unwrap();
        close(write);
        Run {
            terminal: Some(container),
            ..plain("seq 1 30000")
        }
        .supervise()
    });
    close(write);
    close_both(container);
    let expected: String = (1..=30000).map(|number| format!("{number}\n")).collect();
    assert!(read_until(out, "") == expected, "output differs");
    assert_eq!(status_of(runtime), 0);
    close(out);
}

#[test]
fn neither_a_closed_input_nor_an_absent_reader_stops_the_program_or_makes_us_spin() {
    let container = terminal();
    let Pipe { read: out, write } = pipe().unwrap();
    let null = openat(crate::sys::fs::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0).unwrap();
    let runtime = fork_for_test(|| {
        dup_onto(null, 0).unwrap();
        dup_onto(write, 1).unwrap();
        close(write);
        close(out);
        let status = Run {
            terminal: Some(container),
            ..plain("seq 1 30000; exec sleep 0.3")
        }
        .supervise();
        assert!(cpu_time() < Duration::from_millis(150), "the loop spins");
        status
    });
    close(write);
    close(out);
    close(null);
    close_both(container);
    assert_eq!(status_of(runtime), 0);
}

/// Of this process, from /proc/self/stat: fields 14 and 15, in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .skip(11)
        .take(2);
    Duration::from_millis(
        10 * fields
            .map(|field| field.parse::<u64>().unwrap())
            .sum::<u64>(),
    )
}

#[test]
fn a_daemon_that_keeps_the_terminal_open_holds_nobody_up() {
    let container = terminal();
    let Pipe { read: out, write } = pipe().unwrap();
    let runtime = fork_for_test(|| {
        close(0);
        dup_onto(write, 1).unwrap();
        close(write);
        Run {
            terminal: Some(container),
            ..plain("trap '' HUP; setsid sleep 60 & echo $!; exit 3")
        }
        .supervise()
    });
    close(write);
    close_both(container);
    let pid = read_until(out, "");
    assert_eq!(status_of(runtime), 3);
    crate::sys::Pidfd::open(pid.trim().parse().unwrap())
        .unwrap()
        .signal(libc::SIGKILL)
        .unwrap();
    close(out);
}
