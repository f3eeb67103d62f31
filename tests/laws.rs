//! The laws, over every golden plan: they hold, and each of them can be broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod plans;

use corten::plan::op::InitOp;
use corten::plan::op::about::{About, Phase, UNNAMED};
use corten::plan::{Plan, check, show};

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
        |op| matches!(op, InitOp::PivotRoot { .. }),
    ),
    (
        "a path of the host looked up below the overlay",
        |op| matches!(op, InitOp::CloneTree { .. }),
        |op| matches!(op, InitOp::MountOverlayRoot { .. }),
    ),
    (
        "a mask after the pivot",
        |op| matches!(op, InitOp::MaskPath(_)),
        |op| matches!(op, InitOp::PivotRoot { .. }),
    ),
    (
        "a tree of the host behind the cover of its /proc",
        |op| matches!(op, InitOp::CloneTree { .. }),
        |op| matches!(op, InitOp::PrepareMask),
    ),
    (
        "a mask without a cover",
        |op| matches!(op, InitOp::MaskPath(_)),
        |op| matches!(op, InitOp::DetachOldRoot),
    ),
    (
        "a parameter after /proc/sys is read-only",
        |op| matches!(op, InitOp::WriteSysctl { .. }),
        |op| matches!(op, InitOp::ReadonlyPath(path) if path.as_c_str() == c"/proc/sys"),
    ),
    (
        "the host's root seen by the user",
        |op| matches!(op, InitOp::DetachOldRoot),
        |op| matches!(op, InitOp::SetUid(_)),
    ),
    (
        "a label through the container's /proc",
        |op| matches!(op, InitOp::SetLabel { .. }),
        |op| matches!(op, InitOp::PivotRoot { .. }),
    ),
    (
        "a cgroup below in front of the cgroup namespace",
        |op| matches!(op, InitOp::EnterSubcgroup { .. }),
        |op| matches!(op, InitOp::Unshare { .. }),
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

/// What is wrong with a row of the table of reasons.
fn faults(sentence: &str, about: &About) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("{sentence}: {what}: {about:?}"));
        }
    };
    must(
        sentence.starts_with(|letter: char| letter.is_lowercase()),
        "a sentence begins with a verb",
    );
    must(
        about.why.ends_with('.') && about.why.len() > 20,
        "a reason is a sentence",
    );
    must(about.why.len() < 115, "a reason is one line");
    must(
        about.manual.ends_with(')') || about.manual.contains(".md of the specification"),
        "a page has a section",
    );
    must(
        !about.calls.is_empty() || sentence.starts_with("refuse"),
        "an operation calls the system",
    );
    let is_said = |call: &&&str| UNNAMED.contains(*call);
    must(
        !about.calls.iter().any(|call| is_said(&call)),
        "calls for memory are left out",
    );
    let mut once = about.calls.to_vec();
    once.sort_unstable();
    once.dedup();
    must(once.len() == about.calls.len(), "a call stands twice");
    faults
}

#[test]
fn every_operation_says_why_where_and_how() {
    let mut wrong = Vec::new();
    for (name, make) in plans::CASES {
        let plan = make();
        for line in show::lines(&plan) {
            wrong.extend(faults(&line.sentence, line.about));
            if line.phase == Phase::Anywhere {
                wrong.push(format!("{name}: {} stands under no heading", line.sentence));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Also those that no golden plan has: the tables are read as text.
#[test]
fn every_row_of_the_tables_has_a_reason_a_page_and_calls() {
    let tables = [
        (
            include_str!("../src/plan/op/init.rs"),
            include_str!("../src/plan/op/init/about.rs"),
        ),
        (
            include_str!("../src/plan/op/runtime.rs"),
            include_str!("../src/plan/op/runtime/about.rs"),
        ),
    ];
    for (operations, table) in tables {
        let declared = operations.split("pub enum ").nth(1).unwrap();
        let declared = declared.split("\n}\n").next().unwrap().lines();
        let names = declared.filter_map(|line| {
            let line = line.strip_prefix("    ")?;
            line.starts_with(char::is_uppercase)
                .then(|| line.split(['(', ' ', ',']).next().unwrap())
        });
        let mut count = 0;
        for name in names {
            count += 1;
            let row = table.split(&format!("Self::{name}")).nth(1).expect(name);
            let row = row.split("\n            Self::").next().unwrap();
            assert!(
                row.contains("=> ") && row.trim_end().contains(".\";"),
                "{name}: {row}"
            );
        }
        assert!(count > 50, "{count} operations are found");
    }
}
