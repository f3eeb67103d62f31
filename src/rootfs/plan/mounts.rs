//! The entries of `mounts`: binds, volumes, the cgroup; what each becomes.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::{Place, Room, clean, filesystems};
use crate::config::{Mount, NamespaceType};
use crate::error::{Failure, Field, Result};
use crate::namespaces::plan::id_maps;
use crate::plan::op::{
    Filesystem, Follow, Gate, IdMaps, IdRange, InitOp, MountPoint, RuntimeOp, Slot,
};
use crate::plan::{Planner, c_string};
use crate::rootfs::options::{self, IdBase, IdMapping, MountOptions, Switch};
use crate::sys::mount::{Attributes, Reach};

/// One entry of `mounts`, read.
pub(super) struct Entry<'a> {
    pub(super) field: Field,
    pub(super) mount: &'a Mount,
    pub(super) kind: &'a str,
    pub(super) options: MountOptions<'a>,
    pub(super) destination: CString,
    /// The same, for decisions.
    pub(super) path: PathBuf,
}

impl Entry<'_> {
    pub(super) fn source(&self) -> &str {
        self.mount.source.as_deref().unwrap_or_default()
    }

    fn point(&self) -> MountPoint {
        if self.options.destination_nofollow {
            MountPoint::LikeSourceNoFollow
        } else {
            MountPoint::LikeSource
        }
    }

    /// A bind mount without flags has those of its source. In one that was asked for, one flag replaces them all, as the remount did by
    /// which runtimes used to set it; but in a user namespace only those that it could have cleared
    /// (mount_namespaces(7), locked flags). Access times are replaced by access times alone.
    fn bind_attributes(&self, room: &Room<'_>) -> Attributes {
        const LOCKED: u64 = libc::MOUNT_ATTR_RDONLY
            | libc::MOUNT_ATTR_NOSUID
            | libc::MOUNT_ATTR_NODEV
            | libc::MOUNT_ATTR_NOEXEC;
        let MountOptions { set, mut clear, .. } = self.options;
        let is_substitute = self.kind != "bind" && self.options.bind.is_none();
        if set | clear == 0 || is_substitute {
            return self.attributes();
        }
        let chooses_times = clear & options::MOUNT_ATTR_ATIME != 0;
        if set & libc::MOUNT_ATTR_NODIRATIME != 0 {
            clear |= options::MOUNT_ATTR_ATIME;
        } else if chooses_times {
            clear |= libc::MOUNT_ATTR_NODIRATIME;
        }
        let kept = if room.namespaces.is_other(NamespaceType::User) {
            LOCKED
        } else {
            0
        };
        clear |= (LOCKED | libc::MOUNT_ATTR_NOSYMFOLLOW) & !kept & !set;
        Attributes {
            set,
            clear,
            propagation: 0,
        }
    }

    fn attributes(&self) -> Attributes {
        Attributes {
            set: self.options.set,
            clear: self.options.clear,
            propagation: 0,
        }
    }
}

pub(super) fn mount_one(
    planner: &mut Planner,
    room: &Room<'_>,
    index: usize,
    mount: &Mount,
) -> Result<()> {
    let field = Field::index("mounts", index);
    let options = MountOptions::parse(&mount.options)
        .map_err(|fault| Failure::config(field.clone().leaf("options"), fault.text))?;
    let path = destination(room, mount);
    let destination = c_string(path.as_os_str().as_encoded_bytes(), || {
        field.clone().leaf("destination")
    })?;
    let kind = mount.kind.as_deref().unwrap_or_default();
    let mut options = options;
    if is_late_readonly(mount, &path, &options) {
        options.set &= !libc::MOUNT_ATTR_RDONLY;
    }
    let entry = Entry {
        field,
        mount,
        kind,
        options,
        destination,
        path,
    };
    if !entry.options.remount {
        refuse_proc(&entry)?;
    }
    if entry.options.i_version == Some(Switch::On) {
        return Err(Failure::config(
            entry.field.leaf("options"),
            "iversion cannot be set by a runtime",
        ));
    }
    if entry.options.remount {
        return remount(planner, &entry);
    }
    match entry.kind {
        "volume" => volume(planner, room, &entry),
        "bind" => bind(planner, room, &entry, bind_source(room, &entry)),
        _ if entry.options.bind.is_some() => bind(planner, room, &entry, bind_source(room, &entry)),
        "cgroup" | "cgroup2" => cgroup(planner, room, &entry),
        "sysfs"
            if room.namespaces.is_other(NamespaceType::User)
                && !room.namespaces.is_new(NamespaceType::Network) =>
        {
            // The kernel lets only the owner of the network namespace mount a sysfs.
            bind_tree(planner, room, &entry, PathBuf::from("/sys"), Reach::Tree)
        }
        _ => filesystems::filesystem(planner, room, &entry),
    }
}

/// Where in the container: some callers write the path that the host knows.
fn destination(room: &Room<'_>, mount: &Mount) -> PathBuf {
    let path = clean(Path::new(&mount.destination));
    match path.strip_prefix(room.root) {
        Ok(inside) if room.root != Path::new("/") => Path::new("/").join(inside),
        _ => path.into_owned(),
    }
}

/// A read-only /dev still has to take devices and other mounts: [`late_readonly`].
fn is_late_readonly(mount: &Mount, path: &Path, options: &MountOptions<'_>) -> bool {
    path == Path::new("/dev")
        && mount.kind.as_deref() == Some("tmpfs")
        && !options.remount
        && options.set & libc::MOUNT_ATTR_RDONLY != 0
}

/// Init: what becomes read-only when everything in it is in place.
pub(super) fn late_readonly(planner: &mut Planner, mounts: &[Mount]) {
    for (index, mount) in mounts.iter().enumerate() {
        let path = clean(Path::new(&mount.destination));
        // Its options have been read before, and were right.
        let options = || MountOptions::parse(&mount.options).unwrap_or_default();
        if path == Path::new("/dev") && is_late_readonly(mount, &path, &options()) {
            let field = Field::index("mounts", index).leaf("options");
            planner.init(InitOp::ReadonlyMount(c"/dev".to_owned()), field);
        }
    }
}

/// Files of /proc that may be covered: those that tools such as lxcfs imitate.
const COVERABLE: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// A mount over /proc would let a container lie to the runtime (CVE-2019-16884, CVE-2025-52881).
fn refuse_proc(entry: &Entry<'_>) -> Result<()> {
    let path = entry.path.to_string_lossy();
    let is_proc = entry.kind == "proc"
        || (entry.options.bind.is_some() || entry.kind == "bind") && entry.source() == "/proc";
    let allowed = match path.as_ref() {
        "/proc" => is_proc,
        inside if inside.starts_with("/proc/") => COVERABLE.contains(&inside),
        _ => true,
    };
    if allowed {
        return Ok(());
    }
    let text = format!("{:?} cannot be mounted because it is inside /proc", path);
    Err(Failure::config(
        entry.field.clone().leaf("destination"),
        text,
    ))
}

fn remount(planner: &mut Planner, entry: &Entry<'_>) -> Result<()> {
    let parameters = filesystems::parameters(entry, &entry.options)?;
    let op = InitOp::Remount {
        destination: entry.destination.clone(),
        attributes: entry.attributes(),
        parameters,
    };
    planner.init(op, entry.field.clone());
    Ok(())
}

fn bind_source(room: &Room<'_>, entry: &Entry<'_>) -> PathBuf {
    room.request.bundle.join(entry.source())
}

fn bind(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>, source: PathBuf) -> Result<()> {
    refuse_data(entry)?;
    if entry.source().is_empty() {
        return Err(Failure::config(
            entry.field.clone().leaf("source"),
            "a bind mount needs a source",
        ));
    }
    let reach = match entry.options.bind {
        Some(options::Reach::Tree) => Reach::Tree,
        _ => Reach::One,
    };
    bind_tree(planner, room, entry, source, reach)
}

fn refuse_data(entry: &Entry<'_>) -> Result<()> {
    refuse_data_but(entry, &[])
}

fn refuse_data_but(entry: &Entry<'_>, allowed: &[&str]) -> Result<()> {
    let mut data = entry.options.data.iter();
    let Some((key, _)) = data.find(|(key, _)| !allowed.contains(key)) else {
        return Ok(());
    };
    let text = format!("{key:?} is no option of a bind mount");
    Err(Failure::config(entry.field.clone().leaf("options"), text))
}

fn bind_tree(
    planner: &mut Planner,
    room: &Room<'_>,
    entry: &Entry<'_>,
    source: PathBuf,
    reach: Reach,
) -> Result<()> {
    let mount = planner.slot();
    // What the mounts before it have put into the container only init sees.
    let is_inside = source.starts_with(room.root)
        && room.request.overlay.is_none()
        && room.place == Place::Host;
    let source = c_string(source.into_os_string().into_encoded_bytes(), || {
        entry.field.clone().leaf("source")
    })?;
    let follow = if entry.options.source_nofollow {
        Follow::Nothing
    } else {
        Follow::Links
    };
    let idmap = idmap(planner, room, entry)?;
    let in_user_namespace = room.namespaces.is_other(NamespaceType::User);
    let field = || entry.field.clone();
    let tree = Tree {
        source,
        reach,
        mount,
        follow,
    };
    let by_init = is_inside || idmap.is_none() && !room.runtime_clones();
    match (by_init, idmap) {
        (false, idmap) => clone_in_runtime(planner, tree, idmap, field),
        // Mapping takes the privileges of the host over the filesystem.
        (true, Some(idmap)) if in_user_namespace => clone_in_both(planner, tree, idmap, field),
        (true, idmap) => clone_in_init(planner, tree, idmap, field),
    }
    if entry.kind == "volume" {
        let destination = entry.destination.clone();
        planner.init(
            InitOp::OwnVolume { mount, destination },
            entry.field.clone(),
        );
    }
    let attributes = entry.bind_attributes(room);
    if !by_init && in_user_namespace && entry.options.clear != 0 {
        let clear = entry.options.clear;
        planner.prepare(
            RuntimeOp::RespectFlags { mount, clear },
            entry.field.clone().leaf("options"),
        );
    }
    adorn(planner, entry, mount, attributes);
    let op = InitOp::AttachTree {
        mount,
        destination: entry.destination.clone(),
        point: entry.point(),
    };
    planner.init(op, entry.field.clone());
    Ok(())
}

/// What is cloned, how far it reaches, and the slot that takes it.
struct Tree {
    source: CString,
    reach: Reach,
    mount: Slot,
    follow: Follow,
}

fn clone_in_init(
    planner: &mut Planner,
    tree: Tree,
    idmap: Option<(Reach, Slot)>,
    field: impl Fn() -> Field,
) {
    let Tree {
        source,
        reach,
        mount,
        follow,
    } = tree;
    let op = InitOp::CloneTree {
        source,
        reach,
        mount,
        follow,
        attributes: Attributes::default(),
    };
    planner.init(op, field());
    if let Some((reach, namespace)) = idmap {
        let op = InitOp::MapIds {
            mount,
            reach,
            namespace,
        };
        planner.init(op, field());
    }
}

fn clone_in_runtime(
    planner: &mut Planner,
    tree: Tree,
    idmap: Option<(Reach, Slot)>,
    field: impl Fn() -> Field,
) {
    let Tree {
        source,
        reach,
        mount,
        follow,
    } = tree;
    let op = RuntimeOp::CloneTree {
        source,
        reach,
        mount,
        follow,
    };
    planner.prepare(op, field());
    if let Some((reach, namespace)) = idmap {
        let op = RuntimeOp::MapIds {
            mount,
            reach,
            namespace,
        };
        planner.prepare(op, field());
    }
}

/// Init copies what it alone sees; the runtime maps the ids of the copy.
fn clone_in_both(
    planner: &mut Planner,
    tree: Tree,
    (reach, namespace): (Reach, Slot),
    field: impl Fn() -> Field,
) {
    let mount = tree.mount;
    clone_in_init(planner, tree, None, &field);
    let taken = planner.slot();
    planner.init(InitOp::HandOverTree { mount }, field());
    planner.runtime(RuntimeOp::TakeOverTree { mount: taken }, field());
    let op = RuntimeOp::MapIds {
        mount: taken,
        reach,
        namespace,
    };
    planner.runtime(op, field());
    planner.meet(Gate::TreeMapped);
}

/// Flags and propagation, while the mount is detached.
pub(super) fn adorn(planner: &mut Planner, entry: &Entry<'_>, mount: Slot, attributes: Attributes) {
    let mut set = |reach, attributes: Attributes| {
        if attributes.is_empty() || taken_with(planner, mount, reach, attributes) {
            return;
        }
        let field = entry.field.clone().leaf("options");
        planner.init(
            InitOp::SetAttributes {
                mount,
                reach,
                attributes,
            },
            field,
        );
    };
    set(Reach::One, attributes);
    let options = &entry.options;
    let recursive = Attributes {
        set: options.recursive_set,
        clear: options.recursive_clear,
        propagation: 0,
    };
    set(Reach::Tree, recursive);
    for propagation in &options.propagation {
        let attributes = Attributes {
            propagation: propagation.flag,
            ..Attributes::default()
        };
        let reach = match propagation.reach {
            options::Reach::Mount => Reach::One,
            options::Reach::Tree => Reach::Tree,
        };
        set(reach, attributes);
    }
}

/// A copy that reaches as far, and was the last step, is taken with the attributes: one call for both.
fn taken_with(planner: &mut Planner, mount: Slot, reach: Reach, attributes: Attributes) -> bool {
    let copied = (mount, reach, Attributes::default());
    match planner.last_of_init() {
        Some(InitOp::CloneTree {
            mount,
            reach,
            follow: Follow::Links,
            attributes: already,
            ..
        }) if (*mount, *reach, *already) == copied => {
            *already = attributes;
            true
        }
        _ => false,
    }
}

/// The user namespace that holds the maps of an idmapped mount: only its maps matter.
pub(super) fn idmap(
    planner: &mut Planner,
    room: &Room<'_>,
    entry: &Entry<'_>,
) -> Result<Option<(Reach, Slot)>> {
    let has_own = !entry.mount.uid_mappings.is_empty();
    let (reach, mapping) = match &entry.options.idmap {
        Some((options::Reach::Tree, mapping)) => (Reach::Tree, Some(mapping)),
        Some((options::Reach::Mount, mapping)) => (Reach::One, Some(mapping)),
        None if has_own => (Reach::One, None),
        None => return Ok(None),
    };
    let given_here = has_own || matches!(mapping, Some(IdMapping::Given { .. }));
    let joined = room.namespaces.join_of(NamespaceType::User);
    if let Some(namespace) = joined.filter(|_| !given_here && room.host.privileged) {
        // Its mappings are the container's, whatever they are.
        return Ok(Some((reach, namespace)));
    }
    let container = || id_maps(&room.linux.uid_mappings, &room.linux.gid_mappings);
    let maps = match mapping {
        Some(IdMapping::Given { uids, gids }) => {
            let container = container();
            IdMaps {
                users: given(uids, &container.users, entry)?,
                groups: given(gids, &container.groups, entry)?,
            }
        }
        _ if has_own => id_maps(&entry.mount.uid_mappings, &entry.mount.gid_mappings),
        _ => container(),
    };
    if maps.users.is_empty() || maps.groups.is_empty() {
        let text =
            "an idmapped mount needs uidMappings and gidMappings, its own or the container's";
        return Err(Failure::config(entry.field.clone(), text));
    }
    if !room.host.privileged {
        let text = "idmapped mounts need privileges on the host";
        return Err(Failure::config(entry.field.clone(), text));
    }
    let namespace = planner.slot();
    planner.prepare(
        RuntimeOp::MakeUserNamespace { maps, namespace },
        entry.field.clone(),
    );
    Ok(Some((reach, namespace)))
}

/// crun's `idmap=uids=0-1000-1`; `@` counts the right side in the container's ids.
fn given(
    ranges: &[options::IdRange],
    container: &[IdRange],
    entry: &Entry<'_>,
) -> Result<Vec<IdRange>> {
    let outside = |range: &options::IdRange| match range.base {
        IdBase::Host => Some(range.to),
        IdBase::Container => container
            .iter()
            .find(|map| range.to >= map.inside && range.to - map.inside < map.size)
            .and_then(|map| map.outside.checked_add(range.to - map.inside)),
    };
    ranges
        .iter()
        .map(|range| {
            let outside = outside(range).ok_or_else(|| {
                let text = format!("id {} is not mapped in the container", range.to);
                Failure::config(entry.field.clone().leaf("options"), text)
            })?;
            Ok(IdRange {
                inside: range.from,
                outside,
                size: range.size,
            })
        })
        .collect()
}

/// A named volume: a directory below the data directory, whatever its name.
fn volume(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>) -> Result<()> {
    let name = entry.source();
    crate::volumes::check_name(name)
        .map_err(|failure| failure.at(entry.field.clone().leaf("source")))?;
    let data = room.request.data.as_deref();
    let data = data.ok_or_else(|| crate::volumes::no_directory().at(entry.field.clone()))?;
    planner.prepare(
        RuntimeOp::CreateVolume {
            name: name.to_owned(),
        },
        entry.field.clone().leaf("source"),
    );
    bind(planner, room, entry, crate::volumes::directory(data, name))
}

/// What containerd repeats of the host's options for a container that shares its cgroup namespace, lest a new mount take
/// them away. A bind takes nothing, so they are as the host has them.
const OF_THE_HIERARCHY: [&str; 2] = ["nsdelegate", "memory_recursiveprot"];

/// The container's view of its cgroup.
fn cgroup(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>) -> Result<()> {
    if room.namespaces.is_new(NamespaceType::Cgroup) {
        let filesystem = Filesystem {
            kind: c"cgroup2".to_owned(),
            source: Some(c"cgroup".to_owned()),
            // From another cgroup namespace than the first the kernel reads them, and changes nothing for the host.
            parameters: filesystems::parameters(entry, &entry.options)?,
            attributes: entry.options.set,
        };
        return filesystems::mount_filesystem(
            planner,
            entry,
            filesystem,
            None,
            (MountPoint::Directory, None),
        );
    }
    // A cgroup2 mounted from the initial cgroup namespace would take the host's mount options over, so
    // the host's mount is bound. Without privileges, only the own part: the rest is not the container's.
    refuse_data_but(entry, &OF_THE_HIERARCHY)?;
    let source = match room.cgroup {
        Some(own) if room.in_new_user_namespace() => {
            room.host.cgroup.mount.join(own.trim_start_matches('/'))
        }
        _ => room.host.cgroup.mount.clone(),
    };
    bind_tree(planner, room, entry, source, Reach::One)
}
