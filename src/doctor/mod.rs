//! What this machine can do for containers, found out by doing it.
//!
//! A version number promises what a distribution, a container around us or an administrator has taken away
//! again. So each probe tries: it makes the namespace, stacks the overlay, loads the filter, is born into a
//! cgroup, freezes and kills it. What it takes for that lives in a child that ends ([`crate::sys::probe`]) or in a
//! cgroup of its own that is removed (`cgroups::Trial`); nothing is left behind, and nothing of the host is
//! changed.
//!
//! `probes.rs` is the one table: what is asked, whose life depends on it, why, and what mends it. Who asks is
//! the [`Target`]: the same machine may be fine for docker and too narrow for a rootless podman.
//! Mending is the reader's: a command is named, never run.

mod cgroups;
mod filesystems;
mod host;
mod kernel;
mod namespaces;
mod network;
mod probes;
mod programs;
pub mod show;

use serde::Serialize;

use crate::error::{Failure, Field, Result};
use crate::supervise::Signals;
use probes::{Need, PROBES, Probe};

/// The version of the JSON form. A property may be added without a new one.
pub const VERSION: u32 = 1;

/// Who wants containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Corten itself, as root.
    Corten,
    /// dockerd, as root.
    Docker,
    /// podman, as root.
    Podman,
    /// containerd or CRI-O below a kubelet.
    Kubernetes,
    /// Containers of a plain user.
    Rootless,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Ok,
    /// Something will be missing.
    Warn,
    /// Containers will not work.
    Fail,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was asked: `overlayfs`.
    pub name: &'static str,
    /// What came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// Why it matters.
    pub why: &'static str,
    /// The command or the act that mends it, where something is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// What a probe found.
enum Outcome {
    Works(String),
    /// And what mends it, if that is another thing than usual.
    Lacks(String, Option<String>),
    /// It works, with something to know.
    Doubt(String, Option<String>),
}

impl Outcome {
    fn works(found: impl Into<String>) -> Self {
        Self::Works(found.into())
    }

    fn lacks(found: impl Into<String>) -> Self {
        Self::Lacks(found.into(), None)
    }

    fn doubt(found: impl Into<String>) -> Self {
        Self::Doubt(found.into(), None)
    }

    /// A trial that is told by its errno.
    fn of(result: crate::sys::Result<()>) -> Self {
        match result {
            Ok(()) => Self::works("works"),
            Err(errno) => Self::lacks(errno.to_string()),
        }
    }
}

/// What the probes look at.
struct Circumstances {
    target: Target,
    /// Root with CAP_SYS_ADMIN: what takes privileges can be tried.
    privileged: bool,
    trial: std::result::Result<cgroups::Trial, String>,
}

/// Tries everything that this target needs, in the order of the table.
pub fn examine(target: Target) -> Result<Vec<Check>> {
    // Whoever wants us to end waits until all is removed: a signal is delivered when they are let through again.
    let signals = Signals::block()?;
    let checks = tried(target);
    drop(signals);
    Ok(checks)
}

fn tried(target: Target) -> Vec<Check> {
    let privileged = host::is_privileged();
    let circumstances = Circumstances {
        target,
        privileged,
        trial: cgroups::Trial::make(),
    };
    let asked = PROBES.iter().filter_map(|probe| {
        let need = probe.needs[target as usize];
        (need != Need::Not).then(|| examined(probe, need, &circumstances))
    });
    let mut checks: Vec<Check> = asked.collect();
    if let Err(left) = circumstances.trial.map_or(Ok(()), cgroups::Trial::end) {
        tell_what_is_left(&mut checks, left);
    }
    checks
}

/// The trial's own cgroup could not be removed, which takes the good word for it back.
fn tell_what_is_left(checks: &mut [Check], left: Failure) {
    let own = checks.iter_mut().find(|check| check.name == cgroups::OWN);
    if let Some(own) = own {
        own.state = own.state.max(State::Warn);
        own.found = format!("made, but {}", words(left));
        own.mend = Some("rmdir of the empty cgroup".to_owned());
    }
}

fn examined(probe: &Probe, need: Need, circumstances: &Circumstances) -> Check {
    let (state, found, mend) = match (probe.look)(circumstances) {
        Outcome::Works(found) => (State::Ok, found, None),
        Outcome::Doubt(found, mend) => (State::Warn, found, Some(mend)),
        Outcome::Lacks(found, mend) if need == Need::Must => (State::Fail, found, Some(mend)),
        Outcome::Lacks(found, mend) => (State::Warn, found, Some(mend)),
    };
    Check {
        name: probe.name,
        state,
        found,
        why: probe.why,
        mend: mend.map(|other| other.unwrap_or_else(|| probe.mend.to_owned())),
    }
}

/// A failure without the property that would have asked: nothing was asked here.
fn words(failure: Failure) -> String {
    let failure = Failure {
        field: Field::default(),
        ..failure
    };
    failure.to_string()
}

/// The worst of all; what the exit status tells.
pub fn worst(checks: &[Check]) -> State {
    let states = checks.iter().map(|check| check.state);
    states.max().unwrap_or(State::Ok)
}

#[cfg(test)]
mod tests {
    use super::probes::{ALL, probe};
    use super::*;

    #[test]
    fn every_probe_has_a_name_of_its_own_a_reason_and_a_remedy() {
        for (index, probe) in PROBES.iter().enumerate() {
            let others = &PROBES[index + 1..];
            assert!(others.iter().all(|other| other.name != probe.name));
            assert!(!probe.why.is_empty() && !probe.mend.is_empty());
            assert!(probe.needs.iter().any(|need| *need != Need::Not));
        }
    }

    #[test]
    fn what_must_work_fails_and_what_should_warns() {
        let circumstances = Circumstances {
            target: Target::Corten,
            privileged: false,
            trial: Err(String::new()),
        };
        let probe = probe("x", ALL, |_| Outcome::lacks("no"), "why", "mend");
        let check = examined(&probe, Need::Must, &circumstances);
        assert_eq!(
            (check.state, check.mend.as_deref()),
            (State::Fail, Some("mend"))
        );
        assert_eq!(
            examined(&probe, Need::Should, &circumstances).state,
            State::Warn
        );
        assert_eq!(worst(&[check]), State::Fail);
        assert_eq!(worst(&[]), State::Ok);
    }
}
