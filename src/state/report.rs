//! What `state` and `list` print, and what hooks read on their standard input.

use serde::Serialize;

use super::container::{Container, Status};
use super::record::Record;
use crate::config::Pairs;

/// One container as runc prints it: the specification's state and a few properties more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of config.json.
    pub oci_version: String,
    /// The id.
    pub id: String,
    /// Init in the caller's pid namespace; 0 when stopped.
    pub pid: libc::pid_t,
    /// Now.
    pub status: Status,
    /// Absolute.
    pub bundle: String,
    /// Absolute.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// Of config.json.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub annotations: Pairs<String>,
    /// The name of the user who ran `create`.
    pub owner: String,
}

impl Report {
    /// What is to be said of a container whose status was just computed.
    pub fn of(container: &Container, status: Status) -> Self {
        let record = container.record();
        Self {
            oci_version: record.oci_version.clone(),
            id: record.id.clone(),
            pid: container.pid_shown(status),
            status,
            bundle: record.bundle.to_string_lossy().into_owned(),
            rootfs: record.rootfs.to_string_lossy().into_owned(),
            created: record.created.clone(),
            annotations: record.annotations.clone(),
            owner: user_name(record.owner),
        }
    }
}

/// The state of runtime.md, which hooks get: nothing but the specification's properties, and no pid
/// once the process has ended. `seccomp` listeners get it as a part of theirs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<libc::pid_t>,
    bundle: &'a std::path::Path,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    annotations: &'a Pairs<String>,
}

impl<'a> OciState<'a> {
    /// The state as a hook at this point of the container's life must see it.
    pub fn of(record: &'a Record, status: Status) -> Self {
        Self {
            oci_version: &record.oci_version,
            id: &record.id,
            status,
            pid: (record.pid > 0 && status != Status::Stopped).then_some(record.pid),
            bundle: &record.bundle,
            annotations: &record.annotations,
        }
    }
}

/// The user's name from /etc/passwd of the host; `#uid` if it has none, as runc prints it.
///
/// Read here and not by getpwuid(3): a static program has no name service.
pub fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    // A host without a readable passwd still has numbers.
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&passwd, uid).map_or_else(|| format!("#{uid}"), str::to_owned)
}

fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number_alone() {
        let passwd =
            "root:x:0:0::/:/bin/sh\nbroken\n7:x:8:8::/:\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_in(passwd, 1000), Some("ann"));
        assert_eq!(name_in(passwd, 8), Some("7"));
        assert_eq!(name_in(passwd, 7), None);
    }
}
