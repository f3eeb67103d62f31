//! Namespaces, decided.

use std::ffi::CStr;

use crate::config::{
    IdMapping, Linux, Namespace, NamespaceType, Spec, TimeOffset, sysctl_namespace,
};
use crate::error::{Failure, Field, Result};
use crate::host::Host;
use crate::plan::op::{Birthplace, Gate, IdMaps, IdRange, InitOp, MapWriter, RuntimeOp, Slot};
use crate::plan::{Planner, c_string};

/// Where each of the eight comes from.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// CLONE_NEW* of those that are made.
    pub new: i32,
    /// CLONE_NEW* of those that are joined by path.
    pub joined: i32,
    /// The runtime makes the network namespace, while init is at other things.
    handed_over: bool,
    joins: Vec<(NamespaceType, usize, Slot)>,
}

impl Namespaces {
    /// Reads the list; opens nothing yet.
    pub fn of(linux: &Linux) -> Self {
        let mut namespaces = Self::default();
        for namespace in &linux.namespaces {
            let flag = super::flag(namespace.kind);
            if path_of(namespace).is_some() {
                namespaces.joined |= flag;
            } else {
                namespaces.new |= flag;
            }
        }
        namespaces
    }

    /// Making a network namespace takes longer than everything else that clone3(2) does, and init needs it late. So the runtime
    /// makes it while init is at other things: where it may, and may go back to its own; where it must not belong to a new user
    /// namespace; and where nobody looks for it, or for its loopback interface, before both have met again.
    pub fn divide_work(&mut self, spec: &Spec, linux: &Linux, host: &Host) {
        self.handed_over = host.privileged
            && self.is_new(NamespaceType::Network)
            && !self.is_other(NamespaceType::User)
            && linux.net_devices.is_empty()
            && spec.hooks.create_container.is_empty();
    }

    /// Whether the runtime makes the network namespace, while init is at other things.
    pub fn hands_over_network(&self) -> bool {
        self.handed_over
    }

    /// Whether the container has one of its own.
    pub fn is_new(&self, kind: NamespaceType) -> bool {
        self.new & super::flag(kind) != 0
    }

    /// Whether the container has another one than the runtime.
    pub fn is_other(&self, kind: NamespaceType) -> bool {
        (self.new | self.joined) & super::flag(kind) != 0
    }

    fn is_joined(&self, kind: NamespaceType) -> bool {
        self.joined & super::flag(kind) != 0
    }

    /// The open file of one that is joined, once it is planned.
    pub fn join_of(&self, kind: NamespaceType) -> Option<Slot> {
        let mut joins = self.joins.iter();
        joins.find_map(|(of, _, slot)| (*of == kind).then_some(*slot))
    }

    /// What clone3 makes: see the essay for what it cannot. While the runtime makes the network namespace, which is what takes
    /// longest, init makes whatever a process can make for itself.
    fn cloned(&self) -> i32 {
        if self.is_joined(NamespaceType::User) {
            0
        } else if self.handed_over {
            self.new & libc::CLONE_NEWPID
        } else {
            self.new & !(libc::CLONE_NEWCGROUP | libc::CLONE_NEWTIME)
        }
    }

    /// What init makes by itself, in the cgroup that it was born into.
    fn made_by_init(&self) -> i32 {
        const OF_ITSELF: i32 =
            libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
        self.new & OF_ITSELF & !self.cloned() & !self.cloned_later()
    }

    /// What is made after a user namespace was joined.
    fn cloned_later(&self) -> i32 {
        if self.is_joined(NamespaceType::User) {
            self.new & !(libc::CLONE_NEWCGROUP | libc::CLONE_NEWTIME)
        } else {
            0
        }
    }
}

fn path_of(namespace: &Namespace) -> Option<&str> {
    namespace.path.as_deref().filter(|path| !path.is_empty())
}

fn field(index: usize) -> Field {
    Field::index("linux.namespaces", index)
}

/// Runtime: opens what is joined, in the runtime's own view of the paths.
pub fn open(
    planner: &mut Planner,
    linux: &Linux,
    namespaces: &mut Namespaces,
    host: &Host,
) -> Result<()> {
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let Some(path) = path_of(namespace) else {
            continue;
        };
        let slot = planner.slot();
        let path = c_string(path, || field(index).leaf("path"))?;
        let mut kinds = linux.sysctl.iter().map(|(key, _)| sysctl_namespace(key));
        let must_be_other = namespace.kind == NamespaceType::Mount
            || kinds.any(|kind| kind == Some(namespace.kind));
        planner.prepare(
            RuntimeOp::OpenNamespace {
                path,
                kind: namespace.kind,
                namespace: slot,
                must_be_other,
            },
            field(index).leaf("path"),
        );
        namespaces.joins.push((namespace.kind, index, slot));
    }
    // To whom has none, the user namespace gives the privileges over the others, so it comes first. The host's
    // root has them all, and would lose those over namespaces that are not the user namespace's: it comes last.
    namespaces.joins.sort_by_key(|(kind, index, _)| {
        let is_user = *kind == NamespaceType::User;
        (is_user == host.privileged, *index)
    });
    Ok(())
}

/// Runtime: the clone, and what surrounds it.
pub fn clone(planner: &mut Planner, namespaces: &Namespaces, birthplace: Birthplace, host: &Host) {
    let pid = namespaces
        .joins
        .iter()
        .find(|(kind, ..)| *kind == NamespaceType::Pid && host.privileged);
    if let Some((_, index, slot)) = pid {
        planner.prepare(
            RuntimeOp::EnterPidNamespace { namespace: *slot },
            field(*index),
        );
    }
    planner.prepare(
        RuntimeOp::StartInit {
            namespaces: namespaces.cloned(),
            birthplace,
        },
        Field::new("linux.namespaces"),
    );
    if pid.is_some() {
        planner.prepare(RuntimeOp::LeavePidNamespace, Field::default());
    }
    if namespaces.handed_over {
        planner.prepare(RuntimeOp::HandOverNetwork, Field::new("linux.namespaces"));
    }
}

/// Init: joins the network namespace that the runtime has made in the meantime, before the first thing that may depend on it.
pub fn take_over(planner: &mut Planner, namespaces: &Namespaces) {
    if namespaces.handed_over {
        let mut steps = planner.init_steps().iter();
        let place = steps.position(|step| !is_independent_of_network(&step.op));
        let place = place.unwrap_or_else(|| planner.init_steps().len());
        planner.init_at(
            place,
            InitOp::TakeOverNetwork,
            Field::new("linux.namespaces"),
        );
    }
}

/// Filesystems that are the same in every network namespace.
pub const LOCAL: &[&CStr] = &[
    c"proc", c"tmpfs", c"devpts", c"mqueue", c"cgroup2", c"overlay",
];

fn is_independent_of_network(op: &InitOp) -> bool {
    match op {
        InitOp::DieWithRuntime
        | InitOp::UnblockSignals
        | InitOp::ResetAffinity
        | InitOp::LeadSession
        | InitOp::LetGoOfExecutable
        | InitOp::Unshare { .. }
        | InitOp::EnterSubcgroup { .. }
        | InitOp::SetLabel { .. }
        | InitOp::JoinSessionKeyring { .. }
        | InitOp::SetHostname(_)
        | InitOp::SetDomainname(_)
        | InitOp::SetHostPropagation(_)
        | InitOp::MakeParentPrivate { .. }
        | InitOp::BindRoot { .. }
        | InitOp::MountOverlayRoot { .. }
        | InitOp::CloneTree { .. }
        | InitOp::LabelMount { .. }
        | InitOp::SetAttributes { .. }
        | InitOp::AttachTree { .. }
        | InitOp::OpenDev
        | InitOp::MakeDevice { .. }
        | InitOp::MakeDeviceLink { .. }
        | InitOp::PrepareMask
        | InitOp::ReadonlyPath(_)
        | InitOp::MaskPath(_) => true,
        InitOp::MountFilesystem { filesystem, .. }
        | InitOp::CreateFilesystem { filesystem, .. } => {
            LOCAL.contains(&filesystem.kind.as_c_str())
        }
        _ => false,
    }
}

/// Init: joins, id maps, clocks, names. Up to here init is on the host's side of everything.
pub fn enter(
    planner: &mut Planner,
    spec: &Spec,
    linux: &Linux,
    namespaces: &Namespaces,
    host: &Host,
) -> Result<()> {
    join(planner, linux, namespaces, host);
    // Before the change of ids, which gives the files of /proc/self to root of the host.
    if namespaces.is_new(NamespaceType::Time) {
        enter_time(planner, linux)?;
    }
    if namespaces.is_new(NamespaceType::User) {
        map_ids(planner, linux, host);
    } else if namespaces.is_joined(NamespaceType::User) {
        planner.init(
            InitOp::BecomeRootOfUserNamespace,
            Field::new("linux.namespaces"),
        );
    }
    let own = namespaces.made_by_init();
    if own != 0 {
        planner.init(
            InitOp::Unshare { namespaces: own },
            Field::new("linux.namespaces"),
        );
    }
    if namespaces.is_new(NamespaceType::Network) && !namespaces.handed_over {
        planner.init(InitOp::RaiseLoopback, Field::new("linux.namespaces"));
    }
    name(planner, spec)
}

fn join(planner: &mut Planner, linux: &Linux, namespaces: &Namespaces, host: &Host) {
    if namespaces.joined != 0 {
        planner.init(InitOp::HideFromTracers, Field::new("linux.namespaces"));
    }
    for (kind, index, slot) in &namespaces.joins {
        // The runtime has entered the pid namespace for its child: init is in it already. Without
        // privileges only init may, once it is in the user namespace.
        if *kind == NamespaceType::Pid && host.privileged {
            continue;
        }
        let path = linux
            .namespaces
            .get(*index)
            .and_then(path_of)
            .unwrap_or_default();
        let path = std::ffi::CString::new(path).unwrap_or_default();
        planner.init(
            InitOp::JoinNamespace {
                namespace: *slot,
                kind: *kind,
                path,
            },
            field(*index),
        );
    }
    if namespaces.cloned_later() != 0
        || !host.privileged && namespaces.is_joined(NamespaceType::Pid)
    {
        continue_in_child(planner, namespaces.cloned_later());
    }
}

/// Init goes on in a child, which the runtime takes over.
pub fn continue_in_child(planner: &mut Planner, namespaces: i32) {
    let field = || Field::new("linux.namespaces");
    planner.init(InitOp::ContinueInChild { namespaces }, field());
    planner.runtime(RuntimeOp::AdoptInit, field());
    planner.meet(Gate::Adopted);
    planner.init(InitOp::DieWithRuntime, Field::default());
    // The session is its parent's, and a terminal wants the leader.
    planner.init(InitOp::LeadSession, Field::default());
}

/// Who writes the maps of a new user namespace.
fn map_writer(maps: &IdMaps, host: &Host) -> MapWriter {
    if host.maps_ids || maps.is_own_id_only(host) {
        MapWriter::Runtime
    } else {
        MapWriter::Programs
    }
}

/// Whether setgroups(2) is allowed in the user namespace of a container with this configuration. The
/// kernel forbids it where the map was written without a privilege (CVE-2014-8989).
pub fn may_set_groups(linux: &Linux, host: &Host) -> bool {
    if host.maps_ids {
        return host.sets_groups;
    }
    let groups = id_maps(&[], &linux.gid_mappings).groups;
    // newgidmap(1) forbids it itself for a map that nobody granted.
    host.sets_groups
        && Namespaces::of(linux).is_new(NamespaceType::User)
        && !is_only(&groups, host.egid)
}

fn map_ids(planner: &mut Planner, linux: &Linux, host: &Host) {
    let maps = id_maps(&linux.uid_mappings, &linux.gid_mappings);
    let writer = map_writer(&maps, host);
    planner.runtime(
        RuntimeOp::WriteIdMaps { maps, writer },
        Field::new("linux.uidMappings"),
    );
    planner.meet(Gate::IdMapsWritten);
    planner.init(
        InitOp::BecomeRootOfUserNamespace,
        Field::new("linux.uidMappings"),
    );
    // A change of ids takes the wish back (prctl(2), PR_SET_PDEATHSIG).
    planner.init(InitOp::DieWithRuntime, Field::default());
}

/// The maps as the kernel takes them.
pub fn id_maps(users: &[IdMapping], groups: &[IdMapping]) -> IdMaps {
    let ranges = |mappings: &[IdMapping]| {
        mappings
            .iter()
            .map(|mapping| IdRange {
                inside: mapping.container_id,
                outside: mapping.host_id,
                size: mapping.size,
            })
            .collect()
    };
    IdMaps {
        users: ranges(users),
        groups: ranges(groups),
    }
}

impl IdMaps {
    /// Whether an unprivileged process may write them: one id, its own.
    fn is_own_id_only(&self, host: &Host) -> bool {
        is_only(&self.users, host.euid) && is_only(&self.groups, host.egid)
    }
}

fn is_only(ranges: &[IdRange], own: u32) -> bool {
    matches!(ranges, [IdRange { outside, size: 1, .. }] if *outside == own)
}

fn enter_time(planner: &mut Planner, linux: &Linux) -> Result<()> {
    planner.init(
        InitOp::Unshare {
            namespaces: libc::CLONE_NEWTIME,
        },
        Field::new("linux.namespaces"),
    );
    let clocks = [
        ("monotonic", &linux.time_offsets.monotonic),
        ("boottime", &linux.time_offsets.boottime),
    ];
    for (clock, offset) in clocks {
        let Some(TimeOffset { secs, nanosecs }) = offset else {
            continue;
        };
        let line = c_string(format!("{clock} {secs} {nanosecs}"), || {
            Field::new("linux.timeOffsets")
        })?;
        planner.init(
            InitOp::WriteTimeOffset { clock: line },
            Field::key("linux.timeOffsets", clock),
        );
    }
    planner.init(InitOp::EnterTimeNamespace, Field::new("linux.namespaces"));
    Ok(())
}

fn name(planner: &mut Planner, spec: &Spec) -> Result<()> {
    if let Some(hostname) = spec.hostname.as_deref().filter(|name| !name.is_empty()) {
        let hostname = c_string(hostname, || Field::new("hostname"))?;
        planner.init(InitOp::SetHostname(hostname), Field::new("hostname"));
    }
    if let Some(domainname) = spec.domainname.as_deref().filter(|name| !name.is_empty()) {
        let domainname = c_string(domainname, || Field::new("domainname"))?;
        planner.init(InitOp::SetDomainname(domainname), Field::new("domainname"));
    }
    Ok(())
}

/// A mount namespace is what keeps every mount of the plan off the host: without one there is no
/// container to build (bad input 70).
pub fn require_mount_namespace(namespaces: &Namespaces) -> Result<()> {
    if namespaces.is_other(NamespaceType::Mount) {
        return Ok(());
    }
    Err(Failure::config(
        Field::new("linux.namespaces"),
        "a mount namespace is required: without it the mounts would be the host's",
    ))
}
