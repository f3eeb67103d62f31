//! `shell`: a throw-away container over this host's own files.

use std::path::PathBuf;

use clap::Args;

use super::create::overlay;
use super::{Call, FlagsEnd, Subcommand, Words, absolute};
use crate::engine::{self, ShellRequest};
use crate::error::Result;

/// Flags and words.
#[derive(Debug, Args)]
pub(super) struct Shell {
    /// Root filesystem; nothing is written to it
    #[arg(long, value_name = "DIR", default_value = "/")]
    rootfs: PathBuf,
    /// Stack a read-only directory over the root filesystem (repeatable, lowest first)
    #[arg(long = "layer", value_name = "DIR")]
    layers: Vec<PathBuf>,
    /// Where writes go: "temporary", or a directory that collects them
    #[arg(long, value_name = "WHERE", default_value = "temporary")]
    overlay: String,
    /// Mount a named volume (repeatable)
    #[arg(long = "volume", value_name = "NAME:DESTINATION[:OPTIONS]")]
    volumes: Vec<String>,
    /// Set an environment variable (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The program and its arguments [default: a shell]
    #[arg(value_name = "PROGRAM", trailing_var_arg = true)]
    args: Vec<String>,
}

impl Subcommand for Shell {
    const NAME: &'static str = "shell";
    const ABOUT: &'static str = "Run a shell in a throw-away container over this host's own files";
    const WORDS: Words = Words::AtLeast(0);
    const FLAGS_END: FlagsEnd = FlagsEnd::AtFirstWord;
    const PREFIX: &'static str = "shell failed";

    fn run(self, call: &Call) -> Result<u8> {
        engine::shell(&ShellRequest {
            root: call.root()?,
            data: call.globals.data()?,
            rootfs: absolute(&self.rootfs)?,
            layers: self
                .layers
                .iter()
                .map(|layer| absolute(layer))
                .collect::<Result<_>>()?,
            overlay: overlay(&self.overlay)?,
            volumes: self.volumes,
            env: self.env,
            args: self.args,
            cgroup_driver: call.globals.cgroup_driver(),
            rootless: call.globals.rootless()?,
            log: call.log.clone(),
        })
    }
}
