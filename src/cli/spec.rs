//! `spec`: a configuration to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::flags::flags;
use super::{Call, Subcommand, Words};
use crate::config::template;
use crate::error::{Act, Code, Failure, Result};
use crate::state::Program;
use crate::sys::credentials;

flags! {
    /// Flags.
    pub(super) struct SpecCommand {
        /// Directory to write to [default: the working directory]
        #[arg(short, long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        /// For a caller who is not root
        #[arg(long)]
        rootless: bool,
    }
}

impl Subcommand for SpecCommand {
    const NAME: &'static str = "spec";
    const ABOUT: &'static str = "Write a config.json to begin with";
    const WORDS: Words = Words::Exactly(0);

    fn run(self, call: &Call) -> Result<u8> {
        let ids = credentials::ids();
        let caller = self.rootless.then_some(Caller {
            uid: ids.0[1],
            gid: ids.1[1],
        });
        let path = self.bundle.unwrap_or_default().join("config.json");
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Failure::new(
                    Code::Exists,
                    "File config.json exists. Remove it first",
                ));
            }
            file => file.act(|| format!("cannot write {}", path.display()))?,
        };
        file.write_all(default_spec(call.program, caller).as_bytes())
            .act(|| format!("cannot write {}", path.display()))?;
        Ok(0)
    }
}

/// Who root of a rootless container is on the host.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Effective.
    pub uid: u32,
    /// Effective.
    pub gid: u32,
}

/// The text of a config.json, indented with tabs. With a caller, one that needs no privileges.
pub fn default_spec(program: Program, caller: Option<Caller>) -> String {
    let text = template::text(program.name());
    let Some(caller) = caller else { return text };
    let mut spec: Value = serde_json::from_str(&text).expect("the template is JSON");
    make_rootless(&mut spec, caller);
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, tabs);
    serde::Serialize::serialize(&spec, &mut writer).expect("a JSON value is JSON");
    text.push(b'\n');
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// The host's network and sysfs (which only the owner of a network namespace may mount), one
/// mapped id, and nothing that needs a controller.
fn make_rootless(spec: &mut Value, caller: Caller) {
    let linux = &mut spec["linux"];
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": caller.uid, "size": 1}]);
    linux["gidMappings"] = json!([{"containerID": 0, "hostID": caller.gid, "size": 1}]);
    linux["resources"] = json!({});
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            mount["type"] = "none".into();
            mount["source"] = "/sys".into();
            mount["options"] = json!(["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
        if let Some(options) = mount["options"].as_array_mut() {
            let names_an_id = |option: &Value| {
                option
                    .as_str()
                    .is_some_and(|text| text.starts_with("uid=") || text.starts_with("gid="))
            };
            options.retain(|option| !names_an_id(option));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    #[test]
    fn both_kinds_pass_every_check_without_a_warning() {
        for caller in [
            None,
            Some(Caller {
                uid: 1000,
                gid: 100,
            }),
        ] {
            let text = default_spec(Program::Corten, caller);
            assert!(
                text.contains("\n\t\"ociVersion\"") && text.ends_with("}\n"),
                "{text}"
            );
            let loaded = Loaded::from_text(text.into_bytes())
                .unwrap()
                .checked()
                .unwrap();
            assert_eq!(loaded.warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn a_rootless_one_maps_the_caller_and_shares_the_network() {
        let text = default_spec(
            Program::Runc,
            Some(Caller {
                uid: 1000,
                gid: 100,
            }),
        );
        let spec: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(spec["hostname"], "runc");
        assert_eq!(spec["linux"]["uidMappings"][0]["hostID"], 1000);
        assert!(!text.contains("\"network\"") && !text.contains("gid="));
    }
}
