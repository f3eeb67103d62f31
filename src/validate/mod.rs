//! Everything that is wrong with a configuration, at once: `corten validate`.
//!
//! There is one set of rules, that by which `create` refuses: the parser's ([`crate::config::parse`]), those
//! that need no kernel ([`mod@crate::config::check`]), and the planners'. Each stage but the second stops at its first fault, as a
//! container that is not going to be needs no more. So `mend` takes the property at fault out of a copy of the text, notes
//! what was said of it, and asks again, until nothing is said any more. What is said of a property because
//! another one was taken out is not told.
//!
//! The plan is made for a host on which everything works: what is refused there is refused everywhere. With
//! `--host` it is made for this one too, and what its operations need of this machine is looked up
//! ([`host`]): files, namespaces, programs, interfaces. Nothing is made or changed.
//!
//! [`Report`] is what was found; [`show`] prints it for people, for programs, and as SARIF for editors and code
//! hosting services.

mod filesystems;
pub mod host;
mod mend;
pub mod show;
mod words;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{self, Spec, fields};
use crate::engine::{CreateRequest, preview};
use crate::error::{Failure, Field, Kind, Result};
use crate::plan::Plan;
use filesystems::Doubt;
use mend::Patient;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `create` goes on, and something may not be as it was meant.
    Warning,
    /// `create` fails.
    Error,
}

impl Severity {
    /// The word, which is SARIF's too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration's, on every machine.
    Configuration,
    /// This machine's, which cannot do what is asked for.
    Host,
}

/// What a finding that is only a warning is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A failure of this kind.
    Fails(Kind),
    /// A value that is allowed and hardly meant.
    Doubtful,
    /// A property that the specification does not know, and that does nothing.
    Unknown,
}

impl Rule {
    /// A name that stays: `E0201`, `W0201`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Fails(kind) => kind.number(),
            Self::Doubtful => "W0201",
            Self::Unknown => "W0202",
        }
    }

    /// A few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fails(kind) => kind.page().title,
            Self::Doubtful => "a value is allowed and hardly meant",
            Self::Unknown => "the specification does not know the property, which does nothing",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which rule says so.
    pub rule: Rule,
    /// Whose fault.
    pub origin: Origin,
    /// The property; none if it is the whole file's.
    pub field: String,
    /// The same as a JSON pointer.
    pub pointer: String,
    /// Line and column in config.json, from 1, of the property or what is nearest to it.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// All that was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration's file.
    pub file: PathBuf,
    /// In the order of the file, what has no place first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }

    /// 0 if there is nothing to say, 1 if there are only warnings, 2 if `create` would fail.
    pub fn status(&self) -> u8 {
        match self.findings.iter().map(|finding| finding.severity).max() {
            None => 0,
            Some(Severity::Warning) => 1,
            Some(Severity::Error) => 2,
        }
    }
}

/// Whether this machine is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The configuration alone.
    Configuration,
    /// And what this machine can do.
    Host,
}

/// Looks for everything that is wrong with what would be created. A file that cannot be read at all is a
/// failure; one that can be read and not understood is a finding.
pub fn validate(create: &CreateRequest, scope: Scope) -> Result<Report> {
    let file = match &create.config {
        Some(path) => path.clone(),
        None => create.bundle.join("config.json"),
    };
    let text = config::read(&file)?;
    let mut inquiry = Inquiry {
        create,
        text: &text,
        findings: Vec::new(),
    };
    inquiry.ask(scope)?;
    let mut findings = inquiry.findings;
    findings.sort_by_key(|finding| finding.position);
    Ok(Report { file, findings })
}

struct Inquiry<'a> {
    create: &'a CreateRequest,
    text: &'a [u8],
    findings: Vec<Finding>,
}

impl Inquiry<'_> {
    fn ask(&mut self, scope: Scope) -> Result<()> {
        for unknown in fields::unknown_properties(self.text) {
            self.warn(
                Rule::Unknown,
                &unknown.field,
                "unknown property",
                unknown.position,
            );
            if let Some(finding) = self.findings.last_mut() {
                finding.suggestion = unknown.likely.map(str::to_owned);
            }
        }
        let Some(mut patient) = Patient::read(self.text) else {
            let fault = config::parse(self.text).err();
            fault
                .into_iter()
                .for_each(|fault| self.fail(&fault, None, Origin::Configuration));
            return Ok(());
        };
        self.parse(&mut patient);
        let Some(spec) = patient.spec() else {
            return Ok(());
        };
        let checked = config::check(&spec, &patient.text());
        for warning in &checked.warnings {
            let field = patient.original(&warning.field);
            self.warn(Rule::Doubtful, &field, &warning.text, None);
        }
        self.doubt(
            &patient,
            filesystems::misspelt_options(&spec),
            Origin::Configuration,
        );
        let root = preview::require_root(self.create, &spec).err();
        let faults = checked.failures.iter().chain(&root).cloned().collect();
        self.note_and_mend(&mut patient, faults, Origin::Configuration);
        patient.complete();
        self.plan(&mut patient, Origin::Configuration, preview::plan_anywhere);
        if scope == Scope::Host {
            self.host(&mut patient);
        }
        Ok(())
    }

    /// What the parser says of the types of values.
    fn parse(&mut self, patient: &mut Patient) {
        // The text as it is: two properties of one name are one in memory.
        if let Err(fault) = config::parse(self.text)
            && patient.parse().is_ok()
        {
            self.fail(&fault, None, Origin::Configuration);
        }
        while let Err(fault) = patient.parse() {
            if !self.note_and_mend(patient, vec![fault], Origin::Configuration) {
                return;
            }
        }
    }

    /// What a planner says, time after time.
    fn plan(
        &mut self,
        patient: &mut Patient,
        origin: Origin,
        make: impl Fn(&CreateRequest, &Spec) -> Result<Plan>,
    ) -> Option<Plan> {
        loop {
            match make(self.create, &patient.spec()?) {
                Ok(plan) => return Some(plan),
                Err(fault) => {
                    if !self.note_and_mend(patient, fault.parts(), origin) {
                        return None;
                    }
                }
            }
        }
    }

    fn host(&mut self, patient: &mut Patient) {
        if let Some(spec) = patient.spec() {
            self.doubt(patient, filesystems::missing_here(&spec), Origin::Host);
        }
        for fault in host::whole() {
            self.fail(&fault, None, Origin::Host);
        }
        let plan = self.plan(patient, Origin::Host, preview::plan_here);
        for fault in plan.iter().flat_map(host::needs) {
            self.fail(&fault, Some(patient), Origin::Host);
        }
    }

    /// Whether there is any sense in asking again.
    fn note_and_mend(
        &mut self,
        patient: &mut Patient,
        faults: Vec<Failure>,
        origin: Origin,
    ) -> bool {
        let mut pointers = Vec::new();
        for fault in faults {
            let pointer = patient.original_pointer(&fault.field);
            // What misses a property that was taken out goes the same way, and nobody is told.
            if pointer.is_empty() || !patient.is_touched(&pointer) {
                self.fail(&fault, Some(patient), origin);
            }
            pointers.push(fault.field.pointer());
        }
        patient.take_out(pointers)
    }

    fn fail(&mut self, fault: &Failure, patient: Option<&Patient>, origin: Origin) {
        let field = match patient {
            Some(patient) => patient.original(&fault.field),
            None => fault.field.clone(),
        };
        let pointer = field.pointer();
        let told = Failure {
            field: Field::default(),
            ..fault.clone()
        };
        // A place that the parser told, in a text that was mended, is not one in the file.
        let position = match (pointer.is_empty(), patient) {
            (true, None) => fault.position,
            (true, Some(_)) => None,
            (false, _) => Some(fields::locate(self.text, &pointer)),
        };
        self.findings.push(Finding {
            severity: Severity::Error,
            rule: Rule::Fails(fault.kind()),
            origin,
            suggestion: words::meant(self.text, &pointer),
            field: field.to_string(),
            pointer,
            position,
            message: told.to_string(),
        });
    }

    /// What is probably a typing error.
    fn doubt(&mut self, patient: &Patient, doubts: Vec<Doubt>, origin: Origin) {
        for doubt in doubts {
            let field = patient.original(&doubt.field);
            self.warn(Rule::Doubtful, &field, &doubt.text, None);
            if let Some(finding) = self.findings.last_mut() {
                finding.suggestion = doubt.meant.map(str::to_owned);
                finding.origin = origin;
            }
        }
    }

    fn warn(&mut self, rule: Rule, field: &Field, text: &str, position: Option<(usize, usize)>) {
        let pointer = field.pointer();
        self.findings.push(Finding {
            severity: Severity::Warning,
            rule,
            origin: Origin::Configuration,
            position: position.or_else(|| Some(fields::locate(self.text, &pointer))),
            suggestion: words::meant(self.text, &pointer),
            field: field.to_string(),
            pointer,
            message: text.to_owned(),
        });
    }
}

/// The value at a pointer of a text.
fn value_at(text: &[u8], pointer: &str) -> Option<Value> {
    let whole: Value = serde_json::from_slice(text).ok()?;
    whole.pointer(pointer).cloned()
}

/// How a file is named beside its bundle.
pub fn shown(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(&here)
        .unwrap_or(file)
        .display()
        .to_string()
}
