//! Shares of caches and of memory bandwidth: the resctrl file system.
//!
//! The kernel offers control groups as directories of the one resctrl mount: `schemata` says what share of
//! which cache a group has, `tasks` who is in it, and each may hold monitoring groups below
//! `mon_groups`, which only count. Children are born in the group of their parent. What the kernel refuses it explains
//! in `info/last_cmd_status`.
//!
//! config-linux.md, IntelRdt, gives a container one of three groups. Without `closID` it is a new one under
//! the container's id, removed by `delete`. With `closID` and a schema it is made if it is missing, must have
//! that schema if it is not, and stays. With `closID` alone it must be there. `/` is the default group, the
//! mount itself. A monitoring group is always the container's own.

pub mod plan;
pub mod run;
pub mod schema;
