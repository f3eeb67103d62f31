//! Decides which unit a container gets, where its cgroup is, and what systemd is told of it.

use super::value::{self, Value};
use crate::cgroups::knobs::Write;
use crate::cgroups::plan::{CgroupPath, PATH_FIELD};
use crate::config::{Pairs, Resources};
use crate::error::{Failure, Field, Result};
use crate::plan::annotations::{SUBGROUP, cgroup_name};

/// The systemd that makes the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Whose it is.
    pub owner: Owner,
    /// Its own cgroup, below which units are: `` or `user.slice/user-1000.slice/user@1000.service`.
    pub cgroup: String,
    /// Whether the caller is below that, and so may have its children born into units.
    pub caller: Caller,
}

/// Where the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// In a unit of this systemd; or it is root of the machine, who may put a process anywhere.
    Within,
    /// Somewhere else, such as in the scope of a login: systemd alone may move a process from there to here.
    Outside,
}

/// Whose units a systemd has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The machine's.
    System,
    /// A user's.
    User,
}

/// A unit to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `runc-box.scope`.
    pub name: String,
    /// The slice that it is in.
    pub slice: String,
    /// Whether processes are in it or other units.
    pub kind: Kind,
    /// What systemd is told besides the slice and the first process.
    pub properties: Vec<Property>,
    /// What it is told once init has taken the place of the first process.
    pub late: Vec<Property>,
}

/// What a unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Processes that systemd has not started.
    Scope,
    /// Other units.
    Slice,
}

/// Name and value.
pub type Property = (String, Value);

const ANNOTATION: &str = "org.systemd.property.";

/// The unit of a container, and where its cgroup will be.
pub fn unit(
    cgroups_path: Option<&str>,
    id: &str,
    annotations: &Pairs<String>,
    writes: &[Write],
    service: &Service,
) -> Result<(CgroupPath, Unit)> {
    let [slice, prefix, name] = words(cgroups_path, id)?;
    let slice = match (slice, service.owner) {
        ("", Owner::System) => "system.slice",
        ("", Owner::User) => "user.slice",
        ("-", _) => "-.slice",
        (slice, _) => slice,
    };
    let (kind, name) = match (name.ends_with(".slice"), prefix) {
        (true, _) => (Kind::Slice, name.to_owned()),
        (false, "") => (Kind::Scope, format!("{name}.scope")),
        (false, prefix) => (Kind::Scope, format!("{prefix}-{name}.scope")),
    };
    let directory = match kind {
        Kind::Scope => format!("{}/{name}", slice_path(slice)?),
        Kind::Slice => slice_path(&name)?,
    };
    let path = format!("{}/{directory}", service.cgroup);
    let path = CgroupPath::try_from(path.trim_matches('/').replace("//", "/"))
        .map_err(|text| Failure::config(PATH_FIELD, text))?;
    let mut all = basics(id, kind);
    add(&mut all, annotated(annotations)?);
    add(&mut all, properties(writes));
    // The placeholder is the one process there may be, and init would be the second.
    let is_late = |(name, value): &Property| name == "TasksMax" && matches!(value, Value::U64(..2));
    let (late, properties) = all.into_iter().partition(is_late);
    let unit = Unit {
        name,
        slice: slice.to_owned(),
        kind,
        properties,
        late,
    };
    Ok((path, unit))
}

/// The cgroup below the unit's own that an annotation asks for.
pub fn subgroup(annotations: &Pairs<String>, unit: &Unit) -> Result<Option<String>> {
    let name = cgroup_name(annotations, SUBGROUP)?;
    if name.is_some() && unit.kind == Kind::Slice {
        let text = format!("{} is a slice: other units are below it", unit.name);
        return Err(Failure::config(Field::key("annotations", SUBGROUP), text));
    }
    Ok(name.map(|name| name.to_string_lossy().into_owned()))
}

/// `slice:prefix:name`; the sentence of the error is runc's.
fn words<'a>(cgroups_path: Option<&'a str>, id: &'a str) -> Result<[&'a str; 3]> {
    let Some(path) = cgroups_path.filter(|path| !path.is_empty()) else {
        return Ok(["", "runc", id]);
    };
    let words: Vec<&str> = path.split(':').collect();
    match words[..] {
        [slice, prefix, name] if !name.is_empty() && !name.contains('/') => {
            Ok([slice, prefix, name])
        }
        _ => {
            let text = format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
            );
            Err(Failure::config(PATH_FIELD, text))
        }
    }
}

/// `a-b.slice` is in `a.slice` (systemd.slice(5)).
fn slice_path(slice: &str) -> Result<String> {
    let wrong = || Failure::config(PATH_FIELD, format!("{slice:?} is no name of a slice"));
    let stem = slice.strip_suffix(".slice").ok_or_else(wrong)?;
    if stem == "-" {
        return Ok(String::new());
    }
    if stem.contains('/') || stem.split('-').any(str::is_empty) {
        return Err(wrong());
    }
    let ends = stem.match_indices('-').map(|(index, _)| index);
    let ends = ends.chain([stem.len()]);
    let names: Vec<String> = ends.map(|end| format!("{}.slice", &stem[..end])).collect();
    Ok(names.join("/"))
}

/// What every container's unit is told. Delegated: the files below are ours and the container's.
fn basics(id: &str, kind: Kind) -> Vec<Property> {
    let yes = || Value::Bool(true);
    let mut basics = vec![("Description", Value::Text(format!("container {id}")))];
    if kind == Kind::Scope {
        basics.push(("Delegate", yes()));
    }
    basics.extend([
        ("MemoryAccounting", yes()),
        ("CPUAccounting", yes()),
        ("IOAccounting", yes()),
        ("TasksAccounting", yes()),
        ("DefaultDependencies", Value::Bool(false)),
        ("CollectMode", Value::Text("inactive-or-failed".into())),
    ]);
    basics
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A later property takes the place of an earlier one of its name.
fn add(all: &mut Vec<Property>, more: Vec<Property>) {
    for (name, value) in more {
        all.retain(|(other, _)| *other != name);
        all.push((name, value));
    }
}

/// Annotations `org.systemd.property.NAME`. Names are letters, at least three; `...Sec` is a time in
/// seconds, which the property `...USec` takes in microseconds.
fn annotated(annotations: &Pairs<String>) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    for (key, text) in &annotations.0 {
        let Some(name) = key.strip_prefix(ANNOTATION) else {
            continue;
        };
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            let text = format!("{name:?} is no name of a property");
            return Err(Failure::config(Field::key("annotations", key), text));
        }
        let (name, value) = match name.strip_suffix("Sec") {
            Some(stem) if !stem.ends_with('U') => {
                (format!("{stem}USec"), value::microseconds(text))
            }
            _ => (name.to_owned(), value::parse(text)),
        };
        let value = value.map_err(|text| Failure::config(Field::key("annotations", key), text))?;
        properties.push((name, value));
    }
    Ok(properties)
}

/// A warning where a weight is asked for beside idleness, which for systemd are one property.
pub fn conflict(resources: &Resources) -> Option<&'static str> {
    let cpu = resources.cpu.as_ref();
    let unified = |file| resources.unified.get(file).map(String::as_str);
    let is_idle = cpu.and_then(|cpu| cpu.idle) == Some(1) || unified("cpu.idle") == Some("1");
    let shares = cpu.and_then(|cpu| cpu.shares).unwrap_or_default();
    let has_weight = shares != 0 || unified("cpu.weight").is_some();
    (is_idle && has_weight).then_some(
        "linux.resources.cpu: unable to apply both shares and idle to a unit of systemd, the shares are ignored",
    )
}

/// What systemd can be told of planned writes. The others it does not touch.
pub fn properties(writes: &[Write]) -> Vec<Property> {
    let mut all = Vec::new();
    for write in writes {
        add(&mut all, property(write));
    }
    all
}

fn property(write: &Write) -> Vec<Property> {
    let one = |name: &str, value: Option<Value>| {
        value
            .map(|value| vec![(name.to_owned(), value)])
            .unwrap_or_default()
    };
    let number = |name: &str| one(name, limit(&write.value));
    match write.file.as_ref() {
        "cpu.weight" => number("CPUWeight"),
        // systemd's word for it: CPUWeight=idle.
        "cpu.idle" if write.value == "1" => one("CPUWeight", Some(Value::U64(0))),
        "cpu.max" => bandwidth(&write.value),
        "cpuset.cpus" => one("AllowedCPUs", bits(&write.value)),
        "cpuset.mems" => one("AllowedMemoryNodes", bits(&write.value)),
        "memory.max" => number("MemoryMax"),
        "memory.high" => number("MemoryHigh"),
        "memory.low" => number("MemoryLow"),
        "memory.min" => number("MemoryMin"),
        "memory.swap.max" => number("MemorySwapMax"),
        "pids.max" => number("TasksMax"),
        _ => Vec::new(),
    }
}

/// systemd's infinity is the largest number.
fn limit(text: &str) -> Option<Value> {
    match text.trim() {
        "max" => Some(Value::U64(u64::MAX)),
        text => text.parse().ok().map(Value::U64),
    }
}

/// `50000 100000`, or `max 100000`.
fn bandwidth(text: &str) -> Vec<Property> {
    let Some((quota, period)) = quota_and_period(text) else {
        return Vec::new();
    };
    let second = quota.map_or(u64::MAX, |quota| a_second(quota, period));
    vec![
        ("CPUQuotaPerSecUSec".to_owned(), Value::U64(second)),
        ("CPUQuotaPeriodUSec".to_owned(), Value::U64(period)),
    ]
}

/// No quota is no limit.
fn quota_and_period(text: &str) -> Option<(Option<u64>, u64)> {
    let (quota, period) = text.split_once(' ').unwrap_or((text, "100000"));
    let period = period.trim().parse().ok().filter(|period| *period > 0)?;
    match quota {
        "max" => Some((None, period)),
        quota => Some((Some(quota.parse().ok()?), period)),
    }
}

/// systemd counts in steps of 10 ms a second, and rounds down: a container must not get less than it was
/// promised, so this rounds up.
fn a_second(quota: u64, period: u64) -> u64 {
    const STEP: u64 = 10_000;
    let second = quota.saturating_mul(1_000_000) / period;
    second.div_ceil(STEP).saturating_mul(STEP)
}

/// The writes with the numbers that systemd has, for it writes its own whenever a property changes.
pub fn agreed(mut writes: Vec<Write>) -> Vec<Write> {
    let is_idle = |write: &Write| write.file == "cpu.idle" && write.value == "1";
    if writes.iter().any(is_idle) {
        // The kernel takes no weight for what is idle.
        writes.retain(|write| write.file != "cpu.weight");
    }
    for write in writes.iter_mut().filter(|write| write.file == "cpu.max") {
        if let Some((Some(quota), period)) = quota_and_period(&write.value) {
            let quota = a_second(quota, period).saturating_mul(period) / 1_000_000;
            write.value = format!("{quota} {period}");
        }
    }
    writes
}

/// `0-2,7` as a bit each, the lowest of the first byte for 0.
fn bits(list: &str) -> Option<Value> {
    const MOST: usize = 8192;
    let mut bytes = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().ok()?;
        let last: usize = last.trim().parse().ok().filter(|last| *last < MOST)?;
        if bytes.len() <= last / 8 {
            bytes.resize(last / 8 + 1, 0u8);
        }
        (first..=last).for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
    }
    (!bytes.is_empty()).then_some(Value::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::knobs::writes;

    fn system() -> Service {
        Service {
            owner: Owner::System,
            cgroup: String::new(),
            caller: Caller::Within,
        }
    }

    fn placed(path: Option<&str>, service: &Service) -> Result<(String, String, String)> {
        let (path, unit) = unit(path, "box", &Pairs::default(), &[], service)?;
        Ok((path.as_str().to_owned(), unit.name, unit.slice))
    }

    #[test]
    fn a_unit_is_in_its_slice() {
        let user = Service {
            owner: Owner::User,
            cgroup: "user.slice/user-7.slice/user@7.service".into(),
            caller: Caller::Outside,
        };
        let own = |text: &str| text.to_owned();
        for (path, service, expected) in [
            (
                None,
                system(),
                (
                    "system.slice/runc-box.scope",
                    "runc-box.scope",
                    "system.slice",
                ),
            ),
            (
                Some("a-b.slice:crio:box"),
                system(),
                (
                    "a.slice/a-b.slice/crio-box.scope",
                    "crio-box.scope",
                    "a-b.slice",
                ),
            ),
            (
                Some(":docker:box"),
                system(),
                (
                    "system.slice/docker-box.scope",
                    "docker-box.scope",
                    "system.slice",
                ),
            ),
            (
                Some("-:x:box"),
                system(),
                ("x-box.scope", "x-box.scope", "-.slice"),
            ),
            (
                Some("a.slice::box"),
                system(),
                ("a.slice/box.scope", "box.scope", "a.slice"),
            ),
            (
                Some("a.slice::a-b.slice"),
                system(),
                ("a.slice/a-b.slice", "a-b.slice", "a.slice"),
            ),
            (
                None,
                user,
                (
                    "user.slice/user-7.slice/user@7.service/user.slice/runc-box.scope",
                    "runc-box.scope",
                    "user.slice",
                ),
            ),
        ] {
            let expected = (own(expected.0), own(expected.1), own(expected.2));
            assert_eq!(placed(path, &service).unwrap(), expected, "{path:?}");
        }
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for path in ["/a/b", "a", "a:b", "a:b:c:d", "a.slice:b:", "a.slice:b:c/d"] {
            let text = placed(Some(path), &system()).unwrap_err().to_string();
            assert!(
                text.contains("expected cgroupsPath to be of format \"slice:prefix:name\""),
                "{text}"
            );
        }
        for slice in [
            "a",
            "a--b.slice",
            "-a.slice",
            "a/b.slice",
            "../x.slice",
            ".slice",
        ] {
            let text = placed(Some(&format!("{slice}:b:c")), &system())
                .unwrap_err()
                .to_string();
            assert!(text.contains("is no name of a slice"), "{text}");
        }
    }

    #[test]
    fn annotations_are_properties() {
        let annotation =
            |name: &str, text: &str| (format!("org.systemd.property.{name}"), text.to_owned());
        let read = |pairs: Vec<(String, String)>| annotated(&Pairs(pairs));
        let known = read(vec![
            annotation("TimeoutStopUSec", "uint64 10"),
            annotation("TimeoutStopSec", "5"),
            ("other".into(), "x".into()),
        ]);
        assert_eq!(
            known.unwrap(),
            [
                ("TimeoutStopUSec".to_owned(), Value::U64(10)),
                ("TimeoutStopUSec".to_owned(), Value::U64(5_000_000))
            ]
        );
        for (name, text) in [
            ("ab", "true"),
            ("Kill-Mode", "true"),
            ("KillMode", "no quotes"),
        ] {
            let text = read(vec![annotation(name, text)]).unwrap_err().to_string();
            assert!(
                text.starts_with("annotations[\"org.systemd.property."),
                "{text}"
            );
        }
    }

    fn told(json: &str) -> Vec<Property> {
        properties(&writes(&serde_json::from_str(json).unwrap()).unwrap())
    }

    #[test]
    fn a_weight_beside_idleness_is_warned_of() {
        let warns = |json: &str| conflict(&serde_json::from_str(json).unwrap()).is_some();
        assert!(warns(r#"{"cpu":{"shares":200,"idle":1}}"#));
        assert!(warns(r#"{"unified":{"cpu.idle":"1","cpu.weight":"8"}}"#));
        assert!(!warns(r#"{"cpu":{"shares":200,"idle":0}}"#));
        assert!(!warns(r#"{"cpu":{"idle":1}}"#));
        let both = r#"{"unified":{"cpu.idle":"1","cpu.weight":"8"}}"#;
        let written = agreed(writes(&serde_json::from_str(both).unwrap()).unwrap());
        let files: Vec<_> = written.iter().map(|write| write.file.as_ref()).collect();
        assert_eq!(files, ["cpu.idle"]);
    }

    #[test]
    fn limits_are_properties() {
        let property = |name: &str, number| (name.to_owned(), Value::U64(number));
        assert_eq!(
            told(r#"{"memory":{"limit":4096,"reservation":100,"swap":8192},"pids":{"limit":7}}"#),
            [
                property("MemorySwapMax", 4096),
                property("MemoryMax", 4096),
                property("MemoryLow", 100),
                property("TasksMax", 7),
            ]
        );
        assert_eq!(
            told(r#"{"cpu":{"quota":5001,"period":100000}}"#),
            [
                property("CPUQuotaPerSecUSec", 60_000),
                property("CPUQuotaPeriodUSec", 100_000)
            ]
        );
        assert_eq!(
            told(r#"{"cpu":{"shares":200,"idle":1}}"#),
            [property("CPUWeight", 0)]
        );
        let cpu = r#"{"cpu":{"quota":500000,"period":900000}}"#;
        let agreed = agreed(writes(&serde_json::from_str(cpu).unwrap()).unwrap());
        assert_eq!(agreed[0].value, "504000 900000");
        assert_eq!(
            told(r#"{"pids":{"limit":-1}}"#),
            [property("TasksMax", u64::MAX)]
        );
        assert_eq!(
            told(r#"{"cpu":{"cpus":"0-2,9"}}"#),
            [("AllowedCPUs".to_owned(), Value::Bytes(vec![7, 2]))]
        );
        // What is said later counts: resources.unified comes last.
        assert_eq!(
            told(r#"{"pids":{"limit":7},"unified":{"pids.max":"99","memory.high":"max"}}"#)
                .iter()
                .find(|(name, _)| name == "TasksMax"),
            Some(&property("TasksMax", 99))
        );
    }
}
