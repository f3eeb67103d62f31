//! From images to running processes: the runtime's list of a `run`, where criu takes init's place.

use std::path::Path;

use super::{Attachment, RestoreRequest, RunRequest, birth, checkpoint};
use crate::criu::plan::Flags;
use crate::criu::{DESCRIPTORS, EXTERNALS, HIDDEN, MOUNTS};
use crate::error::{Act, Code, Failure, Result};
use crate::execute::Restoration;
use crate::plan::request::Start;
use crate::plan::restored;
use crate::process::terminal::Stay;
use crate::supervise::{self, Signals};

/// Restores; the program's status, 0 when detached.
pub fn run(request: &RestoreRequest) -> Result<u8> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(
            Code::State,
            "cannot restore a rootless container",
        ));
    }
    let RunRequest {
        create, attachment, ..
    } = &request.run;
    let stay = match attachment {
        Attachment::Foreground => Stay::Foreground,
        Attachment::Detached => Stay::Detach,
    };
    if stay == Stay::Foreground && request.run.subreaper == super::Subreaper::Runtime {
        supervise::adopt_orphans()?;
    }
    let signals = Signals::block()?;
    let mut decision = birth::decide(create, Start::Now, stay)?;
    decision.plan = restored::of_run(decision.plan)?;
    let restoration = Restoration {
        flags: Flags {
            config_file: checkpoint::config_file(&decision.loaded.spec),
            ..request.flags.clone()
        },
        image: request.image.clone(),
        work: request.work.clone(),
        externals: read_json(&request.image.join(EXTERNALS))?,
        hidden: read_json(&request.image.join(HIDDEN))?,
        mounts: read_json(&request.image.join(MOUNTS))?,
        streams: read_json(&request.image.join(DESCRIPTORS))?,
        bundle: create.bundle.clone(),
    };
    let made = birth::execute(create, &decision, &signals, Some(restoration))?;
    match stay {
        Stay::Detach => Ok(0),
        Stay::Foreground => made
            .attend(&request.run, &signals)
            .map(|(status, _)| status),
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let act = || format!("cannot read {}", path.display());
    let text = std::fs::read(path).act(act)?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Code::State, act()).because(error.to_string()))
}
