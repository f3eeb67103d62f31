//! `audit`: whether containers still have what was asked for.

use clap::ValueEnum;
use serde::Serialize;

use super::flags::{choices, flags};
use super::{Call, Subcommand, Words, print};
use crate::audit::{self, Audit, show};
use crate::error::{Code, Failure, Result};
use crate::inspect::Unseen;
use crate::state::{Container, Id, Root, Status};

flags! {
    /// Flags and words.
    pub(super) struct AuditCommand {
        /// Look at all containers that have a process
        #[arg(short, long)]
        all: bool,
        /// Say nothing of containers that are as asked for
        #[arg(short, long)]
        quiet: bool,
        /// How to print
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: Format,
        /// The container's id
        #[arg(value_name = "ID")]
        id: Option<String>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The JSON form: docs/see-inside.md.
#[derive(Serialize)]
struct Page {
    version: u32,
    containers: Vec<Audit>,
}

/// The exit status when nothing is wrong, when something is, when it cannot be told.
const CLEAN: u8 = 0;
const FINDINGS: u8 = 1;
const BLIND: u8 = 2;

choices!(Format);

impl Subcommand for AuditCommand {
    const NAME: &'static str = "audit";
    const ABOUT: &'static str = "Compare containers with what was asked for; exit status 1 for findings, 2 if it cannot be told";
    const WORDS: Words = Words::Between(0, 1);
    const FAILURE: u8 = BLIND;

    fn run(self, call: &Call) -> Result<u8> {
        let root = call.root()?;
        let mut audits = match (self.all, &self.id) {
            (true, None) => all(&root)?,
            (false, Some(id)) => vec![one(&root, &Id::parse(id)?)?],
            _ => {
                let text = "give the id of a container, or --all";
                return Err(Failure::new(Code::Usage, text));
            }
        };
        let status = status(&audits);
        if self.quiet {
            audits.retain(|audit| !audit.findings.is_empty() || !audit.unseen.is_empty());
        }
        print(&match self.format {
            Format::Text => audits.iter().map(show::text).collect(),
            Format::Json => json(audits),
        })?;
        Ok(status)
    }
}

fn one(root: &Root, id: &Id) -> Result<Audit> {
    let container = Container::open(root, id)?;
    audit::audit(&container)?.ok_or_else(|| {
        let text = format!("container {id} has no process to compare with");
        Failure::new(Code::State, text)
    })
}

/// Of several, one that cannot be looked at does not hide the others.
fn all(root: &Root) -> Result<Vec<Audit>> {
    let mut audits = Vec::new();
    for id in root.ids()? {
        let found = Container::open(root, &id).and_then(|container| audit::audit(&container));
        match found {
            Ok(found) => audits.extend(found),
            // Deleted while we looked, or the empty directory of a `create` that was killed.
            Err(failure) if failure.code == Code::NotFound => {}
            Err(failure) => audits.push(Audit {
                id: id.as_str().to_owned(),
                status: Status::Running,
                findings: Vec::new(),
                unseen: vec![audit::told(&failure)],
            }),
        }
    }
    Ok(audits)
}

fn status(audits: &[Audit]) -> u8 {
    let is_blind = |unseen: &[Unseen]| !unseen.is_empty();
    if audits.iter().any(|audit| !audit.findings.is_empty()) {
        FINDINGS
    } else if audits.iter().any(|audit| is_blind(&audit.unseen)) {
        BLIND
    } else {
        CLEAN
    }
}

fn json(containers: Vec<Audit>) -> String {
    let page = Page {
        version: audit::VERSION,
        containers,
    };
    serde_json::to_string_pretty(&page).expect("strings and numbers are JSON") + "\n"
}
