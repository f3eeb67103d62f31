//! Which process is ours: a number alone is not an identity, because the kernel gives it out again.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Act, Code, Failure, Result};
use crate::sys::{self, Errno, Pidfd, fs};

/// A process that was found alive, held so that signals reach it and no other.
#[derive(Debug)]
pub struct Process {
    /// Its number in our pid namespace.
    pub pid: libc::pid_t,
    pidfd: Pidfd,
}

impl Process {
    /// The process with this number, if it still is the one that began at `start_time`. None if it
    /// has ended, zombies included.
    pub fn find(pid: libc::pid_t, start_time: u64) -> Result<Option<Self>> {
        let pidfd = match Pidfd::open(pid) {
            Ok(pidfd) => pidfd,
            Err(Errno(libc::ESRCH)) => return Ok(None),
            Err(errno) => return Err(Failure::system(format!("cannot open process {pid}"), errno)),
        };
        // Looked at after the descriptor is held: if it is ours now, the descriptor is of ours.
        Ok(is_alive(pid, start_time)?.then_some(Self { pid, pidfd }))
    }

    /// Sends a signal. A process that has ended in the meantime is the failure callers match on.
    pub fn signal(&self, signal: i32) -> Result<()> {
        match self.pidfd.signal(signal) {
            Err(Errno(libc::ESRCH)) => Err(not_running()),
            sent => sent.act(|| format!("cannot send signal {signal} to process {}", self.pid)),
        }
    }

    /// Waits until the process has ended: true; or until the time is over: false.
    pub fn ended_within(&self, time: Duration) -> Result<bool> {
        readable_within(self.pidfd.as_fd(), PollFlags::POLLIN, time)
            .act(|| format!("cannot wait for process {}", self.pid))
    }

    /// The descriptor.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The number, in our pid namespace, of the process behind a descriptor of it.
pub fn pid_of(pidfd: BorrowedFd<'_>) -> Result<libc::pid_t> {
    let act = || "cannot tell the number of a process";
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).act(act)?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    number
        .and_then(|number| number.trim().parse().ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(|| Failure::system(act(), Errno(libc::ESRCH)))
}

/// `container not running`, word for word what engines match on.
pub fn not_running() -> Failure {
    Failure::new(Code::State, "container not running")
}

/// poll(2) on one descriptor with a deadline that EINTR does not move.
pub fn readable_within(fd: BorrowedFd<'_>, events: PollFlags, time: Duration) -> sys::Result<bool> {
    let deadline = Instant::now().checked_add(time);
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            // Rounded up, or the last millisecond would be a busy loop.
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut [PollFd::new(fd, events)], timeout) {
            Ok(0) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether the process with this number began at `start_time` and has not ended.
pub fn is_alive(pid: libc::pid_t, start_time: u64) -> Result<bool> {
    Ok(stat(pid)?.is_some_and(|stat| stat.start_time == start_time && !stat.ended))
}

/// The start time of a process, for the record; None if it is gone.
pub fn start_time(pid: libc::pid_t) -> Result<Option<u64>> {
    Ok(stat(pid)?.map(|stat| stat.start_time))
}

/// The start time of the process whose directory in procfs this is; None if it is gone.
pub fn start_time_at(directory: BorrowedFd<'_>) -> Result<Option<u64>> {
    let stat = stat_at(directory.as_raw_fd(), c"stat", || {
        "cannot read a process's stat".to_owned()
    });
    Ok(stat?.map(|stat| stat.start_time))
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    start_time: u64,
    /// Zombie or dead: it runs no more, but nobody has waited for it.
    ended: bool,
}

fn stat(pid: libc::pid_t) -> Result<Option<Stat>> {
    let path = CString::new(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat_at(fs::AT_FDCWD, &path, || {
        format!("cannot read /proc/{pid}/stat")
    })
}

fn stat_at(directory: RawFd, path: &CStr, act: impl Fn() -> String) -> Result<Option<Stat>> {
    let mut text = [0; 1024];
    let length = match fs::read_small(directory, path, &mut text) {
        // The process ended between two calls, or before the first.
        Err(Errno(libc::ENOENT | libc::ESRCH)) => return Ok(None),
        length => length.act(&act)?,
    };
    parse_stat(&text[..length])
        .map(Some)
        .ok_or_else(|| Failure::new(Code::System, act()).because("unknown format"))
}

/// proc_pid_stat(5). The name, field 2, may hold anything, so fields are counted from its last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&text[after_name..])
        .ok()?
        .split_ascii_whitespace();
    let state = fields.next()?;
    let start_time = fields.nth(22 - 4)?.parse().ok()?;
    Some(Stat {
        start_time,
        ended: matches!(state, "Z" | "X" | "x"),
    })
}

/// linux/magic.h.
const TMPFS: i64 = 0x0102_1994;

/// What a record in this directory says of the boot: its id, or nothing on a tmpfs, which no other boot sees.
pub fn boot_id_for(directory: BorrowedFd<'_>) -> Result<String> {
    match fs::filesystem_magic(directory.as_raw_fd()) {
        Ok(TMPFS) => Ok(String::new()),
        _ => boot_id().map(str::to_owned),
    }
}

/// Whether a record that says this was written in this boot.
pub fn is_of_this_boot(written: &str) -> Result<bool> {
    Ok(written.is_empty() || written == boot_id()?)
}

/// The id of this boot. Read once: it cannot change while we live.
pub fn boot_id() -> Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT_ID.get() {
        return Ok(id);
    }
    let mut text = [0; 64];
    let length = fs::read_small(fs::AT_FDCWD, c"/proc/sys/kernel/random/boot_id", &mut text);
    let length = length.act(|| "cannot read /proc/sys/kernel/random/boot_id")?;
    let id = String::from_utf8_lossy(text[..length].trim_ascii_end());
    Ok(BOOT_ID.get_or_init(|| id.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let rest = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        for name in ["a", "a) S 9 (b", ") Z"] {
            let stat = parse_stat(format!("12 ({name}) {rest}").as_bytes()).unwrap();
            assert_eq!(
                stat,
                Stat {
                    start_time: 4711,
                    ended: false
                }
            );
        }
        assert_eq!(parse_stat(b"12 (a) S 1"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn the_number_of_a_session_is_no_process() {
        // The leader ends and is waited for; its session goes on.
        let script = "exec 2>/dev/null; setsid sh -c 'echo $$; sleep 10 >/dev/null & echo $!'";
        let done = std::process::Command::new("sh")
            .args(["-c", script])
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let mut pids = text
            .lines()
            .map(|line| line.parse::<libc::pid_t>().unwrap());
        let (leader, member) = (pids.next().unwrap(), pids.next().unwrap());
        assert!(Process::find(leader, 1).unwrap().is_none());
        let began = start_time(member).unwrap().unwrap();
        let member = Process::find(member, began).unwrap().unwrap();
        member.signal(libc::SIGKILL).unwrap();
    }

    #[test]
    fn a_process_is_alive_until_it_has_ended_even_if_nobody_waits_for_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = libc::pid_t::try_from(child.id()).unwrap();
        let began = start_time(pid).unwrap().unwrap();
        let process = Process::find(pid, began).unwrap().unwrap();
        assert!(
            Process::find(pid, began + 1).unwrap().is_none(),
            "another one with its number"
        );
        assert!(!process.ended_within(Duration::ZERO).unwrap());
        process.signal(libc::SIGKILL).unwrap();
        assert!(process.ended_within(Duration::from_secs(10)).unwrap());
        assert!(!is_alive(pid, began).unwrap(), "a zombie");
        child.wait().unwrap();
        assert!(Process::find(pid, began).unwrap().is_none());
        assert_eq!(
            process.signal(0).unwrap_err().to_string(),
            "container not running"
        );
    }
}
