//! The root filesystem, decided. Nothing here looks into the rootfs: what is there may change before
//! it is used, so every such question belongs to the operation that meets it.

mod filesystems;
mod late;
mod mounts;
mod sysctl;

use std::borrow::Cow;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

pub use self::late::Late;
pub use self::sysctl::sysctl_path;
use super::devices::{self, Making};
use crate::config::{Linux, NamespaceType, Spec};
use crate::error::{Failure, Field, Result};
use crate::host::Host;
use crate::namespaces::plan::{Namespaces, id_maps};
use crate::plan::op::{Follow, InitOp, Layer, MountPoint, Overlay, Propagation, RuntimeOp, Upper};
use crate::plan::request::{Pivot, Request};
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
    /// [`root_path`].
    pub root: &'a Path,
    /// Where the namespaces come from.
    pub namespaces: &'a Namespaces,
    /// The host.
    pub host: &'a Host,
    /// Where the container's cgroup is, below the mount of cgroup v2.
    pub cgroup: Option<&'a str>,
    /// Where init is when it mounts.
    pub place: Place,
}

/// Whose tree init stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A copy of the host's, before the pivot.
    Host,
    /// A container's that is there.
    Container,
}

impl Room<'_> {
    fn in_new_user_namespace(&self) -> bool {
        self.namespaces.is_new(NamespaceType::User)
    }

    /// Whether the runtime takes the copies of the host's trees. Init in a user namespace may lack the
    /// right to walk to them; a runtime without privileges may not copy at all.
    fn runtime_clones(&self) -> bool {
        self.place == Place::Container
            || self.host.privileged && self.namespaces.is_other(NamespaceType::User)
    }
}

/// mknod(2) of devices needs it.
const CAP_MKNOD: u64 = 1 << 27;

/// Init: everything up to the pivot, hooks not counted; says what waits for later.
pub fn build(planner: &mut Planner, room: &Room<'_>) -> Result<Late> {
    propagation(planner, room);
    root(planner, room)?;
    let late = Late::of(room);
    for (index, mount) in room.spec.mounts.iter().enumerate() {
        if !late.mounts.contains(&index) {
            mounts::mount_one(planner, room, index, mount)?;
        }
    }
    if !late.cover_devices {
        devices(planner, room)?;
    }
    if !late.after_covers {
        build_late(planner, room, &late)?;
    }
    Ok(late)
}

/// Init: mounts of a container that is there.
pub fn add(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    for (index, mount) in room.spec.mounts.iter().enumerate() {
        mounts::mount_one(planner, room, index, mount)?;
    }
    Ok(())
}

/// Init: what waits for the network namespace, and what may lie in it.
fn build_late(planner: &mut Planner, room: &Room<'_>, late: &Late) -> Result<()> {
    for index in &late.mounts {
        mounts::mount_one(planner, room, *index, &room.spec.mounts[*index])?;
    }
    if late.cover_devices {
        devices(planner, room)?;
    }
    working_directory(planner, room)
}

fn devices(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    let may_make = room.host.privileged && room.host.grantable & CAP_MKNOD != 0;
    let is_elsewhere = room.namespaces.is_other(NamespaceType::User);
    let making = match (room.host.privileged, is_elsewhere) {
        (true, false) if may_make => Making::Mknod,
        (true, _) => Making::BindByRuntime,
        (false, _) => Making::BindByInit,
    };
    devices::plan(planner, room.spec, making)
}

fn working_directory(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
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
            attributes: Attributes::default(),
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

/// Init: what the host gives is taken before an overlay covers `/`. From there on `..` at the top of the host's tree leads
/// into the overlay, so a link such as `/etc/resolv.conf -> ../run/resolv.conf` would be followed within the image.
pub fn take_sources_first(planner: &mut Planner) {
    planner.init_before(
        |op| matches!(op, InitOp::CloneTree { .. }),
        |op| matches!(op, InitOp::MountOverlayRoot { .. }),
    );
}

/// Init: what the paths that are hidden need.
pub fn enter(planner: &mut Planner, room: &Room<'_>) {
    if !room.linux.masked_paths.is_empty() {
        if host_propagation(room) == Propagation::Shared {
            // What masks are cloned from lies over /proc until the pivot: the host must not get it too.
            let path = c"/proc".to_owned();
            planner.init(
                InitOp::MakeParentPrivate { path },
                Field::new("linux.rootfsPropagation"),
            );
        }
        planner.init(InitOp::PrepareMask, Field::new("linux.maskedPaths"));
    }
}

/// Init: once the terminal has its place, to the change of the root.
pub fn close(planner: &mut Planner, room: &Room<'_>, late: &Late) -> Result<()> {
    // Whether it is hidden or protected once everything is mounted.
    let waits = |path: &str| late.after_covers && late.concerns(room, path);
    cover_paths(planner, room, |path| late.after_covers && !waits(path))?;
    if late.after_covers {
        build_late(planner, room, late)?;
    }
    sysctl::plan(planner, room)?;
    mounts::late_readonly(planner, &room.spec.mounts);
    cover_paths(planner, room, |path| !late.after_covers || waits(path))?;
    if room.spec.root.as_ref().is_some_and(|root| root.readonly) {
        planner.init(InitOp::ReadonlyRoot, Field::new("root.readonly"));
    }
    match room.request.pivot {
        Pivot::Pivot => {
            let is_shared = host_propagation(room) == Propagation::Shared;
            planner.init(InitOp::PivotRoot { is_shared }, Field::new("root.path"));
            planner.init(InitOp::DetachOldRoot, Field::default());
        }
        Pivot::Move => planner.init(InitOp::ChangeRoot, Field::new("--no-pivot")),
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

/// Init: the paths that become read-only, and those that are hidden.
fn cover_paths(
    planner: &mut Planner,
    room: &Room<'_>,
    is_meant: impl Fn(&str) -> bool,
) -> Result<()> {
    for (index, path) in room.linux.readonly_paths.iter().enumerate() {
        if !is_meant(path) {
            continue;
        }
        let field = Field::index("linux.readonlyPaths", index);
        let path = c_string(path, || field.clone())?;
        planner.init(InitOp::ReadonlyPath(path), field);
    }
    for (index, path) in room.linux.masked_paths.iter().enumerate() {
        // Twice the same path would be one mount more, on the first.
        if !is_meant(path)
            || room
                .linux
                .masked_paths
                .iter()
                .take(index)
                .any(|one| one == path)
        {
            continue;
        }
        let field = Field::index("linux.maskedPaths", index);
        let path = c_string(path, || field.clone())?;
        planner.init(InitOp::MaskPath(path), field);
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

fn propagation(planner: &mut Planner, room: &Room<'_>) {
    planner.init(
        InitOp::SetHostPropagation(host_propagation(room)),
        Field::new("linux.rootfsPropagation"),
    );
}

/// The copy of the host's mounts must not send events back. Slave is the default, because a volume
/// that asks for `rslave` still wants the host's events; `shared` keeps the connection, as asked.
fn host_propagation(room: &Room<'_>) -> Propagation {
    let word = room.linux.rootfs_propagation.as_deref().unwrap_or_default();
    match propagation_word(word) {
        Ok((Propagation::Shared, _)) => Propagation::Shared,
        Ok((Propagation::Private | Propagation::Unbindable, _)) => Propagation::Private,
        _ => Propagation::Slave,
    }
}

/// root.path as an absolute path of the host.
pub fn root_path(spec: &Spec, bundle: &Path) -> PathBuf {
    let path = spec
        .root
        .as_ref()
        .map(|root| root.path.as_str())
        .unwrap_or_default();
    clean(&bundle.join(path)).into_owned()
}

fn root(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    let field = || Field::new("root.path");
    let root = c_string(room.root.as_os_str().as_encoded_bytes(), field)?;
    let is_shared = room
        .linux
        .rootfs_propagation
        .as_deref()
        .is_some_and(|word| word.ends_with("shared"));
    let Some(overlay) = &room.request.overlay else {
        if is_shared {
            planner.init(
                InitOp::MakeParentPrivate { path: root.clone() },
                Field::new("linux.rootfsPropagation"),
            );
        }
        planner.init(InitOp::BindRoot { path: root }, field());
        return Ok(());
    };
    let flag = || overlay.field.clone();
    if is_shared {
        let path = c"/".to_owned();
        planner.init(
            InitOp::MakeParentPrivate { path },
            Field::new("linux.rootfsPropagation"),
        );
    }
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
    planner.init(
        InitOp::MountOverlayRoot {
            overlay: Overlay { layers, upper },
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

/// `/a/./b/../c` as `/a/c`, by the text alone. Nearly every path is clean as it stands.
pub fn clean(path: &Path) -> Cow<'_, Path> {
    if is_clean(path.as_os_str().as_bytes()) {
        return Cow::Borrowed(path);
    }
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
    Cow::Owned(cleaned)
}

/// Whether a path is another or below it, both of them clean.
pub fn lies_in(path: &Path, outer: &Path) -> bool {
    let outer = outer.as_os_str().as_bytes();
    let Some(rest) = path.as_os_str().as_bytes().strip_prefix(outer) else {
        return false;
    };
    outer == b"/" || matches!(rest, [] | [b'/', ..])
}

fn is_clean(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/');
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
    path == b"/"
        || names.next() == Some(b"") && names.clone().next().is_some() && names.all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_itself_and_in_what_is_above() {
        let lies_in = |path: &str, outer: &str| lies_in(Path::new(path), Path::new(outer));
        assert!(
            lies_in("/a", "/a") && lies_in("/a/b", "/a") && lies_in("/a", "/") && lies_in("/", "/")
        );
        assert!(!lies_in("/ab", "/a") && !lies_in("/a", "/a/b") && !lies_in("/", "/a"));
    }

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, cleaned) in [
            ("a/../../b/./c/", "/b/c"),
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/a/", "/a"),
            ("/a//b", "/a/b"),
            ("/a/...", "/a/..."),
            ("a", "/a"),
        ] {
            let found = clean(Path::new(path));
            assert_eq!(found.as_os_str(), cleaned, "{path}");
            let is_borrowed = matches!(found, Cow::Borrowed(_));
            assert_eq!(is_borrowed, path == cleaned, "{path}");
        }
    }
}
