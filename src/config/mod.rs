//! The configuration: read it, know where each property stands, refuse what cannot be.
//!
//! `config.json` comes from an engine that may pass on what a user typed. [`mod@load`] reads it as bytes
//! of unknown origin and parses it in one pass into [`spec`], our types for the specification's words.
//! [`mod@check`] then applies, over the whole file, every rule that needs no kernel; what is left to go
//! wrong afterwards is the host's doing.
//!
//! A container that is well pays for one parse and one walk over small lists. Everything that makes a
//! failure readable runs only when there is one: [`fields`] finds the line of a property with a
//! tokenizer of its own ([`scan`]), and the names that a misspelt one may have meant in a table of all
//! names ([`schema`]). The words that the specification closes stand in [`words`], where `corten
//! features` reads them too.
//!
//! In order of use: `load(bundle)?` gives a [`Loaded`]; its `checked()` gives it back with warnings, or
//! with all failures at once; its text is frozen into the state directory, since later edits of the
//! bundle must not matter.

pub mod check;
pub mod fields;
pub mod load;
pub mod scan;
pub mod schema;
pub mod spec;
pub mod template;
pub mod words;

pub use check::{
    Findings, check, check_environment, check_id, check_resources, sysctl_file, sysctl_namespace,
};
pub use load::{Loaded, load, load_file, parse, read, to_text};
pub use spec::*;
