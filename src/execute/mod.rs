//! Execution: two processes walk down the two lists of a plan.
//!
//! [`runtime`] is the parent's loop: it does one step after the other, and at the first that fails it
//! stops, kills init, and undoes what the record says. [`init`] is the child's. They share a socket pair,
//! over which gates are opened, and a page ([`report`]) on which init notes where it is. When one of them
//! dies the other one reads the end of the stream, and init has asked the kernel to be killed when its
//! parent dies. So there is no wait without an end.
//!
//! Between the clone and the exec init may not allocate: see [`init`]. [`clone`] is the border.

pub mod clone;
pub mod init;
mod last_words;
pub mod message;
pub mod pid_file;
pub mod report;
pub mod runtime;
pub mod step;
pub mod trace;

pub use runtime::{Created, Restoration, Runtime};
