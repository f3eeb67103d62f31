//! Plans that are made to be looked at: for any machine, or for this one.

use super::{CreateRequest, birth, extras, rootless};
use crate::config::{Loaded, Spec};
use crate::error::Result;
use crate::host::{Host, Own};
use crate::plan::request::Start;
use crate::plan::{Plan, check, compile};
use crate::process::terminal::Stay;

pub(crate) use birth::require_root;

/// For a host on which everything works: what fails here fails everywhere.
pub(crate) fn plan_anywhere(create: &CreateRequest, spec: &Spec) -> Result<Plan> {
    let request = extras::request(create, spec, Start::Later, stay(create))?;
    let host = Host {
        selinux: true,
        ..Host::ideal()
    };
    let plan = compile::container(spec, &request, &host)?;
    check::check(&plan)?;
    Ok(plan)
}

/// For this host, as `create` would make it.
pub(crate) fn plan_here(create: &CreateRequest, spec: &Spec) -> Result<Plan> {
    let own = Own::probe()?;
    let mut spec = spec.clone();
    rootless::complete(&mut spec, &own);
    let loaded = Loaded::from_spec(spec)?;
    let decision = birth::decide_loaded(create, loaded, &own, Start::Later, stay(create))?;
    Ok(decision.plan)
}

/// A terminal without a socket is one that `run` plays itself.
pub(super) fn stay(create: &CreateRequest) -> Stay {
    match create.console_socket {
        Some(_) => Stay::Detach,
        None => Stay::Foreground,
    }
}
