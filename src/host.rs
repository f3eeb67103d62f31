//! Facts about this machine, probed once, as plain data.
//!
//! The planner asks the kernel nothing: what it must know about the host is here, and a test hands in
//! whatever host it likes. Only what this configuration depends on is probed, because the create path
//! pays for every file it reads.

use std::path::PathBuf;

use crate::cgroups::layout::{Access, CgroupHost, DeviceFilter};
use crate::cgroups::plan::sets_limits;
use crate::config::{Process, Spec, words};
use crate::error::{Act, Code, Failure, Kind, Result};
use crate::resctrl;
use crate::sys::process::{RLIMIT_STACK, limit as limit_of};
use crate::sys::{bpf, credentials};

/// What the planner knows of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Effective user id of the runtime.
    pub euid: u32,
    /// Effective group id of the runtime.
    pub egid: u32,
    /// The runtime may mount, map ids and make devices: root with CAP_SYS_ADMIN in the initial user
    /// namespace.
    pub privileged: bool,
    /// The runtime may write any id map itself: CAP_SETUID and CAP_SETGID in its own user namespace.
    pub maps_ids: bool,
    /// setgroups(2) is allowed in the runtime's user namespace.
    pub sets_groups: bool,
    /// Capabilities that the runtime can pass on.
    pub grantable: u64,
    /// AppArmor is there.
    pub apparmor: bool,
    /// SELinux is there.
    pub selinux: bool,
    /// What the runtime itself is limited to.
    pub limits: OwnLimits,
    /// Where cgroups are.
    pub cgroup: CgroupHost,
    /// Where resctrl is mounted.
    pub resctrl: Option<PathBuf>,
}

/// Who the runtime is.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Its capabilities.
    pub capabilities: credentials::CapabilitySets,
}

impl Own {
    /// geteuid(2), getegid(2), capget(2).
    pub fn probe() -> Result<Self> {
        let capabilities = credentials::capget().act(|| "cannot read the own capabilities")?;
        Ok(Self {
            euid: nix::unistd::geteuid().as_raw(),
            egid: nix::unistd::getegid().as_raw(),
            capabilities,
        })
    }

    /// Whether a capability, by its number, is effective.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities.effective & 1 << capability != 0
    }
}

/// Resource limits of the runtime, which the container's process is born with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnLimits {
    /// Soft limit of the stack: it also bounds the strings of execve(2). 0 where they fit under any limit, and nobody
    /// has looked.
    pub stack: u64,
    /// Hard limits by their number, where they cannot be raised: without CAP_SYS_RESOURCE.
    /// Only those that the configuration asks for are looked at; the others are without a limit here.
    pub hard: Option<[u64; 16]>,
}

impl OwnLimits {
    fn probe(may_raise: bool, process: Option<&Process>) -> Result<Self> {
        let asked = process.map_or(&[][..], |process| &process.rlimits);
        let limit = |resource| limit_of(resource).act(|| "cannot read the own limits");
        let mut hard = [u64::MAX; 16];
        let asked = asked.iter().filter(|_| !may_raise);
        for number in asked.filter_map(|rlimit| words::number(&words::RLIMITS, &rlimit.kind)) {
            if let Some(hard) = hard.get_mut(number as usize) {
                *hard = limit(number)?.hard;
            }
        }
        Ok(Self {
            stack: match process.is_some_and(may_be_long) {
                true => limit(RLIMIT_STACK)?.soft,
                false => 0,
            },
            hard: (!may_raise).then_some(hard),
        })
    }
}

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
/// capabilities(7).
pub const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

impl Host {
    /// Asks the kernel what this configuration depends on, with the process that is to run.
    pub fn probe(spec: &Spec, process: Option<&Process>, own: &Own) -> Result<Self> {
        let cgroup = |filter| {
            let linux = spec.linux.as_ref();
            let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
            let cgroup = CgroupHost::probe(path, filter)?;
            match linux {
                Some(linux) if sets_limits(&linux.resources) => cgroup.with_holders(),
                _ => Ok(cgroup),
            }
        };
        Self::with_cgroups(spec, process, own, cgroup)
    }

    /// The same for who joins a container that is there: its cgroup is made, and what the host has of them does not
    /// matter any more.
    pub fn probe_to_join(spec: &Spec, process: Option<&Process>, own: &Own) -> Result<Self> {
        Self::with_cgroups(spec, process, own, CgroupHost::mounted)
    }

    fn with_cgroups(
        spec: &Spec,
        process: Option<&Process>,
        own: &Own,
        cgroup: impl FnOnce(DeviceFilter) -> Result<CgroupHost>,
    ) -> Result<Self> {
        let Own {
            euid,
            egid,
            capabilities,
        } = *own;
        let has = |capability| own.has(capability);
        // One call that opens nothing, where the answer is yes; procfs tells the rest.
        let is_admin = has(CAP_SYS_ADMIN) && bpf::is_admin_of_the_host();
        let in_user_namespace = !is_admin && crate::state::root::in_user_namespace();
        let privileged = has(CAP_SYS_ADMIN) && !in_user_namespace;
        let linux = spec.linux.as_ref();
        let filter = if privileged {
            DeviceFilter::Enforced
        } else {
            DeviceFilter::NotPermitted
        };
        let asks = |label: Option<&String>| label.is_some_and(|label| !label.is_empty());
        let asks_apparmor = asks(process.and_then(|process| process.apparmor_profile.as_ref()));
        let asks_selinux = asks(process.and_then(|process| process.selinux_label.as_ref()))
            || asks(linux.and_then(|linux| linux.mount_label.as_ref()));
        Ok(Self {
            euid,
            egid,
            privileged,
            maps_ids: has(CAP_SETUID) && has(CAP_SETGID),
            sets_groups: !in_user_namespace || sets_groups(),
            grantable: capabilities.permitted,
            apparmor: asks_apparmor && has_apparmor(),
            selinux: asks_selinux && has_selinux(),
            limits: OwnLimits::probe(has(CAP_SYS_RESOURCE), process)?,
            cgroup: cgroup(filter)?,
            resctrl: match linux.and_then(|linux| linux.intel_rdt.as_ref()) {
                Some(_) => resctrl::run::mount()?,
                None => None,
            },
        })
    }

    /// A host on which everything works: for tests, golden plans and `explain` of foreign hosts.
    pub fn ideal() -> Self {
        Self {
            euid: 0,
            egid: 0,
            privileged: true,
            maps_ids: true,
            sets_groups: true,
            grantable: (1 << 41) - 1,
            apparmor: true,
            selinux: false,
            limits: OwnLimits {
                stack: 8 << 20,
                hard: None,
            },
            cgroup: CgroupHost {
                mount: "/sys/fs/cgroup".into(),
                layout: crate::cgroups::layout::Layout::Unified,
                controllers: [
                    "cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc",
                ]
                .map(str::to_owned)
                .into(),
                v1: Vec::new(),
                own: Some("/".to_owned()),
                device_filter: DeviceFilter::Enforced,
                access: Access::Required,
                service: None,
            },
            resctrl: Some("/sys/fs/resctrl".into()),
        }
    }
}

/// Whether the strings of a process could be more than the 128 KiB that execve(2) takes under any limit; some variables
/// are yet to come.
fn may_be_long(process: &Process) -> bool {
    const SURELY_FIT: usize = 64 << 10;
    let strings = process.args.iter().chain(&process.env);
    strings.map(|text| text.len() + 9).sum::<usize>() > SURELY_FIT
}

/// user_namespaces(7), The /proc/pid/setgroups file.
fn sets_groups() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"allow"))
}

/// Whether AppArmor is enabled, by its module parameter.
pub fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with(b"Y"))
}

/// Whether SELinux is enabled: its filesystem is mounted where it belongs.
pub fn has_selinux() -> bool {
    std::path::Path::new("/sys/fs/selinux/enforce").exists()
}

/// What the kernel must have: the calls of Linux 5.14.
pub fn require_kernel() -> Result<()> {
    let name = nix::sys::utsname::uname()
        .map_err(crate::sys::Errno::from)
        .act(|| "cannot ask for the kernel's release")?;
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-', '+'])
        .map_while(|part| part.parse::<u32>().ok());
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 14) {
        return Ok(());
    }
    Err(Failure::new(
        Code::System,
        format!("the kernel is {release}, and 5.14 or later is needed"),
    )
    .of(Kind::Kernel))
}
