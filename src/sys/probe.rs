//! A trial in a child: what it changes (namespaces, mounts, a filter, its ids) is gone with it.

use std::os::fd::RawFd;
use std::time::Duration;

use super::poll::{Deadline, wait_readable};
use super::process::{self, Clone3, Cloned};
use super::{Errno, Result, descriptor, fs};

/// No trial takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `act` in a child, perhaps born in a cgroup (of which a directory is given), and returns what it returned.
/// EOWNERDEAD if the child died of something else, ETIMEDOUT if it did not come back.
///
/// `act` makes system calls and nothing else: another thread of the caller may have held any lock.
pub fn in_child(cgroup: Option<RawFd>, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let answer = descriptor::pipe()?;
    // SAFETY: the child runs `act`, which is promised to make system calls only, and leaves by _exit.
    let cloned = unsafe { process::clone3(Clone3 { flags: 0, cgroup }) };
    let pidfd = match cloned {
        Ok(Cloned::Child) => {
            fs::close(answer.read);
            let result = process::set_parent_death_signal(libc::SIGKILL).and_then(|()| act());
            let errno = result.err().map_or(0, |errno| errno.0);
            // A parent that does not read any more does not want to know.
            descriptor::write_all(answer.write, &errno.to_ne_bytes()).ok();
            process::exit_now(0)
        }
        Ok(Cloned::Parent { pidfd, .. }) => pidfd,
        Err(errno) => {
            fs::close(answer.read);
            fs::close(answer.write);
            return Err(errno);
        }
    };
    fs::close(answer.write);
    let told = read_answer(answer.read);
    if told.is_err() {
        // One that has ended already is what we want.
        process::pidfd_send_signal(pidfd, libc::SIGKILL).ok();
    }
    let ended = process::wait_pidfd(pidfd);
    fs::close(answer.read);
    fs::close(pidfd);
    ended?;
    match told? {
        0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

fn read_answer(pipe: RawFd) -> Result<i32> {
    wait_readable(pipe, Deadline::after(PATIENCE))?;
    let mut errno = [0; 4];
    match fs::read(pipe, &mut errno)? {
        4 => Ok(i32::from_ne_bytes(errno)),
        _ => Err(Errno(libc::EOWNERDEAD)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_found_comes_back() {
        assert_eq!(in_child(None, || Ok(())), Ok(()));
        let refused = in_child(None, || Err(Errno(libc::ENOSPC)));
        assert_eq!(refused, Err(Errno(libc::ENOSPC)));
        let died = in_child(None, || process::exit_now(1));
        assert_eq!(died, Err(Errno(libc::EOWNERDEAD)));
    }

    #[test]
    fn what_a_child_changes_is_gone_with_it() {
        let before = fs::getcwd(&mut [0; 4096]).unwrap().to_vec();
        in_child(None, || fs::chdir(c"/proc")).unwrap();
        assert_eq!(fs::getcwd(&mut [0; 4096]).unwrap(), before);
    }
}
