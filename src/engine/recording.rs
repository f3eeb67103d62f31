//! `shell --record`: the command runs as always, is watched, and what it needed is written down.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use serde::Serialize;

use super::Recording;
use super::birth::Decision;
use crate::cgroups::{self, CgroupPath};
use crate::config::{Capabilities, Seccomp};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::log::Log;
use crate::record::run::{Recorder, Seen};
use crate::record::{What, profile};

/// A recording that goes on.
#[derive(Debug)]
pub struct Watch<'a> {
    recording: &'a Recording,
    output: File,
    recorder: Recorder,
    mount: OwnedFd,
    /// The cgroups that were made for it.
    made: Vec<CgroupPath>,
    seccomp: Option<Seccomp>,
    granted: Option<Capabilities>,
}

/// Makes the container's cgroup before the container is made, which then takes it as it is: what shall be watched must have a number.
pub fn begin<'a>(recording: &'a Recording, decision: &Decision) -> Result<Watch<'a>> {
    let Some(path) = &decision.cgroup else {
        let text = "without a cgroup of its own nothing tells the command's processes from others";
        return Err(Failure::new(Code::Usage, text).at(Field::new("--record")));
    };
    let output = &recording.output;
    let output = File::create(output)
        .act(|| format!("cannot write {}", output.display()))
        .map_err(|failure| failure.at(Field::new("--output")))?;
    let spec = &decision.loaded.spec;
    let capabilities = spec
        .process
        .as_ref()
        .and_then(|process| process.capabilities.as_ref());
    let granted = capabilities.map_or(0, profile::granted);
    let mount = cgroups::run::open_mount(&decision.host.cgroup.mount)?;
    let cgroup = cgroups::run::create(mount.as_fd(), path, &[])?;
    let recorder = Recorder::attach(recording.what, cgroup.id, granted).inspect_err(|_| {
        cgroups::run::unmake(mount.as_fd(), &cgroup.made);
    })?;
    Ok(Watch {
        recording,
        output,
        recorder,
        mount,
        made: cgroup.made,
        seccomp: spec.linux.as_ref().and_then(|linux| linux.seccomp.clone()),
        granted: capabilities.cloned(),
    })
}

impl Watch<'_> {
    /// Removes the cgroup of a container that could not be made, if undoing has not done it.
    pub fn abandon(&self) {
        cgroups::run::unmake(self.mount.as_fd(), &self.made);
    }

    /// Writes what was needed. Every process of the container has ended.
    pub fn end(self, log: &Log) -> Result<()> {
        let seen = self.recorder.finish()?;
        let output = &self.recording.output;
        let text = match self.recording.what {
            What::Seccomp => text(
                &self
                    .seccomp
                    .map(|default| profile::seccomp(default, &seen.calls)),
            ),
            What::Caps => {
                tell_what_was_missed(&seen, log);
                text(
                    &self
                        .granted
                        .map(|granted| profile::capabilities(&granted, seen.used)),
                )
            }
        }?;
        let mut file = self.output;
        file.write_all(text.as_bytes())
            .act(|| format!("cannot write {}", output.display()))
            .map_err(|failure| failure.at(Field::new("--output")))
    }
}

fn text<T: Serialize>(profile: &T) -> Result<String> {
    let text = serde_json::to_string_pretty(profile);
    let text = text.map_err(|error| {
        Failure::new(Code::System, "cannot write the profile").because(error.to_string())
    })?;
    Ok(text + "\n")
}

/// The command went on without these, but perhaps did not do what it should.
fn tell_what_was_missed(seen: &Seen, log: &Log) {
    let missed = profile::names(&seen.missed);
    if !missed.is_empty() {
        log.note(&format!(
            "the kernel also asked for {}, which the container does not have",
            missed.join(", ")
        ));
    }
}
