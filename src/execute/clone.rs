//! The clone: on one side the runtime goes on, on the other init begins.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::init::{self, Setting};
use crate::plan::Plan;
use crate::sys::poll::{self, Deadline};
use crate::sys::process::{self, Clone3, Cloned, clone3};
use crate::sys::{Result, descriptor, fs};

/// A process that was cloned.
#[derive(Debug)]
pub struct Process {
    /// In the runtime's pid namespace.
    pub pid: i32,
    /// Refers to it even after it has ended.
    pub pidfd: OwnedFd,
}

/// The two ends of the control socket.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// The runtime's.
    pub near: RawFd,
    /// Init's.
    pub far: RawFd,
}

/// Starts init on its list. In the child this does not return.
pub fn start(
    plan: &Plan,
    slots: &mut [RawFd],
    control: Control,
    setting: Setting<'_>,
    request: Clone3,
) -> Result<Process> {
    // SAFETY: the child calls init::run, which only makes system calls on memory that the clone copied,
    // and never returns; nothing of the parent's is dropped there.
    match unsafe { clone3(request) }? {
        Cloned::Child => {
            // Else init would hold its own end of stream open.
            fs::close(control.near);
            init::run(plan, slots, control.far, setting)
        }
        Cloned::Parent { pid, pidfd } => Ok(Process {
            pid,
            pidfd: descriptor::owned(pidfd),
        }),
    }
}

/// A child that does nothing, for systemd to begin a scope with. It ends when this is dropped, and with the
/// runtime.
#[derive(Debug)]
pub struct Placeholder(Process);

impl Placeholder {
    /// Begins one.
    pub fn start() -> Result<Self> {
        let runtime = process::getpid();
        // SAFETY: the child only makes system calls and never returns.
        match unsafe { clone3(Clone3::default()) }? {
            Cloned::Parent { pid, pidfd } => Ok(Self(Process {
                pid,
                pidfd: descriptor::owned(pidfd),
            })),
            Cloned::Child => wait_for_the_end(runtime),
        }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.0.pid
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        let pidfd = self.0.pidfd.as_raw_fd();
        // It may have been killed by somebody else, and then it is what it should be.
        process::pidfd_send_signal(pidfd, libc::SIGKILL).ok();
        process::wait_pidfd(pidfd).ok();
    }
}

fn wait_for_the_end(runtime: i32) -> ! {
    let watched = process::set_parent_death_signal(libc::SIGKILL);
    while watched.is_ok() && process::getppid() == runtime {
        // Whatever ends the wait, it is the loop that asks whether to go on.
        poll::wait(&mut [], Deadline::NEVER).ok();
    }
    process::exit_now(0)
}

/// Init: clones itself once more, as a child of the runtime. In the one that ends: the pidfd of the one
/// that goes on.
pub fn beside(namespaces: i32) -> Result<Option<RawFd>> {
    let flags = u64::from((namespaces | libc::CLONE_PARENT).cast_unsigned());
    // SAFETY: this is init: it has one thread and only makes system calls, on either side.
    match unsafe {
        clone3(Clone3 {
            flags,
            cgroup: None,
        })
    }? {
        Cloned::Parent { pidfd, .. } => Ok(Some(pidfd)),
        Cloned::Child => Ok(None),
    }
}
