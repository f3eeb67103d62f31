//! Mounts of new filesystems.

use std::ffi::CString;

use super::Room;
use super::mounts::{Entry, adorn, idmap};
use crate::error::{Failure, Field, Result};
use crate::plan::op::{Filesystem, InitOp, Mode, MountPoint, Slot};
use crate::plan::{Planner, annotations, c_string};
use crate::rootfs::options::MountOptions;
use crate::sys::mount::Attributes;

pub(super) fn filesystem(planner: &mut Planner, room: &Room<'_>, entry: &Entry<'_>) -> Result<()> {
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
    // The kernel made it with the ipc namespace, and refuses the option `context` for it.
    let label = match entry.kind {
        "mqueue" => mount_label(room)?,
        _ => None,
    };
    mount_filesystem(planner, entry, filesystem, label, (point, keep))
}

/// linux.mountLabel, where there is SELinux.
fn mount_label(room: &Room<'_>) -> Result<Option<CString>> {
    let label = room.linux.mount_label.as_deref();
    let label = label.filter(|label| !label.is_empty() && room.host.selinux);
    label
        .map(|label| c_string(label, || Field::new("linux.mountLabel")))
        .transpose()
}

fn filesystem_of(room: &Room<'_>, entry: &Entry<'_>, kind: CString) -> Result<Filesystem> {
    let mut parameters = parameters(entry, &entry.options)?;
    if let (Some(label), "tmpfs" | "devpts" | "ramfs") = (mount_label(room)?, entry.kind) {
        let option = annotations::context(&room.spec.annotations)?;
        parameters.push((option.to_owned(), Some(label)));
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

pub(super) fn parameters(
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

pub(super) fn mount_filesystem(
    planner: &mut Planner,
    entry: &Entry<'_>,
    filesystem: Filesystem,
    label: Option<CString>,
    (point, keep): (MountPoint, Option<Slot>),
) -> Result<()> {
    let options = &entry.options;
    let has_mode = filesystem
        .parameters
        .iter()
        .any(|(key, _)| key.as_c_str() == c"mode");
    let takes_mode = entry.kind == "tmpfs" && !has_mode;
    let is_plain =
        options.propagation.is_empty() && options.recursive_set | options.recursive_clear == 0;
    if is_plain && !takes_mode && !options.tmpcopyup && label.is_none() {
        planner.init(
            InitOp::MountFilesystem {
                filesystem,
                destination: entry.destination.clone(),
                point,
                keep,
            },
            entry.field.clone(),
        );
        return Ok(());
    }
    detached_filesystem(planner, entry, filesystem, label, takes_mode, point);
    Ok(())
}

/// One to which more is done, before it is attached, than fsmount(2) does.
fn detached_filesystem(
    planner: &mut Planner,
    entry: &Entry<'_>,
    filesystem: Filesystem,
    label: Option<CString>,
    takes_mode: bool,
    point: MountPoint,
) {
    let destination = entry.destination.clone();
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
            mode: if takes_mode {
                Mode::OfDestination
            } else {
                Mode::Own
            },
        },
        entry.field.clone(),
    );
    if let Some(label) = label {
        let field = Field::new("linux.mountLabel");
        planner.init(InitOp::LabelMount { mount, label }, field);
    }
    if entry.options.tmpcopyup {
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
            mode: Mode::Own,
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
