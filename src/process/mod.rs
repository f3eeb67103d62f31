//! The program of the container: what it is given before it is executed.
//!
//! The kernel gives a process its privileges, limits and labels one call at a time, and most calls need
//! a privilege that a later one takes away. So there is about one order in which they can be made;
//! [`plan`] decides it and says why, [`run`] makes the calls, in init, without an allocation. What
//! config.md (Process) asks for is here, but for what is a mount, a namespace or a filter.
//!
//! [`terminal`] is where the program reads and writes, [`listen`] the descriptors that it inherits,
//! [`notify`] how it says that it is ready, [`home`] where it is at home, and [`elf`] why it cannot
//! be executed.

pub mod attest;
pub mod elf;
pub mod home;
pub mod limits;
pub mod listen;
pub mod notify;
pub mod plan;
pub mod run;
pub mod terminal;
