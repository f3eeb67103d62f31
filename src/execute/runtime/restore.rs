//! The steps of a restore: criu makes the processes, between its events the runtime does the rest.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Process, Runtime};
use crate::cgroups::{self, layout};
use crate::config::{self, Mount, NamespaceType, Spec};
use crate::criu::conversation::{Criu, Event, Told, open_for_criu};
use crate::criu::plan::{self, External, Flags, Places};
use crate::criu::rpc::Kind;
use crate::criu::{STAGE, UNIFIED, YARD};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::plan::Slot;
use crate::process::terminal;
use crate::rootfs::plan::clean;
use crate::rootfs::resolve::{self, Make, Walk};
use crate::sys::mount::{self, Attributes, Reach};
use crate::sys::{Errno, descriptor, fs as files, namespace, process};

const LOG: &str = "restore.log";
/// The root filesystem on the stage.
const ROOT: &str = "root";

/// What a restore needs besides the plan.
#[derive(Debug)]
pub struct Restoration {
    /// For criu.
    pub flags: Flags,
    /// The images.
    pub image: PathBuf,
    /// The log.
    pub work: PathBuf,
    /// Where the mounts from outside are.
    pub externals: Vec<String>,
    /// Hidden paths, and whether each is a directory.
    pub hidden: Vec<(String, bool)>,
    /// The mounts as they were.
    pub mounts: Vec<String>,
    /// What the standard streams were.
    pub streams: Vec<String>,
    /// Where relative paths begin.
    pub bundle: PathBuf,
}

/// A restore under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    criu: Criu,
    /// criu opens what it is given through this process.
    _kept: Vec<File>,
    log: PathBuf,
    place: PathBuf,
    mounts: Vec<String>,
    has_cgroup_namespace: bool,
}

impl Runtime<'_> {
    /// criu forks the first process into its namespaces and stops there, for the hooks.
    pub(super) fn start_restore(&mut self) -> Result<()> {
        let Some(restoration) = self.restoration.take() else {
            return Err(Failure::new(Code::System, "there is nothing to restore"));
        };
        let spec = config::parse(self.config)?;
        let place = self.state_directory.join(STAGE);
        fs::create_dir(&place).act(|| format!("cannot make {}", place.display()))?;
        make_mount_points(&self.record.rootfs, &spec, &restoration.bundle)?;
        let externals = self.externals(&restoration, &spec)?;
        let externals: Vec<Placed> = externals.into_iter().map(placed).collect::<Result<_>>()?;
        let stage = Stage {
            place: &place,
            rootfs: &self.record.rootfs,
            attributes: Attributes {
                set: match spec.root.as_ref().is_some_and(|root| root.readonly) {
                    true => libc::MOUNT_ATTR_RDONLY,
                    false => 0,
                },
                ..Attributes::default()
            },
            externals: &externals,
            cgroups: layout::mount_point()?,
        };
        let home = stage.enter()?;
        let started = self.start_criu(&restoration, &spec, &place, &externals);
        namespace::setns(home.as_raw_fd(), libc::CLONE_NEWNS)
            .act(|| "cannot go back to the host's mounts")?;
        let (criu, kept) = started?;
        self.under_way = Some(UnderWay {
            criu,
            _kept: kept,
            log: restoration.work.join(LOG),
            place,
            mounts: restoration.mounts,
            has_cgroup_namespace: plan::makes(&spec, NamespaceType::Cgroup),
        });
        self.restore_until("setup-namespaces")
    }

    /// On the stage, to which all directories that criu gets must belong.
    fn start_criu(
        &self,
        restoration: &Restoration,
        spec: &Spec,
        place: &Path,
        externals: &[Placed],
    ) -> Result<(Criu, Vec<File>)> {
        let images = open_for_criu(&restoration.image)?;
        let work = open_for_criu(&restoration.work)?;
        let root = place.join(ROOT);
        let places = Places {
            images: images.as_raw_fd(),
            work: work.as_raw_fd(),
            log: LOG,
            root: &root,
        };
        let mut options = plan::options(&restoration.flags, &places);
        options.flag(26, true); // rst_sibling
        plan::yard(&mut options, &place.join(YARD));
        for (index, external) in externals.iter().enumerate() {
            let source = place.join(bind(index)).join(&external.rest);
            // An empty rest would be a slash at the end.
            let source: PathBuf = source.components().collect();
            plan::bring(&mut options, &external.external.name, &source);
        }
        for (path, is_directory) in &restoration.hidden {
            let cover = place.join(if *is_directory {
                "hidden/directory"
            } else {
                "hidden/file"
            });
            plan::bring(&mut options, path, &cover);
        }
        let mut kept = vec![images, work];
        for (fd, name) in (0..).zip(&restoration.streams) {
            if !name.is_empty() {
                let stream = other_number(fd)?;
                plan::inherit(&mut options, name, stream.as_raw_fd());
                kept.push(stream);
            }
        }
        if let Some(path) = plan::joined_network(spec) {
            let file = open_for_criu(&path)?;
            plan::inherit(&mut options, plan::NETWORK, file.as_raw_fd());
            kept.push(file);
        }
        let descriptors: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        let has_cgroup = self.record.cgroup.is_some();
        let born_there = has_cgroup && plan::needs_cgroup_namespace(spec, &restoration.flags);
        let home = born_there.then(|| self.slot(Slot::CGROUP));
        // What criu forks inherits it: the container's processes are not to have the caller's keys.
        let keyring = c_path(Path::new(&format!("_ses.{}", self.record.id)))?;
        let criu = Criu::start(&descriptors, home, Some(keyring))?;
        if let Some(cgroup) = &self.record.cgroup {
            cgroups::run::join(self.slot(Slot::CGROUP), criu.pid())?;
            plan::root_cgroup(&mut options, &cgroup.path);
        }
        criu.ask(Kind::Restore, &options)?;
        Ok((criu, kept))
    }

    /// All mounts that criu does not make.
    fn externals(&self, restoration: &Restoration, spec: &Spec) -> Result<Vec<External>> {
        let mount = layout::mount_point()?;
        let cgroup = match &self.record.cgroup {
            Some(cgroup) => mount.join(cgroup.path.strip_prefix("/").unwrap_or(&cgroup.path)),
            None => mount.to_owned(),
        };
        let mut externals = plan::externals(spec, &restoration.bundle, &cgroup);
        if externals.len() != restoration.externals.len() {
            let text = "config.json has other mounts from outside than at the checkpoint";
            return Err(Failure::config(Field::new("mounts"), text));
        }
        for (external, name) in externals.iter_mut().zip(&restoration.externals) {
            external.name.clone_from(name);
        }
        Ok(externals)
    }

    /// criu goes on up to an event; the process that it is about is the container's first.
    pub(super) fn restore_until(&mut self, event: &str) -> Result<()> {
        loop {
            match self.next_event()? {
                Some(told) if told.name == event => {
                    if let (None, Some(pid)) = (&self.init, told.pid) {
                        self.adopt_restored(pid)?;
                    }
                    return Ok(());
                }
                Some(told) => {
                    self.take_terminal(told)?;
                    self.under_way()?.criu.go_on()?;
                }
                None => {
                    let text = format!("criu came to its end before {event}");
                    return Err(Failure::new(Code::System, text));
                }
            }
        }
    }

    /// Images without cgroups do not say that there was a cgroup namespace.
    pub(super) fn require_cgroup_namespace(&mut self, pid: i32) -> Result<()> {
        let act = || "cannot look at the restored cgroup namespace";
        let inode = |process: &str| {
            Ok(fs::metadata(format!("/proc/{process}/ns/cgroup"))
                .act(act)?
                .ino())
        };
        if !self.under_way()?.has_cgroup_namespace || inode(&pid.to_string())? != inode("self")? {
            return Ok(());
        }
        let text = "criu has not made the container's cgroup namespace again";
        let hint = "a checkpoint with --manage-cgroups-mode ignore is restored with the same";
        Err(Failure::new(Code::State, text).hint(hint))
    }

    /// criu goes on after an event.
    pub(super) fn go_on_restoring(&mut self) -> Result<()> {
        self.under_way()?.criu.go_on()
    }

    /// To the end: the processes run.
    pub(super) fn finish_restore(&mut self) -> Result<()> {
        self.go_on_restoring()?;
        while let Some(told) = self.next_event()? {
            self.take_terminal(told)?;
            self.go_on_restoring()?;
        }
        let place = &self.under_way()?.place;
        fs::remove_dir(place).act(|| format!("cannot remove {}", place.display()))
    }

    /// criu says that all is well; what it did not say is seen here.
    pub(super) fn compare_mounts(&mut self, pid: i32) -> Result<()> {
        let act = || "cannot compare the mounts with those at the checkpoint";
        let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).act(act)?;
        let (now, before) = (plan::mounts(&text), &self.under_way()?.mounts);
        if now == *before {
            return Ok(());
        }
        let lost = before.iter().find(|mount| !now.contains(mount));
        let came = now.iter().find(|mount| !before.contains(mount));
        let text = |mount: Option<&String>| mount.map_or("nothing", String::as_str).to_owned();
        let (lost, came) = (text(lost), text(came));
        Err(Failure::new(Code::State, act()).because(format!("{lost:?} has become {came:?}")))
    }

    fn under_way(&mut self) -> Result<&mut UnderWay> {
        self.under_way
            .as_mut()
            .ok_or_else(|| Failure::new(Code::System, "no restore is under way"))
    }

    fn next_event(&mut self) -> Result<Option<Event>> {
        let UnderWay { criu, log, .. } = self.under_way()?;
        Ok(match criu.next(log)? {
            Told::Event(event) => Some(event),
            Told::End(_) => None,
        })
    }

    fn adopt_restored(&mut self, pid: i32) -> Result<()> {
        let pidfd = process::pidfd_open(pid).act(|| "cannot open the restored process")?;
        self.init = Some(Process {
            pid,
            pidfd: descriptor::owned(pidfd),
        });
        // The scope has a process of its own.
        self.placeholder = None;
        Ok(())
    }

    /// The master of the program's terminal, newly made: its reader is where `run` would have sent it.
    fn take_terminal(&mut self, event: Event) -> Result<()> {
        let Some(master) = event.descriptor else {
            return Ok(());
        };
        if self.raw(Slot::CONSOLE) == super::EMPTY {
            self.terminal = Some(master);
            return Ok(());
        }
        let socket = descriptor::duplicate(self.raw(Slot::CONSOLE))
            .map(descriptor::owned)
            .act(|| "cannot use the console socket")?;
        terminal::send_descriptor("--console-socket", &socket, b"terminal", master.as_raw_fd())
    }
}

/// A standard stream under another number: criu closes what it takes over, and with --shell-job it goes on to take its own
/// standard input.
fn other_number(stream: RawFd) -> Result<File> {
    let duplicate = descriptor::duplicate(stream).map(descriptor::owned);
    let act = || format!("cannot give criu the standard stream {stream}");
    duplicate.map(File::from).act(act)
}

/// The name on the stage of a mount that comes from outside.
fn bind(index: usize) -> String {
    format!("bind{index}")
}

/// criu makes no mount points, in the root or in what is bound. Of other filesystems it restores the contents.
fn make_mount_points(rootfs: &Path, spec: &Spec, bundle: &Path) -> Result<()> {
    let source = |mount: &Mount| bundle.join(mount.source.as_deref().unwrap_or_default());
    for (index, mount) in spec.mounts.iter().enumerate() {
        let around = plan::around(&spec.mounts, index);
        let (root, top) = match around {
            None => (rootfs.to_owned(), Path::new("/")),
            Some(outer) if plan::is_bind(outer) => (source(outer), Path::new(&outer.destination)),
            Some(_) => continue,
        };
        let make = if plan::is_bind(mount) && source(mount).is_file() {
            Make::File
        } else {
            Make::Directory
        };
        let act = || format!("cannot make the mount point {}", mount.destination);
        let (point, top) = (clean(Path::new(&mount.destination)), clean(top));
        let path = c_path(point.strip_prefix(top).unwrap_or(&point))?;
        let root = open_for_criu(&root)?;
        let made = resolve::open_or_make(root.as_raw_fd(), &path, Walk::Links, make).act(act)?;
        files::close(made);
    }
    Ok(())
}

/// What criu finds when it begins: a tmpfs with the root filesystem, the mounts from outside, the way to
/// cgroup v2, and what covers hidden paths.
struct Stage<'a> {
    place: &'a Path,
    rootfs: &'a Path,
    /// Of the root.
    attributes: Attributes,
    externals: &'a [Placed],
    cgroups: &'a Path,
}

impl Stage<'_> {
    /// Enters a mount namespace in which it is set; the way back.
    fn enter(&self) -> Result<OwnedFd> {
        let act = || "cannot set the stage for criu";
        let home = files::openat(files::AT_FDCWD, c"/proc/self/ns/mnt", libc::O_RDONLY, 0)
            .map(descriptor::owned)
            .act(act)?;
        namespace::unshare(libc::CLONE_NEWNS).act(act)?;
        let set = self.set();
        if set.is_err() {
            namespace::setns(home.as_raw_fd(), libc::CLONE_NEWNS).act(act)?;
        }
        set.map(|()| home)
    }

    fn set(&self) -> Result<()> {
        let act = || "cannot set the stage for criu";
        // Nothing goes from here to the host; but what hears of the host's mounts will hear of them again, for criu
        // looks up here of whom each mount was a slave.
        let slave = Attributes {
            propagation: libc::MS_SLAVE,
            ..Attributes::default()
        };
        mount::mount_setattr_path(c"/", Reach::Tree, slave).act(act)?;
        let stage = tmpfs().act(act)?;
        attach(stage.as_raw_fd(), files::AT_FDCWD, &c_path(self.place)?).act(act)?;
        make(&stage, ROOT, Make::Directory).act(act)?;
        let root = clone(self.rootfs, Reach::Tree, slave).act(act)?;
        mount::mount_setattr(root.as_raw_fd(), Reach::One, self.attributes).act(act)?;
        attach(
            root.as_raw_fd(),
            stage.as_raw_fd(),
            &c_path(Path::new(ROOT))?,
        )
        .act(act)?;
        cover(&stage).act(act)?;
        let yard = self.place.join(YARD);
        fs::create_dir(&yard).act(act)?;
        // A mount, for criu's children go through it from another root.
        fs::create_dir(yard.join(UNIFIED)).act(act)?;
        let cgroups = clone(self.cgroups, Reach::One, Attributes::default()).act(act)?;
        let unified = c_path(&yard.join(UNIFIED))?;
        attach(cgroups.as_raw_fd(), files::AT_FDCWD, &unified).act(act)?;
        let mut externals = self.externals.iter().enumerate();
        externals.try_for_each(|(index, external)| bring(&stage, &bind(index), external))
    }
}

/// A mount from outside, and where its source is.
struct Placed {
    external: External,
    /// The mount point of the mount that it is on.
    point: PathBuf,
    /// From there on.
    rest: PathBuf,
}

fn placed(external: External) -> Result<Placed> {
    let act = || format!("cannot find {}", external.source.display());
    let real = fs::canonicalize(&external.source).act(act)?;
    let path = c_path(&real)?;
    let file = files::openat(files::AT_FDCWD, &path, libc::O_PATH, 0)
        .map(descriptor::owned)
        .act(act)?;
    let details = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).act(act)?;
    let table = fs::read_to_string("/proc/self/mountinfo").act(act)?;
    let point = plan::mount_point(&details, &table)
        .filter(|point| real.starts_with(point))
        .ok_or_else(|| Failure::new(Code::System, act()).because("its mount is not in sight"))?;
    let rest = real.strip_prefix(&point).unwrap_or(&real).to_owned();
    Ok(Placed {
        external,
        point,
        rest,
    })
}

/// The mount that a mount of the container was made of, with the flags that it has there. The whole of it: criu makes
/// all slaves of one master by the first of them, whose root has to hold the others.
fn bring(stage: &OwnedFd, name: &str, placed: &Placed) -> Result<()> {
    let Placed {
        external, point, ..
    } = placed;
    let act = || {
        format!(
            "cannot bring {} to {}",
            external.source.display(),
            external.name
        )
    };
    let kind = match fs::metadata(point).act(act)?.is_dir() {
        true => Make::Directory,
        false => Make::File,
    };
    make(stage, name, kind).act(act)?;
    let mount = clone(point, Reach::One, external.attributes).act(act)?;
    attach(
        mount.as_raw_fd(),
        stage.as_raw_fd(),
        &c_path(Path::new(name))?,
    )
    .act(act)
}

/// An empty file and an empty directory that nobody can fill, as hidden paths have had them.
fn cover(stage: &OwnedFd) -> crate::sys::Result<()> {
    make(stage, "hidden", Make::Directory)?;
    let hidden = tmpfs()?;
    files::mkdirat(hidden.as_raw_fd(), c"directory", 0o555)?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    files::close(files::openat(hidden.as_raw_fd(), c"file", flags, 0o444)?);
    let sealed = Attributes {
        set: libc::MOUNT_ATTR_RDONLY
            | libc::MOUNT_ATTR_NOSUID
            | libc::MOUNT_ATTR_NODEV
            | libc::MOUNT_ATTR_NOEXEC,
        ..Attributes::default()
    };
    mount::mount_setattr(hidden.as_raw_fd(), Reach::One, sealed)?;
    attach(hidden.as_raw_fd(), stage.as_raw_fd(), c"hidden")
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Errno(libc::EINVAL))
        .act(|| format!("cannot use the path {}", path.display()))
}

fn tmpfs() -> crate::sys::Result<OwnedFd> {
    let context = descriptor::owned(mount::fsopen(c"tmpfs")?);
    mount::fsconfig_create(context.as_raw_fd())?;
    mount::fsmount(context.as_raw_fd(), 0).map(descriptor::owned)
}

fn make(directory: &OwnedFd, name: &str, make: Make) -> crate::sys::Result<()> {
    let name = CString::new(name).map_err(|_| Errno(libc::EINVAL))?;
    let made = resolve::open_or_make(directory.as_raw_fd(), &name, Walk::NoLinks, make)?;
    files::close(made);
    Ok(())
}

fn clone(source: &Path, reach: Reach, attributes: Attributes) -> crate::sys::Result<OwnedFd> {
    let path =
        CString::new(source.as_os_str().as_encoded_bytes()).map_err(|_| Errno(libc::EINVAL))?;
    let tree = descriptor::owned(mount::clone_tree(files::AT_FDCWD, &path, reach)?);
    if !attributes.is_empty() {
        mount::mount_setattr(tree.as_raw_fd(), reach, attributes)?;
    }
    Ok(tree)
}

fn attach(mount: RawFd, directory: RawFd, name: &CStr) -> crate::sys::Result<()> {
    let target = descriptor::owned(files::openat(directory, name, libc::O_PATH, 0)?);
    mount::move_mount(mount, target.as_raw_fd())
}
