//! Cgroup v2: where it is, what it offers, and what can be done in a cgroup of one's own.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Circumstances, Outcome, words};
use crate::cgroups::plan::resolve_path;
use crate::cgroups::{CgroupHost, CgroupPath, DeviceFilter, Enable, Layout, freeze, remove, run};
use crate::error::Result;
use crate::sys::probe::in_child;
use crate::sys::{bpf, cgroup, descriptor, process};

/// No trial takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name of the probe on which the others of this file depend.
pub(super) const OWN: &str = "cgroup of its own";

/// A cgroup that exists for the time of the trials.
pub(super) struct Trial {
    host: CgroupHost,
    /// Why there is none, where none can be made.
    made: Result<Made, String>,
}

struct Made {
    mount: OwnedFd,
    path: CgroupPath,
    above: Vec<CgroupPath>,
    directory: OwnedFd,
}

impl Trial {
    /// Makes it where a container's would be: beside our own, or at the top for root.
    pub(super) fn make() -> Result<Self, String> {
        let host = CgroupHost::probe(None, DeviceFilter::Enforced)
            .and_then(CgroupHost::with_holders)
            .map_err(|failure| failure.to_string())?;
        let made = make(&host).map_err(|failure| failure.to_string());
        Ok(Self { host, made })
    }

    /// Removes it, and says why that cannot be done.
    pub(super) fn end(self) -> Result<()> {
        let Ok(made) = self.made else { return Ok(()) };
        let deadline = Instant::now() + PATIENCE;
        let removed = remove::remove(made.mount.as_fd(), &made.path, deadline);
        run::unmake(made.mount.as_fd(), &made.above);
        removed
    }
}

fn make(host: &CgroupHost) -> Result<Made> {
    let name = format!("corten-doctor-{}", process::getpid());
    let absolute = format!("/{name}");
    let wanted = if nix::unistd::geteuid().is_root() {
        absolute
    } else {
        name
    };
    let path = resolve_path(Some(&wanted), "", host.own.as_deref())?;
    let mount = run::open_mount(&host.mount)?;
    let enable = |controller: &String| Enable {
        controller: controller.clone(),
        asked_by: None,
    };
    let enable: Vec<Enable> = host.controllers.iter().map(enable).collect();
    let created = run::create(mount.as_fd(), &path, &enable)?;
    Ok(Made {
        mount,
        path,
        above: created.made,
        directory: created.dir,
    })
}

/// A probe of something that only a cgroup of one's own can show.
fn inside(
    circumstances: &Circumstances,
    look: impl FnOnce(&CgroupHost, BorrowedFd<'_>) -> Outcome,
) -> Outcome {
    match &circumstances.trial {
        Ok(Trial {
            host,
            made: Ok(made),
        }) => look(host, made.directory.as_fd()),
        // Said once, where it belongs.
        _ => {
            let mend = format!("as for {OWN:?}");
            Outcome::Lacks(format!("it takes a {OWN}"), Some(mend))
        }
    }
}

pub(super) fn layout(circumstances: &Circumstances) -> Outcome {
    match &circumstances.trial {
        Err(why) => Outcome::lacks(why.clone()),
        Ok(trial) => match trial.host.layout {
            Layout::Unified => Outcome::works(format!("at {}", trial.host.mount.display())),
            Layout::Hybrid => Outcome::doubt(format!(
                "at {}, beside hierarchies of version 1: what they hold cannot be limited",
                trial.host.mount.display()
            )),
        },
    }
}

pub(super) fn own(circumstances: &Circumstances) -> Outcome {
    match &circumstances.trial {
        Err(why) => Outcome::lacks(why.clone()),
        Ok(Trial { made: Err(why), .. }) => Outcome::lacks(why.clone()),
        Ok(trial) => {
            let mount = trial.host.mount.display();
            Outcome::works(format!("made and removed below {mount}"))
        }
    }
}

pub(super) fn clone_into(circumstances: &Circumstances) -> Outcome {
    inside(circumstances, |_, directory| {
        Outcome::of(in_child(Some(directory.as_raw_fd()), || Ok(())))
    })
}

/// A process that waits, in the cgroup of the trial.
fn with_process(directory: BorrowedFd<'_>, act: impl FnOnce() -> Result<()>) -> Result<()> {
    use crate::error::Act;
    let (pid, pidfd) = process::clone_to_wait(0).act(|| "cannot start a process")?;
    let pidfd = descriptor::owned(pidfd);
    let acted = run::join(directory, pid).and_then(|()| act());
    // It may have been killed by the trial, which is what was to be shown.
    process::pidfd_send_signal(pidfd.as_raw_fd(), libc::SIGKILL).ok();
    process::wait_pidfd(pidfd.as_raw_fd()).act(|| "cannot wait for a process")?;
    acted
}

fn told(result: Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::works("works"),
        Err(failure) => Outcome::lacks(words(failure)),
    }
}

pub(super) fn kill(circumstances: &Circumstances) -> Outcome {
    inside(circumstances, |_, directory| {
        told(with_process(directory, || {
            remove::kill(directory)?;
            remove::wait_empty(directory, Instant::now() + PATIENCE)
        }))
    })
}

pub(super) fn freeze(circumstances: &Circumstances) -> Outcome {
    inside(circumstances, |_, directory| {
        told(with_process(directory, || {
            freeze::freeze(directory, Instant::now() + PATIENCE)?;
            freeze::thaw(directory)
        }))
    })
}

/// A program that allows everything, attached, and taken away with the cgroup.
pub(super) fn devices(circumstances: &Circumstances) -> Outcome {
    // BPF_ALU64 | BPF_MOV of 1 to the register of the answer; BPF_EXIT. struct bpf_insn in the order of this machine.
    let mov = u64::from_ne_bytes([0xb7, 0, 0, 0, 0, 0, 0, 0]) | constant(1);
    let exit = u64::from_ne_bytes([0x95, 0, 0, 0, 0, 0, 0, 0]);
    inside(circumstances, |_, directory| {
        let program = match bpf::load_device_program(c"corten_doctor", &[mov, exit]) {
            Ok(program) => program,
            Err(refused) => return Outcome::lacks(refused.errno.to_string()),
        };
        let attached = bpf::attach_device_program(directory, program.as_fd());
        Outcome::of(attached.and_then(|()| bpf::detach_device_program(directory, program.as_fd())))
    })
}

/// The last four bytes of an instruction.
fn constant(number: i32) -> u64 {
    let mut bytes = [0; 8];
    bytes[4..].copy_from_slice(&number.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

pub(super) fn cpu(circumstances: &Circumstances) -> Outcome {
    controller(circumstances, "cpu")
}

pub(super) fn cpuset(circumstances: &Circumstances) -> Outcome {
    controller(circumstances, "cpuset")
}

pub(super) fn memory(circumstances: &Circumstances) -> Outcome {
    let found = controller(circumstances, "memory");
    let counts_swap = inside(circumstances, |_, directory| {
        has(directory, "memory.swap.max")
    });
    match (found, counts_swap) {
        (Outcome::Works(_), Outcome::Lacks(..)) => Outcome::Doubt(
            "swap is not limited".to_owned(),
            Some("boot with swapaccount=1".to_owned()),
        ),
        (found, _) => found,
    }
}

pub(super) fn io(circumstances: &Circumstances) -> Outcome {
    controller(circumstances, "io")
}

pub(super) fn pids(circumstances: &Circumstances) -> Outcome {
    controller(circumstances, "pids")
}

/// There if the cgroup of the trial has it: all above it hand it down.
fn controller(circumstances: &Circumstances, name: &str) -> Outcome {
    inside(circumstances, |host, directory| {
        let given = cgroup::read_value(directory, c"cgroup.controllers").unwrap_or_default();
        if given.split_ascii_whitespace().any(|given| given == name) {
            return Outcome::works("handed down to a container's cgroup");
        }
        if let Some(held) = host.held_by(name) {
            return Outcome::lacks(format!(
                "the hierarchy of version 1 at {} holds it",
                held.mount
            ));
        }
        if host.has(name) {
            let mend = "systemd: Delegate=yes for the unit; else write +NAME to cgroup.subtree_control above";
            return Outcome::Lacks("it is not handed down".to_owned(), Some(mend.to_owned()));
        }
        let list = host.mount.join("cgroup.controllers");
        Outcome::lacks(format!("{} does not list it", list.display()))
    })
}

pub(super) fn pressure(circumstances: &Circumstances) -> Outcome {
    if !Path::new("/proc/pressure").exists() {
        return Outcome::lacks("the kernel does not count it");
    }
    inside(circumstances, |_, directory| {
        has(directory, "memory.pressure")
    })
}

fn has(directory: BorrowedFd<'_>, file: &str) -> Outcome {
    let name = CString::new(file).unwrap_or_default();
    Outcome::of(cgroup::read_value(directory, &name).map(|_| ()))
}
