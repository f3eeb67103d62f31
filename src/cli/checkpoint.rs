//! `checkpoint`: save the processes of a container into files, from which `restore` makes them again.

use std::os::fd::RawFd;
use std::path::PathBuf;

use super::flags::flags;
use super::{Call, Subcommand, Words, absolute};
use crate::criu::plan::{Cgroups, Flags};
use crate::engine::{self, After, CheckpointRequest};
use crate::error::{Code, Failure, Field, Result};
use crate::state::Id;

flags! {
    /// The flags that `checkpoint` and `restore` have in common.
    pub(super) struct CriuFlags {
        /// Directory of the images [default: ./checkpoint]
        #[arg(long, value_name = "DIR")]
        image_path: Option<PathBuf>,
        /// Directory of criu's log and of what else it writes on its way [default: the images']
        #[arg(long, value_name = "DIR")]
        work_path: Option<PathBuf>,
        /// Keep established TCP connections
        #[arg(long)]
        tcp_established: bool,
        /// Allow unix sockets that are connected to the outside
        #[arg(long)]
        ext_unix_sk: bool,
        /// Allow a terminal or a session of the outside
        #[arg(long)]
        shell_job: bool,
        /// Keep file locks
        #[arg(long)]
        file_locks: bool,
        /// What criu does about cgroups: ignore, soft, full or strict
        #[arg(long, value_name = "MODE", default_value = "soft")]
        manage_cgroups_mode: String,
        /// Make a namespace without its contents: network (repeatable)
        #[arg(long, value_name = "NAMESPACE")]
        empty_ns: Vec<String>,
        /// Keep one copy of memory that several images have
        #[arg(long)]
        auto_dedup: bool,
        /// Transfer memory when it is needed
        #[arg(long)]
        lazy_pages: bool,
    }
}

impl CriuFlags {
    /// Where the images are, and the log.
    pub(super) fn places(&self) -> Result<(PathBuf, PathBuf)> {
        let image = self.image_path.clone();
        let image = absolute(&image.unwrap_or_else(|| PathBuf::from("checkpoint")))?;
        let work = self.work_path.as_ref();
        let work = work.map_or_else(|| Ok(image.clone()), |path| absolute(path))?;
        Ok((image, work))
    }

    /// For criu.
    pub(super) fn flags(&self) -> Result<Flags> {
        let refuse = |flag, text: String| Err(Failure::new(Code::Usage, text).at(Field::new(flag)));
        let cgroups = match self.manage_cgroups_mode.as_str() {
            "ignore" => Cgroups::Ignore,
            "soft" => Cgroups::Soft,
            "full" => Cgroups::Full,
            "strict" => Cgroups::Strict,
            other => return refuse("--manage-cgroups-mode", format!("{other:?} is no mode")),
        };
        if let Some(other) = self.empty_ns.iter().find(|name| *name != "network") {
            let text = format!("criu knows no empty namespace of type {other:?}");
            return refuse("--empty-ns", text);
        }
        Ok(Flags {
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            auto_dedup: self.auto_dedup,
            lazy_pages: self.lazy_pages,
            empty_network: !self.empty_ns.is_empty(),
            cgroups,
            ..Flags::default()
        })
    }
}

flags! {
    /// Flags and words.
    pub(super) struct Checkpoint {
        #[command(flatten)]
        flags: CriuFlags,
        /// Images of an earlier --pre-dump, relative to the image directory
        #[arg(long, value_name = "DIR")]
        parent_path: Option<PathBuf>,
        /// Let the container go on
        #[arg(long)]
        leave_running: bool,
        /// Save memory alone, ahead of a checkpoint, and let the container go on
        #[arg(long)]
        pre_dump: bool,
        /// Leave out TCP connections that are about to be established
        #[arg(long)]
        tcp_skip_in_flight: bool,
        /// Allow files that were unlinked while they are open
        #[arg(long)]
        link_remap: bool,
        /// Descriptor to which criu writes one byte when --lazy-pages has its server ready
        #[arg(long, value_name = "FD")]
        status_fd: Option<RawFd>,
        /// Send memory to a criu page-server
        #[arg(long, value_name = "ADDRESS:PORT")]
        page_server: Option<String>,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Checkpoint {
    const NAME: &'static str = "checkpoint";
    const ABOUT: &'static str = "Save a running container into files";
    const WORDS: Words = Words::Exactly(1);
    const PREFIX: &'static str = "checkpoint failed";

    fn can_work() -> Result<()> {
        crate::criu::conversation::check()
    }

    fn run(self, call: &Call) -> Result<u8> {
        let (image, work) = self.flags.places()?;
        let flags = Flags {
            tcp_skip_in_flight: self.tcp_skip_in_flight,
            link_remap: self.link_remap,
            ..self.flags.flags()?
        };
        engine::checkpoint(&CheckpointRequest {
            id: Id::parse(&self.id)?,
            root: call.root()?,
            parent: self.parent_path,
            image,
            work,
            flags,
            after: match (self.pre_dump, self.leave_running) {
                (true, _) => After::PreDump,
                (false, true) => After::Running,
                (false, false) => After::Gone,
            },
            status_fd: self.status_fd,
            page_server: self.page_server.as_deref().map(page_server).transpose()?,
            log: call.log.clone(),
        })?;
        Ok(0)
    }
}

/// `--page-server ADDRESS:PORT`.
fn page_server(text: &str) -> Result<(String, u16)> {
    let parts = text.rsplit_once(':');
    let parsed = parts.and_then(|(address, port)| Some((address.to_owned(), port.parse().ok()?)));
    parsed.ok_or_else(|| {
        Failure::new(Code::Usage, format!("{text:?} is no ADDRESS:PORT"))
            .at(Field::new("--page-server"))
    })
}
