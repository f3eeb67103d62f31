//! What was found: lines for people, JSON for programs, SARIF for editors and code hosting services.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Finding, Origin, Report, Rule, Severity, shown};
use crate::plan::show::Colours;

/// `file:line:column: severity rule: property: what`, as compilers write it and editors jump to it.
pub fn text(report: &Report, colours: Colours) -> String {
    let file = shown(&report.file);
    let mut out = String::new();
    for finding in &report.findings {
        let place = finding
            .position
            .map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let word = painted(finding.severity, colours);
        let origin = match finding.origin {
            Origin::Configuration => "",
            Origin::Host => " on this host",
        };
        let field = match finding.field.as_str() {
            "" => String::new(),
            field => format!("{field}: "),
        };
        let meant = finding
            .suggestion
            .as_ref()
            .map_or_else(String::new, |word| format!(", did you mean {word}"));
        // A String takes everything.
        writeln!(
            out,
            "{file}{place}: {word} {}{origin}: {field}{}{meant}",
            finding.rule.id(),
            finding.message
        )
        .unwrap_or(());
    }
    let count = |severity: Severity| {
        let number = report.count(severity);
        let many = if number == 1 { "" } else { "s" };
        format!("{number} {}{many}", severity.name())
    };
    match report.status() {
        0 => writeln!(out, "{file}: nothing is wrong"),
        _ => writeln!(
            out,
            "{file}: {}, {}",
            count(Severity::Error),
            count(Severity::Warning)
        ),
    }
    .unwrap_or(());
    out
}

fn painted(severity: Severity, colours: Colours) -> String {
    let colour = match (colours, severity) {
        (Colours::None, _) => return severity.name().to_owned(),
        (Colours::Ansi, Severity::Error) => "\x1b[1;31m",
        (Colours::Ansi, Severity::Warning) => "\x1b[1;33m",
    };
    format!("{colour}{}\x1b[0m", severity.name())
}

/// docs/validate.md and docs/schema/validate.json say what is in it.
pub fn json(report: &Report) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(entry).collect();
    json!({
        "version": 1,
        "file": report.file.display().to_string(),
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "findings": findings,
    })
}

fn entry(finding: &Finding) -> Value {
    let origin = match finding.origin {
        Origin::Configuration => "configuration",
        Origin::Host => "host",
    };
    let mut entry = json!({
        "severity": finding.severity.name(),
        "rule": finding.rule.id(),
        "origin": origin,
        "message": finding.message,
    });
    let mut set = |name: &str, value: Value| entry[name] = value;
    if !finding.field.is_empty() {
        set("field", finding.field.clone().into());
        set("pointer", finding.pointer.clone().into());
    }
    if let Some((line, column)) = finding.position {
        set("line", line.into());
        set("column", column.into());
    }
    if let Some(word) = &finding.suggestion {
        set("suggestion", word.clone().into());
    }
    entry
}

/// The Static Analysis Results Interchange Format, version 2.1.0.
pub fn sarif(report: &Report) -> Value {
    let mut rules: Vec<Rule> = report.findings.iter().map(|finding| finding.rule).collect();
    rules.sort_by_key(|rule| rule.id());
    rules.dedup();
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| result(finding, &rules, &uri(report)))
        .collect();
    let rules: Vec<Value> = rules.into_iter().map(rule).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "corten",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path relative to the working directory as it is, an absolute one as a URI.
fn uri(report: &Report) -> String {
    let shown = shown(&report.file);
    let mut uri = String::from(if shown.starts_with('/') {
        "file://"
    } else {
        ""
    });
    for byte in shown.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => write!(uri, "%{byte:02X}").unwrap_or(()),
        }
    }
    uri
}

fn rule(rule: Rule) -> Value {
    let mut entry = json!({ "id": rule.id(), "shortDescription": { "text": rule.title() } });
    if let Rule::Fails(kind) = rule {
        entry["help"] = json!({ "text": kind.text() });
    }
    entry
}

fn result(finding: &Finding, rules: &[Rule], uri: &str) -> Value {
    let mut place = json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } });
    if let Some((line, column)) = finding.position {
        place["physicalLocation"]["region"] = json!({ "startLine": line, "startColumn": column });
    }
    let mut text = finding.message.clone();
    if !finding.field.is_empty() {
        place["logicalLocations"] = json!([{ "fullyQualifiedName": finding.pointer }]);
        text = format!("{}: {text}", finding.field);
    }
    if let Some(word) = &finding.suggestion {
        text.push_str(&format!(", did you mean {word}"));
    }
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
        "level": finding.severity.name(),
        "message": { "text": text },
        "locations": [place],
    })
}
