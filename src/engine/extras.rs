//! What a call asks for beside its configuration: volumes, an overlay, descriptors, a terminal.

use std::path::{Path, PathBuf};

use super::CreateRequest;
use crate::config::{Mount, Spec};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::plan::annotations;
use crate::plan::request::{Console, Keyring, Overlay, Pivot, Request, Start};
use crate::process::terminal::{self, Stay};
use crate::process::{listen, notify};

/// `--volume`: each is a name or a path, a destination, and perhaps options.
pub fn add_volumes(spec: &mut Spec, volumes: &[String]) -> Result<()> {
    for volume in volumes {
        spec.mounts.push(mount_of(volume)?);
    }
    Ok(())
}

fn mount_of(volume: &str) -> Result<Mount> {
    let wrong = |text: &str| {
        let failure = Failure::new(Code::Usage, format!("{volume:?} {text}"));
        Err(failure.at(Field::new("--volume")))
    };
    let mut parts = volume.splitn(3, ':');
    let (Some(source), Some(destination)) = (parts.next(), parts.next()) else {
        return wrong("is not NAME_OR_PATH:DESTINATION[:OPTIONS]");
    };
    if !destination.starts_with('/') {
        return wrong("has a destination that is not absolute");
    }
    let options = parts.next().into_iter().flat_map(|words| words.split(','));
    let options = options.chain(["rbind"]).map(str::to_owned).collect();
    let (kind, source) = if source.contains('/') {
        let path = std::path::absolute(source).act(|| format!("cannot use {source}"))?;
        ("bind", path.to_string_lossy().into_owned())
    } else {
        ("volume", source.to_owned())
    };
    Ok(Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source),
        options,
        ..Mount::default()
    })
}

/// Annotations by which an engine asks for an overlay root: `tmpfs` or an absolute directory, and
/// colon-separated layers, uppermost first.
pub const OVERLAY_ANNOTATION: &str = "org.corten.overlay";
/// See [`OVERLAY_ANNOTATION`].
pub const LAYERS_ANNOTATION: &str = "org.corten.layers";

/// The overlay of the flags, else that of the annotations.
pub fn overlay(create: &CreateRequest, spec: &Spec) -> Result<Option<Overlay>> {
    if create.overlay.is_none() && create.layers.is_empty() {
        return overlay_of_annotations(spec);
    }
    let upper = match &create.overlay {
        Some(super::Overlay::Directory(path)) => Some(path.clone()),
        Some(super::Overlay::Temporary) | None => None,
    };
    Ok(Some(Overlay {
        // The command line lists the lowest first, overlayfs the uppermost.
        layers: create.layers.iter().rev().cloned().collect(),
        upper,
        field: Field::new("--overlay"),
    }))
}

fn overlay_of_annotations(spec: &Spec) -> Result<Option<Overlay>> {
    let annotation = |key| {
        let value = spec.annotations.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    };
    let (kind, layers) = (
        annotation(OVERLAY_ANNOTATION),
        annotation(LAYERS_ANNOTATION),
    );
    if kind.is_none() && layers.is_none() {
        return Ok(None);
    }
    let upper = match kind {
        None | Some("tmpfs") => None,
        Some(path) => Some(absolute(OVERLAY_ANNOTATION, path)?),
    };
    let layers = layers.unwrap_or_default().split(':');
    let layers = layers
        .filter(|path| !path.is_empty())
        .map(|path| absolute(LAYERS_ANNOTATION, path))
        .collect::<Result<_>>()?;
    Ok(Some(Overlay {
        layers,
        upper,
        field: Field::key("annotations", OVERLAY_ANNOTATION),
    }))
}

fn absolute(key: &'static str, path: &str) -> Result<PathBuf> {
    if Path::new(path).is_absolute() {
        return Ok(PathBuf::from(path));
    }
    let text = format!("{path:?} is not absolute");
    Err(Failure::config(Field::key("annotations", key), text))
}

/// What the planner is told of the call.
pub fn request(create: &CreateRequest, spec: &Spec, start: Start, stay: Stay) -> Result<Request> {
    let inherited = inherited(create.preserve_fds)?;
    let mut variables = inherited.variables;
    let notify = std::env::var_os("NOTIFY_SOCKET")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    if notify.is_some() {
        let socket = format!("{}/notify.sock", notify::DIRECTORY);
        variables.push(("NOTIFY_SOCKET".to_owned(), socket));
    }
    Ok(Request {
        id: create.id.as_str().to_owned(),
        bundle: create.bundle.clone(),
        state: create.root.path().join(create.id.as_str()),
        data: create.data.clone(),
        start,
        console: console(create, spec, stay)?,
        pid_file: create.pid_file.clone(),
        pidfd_socket: create.pidfd_socket.clone().or_else(|| {
            let path = spec.annotations.get(annotations::PIDFD);
            path.map(PathBuf::from)
                .filter(|path| !path.as_os_str().is_empty())
        }),
        pivot: match create.root_change {
            super::RootChange::Pivot => Pivot::Pivot,
            super::RootChange::Move => Pivot::Move,
        },
        keyring: match create.keyring {
            super::Keyring::New => Keyring::New,
            super::Keyring::Inherited => Keyring::Inherit,
        },
        overlay: overlay(create, spec)?,
        kept_descriptors: inherited.count,
        variables,
        notify,
        stay,
    })
}

fn console(create: &CreateRequest, spec: &Spec, stay: Stay) -> Result<Console> {
    let process = spec.process.as_ref();
    let has_terminal = process.is_some_and(|process| process.terminal);
    let socket = create.console_socket.as_deref();
    Ok(match terminal::console(has_terminal, stay, socket)? {
        terminal::Console::None => Console::None,
        terminal::Console::Socket(path) => Console::Socket(path.to_owned()),
        terminal::Console::Own => Console::Runtime,
    })
}

/// LISTEN_FDS and `--preserve-fds`.
pub fn inherited(preserve_fds: u32) -> Result<listen::Inherited> {
    let variable = |name: &str| std::env::var(name).ok();
    let (fds, pid) = (variable("LISTEN_FDS"), variable("LISTEN_PID"));
    if fds.is_none() && preserve_fds == 0 {
        return Ok(listen::Inherited::default());
    }
    let offer = listen::Offer {
        listen_fds: fds.as_deref(),
        listen_pid: pid.as_deref(),
        preserve_fds,
    };
    listen::plan(offer, crate::sys::process::getpid(), listen::is_open)
}
