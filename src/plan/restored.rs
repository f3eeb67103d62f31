//! The order of a `restore`.

use super::op::{RuntimeOp, Stage};
use super::{Plan, Step};
use crate::config::NamespaceType;
use crate::error::{Failure, Field, Result};
use crate::hooks::plan::Kind;

/// The plan of `restore`, from that of `run`: criu takes init's place. The program has begun already, so
/// the hooks around its beginning are not run again, but for those that prepare the host.
pub fn of_run(plan: Plan) -> Result<Plan> {
    use RuntimeOp as Op;
    let mut runtime = Vec::with_capacity(plan.runtime.len());
    let criu = |op| Step {
        op,
        field: Field::default(),
    };
    let joins_network = plan.runtime.iter().any(|step| {
        let kind = NamespaceType::Network;
        matches!(&step.op, Op::OpenNamespace { kind: of, .. } if *of == kind)
    });
    let (mut begun, mut made) = (false, false);
    for step in plan.runtime {
        match &step.op {
            Op::StartInit { .. } => {
                runtime.push(criu(Op::StartRestore));
                begun = true;
            }
            // In a namespace that was joined they still are.
            Op::MoveInterface { .. } if joins_network => {}
            Op::MoveInterface { .. } => {
                let text = "the interfaces of a checkpoint cannot be brought again";
                return Err(Failure::config(step.field, text));
            }
            Op::MakeResctrlGroup { .. }
            | Op::FindResctrlGroup { .. }
            | Op::ShareResctrlGroup { .. } => {
                let text = "restored processes can be put into a cgroup alone";
                return Err(
                    Failure::config(step.field, text).because(format!("cannot {}", step.op))
                );
            }
            Op::Record(Stage::Created) => {
                runtime.push(criu(Op::RestoreProcesses));
                runtime.push(criu(Op::CompareMounts));
                made = true;
                // Not before there is a process to write down.
                runtime.push(criu(Op::PrepareRecord));
                runtime.push(step);
            }
            Op::RunHook {
                kind: Kind::Prestart | Kind::CreateRuntime,
                ..
            }
            | Op::Record(_)
            | Op::KeepConfiguration
            | Op::ConnectConsole { .. }
            | Op::CreateCgroup { .. }
            | Op::StartUnit { .. }
            | Op::MakeSubgroup { .. }
            | Op::SetProperties { .. }
            | Op::WriteCgroup(_)
            | Op::AttachDeviceProgram(_)
            | Op::DelegateCgroup { .. }
            | Op::WritePidFile { .. } => runtime.push(step),
            _ => {}
        }
    }
    debug_assert!(begun && made, "every run clones and records");
    runtime.push(criu(Op::ResumeProcesses));
    Ok(Plan {
        runtime,
        init: Vec::new(),
        ..plan
    })
}
