//! What to tell when a hook has failed.
//!
//! A hook that Init ran fails in another process than the one that tells, perhaps under a `start`
//! that knows no more than the hook's name: Init says the cause, whole, in the words of [`words`].

use super::plan::PreparedHook;
use super::run::Ended;
use super::tail::Tail;
use crate::error::{Cause, Code, Failure};
use crate::sys::spawn::{SpawnError, Spawned, Stage};
use crate::sys::{Errno, decimal};

/// Room for the words of [`words`].
pub const WORDS: usize = 248;

/// The status of who was killed by a system call filter.
const BAD_SYSTEM_CALL: i32 = 128 + libc::SIGSYS;

/// Says that the hook was killed at its timeout.
const LATE: Errno = Errno(libc::ETIMEDOUT);

/// What to tell the user: `hooks.createRuntime[0]: error running createRuntime hook #0: hook /path exited
/// with status 3: what it printed last`.
pub fn failure(hook: &PreparedHook, ended: Spawned<Ended>, tail: &Tail) -> Failure {
    let path = hook.path.to_string_lossy();
    let told = |act: String| told(hook, act, tail.text().map(Cause::Text));
    match ended {
        Ok(Ended::Status(status @ BAD_SYSTEM_CALL)) => told(format!(
            "hook {path} exited with status {status} (bad system call)"
        )),
        Ok(Ended::Status(status)) => told(format!("hook {path} exited with status {status}")),
        Ok(Ended::Late) => told(late(hook)),
        Ok(Ended::Interrupted(signal)) => told(format!(
            "hook {path} was ended by signal {signal} to the runtime"
        )),
        Err(error) => not_started(hook, error),
    }
}

fn told(hook: &PreparedHook, act: String, cause: Option<Cause>) -> Failure {
    let act = format!("error running {}: {act}", hook.title);
    Failure {
        cause,
        ..Failure::new(Code::Hook, act).at(hook.field.clone())
    }
}

fn late(hook: &PreparedHook) -> String {
    let seconds = hook.timeout.unwrap_or_default().as_secs();
    format!(
        "hook {} did not end within {seconds} s",
        hook.path.to_string_lossy()
    )
}

fn not_started(hook: &PreparedHook, error: SpawnError) -> Failure {
    if error.errno == LATE {
        return told(hook, late(hook), None);
    }
    let path = hook.path.to_string_lossy();
    let act = match error.stage {
        Stage::Join => format!("cannot join the namespaces of the container for hook {path}"),
        Stage::Chdir => format!(
            "cannot enter {} for hook {path}",
            hook.cwd.to_string_lossy()
        ),
        Stage::Exec => format!("cannot execute hook {path}"),
        Stage::Clone | Stage::Prepare => format!("cannot run hook {path}"),
    };
    told(hook, act, Some(Cause::Errno(error.errno)))
}

/// Init: the cause of a failure, `exited with status 3: what it printed last`. No words: the errno
/// says it all. Allocates nothing.
pub fn words<'a>(
    hook: &PreparedHook,
    ended: Spawned<Ended>,
    tail: &Tail,
    buffer: &'a mut [u8; WORDS],
) -> (Errno, &'a [u8]) {
    let mut digits = [0; 10];
    let (errno, said): (Errno, [&[u8]; 3]) = match ended {
        Err(error) => return (error.errno, &[]),
        Ok(Ended::Status(status)) => {
            let number = decimal(status.unsigned_abs(), &mut digits);
            let why: &[u8] = match status {
                BAD_SYSTEM_CALL => b" (bad system call)",
                _ => b"",
            };
            (
                Errno(libc::ECANCELED),
                [b"exited with status ", number, why],
            )
        }
        Ok(Ended::Late) => {
            let seconds = hook.timeout.unwrap_or_default().as_secs();
            let seconds = decimal(u32::try_from(seconds).unwrap_or(u32::MAX), &mut digits);
            (LATE, [b"did not end within ", seconds, b" s"])
        }
        Ok(Ended::Interrupted(_)) => (Errno(libc::EINTR), [b"was interrupted", b"", b""]),
    };
    let mut end = 0;
    said.iter().for_each(|part| end = put(buffer, end, part));
    let last = tail.bytes().trim_ascii();
    if !last.is_empty() {
        end = put(buffer, end, b": ");
        let room = buffer.len() - end;
        end = put(buffer, end, &last[last.len().saturating_sub(room)..]);
    }
    (errno, &buffer[..end])
}

/// All but the last words are far shorter than the buffer, and the last are cut to fit.
fn put(buffer: &mut [u8; WORDS], at: usize, bytes: &[u8]) -> usize {
    let end = at + bytes.len();
    buffer[at..end].copy_from_slice(bytes);
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hook;
    use crate::hooks::{Kind, prepare};

    fn said(ended: Spawned<Ended>, printed: &[u8]) -> (Errno, String) {
        let hook = Hook {
            path: "/hook".to_owned(),
            timeout: Some(5),
            ..Hook::default()
        };
        let hook = prepare(&hook, Kind::StartContainer, 1, c"/").unwrap();
        let mut tail = Tail::default();
        tail.push(printed);
        let mut buffer = [0; WORDS];
        let (errno, words) = words(&hook, ended, &tail, &mut buffer);
        (errno, String::from_utf8(words.to_vec()).unwrap())
    }

    #[test]
    fn init_says_the_whole_cause() {
        assert_eq!(
            said(Ok(Ended::Status(255)), b"").1,
            "exited with status 255"
        );
        let (_, words) = said(Ok(Ended::Status(3)), b"no such device\n");
        assert_eq!(words, "exited with status 3: no such device");
        let late = (
            Errno(libc::ETIMEDOUT),
            "did not end within 5 s: working".to_owned(),
        );
        assert_eq!(said(Ok(Ended::Late), b"working"), late);
        let errno = Errno(libc::ENOENT);
        let missing = SpawnError {
            stage: Stage::Exec,
            errno,
        };
        assert_eq!(said(Err(missing), b""), (errno, String::new()));
    }

    #[test]
    fn long_last_words_are_cut_at_the_front() {
        let (_, words) = said(Ok(Ended::Status(1)), &[&[b'x'; 4000][..], b"end"].concat());
        assert_eq!(words.len(), WORDS);
        assert!(words.starts_with("exited with status 1: x") && words.ends_with("xend"));
    }
}
