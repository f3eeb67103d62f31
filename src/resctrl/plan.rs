//! Which group of resctrl, decided.

use std::path::{Path, PathBuf};

use crate::config::IntelRdt;
use crate::error::{Failure, Field, Result};
use crate::plan::Planner;
use crate::plan::op::RuntimeOp;

/// The groups of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Of control, then of monitoring, where that is asked for.
    pub paths: Vec<PathBuf>,
}

fn field(leaf: &'static str) -> Field {
    Field::new("linux.intelRdt").leaf(leaf)
}

impl Groups {
    /// Where they are, for a container with this id.
    pub fn of(rdt: &IntelRdt, id: &str, mount: Option<&Path>) -> Result<Self> {
        let Some(mount) = mount else {
            let text = "needs the resctrl file system, which is not mounted";
            return Err(Failure::config(Field::new("linux.intelRdt"), text));
        };
        let control = match rdt.clos_id.as_deref() {
            None => mount.join(id),
            Some("/") => mount.to_owned(),
            Some(name) => mount.join(name),
        };
        let monitoring = control.join("mon_groups").join(id);
        let mut paths = vec![control];
        paths.extend(rdt.enable_monitoring.then_some(monitoring));
        Ok(Self { paths })
    }

    /// Runtime: the groups are there, with their schema.
    pub fn make(&self, planner: &mut Planner, rdt: &IntelRdt) {
        let fixed = [&rdt.l3_cache_schema, &rdt.mem_bw_schema];
        let fixed = fixed
            .into_iter()
            .flatten()
            .flat_map(|schema| schema.lines());
        let expected: Vec<String> = fixed.map(str::to_owned).collect();
        // The specification's order: cache, bandwidth, then whatever else.
        let lines: Vec<String> = expected.iter().chain(&rdt.schemata).cloned().collect();
        let path = || self.paths.first().cloned().unwrap_or_default();
        let op = match rdt.clos_id {
            None => RuntimeOp::MakeResctrlGroup { path: path() },
            Some(_) if lines.is_empty() => RuntimeOp::FindResctrlGroup { path: path() },
            Some(_) => RuntimeOp::ShareResctrlGroup {
                path: path(),
                expected,
            },
        };
        planner.prepare(op, field("closID"));
        if !lines.is_empty() {
            let path = path();
            planner.prepare(
                RuntimeOp::WriteSchemata { path, lines },
                Field::new("linux.intelRdt"),
            );
        }
        for path in self.paths.iter().skip(1).cloned() {
            let op = RuntimeOp::MakeResctrlGroup { path };
            planner.prepare(op, field("enableMonitoring"));
        }
    }

    /// Runtime: the process is in them, before it runs anything of the container's.
    pub fn enter(&self, planner: &mut Planner) {
        for path in self.paths.iter().cloned() {
            let op = RuntimeOp::EnterResctrlGroup { path };
            planner.runtime(op, Field::new("linux.intelRdt"));
        }
    }
}
