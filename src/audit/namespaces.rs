//! Namespaces that were to be new, or joined; id maps.

use std::os::unix::fs::MetadataExt;

use super::{Book, Kind, Subject};
use crate::config::{IdMapping, Namespace, NamespaceType};
use crate::error::Field;
use crate::inspect::namespaces::{IdRange, NamespaceFact};
use crate::plan::op::namespace_name;

pub(super) fn compare(subject: &Subject<'_>, book: &mut Book) {
    for (index, asked) in subject.linux.namespaces.iter().enumerate() {
        let field = Field::index("linux.namespaces", index);
        let is_it = |found: &&NamespaceFact| found.kind == asked.kind;
        let Some(found) = subject.live.namespaces.iter().find(is_it) else {
            book.cannot("namespaces", format!("{field}: the kernel does not say"));
            continue;
        };
        match path_of(asked) {
            Some(path) => joined(path, found, &field, book),
            None if found.is_host => {
                let asked = format!("a {} namespace of its own", namespace_name(asked.kind));
                book.note(Kind::Weaker, &field, asked, "the host's");
            }
            None => {}
        }
    }
    let has_new_users = subject
        .linux
        .namespaces
        .iter()
        .any(|asked| asked.kind == NamespaceType::User && path_of(asked).is_none());
    if has_new_users {
        maps(subject, book);
    }
}

fn path_of(namespace: &Namespace) -> Option<&str> {
    namespace.path.as_deref().filter(|path| !path.is_empty())
}

/// The path belongs to the host's operator. It may be gone, as that of a process that has ended.
fn joined(path: &str, found: &NamespaceFact, field: &Field, book: &mut Book) {
    let Ok(data) = std::fs::metadata(path) else {
        return;
    };
    if data.ino() != found.inode {
        let kind = if found.is_host {
            Kind::Weaker
        } else {
            Kind::Different
        };
        let whose = if found.is_host { ", the host's" } else { "" };
        let asked = format!("{path}, which is {}", data.ino());
        let found = format!("{}{whose}", found.inode);
        book.note(kind, &field.clone().leaf("path"), asked, found);
    }
}

fn maps(subject: &Subject<'_>, book: &mut Book) {
    let found = &subject.live.id_maps;
    for (field, asked, found) in [
        (
            "linux.uidMappings",
            &subject.linux.uid_mappings,
            &found.uids,
        ),
        (
            "linux.gidMappings",
            &subject.linux.gid_mappings,
            &found.gids,
        ),
    ] {
        let (asked, mut found) = (ranges(asked), found.clone());
        found.sort_unstable();
        if asked != found && !found.is_empty() {
            book.note(
                Kind::Different,
                &Field::new(field),
                text(&asked),
                text(&found),
            );
        }
    }
}

fn ranges(mappings: &[IdMapping]) -> Vec<IdRange> {
    let range = |mapping: &IdMapping| IdRange {
        container: mapping.container_id,
        host: mapping.host_id,
        size: mapping.size,
    };
    let mut ranges: Vec<IdRange> = mappings.iter().map(range).collect();
    ranges.sort_unstable();
    ranges
}

fn text(ranges: &[IdRange]) -> String {
    let range = |range: &IdRange| format!("{} {} {}", range.container, range.host, range.size);
    ranges.iter().map(range).collect::<Vec<_>>().join("; ")
}
