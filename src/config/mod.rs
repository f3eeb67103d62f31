//! The configuration: read it, know where each property stands, refuse what cannot be.

pub mod spec;

pub use spec::*;
