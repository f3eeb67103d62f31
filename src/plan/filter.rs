//! The filter in the plan: what the profile compiles to, whether init and the program's first call pass it, and
//! who receives its listener. What a filter is made of is [`crate::seccomp`]'s.

use super::op::{Gate, InitOp, RuntimeOp};
use super::request::Start;
use super::{Planner, annotations};
use crate::config::{Linux, Spec};
use crate::error::{Failure, Field, Result};
use crate::seccomp;

/// What init still calls behind a filter that has a listener, and for what; the last three only to wait.
const BEHIND_A_LISTENER: [(i64, &str); 6] = [
    (
        libc::SYS_prctl,
        "prctl, with which init outlives the runtime",
    ),
    (
        libc::SYS_write,
        "write, with which init tells that it is ready",
    ),
    (libc::SYS_read, "read, with which init is told to go on"),
    (libc::SYS_ppoll, "ppoll, with which init waits for start"),
    (libc::SYS_accept4, "accept4, with which init hears of start"),
    (
        libc::SYS_rt_sigprocmask,
        "rt_sigprocmask, with which init takes signals again",
    ),
];

pub(super) fn of(spec: &Spec, linux: &Linux, start: Start) -> Result<Option<seccomp::Filter>> {
    if let Some(instructions) = annotations::filter(&spec.annotations)? {
        // Whoever compiled it knows what it stops.
        return Ok(Some(seccomp::Filter {
            instructions,
            flags: 0,
            listener: None,
            unknown: Vec::new(),
        }));
    }
    let Some(profile) = &linux.seccomp else {
        return Ok(None);
    };
    let native = seccomp::Arch::native();
    let filter = seccomp::compile(profile, native)?;
    if annotations::is_on(&spec.annotations, annotations::KNOWN_CALLS)
        && let Some(name) = filter.unknown.first()
    {
        let field = Field::new("linux.seccomp.syscalls");
        return Err(Failure::config(
            field,
            format!("unknown system call {name:?}"),
        ));
    }
    // What is certain to fail is told now, not to `start`. Without a listener execution is the first call
    // behind the filter.
    let own = match (&filter.listener, start) {
        (None, _) => 0,
        (Some(_), Start::Now) => 3,
        (Some(_), Start::Later) => BEHIND_A_LISTENER.len(),
    };
    let execve = (libc::SYS_execve, "execve, which begins the program");
    for (number, purpose) in BEHIND_A_LISTENER.into_iter().take(own).chain([execve]) {
        let number = u32::try_from(number).unwrap_or_default();
        let stops = seccomp::interpret::stops(&filter.instructions, number, native.audit());
        if let Some(how) = stops {
            let text = "the filter stops the program before start";
            let fault = Failure::config(Field::new("linux.seccomp"), text);
            return Err(fault.because(format!("it {how} {purpose}")));
        }
    }
    Ok(Some(filter))
}

/// What init calls between the last gate but one and the program: to wait at the gate, and to end if the runtime
/// does; then to wait for `start`, and to tell it what failed.
const WHILE_WAITING: [i64; 7] = [
    libc::SYS_read,
    libc::SYS_exit_group,
    libc::SYS_ppoll,
    libc::SYS_accept4,
    libc::SYS_close,
    libc::SYS_rt_sigprocmask,
    libc::SYS_write,
];

/// Whether init behind the filter can still wait.
pub(super) fn lets_wait(filter: &seccomp::Filter, start: Start) -> bool {
    let native = seccomp::Arch::native().audit();
    let calls = match start {
        Start::Now => &WHILE_WAITING[..2],
        Start::Later => &WHILE_WAITING,
    };
    calls.iter().all(|number| {
        let number = u32::try_from(*number).unwrap_or_default();
        seccomp::interpret::passes(&filter.instructions, number, native)
    })
}

pub(super) fn load(filter: seccomp::Filter) -> (InitOp, Option<seccomp::Listener>) {
    let op = InitOp::LoadFilter {
        instructions: filter.instructions,
        flags: filter.flags,
    };
    (op, filter.listener)
}

pub(super) fn pass_listener(planner: &mut Planner, load: InitOp, listener: seccomp::Listener) {
    let field = || Field::new("linux.seccomp.listenerPath");
    planner.init(InitOp::AnnounceListener, field());
    planner.meet(Gate::ListenerExpected);
    planner.init(load, Field::new("linux.seccomp"));
    planner.runtime(RuntimeOp::PassListener(listener), field());
}
