//! Asked for versus effective: does a container still have what its configuration asked for?
//!
//! What was asked for is the frozen config.json, which `create` read, and the limits that `update` wrote since
//! (the record keeps them). What is effective is read from the kernel by [`crate::inspect`]. Each file
//! here holds one part against the other: `process`, `namespaces`, `mounts`, `hidden` paths,
//! `limits` and device program (`devices`), strange processes in the cgroup and strange descriptors
//! (`strangers`).
//!
//! Four kinds of findings, each with the field of config.json: **missing** is what is not there at all,
//! **weaker** what protects less than it should, **different** what is neither more nor less, **extra** what
//! nobody asked for. A program that gives up privileges, lowers its own limits or opens files does what it
//! may, and is no finding; nor is what a container with CAP_SYS_ADMIN mounts for itself.
//!
//! The container is hostile here too. The one thing that is looked at inside its root are links of its root
//! filesystem, without ever crossing into a mount (`inside`).
//!
//! Not compared, because only a process inside could tell: host name, kernel parameters, clocks,
//! scheduling, memory policy.

mod devices;
mod hidden;
mod inside;
mod limits;
mod mounts;
mod namespaces;
mod process;
pub mod show;
mod strangers;

use serde::Serialize;

use crate::config::{self, Linux, Spec};
use crate::error::{Failure, Field, Result};
use crate::inspect::held::Held;
use crate::inspect::{Live, Unseen, Unseens};
use crate::state::{Container, Record, Status};

/// The version of the JSON form. A property may be added without a new one.
pub const VERSION: u32 = 1;

/// What became of something that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It is not there at all.
    Missing,
    /// It protects less than it should.
    Weaker,
    /// It is something else.
    Different,
    /// Nobody asked for it.
    Extra,
}

impl Kind {
    /// The word that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Weaker => "WEAKER",
            Self::Different => "DIFFERENT",
            Self::Extra => "EXTRA",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind.
    pub kind: Kind,
    /// The property that asked: `linux.resources.memory.limit`.
    pub field: String,
    /// The same as an RFC 6901 JSON pointer into config.json.
    pub pointer: String,
    /// What was asked for.
    pub asked: String,
    /// What was found.
    pub found: String,
}

/// What was found out about one container.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The container's id.
    pub id: String,
    /// When it was looked at.
    pub status: Status,
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// What could not be compared.
    pub unseen: Vec<Unseen>,
}

/// Collects findings.
#[derive(Debug, Default)]
struct Book {
    findings: Vec<Finding>,
    unseen: Unseens,
}

impl Book {
    fn note(
        &mut self,
        kind: Kind,
        field: &Field,
        asked: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.findings.push(Finding {
            kind,
            field: field.to_string(),
            pointer: field.pointer(),
            asked: asked.into(),
            found: found.into(),
        });
    }

    fn cannot(&mut self, what: &'static str, why: impl Into<String>) {
        let why = why.into();
        self.unseen.0.push(Unseen { what, why });
    }
}

/// Everything that the comparisons look at.
struct Subject<'a> {
    container: &'a Container,
    record: &'a Record,
    status: Status,
    spec: &'a Spec,
    linux: &'a Linux,
    held: &'a Held,
    live: &'a Live,
}

impl Subject<'_> {
    /// Whether the program runs; before that, init still has what it needs to make it.
    fn runs(&self) -> bool {
        self.status != Status::Created
    }
}

/// Compares. None of a container that has no process to compare with, or that ended meanwhile.
pub fn audit(container: &Container) -> Result<Option<Audit>> {
    let status = container.status()?;
    if matches!(status, Status::Creating | Status::Stopped) {
        return Ok(None);
    }
    let record = container.record();
    let Some(held) = Held::init_of(record)? else {
        return Ok(None);
    };
    let spec = config::parse(&container.config()?)?;
    let mut book = Book::default();
    let live = match Live::read(&held, &Vec::new(), &mut book.unseen) {
        Ok(live) => live,
        Err(_) if !held.is_alive()? => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let nothing = Linux::default();
    let subject = Subject {
        container,
        record,
        status,
        linux: spec.linux.as_deref().unwrap_or(&nothing),
        spec: &spec,
        held: &held,
        live: &live,
    };
    compare(&subject, &mut book)?;
    if !held.is_alive()? {
        return Ok(None);
    }
    Ok(Some(Audit {
        id: record.id.clone(),
        status,
        findings: book.findings,
        unseen: book.unseen.0,
    }))
}

fn compare(subject: &Subject<'_>, book: &mut Book) -> Result<()> {
    process::compare(subject, book);
    namespaces::compare(subject, book);
    if mounts::are_comparable(subject, book) {
        let inside = inside::Inside::of(subject)?;
        mounts::compare(subject, &inside, book);
        hidden::compare(subject, &inside, book);
        strangers::descriptors(subject, book);
    }
    limits::compare(subject, book)?;
    devices::compare(subject, book)?;
    strangers::processes(subject, book)
}

/// What a caller does with a failure of one container among several.
pub fn told(failure: &Failure) -> Unseen {
    Unseen {
        what: "container",
        why: failure.to_string(),
    }
}
