//! Paths that are to be hidden or read-only.

use super::inside::{Inside, destination, is_cover};
use super::{Book, Kind, Subject};
use crate::error::Field;

pub(super) fn compare(subject: &Subject<'_>, inside: &Inside<'_>, book: &mut Book) {
    for (index, path) in subject.linux.masked_paths.iter().enumerate() {
        masked(
            subject,
            inside,
            Field::index("linux.maskedPaths", index),
            path,
            book,
        );
    }
    for (index, path) in subject.linux.readonly_paths.iter().enumerate() {
        readonly(
            subject,
            inside,
            Field::index("linux.readonlyPaths", index),
            path,
            book,
        );
    }
}

fn masked(subject: &Subject<'_>, inside: &Inside<'_>, field: Field, path: &str, book: &mut Book) {
    let place = inside.resolved(&destination(subject, path));
    match subject.live.mounts.covering(&place) {
        Some(cover) if is_cover(cover) => {}
        Some(mount) if mount.destination == place => {
            let found = format!(
                "a {} is mounted there, which shows {}",
                mount.kind, mount.root
            );
            book.note(Kind::Different, &field, format!("{path} hidden"), found);
        }
        _ if inside.exists(&place) => {
            book.note(
                Kind::Missing,
                &field,
                format!("{path} hidden"),
                "it is seen",
            );
        }
        _ => {}
    }
}

fn readonly(subject: &Subject<'_>, inside: &Inside<'_>, field: Field, path: &str, book: &mut Book) {
    let place = inside.resolved(&destination(subject, path));
    let asked = format!("{path} read-only");
    match subject.live.mounts.covering(&place) {
        Some(mount) if !mount.is_readonly() && inside.exists(&place) => {
            book.note(Kind::Weaker, &field, asked.clone(), "it is writable");
        }
        _ => {}
    }
    for mount in subject.live.mounts.below(&place) {
        if !mount.is_readonly() {
            let found = format!("{} below it is writable", mount.destination);
            book.note(Kind::Weaker, &field, asked.clone(), found);
        }
    }
}
