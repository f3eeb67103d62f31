//! `start`: open the gate at which Init waits.

use std::os::fd::AsFd;
use std::path::PathBuf;

use super::flags::flags;
use super::{Call, Subcommand, Words};
use crate::error::{Code, Failure, Result};
use crate::hooks::{Kind, Place, run_hooks};
use crate::process::notify::Notify;
use crate::state::gate::Waiting;
use crate::state::identity::Process;
use crate::state::{Container, Id, Lock, Status, destroy, gate, hooks};

flags! {
    /// Words.
    pub(super) struct Start {
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Let a created container run its program";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let (container, lock) = Container::open_locked(&call.root()?, &Id::parse(&self.id)?)?;
        let refused = match container.knock()? {
            (Status::Created, Some(init)) => {
                return start(call, &container, init, lock).map(|()| 0);
            }
            (Status::Stopped, _) => "cannot start a container that has stopped",
            (Status::Created | Status::Running, _) => "cannot start an already running container",
            (Status::Paused, _) => "cannot start a container in the paused state",
            (Status::Creating, _) => "cannot start a container that is being created",
        };
        Err(Failure::new(Code::State, refused))
    }
}

/// Opens the gate. A hook that fails ends the container and its life (runtime.md, lifecycle steps 8
/// and 10: continue at step 12, which is delete).
fn start(call: &Call, container: &Container, init: Waiting, lock: Lock) -> Result<()> {
    let readiness = Readiness::listen(container)?;
    let failure = match gate::open(container.directory(), init) {
        Ok(()) => match run_poststart_hooks(container) {
            Ok(()) => {
                // The program may take as long as it likes to be ready.
                drop(lock);
                return readiness.map_or(Ok(()), Readiness::forward);
            }
            Err(failure) => failure,
        },
        Err(failure) if failure.code == Code::Hook => failure,
        Err(failure) => return Err(failure),
    };
    let undone = destroy::remove(container);
    drop(lock);
    match undone {
        Ok(warnings) => {
            warnings
                .iter()
                .for_each(|warning| call.log.warn(warning.to_string()));
            Err(failure)
        }
        Err(left) => Err(failure.hint(format!("and it could not be undone: {left}"))),
    }
}

/// A service manager that wants to know when the program is ready.
struct Readiness {
    manager: PathBuf,
    socket: Notify,
    process: Process,
}

impl Readiness {
    /// If there is one now, and was one at `create`, when the directory was made.
    fn listen(container: &Container) -> Result<Option<Self>> {
        let Some(manager) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())
        else {
            return Ok(None);
        };
        let (Some(directory), Some(process)) =
            (container.notify_directory()?, container.process()?)
        else {
            return Ok(None);
        };
        let socket = Notify::listen(directory.as_fd())?;
        Ok(Some(Self {
            manager: manager.into(),
            socket,
            process,
        }))
    }

    /// A program that ends without a word is no failure of `start`.
    fn forward(self) -> Result<()> {
        self.socket
            .forward(&self.manager, self.process.pidfd(), self.process.pid)
            .map(|_| ())
    }
}

fn run_poststart_hooks(container: &Container) -> Result<()> {
    if !container.record().has_poststart_hooks {
        return Ok(());
    }
    let state = hooks::state(container, Status::Running)?;
    run_hooks(
        &hooks::of(container, Kind::Poststart)?,
        &Place::ALONE,
        &state,
    )
}
