//! `volume`: named directories that outlive containers.

use super::flags::flags;
use super::{Call, Subcommand, Words, print};
use crate::error::{Code, Failure, Result};
use crate::volumes;

flags! {
    /// Words.
    pub(super) struct Volume {
        /// create NAME, list, inspect NAME, or remove NAME
        #[arg(value_name = "ACTION", required = true)]
        action: String,
        /// The volume
        #[arg(value_name = "NAME")]
        name: Option<String>,
    }
}

impl Subcommand for Volume {
    const NAME: &'static str = "volume";
    const ABOUT: &'static str = "Make, list, show and remove named volumes";
    const WORDS: Words = Words::Between(1, 2);

    fn run(self, call: &Call) -> Result<u8> {
        let data = call.globals.data()?.ok_or_else(volumes::no_directory)?;
        match (self.action.as_str(), self.name.as_deref()) {
            ("create", Some(name)) => {
                volumes::create(&data, name)?;
                print(&format!("{name}\n"))?;
            }
            ("inspect", Some(name)) => print(&json(&volumes::inspect(&data, name)?)?)?,
            ("remove", Some(name)) => {
                volumes::remove(&data, name)?;
                print(&format!("{name}\n"))?;
            }
            ("list", None) => {
                for volume in volumes::list(&data)? {
                    print(&format!("{}\n", volume.name))?;
                }
            }
            ("create" | "inspect" | "remove", None) => {
                let text = format!("volume {} needs a name", self.action);
                return Err(Failure::new(Code::Usage, text));
            }
            ("list", Some(_)) => {
                return Err(Failure::new(Code::Usage, "volume list takes no name"));
            }
            (other, _) => {
                let text = format!("no such action of volume: {other:?}");
                return Err(Failure::new(Code::Usage, text));
            }
        }
        Ok(0)
    }
}

fn json(volume: &volumes::Volume) -> Result<String> {
    serde_json::to_string_pretty(volume)
        .map(|text| text + "\n")
        .map_err(|error| {
            Failure::new(Code::System, "cannot show the volume").because(error.to_string())
        })
}
