//! Directories, knobs and modules of the host.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::{Circumstances, Outcome, Target};
use crate::host::{CAP_SYS_ADMIN, Own};
use crate::state::root::in_user_namespace;
use crate::state::{Program, Root};
use crate::sys::process;

pub(super) fn is_privileged() -> bool {
    let own = Own::probe();
    own.is_ok_and(|own| own.has(CAP_SYS_ADMIN)) && !in_user_namespace()
}

/// A file of /proc/sys; None where there is no such knob.
fn knob(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn number(name: &str) -> Option<u64> {
    knob(name)?.parse().ok()
}

pub(super) fn security(_: &Circumstances) -> Outcome {
    match std::fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(list)
            if ["apparmor", "selinux"]
                .iter()
                .any(|name| list.contains(name)) =>
        {
            Outcome::works(list.trim())
        }
        Ok(list) => Outcome::lacks(format!(
            "neither AppArmor nor SELinux among {}",
            list.trim()
        )),
        Err(_) if crate::host::has_apparmor() => Outcome::works("apparmor"),
        Err(_) if crate::host::has_selinux() => Outcome::works("selinux"),
        Err(error) => Outcome::lacks(format!("/sys/kernel/security/lsm: {error}")),
    }
}

/// A directory made and removed where the state of containers goes.
pub(super) fn run(_: &Circumstances) -> Outcome {
    let root = Root::default_of(Program::Corten);
    let parent = root.path().parent().unwrap_or(Path::new("/run"));
    let trial = parent.join(format!(".corten-doctor-{}", process::getpid()));
    let tried = std::fs::create_dir(&trial).and_then(|()| std::fs::remove_dir(&trial));
    match tried {
        Ok(()) => Outcome::works(format!("{} can be written", parent.display())),
        Err(error) => Outcome::lacks(format!("{}: {error}", parent.display())),
    }
}

/// Where state and images are, and how much is free there.
pub(super) fn room(circumstances: &Circumstances) -> Outcome {
    let images = match circumstances.target {
        Target::Docker => "/var/lib/docker",
        Target::Podman => "/var/lib/containers",
        Target::Kubernetes => "/var/lib/containerd",
        Target::Corten | Target::Rootless => "/var/lib",
    };
    let mut narrow = Vec::new();
    let mut seen = Vec::new();
    for path in ["/run", images] {
        let path = existing(Path::new(path));
        let Ok(found) = statvfs(&path) else {
            continue;
        };
        let (all, free) = (found.files(), found.files_available());
        let (blocks, available) = (found.blocks(), found.blocks_available());
        // Filesystems without a table of inodes say 0.
        for (what, all, free) in [("inodes", all, free), ("space", blocks, available)] {
            if all > 0 && u128::from(free) * 20 < u128::from(all) {
                narrow.push(format!(
                    "less than 5% of the {what} of {} is free",
                    path.display()
                ));
            }
        }
        seen.push(path.display().to_string());
    }
    if narrow.is_empty() {
        Outcome::works(format!("enough on {}", seen.join(" and ")))
    } else {
        Outcome::doubt(narrow.join("; "))
    }
}

/// The path, or the nearest above it that is there.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.exists());
    found.unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn ip_forward(circumstances: &Circumstances) -> Outcome {
    match knob("net.ipv4.ip_forward").as_deref() {
        Some("1") => Outcome::works("on"),
        // dockerd switches it on itself.
        Some(_) if circumstances.target == Target::Docker => {
            Outcome::doubt("off; dockerd switches it on unless it is told not to")
        }
        _ => Outcome::lacks("off"),
    }
}

pub(super) fn swap(_: &Circumstances) -> Outcome {
    let text = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    // Below a heading.
    let names: Vec<&str> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    match names.is_empty() {
        true => Outcome::works("none"),
        false => Outcome::doubt(format!("on {}", names.join(", "))),
    }
}

pub(super) fn bridge(_: &Circumstances) -> Outcome {
    match knob("net.bridge.bridge-nf-call-iptables").as_deref() {
        Some("1") => Outcome::works("on"),
        Some(_) => Outcome::lacks("off"),
        None => Outcome::lacks("the module br_netfilter is not loaded"),
    }
}

/// core(5): a pipe to a program of the host, or a name in the container.
pub(super) fn core_pattern(_: &Circumstances) -> Outcome {
    let Some(pattern) = knob("kernel.core_pattern") else {
        return Outcome::lacks("it cannot be read");
    };
    let Some(program) = pattern.strip_prefix('|') else {
        return Outcome::works(format!("{pattern:?}, a file in the container"));
    };
    let program = program.split(' ').next().unwrap_or_default();
    if Path::new(program).exists() {
        Outcome::works(format!("{program}, a program of the host"))
    } else {
        Outcome::doubt(format!("a pipe to {program}, which is not there"))
    }
}

pub(super) fn inotify(_: &Circumstances) -> Outcome {
    /// The kernel's default is 128, for all containers of a user together.
    const ENOUGH: u64 = 256;
    at_least("fs.inotify.max_user_instances", ENOUGH)
}

/// Root's keys have a knob of their own.
pub(super) fn keys(circumstances: &Circumstances) -> Outcome {
    const ENOUGH: u64 = 200;
    if circumstances.target == Target::Rootless {
        return at_least("kernel.keys.maxkeys", ENOUGH);
    }
    at_least("kernel.keys.root_maxkeys", ENOUGH)
}

fn at_least(name: &'static str, enough: u64) -> Outcome {
    match number(name) {
        Some(found) if found < enough => {
            let mend = format!("sysctl -w {name}={}", enough * 4);
            Outcome::Doubt(format!("{name} = {found}"), Some(mend))
        }
        Some(found) => Outcome::works(format!("{name} = {found}")),
        None => Outcome::works("the kernel has no such limit"),
    }
}
