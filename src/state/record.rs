//! The record: what `create` did, in `state.json`, so that a later command can know and undo it.
//!
//! It is written before the first side effect ([`Stage::Creating`]) and again when the container is
//! created. A record of a newer Corten is refused by name; what every version must be able to do is
//! to kill and remove, so [`Remains`] reads as much as `delete --force` needs from a record that is
//! newer, torn or garbled.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup;
use crate::cgroups::{CgroupPath, Write};
use crate::config::Pairs;
use crate::error::{Code, Failure, Kind, Result};

/// The version this program writes. A property may be added without a new one.
pub const VERSION: u32 = 1;

/// Everything a later command needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// `ociVersion` of config.json.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Absolute.
    pub bundle: PathBuf,
    /// Absolute.
    pub rootfs: PathBuf,
    /// RFC 3339, UTC, nanoseconds: [`super::time::now`].
    pub created: String,
    /// The effective uid of the caller of `create`.
    pub owner: u32,
    /// How far `create` has come.
    pub stage: Stage,
    /// The boot in which the process was made: numbers of another boot mean nothing. Empty on a tmpfs, where there is no other.
    pub boot_id: String,
    /// Init's number in the pid namespace of the runtime; 0 before it exists.
    #[serde(default)]
    pub pid: libc::pid_t,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks after boot.
    #[serde(default)]
    pub start_time: u64,
    /// None if the container has no cgroup of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupRecord>,
    /// Whether killing Init kills everything in the container.
    #[serde(default)]
    pub pid_namespace: PidNamespace,
    /// The namespaces that were joined by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<JoinedNamespace>,
    /// What `create` leaves behind, in the order in which it was made; undone backwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Undo>,
    /// Whether `start` has hooks to run; they are in the frozen config.json.
    #[serde(default)]
    pub has_poststart_hooks: bool,
    /// Whether `delete` has hooks to run; they are in the frozen config.json.
    #[serde(default)]
    pub has_poststop_hooks: bool,
    /// `process.noNewPrivileges`, which `exec` takes over.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// Descriptors from 3 on that the program was given (`--preserve-fds`, LISTEN_FDS).
    #[serde(default)]
    pub kept_descriptors: u32,
    /// By criu, which may have given it clocks of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// `--no-new-keyring`, which `exec` takes over.
    #[serde(default)]
    pub keeps_keyring: bool,
    /// Limits that `update` has written since, the last value of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updated: Vec<UpdatedLimit>,
    /// Of config.json. Last, because they may be megabytes: see [`Remains::salvage`].
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub annotations: Pairs<String>,
}

/// A limit that `update` wrote in the place of the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatedLimit {
    /// The property: `linux.resources.memory.limit`.
    pub field: String,
    /// The file of the cgroup.
    pub file: String,
    /// What was written.
    pub value: String,
}

impl UpdatedLimit {
    /// `io.max`, `8:0 rbps`: file, device and property; or the file alone.
    fn place(&self) -> (&str, &str) {
        let has_device = self
            .value
            .split(' ')
            .next()
            .is_some_and(|word| word.contains(':'));
        let end = self.value.rfind(['=', ' ']).filter(|_| has_device);
        (&self.file, end.map_or("", |end| &self.value[..end]))
    }
}

/// How far `create` has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Side effects have begun; Init may or may not exist.
    #[default]
    Creating,
    /// Init waits, or has waited, at the start gate.
    Created,
}

/// Where the container's processes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    /// Relative to the mount point of cgroup v2, with a leading slash.
    pub path: PathBuf,
    /// The inode number of the directory; None until it has been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Who made it.
    pub driver: CgroupDriver,
    /// The systemd unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Who makes and removes the cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// Corten itself.
    Cgroupfs,
    /// systemd's first process, asked by D-Bus.
    Systemd,
}

/// Whose pid namespace the container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PidNamespace {
    /// Its own: the kernel kills everything in it when Init dies.
    Private,
    /// The host's or another container's: killing means killing the cgroup.
    #[default]
    Shared,
}

/// A namespace that the container did not make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedNamespace {
    /// The word of the specification: `network`.
    #[serde(rename = "type")]
    pub kind: String,
    /// As config.json has it.
    pub path: PathBuf,
}

/// The inverse of an operation that leaves something behind. Undoing what is gone is no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "camelCase")]
pub enum Undo {
    /// A cgroup above the container's, unless somebody else uses it by now: its path relative to the mount
    /// point of cgroup v2. The container's own is in [`Record::cgroup`] and needs no entry.
    RemoveCgroup {
        /// With a leading slash.
        path: PathBuf,
    },
    /// A control group of resctrl.
    RemoveResctrl {
        /// Absolute.
        path: PathBuf,
    },
    /// A directory and all below it, such as the upper layer of a throw-away overlay.
    RemoveDirectory {
        /// Absolute.
        path: PathBuf,
    },
    /// A file or socket.
    RemoveFile {
        /// Absolute.
        path: PathBuf,
    },
}

impl Record {
    /// Reads the text of `state.json`. A torn or garbled one says where it breaks, a newer one its
    /// version.
    pub fn parse(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let parsed = serde_json::from_slice::<Self>(text);
        let version = match &parsed {
            Ok(record) => record.version,
            Err(_) => serde_json::from_slice::<Version>(text).map_or(VERSION, |head| head.version),
        };
        if version > VERSION {
            return Err(unreadable(format!(
                "version {version} is newer than {VERSION}, which this program knows"
            )));
        }
        parsed.map_err(|error| match text.is_empty() {
            true => unreadable("it is empty"),
            false => unreadable(error.to_string()),
        })
    }

    /// Takes over what `update` wrote: `audit` compares with it. The last write to a file counts, or to a
    /// device's line of it.
    pub fn note_update(&mut self, writes: &[Write]) {
        for write in writes {
            let limit = UpdatedLimit {
                field: write.field.to_string(),
                file: write.file.to_string(),
                value: write.value.clone(),
            };
            self.updated.retain(|old| old.place() != limit.place());
            self.updated.push(limit);
        }
    }

    /// The text of `state.json`.
    pub fn to_text(&self) -> Result<Vec<u8>> {
        // A path that is not UTF-8 is the only thing JSON cannot hold.
        serde_json::to_vec(self).map_err(|error| {
            Failure::new(Code::State, "cannot write the container's record")
                .because(error.to_string())
        })
    }
}

fn unreadable(why: impl Into<String>) -> Failure {
    Failure::new(Code::State, "cannot read the container's record state.json")
        .because(why)
        .hint("delete --force kills and removes the container all the same")
        .of(Kind::Record)
}

/// What `delete --force` works from when there is no [`Record`]: whatever could be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remains {
    /// The cgroup's path, if it can be one.
    pub cgroup: Option<CgroupPath>,
    /// The cgroup's inode number.
    pub cgroup_id: Option<u64>,
    /// The entries of the undo list that this version knows.
    pub undo: Vec<Undo>,
}

impl Remains {
    /// Reads what it can. JSON of any version is taken property by property; of a torn text, the
    /// cgroup's path is still found by its words, because it stands before anything long.
    pub fn salvage(text: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(text) else {
            return Self {
                cgroup: path_in_torn(text),
                ..Self::default()
            };
        };
        let found = &json["cgroup"];
        let undo = json["undo"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Self {
            cgroup: found["path"]
                .as_str()
                .and_then(|path| cgroup::path(path.as_ref())),
            cgroup_id: found["id"].as_u64(),
            // An entry that a newer version invented cannot be undone by this one.
            undo: undo
                .iter()
                .filter_map(|entry| Undo::deserialize(entry).ok())
                .collect(),
        }
    }
}

/// The string after `"cgroup":{"path":`.
fn path_in_torn(text: &[u8]) -> Option<CgroupPath> {
    const WORDS: &[u8] = br#""cgroup":{"path":"#;
    let start = text
        .windows(WORDS.len())
        .position(|window| window == WORDS)?
        + WORDS.len();
    let path = serde_json::Deserializer::from_slice(&text[start..])
        .into_iter::<String>()
        .next()?;
    // A path torn in the middle has no closing quote, hence is an error here, hence unknown.
    path.ok().and_then(|path| cgroup::path(path.as_ref()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(id: &str) -> Record {
        Record {
            version: VERSION,
            oci_version: "1.3.0".into(),
            id: id.into(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: super::super::time::now(),
            annotations: Pairs(vec![("a".into(), "b".into())]),
            boot_id: super::super::identity::boot_id().unwrap().to_owned(),
            cgroup: Some(CgroupRecord {
                path: "/corten/x".into(),
                id: Some(7),
                driver: CgroupDriver::Cgroupfs,
                unit: None,
            }),
            undo: vec![Undo::RemoveDirectory {
                path: "/tmp/upper".into(),
            }],
            ..Record::default()
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let record = sample("x");
        assert_eq!(Record::parse(&record.to_text().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_record_torn_anywhere_is_an_error_and_never_a_panic() {
        let text = sample("x").to_text().unwrap();
        for length in 0..text.len() {
            let failure = Record::parse(&text[..length]).unwrap_err();
            assert_eq!(failure.code, Code::State);
            assert!(failure.to_string().contains("state.json"), "{failure}");
        }
    }

    #[test]
    fn a_garbled_record_is_an_error() {
        for text in [
            &b"null"[..],
            b"[]",
            b"{}",
            b"\0\0\0",
            b"\xff\xfe",
            br#"{"version":1,"pid":"x"}"#,
        ] {
            assert_eq!(Record::parse(text).unwrap_err().code, Code::State);
            assert_eq!(Remains::salvage(text), Remains::default());
        }
    }

    #[test]
    fn a_newer_record_is_refused_by_its_version() {
        let mut json = serde_json::to_value(sample("x")).unwrap();
        json["version"] = 2.into();
        let same_shape = Record::parse(json.to_string().as_bytes()).unwrap_err();
        json["stage"] = serde_json::json!({"of": "another shape"});
        let other_shape = Record::parse(json.to_string().as_bytes()).unwrap_err();
        for failure in [same_shape, other_shape] {
            assert!(
                failure.to_string().contains("version 2 is newer"),
                "{failure}"
            );
        }
    }

    #[test]
    fn an_added_property_is_no_new_version() {
        let mut json = serde_json::to_value(sample("x")).unwrap();
        json["invented"] = 1.into();
        assert_eq!(Record::parse(json.to_string().as_bytes()).unwrap().id, "x");
    }

    #[test]
    fn a_newer_record_still_tells_delete_what_to_remove() {
        let mut json = serde_json::to_value(sample("x")).unwrap();
        json["version"] = 9.into();
        json["pid"] = "of another shape".into();
        json["undo"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!({"act": "invented", "path": "/"}));
        let remains = Remains::salvage(json.to_string().as_bytes());
        assert_eq!(remains.cgroup.unwrap().as_str(), "corten/x");
        assert_eq!(remains.cgroup_id, Some(7));
        assert_eq!(remains.undo, sample("x").undo);
    }

    #[test]
    fn a_torn_record_tells_its_cgroup_whole_or_not_at_all() {
        let text = sample("x").to_text().unwrap();
        for length in 0..text.len() {
            let found = Remains::salvage(&text[..length]).cgroup;
            assert!(
                found
                    .as_ref()
                    .is_none_or(|path| path.as_str() == "corten/x"),
                "{found:?}"
            );
        }
        assert!(Remains::salvage(&text[..text.len() - 1]).cgroup.is_some());
    }
}
