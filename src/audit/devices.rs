//! The device program: whether the rules of the configuration are still enforced.

use super::{Book, Kind, Subject};
use crate::cgroups::{devices, run};
use crate::error::{Code, Field, Result};
use crate::inspect::cgroup::programs;
use crate::state::root::in_user_namespace;

/// Two programs are the same if their tags are, so the rules are compiled and loaded once more, attached to
/// nothing, and gone with their descriptor.
pub(super) fn compare(subject: &Subject<'_>, book: &mut Book) -> Result<()> {
    // Outside of the first user namespace, and without privileges, there is none (see `DeviceFilter`).
    if subject.record.owner != 0 || in_user_namespace() {
        return Ok(());
    }
    let asked = devices::program(&subject.linux.resources.devices)?;
    let (Some(asked), Some(cgroup)) = (asked, subject.container.cgroup()?) else {
        return Ok(());
    };
    let field = Field::new("linux.resources.devices");
    let found = match programs(cgroup.directory()) {
        Ok(found) => found,
        Err(failure) if failure.code == Code::Permission => {
            book.cannot("linux.resources.devices", failure.to_string());
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    if found.is_empty() {
        let asked = format!("{} device rules", asked.rules.len());
        book.note(
            Kind::Missing,
            &field,
            asked,
            "no device program: every device is allowed",
        );
        return Ok(());
    }
    let tag = run::device_tag(&asked)?;
    if !found.iter().any(|program| program.tag == tag) {
        let tags: Vec<&str> = found.iter().map(|program| program.tag.as_str()).collect();
        let asked = format!("the program of the rules, tag {tag}");
        book.note(
            Kind::Different,
            &field,
            asked,
            format!("tag {}", tags.join(", ")),
        );
    }
    Ok(())
}
