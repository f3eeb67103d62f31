//! Cgroups made by systemd: `--systemd-cgroup`.
//!
//! Where systemd runs, the cgroup tree is its own, and who makes a cgroup beside it may lose the
//! limits at the next `systemctl daemon-reload`. So the container's cgroup is a unit: a transient
//! scope, which is a cgroup for processes that systemd has not started itself. `cgroupsPath` is
//! then `slice:prefix:name`, and means the scope `prefix-name.scope` in that slice; a name that ends in
//! `.slice` is a slice, which holds other units and no processes of its own.
//!
//! A scope wants a process to begin with, and the container's is to be born in its cgroup
//! (CLONE_INTO_CGROUP). So systemd gets a placeholder: a child that does nothing, and is killed as
//! soon as init is there. From then on the directory is a cgroup as any other: limits are written to its
//! files, which say more than properties of units can (and the same where both can), the device program is attached to it, and
//! `pause`, `kill` and `exec` find it by its path. systemd is told the limits that it knows as well, or it
//! would undo them. It is told nothing of devices: then it attaches no program of its own, and a reload
//! takes nothing away.
//!
//! `plan.rs` decides names, paths and properties; `value.rs` reads annotations
//! `org.systemd.property.NAME`; `bus.rs` speaks D-Bus to systemd's private socket, or through a bus where
//! there is no private one; `run.rs` starts, changes and stops units, and waits for the jobs.

pub mod bus;
pub mod plan;
pub mod run;
pub mod value;
mod wire;
