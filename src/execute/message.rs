//! What a failed step of init is called.
//!
//! Init reports a number, an errno and perhaps some words. Here they become a failure with the field
//! and the operation. Where engines match on words (an executable that is not there, a working
//! directory, a mount), the words are those they know.

use super::report::InitFailure;
use crate::error::{Cause, Code, Failure, Field, Kind};
use crate::plan::op::{InitOp, text};
use crate::plan::{Plan, Step};
use crate::sys::Errno;

/// What went wrong, as the runtime tells it.
pub fn failure(plan: &Plan, init: &InitFailure) -> Failure {
    match plan.init.get(init.step) {
        Some(step) => explain(step, init.errno, &init.detail),
        None => Failure::system("init reported a step that is not in the plan", init.errno),
    }
}

/// A step that init did not come back from.
pub fn died(plan: &Plan, step: usize, status: i32) -> Failure {
    let how = match status {
        137 => "it was killed (memory limit too low?)".to_owned(),
        status if status > 128 => format!("it was killed by signal {}", status - 128),
        status => format!("it exited with status {status}"),
    };
    let at = plan.init.get(step);
    let field = at.map(|step| step.field.clone()).unwrap_or_default();
    let is_loading = |step: &Step<InitOp>| matches!(step.op, InitOp::LoadFilter { .. });
    let has_filter = plan.init.iter().take(step + 1).any(is_loading);
    let act = match at {
        Some(_) if has_filter && status == 128 + libc::SIGSYS => {
            "the filter stopped the program before start".to_owned()
        }
        Some(step) => format!("cannot {}", step.op),
        None => "init ended".to_owned(),
    };
    Failure::new(
        Code::System,
        format!("unable to start container process: container init was OOM-killed or ended: {act}"),
    )
    .because(how)
    .at(field)
    .of(Kind::Killed)
}

/// What is said to `start` when this step fails, up to the cause: there is no plan on its side.
pub fn lead(step: &Step<InitOp>) -> String {
    let failure = explain(step, Errno(0), "?");
    let failure = match &step.op {
        InitOp::FindProgram { name, .. } => Failure {
            act: exec_act(&text(name)),
            ..failure
        },
        InitOp::Execute { args, .. } => {
            let name = args.strings().first().map(|name| text(name).into_owned());
            Failure {
                act: exec_act(&name.unwrap_or_default()),
                ..failure
            }
        }
        _ => failure,
    };
    Failure {
        cause: None,
        ..failure
    }
    .to_string()
}

fn exec_act(name: &str) -> String {
    format!("unable to start container process: exec: {name:?}")
}

/// A step of init that failed with an errno.
pub fn explain(step: &Step<InitOp>, errno: Errno, detail: &str) -> Failure {
    let field = step.field.clone();
    match &step.op {
        InitOp::FindProgram { name, .. } => exec(&text(name), errno, detail).at(field),
        InitOp::Execute { args, .. } => {
            let name = args
                .strings()
                .first()
                .map(|name| text(name).into_owned())
                .unwrap_or_default();
            exec(&name, errno, detail).at(field)
        }
        InitOp::ChangeDirectory(path) => {
            let act = format!("chdir to cwd ({:?}) set in config.json failed", text(path));
            with(Failure::new(Code::Config, act), errno, detail).at(field)
        }
        InitOp::RefuseStart => {
            Failure::new(Code::State, "cannot start a container without a process")
                .at(Field::new("process"))
        }
        InitOp::AttachTree { destination, .. } | InitOp::MountFilesystem { destination, .. } => {
            let act = format!("error mounting: cannot {} ({})", step.op, text(destination));
            let act = if detail.is_empty() {
                act
            } else {
                format!("cannot {}", step.op)
            };
            with(Failure::new(code_of(errno), act), errno, detail).at(field)
        }
        InitOp::RunHook(hook) => {
            let path = text(&hook.path);
            let act = format!("error running {}: hook {path} failed", hook.title);
            with(Failure::new(Code::Hook, act), errno, detail).at(field)
        }
        InitOp::SetLabel { .. } => {
            let failure = Failure::new(code_of(errno), format!("cannot {}", step.op));
            let failure = with(failure, errno, detail).at(field);
            match errno.0 {
                libc::ENOENT => {
                    failure.hint("the profile is not loaded: aa-status lists those that are")
                }
                libc::EINVAL => failure.hint("the policy does not know the label"),
                _ => failure,
            }
            .of(Kind::SecurityModule)
        }
        op => {
            let failure = Failure::new(code_of(errno), format!("cannot {op}"));
            let failure = with(failure, errno, detail).at(field);
            match hint(op, errno) {
                Some(text) => failure.hint(text),
                None => failure,
            }
        }
    }
}

/// What an errno does not say.
fn hint(op: &InitOp, errno: Errno) -> Option<&'static str> {
    match (op, errno.0) {
        (InitOp::SetScheduler { policy, .. }, libc::EPERM)
            if policy.to_bytes() == b"SCHED_DEADLINE" =>
        {
            Some(
                "this process scheduler can't be used together with AllowedCPUs, that is with linux.resources.cpu.cpus, \
                 nor without CAP_SYS_NICE",
            )
        }
        _ => None,
    }
}

fn code_of(errno: Errno) -> Code {
    Failure::system("", errno).code
}

/// The kernel's words where it gave some, else the errno's.
fn with(failure: Failure, errno: Errno, detail: &str) -> Failure {
    let cause = if detail.is_empty() {
        Cause::Errno(errno)
    } else {
        Cause::Text(detail.to_owned())
    };
    Failure {
        cause: Some(cause),
        ..failure
    }
}

/// A program that cannot be executed, in the words that dockerd, podman and CRI-O look for.
fn exec(name: &str, errno: Errno, detail: &str) -> Failure {
    // The program is there, and what it needs is not: runc says it without quotes.
    if !detail.is_empty() {
        let act = format!("unable to start container process: exec {name}");
        return Failure::new(Code::Exec, act).because(format!("{errno}: {detail}"));
    }
    let cause = match errno.0 {
        libc::ENOENT if !name.contains('/') => "executable file not found in $PATH".to_owned(),
        libc::ENOENT => format!("stat {name}: {errno}"),
        _ => errno.to_string(),
    };
    Failure::new(
        Code::Exec,
        format!("unable to start container process: exec: {name:?}"),
    )
    .because(cause)
}
