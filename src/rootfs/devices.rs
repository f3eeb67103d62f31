//! /dev, decided: the default devices, the ones asked for, the links.

use std::ffi::CString;

use crate::config::{Device, DeviceType, Spec};
use crate::error::{Failure, Field, Result};
use crate::plan::op::{Follow, InitOp, MountPoint, Node, RuntimeOp};
use crate::plan::{Planner, c_string};
use crate::sys::mount::{Attributes, Reach};

/// config-linux.md, Default Devices; console and ptmx come otherwise.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// config-linux.md, Dev symbolic links; /dev/core is what runc adds, /dev/ptmx is a default device.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// How a node comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// mknod(2).
    Mknod,
    /// A bind of the host's node, by a runtime that may copy mounts of the host: a user namespace may
    /// not make devices.
    BindByRuntime,
    /// The same by init, which in a user namespace of its own may copy what it sees of the host.
    BindByInit,
}

/// All of /dev, unless it is the host's.
pub fn plan(planner: &mut Planner, spec: &Spec, making: Making) -> Result<()> {
    if is_bound(spec) {
        return asked_for(planner, spec, making);
    }
    planner.init(InitOp::OpenDev, Field::default());
    for (path, major, minor) in DEFAULT {
        let node = Node {
            kind: DeviceType::Char,
            major,
            minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
        };
        make(planner, path, node, making, Field::default())?;
    }
    asked_for(planner, spec, making)?;
    for (name, target) in LINKS {
        let text = |text: &str| c_string(text, Field::default);
        planner.init(
            InitOp::MakeDeviceLink {
                name: text(name)?,
                target: text(target)?,
            },
            Field::default(),
        );
    }
    Ok(())
}

/// A bound /dev is somebody else's: nothing is made in it (runc's rule).
fn is_bound(spec: &Spec) -> bool {
    spec.mounts.iter().any(|mount| {
        let binds = mount.kind.as_deref() == Some("bind")
            || mount
                .options
                .iter()
                .any(|option| option == "bind" || option == "rbind");
        binds && mount.destination.trim_end_matches('/') == "/dev"
    })
}

fn asked_for(planner: &mut Planner, spec: &Spec, making: Making) -> Result<()> {
    let Some(linux) = &spec.linux else {
        return Ok(());
    };
    for (index, device) in linux.devices.iter().enumerate() {
        // A link by the specification (Default Devices), whatever else is asked for.
        if device.path == "/dev/ptmx" {
            continue;
        }
        let field = || Field::index("linux.devices", index);
        // The default nodes are there; asking for one of them again, as engines do, changes its owner or mode.
        let node = node_of(device, field())?;
        if is_default(device, node) {
            continue;
        }
        make(planner, &device.path, node, making, field())?;
    }
    Ok(())
}

fn is_default(device: &Device, node: Node) -> bool {
    let same = |(path, major, minor): &(&str, u32, u32)| {
        *path == device.path && (*major, *minor) == (node.major, node.minor)
    };
    (node.mode, node.uid, node.gid) == (0o666, 0, 0) && DEFAULT.iter().any(same)
}

fn node_of(device: &Device, field: Field) -> Result<Node> {
    let number = |value: Option<i64>, leaf| {
        u32::try_from(value.unwrap_or(0))
            .map_err(|_| Failure::config(field.clone().leaf(leaf), "is not a device number"))
    };
    Ok(Node {
        kind: device.kind,
        major: number(device.major, "major")?,
        minor: number(device.minor, "minor")?,
        // Engines pass the whole st_mode; the kind is told by `type`.
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

fn make(planner: &mut Planner, path: &str, node: Node, making: Making, field: Field) -> Result<()> {
    let path = c_string(path, || field.clone().leaf("path"))?;
    if making == Making::Mknod || node.kind == DeviceType::Fifo {
        planner.init(InitOp::MakeDevice { path, node }, field);
        return Ok(());
    }
    let point = MountPoint::Device {
        kind: node.kind,
        major: node.major,
        minor: node.minor,
    };
    bind(planner, path, making, point, field);
    Ok(())
}

/// The host's node of the same name.
fn bind(planner: &mut Planner, path: CString, making: Making, point: MountPoint, field: Field) {
    let mount = planner.slot();
    let (source, reach, follow) = (path.clone(), Reach::One, Follow::Links);
    if making == Making::BindByRuntime {
        let op = RuntimeOp::CloneTree {
            source,
            reach,
            mount,
            follow,
        };
        planner.prepare(op, field.clone());
    } else {
        let op = InitOp::CloneTree {
            source,
            reach,
            mount,
            follow,
            attributes: Attributes::default(),
        };
        planner.init(op, field.clone());
    }
    planner.init(
        InitOp::AttachTree {
            mount,
            destination: path,
            point,
        },
        field,
    );
}
