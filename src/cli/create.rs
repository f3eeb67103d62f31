//! `create`: make the container and stop before its program.

use std::path::PathBuf;
use std::sync::Arc;

use super::flags::flags;
use super::{Call, Subcommand, Words, absolute, page};
use crate::engine::{self, CreateRequest, Keyring, Overlay, RootChange};
use crate::error::Result;
use crate::execute::step::Stepping;
use crate::execute::trace::Trace;
use crate::state::Id;

flags! {
    /// Flags and words.
    pub(super) struct Create {
        #[command(flatten)]
        flags: CreateFlags,
        #[command(flatten)]
        trace: TraceFlag,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

flags! {
    /// The flags that `create`, `run` and `explain` have in common.
    pub(super) struct CreateFlags {
        /// Directory of config.json [default: the working directory]
        #[arg(short, long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        /// Read this file instead of the bundle's config.json
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Unix socket that gets the master of the terminal
        #[arg(long, value_name = "SOCKET")]
        console_socket: Option<PathBuf>,
        /// Unix socket that gets a pidfd of the container's process
        #[arg(long, value_name = "SOCKET")]
        pidfd_socket: Option<PathBuf>,
        /// File that gets the process id
        #[arg(long, value_name = "FILE")]
        pid_file: Option<PathBuf>,
        /// Move the root over / instead of pivot_root, for a host that runs from its initramfs
        #[arg(long)]
        no_pivot: bool,
        /// Keep the caller's session keyring
        #[arg(long)]
        no_new_keyring: bool,
        /// Let the program inherit this many descriptors from 3 on
        #[arg(long, value_name = "N", default_value_t = 0)]
        preserve_fds: u32,
        /// Keep writes out of the root filesystem: "tmpfs", or a directory that collects them
        #[arg(long, value_name = "WHERE")]
        overlay: Option<String>,
        /// Stack a read-only directory over the root filesystem (repeatable, lowest first)
        #[arg(long = "layer", value_name = "DIR")]
        layers: Vec<PathBuf>,
        /// Mount a named volume (repeatable)
        #[arg(long = "volume", value_name = "NAME:DESTINATION[:OPTIONS]")]
        volumes: Vec<String>,
    }
}

impl CreateFlags {
    pub(super) fn request(self, id: &str, call: &Call) -> Result<CreateRequest> {
        let optional = |path: Option<PathBuf>| path.map(|path| absolute(&path)).transpose();
        Ok(CreateRequest {
            id: Id::parse(id)?,
            bundle: absolute(&self.bundle.unwrap_or_else(|| PathBuf::from(".")))?,
            config: optional(self.config)?,
            root: call.root()?,
            data: call.globals.data()?,
            console_socket: optional(self.console_socket)?,
            pidfd_socket: optional(self.pidfd_socket)?,
            pid_file: optional(self.pid_file)?,
            root_change: if self.no_pivot {
                RootChange::Move
            } else {
                RootChange::Pivot
            },
            keyring: if self.no_new_keyring {
                Keyring::Inherited
            } else {
                Keyring::New
            },
            preserve_fds: self.preserve_fds,
            overlay: self.overlay.map(|place| overlay(&place)).transpose()?,
            layers: self
                .layers
                .iter()
                .map(|layer| absolute(layer))
                .collect::<Result<_>>()?,
            volumes: self.volumes,
            cgroup_driver: call.globals.cgroup_driver(),
            rootless: call.globals.rootless()?,
            log: call.log.clone(),
            trace: None,
            step: None,
        })
    }
}

flags! {
    /// `--trace`, of the commands that carry out a plan.
    pub(super) struct TraceFlag {
        /// Write how long each step took to this file, for Perfetto; "-" shows it on standard error
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
    }
}

impl TraceFlag {
    pub(super) fn open(&self) -> Result<Option<Arc<Trace>>> {
        let trace = self.trace.as_deref().map(Trace::open).transpose()?;
        Ok(trace.map(Arc::new))
    }
}

flags! {
    /// `--step`, of the commands that stay in the foreground.
    pub(super) struct StepFlags {
        /// Stop before each step, show it, and wait for Enter
        #[arg(long)]
        step: bool,
        /// Stop for the first time before this step: a number, an operation, a field of config.json, or words of its sentence
        #[arg(long, value_name = "OP", requires = "step")]
        until: Option<String>,
    }
}

impl StepFlags {
    pub(super) fn stepping(self) -> Option<Stepping> {
        self.step.then(|| Stepping {
            until: self.until,
            look: page::look_of_stderr(),
        })
    }
}

/// `--overlay`.
pub(super) fn overlay(place: &str) -> Result<Overlay> {
    match place {
        "tmpfs" => Ok(Overlay::Temporary),
        directory => absolute(directory.as_ref()).map(Overlay::Directory),
    }
}

impl Subcommand for Create {
    const NAME: &'static str = "create";
    const ABOUT: &'static str = "Make a container; its program waits for start";
    const WORDS: Words = Words::Exactly(1);
    const PREFIX: &'static str = "create failed";

    fn run(self, call: &Call) -> Result<u8> {
        engine::create_before_exit(&CreateRequest {
            trace: self.trace.open()?,
            ..self.flags.request(&self.id, call)?
        })?;
        Ok(0)
    }
}
