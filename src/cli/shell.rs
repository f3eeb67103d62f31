//! `shell`: a throw-away container over this host's own files.

use std::path::PathBuf;

use super::create::{StepFlags, TraceFlag, overlay};
use super::flags::flags;
use super::{Call, FlagsEnd, Subcommand, Words, absolute, size, user};
use crate::engine::{self, Network, Recording, ShellRequest, UserNamespace};
use crate::error::Result;
use crate::record::What;

flags! {
    /// Flags and words.
    pub(super) struct Shell {
        /// Root filesystem; nothing is written to it
        #[arg(long, value_name = "DIR", default_value = "/")]
        rootfs: PathBuf,
        /// Stack a read-only directory over the root filesystem (repeatable, lowest first)
        #[arg(long = "layer", value_name = "DIR")]
        layers: Vec<PathBuf>,
        /// Where writes go: "tmpfs", or a directory that collects them
        #[arg(long, value_name = "WHERE", default_value = "tmpfs")]
        overlay: String,
        /// Mount a named volume or a path (repeatable)
        #[arg(long = "volume", value_name = "NAME_OR_PATH:DEST[:ro]")]
        volumes: Vec<String>,
        /// Set an environment variable (repeatable)
        #[arg(short, long, value_name = "NAME=VALUE")]
        env: Vec<String>,
        /// Limit memory
        #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true)]
        memory: Option<String>,
        /// Limit processor time, in processors
        #[arg(long, value_name = "NUMBER")]
        cpus: Option<String>,
        /// Limit the number of processes
        #[arg(long = "pids", value_name = "NUMBER", allow_hyphen_values = true)]
        pids: Option<i64>,
        /// Network: one of its own with nothing but loopback, or the host's
        #[arg(long, value_name = "KIND", value_enum, default_value = "none")]
        net: Network,
        /// Make the root filesystem read-only
        #[arg(long)]
        read_only: bool,
        /// Run as this user
        #[arg(short, long, value_name = "UID[:GID]")]
        user: Option<String>,
        /// User namespace: the host's (for a plain user: one whose root is the caller), or one whose root is
        /// nobody on the host
        #[arg(long, value_name = "KIND", value_enum, default_value = "host")]
        userns: UserNamespace,
        /// Hostname
        #[arg(long, value_name = "NAME", default_value = "corten")]
        hostname: String,
        /// Working directory
        #[arg(short, long, value_name = "DIR", default_value = "/")]
        workdir: String,
        /// Write down what the command needed, for a config.json
        #[arg(long, value_name = "WHAT", value_enum, requires = "output")]
        record: Option<What>,
        /// Where --record writes
        #[arg(long, value_name = "FILE", requires = "record")]
        output: Option<PathBuf>,
        #[command(flatten)]
        trace: TraceFlag,
        #[command(flatten)]
        step: StepFlags,
        /// The program and its arguments [default: a shell]
        #[arg(value_name = "PROGRAM", trailing_var_arg = true)]
        args: Vec<String>,
    }
}

impl Subcommand for Shell {
    const NAME: &'static str = "shell";
    const ABOUT: &'static str = "Run a shell in a throw-away container over this host's own files";
    const WORDS: Words = Words::AtLeast(0);
    const FLAGS_END: FlagsEnd = FlagsEnd::AtFirstWord;
    const PREFIX: &'static str = "shell failed";

    fn run(self, call: &Call) -> Result<u8> {
        let trace = self.trace.open()?;
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
            memory: self
                .memory
                .map(|text| size::bytes("--memory", &text))
                .transpose()?,
            cpu_quota: self.cpus.map(|text| size::cpu_quota(&text)).transpose()?,
            pids: self.pids,
            network: self.net,
            user_namespace: self.userns,
            root_is_readonly: self.read_only,
            user: self.user.map(|text| user::parse(&text)).transpose()?,
            hostname: self.hostname,
            cwd: self.workdir,
            cgroup_driver: call.globals.cgroup_driver(),
            rootless: call.globals.rootless()?,
            recording: self
                .record
                .zip(self.output)
                .map(|(what, output)| Recording { what, output }),
            log: call.log.clone(),
            trace,
            step: self.step.stepping(),
        })
    }
}
