//! Id maps of user namespaces: user_namespaces(7), newuidmap(1).

use std::fmt::Write as _;
use std::fs;
use std::os::fd::OwnedFd;
use std::process::Command;

use crate::error::{Act, Code, Failure, Field, Kind, Result};
use crate::plan::op::{IdMaps, IdRange, MapWriter};
use crate::sys::process;
use crate::sys::{Errno, descriptor, fs as files};

/// Writes the maps of the process `pid`, which waits for it.
pub fn write(pid: i32, maps: &IdMaps, writer: MapWriter) -> Result<()> {
    match writer {
        MapWriter::Runtime => by_runtime(pid, maps),
        MapWriter::Programs => by_programs(pid, maps),
    }
}

fn lines(ranges: &[IdRange]) -> String {
    let mut text = String::new();
    for IdRange {
        inside,
        outside,
        size,
    } in ranges
    {
        writeln!(text, "{inside} {outside} {size}").expect("a String takes everything");
    }
    text
}

fn by_runtime(pid: i32, maps: &IdMaps) -> Result<()> {
    let file = |name: &str| format!("/proc/{pid}/{name}");
    let users = Field::new("linux.uidMappings");
    fs::write(file("uid_map"), lines(&maps.users))
        .act(|| "cannot write the user id map")
        .map_err(|failure| failure.at(users))?;
    let groups = || Field::new("linux.gidMappings");
    match fs::write(file("gid_map"), lines(&maps.groups)) {
        // Without privileges the kernel wants to know first that groups will not be dropped (CVE-2014-8989).
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            fs::write(file("setgroups"), "deny")
                .act(|| "cannot deny setgroups")
                .map_err(|failure| failure.at(groups()))?;
            fs::write(file("gid_map"), lines(&maps.groups)).act(|| "cannot write the group id map")
        }
        written => written.act(|| "cannot write the group id map"),
    }
    .map_err(|failure| failure.at(groups()))
}

fn by_programs(pid: i32, maps: &IdMaps) -> Result<()> {
    for (program, ranges, field) in [
        ("newuidmap", &maps.users, "linux.uidMappings"),
        ("newgidmap", &maps.groups, "linux.gidMappings"),
    ] {
        let numbers = ranges
            .iter()
            .flat_map(|range| [range.inside, range.outside, range.size]);
        let output = Command::new(program)
            .arg(pid.to_string())
            .args(numbers.map(|number| number.to_string()))
            .output()
            .act(|| format!("cannot run {program}"))
            .map_err(|failure| {
                failure
                    .at(Field::new(field))
                    .hint("the package uidmap has it")
            })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let failure = Failure::new(Code::Permission, format!("{program} refuses the id map"))
                .because(words)
                .of(Kind::IdMaps);
            return Err(failure
                .at(Field::new(field))
                .hint("/etc/subuid and /etc/subgid grant ids"));
        }
    }
    Ok(())
}

/// The maps of the process are these, in any order.
pub fn compare(pid: i32, maps: &IdMaps) -> Result<()> {
    for (file, ranges, field) in [
        ("uid_map", &maps.users, "linux.uidMappings"),
        ("gid_map", &maps.groups, "linux.gidMappings"),
    ] {
        let path = format!("/proc/{pid}/{file}");
        let text = fs::read_to_string(&path).act(|| format!("cannot read {path}"))?;
        let mut real: Vec<Vec<u32>> = text
            .lines()
            .map(|line| {
                line.split_whitespace()
                    .filter_map(|number| number.parse().ok())
                    .collect()
            })
            .collect();
        let mut asked: Vec<Vec<u32>> = ranges
            .iter()
            .map(|range| vec![range.inside, range.outside, range.size])
            .collect();
        real.sort_unstable();
        asked.sort_unstable();
        if real != asked {
            let text = "the user namespace that is joined has other mappings";
            return Err(Failure::config(Field::new(field), text));
        }
    }
    Ok(())
}

/// A user namespace that nobody lives in: a child is born in it, gets the maps, and is gone.
pub fn make_user_namespace(maps: &IdMaps) -> Result<OwnedFd> {
    let act = || "cannot make a user namespace for id maps";
    let flags = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    let (pid, pidfd) = process::clone_to_wait(flags).act(act)?;
    let pidfd = descriptor::owned(pidfd);
    let opened = by_runtime(pid, maps).and_then(|()| {
        let path = std::ffi::CString::new(format!("/proc/{pid}/ns/user"))
            .expect("a number has no NUL byte");
        files::openat(files::AT_FDCWD, &path, libc::O_RDONLY, 0)
            .act(act)
            .map(descriptor::owned)
    });
    let fd = std::os::fd::AsRawFd::as_raw_fd(&pidfd);
    match process::pidfd_send_signal(fd, libc::SIGKILL) {
        Ok(()) | Err(Errno(libc::ESRCH)) => {}
        Err(errno) => return Err(Failure::system(act(), errno)),
    }
    process::wait_pidfd(fd).act(act)?;
    opened
}
