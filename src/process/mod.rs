//! The program of the container: what it is given before it is executed.
//!
//! [`terminal`] is where it reads and writes, [`listen`] the descriptors that it inherits,
//! [`notify`] how it says that it is ready.

pub mod elf;
pub mod home;
pub mod listen;
pub mod notify;
pub mod plan;
pub mod run;
pub mod terminal;
