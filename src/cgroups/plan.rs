//! Decides where the container's cgroup is, what is written to it and which devices it may use.
//!
//! Pure: knows the host only through [`CgroupHost`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::devices::{self, DeviceProgram};
use super::knobs::{self, UsageLimit, Write};
use super::layout::{Access, CgroupHost, DeviceFilter};
use super::systemd::plan::{self as systemd, Unit};
use crate::config::{Pairs, Resources};
use crate::error::{Failure, Field, Kind, Result};

/// The property that names the cgroup.
pub const PATH_FIELD: Field = Field::new("linux.cgroupsPath");

/// Where a cgroup is, relative to the mount point of the tree: at least one component, none of
/// them empty, `.` or `..`, no NUL. Never the root of the tree, which is not a container's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath(String);

/// A controller to enable for the container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enable {
    /// Its name in cgroup.controllers.
    pub controller: String,
    /// The property that cannot do without it. Others are enabled where they can be, because
    /// engines read their statistics.
    pub asked_by: Option<Field>,
}

/// Everything about a container's cgroup, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPlan {
    /// Where it is.
    pub path: CgroupPath,
    /// The unit that it is of, where systemd makes it.
    pub unit: Option<Unit>,
    /// The name of the cgroup, where it is one below the unit's own.
    pub subgroup: Option<String>,
    /// What its ancestors must hand down to it.
    pub enable: Vec<Enable>,
    /// Limits to hold against the usage before the writes.
    pub usage: Vec<UsageLimit>,
    /// In this order.
    pub writes: Vec<Write>,
    /// None where every device is allowed, or where the kernel does not let us ask.
    pub devices: Option<DeviceProgram>,
}

/// Plans a container's cgroup (config-linux.md, Control groups); none where there is none to make and
/// nothing that depends on one.
pub fn plan(
    cgroups_path: Option<&str>,
    id: &str,
    annotations: &Pairs<String>,
    resources: &Resources,
    host: &CgroupHost,
) -> Result<Option<CgroupPlan>> {
    match host.access {
        Access::Required => with_cgroup(cgroups_path, id, annotations, resources, host).map(Some),
        // Whoever names a cgroup gets it, or the kernel's own words.
        Access::Denied if cgroups_path.is_some_and(|path| !path.is_empty()) => {
            with_cgroup(cgroups_path, id, annotations, resources, host).map(Some)
        }
        Access::Denied | Access::Unwanted => without_cgroup(resources, host).map(|()| None),
    }
}

/// A limit without a cgroup would be silently none.
fn without_cgroup(resources: &Resources, host: &CgroupHost) -> Result<()> {
    let writes = knobs::writes(resources)?;
    let Some(write) = writes.iter().find(|write| !write.is_unlimited()) else {
        return Ok(());
    };
    let act = "cannot be set for a container without a cgroup of its own";
    let failure = Failure::config(write.field.clone(), act).of(Kind::NotDelegated);
    Err(match host.access {
        Access::Unwanted => failure.hint("--cgroup-manager disabled asks for none"),
        // The sentence that callers of runc look for.
        _ => failure
            .because("rootless needs no limits + no cgrouppath when no permission is granted for cgroups")
            .hint("systemd delegates a part of the tree to a user: systemd-run --user --scope -p Delegate=yes"),
    })
}

fn with_cgroup(
    cgroups_path: Option<&str>,
    id: &str,
    annotations: &Pairs<String>,
    resources: &Resources,
    host: &CgroupHost,
) -> Result<CgroupPlan> {
    let mut writes = plan_writes(resources, host)?;
    if host.service.is_some() {
        writes = systemd::agreed(writes);
    }
    let devices = match host.device_filter {
        // mknod is refused there anyway, and devices are bind mounts of the host's.
        DeviceFilter::NotPermitted => None,
        DeviceFilter::Enforced => devices::program(&resources.devices)?,
    };
    let mut subgroup = None;
    let (path, unit) = match &host.service {
        Some(service) => {
            let (path, unit) = systemd::unit(cgroups_path, id, annotations, &writes, service)?;
            subgroup = systemd::subgroup(annotations, &unit)?;
            let path = path.below(subgroup.as_deref().unwrap_or_default())?;
            (path, Some(unit))
        }
        None => (resolve_path(cgroups_path, id, host.own.as_deref())?, None),
    };
    Ok(CgroupPlan {
        path,
        unit,
        subgroup,
        enable: enable(&writes, host),
        usage: knobs::usage_limits(resources),
        writes,
        devices,
    })
}

impl CgroupPlan {
    /// The cgroup that systemd makes.
    pub fn path_of_unit(&self) -> CgroupPath {
        let above = self.subgroup.as_ref().and_then(|_| self.path.parent());
        above.unwrap_or_else(|| self.path.clone())
    }

    /// The container's cgroup as seen from that one: `` or `/name`.
    pub fn below_unit(&self) -> String {
        let below = self.subgroup.as_ref().map(|name| format!("/{name}"));
        below.unwrap_or_default()
    }
}

/// The writes alone: what `update` needs.
pub fn plan_writes(resources: &Resources, host: &CgroupHost) -> Result<Vec<Write>> {
    let mut writes = knobs::writes(resources)?;
    // Without the controller nothing is limited, as asked. Not so for `unified`, where a missing
    // controller must be an error whatever the value.
    let asks =
        |write: &Write| !write.is_unlimited() || resources.unified.get(&write.file).is_some();
    writes.retain(|write| is_available(write, host) || asks(write));
    let missing = writes.iter().filter(|write| !is_available(write, host));
    let faults = missing.map(|write| unavailable(write, host));
    Failure::together(faults.collect::<Vec<_>>()).map_or(Ok(writes), Err)
}

fn is_available(write: &Write, host: &CgroupHost) -> bool {
    write.controller.is_empty() || host.has(&write.controller)
}

fn unavailable(write: &Write, host: &CgroupHost) -> Failure {
    let controller = &write.controller;
    let why = match host.held_by(controller) {
        Some(held) => format!("the cgroup v1 hierarchy at {} holds it", held.mount),
        None => format!(
            "{}/cgroup.controllers does not list it",
            host.mount.display()
        ),
    };
    let act = format!("cgroup v2 has no {controller} controller on this host");
    Failure::config(write.field.clone(), act)
        .because(why)
        .of(Kind::NoController)
}

/// Whether any limit is asked for that a controller keeps; rules of devices need none.
pub fn sets_limits(resources: &Resources) -> bool {
    resources.memory.is_some()
        || resources.cpu.is_some()
        || resources.pids.is_some()
        || resources.block_io.is_some()
        || !resources.hugepage_limits.is_empty()
        || !resources.rdma.is_empty()
        || !resources.unified.is_empty()
}

/// What the writes need comes first, with its reason; then whatever else the host has.
fn enable(writes: &[Write], host: &CgroupHost) -> Vec<Enable> {
    let asked_by = |controller: &String| {
        let write = writes.iter().find(|write| write.controller == *controller);
        write.map(|write| write.field.clone())
    };
    let enable = |controller: &String| Enable {
        controller: controller.clone(),
        asked_by: asked_by(controller),
    };
    host.controllers.iter().map(enable).collect()
}

/// Where `cgroupsPath` is. Absolute: below the mount point. Relative: beside our own cgroup, not
/// below it, because a cgroup with processes (us) cannot hand controllers down; runc does the same.
/// Absent: as if it were the container's id. `..` never leads out of the tree.
///
/// `own` is our cgroup as /proc/self/cgroup shows it.
pub fn resolve_path(cgroups_path: Option<&str>, id: &str, own: Option<&str>) -> Result<CgroupPath> {
    let wanted = cgroups_path.filter(|path| !path.is_empty()).unwrap_or(id);
    if wanted.contains('\0') {
        return Err(Failure::config(PATH_FIELD, "contains a NUL byte"));
    }
    let inner = clean(wanted);
    let path = if wanted.starts_with('/') || inner.is_empty() {
        inner
    } else {
        let beside = parent_of_own(own)?;
        [beside.as_str(), &inner].join("/")
    };
    CgroupPath::try_from(path.trim_start_matches('/').to_owned()).map_err(|_| {
        let text =
            format!("{wanted:?} is the root of the cgroup tree, not a place for a container");
        Failure::config(PATH_FIELD, text)
    })
}

fn parent_of_own(own: Option<&str>) -> Result<String> {
    let unknown = |text: &str| {
        Failure::config(
            PATH_FIELD,
            "is relative, but the runtime's own cgroup cannot be told",
        )
        .because(text)
    };
    let own = own.ok_or_else(|| unknown("/proc/self/cgroup has no line for cgroup v2"))?;
    // Outside the root of our cgroup namespace: not in the tree that we see.
    if own.split('/').any(|component| component == "..") {
        return Err(unknown("it is outside of the cgroup namespace"));
    }
    let own = clean(own);
    Ok(own
        .rsplit_once('/')
        .map_or_else(String::new, |(parent, _)| parent.to_owned()))
}

/// The path as seen from a root: no `.`, no `..`, no empty component, no slash at either end.
fn clean(path: &str) -> String {
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    components.join("/")
}

impl CgroupPath {
    /// `a/b/c`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A cgroup below this one, which `..` does not leave.
    pub fn below(&self, path: &str) -> Result<Self> {
        let inner = clean(path);
        if inner.is_empty() {
            return Ok(self.clone());
        }
        Self::try_from(format!("{}/{inner}", self.0))
            .map_err(|text| Failure::config(Field::new("--cgroup"), text))
    }

    /// `c`.
    pub fn name(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or(self.as_str(), |(_, name)| name)
    }

    /// `a/b`; none if the cgroup is directly below the root.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// `a`, `a/b`, `a/b/c`.
    pub fn lineage(&self) -> Vec<Self> {
        let ends = self.0.match_indices('/').map(|(index, _)| index);
        let ends = ends.chain([self.0.len()]);
        ends.map(|end| Self(self.0[..end].to_owned())).collect()
    }
}

impl TryFrom<String> for CgroupPath {
    type Error = String;

    /// A path read back from a state file must be one that we could have written.
    fn try_from(path: String) -> Result<Self, String> {
        let bad = |name: &str| matches!(name, "" | "." | "..") || name.contains('\0');
        if path.split('/').any(bad) {
            return Err(format!("{path:?} is no path of a cgroup"));
        }
        Ok(Self(path))
    }
}

impl From<CgroupPath> for String {
    fn from(path: CgroupPath) -> Self {
        path.0
    }
}

/// As the specification writes it: `/a/b/c`.
impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::layout::{Layout, V1Hierarchy, fake};

    fn resolved(path: Option<&str>, own: &str) -> String {
        resolve_path(path, "box", Some(own)).unwrap().0
    }

    #[test]
    fn absolute_paths_stand_below_the_mount_point() {
        assert_eq!(resolved(Some("/docker/1"), "/x/y"), "docker/1");
        assert_eq!(resolved(Some("//a/./b//"), "/x/y"), "a/b");
    }

    #[test]
    fn relative_and_absent_paths_stand_beside_the_runtime() {
        assert_eq!(
            resolved(Some("a/b"), "/user.slice/session.scope"),
            "user.slice/a/b"
        );
        assert_eq!(
            resolved(None, "/user.slice/session.scope"),
            "user.slice/box"
        );
        assert_eq!(resolved(Some(""), "/"), "box");
        assert_eq!(resolved(None, "/init.scope"), "box");
    }

    #[test]
    fn no_path_leads_out_of_the_tree() {
        assert_eq!(resolved(Some("/../../etc"), "/x/y"), "etc");
        assert_eq!(resolved(Some("/a/../../b"), "/x/y"), "b");
        // A relative path is cleaned before it is put beside us.
        assert_eq!(resolved(Some("../../etc"), "/x/y/z"), "x/y/etc");
        for root in ["/", "/..", "..", "a/..", "/."] {
            let text = resolve_path(Some(root), "box", Some("/x"))
                .unwrap_err()
                .to_string();
            assert!(text.starts_with("linux.cgroupsPath: "), "{text}");
        }
        assert!(resolve_path(Some("/a\0b"), "box", None).is_err());
        assert!(resolve_path(Some("a"), "box", Some("/../other")).is_err());
        assert!(resolve_path(Some("a"), "box", None).is_err());
    }

    #[test]
    fn a_path_from_a_state_file_is_checked() {
        let read = |json| serde_json::from_str::<CgroupPath>(json);
        assert_eq!(read(r#""a/b""#).unwrap().to_string(), "/a/b");
        for bad in [
            r#""""#,
            r#""/a""#,
            r#""a/../b""#,
            r#""a//b""#,
            r#""a/""#,
            r#""a\u0000""#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_knows_its_parts() {
        let path = CgroupPath("a/b/c".to_owned());
        assert_eq!(path.name(), "c");
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        let lineage: Vec<String> = path.lineage().into_iter().map(String::from).collect();
        assert_eq!(lineage, ["a", "a/b", "a/b/c"]);
        assert_eq!(CgroupPath("a".to_owned()).parent(), None);
    }

    fn planned(json: &str, host: &CgroupHost) -> Result<CgroupPlan> {
        let plan = plan(
            None,
            "box",
            &Pairs::default(),
            &serde_json::from_str(json).unwrap(),
            host,
        )?;
        Ok(plan.expect("access is required"))
    }

    #[test]
    fn without_permission_there_is_no_cgroup_unless_something_depends_on_it() {
        let denied = CgroupHost {
            access: Access::Denied,
            ..fake(&["pids"])
        };
        let unwanted = CgroupHost {
            access: Access::Unwanted,
            ..denied.clone()
        };
        let planned = |path, json, host| {
            let resources: Resources = serde_json::from_str(json).unwrap();
            plan(path, "box", &Pairs::default(), &resources, host)
        };
        for host in [&denied, &unwanted] {
            for none in ["{}", r#"{"pids":{"limit":-1}}"#] {
                assert_eq!(planned(None, none, host).unwrap(), None);
            }
            let text = planned(None, r#"{"pids":{"limit":5}}"#, host)
                .unwrap_err()
                .to_string();
            assert!(
                text.starts_with("linux.resources.pids.limit: cannot be set"),
                "{text}"
            );
        }
        assert!(planned(Some("/a"), "{}", &denied).unwrap().is_some());
        assert_eq!(planned(Some("/a"), "{}", &unwanted).unwrap(), None);
    }

    #[test]
    fn a_limit_without_controller_says_who_holds_it() {
        let hybrid = CgroupHost {
            layout: Layout::Hybrid,
            mount: "/sys/fs/cgroup/unified".into(),
            v1: vec![V1Hierarchy {
                controllers: vec!["rw".to_owned(), "memory".to_owned()],
                mount: "/sys/fs/cgroup/memory".to_owned(),
            }],
            ..fake(&["hugetlb"])
        };
        assert_eq!(
            planned(r#"{"memory":{"limit":4096}}"#, &hybrid)
                .unwrap_err()
                .to_string(),
            "linux.resources.memory.limit: cgroup v2 has no memory controller on this host: the cgroup v1 hierarchy at /sys/fs/cgroup/memory holds it"
        );
        assert_eq!(
            planned(r#"{"unified":{"rdma.max":"x"}}"#, &hybrid)
                .unwrap_err()
                .to_string(),
            "linux.resources.unified[\"rdma.max\"]: cgroup v2 has no rdma controller on this host: /sys/fs/cgroup/unified/cgroup.controllers does not list it"
        );
    }

    #[test]
    fn no_limit_needs_no_controller() {
        let host = fake(&[]);
        let json =
            r#"{"memory":{"limit":-1},"pids":{"limit":-1},"unified":{"cgroup.max.depth":"3"}}"#;
        let writes = planned(json, &host).unwrap().writes;
        assert_eq!(writes.len(), 1);
        assert_eq!(writes[0].file, "cgroup.max.depth");
    }

    #[test]
    fn every_controller_is_enabled_and_some_must_be() {
        let plan = planned(r#"{"pids":{"limit":5}}"#, &fake(&["cpu", "pids"])).unwrap();
        assert_eq!(plan.path.as_str(), "box");
        assert_eq!(
            plan.enable[0],
            Enable {
                controller: "cpu".to_owned(),
                asked_by: None
            }
        );
        assert_eq!(
            plan.enable[1].asked_by,
            Some(Field::new("linux.resources.pids.limit"))
        );
    }

    #[test]
    fn device_rules_are_not_enforced_where_the_kernel_forbids_it() {
        let rootless = CgroupHost {
            device_filter: DeviceFilter::NotPermitted,
            ..fake(&[])
        };
        assert_eq!(planned("{}", &rootless).unwrap().devices, None);
        assert!(planned("{}", &fake(&[])).unwrap().devices.is_some());
    }
}
