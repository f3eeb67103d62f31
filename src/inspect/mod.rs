//! What a container really is: facts read from the kernel, as plain data.
//!
//! The configuration says what was asked for and the record what was made; neither knows what became of
//! it. Here is only what the kernel says now: [`process`] (ids, capabilities, limits, filters),
//! [`namespaces`] and whose they are, [`mounts`], [`cgroup`], [`descriptors`]. `inspect` prints the
//! [`Facts`] ([`show`]), `audit` holds them against the configuration, a program that links the library
//! has them as structs.
//!
//! **The container is hostile.** It chooses names, link targets, the number of its mounts and of its
//! descriptors, and when it dies. So ([`held`]): the process is held by a descriptor of its directory in
//! procfs and by a pidfd, its start time is compared before anything is read, and it must still live
//! afterwards; every read has a bound; no path inside its root is ever followed, links are read and not
//! opened; nothing is read that waits for the memory of the process, as its command line would. What is
//! shown to people has no control characters ([`plain`]).
//!
//! What may not be read is no reason to say nothing: it stands in `unseen`, with the reason.

pub mod cgroup;
pub mod descriptors;
pub mod held;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod show;
pub mod usage;

use serde::Serialize;

use crate::config::Pairs;
use crate::error::Result;
use crate::state::report::user_name;
use crate::state::{Container, Root, Status};
use cgroup::CgroupFacts;
use descriptors::Descriptors;
use held::Held;
use mounts::Mounts;
use namespaces::{IdMaps, NamespaceFact, Others};
use process::ProcessFacts;

/// The version of the JSON form. A property may be added without a new one.
pub const VERSION: u32 = 1;

/// Everything that is known of a container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// [`VERSION`].
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Computed from the process, the cgroup and the start gate.
    pub status: Status,
    /// Init's number in the caller's pid namespace; 0 when stopped.
    pub pid: i32,
    /// Absolute.
    pub bundle: String,
    /// Absolute.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// The name of the user who ran `create`.
    pub owner: String,
    /// Of config.json.
    pub oci_version: String,
    /// Of config.json.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub annotations: Pairs<String>,
    /// The container's cgroup; it may outlive init.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupFacts>,
    /// Init, while it is there.
    #[serde(flatten)]
    pub live: Option<Live>,
    /// What could not be read.
    pub unseen: Vec<Unseen>,
}

/// What is known of a container whose init lives.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Its first process.
    pub process: ProcessFacts,
    /// All eight kinds, as far as the kernel has them.
    pub namespaces: Vec<NamespaceFact>,
    /// Of init's user namespace.
    pub id_maps: IdMaps,
    /// As init sees them.
    pub mounts: Mounts,
    /// Of init.
    pub descriptors: Descriptors,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What it is: `descriptors`.
    pub what: &'static str,
    /// Why: `permission denied`.
    pub why: String,
}

/// Collects what could not be read, so that the rest is still told.
#[derive(Debug, Default)]
pub struct Unseens(pub Vec<Unseen>);

impl Unseens {
    /// The value, or its default and a note.
    pub fn or_default<T: Default, E: std::fmt::Display>(
        &mut self,
        what: &'static str,
        read: std::result::Result<T, E>,
    ) -> T {
        read.unwrap_or_else(|error| {
            self.0.push(Unseen {
                what,
                why: error.to_string(),
            });
            T::default()
        })
    }
}

impl Facts {
    /// Looks at a container. The root directory tells which others may share namespaces with it.
    pub fn of(container: &Container, root: &Root) -> Result<Self> {
        let mut unseen = Unseens::default();
        let (status, live) = look(container, root, &mut unseen)?;
        let record = container.record();
        let cgroup = match &record.cgroup {
            Some(recorded) => Some(CgroupFacts::of(container, recorded, &mut unseen)?),
            None => None,
        };
        Ok(Self {
            version: VERSION,
            id: record.id.clone(),
            status,
            pid: container.pid_shown(status),
            bundle: record.bundle.to_string_lossy().into_owned(),
            rootfs: record.rootfs.to_string_lossy().into_owned(),
            created: record.created.clone(),
            owner: user_name(record.owner),
            oci_version: record.oci_version.clone(),
            annotations: record.annotations.clone(),
            cgroup,
            live,
            unseen: unseen.0,
        })
    }
}

impl Live {
    /// Reads all of it. The caller asks afterwards whether the process still lives: else nothing of it counts.
    ///
    /// With which of the `others` it shares namespaces is told; looking them all up takes time.
    pub fn read(held: &Held, others: &Others, unseen: &mut Unseens) -> Result<Self> {
        Ok(Self {
            process: ProcessFacts::read(held, unseen)?,
            namespaces: namespaces::read(held, others, unseen),
            id_maps: unseen.or_default("idMaps", IdMaps::read(held)),
            mounts: unseen.or_default("mounts", Mounts::read(held)),
            descriptors: unseen.or_default("descriptors", Descriptors::read(held)),
        })
    }
}

/// A process that ends while it is looked at is a container that has stopped.
fn look(
    container: &Container,
    root: &Root,
    unseen: &mut Unseens,
) -> Result<(Status, Option<Live>)> {
    let status = container.status()?;
    let record = container.record();
    if matches!(status, Status::Stopped | Status::Creating) {
        return Ok((status, None));
    }
    let Some(held) = Held::init_of(record)? else {
        return Ok((Status::Stopped, None));
    };
    let others = unseen.or_default("containers", namespaces::others(container.id(), root));
    match Live::read(&held, &others, unseen) {
        Ok(live) if held.is_alive()? => Ok((container.status()?, Some(live))),
        Err(failure) if held.is_alive()? => Err(failure),
        _ => {
            unseen.0.clear();
            Ok((Status::Stopped, None))
        }
    }
}

/// A text that somebody hostile may have chosen, for a terminal: control characters, and those that turn the
/// direction of a line, are shown as their code.
pub fn plain(text: &str) -> String {
    let is_harmless = |letter: char| {
        !letter.is_control()
            && !matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_harmless(letter) {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_unicode());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(plain("x\ny\u{202e}z"), "x\\u{a}y\\u{202e}z");
        assert_eq!(plain("/srv/daten ä"), "/srv/daten ä");
    }

    #[test]
    fn what_cannot_be_read_is_noted_once() {
        let mut unseen = Unseens::default();
        let number: u32 = unseen.or_default("limits", Err("permission denied"));
        assert_eq!(number, 0);
        assert_eq!(unseen.or_default("other", Ok::<_, String>(7)), 7);
        assert_eq!(unseen.0.len(), 1);
        assert_eq!(unseen.0[0].what, "limits");
    }
}
