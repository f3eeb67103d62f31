//! Resource limits, decided; and the one that nobody sets: how much execve(2) takes.
//!
//! Without CAP_SYS_RESOURCE a hard limit can only be lowered. What the runtime could not do is refused
//! here, before anything is made, and all such limits together.

use std::ffi::CString;

use crate::config::{Process, Rlimit, words};
use crate::error::{Cause, Code, Failure, Field, Result};
use crate::plan::Planner;
use crate::plan::op::{InitOp, RuntimeOp};
use crate::process::plan::Circumstances;
use crate::sys::Errno;
use crate::sys::process::{Limit, RLIMIT_NOFILE};

/// Init: limits, where it has power over hard ones and can go on under them.
pub fn from_inside(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    for (field, limit, name) in all(circumstances)? {
        if !is_from_outside(limit, circumstances) {
            planner.init(InitOp::SetLimit { limit, name }, field);
        }
    }
    Ok(())
}

/// Runtime: limits over which init has no power, and those with which it could not go on.
pub fn from_outside(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    for (field, limit, name) in all(circumstances)? {
        if is_from_outside(limit, circumstances) {
            planner.runtime(RuntimeOp::SetLimit { limit, name }, field);
        }
    }
    Ok(())
}

/// Standard input to error, the start socket, the runtime's, and the one on which `start` calls.
const LEAST_DESCRIPTORS: u64 = 7;

/// More than init ever holds at a time.
const ROOM: u64 = 64;

/// Init needs descriptors of its own until it waits for start: a lower limit comes after that.
fn is_from_outside(limit: Limit, circumstances: &Circumstances<'_>) -> bool {
    let room = ROOM + u64::from(circumstances.kept_descriptors);
    circumstances.in_user_namespace || is_of_descriptors(limit) && limit.soft < room
}

fn is_of_descriptors(limit: Limit) -> bool {
    limit.resource == RLIMIT_NOFILE
}

type Named = (Field, Limit, &'static str);

fn all(circumstances: &Circumstances<'_>) -> Result<Vec<Named>> {
    let mut limits = Vec::new();
    let mut faults = Vec::new();
    for (index, rlimit) in circumstances.process.rlimits.iter().enumerate() {
        let field = Field::index("process.rlimits", index);
        let (limit, name) = limit_of(rlimit).map_err(|failure| failure.at(field.clone()))?;
        faults.extend(too_high(limit, &field, circumstances));
        faults.extend(too_few(limit, &field, circumstances));
        limits.push((field, limit, name));
    }
    Failure::together(faults).map_or(Ok(limits), Err)
}

/// A limit above the runtime's own, where it must not be.
fn too_high(limit: Limit, field: &Field, circumstances: &Circumstances<'_>) -> Option<Failure> {
    let own = circumstances.limits.hard?;
    let own = *own.get(usize::try_from(limit.resource).ok()?)?;
    let text = format!(
        "{} is above the runtime's own hard limit {own}, which it cannot raise",
        limit.hard
    );
    let fault = Failure::config(field.clone().leaf("hard"), text);
    (limit.hard > own).then(|| fault.hint("it lacks CAP_SYS_RESOURCE"))
}

/// A limit of descriptors that are not enough to wait for start.
fn too_few(limit: Limit, field: &Field, circumstances: &Circumstances<'_>) -> Option<Failure> {
    let least = LEAST_DESCRIPTORS + u64::from(circumstances.kept_descriptors);
    let text = format!(
        "RLIMIT_NOFILE of {} leaves init none to wait for start with; the least is {least}",
        limit.soft
    );
    (is_of_descriptors(limit) && limit.soft < least).then(|| Failure::config(field.clone(), text))
}

fn limit_of(rlimit: &Rlimit) -> Result<(Limit, &'static str)> {
    let known = words::RLIMITS.iter().find(|(name, _)| *name == rlimit.kind);
    let Some((name, resource)) = known else {
        return Err(Failure::config(
            Field::default(),
            format!("{:?} is no resource limit", rlimit.kind),
        ));
    };
    Ok((
        Limit {
            resource: *resource,
            soft: rlimit.soft,
            hard: rlimit.hard,
        },
        name,
    ))
}

/// execve(2), Limits on size of arguments and environment: a quarter of the stack, 128 KiB at least and
/// 6 MiB at most, pointers included.
pub fn check_strings(
    args: &[CString],
    env: &[CString],
    circumstances: &Circumstances<'_>,
) -> Result<()> {
    let stack = stack_of(circumstances.process).unwrap_or(circumstances.limits.stack);
    let most = (stack / 4).clamp(128 << 10, 6 << 20);
    let bytes = |strings: &[CString]| -> u64 {
        let lengths = strings.iter().map(|text| text.as_bytes_with_nul().len());
        lengths.map(|length| length as u64 + 8).sum()
    };
    let (args, env) = (bytes(args), bytes(env));
    if args + env <= most {
        return Ok(());
    }
    let field = if args > env {
        "process.args"
    } else {
        "process.env"
    };
    let act = format!(
        "{} bytes of arguments and environment, of which the kernel takes {most}",
        args + env
    );
    Err(Failure {
        cause: Some(Cause::Errno(Errno(libc::E2BIG))),
        ..Failure::new(Code::System, act).at(Field::new(field))
    })
}

/// The soft limit of the stack that the process asks for.
fn stack_of(process: &Process) -> Option<u64> {
    let asked = process
        .rlimits
        .iter()
        .find(|rlimit| rlimit.kind == "RLIMIT_STACK");
    asked.map(|rlimit| rlimit.soft)
}
