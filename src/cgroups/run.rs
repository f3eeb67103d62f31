//! Makes the container's cgroup, writes its limits, attaches its device program.
//!
//! All of it acts on directories that are held open: a cgroup is found by its path once, with
//! openat2 that refuses links and other filesystems, and never again.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::devices::DeviceProgram;
use super::freeze;
use super::knobs::{Need, UsageLimit, Write};
use super::plan::{CgroupPath, Enable, PATH_FIELD};
use crate::error::{Act, Failure, Field, Kind, Result};
use crate::sys::{self, Errno, bpf, cgroup, fs};

/// A cgroup that is ready for processes.
#[derive(Debug)]
pub struct Created {
    /// The directory: for CLONE_INTO_CGROUP, and for everything below.
    pub dir: OwnedFd,
    /// The kernel's number for it: tells it from a later cgroup at the same path.
    pub id: u64,
    /// What this call made, outermost first. Rollback removes it backwards; the cgroup itself is
    /// last, unless it was there before.
    pub made: Vec<CgroupPath>,
}

/// Opens the mount point of the tree ([`super::CgroupHost::mount`]).
pub fn open_mount(mount: &Path) -> Result<OwnedFd> {
    let act = || format!("cannot open {}", mount.display());
    let path = CString::new(mount.as_os_str().as_bytes()).map_err(|_| Errno(libc::EINVAL));
    path.and_then(|path| cgroup::open_mount(&path)).act(act)
}

/// Opens a cgroup; none if there is none at that path.
pub fn open(mount: BorrowedFd<'_>, path: &CgroupPath) -> Result<Option<OwnedFd>> {
    match cgroup::open_dir(mount, &c_path(path)) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(Failure::system(format!("cannot open cgroup {path}"), errno)),
    }
}

/// The kernel's number for a cgroup, the inode of its directory.
pub fn id(dir: BorrowedFd<'_>) -> Result<u64> {
    let stat = fs::fstat(dir.as_raw_fd()).act(|| "cannot stat the container's cgroup")?;
    Ok(stat.st_ino)
}

/// The same for whatever has a path; none if there is nothing.
pub fn id_at(mount: BorrowedFd<'_>, path: &CgroupPath) -> Result<Option<u64>> {
    match fs::lstatat(mount.as_raw_fd(), &c_path(path)) {
        Ok(stat) => Ok(Some(stat.st_ino)),
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(Failure::system(
            format!("cannot look at cgroup {path}"),
            errno,
        )),
    }
}

/// The ancestors that [`create`] will have to make, outermost first. One look where the parent is there.
pub fn missing_above(mount: BorrowedFd<'_>, path: &CgroupPath) -> Result<Vec<CgroupPath>> {
    let Some(parent) = path.parent() else {
        return Ok(Vec::new());
    };
    let mut missing = Vec::new();
    for ancestor in parent.lineage().into_iter().rev() {
        match fs::lstatat(mount.as_raw_fd(), &c_path(&ancestor)) {
            Ok(_) => break,
            Err(Errno(libc::ENOENT)) => missing.insert(0, ancestor),
            Err(errno) => return Err(cannot_make(&ancestor, errno)),
        }
    }
    Ok(missing)
}

/// Makes a cgroup with the wanted controllers, or takes one that is there, empty and not frozen.
/// What a failed call made is removed again.
pub fn create(mount: BorrowedFd<'_>, path: &CgroupPath, enable: &[Enable]) -> Result<Created> {
    let mut made = Vec::new();
    let opened = make(mount, path, enable, &mut made).and_then(|dir| {
        let id = id(dir.as_fd())?;
        Ok((dir, id))
    });
    match opened {
        Ok((dir, id)) => Ok(Created { dir, id, made }),
        Err(failure) => {
            unmake(mount, &made);
            Err(failure)
        }
    }
}

/// Removes what [`create`] made, innermost first, where nobody has moved in since.
pub fn unmake(mount: BorrowedFd<'_>, made: &[CgroupPath]) {
    for path in made.iter().rev() {
        // Someone else may use an ancestor by now, and then it is theirs: EBUSY is right. Any
        // other error leaves an empty directory, which harms nobody and hides no first error.
        fs::unlinkat(mount.as_raw_fd(), &c_path(path), libc::AT_REMOVEDIR).ok();
    }
}

fn make(
    mount: BorrowedFd<'_>,
    path: &CgroupPath,
    enable: &[Enable],
    made: &mut Vec<CgroupPath>,
) -> Result<OwnedFd> {
    let parent = open_or_make_parent(mount, path, made)?;
    // One read when the parent hands down everything already, as it does after the first container.
    if !missing(parent.as_fd(), enable)?.is_empty() {
        hand_down_along(mount, path, enable)?;
    }
    let name = c_string(path.name());
    match fs::mkdirat(parent.as_raw_fd(), &name, 0o755) {
        Ok(()) => made.push(path.clone()),
        Err(Errno(libc::EEXIST)) => {}
        Err(errno) => return Err(cannot_make(path, errno)),
    }
    let dir = cgroup::open_dir(parent.as_fd(), &name)
        .act(|| format!("cannot open cgroup {path}"))
        .map_err(|failure| failure.at(PATH_FIELD))?;
    if made.last() != Some(path) {
        check_reusable(dir.as_fd(), path)?;
        forget_devices(dir.as_fd())?;
    }
    Ok(dir)
}

fn open_or_make_parent(
    mount: BorrowedFd<'_>,
    path: &CgroupPath,
    made: &mut Vec<CgroupPath>,
) -> Result<OwnedFd> {
    let Some(parent) = path.parent() else {
        return cgroup::open_dir(mount, c".").act(|| "cannot open the root of the cgroup tree");
    };
    if let Some(dir) = open(mount, &parent)? {
        return Ok(dir);
    }
    for ancestor in parent.lineage() {
        match fs::mkdirat(mount.as_raw_fd(), &c_path(&ancestor), 0o755) {
            Ok(()) => made.push(ancestor),
            Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(cannot_make(&ancestor, errno)),
        }
    }
    let dir = cgroup::open_dir(mount, &c_path(&parent));
    dir.act(|| format!("cannot open cgroup {parent}"))
}

fn cannot_make(path: &CgroupPath, errno: Errno) -> Failure {
    let failure = Failure::system(format!("cannot make cgroup {path}"), errno).at(PATH_FIELD);
    match errno.0 {
        libc::EACCES | libc::EPERM => {
            failure.hint("this part of the cgroup tree is not delegated to the user")
        }
        libc::EAGAIN => {
            failure.hint("cgroup.max.depth or cgroup.max.descendants of an ancestor is reached")
        }
        _ => failure,
    }
}

/// Enables controllers for a cgroup that somebody else has made.
pub fn hand_down_to(mount: BorrowedFd<'_>, path: &CgroupPath, enable: &[Enable]) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) => open(mount, &parent)?,
        None => None,
    };
    match parent {
        Some(parent) if missing(parent.as_fd(), enable)?.is_empty() => Ok(()),
        _ => hand_down_along(mount, path, enable),
    }
}

/// Enables controllers in every ancestor, top down: a cgroup can only hand down what it was handed.
fn hand_down_along(mount: BorrowedFd<'_>, path: &CgroupPath, enable: &[Enable]) -> Result<()> {
    let root = cgroup::open_dir(mount, c".").act(|| "cannot open the root of the cgroup tree")?;
    hand_down(root.as_fd(), "/", enable)?;
    let ancestors = path.parent().map(|parent| parent.lineage());
    for ancestor in ancestors.iter().flatten() {
        let dir = cgroup::open_dir(mount, &c_path(ancestor));
        let dir = dir.act(|| format!("cannot open cgroup {ancestor}"))?;
        hand_down(dir.as_fd(), &ancestor.to_string(), enable)?;
    }
    Ok(())
}

/// Enables what is missing for the children of one cgroup. Only a controller that a property asked
/// for has to come; the others serve statistics.
fn hand_down(dir: BorrowedFd<'_>, path: &str, enable: &[Enable]) -> Result<()> {
    let missing = missing(dir, enable)?;
    if missing.is_empty() {
        return Ok(());
    }
    let offered = read(dir, c"cgroup.controllers")?;
    let (offered, absent): (Vec<&Enable>, Vec<&Enable>) = missing
        .into_iter()
        .partition(|wanted| has_word(&offered, &wanted.controller));
    for wanted in absent {
        if let Some(field) = &wanted.asked_by {
            let act = format!(
                "cgroup {path} has no {} controller to hand down",
                wanted.controller
            );
            return Err(Failure::config(field.clone(), act)
                .hint("its ancestors do not delegate it")
                .of(Kind::NoController));
        }
    }
    if offered.is_empty() {
        return Ok(());
    }
    enable_children(dir, path, &offered)
}

/// All at once; the kernel enables all or none. Then one by one, to find the one that it refuses.
///
/// Not one by one in a cgroup that has processes (EBUSY): cpu, cpuset and pids would be accepted and
/// turn it into a threaded domain, whose children take no processes of other domains any more.
fn enable_children(dir: BorrowedFd<'_>, path: &str, offered: &[&Enable]) -> Result<()> {
    let control =
        |names: &str| cgroup::write_file(dir, c"cgroup.subtree_control", names.as_bytes());
    let names: Vec<String> = offered
        .iter()
        .map(|wanted| format!("+{}", wanted.controller))
        .collect();
    match control(&names.join(" ")) {
        Ok(()) => return Ok(()),
        Err(errno @ Errno(libc::EBUSY)) => {
            let asked = offered.iter().find(|wanted| wanted.asked_by.is_some());
            return asked.map_or(Ok(()), |wanted| Err(cannot_enable(path, wanted, errno)));
        }
        Err(_) => {}
    }
    for (wanted, name) in offered.iter().zip(&names) {
        match control(name) {
            Err(errno) if wanted.asked_by.is_some() => {
                return Err(cannot_enable(path, wanted, errno));
            }
            // Nobody asked for this one.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn cannot_enable(path: &str, wanted: &Enable, errno: Errno) -> Failure {
    let act = format!(
        "cannot enable the {} controller in cgroup {path}",
        wanted.controller
    );
    let failure = Failure::system(act, errno).at(PATH_FIELD);
    match errno.0 {
        libc::EACCES | libc::EPERM => {
            failure.hint("this part of the cgroup tree is not delegated to the user")
        }
        libc::EBUSY => failure
            .hint("it has processes, and a cgroup with processes cannot control its children"),
        libc::EOPNOTSUPP => failure.hint("it is threaded, or below a threaded cgroup"),
        _ => failure,
    }
}

fn missing<'a>(dir: BorrowedFd<'_>, enable: &'a [Enable]) -> Result<Vec<&'a Enable>> {
    if enable.is_empty() {
        return Ok(Vec::new());
    }
    let enabled = read(dir, c"cgroup.subtree_control")?;
    Ok(enable
        .iter()
        .filter(|wanted| !has_word(&enabled, &wanted.controller))
        .collect())
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().any(|found| found == word)
}

fn read(dir: BorrowedFd<'_>, file: &CStr) -> Result<String> {
    cgroup::read_value(dir, file).act(|| format!("cannot read {}", file.to_string_lossy()))
}

/// A cgroup that was there must hold nobody (runtime.md, create: MAY check, then MUST error). The
/// words are runc's, which engines know.
pub fn check_reusable(dir: BorrowedFd<'_>, path: &CgroupPath) -> Result<()> {
    let refuse = |text: &str| Err(Failure::config(PATH_FIELD, text).because(path.to_string()));
    let events = read(dir, c"cgroup.events")?;
    if freeze::is_set(&events, "populated") {
        return refuse("container's cgroup is not empty");
    }
    if freeze::is_set(&events, "frozen") {
        return refuse("container's cgroup unexpectedly frozen");
    }
    if !read(dir, c"cgroup.subtree_control")?.trim().is_empty() {
        return refuse("container's cgroup controls children, so processes cannot enter it");
    }
    Ok(())
}

/// A device program that an earlier container left would restrict this one too.
fn forget_devices(dir: BorrowedFd<'_>) -> Result<()> {
    let programs = match bpf::device_programs(dir) {
        Ok(programs) => programs,
        // Then the earlier one could not attach any; if someone else did, it only denies more.
        Err(Errno(libc::EPERM)) => return Ok(()),
        Err(errno) => return Err(Failure::system("cannot list device programs", errno).at(DEVICES)),
    };
    for program in programs {
        bpf::detach_device_program(dir, program.as_fd())
            .act(|| "cannot detach an earlier device program")
            .map_err(|failure| failure.at(DEVICES))?;
    }
    Ok(())
}

/// Writes one planned value.
pub fn write(dir: BorrowedFd<'_>, write: &Write) -> Result<()> {
    let value = write.value.as_bytes();
    match (
        cgroup::write_file(dir, &c_string(&write.file), value),
        &write.need,
    ) {
        (Ok(()), _) | (Err(Errno(libc::ENOENT)), Need::IfPresent) => Ok(()),
        (Err(Errno(libc::ENOENT)), Need::OrElse(other)) => self::write(dir, other),
        (Err(errno), _) => Err(cannot_write(write, errno)),
    }
}

fn cannot_write(write: &Write, errno: Errno) -> Failure {
    let act = format!("cannot write {:?} to {}", write.value, write.file);
    match errno.0 {
        // Not the errno's own words: dockerd would take them for a missing program.
        libc::ENOENT => Failure::config(write.field.clone(), act)
            .because("the kernel has no such knob here")
            .of(Kind::NoController),
        libc::EBUSY if write.file == "memory.max" => {
            let hint = "the container uses more than that and it cannot be reclaimed";
            Failure::system(act, errno)
                .at(write.field.clone())
                .hint(hint)
        }
        _ => Failure::system(act, errno).at(write.field.clone()),
    }
}

/// Refuses a limit at or below what is used already.
pub fn check_usage(dir: BorrowedFd<'_>, limit: &UsageLimit) -> Result<()> {
    let used = match cgroup::read_file(dir, c"memory.current") {
        Ok(text) => text.trim().parse::<u64>().unwrap_or(0),
        // No memory controller, no usage; the write itself will say so.
        Err(Errno(libc::ENOENT)) => return Ok(()),
        Err(errno) => return Err(Failure::system("cannot read memory.current", errno)),
    };
    if limit.limit > used {
        return Ok(());
    }
    let text = format!(
        "rejecting {} limit {}: it is not above the usage, {used}",
        limit.of, limit.limit
    );
    Err(Failure::config(limit.field.clone(), text).of(Kind::Limit))
}

const DEVICES: Field = Field::new("linux.resources.devices");

/// Loads the device program and attaches it. The cgroup keeps it until it is removed.
pub fn attach_devices(dir: BorrowedFd<'_>, program: &DeviceProgram) -> Result<()> {
    let program = load(program)?;
    bpf::attach_device_program(dir, program.as_fd()).map_err(cannot_attach)
}

/// Puts a device program in the place of whatever the cgroup has. At no moment is there none.
pub fn replace_devices(dir: BorrowedFd<'_>, program: &DeviceProgram) -> Result<()> {
    let program = load(program)?;
    let old = bpf::device_programs(dir).map_err(cannot_attach)?;
    let [first, rest @ ..] = &old[..] else {
        return bpf::attach_device_program(dir, program.as_fd()).map_err(cannot_attach);
    };
    bpf::replace_device_program(dir, program.as_fd(), first.as_fd()).map_err(cannot_attach)?;
    for program in rest {
        bpf::detach_device_program(dir, program.as_fd()).map_err(cannot_attach)?;
    }
    Ok(())
}

/// The tag that the kernel gives to this program: two that have the same are the same. Nothing stays loaded.
pub fn device_tag(program: &DeviceProgram) -> Result<String> {
    let loaded = load(program)?;
    let info = bpf::program_info(loaded.as_fd()).act(|| "cannot ask for a program's tag")?;
    Ok(info.tag.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn load(program: &DeviceProgram) -> Result<OwnedFd> {
    bpf::load_device_program(c"corten_devices", &program.instructions).map_err(|refused| {
        let failure = Failure::system("cannot load the device program", refused.errno).at(DEVICES);
        match (refused.errno.0, refused.log.is_empty()) {
            (libc::EPERM, _) => failure.hint("it needs CAP_BPF in the initial user namespace"),
            (_, true) => failure,
            (_, false) => failure.hint(refused.log),
        }
    })
}

fn cannot_attach(errno: Errno) -> Failure {
    Failure::system("cannot attach the device program", errno).at(DEVICES)
}

/// Moves a process into the cgroup, for those that clone3 could not put there.
pub fn join(dir: BorrowedFd<'_>, pid: i32) -> Result<()> {
    cgroup::write_file(dir, c"cgroup.procs", pid.to_string().as_bytes())
        .act(|| format!("cannot move process {pid} into the container's cgroup"))
}

/// What a cgroup's owner may have, on kernels that do not say.
const DELEGATED: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Gives the cgroup to the container's user (config-linux.md, Cgroup ownership): the directory and
/// those files that the kernel lists as safe, not the limits.
///
/// `uid` is the host's.
pub fn delegate(dir: BorrowedFd<'_>, uid: u32) -> Result<()> {
    let act = |file: &str| format!("cannot give {file} to user {uid}");
    fs::fchown(dir.as_raw_fd(), uid, u32::MAX).act(|| act("the container's cgroup"))?;
    let listed = match cgroup::read_path(c"/sys/kernel/cgroup/delegate") {
        Ok(listed) => listed,
        // Not mounted here, or older than 4.15.
        Err(_) => DELEGATED.to_owned(),
    };
    for file in listed.lines() {
        match sys::fs::lchownat(dir.as_raw_fd(), &c_string(file), uid, u32::MAX) {
            // Of a controller that is not enabled.
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(Failure::system(act(file), errno)),
        }
    }
    Ok(())
}

/// Makes a cgroup below, unless it is there, and opens its list of members for one who may not open it later.
pub fn make_below(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let act = || format!("cannot make the cgroup {} below", name.to_string_lossy());
    match fs::mkdirat(dir.as_raw_fd(), name, 0o755) {
        Ok(()) | Err(Errno(libc::EEXIST)) => {}
        Err(errno) => return Err(Failure::system(act(), errno)),
    }
    let below = open_below(dir, name)?;
    cgroup::open_file(below.as_fd(), c"cgroup.procs", libc::O_WRONLY).act(act)
}

/// Makes the container's cgroup below that of its unit, where `member` is the only process: it has to move before
/// controllers can be handed down.
pub fn make_subgroup(
    unit: BorrowedFd<'_>,
    path: &CgroupPath,
    member: Option<i32>,
    enable: &[Enable],
) -> Result<OwnedFd> {
    let name = c_string(path.name());
    let members = make_below(unit, &name)?;
    if let Some(pid) = member {
        let moved = fs::write(members.as_raw_fd(), pid.to_string().as_bytes());
        moved.act(|| format!("cannot move the unit's first process to {path}"))?;
    }
    let above = path.parent().map(|parent| parent.to_string());
    hand_down(unit, &above.unwrap_or_default(), enable)?;
    open_below(unit, &name)
}

/// Opens a cgroup below.
pub fn open_below(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let act = || format!("cannot open the cgroup {} below", name.to_string_lossy());
    cgroup::open_dir(dir, name).act(act)
}

fn c_path(path: &CgroupPath) -> CString {
    c_string(path.as_str())
}

/// Plans hold no NUL (resolve_path, knobs). Should one come, the empty name is ENOENT.
fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
