//! The cgroup of a container: where it is, what its files say, which device programs hang on it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use serde::Serialize;

use super::Unseens;
use super::held::read_up_to;
use crate::cgroups::walk;
use crate::error::{Act, Result};
use crate::state::{CgroupRecord, Container};
use crate::sys::bpf::{self, ProgramInfo};
use crate::sys::{Errno, cgroup};

/// A cgroup now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupFacts {
    /// Below the mount point of cgroup v2.
    pub path: String,
    /// The systemd unit that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether it is still there, and the one that `create` made.
    pub exists: bool,
    /// Processes in it and below it.
    pub processes: usize,
    /// Its files and their values; of several lines as they are.
    pub values: BTreeMap<String, String>,
    /// BPF programs that decide about devices.
    pub device_programs: Vec<DeviceProgramFact>,
}

/// A BPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceProgramFact {
    /// The kernel's number of it.
    pub id: u32,
    /// Sixteen digits that two programs share exactly if they are the same.
    pub tag: String,
    /// As its maker named it.
    pub name: String,
}

/// Values of one or a few lines; lists of processes and statistics are for `ps` and `events`.
const LEFT_OUT: [&str; 6] = [
    "cgroup.procs",
    "cgroup.threads",
    "cgroup.kill",
    "memory.reclaim",
    "memory.stat",
    "memory.numa_stat",
];
/// Longer values are cut.
const LONGEST: usize = 4096;

impl CgroupFacts {
    /// Looks at the cgroup of a record.
    pub fn of(
        container: &Container,
        recorded: &CgroupRecord,
        unseen: &mut Unseens,
    ) -> Result<Self> {
        let mut facts = Self {
            path: recorded.path.to_string_lossy().into_owned(),
            unit: recorded.unit.clone(),
            exists: false,
            processes: 0,
            values: BTreeMap::new(),
            device_programs: Vec::new(),
        };
        let Some(found) = container.cgroup()? else {
            return Ok(facts);
        };
        let directory = found.directory();
        facts.exists = true;
        facts.processes = walk::processes(directory)?.len();
        facts.values = values(directory)?;
        facts.device_programs = unseen.or_default("cgroup.devicePrograms", programs(directory));
        Ok(facts)
    }
}

fn values(directory: BorrowedFd<'_>) -> Result<BTreeMap<String, String>> {
    let names = cgroup::names(directory, libc::DT_REG).act(|| "cannot list the cgroup's files")?;
    let mut values = BTreeMap::new();
    for name in names {
        let text = name.to_string_lossy().into_owned();
        if LEFT_OUT.contains(&text.as_str()) {
            continue;
        }
        // Some are for writing only, some vanish with the cgroup, some the kernel does not serve.
        if let Some(value) = value(directory, &name) {
            values.insert(text, value);
        }
    }
    Ok(values)
}

fn value(directory: BorrowedFd<'_>, name: &CString) -> Option<String> {
    let file = cgroup::open_file(directory, name, libc::O_RDONLY).ok()?;
    let text = read_up_to(&file, LONGEST).ok()?.text;
    Some(text.trim_end().to_owned())
}

/// The device programs of the cgroup itself.
pub fn programs(directory: BorrowedFd<'_>) -> Result<Vec<DeviceProgramFact>> {
    let act = || "cannot ask for the device programs";
    let programs = match bpf::device_programs(directory) {
        // A kernel without them.
        Err(Errno(libc::EINVAL | libc::ENOSYS)) => Vec::new(),
        programs => programs.act(act)?,
    };
    let fact = |program| {
        let ProgramInfo { id, tag, name } = bpf::program_info(program).act(act)?;
        Ok(DeviceProgramFact {
            id,
            tag: tag.iter().map(|byte| format!("{byte:02x}")).collect(),
            name,
        })
    };
    programs
        .iter()
        .map(|program| fact(program.as_fd()))
        .collect()
}
