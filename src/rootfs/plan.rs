//! The root filesystem, decided. Nothing here looks into the rootfs: what is there may change before
//! it is used, so every such question belongs to the operation that meets it.

use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

use super::devices::{self, Making};
use super::options::{self, IdBase, IdMapping, MountOptions, Switch};
use crate::config::{Linux, Mount, NamespaceType, Spec};
use crate::error::{Failure, Field, Result};
use crate::host::Host;
use crate::namespaces::plan::{Namespaces, id_maps};
use crate::plan::compile::{Pivot, Request};
use crate::plan::op::{
    Filesystem, Follow, IdMaps, IdRange, InitOp, Layer, MountPoint, Overlay, Propagation,
    RuntimeOp, Slot, Upper,
};
use crate::plan::{Planner, c_string};
use crate::sys::mount::{Attributes, Reach};

/// What every planner of this room looks at.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// The configuration.
    pub spec: &'a Spec,
    /// Its linux part.
    pub linux: &'a Linux,
    /// What the caller asked for.
    pub request: &'a Request,
    /// Where the namespaces come from.
    pub namespaces: &'a Namespaces,
    /// The host.
    pub host: &'a Host,
    /// Where the container's cgroup is, below the mount of cgroup v2.
    pub cgroup: Option<&'a str>,
}

impl Room<'_> {
    fn in_new_user_namespace(&self) -> bool {
        self.namespaces.is_new(NamespaceType::User)
    }

    /// Whether the runtime takes the copies of the host's trees. Init in a user namespace may lack the
    /// right to walk to them; a runtime without privileges may not copy at all.
    fn runtime_clones(&self) -> bool {
        self.host.privileged && self.namespaces.is_other(NamespaceType::User)
    }
}

/// Init: everything up to the pivot, hooks not counted.
pub fn build(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    propagation(planner, room);
    root(planner, room)?;
    for (index, mount) in room.spec.mounts.iter().enumerate() {
        mount_one(planner, room, index, mount)?;
    }
    let making = if room.host.privileged && !room.namespaces.is_other(NamespaceType::User) {
        Making::Mknod
    } else {
        Making::Bind
    };
    devices::plan(planner, room.spec, making)?;
    let cwd = room
        .spec
        .process
        .as_ref()
        .map(|process| process.cwd.as_str())
        .filter(|cwd| *cwd != "/");
    if let Some(cwd) = cwd {
        let path = c_string(cwd, || Field::new("process.cwd"))?;
        planner.init(
            InitOp::MakeWorkingDirectory(path),
            Field::new("process.cwd"),
        );
    }
    Ok(())
}

/// Init: a directory of the container's state appears in it, read-only.
pub fn bind_state(
    planner: &mut Planner,
    room: &Room<'_>,
    source: PathBuf,
    destination: &str,
    asked_by: &'static str,
) -> Result<()> {
    let field = || Field::new(asked_by);
    let source = c_string(source.into_os_string().into_encoded_bytes(), field)?;
    planner.prepare(
        RuntimeOp::CreateDirectory {
            path: source.clone(),
        },
        field(),
    );
    let mount = planner.slot();
    if room.runtime_clones() {
        let op = RuntimeOp::CloneTree {
            source,
            reach: Reach::One,
            mount,
            follow: Follow::Nothing,
        };
        planner.prepare(op, field());
    } else {
        let op = InitOp::CloneTree {
            source,
            reach: Reach::One,
            mount,
            follow: Follow::Nothing,
        };
        planner.init(op, field());
    }
    let set = libc::MOUNT_ATTR_RDONLY
        | libc::MOUNT_ATTR_NOSUID
        | libc::MOUNT_ATTR_NODEV
        | libc::MOUNT_ATTR_NOEXEC;
    let attributes = Attributes {
        set,
        ..Attributes::default()
    };
    planner.init(
        InitOp::SetAttributes {
            mount,
            reach: Reach::One,
            attributes,
        },
        field(),
    );
    let destination = c_string(destination, field)?;
    planner.init(
        InitOp::AttachTree {
            mount,
            destination,
            point: MountPoint::Directory,
        },
        field(),
    );
    Ok(())
}

/// Init: the pivot and what comes after it.
pub fn enter(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    let masks = !room.linux.masked_paths.is_empty();
    if masks {
        planner.init(InitOp::PrepareMask, Field::new("linux.maskedPaths"));
    }
    match room.request.pivot {
        Pivot::Pivot => planner.init(InitOp::PivotRoot, Field::new("root.path")),
        Pivot::Move => planner.init(InitOp::ChangeRoot, Field::new("--no-pivot")),
    }
    Ok(())
}

/// Init: once the terminal has its place.
pub fn close(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    sysctl(planner, room)?;
    for (index, path) in room.linux.readonly_paths.iter().enumerate() {
        let field = Field::index("linux.readonlyPaths", index);
        planner.init(
            InitOp::ReadonlyPath(c_string(path.as_str(), || field.clone())?),
            field.clone(),
        );
    }
    for (index, path) in room.linux.masked_paths.iter().enumerate() {
        let field = Field::index("linux.maskedPaths", index);
        planner.init(
            InitOp::MaskPath(c_string(path.as_str(), || field.clone())?),
            field.clone(),
        );
    }
    if room.spec.root.as_ref().is_some_and(|root| root.readonly) {
        planner.init(InitOp::ReadonlyRoot, Field::new("root.readonly"));
    }
    if room.request.pivot == Pivot::Pivot {
        planner.init(InitOp::DetachOldRoot, Field::default());
    }
    if let Some(word) = room
        .linux
        .rootfs_propagation
        .as_deref()
        .filter(|word| !word.is_empty())
    {
        let (propagation, _) = propagation_word(word)?;
        planner.init(
            InitOp::SetRootPropagation(propagation),
            Field::new("linux.rootfsPropagation"),
        );
    }
    Ok(())
}

fn propagation_word(word: &str) -> Result<(Propagation, Reach)> {
    let (name, reach) = match word.strip_prefix('r') {
        Some(rest) if rest != "o" => (rest, Reach::Tree),
        _ => (word, Reach::One),
    };
    let propagation = match name {
        "shared" => Propagation::Shared,
        "slave" => Propagation::Slave,
        "private" => Propagation::Private,
        "unbindable" => Propagation::Unbindable,
        _ => {
            let text = format!("{word:?} is none of shared, slave, private, unbindable");
            return Err(Failure::config(Field::new("linux.rootfsPropagation"), text));
        }
    };
    Ok((propagation, reach))
}

/// The copy of the host's mounts must not send events back. Slave is the default, because a volume
/// that asks for `rslave` still wants the host's events; `shared` keeps the connection, as asked.
fn propagation(planner: &mut Planner, room: &Room<'_>) {
    let word = room.linux.rootfs_propagation.as_deref().unwrap_or_default();
    let propagation = match propagation_word(word) {
        Ok((Propagation::Shared, _)) => Propagation::Shared,
        Ok((Propagation::Private | Propagation::Unbindable, _)) => Propagation::Private,
        _ => Propagation::Slave,
    };
    planner.init(
        InitOp::SetHostPropagation(propagation),
        Field::new("linux.rootfsPropagation"),
    );
}

/// root.path as an absolute path of the host.
pub fn root_path(spec: &Spec, bundle: &Path) -> PathBuf {
    let path = spec
        .root
        .as_ref()
        .map(|root| root.path.as_str())
        .unwrap_or_default();
    clean(&bundle.join(path))
}

fn root(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    let field = || Field::new("root.path");
    let path = root_path(room.spec, &room.request.bundle);
    let root = c_string(path.into_os_string().into_encoded_bytes(), field)?;
    let Some(overlay) = &room.request.overlay else {
        if room
            .linux
            .rootfs_propagation
            .as_deref()
            .is_some_and(|word| word.ends_with("shared"))
        {
            planner.init(
                InitOp::MakeParentPrivate { path: root.clone() },
                Field::new("linux.rootfsPropagation"),
            );
        }
        planner.init(InitOp::BindRoot { path: root }, field());
        return Ok(());
    };
    let flag = || overlay.field.clone();
    let mut layers = Vec::with_capacity(overlay.layers.len() + 1);
    for layer in &overlay.layers {
        layers.push(c_string(layer.as_os_str().as_encoded_bytes(), flag)?);
    }
    layers.push(root);
    let layers = layers
        .into_iter()
        .map(|path| layer(planner, room, path, flag()))
        .collect();
    let upper = match &overlay.upper {
        None => Upper::Tmpfs,
        Some(path) => Upper::Directory(c_string(path.as_os_str().as_encoded_bytes(), flag)?),
    };
    if let Upper::Directory(path) = &upper {
        planner.prepare(RuntimeOp::CreateDirectory { path: path.clone() }, flag());
    }
    let target = c_string(
        room.request
            .overlay_target()
            .into_os_string()
            .into_encoded_bytes(),
        flag,
    )?;
    planner.prepare(
        RuntimeOp::CreateDirectory {
            path: target.clone(),
        },
        flag(),
    );
    planner.init(
        InitOp::MountOverlayRoot {
            overlay: Overlay { layers, upper },
            target,
        },
        flag(),
    );
    Ok(())
}

/// In a user namespace the files of a layer belong to ids that it does not have, unless they are mapped.
fn layer(planner: &mut Planner, room: &Room<'_>, path: CString, field: Field) -> Layer {
    if !room.host.privileged || !room.in_new_user_namespace() {
        return Layer { path, mapped: None };
    }
    let (mount, namespace) = (planner.slot(), planner.slot());
    let source = path.clone();
    planner.prepare(
        RuntimeOp::CloneTree {
            source,
            reach: Reach::One,
            mount,
            follow: Follow::Links,
        },
        field.clone(),
    );
    let maps = id_maps(&room.linux.uid_mappings, &room.linux.gid_mappings);
    planner.prepare(
        RuntimeOp::MakeUserNamespace { maps, namespace },
        field.clone(),
    );
    planner.prepare(
        RuntimeOp::MapIds {
            mount,
            reach: Reach::One,
            namespace,
        },
        field,
    );
    Layer {
        path,
        mapped: Some(mount),
    }
}

/// `/a/./b/../c` as `/a/c`, by the text alone.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Normal(name) => cleaned.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

/// One entry of `mounts`, read.
struct Entry<'a> {
    field: Field,
    mount: &'a Mount,
    kind: &'a str,
    options: MountOptions<'a>,
    destination: CString,
    /// The same, for decisions.
    path: PathBuf,
}

impl Entry<'_> {
    fn source(&self) -> &str {
        self.mount.source.as_deref().unwrap_or_default()
    }

    fn point(&self) -> MountPoint {
        if self.options.destination_nofollow {
            MountPoint::LikeSourceNoFollow
        } else {
            MountPoint::LikeSource
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

fn mount_one(planner: &mut Planner, room: &Room<'_>, index: usize, mount: &Mount) -> Result<()> {
    let field = Field::index("mounts", index);
    let options = MountOptions::parse(&mount.options)
        .map_err(|fault| Failure::config(field.clone().leaf("options"), fault.text))?;
    let path = clean(Path::new(&mount.destination));
    let destination = c_string(path.as_os_str().as_encoded_bytes(), || {
        field.clone().leaf("destination")
    })?;
    let kind = mount.kind.as_deref().unwrap_or_default();
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
        _ => filesystem(planner, room, &entry),
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
    let parameters = parameters(entry, &entry.options)?;
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
    if let Some((key, _)) = entry.options.data.first() {
        let text = format!("{key:?} is no option of a bind mount");
        return Err(Failure::config(entry.field.clone().leaf("options"), text));
    }
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

fn bind_tree(
    planner: &mut Planner,
    room: &Room<'_>,
    entry: &Entry<'_>,
    source: PathBuf,
    reach: Reach,
) -> Result<()> {
    let mount = planner.slot();
    let source = c_string(source.into_os_string().into_encoded_bytes(), || {
        entry.field.clone().leaf("source")
    })?;
    let follow = if entry.options.source_nofollow {
        Follow::Nothing
    } else {
        Follow::Links
    };
    let idmap = idmap(planner, room, entry)?;
    if room.runtime_clones() || idmap.is_some() {
        planner.prepare(
            RuntimeOp::CloneTree {
                source,
                reach,
                mount,
                follow,
            },
            entry.field.clone(),
        );
    } else {
        planner.init(
            InitOp::CloneTree {
                source,
                reach,
                mount,
                follow,
            },
            entry.field.clone(),
        );
    }
    if let Some((reach, namespace)) = idmap {
        planner.prepare(
            RuntimeOp::MapIds {
                mount,
                reach,
                namespace,
            },
            entry.field.clone(),
        );
    }
    if entry.kind == "volume" {
        let destination = entry.destination.clone();
        planner.init(
            InitOp::OwnVolume { mount, destination },
            entry.field.clone(),
        );
    }
    adorn(planner, entry, mount, entry.attributes());
    let op = InitOp::AttachTree {
        mount,
        destination: entry.destination.clone(),
        point: entry.point(),
    };
    planner.init(op, entry.field.clone());
    Ok(())
}

/// Flags and propagation, while the mount is detached.
fn adorn(planner: &mut Planner, entry: &Entry<'_>, mount: Slot, attributes: Attributes) {
    let field = || entry.field.clone().leaf("options");
    if !attributes.is_empty() {
        planner.init(
            InitOp::SetAttributes {
                mount,
                reach: Reach::One,
                attributes,
            },
            field(),
        );
    }
    let options = &entry.options;
    let recursive = Attributes {
        set: options.recursive_set,
        clear: options.recursive_clear,
        propagation: 0,
    };
    if !recursive.is_empty() {
        planner.init(
            InitOp::SetAttributes {
                mount,
                reach: Reach::Tree,
                attributes: recursive,
            },
            field(),
        );
    }
    for propagation in &options.propagation {
        let attributes = Attributes {
            propagation: propagation.flag,
            ..Attributes::default()
        };
        let reach = match propagation.reach {
            options::Reach::Mount => Reach::One,
            options::Reach::Tree => Reach::Tree,
        };
        planner.init(
            InitOp::SetAttributes {
                mount,
                reach,
                attributes,
            },
            field(),
        );
    }
}

/// The user namespace that holds the maps of an idmapped mount: only its maps matter.
fn idmap(
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
    planner.prepare(
        RuntimeOp::CreateVolume {
            name: name.to_owned(),
        },
        entry.field.clone().leaf("source"),
    );
    bind(
        planner,
        room,
        entry,
        crate::volumes::directory(&room.request.data, name),
    )
}

/// The container's view of its cgroup.
fn cgroup(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>) -> Result<()> {
    if room.namespaces.is_new(NamespaceType::Cgroup) {
        let filesystem = Filesystem {
            kind: c"cgroup2".to_owned(),
            source: Some(c"cgroup".to_owned()),
            parameters: Vec::new(),
            attributes: entry.options.set,
        };
        return mount_filesystem(planner, entry, filesystem, MountPoint::Directory, None);
    }
    // A cgroup2 mounted from the initial cgroup namespace would take the host's mount options over, so
    // the host's mount is bound. Without privileges, only the own part: the rest is not the container's.
    let source = match room.cgroup {
        Some(own) if room.in_new_user_namespace() => {
            room.host.cgroup.mount.join(own.trim_start_matches('/'))
        }
        _ => room.host.cgroup.mount.clone(),
    };
    bind_tree(planner, room, entry, source, Reach::One)
}

fn filesystem(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>) -> Result<()> {
    let field = || entry.field.clone().leaf("type");
    if entry.kind.is_empty() {
        let text = "a mount needs a type, or the option bind";
        return Err(Failure::config(entry.field.clone(), text).hint("add \"bind\" to its options"));
    }
    if entry.options.idmap.is_some() || !entry.mount.uid_mappings.is_empty() {
        return idmapped_filesystem(planner, room, entry);
    }
    let filesystem = filesystem_of(room, entry, c_string(entry.kind, field)?)?;
    let path = entry.path.to_string_lossy();
    let (point, keep) = match (entry.kind, path.as_ref()) {
        ("proc", "/proc") if filesystem.parameters.is_empty() => {
            (MountPoint::OrdinaryDirectory, Some(Slot::PROC))
        }
        ("proc" | "sysfs", _) => (MountPoint::OrdinaryDirectory, None),
        (_, "/dev") => (MountPoint::OrdinaryDirectory, None),
        (_, "/") => (MountPoint::Directory, Some(Slot::ROOT)),
        _ => (MountPoint::Directory, None),
    };
    mount_filesystem(planner, entry, filesystem, point, keep)
}

fn filesystem_of(room: &Room<'_>, entry: &Entry<'_>, kind: CString) -> Result<Filesystem> {
    let mut parameters = parameters(entry, &entry.options)?;
    let label = room
        .linux
        .mount_label
        .as_deref()
        .filter(|label| !label.is_empty() && room.host.selinux);
    if let (Some(label), "tmpfs" | "devpts" | "mqueue" | "ramfs") = (label, entry.kind) {
        let label = c_string(label, || Field::new("linux.mountLabel"))?;
        parameters.push((c"context".to_owned(), Some(label)));
    }
    let source = match entry.source() {
        "" => None,
        source => Some(c_string(source, || entry.field.clone().leaf("source"))?),
    };
    // A filesystem on a device must not even replay its journal; the kernel's own ones have nothing
    // to protect, and a tmpfs has to be filled first.
    let is_kernels = matches!(
        entry.kind,
        "proc" | "sysfs" | "tmpfs" | "devpts" | "mqueue" | "ramfs" | "overlay"
    );
    if !is_kernels && entry.options.set & libc::MOUNT_ATTR_RDONLY != 0 {
        parameters.push((c"ro".to_owned(), None));
    }
    Ok(Filesystem {
        kind,
        source,
        parameters,
        attributes: entry.options.set,
    })
}

fn parameters(
    entry: &Entry<'_>,
    options: &MountOptions<'_>,
) -> Result<Vec<(CString, Option<CString>)>> {
    let field = || entry.field.clone().leaf("options");
    let flags = options.superblock.iter().map(|flag| (*flag, None));
    flags
        .chain(options.data.iter().copied())
        .map(|(key, value)| {
            let value = value.map(|value| c_string(value, field)).transpose()?;
            Ok((c_string(key, field)?, value))
        })
        .collect()
}

fn mount_filesystem(
    planner: &mut Planner,
    entry: &Entry<'_>,
    filesystem: Filesystem,
    point: MountPoint,
    keep: Option<Slot>,
) -> Result<()> {
    let destination = entry.destination.clone();
    let options = &entry.options;
    let has_mode = filesystem
        .parameters
        .iter()
        .any(|(key, _)| key.as_c_str() == c"mode");
    let takes_mode = entry.kind == "tmpfs" && !has_mode;
    let is_plain =
        options.propagation.is_empty() && options.recursive_set | options.recursive_clear == 0;
    if is_plain && !takes_mode && !options.tmpcopyup {
        planner.init(
            InitOp::MountFilesystem {
                filesystem,
                destination,
                point,
                keep,
            },
            entry.field.clone(),
        );
        return Ok(());
    }
    let mount = planner.slot();
    // Read-only comes last: the copy has to be written first.
    let readonly = filesystem.attributes & libc::MOUNT_ATTR_RDONLY;
    let filesystem = Filesystem {
        attributes: filesystem.attributes & !readonly,
        ..filesystem
    };
    planner.init(
        InitOp::CreateFilesystem {
            filesystem,
            mount,
            destination: entry.destination.clone(),
        },
        entry.field.clone(),
    );
    if takes_mode {
        planner.init(
            InitOp::TakeMode {
                mount,
                destination: destination.clone(),
            },
            entry.field.clone(),
        );
    }
    if options.tmpcopyup {
        planner.init(
            InitOp::CopyUp {
                mount,
                destination: destination.clone(),
            },
            entry.field.clone().leaf("options"),
        );
    }
    adorn(
        planner,
        entry,
        mount,
        Attributes {
            set: readonly,
            ..Attributes::default()
        },
    );
    planner.init(
        InitOp::AttachTree {
            mount,
            destination,
            point,
        },
        entry.field.clone(),
    );
    Ok(())
}

/// Ids of a new filesystem are mapped by init where it has the privileges, which it has exactly
/// where the container has no user namespace.
fn idmapped_filesystem(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>) -> Result<()> {
    let Some((reach, namespace)) = idmap(planner, room, entry)? else {
        return Ok(());
    };
    let kind = c_string(entry.kind, || entry.field.clone().leaf("type"))?;
    let filesystem = filesystem_of(room, entry, kind)?;
    let mount = planner.slot();
    planner.init(
        InitOp::CreateFilesystem {
            filesystem,
            mount,
            destination: entry.destination.clone(),
        },
        entry.field.clone(),
    );
    planner.init(
        InitOp::MapIds {
            mount,
            reach,
            namespace,
        },
        entry.field.clone(),
    );
    adorn(planner, entry, mount, Attributes::default());
    let op = InitOp::AttachTree {
        mount,
        destination: entry.destination.clone(),
        point: MountPoint::Directory,
    };
    planner.init(op, entry.field.clone());
    Ok(())
}

fn sysctl(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    if room.linux.sysctl.is_empty() {
        return Ok(());
    }
    let has_proc = |step: &crate::plan::Step<InitOp>| {
        matches!(
            &step.op,
            InitOp::MountFilesystem {
                keep: Some(Slot::PROC),
                ..
            }
        )
    };
    if !planner.init_steps().iter().any(has_proc) {
        planner.init(InitOp::OpenProc, Field::new("linux.sysctl"));
    }
    for (key, value) in room.linux.sysctl.iter() {
        let field = || Field::key("linux.sysctl", key);
        let path = c_string(format!("sys/{}", sysctl_path(key)), field)?;
        planner.init(
            InitOp::WriteSysctl {
                path,
                value: c_string(value.as_str(), field)?,
            },
            field(),
        );
    }
    Ok(())
}

/// `net.ipv4.ip_forward` and `net/ipv4/conf/eth0.100/x`: the first separator in the key is the
/// separator, and the other character is part of names (sysctl(8)).
pub fn sysctl_path(key: &str) -> String {
    match key.find(['.', '/']).map(|place| key.as_bytes()[place]) {
        Some(b'.') => key
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_text() {
        assert_eq!(clean(Path::new("a/../../b/./c/")), Path::new("/b/c"));
    }

    #[test]
    fn either_separator_of_a_sysctl_works() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(
            sysctl_path("net/ipv4/conf/eth0.100/rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(
            sysctl_path("net.ipv4.conf.eth0/100.rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
    }
}
