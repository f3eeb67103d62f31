//! A plan: everything that will happen, in order, before any of it does.
//!
//! Two processes bring a container to life. The *runtime* stays on the host: it makes the cgroup,
//! clones the child, writes id maps, runs hooks, remembers. *Init* is the child: born in the new
//! namespaces, it mounts, pivots, drops privileges and becomes the user's program. A [`Plan`] is two
//! straight lists of [`Step`]s, one for each. A step is an operation and the field of config.json
//! that asked for it. There is no branch and no loop in a plan: choices were made by the planner,
//! from the configuration and the facts of the host, and races belong to the operation that meets
//! them.
//!
//! What is only known later has a name in the plan: a descriptor lives in a [`Slot`], and a place
//! where one half waits for the other is a [`Gate`] that stands in both lists. [`check`] plays the
//! two lists against each other and so proves, before anything has happened, that they meet.
//!
//! The same list is printed by `corten explain` ([`show`]), compared with golden files, failed step
//! by step in the tests, timed by `--trace`, and executed ([`crate::execute`]). Nothing in this folder
//! nor in any `plan.rs` calls the system: [`compile`] is a function from a configuration, a request
//! and the facts of a host to a plan, and the same input gives the same plan.

pub mod annotations;
mod cgroup;
pub mod check;
pub mod compile;
pub mod exec;
mod filter;
mod handover;
mod memory;
pub mod mounts;
pub mod op;
pub mod request;
pub mod restored;
pub mod show;

pub use op::{Gate, InitOp, RuntimeOp, Slot};

use std::ffi::CString;

use seccompiler::sock_filter;

use crate::error::{Failure, Field, Result};

/// One operation and what asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<O> {
    /// What is done.
    pub op: O,
    /// The field or flag that asked for it; none for what every container needs.
    pub field: Field,
}

/// The two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the runtime does, on the host.
    pub runtime: Vec<Step<RuntimeOp>>,
    /// What init does, in the container, once it is cloned.
    pub init: Vec<Step<InitOp>>,
    /// How many slots the steps use.
    pub slots: usize,
    /// Things the user should know; they change nothing.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The filter that init loads, and the flags of its load.
    pub fn filter(&self) -> Option<(&[sock_filter], u64)> {
        self.init.iter().find_map(|step| match &step.op {
            InitOp::LoadFilter {
                instructions,
                flags,
            } => Some((&instructions[..], *flags)),
            _ => None,
        })
    }
}

/// A plan in the making: the planners of the rooms append to it.
///
/// The runtime's list has two parts, before and after the clone, because what init does first may
/// need something of the runtime that has to be there when init is born.
#[derive(Debug)]
pub struct Planner {
    before: Vec<Step<RuntimeOp>>,
    plan: Plan,
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            before: Vec::with_capacity(16),
            plan: Plan {
                runtime: Vec::with_capacity(16),
                // As engines ask: some 90.
                init: Vec::with_capacity(112),
                slots: Slot::FIRST_FREE,
                ..Plan::default()
            },
        }
    }
}

impl Planner {
    /// Appends an operation of the runtime that comes before the clone, or is it.
    pub fn prepare(&mut self, op: RuntimeOp, field: Field) {
        self.before.push(Step { op, field });
    }

    /// Appends an operation of the runtime that comes after the clone.
    pub fn runtime(&mut self, op: RuntimeOp, field: Field) {
        self.plan.runtime.push(Step { op, field });
    }

    /// Appends an operation of init.
    pub fn init(&mut self, op: InitOp, field: Field) {
        self.plan.init.push(Step { op, field });
    }

    /// What init does last so far.
    pub fn last_of_init(&mut self) -> Option<&mut InitOp> {
        self.plan.init.last_mut().map(|step| &mut step.op)
    }

    /// Puts an operation of init where it is to stand.
    pub fn init_at(&mut self, place: usize, op: InitOp, field: Field) {
        self.plan.init.insert(place, Step { op, field });
    }

    /// Puts all of init's steps of one kind in front of the first of another, in their order.
    pub fn init_before(&mut self, earlier: fn(&InitOp) -> bool, later: fn(&InitOp) -> bool) {
        let steps = &mut self.plan.init;
        let Some(place) = steps.iter().position(|step| later(&step.op)) else {
            return;
        };
        let behind = steps.split_off(place);
        let (first, rest): (Vec<_>, Vec<_>) =
            behind.into_iter().partition(|step| earlier(&step.op));
        steps.extend(first);
        steps.extend(rest);
    }

    /// Init's list so far.
    pub fn init_steps(&self) -> &[Step<InitOp>] {
        &self.plan.init
    }

    /// Both halves meet: the opener lets the other one pass.
    pub fn meet(&mut self, gate: Gate) {
        match gate.opener() {
            op::Actor::Runtime => {
                self.runtime(RuntimeOp::Open(gate), Field::default());
                self.init(InitOp::Await(gate), Field::default());
            }
            op::Actor::Init => {
                self.init(InitOp::Open(gate), Field::default());
                self.runtime(RuntimeOp::Await(gate), Field::default());
            }
        }
    }

    /// The same, the runtime's part in front of what it did last: its steps from that place on come behind the gate.
    pub fn meet_at(&mut self, place: usize, gate: Gate) {
        let behind = self.plan.runtime.split_off(place);
        self.meet(gate);
        self.plan.runtime.extend(behind);
    }

    /// What the runtime does after the clone, so far.
    pub fn runtime_steps(&self) -> &[Step<RuntimeOp>] {
        &self.plan.runtime
    }

    /// A new place for a descriptor.
    pub fn slot(&mut self) -> Slot {
        let slot = Slot::new(self.plan.slots);
        self.plan.slots += 1;
        slot
    }

    /// Tells the user something that changes nothing.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.plan.warnings.push(text.into());
    }

    /// The plan as it stands.
    pub fn finish(mut self) -> Plan {
        self.before.append(&mut self.plan.runtime);
        self.plan.runtime = self.before;
        self.plan
    }
}

/// Text for the kernel: a NUL byte in it is the field's fault.
pub fn c_string(text: impl Into<Vec<u8>>, field: impl FnOnce() -> Field) -> Result<CString> {
    CString::new(text).map_err(|_| Failure::config(field(), "contains a NUL byte"))
}
