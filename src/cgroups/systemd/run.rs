//! Starts, changes and stops units.

use std::path::Path;

use super::bus::{Bus, Fault};
use super::plan::{Caller, Kind, Owner, Property, Service, Unit};
use super::value::Value;
use super::wire::Writer;
use crate::cgroups::layout;
use crate::cgroups::plan::PATH_FIELD;
use crate::error::{Code, Failure, Result};

/// Whom this caller asks: the machine's systemd if it is root of the machine, else its user's.
fn owner() -> Owner {
    const ALL: [&str; 3] = ["0", "0", "4294967295"];
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_all = map.split_whitespace().eq(ALL);
    if crate::sys::credentials::ids().0[1] == 0 && is_all {
        Owner::System
    } else {
        Owner::User
    }
}

fn connect() -> Result<Bus> {
    let name = match owner() {
        Owner::System => "systemd",
        Owner::User => "the user's systemd",
    };
    Bus::connect(owner())
        .map_err(|fault| fault.of(format!("cannot connect to {name}")).at(PATH_FIELD))
}

/// Which systemd there is to ask, and where its units are.
pub fn service() -> Result<Service> {
    let cgroup = match owner() {
        Owner::System => String::new(),
        Owner::User => connect()?
            .property("ControlGroup")
            .map_err(|fault| fault.of("cannot ask the user's systemd for its cgroup".to_owned()))?,
    };
    let cgroup = cgroup.trim_matches('/').to_owned();
    let own = layout::own()?.unwrap_or_default();
    let is_within =
        owner() == Owner::System || Path::new(own.trim_matches('/')).starts_with(&cgroup);
    Ok(Service {
        owner: owner(),
        caller: if is_within {
            Caller::Within
        } else {
            Caller::Outside
        },
        cgroup,
    })
}

/// What the systemd of this caller says that it is.
pub fn version() -> Result<String> {
    connect()?
        .property("Version")
        .map_err(|fault| fault.of("cannot ask systemd for its version".to_owned()))
}

/// Starts a unit, a scope with its first process, and waits until its cgroup is there.
///
/// # Errors
/// A unit of that name is there already, or systemd does not know a property.
pub fn start(unit: &Unit, member: Option<i32>) -> Result<()> {
    let act = || format!("cannot start the unit {}", unit.name);
    let mut bus = connect()?;
    let mut answer = bus.manager(
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        &start_body(unit, member),
    );
    if matches!(&answer, Err(fault) if fault.is("UnitExists")) {
        // One that has failed before is only remembered.
        reset(&mut bus, &unit.name);
        answer = bus.manager(
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            &start_body(unit, member),
        );
    }
    let ended = answer.and_then(|message| {
        let job = message.reader().string().unwrap_or_default();
        bus.end_of(&job)
    });
    match ended {
        Ok(result) if result == "done" => Ok(()),
        Ok(result) => {
            reset(&mut bus, &unit.name);
            let failure =
                Failure::new(Code::System, act()).because(format!("its job ended as {result:?}"));
            Err(failure.at(PATH_FIELD))
        }
        Err(fault) => Err(fault.of(act()).at(PATH_FIELD)),
    }
}

fn start_body(unit: &Unit, member: Option<i32>) -> Writer {
    // A slice is in the slice that its name says (systemd.slice(5)); the other one is only wanted.
    let mut first: Vec<Property> = vec![match unit.kind {
        Kind::Scope => ("Slice".to_owned(), Value::Text(unit.slice.clone())),
        Kind::Slice => ("Wants".to_owned(), Value::Texts(vec![unit.slice.clone()])),
    }];
    let pids: Vec<u32> = member.iter().map(|pid| pid.cast_unsigned()).collect();
    if !pids.is_empty() {
        first.push(("PIDs".to_owned(), Value::Numbers(pids)));
    }
    let mut body = Writer::default();
    body.string(&unit.name);
    body.string("replace");
    body.properties(
        first
            .iter()
            .chain(&unit.properties)
            .map(|(name, value)| (name.as_str(), value)),
    );
    body.array(8, |_| {});
    body
}

/// Moves a process into a unit, or into a cgroup below its own. systemd asks the machine's where it may not.
pub fn attach(unit: &str, below: &str, pid: i32) -> Result<()> {
    let mut body = Writer::default();
    body.string(unit);
    body.string(below);
    body.array(4, |pids| pids.u32(pid.cast_unsigned()));
    connect()?
        .manager("AttachProcessesToUnit", "ssau", &body)
        .map(|_| ())
        .map_err(|fault| fault.of(format!("cannot have systemd move a process into {unit}")))
}

/// Other limits. Not written to any file: with the machine, or the unit, they are gone.
pub fn set(unit: &str, properties: &[Property]) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let mut body = Writer::default();
    body.string(unit);
    body.bool(true);
    body.properties(
        properties
            .iter()
            .map(|(name, value)| (name.as_str(), value)),
    );
    connect()?
        .manager("SetUnitProperties", "sba(sv)", &body)
        .map(|_| ())
        .map_err(|fault| fault.of(format!("cannot set properties of the unit {unit}")))
}

/// Stops a unit and waits until that is done. One that is gone, as scopes are when their last process has
/// ended, is stopped.
pub fn stop(unit: &str) -> Result<()> {
    let mut bus = connect()?;
    let mut body = Writer::default();
    body.string(unit);
    body.string("replace");
    let stopped = bus.manager("StopUnit", "ss", &body).and_then(|message| {
        let job = message.reader().string().unwrap_or_default();
        bus.end_of(&job)
    });
    match stopped {
        Ok(_) => {}
        Err(fault) if fault.is("NoSuchUnit") => {}
        Err(fault) => return Err(fault.of(format!("cannot stop the unit {unit}"))),
    }
    reset(&mut bus, unit);
    Ok(())
}

/// Makes systemd forget that a unit has failed. It is an error that there is nothing to forget.
fn reset(bus: &mut Bus, unit: &str) {
    let mut body = Writer::default();
    body.string(unit);
    let forgotten: Result<_, Fault> = bus.manager("ResetFailedUnit", "s", &body);
    drop(forgotten);
}
