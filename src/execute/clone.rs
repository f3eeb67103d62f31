//! The clone: on one side the runtime goes on, on the other init begins.

use std::os::fd::{OwnedFd, RawFd};

use super::init::{self, Setting};
use crate::plan::Plan;
use crate::sys::process::{Clone3, Cloned, clone3};
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
