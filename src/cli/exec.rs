//! `exec`: another process in a running container.

use std::path::PathBuf;

use super::create::TraceFlag;
use super::flags::flags;
use super::{Call, FlagsEnd, Subcommand, Words, absolute, user};
use crate::engine::{self, Attachment, ExecFlags, ExecProcess, ExecRequest, WhenPaused};
use crate::error::{Code, Failure, Result};
use crate::state::Id;

flags! {
    /// Flags and words.
    pub(super) struct Exec {
        /// Unix socket that gets the master of the terminal
        #[arg(long, value_name = "SOCKET")]
        console_socket: Option<PathBuf>,
        /// Unix socket that gets a pidfd of the process
        #[arg(long, value_name = "SOCKET")]
        pidfd_socket: Option<PathBuf>,
        /// Working directory in the container
        #[arg(long, value_name = "DIR")]
        cwd: Option<String>,
        /// Set an environment variable (repeatable)
        #[arg(short, long, value_name = "NAME=VALUE")]
        env: Vec<String>,
        /// Attach a pseudo-terminal
        #[arg(short, long)]
        tty: bool,
        /// User and group by number
        #[arg(short, long, value_name = "UID[:GID]")]
        user: Option<String>,
        /// Additional group by number (repeatable)
        #[arg(short = 'g', long, value_name = "GID")]
        additional_gids: Vec<u32>,
        /// Read the process from this JSON file
        #[arg(short, long, value_name = "FILE")]
        process: Option<PathBuf>,
        /// Return when the program has been started
        #[arg(short, long)]
        detach: bool,
        /// File that gets the process id
        #[arg(long, value_name = "FILE")]
        pid_file: Option<PathBuf>,
        /// SELinux label
        #[arg(long, value_name = "LABEL")]
        process_label: Option<String>,
        /// AppArmor profile
        #[arg(long, value_name = "PROFILE")]
        apparmor: Option<String>,
        /// Let the process gain no privileges by exec
        #[arg(long)]
        no_new_privs: bool,
        /// Add a capability to the bounding, effective and permitted sets (repeatable)
        #[arg(short, long, value_name = "NAME")]
        cap: Vec<String>,
        /// Let the program inherit this many descriptors from 3 on
        #[arg(long, value_name = "N", default_value_t = 0)]
        preserve_fds: u32,
        /// Run in this cgroup below the container's (repeatable)
        #[arg(long, value_name = "[CONTROLLERS:]PATH")]
        cgroup: Vec<String>,
        /// Allow it in a paused container
        #[arg(long)]
        ignore_paused: bool,
        #[command(flatten)]
        trace: TraceFlag,
        /// The container's id, then the program and its arguments
        #[arg(value_name = "ID [PROGRAM", required = true, num_args = 1.., trailing_var_arg = true)]
        words: Vec<String>,
    }
}

impl Subcommand for Exec {
    const NAME: &'static str = "exec";
    const ABOUT: &'static str = "Run another program in a running container";
    const WORDS: Words = Words::AtLeast(1);
    const FLAGS_END: FlagsEnd = FlagsEnd::AtFirstWord;
    const PREFIX: &'static str = "exec failed";
    const FAILURE: u8 = 255;

    fn run(mut self, call: &Call) -> Result<u8> {
        let args = self.words.split_off(1);
        let trace = self.trace.open()?;
        let optional = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
        engine::exec_before_exit(&ExecRequest {
            id: Id::parse(&self.words[0])?,
            root: call.root()?,
            console_socket: optional(&self.console_socket)?,
            pidfd_socket: optional(&self.pidfd_socket)?,
            pid_file: optional(&self.pid_file)?,
            attachment: if self.detach {
                Attachment::Detached
            } else {
                Attachment::Foreground
            },
            preserve_fds: self.preserve_fds,
            cgroups: std::mem::take(&mut self.cgroup),
            when_paused: if self.ignore_paused {
                WhenPaused::Wait
            } else {
                WhenPaused::Refuse
            },
            process: self.process(args)?,
            log: call.log.clone(),
            trace,
        })
    }
}

impl Exec {
    fn process(self, args: Vec<String>) -> Result<ExecProcess> {
        if let Some(file) = self.process {
            return absolute(&file).map(ExecProcess::File);
        }
        if args.is_empty() {
            return Err(Failure::new(Code::State, "exec args cannot be empty"));
        }
        Ok(ExecProcess::Flags(ExecFlags {
            args,
            cwd: self.cwd,
            env: self.env,
            terminal: self.tty,
            user: self.user.as_deref().map(user::parse).transpose()?,
            additional_gids: self.additional_gids,
            process_label: self.process_label,
            apparmor: self.apparmor,
            no_new_privileges: self.no_new_privs.then_some(true),
            capabilities: self.cap,
        }))
    }
}
