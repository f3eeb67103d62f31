//! Which interfaces move, decided.

use crate::config::{Linux, NamespaceType};
use crate::error::{Field, Result};
use crate::namespaces::plan::Namespaces;
use crate::plan::op::{Gate, RuntimeOp};
use crate::plan::{Planner, c_string};

/// Runtime: the interfaces are moved once the container's network namespace is there. Where it is new, init waits
/// for them, because kernel parameters may name them.
pub fn plan(planner: &mut Planner, linux: &Linux, namespaces: &Namespaces) -> Result<()> {
    if linux.net_devices.is_empty() {
        return Ok(());
    }
    let field = || Field::new("linux.netDevices");
    let network = match namespaces.join_of(NamespaceType::Network) {
        Some(slot) => slot,
        None => {
            let network = planner.slot();
            planner.runtime(RuntimeOp::OpenNetwork { network }, field());
            network
        }
    };
    for (name, device) in linux.net_devices.iter() {
        let field = || Field::key("linux.netDevices", name);
        let inside = device.name.as_deref().filter(|inside| !inside.is_empty());
        let op = RuntimeOp::MoveInterface {
            network,
            name: c_string(name, field)?,
            inside: c_string(inside.unwrap_or(name), || field().leaf("name"))?,
        };
        planner.runtime(op, field());
    }
    planner.meet(Gate::HostReady);
    Ok(())
}
