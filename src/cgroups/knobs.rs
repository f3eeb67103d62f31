//! One table: the property of `linux.resources`, the controller, the file, what is written to it.
//!
//! The specification speaks cgroup v1. Where v2 has the same knob under another name or scale, the
//! row's function in `texts.rs` converts, and its comment says by which rule. Zero means "not
//! set" for most of v1's numbers, because engines send it so. The order of the table is the order
//! of writing.
//!
//! Values that v2 cannot express at all are refused in [`crate::config`], before they come here.

use std::borrow::Cow;
use std::fmt;

use super::texts::{
    bandwidth, cpus, huge_pages, idle, io_device_weights, io_weight, memory_limit, mems, pids,
    rdma, read_bytes, read_operations, reservation, swap, unified, weight, write_bytes,
    write_operations,
};
use crate::config::Resources;
use crate::error::{Failure, Field, Result};

/// One planned write to a file of the container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The file's name.
    pub file: Cow<'static, str>,
    /// What goes into it, in one write(2).
    pub value: String,
    /// Which property asked.
    pub field: Field,
    /// What the file's absence means.
    pub need: Need,
    /// The controller that has the file; empty for files that every cgroup has.
    pub controller: Cow<'static, str>,
}

/// What to do when the file of a [`Write`] is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Fail: the property cannot be honoured.
    Required,
    /// Nothing: the kernel was built without what this would switch off, or an older one.
    IfPresent,
    /// Write this instead.
    OrElse(Box<Write>),
}

/// A limit that must not lie below what the container uses already (memory.checkBeforeUpdate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLimit {
    /// Which property asked.
    pub field: Field,
    /// What it limits, as runc calls it.
    pub of: &'static str,
    /// Bytes.
    pub limit: u64,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knob {
    pub(super) field: &'static str,
    controller: &'static str,
    file: &'static str,
    text: Text,
}

/// How a row finds what to write.
#[derive(Clone, Copy, Debug)]
enum Text {
    /// At most one value; an error is a sentence about the field.
    One(fn(&Resources) -> Result<Option<String>, String>),
    /// Any number of writes.
    Each(fn(&Resources, &Knob) -> Result<Vec<Write>>),
}

const KNOBS: &[Knob] = &[
    one("linux.resources.cpu.cpus", "cpuset", "cpuset.cpus", cpus),
    one("linux.resources.cpu.mems", "cpuset", "cpuset.mems", mems),
    one("linux.resources.cpu.idle", "cpu", "cpu.idle", idle),
    one("linux.resources.cpu.shares", "cpu", "cpu.weight", weight),
    each("linux.resources.cpu", "cpu", "cpu.max", bandwidth),
    each(
        "linux.resources.memory.swap",
        "memory",
        "memory.swap.max",
        swap,
    ),
    one(
        "linux.resources.memory.limit",
        "memory",
        "memory.max",
        memory_limit,
    ),
    one(
        "linux.resources.memory.reservation",
        "memory",
        "memory.low",
        reservation,
    ),
    each(
        "linux.resources.blockIO.weight",
        "io",
        "io.bfq.weight",
        io_weight,
    ),
    each(
        "linux.resources.blockIO.weightDevice",
        "io",
        "io.bfq.weight",
        io_device_weights,
    ),
    each(
        "linux.resources.blockIO.throttleReadBpsDevice",
        "io",
        "io.max",
        read_bytes,
    ),
    each(
        "linux.resources.blockIO.throttleWriteBpsDevice",
        "io",
        "io.max",
        write_bytes,
    ),
    each(
        "linux.resources.blockIO.throttleReadIOPSDevice",
        "io",
        "io.max",
        read_operations,
    ),
    each(
        "linux.resources.blockIO.throttleWriteIOPSDevice",
        "io",
        "io.max",
        write_operations,
    ),
    one("linux.resources.pids.limit", "pids", "pids.max", pids),
    each(
        "linux.resources.hugepageLimits",
        "hugetlb",
        "hugetlb.*.max",
        huge_pages,
    ),
    each("linux.resources.rdma", "rdma", "rdma.max", rdma),
    each("linux.resources.unified", "", "*", unified),
];

type One = fn(&Resources) -> Result<Option<String>, String>;
type Each = fn(&Resources, &Knob) -> Result<Vec<Write>>;

const fn one(field: &'static str, controller: &'static str, file: &'static str, text: One) -> Knob {
    Knob {
        field,
        controller,
        file,
        text: Text::One(text),
    }
}

const fn each(
    field: &'static str,
    controller: &'static str,
    file: &'static str,
    text: Each,
) -> Knob {
    Knob {
        field,
        controller,
        file,
        text: Text::Each(text),
    }
}

impl Knob {
    pub(super) fn write(&self, field: Field, value: String) -> Write {
        Write {
            file: Cow::Borrowed(self.file),
            value,
            field,
            need: Need::Required,
            controller: Cow::Borrowed(self.controller),
        }
    }
}

impl Write {
    /// Whether it only says that there is no limit, which a new cgroup has not got anyway.
    pub fn is_unlimited(&self) -> bool {
        self.value == "max" || self.value.starts_with("max ") || self.value.ends_with("=max")
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} to {}", self.value, self.file)?;
        match &self.need {
            Need::Required => Ok(()),
            Need::IfPresent => f.write_str(" if there"),
            Need::OrElse(other) => write!(f, " or else {} to {}", other.value, other.file),
        }
    }
}

/// Everything that `resources` asks to be written, in order. Device rules are not files: see
/// [`super::devices`].
pub fn writes(resources: &Resources) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    for knob in KNOBS {
        match knob.text {
            Text::Each(text) => writes.extend(text(resources, knob)?),
            Text::One(text) => {
                let field = Field::new(knob.field);
                match text(resources) {
                    Ok(None) => {}
                    Ok(Some(value)) => writes.push(knob.write(field, value)),
                    Err(text) => return Err(Failure::config(field, text)),
                }
            }
        }
    }
    Ok(writes)
}

/// The limits to compare with the usage before anything is written.
pub fn usage_limits(resources: &Resources) -> Vec<UsageLimit> {
    let Some(memory) = &resources.memory else {
        return Vec::new();
    };
    if memory.check_before_update != Some(true) {
        return Vec::new();
    }
    let limit = |field, of, bytes: Option<i64>| {
        let limit = u64::try_from(bytes?).ok().filter(|&limit| limit > 0)?;
        Some(UsageLimit {
            field: Field::new(field),
            of,
            limit,
        })
    };
    let limits = [
        limit("linux.resources.memory.swap", "memory+swap", memory.swap),
        limit("linux.resources.memory.limit", "memory", memory.limit),
    ];
    limits.into_iter().flatten().collect()
}

#[cfg(test)]
#[path = "knobs_tests.rs"]
mod tests;
