//! `update`: other limits for a container that is there.

use std::io::Read;
use std::path::PathBuf;

use super::flags::flags;
use super::{Call, Subcommand, Words, size};
use crate::cgroups::update;
use crate::config::{self, BlockIo, Cpu, Memory, Pids, Resources};
use crate::error::{Act, Code, Failure, Result};
use crate::resctrl;
use crate::resctrl::plan::Groups;
use crate::state::{Container, Id, Status, identity};

/// No set of limits is longer.
const LONGEST: u64 = 1 << 20;

flags! {
    /// Flags and words.
    #[derive(Default)]
    pub(super) struct Update {
        /// Read `linux.resources` from this JSON file, - for stdin; other flags are ignored
        #[arg(short, long, value_name = "FILE")]
        resources: Option<String>,
        /// Relative weight of block IO, 10 to 1000
        #[arg(long, value_name = "WEIGHT")]
        blkio_weight: Option<u16>,
        /// Length of a period in microseconds
        #[arg(long, value_name = "TIME")]
        cpu_period: Option<u64>,
        /// Microseconds in a period; -1 is unlimited
        #[arg(long, value_name = "TIME")]
        cpu_quota: Option<i64>,
        /// Microseconds of unused quota that may be saved up
        #[arg(long, value_name = "TIME")]
        cpu_burst: Option<u64>,
        /// Relative weight, on the scale of cgroup v1
        #[arg(long, value_name = "SHARES")]
        cpu_share: Option<u64>,
        /// Cgroup v1 only
        #[arg(long, value_name = "TIME", hide = true)]
        cpu_rt_period: Option<u64>,
        /// Cgroup v1 only
        #[arg(long, value_name = "TIME", hide = true)]
        cpu_rt_runtime: Option<i64>,
        /// Processors: 0-2,7
        #[arg(long, value_name = "LIST")]
        cpuset_cpus: Option<String>,
        /// Memory nodes: 0-2,7
        #[arg(long, value_name = "LIST")]
        cpuset_mems: Option<String>,
        /// 1: run only when nobody else wants to
        #[arg(long, value_name = "0_OR_1")]
        cpu_idle: Option<i64>,
        /// Memory; -1 is unlimited, swap included
        #[arg(long, value_name = "SIZE")]
        memory: Option<String>,
        /// Memory that is left alone when others need some
        #[arg(long, value_name = "SIZE")]
        memory_reservation: Option<String>,
        /// Memory and swap together; -1 is unlimited
        #[arg(long, value_name = "SIZE")]
        memory_swap: Option<String>,
        /// Cgroup v1 only
        #[arg(long, value_name = "SIZE", hide = true)]
        kernel_memory: Option<String>,
        /// Cgroup v1 only
        #[arg(long, value_name = "SIZE", hide = true)]
        kernel_memory_tcp: Option<String>,
        /// Processes and threads; -1 is unlimited
        #[arg(long, value_name = "NUMBER")]
        pids_limit: Option<i64>,
        /// Share of the L3 cache (Intel RDT, CAT)
        #[arg(long, value_name = "SCHEMA")]
        l3_cache_schema: Option<String>,
        /// Share of the memory bandwidth (Intel RDT, MBA)
        #[arg(long, value_name = "SCHEMA")]
        mem_bw_schema: Option<String>,
        /// The container's id
        #[arg(value_name = "ID", required = true)]
        id: String,
    }
}

impl Subcommand for Update {
    const NAME: &'static str = "update";
    const ABOUT: &'static str = "Change the limits of a container";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let (mut container, _lock) = Container::open_locked(&call.root()?, &Id::parse(&self.id)?)?;
        let shares = self.shares(&container)?;
        let wanted = without_kernel_memory(call, self.wanted()?);
        if let Some(failure) = config::check_resources(&wanted).into_iter().next() {
            return Err(failure);
        }
        let cgroup = match container.status_locked()? {
            Status::Stopped => None,
            _ => container.cgroup()?,
        };
        let cgroup = cgroup.ok_or_else(identity::not_running)?;
        let recorded = container.record().cgroup.as_ref();
        let unit = recorded.and_then(|cgroup| cgroup.unit.as_deref());
        let updated = update::update(cgroup.directory(), unit, wanted)?;
        if let Some(warning) = updated.warning {
            call.log.note(&format!("warning: {warning}"));
        }
        let mut record = container.record().clone();
        record.note_update(&updated.writes);
        container.write(record)?;
        if let Some(Shares { group, lines }) = shares {
            resctrl::run::write(&group, &lines, "cannot change the group of resctrl")?;
        }
        Ok(0)
    }
}

/// New lines for the container's group of resctrl.
struct Shares {
    group: PathBuf,
    lines: Vec<String>,
}

impl Update {
    /// What the flags for resctrl ask for; the sentences are runc's.
    fn shares(&self, container: &Container) -> Result<Option<Shares>> {
        let refuse = |text: &str| Err(Failure::new(Code::State, text));
        let given = |schema: &Option<String>| schema.clone().filter(|schema| !schema.is_empty());
        let (cache, bandwidth) = (given(&self.l3_cache_schema), given(&self.mem_bw_schema));
        if cache.is_none() && bandwidth.is_none() {
            return Ok(None);
        }
        let Some(mount) = resctrl::run::mount()? else {
            return refuse(match cache {
                Some(_) => "Intel RDT/CAT: l3 cache schema is not enabled",
                None => "Intel RDT/MBA: memory bandwidth schema is not enabled",
            });
        };
        let linux = config::parse(&container.config()?)?.linux;
        let Some(rdt) = linux.and_then(|linux| linux.intel_rdt) else {
            return refuse("updating a non-existent Intel RDT configuration is not supported");
        };
        let groups = Groups::of(&rdt, container.id().as_str(), Some(&mount))?;
        let group = groups.paths.into_iter().next().unwrap_or_default();
        let lines = cache.into_iter().chain(bandwidth).collect();
        Ok(Some(Shares { group, lines }))
    }

    fn wanted(self) -> Result<Resources> {
        if let Some(file) = &self.resources {
            return read(file);
        }
        let bytes = |flag, text: &Option<String>| {
            text.as_ref()
                .map(|text| size::bytes(flag, text))
                .transpose()
        };
        Ok(Resources {
            memory: Some(Memory {
                limit: bytes("--memory", &self.memory)?,
                reservation: bytes("--memory-reservation", &self.memory_reservation)?,
                swap: bytes("--memory-swap", &self.memory_swap)?,
                kernel: bytes("--kernel-memory", &self.kernel_memory)?,
                kernel_tcp: bytes("--kernel-memory-tcp", &self.kernel_memory_tcp)?,
                ..Memory::default()
            }),
            pids: self.pids_limit.map(|limit| Pids { limit: Some(limit) }),
            block_io: self.blkio_weight.map(|weight| BlockIo {
                weight: Some(weight),
                ..BlockIo::default()
            }),
            cpu: Some(Cpu {
                shares: self.cpu_share,
                quota: self.cpu_quota,
                burst: self.cpu_burst,
                period: self.cpu_period,
                realtime_runtime: self.cpu_rt_runtime,
                realtime_period: self.cpu_rt_period,
                cpus: self.cpuset_cpus,
                mems: self.cpuset_mems,
                idle: self.cpu_idle,
            }),
            ..Resources::default()
        })
    }
}

/// It was a limit of cgroup v1, and callers may still send it: runc says this and goes on.
fn without_kernel_memory(call: &Call, mut wanted: Resources) -> Resources {
    let Some(memory) = &mut wanted.memory else {
        return wanted;
    };
    if memory.kernel.take().is_some() | memory.kernel_tcp.take().is_some() {
        call.log
            .note("warning: Kernel memory settings are ignored and will be removed");
    }
    wanted
}

fn read(file: &str) -> Result<Resources> {
    let act = || format!("--resources: cannot read {file}");
    let mut text = Vec::new();
    let count = match file {
        "-" => std::io::stdin().take(LONGEST).read_to_end(&mut text),
        path => {
            std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text))
        }
    };
    count.act(act)?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Code::Config, act()).because(error.to_string()))
}
