//! The number a system call failed with, and its text as Go prints it.

use std::fmt;

/// errno(3). Displays as Go's syscall package does (`no such file or directory`): engines match on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The errno of the call that failed last on this thread.
    pub fn last() -> Self {
        Self(nix::errno::Errno::last_raw())
    }

    /// Whether it speaks of the machine's state, not of what was asked for: no answer to a question
    /// whether something is there.
    pub const fn is_of_the_machine(self) -> bool {
        matches!(
            self.0,
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EIO | libc::EAGAIN
        )
    }

    /// The text as Go prints it, but for capital letters in what is not in the table; none if nobody knows the number.
    pub fn text(self) -> Option<&'static str> {
        let known = GO_TEXTS.iter().find(|(number, _)| *number == self.0);
        let errno = nix::errno::Errno::from_raw(self.0);
        let described = (errno != nix::errno::Errno::UnknownErrno).then(|| errno.desc());
        known.map(|(_, text)| *text).or(described)
    }

    /// The symbolic name: `ENOENT`.
    pub fn name(self) -> String {
        format!("{:?}", nix::errno::Errno::from_raw(self.0))
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        Self(errno as i32)
    }
}

/// Texts in which Go and nix differ by more than the case of letters.
const GO_TEXTS: &[(i32, &str)] = &[
    (libc::EIO, "input/output error"),
    (libc::ENXIO, "no such device or address"),
    (libc::ENOTBLK, "block device required"),
    (libc::EXDEV, "invalid cross-device link"),
    (libc::ENFILE, "too many open files in system"),
    (libc::ENOTTY, "inappropriate ioctl for device"),
    (libc::EDOM, "numerical argument out of domain"),
    (libc::ERANGE, "numerical result out of range"),
    (libc::EDEADLK, "resource deadlock avoided"),
    (libc::ENAMETOOLONG, "file name too long"),
    (libc::ENOLCK, "no locks available"),
    (libc::ELOOP, "too many levels of symbolic links"),
    (libc::EUSERS, "too many users"),
    (libc::EOVERFLOW, "value too large for defined data type"),
    (libc::EAGAIN, "resource temporarily unavailable"),
    (libc::EDQUOT, "disk quota exceeded"),
    (libc::ENODEV, "no such device"),
    (libc::EROFS, "read-only file system"),
    (libc::EBUSY, "device or resource busy"),
    (libc::ETIMEDOUT, "connection timed out"),
    (libc::ENOTSUP, "operation not supported"),
    (libc::ENOSYS, "function not implemented"),
    (libc::ESRCH, "no such process"),
    (libc::EMFILE, "too many open files"),
    (libc::ENOSPC, "no space left on device"),
    (libc::EBADF, "bad file descriptor"),
    (libc::EBADMSG, "bad message"),
    (libc::ENODATA, "no data available"),
    (libc::ESTALE, "stale file handle"),
    (libc::ETIME, "timer expired"),
    (
        libc::EILSEQ,
        "invalid or incomplete multibyte or wide character",
    ),
    (libc::ENETRESET, "network dropped connection on reset"),
    (libc::ENOMEM, "cannot allocate memory"),
];

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(&text.to_lowercase()),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_that_engines_match_on() {
        for (errno, text) in [
            (libc::ENOENT, "no such file or directory"),
            (libc::EACCES, "permission denied"),
            (libc::EPERM, "operation not permitted"),
            (libc::EISDIR, "is a directory"),
            (libc::ENOTDIR, "not a directory"),
            (libc::EINVAL, "invalid argument"),
            (libc::EEXIST, "file exists"),
            (libc::ENOEXEC, "exec format error"),
            (libc::E2BIG, "argument list too long"),
            (libc::ESRCH, "no such process"),
            (libc::ENOMEM, "cannot allocate memory"),
            (libc::EBADF, "bad file descriptor"),
        ] {
            assert_eq!(Errno(errno).to_string(), text);
        }
    }
}
