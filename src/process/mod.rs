//! The program of the container: what it is given before it is executed.
//!
//! [`terminal`] is where it reads and writes.

pub mod elf;
pub mod home;
pub mod plan;
pub mod run;
pub mod terminal;
