//! `restore`: make a container again from the files of `checkpoint`.

use std::path::PathBuf;

use super::checkpoint::CriuFlags;
use super::flags::flags;
use super::{Call, Subcommand, Words, absolute};
use crate::criu::plan::{Cgroups, Flags};
use crate::engine::{
    self, AtEnd, Attachment, CreateRequest, Keyring, RestoreRequest, RootChange, RunRequest,
    Subreaper,
};
use crate::error::{Code, Failure, Field, Result};
use crate::state::Id;

flags! {
    /// Flags and words.
    pub(super) struct Restore {
        #[command(flatten)]
        flags: CriuFlags,
        /// Directory of config.json [default: the working directory]
        #[arg(short, long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        /// Unix socket that gets the master of the terminal
        #[arg(long, value_name = "SOCKET")]
        console_socket: Option<PathBuf>,
        /// File that gets the process id
        #[arg(long, value_name = "FILE")]
        pid_file: Option<PathBuf>,
        /// Return when the processes run
        #[arg(short, long)]
        detach: bool,
        /// Do not become the parent of the container's orphans
        #[arg(long)]
        no_subreaper: bool,
        /// Refused: it is criu that changes the root
        #[arg(long)]
        no_pivot: bool,
        /// Restore TCP connections in the closed state
        #[arg(long)]
        tcp_close: bool,
        /// Instead of the security label that the processes had: apparmor:NAME or selinux:LABEL
        #[arg(long, value_name = "TYPE:NAME")]
        lsm_profile: Option<String>,
        /// Instead of the security context that mounts had
        #[arg(long, value_name = "CONTEXT")]
        lsm_mount_context: Option<String>,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Restore {
    const NAME: &'static str = "restore";
    const ABOUT: &'static str = "Make a container again from a checkpoint";
    const WORDS: Words = Words::Exactly(1);
    const PREFIX: &'static str = "restore failed";

    fn can_work() -> Result<()> {
        crate::criu::conversation::check()
    }

    fn run(self, call: &Call) -> Result<u8> {
        if self.no_pivot {
            let text = "criu changes the root itself, with pivot_root";
            return Err(Failure::new(Code::Usage, text).at(Field::new("--no-pivot")));
        }
        let (image, work) = self.flags.places()?;
        let asked = self.flags.flags()?;
        if asked.cgroups == Cgroups::Strict {
            let text =
                "strict wants no cgroup there, and the container's is made before criu is asked";
            return Err(Failure::new(Code::Usage, text).at(Field::new("--manage-cgroups-mode")));
        }
        let flags = Flags {
            tcp_close: self.tcp_close,
            lsm_profile: self.lsm_profile.clone(),
            lsm_mount_context: self.lsm_mount_context.clone(),
            ..asked
        };
        engine::restore(&RestoreRequest {
            run: self.request(call)?,
            image,
            work,
            flags,
        })
    }
}

impl Restore {
    /// The container, as `run` would make it.
    fn request(self, call: &Call) -> Result<RunRequest> {
        let optional = |path: Option<PathBuf>| path.map(|path| absolute(&path)).transpose();
        Ok(RunRequest {
            create: CreateRequest {
                id: Id::parse(&self.id)?,
                bundle: absolute(&self.bundle.unwrap_or_else(|| PathBuf::from(".")))?,
                config: None,
                root: call.root()?,
                data: call.globals.data()?,
                console_socket: optional(self.console_socket)?,
                pidfd_socket: None,
                pid_file: optional(self.pid_file)?,
                root_change: RootChange::Pivot,
                keyring: Keyring::New,
                preserve_fds: 0,
                overlay: None,
                layers: Vec::new(),
                volumes: Vec::new(),
                cgroup_driver: call.globals.cgroup_driver(),
                rootless: call.globals.rootless()?,
                log: call.log.clone(),
                trace: None,
                step: None,
            },
            attachment: if self.detach {
                Attachment::Detached
            } else {
                Attachment::Foreground
            },
            at_end: AtEnd::Delete,
            subreaper: if self.no_subreaper {
                Subreaper::Unchanged
            } else {
                Subreaper::Runtime
            },
            stop_timeout: None,
        })
    }
}
