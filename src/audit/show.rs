//! Findings as text, a line each.

use super::{Audit, Finding};
use crate::inspect::{Unseen, plain};

/// A container that is as it was asked for is a line too, so that silence means nothing was looked at.
pub fn text(audit: &Audit) -> String {
    let mut text = match audit.findings.len() {
        0 => format!("{}: as asked for\n", audit.id),
        1 => format!("{}: 1 finding\n", audit.id),
        count => format!("{}: {count} findings\n", audit.id),
    };
    for Finding {
        kind,
        field,
        asked,
        found,
        ..
    } in &audit.findings
    {
        let line = format!("  {:<9} {field}: asked {asked}; found {found}", kind.name());
        text += &(plain(&line) + "\n");
    }
    for Unseen { what, why } in &audit.unseen {
        text += &(plain(&format!("  could not look at {what}: {why}")) + "\n");
    }
    text
}
