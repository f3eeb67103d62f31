//! Corten: an OCI container runtime that decides first and acts second.
//!
//! In reading order: [`config`] reads what was asked for; [`host`] knows what this machine can do;
//! [`plan`] decides; [`execute`] acts. The rooms decide and act for one thing each: [`namespaces`],
//! [`network`], [`rootfs`], [`cgroups`], [`resctrl`], [`seccomp`], [`process`], [`hooks`], [`supervise`]. [`state`] remembers,
//! [`inspect`] reads what a container really is, [`audit`] holds that against what was asked for,
//! [`top`] shows who uses how much, [`doctor`] tries what the machine can do,
//! [`record`] what a command needed, [`log`] tells of it,
//! [`volumes`] keeps what outlives a container, [`engine`] puts it all together for whoever calls,
//! [`features`] tells engines what there is, [`validate`] all that is wrong with a configuration,
//! [`sys`] is the fence around the kernel, [`cli`] the command line over it all.

pub mod audit;
pub mod cgroups;
pub mod cli;
pub mod config;
pub mod criu;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod execute;
pub mod features;
pub mod hooks;
pub mod host;
pub mod inspect;
pub mod log;
pub mod namespaces;
pub mod network;
pub mod plan;
pub mod process;
pub mod record;
pub mod resctrl;
pub mod rootfs;
pub mod seccomp;
pub mod state;
pub mod supervise;
pub mod sys;
pub mod top;
pub mod validate;
pub mod volumes;

pub use error::{Failure, Result};
