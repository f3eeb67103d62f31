//! All live containers and what they use: `top`.
//!
//! [`crate::inspect::usage`] counts; here is how it is shown. [`table`] is for people, once or again and
//! again on a [`screen`] that the terminal gets back as it was; [`openmetrics`] is for a collector that
//! reads counters and does its own subtraction; JSON is the plain data. A container that cannot be read
//! does not hide the others: it is told on standard error.

pub mod openmetrics;
pub mod screen;
pub mod table;

use serde::Serialize;

use crate::inspect::usage::Usage;
use crate::state::time;

/// The version of the JSON form. A property may be added without a new one.
pub const VERSION: u32 = 1;

/// The JSON form.
#[derive(Debug, Serialize)]
struct Page<'a> {
    version: u32,
    time: String,
    containers: &'a [Usage],
}

/// One line: all containers at one moment.
pub fn json(usages: &[Usage]) -> String {
    let page = Page {
        version: VERSION,
        time: time::now(),
        containers: usages,
    };
    serde_json::to_string(&page).expect("strings and numbers are JSON") + "\n"
}
