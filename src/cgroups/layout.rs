//! What this host has of cgroups, probed once: where the v2 tree is, what it controls, who holds
//! the rest.
//!
//! Cheap on the create path: one statfs and one small file where cgroup v2 is all there is. The
//! mount table is read only for those who set limits, on hosts that lack a common controller, so that a
//! refusal can say who holds it. Nothing here opens a file of a v1 hierarchy.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs, statfs};
use nix::unistd::{AccessFlags, faccessat};

use super::plan::CgroupPath;
use super::systemd::plan::Service;
use crate::error::{Act, Code, Failure, Kind, Result};
use crate::sys;

/// How the host mounts its cgroup trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// cgroup v2 at /sys/fs/cgroup.
    Unified,
    /// cgroup v1 at /sys/fs/cgroup and v2 at /sys/fs/cgroup/unified.
    Hybrid,
}

/// Whether device rules can be enforced: cgroup device programs need CAP_BPF in the initial user
/// namespace. Outside of it mknod(2) is refused by the kernel and devices are bind-mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFilter {
    /// bpf(2) is ours to call.
    Enforced,
    /// The runtime lives in a user namespace, or is not privileged.
    NotPermitted,
}

/// Whether the container gets a cgroup of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It does; whatever keeps it from being made is an error.
    Required,
    /// The user has no right to make it, or to move into it. Where nothing depends on it, the container
    /// does without (runc's rootless mode).
    Denied,
    /// Nobody wants it: `--cgroup-manager disabled`.
    Unwanted,
}

/// A cgroup v1 hierarchy, as the mount table shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Hierarchy {
    /// `cpu`, `cpuacct`, `name=systemd`: the options of the mount.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: String,
}

/// Facts about cgroups on this host; tests hand in fakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupHost {
    /// Where the v2 tree is mounted.
    pub mount: PathBuf,
    /// What else is mounted.
    pub layout: Layout,
    /// Controllers that the top of the v2 tree offers (cgroup.controllers).
    pub controllers: Vec<String>,
    /// v1 hierarchies; filled only by [`Self::with_holders`], if a common controller is missing above.
    pub v1: Vec<V1Hierarchy>,
    /// Our own cgroup, `/` or `/a/b`; filled only for a relative or absent cgroupsPath.
    pub own: Option<String>,
    /// Whether device rules can be enforced.
    pub device_filter: DeviceFilter,
    /// Whether there is a cgroup to make.
    pub access: Access,
    /// Who makes it: systemd, or none for us.
    pub service: Option<Service>,
}

const UNIFIED: &str = "/sys/fs/cgroup";
const HYBRID: &str = "/sys/fs/cgroup/unified";
const PROCS: &str = "cgroup.procs";

/// Controllers that every cgroup v2 host has. One of them missing means that v1 holds it.
const COMMON: [&str; 4] = ["cpu", "io", "memory", "pids"];

impl CgroupHost {
    /// Looks at the host. `cgroups_path` decides whether our own cgroup matters.
    pub fn probe(cgroups_path: Option<&str>, device_filter: DeviceFilter) -> Result<Self> {
        let mounted = Self::mounted(device_filter)?;
        let controllers: Vec<String> = match mounted.layout {
            Layout::Unified => read_line(c"/sys/fs/cgroup/cgroup.controllers")?,
            Layout::Hybrid => read_line(c"/sys/fs/cgroup/unified/cgroup.controllers")?,
        }
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
        let own = match cgroups_path {
            Some(path) if path.starts_with('/') => None,
            _ => own_cgroup(&read(c"/proc/self/cgroup")?),
        };
        Ok(Self {
            controllers,
            own,
            ..mounted
        })
    }

    /// Only where the tree is mounted: nothing of what it controls.
    pub fn mounted(device_filter: DeviceFilter) -> Result<Self> {
        let layout = probe_layout()?;
        Ok(Self {
            mount: layout.mount_point().to_owned(),
            layout,
            controllers: Vec::new(),
            v1: Vec::new(),
            own: None,
            device_filter,
            access: Access::Required,
            service: None,
        })
    }

    /// The same, knowing who holds a common controller that is missing, so that a refusal can name it. On a
    /// host with thousands of mounts that is a long list to read: for those who set limits.
    pub fn with_holders(mut self) -> Result<Self> {
        if !COMMON.iter().all(|common| self.has(common)) {
            self.v1 = v1_hierarchies(&read(c"/proc/self/mountinfo")?);
        }
        Ok(self)
    }

    /// Whether the user may make this cgroup, and move a child of ours into it: clone3(2) asks for the
    /// right to write to cgroup.procs of the cgroup itself and of the nearest ancestor that it has in
    /// common with our own (cgroups(7), Delegation containment).
    pub fn probe_access(&self, path: &CgroupPath) -> Result<Access> {
        let lineage = path.lineage();
        let directory = |path: &CgroupPath| self.mount.join(path.as_str());
        let place = match lineage.iter().rev().find(|path| directory(path).is_dir()) {
            Some(found) if found == path => directory(found).join(PROCS),
            Some(found) => directory(found),
            None => self.mount.clone(),
        };
        let own = own_cgroup(&read(c"/proc/self/cgroup")?).unwrap_or_default();
        let common = lineage.iter().rev().find(|path| {
            let rest = own.strip_prefix(&path.to_string());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let gate = common.map_or(self.mount.clone(), directory).join(PROCS);
        if may_write(&place) && may_write(&gate) {
            Ok(Access::Required)
        } else {
            Ok(Access::Denied)
        }
    }

    /// Whether the v2 tree offers a controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// The v1 hierarchy that holds a controller, by its v2 name.
    pub fn held_by(&self, controller: &str) -> Option<&V1Hierarchy> {
        let old_name = match controller {
            "io" => "blkio",
            same => same,
        };
        self.v1
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == old_name))
    }
}

/// The caller's own cgroup.
pub fn own() -> Result<Option<String>> {
    Ok(own_cgroup(&read(c"/proc/self/cgroup")?))
}

/// Where the v2 tree is mounted, for commands that need no more than that.
pub fn mount_point() -> Result<&'static Path> {
    probe_layout().map(Layout::mount_point)
}

/// The same, held open: the directory that was looked at is the one that comes back.
pub fn open_mount() -> Result<OwnedFd> {
    if LAYOUT.get().is_none() {
        for layout in [Layout::Unified, Layout::Hybrid] {
            let Ok(mount) = super::run::open_mount(layout.mount_point()) else {
                continue;
            };
            let found = fstatfs(&mount).map(|found| found.filesystem_type());
            if found == Ok(CGROUP2_SUPER_MAGIC) {
                LAYOUT.get_or_init(|| layout);
                return Ok(mount);
            }
        }
    }
    super::run::open_mount(mount_point()?)
}

impl Layout {
    fn mount_point(self) -> &'static Path {
        Path::new(match self {
            Self::Unified => UNIFIED,
            Self::Hybrid => HYBRID,
        })
    }
}

/// By the effective ids. A file that cannot be asked about cannot be written either.
fn may_write(path: &Path) -> bool {
    faccessat(AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
}

/// Found once: a host does not mount its cgroups anew under its containers.
static LAYOUT: OnceLock<Layout> = OnceLock::new();

fn probe_layout() -> Result<Layout> {
    match LAYOUT.get() {
        Some(layout) => Ok(*layout),
        None => find_layout().map(|layout| *LAYOUT.get_or_init(|| layout)),
    }
}

fn find_layout() -> Result<Layout> {
    if is_cgroup2(Path::new(UNIFIED)) {
        return Ok(Layout::Unified);
    }
    if is_cgroup2(Path::new(HYBRID)) {
        return Ok(Layout::Hybrid);
    }
    Err(Failure::new(
        Code::System,
        format!("cgroup v2 is mounted neither at {UNIFIED} nor at {HYBRID}"),
    )
    .of(Kind::NoCgroup2))
}

fn is_cgroup2(path: &Path) -> bool {
    // Any error means the same as another filesystem: no cgroup v2 there.
    statfs(path).is_ok_and(|statfs| statfs.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

fn read(path: &CStr) -> Result<String> {
    sys::cgroup::read_path(path).act(|| format!("cannot read {}", path.to_string_lossy()))
}

/// One line of cgroupfs, which comes whole with the first read(2).
fn read_line(path: &CStr) -> Result<String> {
    let mut line = [0; 512];
    let read = sys::fs::read_small(sys::fs::AT_FDCWD, path, &mut line);
    let length = read.act(|| format!("cannot read {}", path.to_string_lossy()))?;
    Ok(String::from_utf8_lossy(&line[..length]).into_owned())
}

/// The cgroup of another process as this one sees it; none if the process has ended.
pub fn cgroup_of(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    own_cgroup(&text)
}

/// `0::/user.slice` of /proc/self/cgroup: the v2 line.
fn own_cgroup(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.to_owned())
}

/// The lines of /proc/self/mountinfo whose filesystem is `cgroup`, that is version 1.
fn v1_hierarchies(mountinfo: &str) -> Vec<V1Hierarchy> {
    let hierarchy = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mount = front.split(' ').nth(4)?;
        let mut back = back.split(' ');
        let (Some("cgroup"), Some(_), Some(options)) = (back.next(), back.next(), back.next())
        else {
            return None;
        };
        Some(V1Hierarchy {
            controllers: options.split(',').map(str::to_owned).collect(),
            mount: mount.to_owned(),
        })
    };
    mountinfo.lines().filter_map(hierarchy).collect()
}

/// A unified host with the given controllers, privileged, our own cgroup being `/`.
#[cfg(test)]
pub fn fake(controllers: &[&str]) -> CgroupHost {
    CgroupHost {
        mount: PathBuf::from(UNIFIED),
        layout: Layout::Unified,
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        v1: Vec::new(),
        own: Some("/".to_owned()),
        device_filter: DeviceFilter::Enforced,
        access: Access::Required,
        service: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_controller_held_by_v1_is_found_under_its_old_name() {
        let host = CgroupHost {
            v1: v1_hierarchies(MOUNTINFO),
            ..fake(&[])
        };
        let mount = |controller| host.held_by(controller).map(|held| held.mount.as_str());
        assert_eq!(mount("cpu"), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mount("io"), Some("/sys/fs/cgroup/blkio"));
        assert_eq!(mount("memory"), None);
    }

    #[test]
    fn our_own_cgroup_is_on_the_line_of_hierarchy_zero() {
        let text = "9:name=systemd:/x\n0::/user.slice/session-1.scope\n";
        assert_eq!(
            own_cgroup(text).as_deref(),
            Some("/user.slice/session-1.scope")
        );
        assert_eq!(own_cgroup("1:cpu:/\n"), None);
    }

    #[test]
    fn this_host_has_a_cgroup2_tree_or_says_so() {
        match CgroupHost::probe(None, DeviceFilter::Enforced) {
            Ok(host) => assert!(is_cgroup2(&host.mount)),
            Err(failure) => assert!(failure.to_string().contains("neither"), "{failure}"),
        }
    }
}
