//! The laws, over every golden plan: they hold, and each of them can be broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod plans;

use corten::plan::op::InitOp;
use corten::plan::{Plan, check};

#[test]
fn every_plan_is_proved() {
    for (name, make) in plans::CASES {
        check::check(&make()).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    }
}

/// Takes the first operation of one kind out and puts it behind, or in front of, another one.
fn moved(plan: &Plan, what: fn(&InitOp) -> bool, to: fn(&InitOp) -> bool) -> Option<Plan> {
    let mut plan = plan.clone();
    let from = plan.init.iter().position(|step| what(&step.op))?;
    let step = plan.init.remove(from);
    let to = plan.init.iter().position(|step| to(&step.op))?;
    plan.init.insert(if to >= from { to + 1 } else { to }, step);
    Some(plan)
}

type Breach = (&'static str, fn(&InitOp) -> bool, fn(&InitOp) -> bool);

const BREACHES: &[Breach] = &[
    (
        "a mount after the pivot",
        |op| matches!(op, InitOp::MountFilesystem { .. }),
        |op| matches!(op, InitOp::PivotRoot),
    ),
    (
        "a mask before the pivot",
        |op| matches!(op, InitOp::MaskPath(_)),
        |op| matches!(op, InitOp::PivotRoot),
    ),
    (
        "a mask without a cover",
        |op| matches!(op, InitOp::MaskPath(_)),
        |op| matches!(op, InitOp::DetachOldRoot),
    ),
    (
        "a parameter after /proc/sys is read-only",
        |op| matches!(op, InitOp::WriteSysctl { .. }),
        |op| matches!(op, InitOp::MaskPath(_)),
    ),
    (
        "the host's root seen by the user",
        |op| matches!(op, InitOp::DetachOldRoot),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "a label through the container's /proc",
        |op| matches!(op, InitOp::SetExecLabel { .. }),
        |op| matches!(op, InitOp::PivotRoot),
    ),
    (
        "a join in the open",
        |op| matches!(op, InitOp::HideFromTracers),
        |op| {
            matches!(
                op,
                InitOp::JoinNamespace { .. } | InitOp::JoinContainer { .. }
            )
        },
    ),
    (
        "a limit without privileges",
        |op| matches!(op, InitOp::SetLimit { .. }),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "a bounding set without privileges",
        |op| matches!(op, InitOp::DropBounding { .. }),
        |op| matches!(op, InitOp::SetCapabilities(_)),
    ),
    (
        "groups after the user",
        |op| matches!(op, InitOp::SetGroups(_)),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "capabilities before the user",
        |op| matches!(op, InitOp::SetCapabilities(_)),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "ambient before permitted",
        |op| matches!(op, InitOp::RaiseAmbient(_)),
        |op| matches!(op, InitOp::SetCapabilities(_)),
    ),
    (
        "no_new_privs after the look",
        |op| matches!(op, InitOp::ForbidNewPrivileges),
        |op| matches!(op, InitOp::Attest(_)),
    ),
    (
        "no_new_privs after the filter",
        |op| matches!(op, InitOp::ForbidNewPrivileges),
        |op| matches!(op, InitOp::LoadFilter { .. }),
    ),
    (
        "a user after the look",
        |op| matches!(op, InitOp::SetUid(_)),
        |op| matches!(op, InitOp::Attest(_)),
    ),
    (
        "descriptors after start",
        |op| matches!(op, InitOp::KeepDescriptors(_)),
        |op| matches!(op, InitOp::AwaitStart),
    ),
    (
        "a filter before the user",
        |op| matches!(op, InitOp::LoadFilter { .. }),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "a program before the look",
        |op| matches!(op, InitOp::Execute { .. }),
        |op| matches!(op, InitOp::Attest(_)),
    ),
];

#[test]
fn every_law_is_broken_by_its_breach() {
    for (name, what, to) in BREACHES {
        let broken: Vec<_> = plans::CASES
            .iter()
            .filter_map(|(case, make)| Some((case, moved(&make(), *what, *to)?)))
            .collect();
        assert!(
            !broken.is_empty(),
            "no golden plan has what it takes for: {name}"
        );
        for (case, plan) in broken {
            assert!(
                check::order(&plan).is_err(),
                "{name}, in {case}, is not seen"
            );
        }
    }
}

#[test]
fn a_plan_without_one_of_its_gates_is_refused() {
    for (name, make) in plans::CASES {
        let plan = make();
        for index in 0..plan.init.len() {
            if matches!(plan.init[index].op, InitOp::Open(_) | InitOp::Await(_)) {
                let mut broken = plan.clone();
                broken.init.remove(index);
                assert!(
                    check::gates(&broken).is_err(),
                    "{name} without step {index}"
                );
            }
        }
    }
}
