//! The engine: from a request to a container.
//!
//! Whoever calls, the command line or a program that links the library, says what it wants in a plain
//! request (`request.rs`): every path absolute, every word parsed, no terminal and no flag of its own. The engine puts the
//! rooms to work in their order: read and check the configuration, probe the host, compile the plan,
//! prove it, execute it; and where that fails, undo what the record says (`birth.rs`). `exec.rs` does the
//! same for one more process in a container that is there, `shell.rs` for a configuration of its own.

mod birth;
mod checkpoint;
mod exec;
mod extras;
mod mounts;
pub(crate) mod preview;
mod record;
mod recording;
mod request;
mod restore;
mod rootless;
mod shell;

pub use extras::{LAYERS_ANNOTATION, OVERLAY_ANNOTATION};
pub use request::*;
pub use rootless::Grants;

pub use crate::plan::mounts::Change;

use crate::error::Result;
use crate::plan::Plan;
use crate::plan::request::Start;
use crate::plan::show;
use crate::process::terminal::Stay;
use crate::supervise::{self, Signals};

/// `create`.
pub fn create(request: &CreateRequest) -> Result<()> {
    create_and_keep(request).map(drop)
}

/// The same for a process that exits then: what it holds it leaves to the kernel.
pub fn create_before_exit(request: &CreateRequest) -> Result<()> {
    create_and_keep(request).map(std::mem::forget)
}

/// Init lives on by itself.
fn create_and_keep(request: &CreateRequest) -> Result<(birth::Made, birth::Decision, Signals)> {
    let signals = Signals::block()?;
    let decision = birth::decide(request, Start::Later, Stay::Detach)?;
    let made = birth::execute(request, &decision, &signals, None)?;
    Ok((made, decision, signals))
}

/// `run`: the exit status of the program, 0 when detached.
pub fn run(request: &RunRequest) -> Result<u8> {
    run_and_keep(request).map(|(status, _)| status)
}

/// The same for a process that exits then: what it holds it leaves to the kernel, the mask of its signals included.
pub fn run_before_exit(request: &RunRequest) -> Result<u8> {
    let (status, rest) = run_and_keep(request)?;
    std::mem::forget(rest);
    Ok(status)
}

fn run_and_keep(request: &RunRequest) -> Result<(u8, (Option<birth::Rest>, Signals))> {
    let stay = match request.attachment {
        Attachment::Foreground => Stay::Foreground,
        Attachment::Detached => Stay::Detach,
    };
    if stay == Stay::Foreground && request.subreaper == Subreaper::Runtime {
        supervise::adopt_orphans()?;
    }
    let signals = Signals::block()?;
    let made = birth::make(&request.create, Start::Now, stay, &signals)?;
    match request.attachment {
        Attachment::Detached => Ok((0, (None, signals))),
        Attachment::Foreground => {
            let (status, rest) = made.attend(request, &signals)?;
            Ok((status, (Some(rest), signals)))
        }
    }
}

/// `exec`: the exit status of the program, 0 when detached.
pub fn exec(request: &ExecRequest) -> Result<u8> {
    let signals = Signals::block()?;
    exec::run(request, &signals).map(|(status, _)| status)
}

/// The same for a process that exits then: what it holds it leaves to the kernel, the mask of its signals included.
pub fn exec_before_exit(request: &ExecRequest) -> Result<u8> {
    let signals = Signals::block()?;
    let (status, process) = exec::run(request, &signals)?;
    std::mem::forget((process, signals));
    Ok(status)
}

/// `mounts add` and `mounts remove`.
pub fn change_mounts(request: &MountsRequest) -> Result<()> {
    let signals = Signals::block()?;
    mounts::run(request, &signals)
}

/// `checkpoint`.
pub fn checkpoint(request: &CheckpointRequest) -> Result<()> {
    checkpoint::run(request)
}

/// `restore`: the exit status of the program, 0 when detached.
pub fn restore(request: &RestoreRequest) -> Result<u8> {
    restore::run(request)
}

/// `explain`: the text.
pub fn explain(request: &ExplainRequest) -> Result<String> {
    let plan = planned(&request.create)?;
    let Some(other) = &request.other else {
        return Ok(match request.format {
            ExplainFormat::Text => show::text_with(&plan, request.look),
            ExplainFormat::Json => format!("{:#}\n", show::json(&plan)),
        });
    };
    let create = CreateRequest {
        bundle: other.clone(),
        ..request.create.clone()
    };
    let changed = planned(&create)?;
    let before = show::diff::Side {
        plan: &plan,
        bundle: &request.create.bundle.to_string_lossy(),
    };
    let after = show::diff::Side {
        plan: &changed,
        bundle: &create.bundle.to_string_lossy(),
    };
    Ok(match request.format {
        ExplainFormat::Text => show::diff::text(&before, &after, request.look),
        ExplainFormat::Json => format!("{:#}\n", show::diff::json(&before, &after)),
    })
}

/// The plan of a `create`, with what its text makes one say.
fn planned(create: &CreateRequest) -> Result<Plan> {
    let birth::Decision {
        mut plan, loaded, ..
    } = birth::decide(create, Start::Later, preview::stay(create))?;
    let of_the_text = [loaded.unknown(), loaded.warnings].concat();
    plan.warnings.splice(..0, of_the_text);
    Ok(plan)
}

/// `shell`: the exit status of the program.
pub fn shell(request: &ShellRequest) -> Result<u8> {
    shell::run(request)
}
