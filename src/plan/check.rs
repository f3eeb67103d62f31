//! Proofs about a plan, before it is executed.
//!
//! [`gates`] plays the two lists against each other. They are straight, and a gate is opened by one
//! side and awaited by the other, so the play has only one course: if it comes to the end of both lists, the
//! two processes will meet at every gate; if it stops, they would wait for each other for ever.
//! [`order`] holds the plan against the laws of order that security depends on. Both are cheap enough
//! to be run on every plan, and the tests run them over every golden one.

use super::op::{Gate, InitOp, RuntimeOp};
use super::{Plan, Step};
use crate::error::{Code, Failure, Kind, Result};

/// All proofs.
pub fn check(plan: &Plan) -> Result<()> {
    gates(plan)?;
    order(plan)
}

enum Move {
    Open(Gate),
    Await(Gate),
    Other,
}

fn runtime_move(step: &Step<RuntimeOp>) -> Move {
    match step.op {
        RuntimeOp::Open(gate) => Move::Open(gate),
        RuntimeOp::HandOverNetwork => Move::Open(Gate::NetworkMade),
        RuntimeOp::TakeOverTree { .. } => Move::Await(Gate::TreeCopied),
        RuntimeOp::Await(gate) => Move::Await(gate),
        _ => Move::Other,
    }
}

fn init_move(step: &Step<InitOp>) -> Move {
    match step.op {
        InitOp::Open(gate) => Move::Open(gate),
        InitOp::Await(gate) => Move::Await(gate),
        InitOp::TakeOverNetwork => Move::Await(Gate::NetworkMade),
        InitOp::HandOverTree { .. } => Move::Open(Gate::TreeCopied),
        _ => Move::Other,
    }
}

/// The two lists meet at every gate.
pub fn gates(plan: &Plan) -> Result<()> {
    let start = plan
        .runtime
        .iter()
        .position(|step| matches!(step.op, RuntimeOp::StartInit { .. }));
    let Some(start) = start else {
        return Err(wrong("no step starts init"));
    };
    let (mut runtime, mut init) = (0, 0);
    // What each side has opened and the other one has not yet passed, in order: a stream of bytes.
    let (mut to_init, mut to_runtime) = (Vec::new(), Vec::new());
    loop {
        let before = (runtime, init);
        while let Some(step) = plan.runtime.get(runtime) {
            if !advance(runtime_move(step), &mut to_init, &mut to_runtime)? {
                break;
            }
            runtime += 1;
        }
        while let Some(step) = plan.init.get(init).filter(|_| runtime > start) {
            if !advance(init_move(step), &mut to_runtime, &mut to_init)? {
                break;
            }
            init += 1;
        }
        match (plan.runtime.get(runtime), plan.init.get(init)) {
            (None, None) if to_init.is_empty() && to_runtime.is_empty() => return Ok(()),
            (None, None) => return Err(wrong("a gate is opened that nobody awaits")),
            _ if (runtime, init) == before => {
                let at = |text: Option<String>| text.unwrap_or_else(|| "its end".to_owned());
                return Err(wrong(&format!(
                    "deadlock: the runtime at {}, init at {}",
                    at(plan.runtime.get(runtime).map(|step| step.op.to_string())),
                    at(plan.init.get(init).map(|step| step.op.to_string())),
                )));
            }
            _ => {}
        }
    }
}

/// One move: false if it has to wait.
fn advance(next: Move, sent: &mut Vec<Gate>, received: &mut Vec<Gate>) -> Result<bool> {
    match next {
        Move::Other => {}
        Move::Open(gate) => sent.push(gate),
        Move::Await(_) if received.is_empty() => return Ok(false),
        Move::Await(gate) if received[0] != gate => return Err(wrong("the gates are crossed")),
        Move::Await(_) => {
            received.remove(0);
        }
    }
    Ok(true)
}

fn wrong(text: &str) -> Failure {
    Failure::new(Code::System, "the plan is wrong")
        .because(text)
        .of(Kind::Internal)
}

/// Where an operation may not come before another.
type Law = (&'static str, fn(&InitOp) -> bool, fn(&InitOp) -> bool);

/// Each: what it protects, the earlier operation, the later one.
const LAWS: &[Law] = &[
    (
        "a path is found before the pivot, after which the host's root lies over the container's and a link with .. leads into it",
        |op| {
            matches!(
                op,
                InitOp::MountFilesystem { .. }
                    | InitOp::AttachTree { .. }
                    | InitOp::Remount { .. }
                    | InitOp::MountOverlayRoot { .. }
                    | InitOp::MakeDevice { .. }
                    | InitOp::MakeWorkingDirectory(_)
                    | InitOp::ReadonlyMount(_)
                    | InitOp::ReadonlyPath(_)
                    | InitOp::MaskPath(_)
            )
        },
        |op| matches!(op, InitOp::PivotRoot { .. } | InitOp::ChangeRoot),
    ),
    (
        "what the host gives is taken before an overlay covers /, within which a link's .. would lead",
        |op| matches!(op, InitOp::CloneTree { .. }),
        |op| matches!(op, InitOp::MountOverlayRoot { .. }),
    ),
    (
        "a tree of the host is copied before its /proc is covered",
        |op| matches!(op, InitOp::CloneTree { .. }),
        |op| matches!(op, InitOp::PrepareMask),
    ),
    (
        "a path is hidden while its cover is there",
        |op| matches!(op, InitOp::MaskPath(_)),
        |op| matches!(op, InitOp::DetachOldRoot),
    ),
    (
        "kernel parameters are written before /proc/sys becomes read-only",
        |op| matches!(op, InitOp::WriteSysctl { .. }),
        |op| match op {
            InitOp::ReadonlyPath(path) | InitOp::MaskPath(path) => {
                path.to_bytes().starts_with(b"/proc/sys/") || path.as_c_str() == c"/proc/sys"
            }
            _ => false,
        },
    ),
    (
        "interfaces are there before kernel parameters, which may name them",
        |op| matches!(op, InitOp::Await(Gate::HostReady)),
        |op| matches!(op, InitOp::WriteSysctl { .. }),
    ),
    (
        "the network namespace is joined before what depends on it",
        |op| matches!(op, InitOp::TakeOverNetwork),
        |op| {
            matches!(
                op,
                InitOp::Open(_)
                    | InitOp::Await(_)
                    | InitOp::RunHook(_)
                    | InitOp::WriteSysctl { .. }
                    | InitOp::Attest(_)
                    | InitOp::Execute { .. }
            )
        },
    ),
    (
        "the host's root is gone before the user changes",
        |op| matches!(op, InitOp::DetachOldRoot),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "the label is written while /proc is the host's",
        |op| matches!(op, InitOp::SetLabel { .. }),
        |op| {
            matches!(
                op,
                InitOp::JoinNamespace { .. }
                    | InitOp::JoinContainer { .. }
                    | InitOp::PivotRoot { .. }
            )
        },
    ),
    (
        "init's status is opened while /proc is the host's",
        |op| matches!(op, InitOp::OpenStatus),
        |op| matches!(op, InitOp::JoinContainer { .. }),
    ),
    (
        "the cgroup below is entered when the one above is the root of a namespace",
        |op| matches!(op, InitOp::Unshare { namespaces } if namespaces & libc::CLONE_NEWCGROUP != 0),
        |op| matches!(op, InitOp::EnterSubcgroup { .. }),
    ),
    (
        "nothing hostile is joined before init hides",
        |op| matches!(op, InitOp::HideFromTracers),
        |op| {
            matches!(
                op,
                InitOp::JoinNamespace { .. } | InitOp::JoinContainer { .. }
            )
        },
    ),
    (
        "limits come before privileges go",
        |op| matches!(op, InitOp::SetLimit { .. }),
        |op| matches!(op, InitOp::SetUid(_) | InitOp::SetCapabilities(_)),
    ),
    (
        "the bounding set is dropped before the right to do so",
        |op| matches!(op, InitOp::DropBounding { .. }),
        |op| matches!(op, InitOp::SetUid(_) | InitOp::SetCapabilities(_)),
    ),
    (
        "groups come before the user",
        |op| matches!(op, InitOp::SetGroups(_) | InitOp::SetGid(_)),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "capabilities come after the user",
        |op| matches!(op, InitOp::SetUid(_)),
        |op| matches!(op, InitOp::SetCapabilities(_)),
    ),
    (
        "capabilities come before ambient ones",
        |op| matches!(op, InitOp::SetCapabilities(_)),
        |op| matches!(op, InitOp::RaiseAmbient(_)),
    ),
    (
        "no_new_privs comes before the filter",
        |op| matches!(op, InitOp::ForbidNewPrivileges),
        |op| matches!(op, InitOp::LoadFilter { .. }),
    ),
    (
        "init looks at itself after the last change",
        |op| {
            matches!(
                op,
                InitOp::SetUid(_)
                    | InitOp::SetCapabilities(_)
                    | InitOp::RaiseAmbient(_)
                    | InitOp::ForbidNewPrivileges
            )
        },
        |op| matches!(op, InitOp::Attest(_)),
    ),
    (
        "descriptors are closed before the container is started",
        |op| matches!(op, InitOp::KeepDescriptors(_)),
        |op| {
            matches!(
                op,
                InitOp::AwaitStart | InitOp::LoadFilter { .. } | InitOp::Execute { .. }
            )
        },
    ),
    (
        "nothing is joined once the namespaces may be compared",
        |op| {
            matches!(
                op,
                InitOp::JoinNamespace { .. }
                    | InitOp::JoinContainer { .. }
                    | InitOp::ContinueInChild { .. }
                    | InitOp::Unshare { .. }
            )
        },
        |op| matches!(op, InitOp::Open(Gate::Joined)),
    ),
    (
        "the filter is the last but the program",
        |op| {
            !matches!(
                op,
                InitOp::Execute { .. }
                    | InitOp::LoadFilter { .. }
                    | InitOp::Open(_)
                    | InitOp::Await(_)
                    | InitOp::OutliveRuntime
                    | InitOp::AwaitStart
                    | InitOp::RunHook(_)
            )
        },
        |op| matches!(op, InitOp::LoadFilter { .. }),
    ),
];

/// The laws of order hold.
pub fn order(plan: &Plan) -> Result<()> {
    for (name, earlier, later) in LAWS {
        let last_early = plan.init.iter().rposition(|step| earlier(&step.op));
        let first_late = plan.init.iter().position(|step| later(&step.op));
        if let (Some(early), Some(late)) = (last_early, first_late)
            && early > late
        {
            let (early, late) = (&plan.init[early].op, &plan.init[late].op);
            return Err(wrong(&format!(
                "{name}, but it would {late} before it would {early}"
            )));
        }
    }
    let last = plan.init.last().map(|step| &step.op);
    if matches!(
        last,
        Some(InitOp::Execute { .. } | InitOp::RefuseStart | InitOp::End)
    ) {
        Ok(())
    } else {
        Err(wrong("init's list has no end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Field;
    use crate::plan::Planner;
    use crate::sys::exec::CStringArray;

    fn start(planner: &mut Planner) {
        planner.prepare(
            RuntimeOp::StartInit {
                namespaces: 0,
                birthplace: crate::plan::op::Birthplace::Here,
            },
            Field::default(),
        );
    }

    fn execute(planner: &mut Planner) {
        let nothing = || CStringArray::new(Vec::new());
        planner.init(
            InitOp::Execute {
                args: nothing(),
                env: nothing(),
            },
            Field::default(),
        );
    }

    #[test]
    fn meeting_at_every_gate_is_proved() {
        let mut planner = Planner::default();
        start(&mut planner);
        planner.meet(Gate::IdMapsWritten);
        planner.meet(Gate::Prepared);
        planner.meet(Gate::Recorded);
        execute(&mut planner);
        check(&planner.finish()).unwrap();
    }

    #[test]
    fn crossed_gates_are_a_deadlock() {
        let mut planner = Planner::default();
        start(&mut planner);
        planner.runtime(RuntimeOp::Await(Gate::Prepared), Field::default());
        planner.runtime(RuntimeOp::Open(Gate::IdMapsWritten), Field::default());
        planner.init(InitOp::Await(Gate::IdMapsWritten), Field::default());
        planner.init(InitOp::Open(Gate::Prepared), Field::default());
        assert!(
            gates(&planner.finish())
                .unwrap_err()
                .to_string()
                .contains("deadlock")
        );
    }

    #[test]
    fn a_gate_that_nobody_awaits_is_found() {
        let mut planner = Planner::default();
        start(&mut planner);
        planner.runtime(RuntimeOp::Open(Gate::Recorded), Field::default());
        assert!(
            gates(&planner.finish())
                .unwrap_err()
                .to_string()
                .contains("nobody awaits")
        );
    }

    #[test]
    fn masks_after_the_pivot_break_the_law() {
        let mut planner = Planner::default();
        planner.init(InitOp::PivotRoot { is_shared: false }, Field::default());
        planner.init(
            InitOp::MaskPath(c"/proc/kcore".to_owned()),
            Field::default(),
        );
        execute(&mut planner);
        assert!(
            order(&planner.finish())
                .unwrap_err()
                .to_string()
                .contains("found before the pivot")
        );
    }

    #[test]
    fn capabilities_before_the_user_break_the_law() {
        let mut planner = Planner::default();
        planner.init(
            InitOp::SetCapabilities(Default::default()),
            Field::default(),
        );
        planner.init(InitOp::SetUid(1000), Field::default());
        execute(&mut planner);
        assert!(
            order(&planner.finish())
                .unwrap_err()
                .to_string()
                .contains("after the user")
        );
    }
}
