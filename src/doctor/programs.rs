//! Programs that engines call, and whether they do what they are called for.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Circumstances, Outcome, words};
use crate::engine::Grants;
use crate::error::{Act, Result};
use crate::namespaces::idmap;
use crate::namespaces::plan::id_maps;
use crate::plan::op::MapWriter;
use crate::state::report::user_name;
use crate::sys::{descriptor, process};

/// No program is waited for longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// An image may have files of any of these.
const ENOUGH_IDS: u64 = 65_536;

/// In PATH, and where administrators' programs are.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).chain(of_administrators);
    let is_program = |path: &PathBuf| {
        let data = path.metadata();
        data.is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    places.map(|place| place.join(name)).find(is_program)
}

fn there(names: &[&str]) -> Outcome {
    match names.iter().find_map(|name| find(name)) {
        Some(path) => Outcome::works(path.display().to_string()),
        None => Outcome::lacks(format!("{} is not in PATH", names.join(" or "))),
    }
}

pub(super) fn apparmor(_: &Circumstances) -> Outcome {
    if !crate::host::has_apparmor() {
        return Outcome::works("not needed: AppArmor is not enabled");
    }
    there(&["apparmor_parser"])
}

pub(super) fn firewall(_: &Circumstances) -> Outcome {
    there(&["iptables", "nft"])
}

pub(super) fn network_of_a_user(_: &Circumstances) -> Outcome {
    there(&["pasta", "slirp4netns"])
}

pub(super) fn conmon(_: &Circumstances) -> Outcome {
    there(&["conmon"])
}

/// Podman's own program is in none of the usual directories, and neither are the plugins of others.
pub(super) fn plugins(circumstances: &Circumstances) -> Outcome {
    let of_podman = ["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"];
    let of_others = ["/opt/cni/bin/bridge", "/usr/lib/cni/bridge"];
    let places = match circumstances.target {
        super::Target::Podman => [of_podman, of_others].concat(),
        _ => of_others.to_vec(),
    };
    match places.iter().find(|path| PathBuf::from(path).exists()) {
        Some(path) => Outcome::works(*path),
        None => Outcome::lacks(format!("none of {}", places.join(", "))),
    }
}

/// The user of whom rootless containers would be: the caller, or who called sudo(8).
fn plain_user() -> u32 {
    let euid = nix::unistd::geteuid().as_raw();
    let caller = std::env::var("SUDO_UID").ok();
    caller
        .filter(|_| euid == 0)
        .and_then(|uid| uid.parse().ok())
        .unwrap_or(euid)
}

pub(super) fn subordinate_ids(_: &Circumstances) -> Outcome {
    let uid = plain_user();
    if uid == 0 {
        return of_anybody();
    }
    let (users, groups) = Grants::of(uid).counts();
    let name = user_name(uid);
    let found =
        format!("{users} users and {groups} groups for {name}, in /etc/subuid and /etc/subgid");
    if users >= ENOUGH_IDS && groups >= ENOUGH_IDS {
        return Outcome::works(found);
    }
    let ranges = "--add-subuids 100000-165535 --add-subgids 100000-165535";
    Outcome::Lacks(found, Some(format!("usermod {ranges} {name}")))
}

/// Root has no need of them; it asks for others.
fn of_anybody() -> Outcome {
    let names = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split(':').next());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let groups = names("/etc/subgid");
    let mut both = names("/etc/subuid");
    both.retain(|name| groups.contains(name));
    both.dedup();
    if both.is_empty() {
        return Outcome::lacks("nobody has any in /etc/subuid and /etc/subgid");
    }
    Outcome::works(format!("for {}", both.join(", ")))
}

/// The maps of a child that only waits are written by them. Root writes maps itself, so there the programs
/// are only looked for.
pub(super) fn id_map_programs(_: &Circumstances) -> Outcome {
    let missing = ["newuidmap", "newgidmap"]
        .into_iter()
        .find(|name| find(name).is_none());
    if let Some(name) = missing {
        return Outcome::lacks(format!("{name} is not in PATH"));
    }
    let euid = nix::unistd::geteuid().as_raw();
    let maps = Grants::of(euid).alone();
    let Some((users, groups)) = maps.filter(|_| euid != 0) else {
        return Outcome::works("both are there");
    };
    let flags = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    let (pid, pidfd) = match process::clone_to_wait(flags) {
        Ok(child) => child,
        Err(errno) => return Outcome::lacks(format!("no user namespace to map: {errno}")),
    };
    let pidfd = descriptor::owned(pidfd);
    let written = idmap::write(pid, &id_maps(&users, &groups), MapWriter::Programs);
    let ended = end(pidfd.as_fd());
    match written.and(ended) {
        Ok(()) => Outcome::works("they write maps"),
        Err(failure) => Outcome::lacks(words(failure)),
    }
}

/// Ends a child that waits to be killed.
fn end(child: BorrowedFd<'_>) -> Result<()> {
    let killed = process::pidfd_send_signal(child.as_raw_fd(), libc::SIGKILL);
    killed.act(|| "cannot kill the child of the trial")?;
    process::wait_pidfd(child.as_raw_fd())
        .map(drop)
        .act(|| "cannot wait for the child of the trial")
}

pub(super) fn systemd(_: &Circumstances) -> Outcome {
    match crate::cgroups::systemd::run::version() {
        Ok(version) => Outcome::works(format!("answers: {version}")),
        Err(failure) => Outcome::lacks(words(failure)),
    }
}

/// `criu check` says whether it works with this kernel.
pub(super) fn criu(circumstances: &Circumstances) -> Outcome {
    let Some(path) = find("criu") else {
        return Outcome::lacks("criu is not in PATH");
    };
    if !circumstances.privileged {
        return Outcome::doubt("checkpoints take privileges on the host");
    }
    match said(Command::new(path).arg("check")) {
        Ok(_) => Outcome::works("criu check is content"),
        Err(why) => Outcome::Lacks(
            why,
            Some("criu check; boot a kernel with what it misses".to_owned()),
        ),
    }
}

/// Runs a program to its end; the last line of what it said if it is not content.
fn said(command: &mut Command) -> Result<(), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().map_err(|error| error.to_string())?;
                break child.wait().map_err(|error| error.to_string())?;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What it said is only an addition.
        stderr.take(65_536).read_to_end(&mut text).ok();
    }
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    Err(line.map_or_else(|| status.to_string(), |line| line.trim().to_owned()))
}
