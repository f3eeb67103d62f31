//! From running processes to images.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::CheckpointRequest;
use crate::cgroups::layout;
use crate::config::{self, Spec};
use crate::criu::conversation::{Criu, Told, open_for_criu};
use crate::criu::plan::{self, Flags, Places};
use crate::criu::rpc::{Kind, Message};
use crate::criu::{DESCRIPTORS, EXTERNALS, HIDDEN, MOUNTS, UNIFIED, YARD};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::log::Log;
use crate::rootfs::resolve::{self, Walk};
use crate::state::{Container, Record, Status, destroy, members};
use crate::sys::{Errno, descriptor};

const LOG: &str = "dump.log";

/// Does it; the container is gone afterwards, unless it is to go on.
pub fn run(request: &CheckpointRequest) -> Result<()> {
    let (container, _lock) = Container::open_locked(&request.root, &request.id)?;
    let status = require_checkpointable(&container)?;
    let spec = config::parse(&container.config()?)?;
    plan::refuse(&spec)?;
    let record = container.record();
    make_directory(&request.image)?;
    require_parent(&request.image, request.parent.as_deref())?;
    make_directory(&request.work)?;
    let (images, work) = (
        open_for_criu(&request.image)?,
        open_for_criu(&request.work)?,
    );
    let places = Places {
        images: images.as_raw_fd(),
        work: work.as_raw_fd(),
        log: LOG,
        root: &record.rootfs,
    };
    let flags = Flags {
        config_file: config_file(&spec),
        ..request.flags.clone()
    };
    let mut options = plan::options(&flags, &places);
    options.descriptor(2, record.pid);
    options.flag(3, request.after == super::After::Running);
    if status == Status::Paused {
        add_freezer(&mut options, record)?;
    }
    add_externals(&mut options, &spec, record, &request.image)?;
    add_memory(&mut options, request);
    let inherited: Vec<RawFd> = [places.images, places.work]
        .into_iter()
        .chain(request.status_fd)
        .collect();
    if let Some(fd) = request.status_fd {
        options.descriptor(49, fd);
    }
    let kind = match request.after {
        super::After::PreDump => Kind::PreDump,
        super::After::Gone | super::After::Running => Kind::Dump,
    };
    if request.after == super::After::Gone {
        warn_of_strays(&container, &request.log)?;
    }
    let yard = request.work.join(YARD);
    make_yard(&yard)?;
    plan::yard(&mut options, &yard);
    let saved = converse(kind, &options, &inherited, &request.work.join(LOG));
    fs::remove_dir_all(&yard).act(|| format!("cannot remove {}", yard.display()))?;
    saved?;
    if request.after == super::After::Gone {
        for warning in destroy::remove(&container)? {
            request.log.warn(warning.to_string());
        }
    }
    Ok(())
}

/// criu saves the first process and its descendants. What `exec` started is neither, and ends with the container.
fn warn_of_strays(container: &Container, log: &Log) -> Result<()> {
    let first = container.record().pid;
    let strays: Vec<String> = members::of(container)?
        .into_iter()
        .filter(|pid| is_stray(*pid, first))
        .map(|pid| pid.to_string())
        .collect();
    if !strays.is_empty() {
        let strays = strays.join(", ");
        log.note(&format!(
            "warning: processes that exec started are not saved: {strays}"
        ));
    }
    Ok(())
}

fn is_stray(mut pid: i32, first: i32) -> bool {
    while pid != first {
        let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
        match stat {
            Ok(stat) if stat.ppid > 1 => pid = stat.ppid,
            Ok(_) => return true,
            // It has ended.
            Err(_) => return false,
        }
    }
    false
}

fn converse(kind: Kind, options: &Message, inherited: &[RawFd], log: &Path) -> Result<()> {
    let mut criu = Criu::start(inherited, None, None)?;
    criu.ask(kind, options)?;
    while let Told::Event(_) = criu.next(log)? {
        criu.go_on()?;
    }
    Ok(())
}

/// Where criu finds cgroup v2, while it is at work.
fn make_yard(yard: &Path) -> Result<()> {
    let act = || format!("cannot make {}", yard.display());
    // One that was killed may have left it.
    match fs::remove_dir_all(yard) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).act(act),
        _ => fs::create_dir(yard).act(act)?,
    }
    std::os::unix::fs::symlink(layout::mount_point()?, yard.join(UNIFIED)).act(act)
}

fn require_checkpointable(container: &Container) -> Result<Status> {
    let refuse = |text: String| Err(Failure::new(Code::State, text));
    if !nix::unistd::geteuid().is_root() {
        return refuse("cannot checkpoint a rootless container".to_owned());
    }
    let status = container.status_locked()?;
    if !matches!(status, Status::Running | Status::Paused) {
        let name = status.name();
        return refuse(format!("Container cannot be checkpointed in {name} state"));
    }
    // The layers of an overlay that criu cannot know would be missing at restore.
    let record = container.record();
    let inside = identity(Path::new(&format!("/proc/{}/root", record.pid)))?;
    if inside != identity(&record.rootfs)? {
        return refuse("cannot checkpoint a container with an overlay root".to_owned());
    }
    Ok(status)
}

/// Frozen processes do not answer criu, unless it knows the cgroup: then it thaws them, and freezes them again.
fn add_freezer(options: &mut Message, record: &Record) -> Result<()> {
    let Some(cgroup) = &record.cgroup else {
        return Ok(());
    };
    let inside = cgroup.path.strip_prefix("/").unwrap_or(&cgroup.path);
    let path = layout::mount_point()?.join(inside);
    options.text(44, path.as_os_str().as_bytes());
    Ok(())
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    fs::metadata(path)
        .map(|data| (data.dev(), data.ino()))
        .act(|| format!("cannot look at {}", path.display()))
}

/// Images hold the memory of processes: for their owner alone.
fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .act(|| format!("cannot make {}", path.display()))
}

/// Options that criu reads from a file; what it finds there counts more than what it is asked.
pub(super) fn config_file(spec: &Spec) -> Option<PathBuf> {
    match spec.annotations.get("org.criu.config") {
        Some(path) => Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()),
        None => Some(PathBuf::from("/etc/criu/runc.conf")).filter(|path| path.exists()),
    }
}

/// What criu is not to look into; what restore has to know of it is written beside the images.
fn add_externals(options: &mut Message, spec: &Spec, record: &Record, image: &Path) -> Result<()> {
    let root = File::open(format!("/proc/{}/root", record.pid))
        .act(|| "cannot open the container's root")?;
    let mut externals = Vec::new();
    for external in plan::externals(spec, &record.bundle, Path::new("/")) {
        let name = match look(&root, &external.name)? {
            Some((name, _)) => name,
            // Unmounted since, and removed.
            None => external.name,
        };
        plan::leave_out(options, &name);
        externals.push(name);
    }
    let hidden = hidden(spec, &root)?;
    for (path, _) in &hidden {
        plan::leave_out(options, path);
    }
    if let Some(path) = plan::joined_network(spec) {
        let (_, inode) = identity(&path)?;
        options.text(37, format!("net[{inode}]:{}", plan::NETWORK).as_bytes());
    }
    let streams = streams(record.pid)?;
    for name in streams.iter().filter(|name| name.contains('[')) {
        if !name.starts_with("pipe:") {
            options.text(37, name.as_bytes());
        }
    }
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", record.pid))
        .act(|| "cannot read the container's mounts")?;
    write_json(&image.join(EXTERNALS), &externals)?;
    write_json(&image.join(MOUNTS), &plan::mounts(&mounts))?;
    write_json(&image.join(HIDDEN), &hidden)?;
    write_json(&image.join(DESCRIPTORS), &streams)
}

/// The hidden paths that are there, and whether each is a directory.
fn hidden(spec: &Spec, root: &File) -> Result<Vec<(String, bool)>> {
    let paths = spec.linux.iter().flat_map(|linux| &linux.masked_paths);
    let mut found = Vec::new();
    for path in paths {
        found.extend(look(root, path)?.filter(|one| !found.contains(one)));
    }
    Ok(found)
}

/// Where a path leads in the container, links followed, and whether a directory is there.
fn look(root: &File, path: &str) -> Result<Option<(String, bool)>> {
    let act = || format!("cannot look at {path} in the container");
    let name = std::ffi::CString::new(path)
        .map_err(|_| Errno(libc::EINVAL))
        .act(act)?;
    let fd = match resolve::open(root.as_raw_fd(), &name, Walk::Links) {
        Err(Errno(libc::ENOENT | libc::ENOTDIR)) => return Ok(None),
        fd => descriptor::owned(fd.act(act)?),
    };
    let real = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).act(act)?;
    let is_directory = resolve::is_directory(fd.as_raw_fd()).act(act)?;
    Ok(Some((real.to_string_lossy().into_owned(), is_directory)))
}

/// What leads out of the container, by the names under which criu knows it, in the place of the stream that
/// restore has for it; empty where there is none. A shell that has redirected a stream keeps the old one under
/// another number, so all of them are looked at.
fn streams(pid: i32) -> Result<Vec<String>> {
    let act = || "cannot look at the container's standard streams";
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).act(act)?;
    let mut numbers = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).act(act)? {
        let name = entry.act(act)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<usize>().ok()));
    }
    numbers.sort_unstable();
    let mut streams = vec![String::new(); 3];
    for fd in numbers {
        let Some((name, writes)) = outside(pid, fd, &mounts)? else {
            continue;
        };
        let free = |place: &usize| streams[*place].is_empty();
        let place = match fd {
            0..=2 => Some(fd),
            _ if streams.contains(&name) => None,
            _ if writes => [1, 2].into_iter().find(free),
            _ => [0].into_iter().find(free),
        };
        if let Some(place) = place {
            streams[place] = name;
        }
    }
    Ok(streams)
}

/// criu's name of a descriptor that leads out of the container, and whether it is for writing.
fn outside(pid: i32, fd: usize, mounts: &str) -> Result<Option<(String, bool)>> {
    let act = || "cannot look at the container's standard streams";
    let path = format!("/proc/{pid}/fd/{fd}");
    let target = match fs::read_link(&path) {
        // Closed in between.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        target => target.act(act)?.to_string_lossy().into_owned(),
    };
    let details = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    let detail = |key: &str| {
        let line = details.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().trim().to_owned()
    };
    let flags = i32::from_str_radix(&detail("flags:"), 8).unwrap_or_default();
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
    let mount = detail("mnt_id:");
    let is_inside = mounts
        .lines()
        .any(|line| line.split(' ').next() == Some(&mount));
    // Pipes between the container's own processes are criu's business.
    if fd <= 2 && target.starts_with("pipe:") {
        return Ok(Some((target, writes)));
    }
    if !target.starts_with('/') || is_inside {
        return Ok(None);
    }
    let data = fs::metadata(&path).act(act)?;
    let mount: u32 = mount.parse().unwrap_or_default();
    let name = match target.starts_with("/dev/pts/") {
        true => format!("tty[{:x}:{:x}]", data.rdev(), data.dev()),
        false => format!("file[{mount:x}:{:x}]", data.ino()),
    };
    Ok(Some((name, writes)))
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    let act = || format!("cannot write {}", path.display());
    let text = serde_json::to_vec(value)
        .map_err(|error| Failure::new(Code::System, act()).because(error.to_string()))?;
    fs::write(path, text).act(act)
}

/// Memory: ahead of time, of an earlier image, or to another host.
fn add_memory(options: &mut Message, request: &CheckpointRequest) {
    // A later image can only be a difference if the kernel has been told to note what changes.
    options.flag(
        15,
        request.after == super::After::PreDump || request.parent.is_some(),
    );
    if let Some(parent) = &request.parent {
        use std::os::unix::ffi::OsStrExt;
        options.text(14, parent.as_os_str().as_bytes());
    }
    if let Some((address, port)) = &request.page_server {
        let mut server = Message::default();
        server
            .text(1, address.as_bytes())
            .number(2, u64::from(*port));
        options.message(11, &server);
    }
}

/// `--parent-path`: criu takes it from the image directory on, so that both can be moved.
fn require_parent(image: &Path, parent: Option<&Path>) -> Result<()> {
    let Some(parent) = parent else {
        return Ok(());
    };
    let refuse =
        |text: String| Err(Failure::new(Code::Usage, text).at(Field::new("--parent-path")));
    if parent.is_absolute() {
        return refuse(format!("{parent:?} is not relative to the image directory"));
    }
    if !image.join(parent).is_dir() {
        return refuse(format!("{:?} is no directory", image.join(parent)));
    }
    Ok(())
}
