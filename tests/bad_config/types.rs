//! Every property of the specification, in one configuration: values of every other type, and numbers beyond the
//! range of their type, are refused where they stand. And every property whose type is not all there is to say
//! has a row in the table of values.

use std::collections::BTreeSet;

use corten::config::schema::{SPEC, Shape};
use serde_json::{Value, json};

use super::{CASES, failures, patched, sound};

/// Not sound: it asks for things that exclude each other. Types are looked at before.
const EVERYTHING: &str = include_str!("everything.json");

/// The numbers by their types. Under `*` stands any name, under `[]` any index.
const NUMBERS: &[(&str, &[&str])] = &[
    (
        "u16",
        &[
            "/linux/resources/blockIO/weight",
            "/linux/resources/blockIO/leafWeight",
            "/linux/resources/blockIO/weightDevice/[]/weight",
            "/linux/resources/blockIO/weightDevice/[]/leafWeight",
            "/process/consoleSize/*",
        ],
    ),
    (
        "u32",
        &[
            "/process/user/uid",
            "/process/user/gid",
            "/process/user/umask",
            "/process/user/additionalGids/[]",
            "/mounts/[]/uidMappings/[]/*",
            "/mounts/[]/gidMappings/[]/*",
            "/linux/uidMappings/[]/*",
            "/linux/gidMappings/[]/*",
            "/linux/timeOffsets/*/nanosecs",
            "/linux/devices/[]/fileMode",
            "/linux/devices/[]/uid",
            "/linux/devices/[]/gid",
            "/linux/resources/network/classID",
            "/linux/resources/network/priorities/[]/priority",
            "/linux/resources/rdma/*/*",
            "/linux/seccomp/defaultErrnoRet",
            "/linux/seccomp/syscalls/[]/errnoRet",
            "/linux/seccomp/syscalls/[]/args/[]/index",
        ],
    ),
    (
        "u64",
        &[
            "/process/rlimits/[]/soft",
            "/process/rlimits/[]/hard",
            "/process/scheduler/runtime",
            "/process/scheduler/deadline",
            "/process/scheduler/period",
            "/linux/resources/memory/swappiness",
            "/linux/resources/cpu/shares",
            "/linux/resources/cpu/burst",
            "/linux/resources/cpu/period",
            "/linux/resources/cpu/realtimePeriod",
            "/linux/resources/blockIO/*/[]/rate",
            "/linux/resources/hugepageLimits/[]/limit",
            "/linux/seccomp/syscalls/[]/args/[]/value",
            "/linux/seccomp/syscalls/[]/args/[]/valueTwo",
        ],
    ),
    (
        "i32",
        &[
            "/process/oomScoreAdj",
            "/process/scheduler/nice",
            "/process/scheduler/priority",
            "/process/ioPriority/priority",
        ],
    ),
    (
        "i64",
        &[
            "/hooks/*/[]/timeout",
            "/linux/timeOffsets/*/secs",
            "/linux/devices/[]/major",
            "/linux/devices/[]/minor",
            "/linux/resources/devices/[]/major",
            "/linux/resources/devices/[]/minor",
            "/linux/resources/memory/*",
            "/linux/resources/cpu/quota",
            "/linux/resources/cpu/realtimeRuntime",
            "/linux/resources/cpu/idle",
            "/linux/resources/pids/limit",
            "/linux/resources/blockIO/*/[]/major",
            "/linux/resources/blockIO/*/[]/minor",
        ],
    ),
];

/// Values below and above a type.
fn beyond(kind: &str) -> [&'static str; 2] {
    match kind {
        "u16" => ["-1", "65536"],
        "u32" => ["-1", "4294967296"],
        "u64" => ["-1", "18446744073709551616"],
        "i32" => ["-2147483649", "2147483648"],
        _ => ["-9223372036854775809", "9223372036854775808"],
    }
}

fn fits(pattern: &str, pointer: &str) -> bool {
    let (pattern, parts): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), pointer.split('/').collect());
    pattern.len() == parts.len()
        && pattern
            .iter()
            .zip(&parts)
            .all(|(pattern, part)| match *pattern {
                "*" => true,
                "[]" => part.parse::<usize>().is_ok(),
                word => word == *part,
            })
}

fn number_type(pointer: &str) -> &'static str {
    let found = NUMBERS
        .iter()
        .find(|(_, patterns)| patterns.iter().any(|pattern| fits(pattern, pointer)));
    found.unwrap_or_else(|| panic!("{pointer} has no type")).0
}

/// Pointer and value of everything in a document, itself left out.
fn places<'a>(value: &'a Value, at: &str, found: &mut Vec<(String, &'a Value)>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (format!("{at}/{}", key.replace('/', "~1")), value))
            .collect(),
        Value::Array(list) => (0..list.len())
            .map(|index| (format!("{at}/{index}"), &list[index]))
            .collect(),
        _ => Vec::new(),
    };
    for (pointer, child) in children {
        places(child, &pointer, found);
        found.push((pointer, child));
    }
}

/// What is not a value of this type, as JSON.
fn wrong_values(pointer: &str, value: &Value) -> Vec<&'static str> {
    let others = [
        (Value::is_string as fn(&Value) -> bool, "\"x\""),
        (Value::is_boolean, "true"),
        (Value::is_number, "7"),
        (Value::is_array, "[]"),
        (Value::is_object, "{}"),
    ];
    let other = others.into_iter().filter(|(is, _)| !is(value));
    let mut wrong: Vec<&str> = other.map(|(_, text)| text).collect();
    if value.is_number() {
        wrong.extend(["1.5", "1e400", "\"1\""]);
        wrong.extend(beyond(number_type(pointer)));
    }
    wrong
}

#[test]
fn a_value_of_another_type_or_beyond_it_is_refused_where_it_stands() {
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    let mut all = Vec::new();
    places(&everything, "", &mut all);
    let mut wrong = Vec::new();
    for (pointer, value) in &all {
        // Nobody reads it on Linux.
        if pointer == "/process/commandLine" {
            continue;
        }
        for text in wrong_values(pointer, value) {
            let mut config = everything.clone();
            *config.pointer_mut(pointer).unwrap() = "PLACE".into();
            let config = config.to_string().replace("\"PLACE\"", text);
            let found: Vec<String> = failures(&config)
                .iter()
                .map(|failure| failure.field.pointer())
                .collect();
            if found != [pointer.as_str()] {
                wrong.push(format!("{text} at {pointer}: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() > 250, "{}", all.len());
}

/// The paths of all properties, with `[]` for an index and `*` for a free name.
fn leaves(shape: &'static Shape, at: &str, found: &mut BTreeSet<String>) {
    match shape {
        Shape::Leaf => drop(found.insert(at.to_owned())),
        Shape::Object(fields) => fields
            .iter()
            .for_each(|(name, shape)| leaves(shape, &format!("{at}/{name}"), found)),
        Shape::List(shape) => leaves(shape, &format!("{at}/[]"), found),
        Shape::Map(shape) => leaves(shape, &format!("{at}/*"), found),
    }
}

fn own_leaves() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    leaves(&SPEC, "", &mut found);
    let foreign = ["/solaris", "/windows", "/vm", "/zos", "/freebsd"];
    found.retain(|path| !foreign.iter().any(|other| path.starts_with(other)));
    found
}

#[test]
fn everything_is_everything() {
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    let mut all = Vec::new();
    places(&everything, "", &mut all);
    let missing: Vec<String> = own_leaves()
        .into_iter()
        .filter(|path| !all.iter().any(|(pointer, _)| fits(path, pointer)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Properties that may have every value of their type, and why. None of the strings takes a NUL.
const OPEN: &[(&str, &[&str])] = &[
    (
        "a switch",
        &[
            "/process/noNewPrivileges",
            "/process/terminal",
            "/root/readonly",
            "/linux/intelRdt/enableMonitoring",
            "/linux/resources/devices/[]/allow",
            "/linux/resources/memory/checkBeforeUpdate",
        ],
    ),
    (
        "the program's business",
        &[
            "/hooks/createContainer/[]/args/[]",
            "/hooks/createContainer/[]/env/[]",
            "/hooks/createRuntime/[]/args/[]",
            "/hooks/createRuntime/[]/env/[]",
            "/hooks/poststart/[]/args/[]",
            "/hooks/poststart/[]/env/[]",
            "/hooks/poststop/[]/args/[]",
            "/hooks/poststop/[]/env/[]",
            "/hooks/prestart/[]/args/[]",
            "/hooks/prestart/[]/env/[]",
            "/hooks/startContainer/[]/args/[]",
            "/hooks/startContainer/[]/env/[]",
            "/linux/seccomp/syscalls/[]/args/[]/value",
            "/linux/seccomp/syscalls/[]/args/[]/valueTwo",
        ],
    ),
    (
        "a name that only the host knows",
        &[
            "/process/apparmorProfile",
            "/process/selinuxLabel",
            "/linux/mountLabel",
        ],
    ),
    (
        "what is unknown is a warning",
        &[
            "/process/capabilities/ambient/[]",
            "/process/capabilities/bounding/[]",
            "/process/capabilities/effective/[]",
            "/process/capabilities/inheritable/[]",
            "/process/capabilities/permitted/[]",
            "/linux/seccomp/syscalls/[]/names/[]",
            "/linux/intelRdt/l3CacheSchema",
        ],
    ),
    (
        "every number has a meaning",
        &[
            "/process/consoleSize/height",
            "/process/consoleSize/width",
            "/linux/resources/blockIO/throttleReadBpsDevice/[]/rate",
            "/linux/resources/blockIO/throttleReadIOPSDevice/[]/rate",
            "/linux/resources/blockIO/throttleWriteBpsDevice/[]/rate",
            "/linux/resources/blockIO/throttleWriteIOPSDevice/[]/rate",
            "/linux/resources/cpu/shares",
            "/linux/resources/hugepageLimits/[]/limit",
            "/linux/resources/rdma/*/hcaHandles",
            "/linux/resources/rdma/*/hcaObjects",
            "/linux/timeOffsets/boottime/secs",
            "/linux/timeOffsets/monotonic/secs",
        ],
    ),
    (
        "refused with what it belongs to: its list, or the smaller one of two numbers",
        &[
            "/linux/personality/flags/[]",
            "/linux/resources/network/priorities/[]/name",
            "/linux/resources/network/priorities/[]/priority",
            "/process/rlimits/[]/hard",
        ],
    ),
    (
        "of no meaning on Linux",
        &["/process/commandLine", "/process/user/username"],
    ),
];

/// Wrong values of properties that stand in several places, each with its pointer.
fn repeated() -> Vec<(Value, String)> {
    let mut all = Vec::new();
    let mut row = |patches: &[(&str, Value)], pointer: String| {
        let mut config = sound();
        for (at, value) in patches {
            super::set(&mut config, at, value.clone());
        }
        all.push((config, pointer));
    };
    for kind in corten::config::words::HOOKS {
        let at = format!("/hooks/{kind}");
        row(&[(&at, json!([{"path": "a"}]))], format!("{at}/0/path"));
        for timeout in [0, -1] {
            let late = json!([{"path": "/a"}, {"path": "/a", "timeout": timeout}]);
            row(&[(&at, late)], format!("{at}/1/timeout"));
        }
    }
    let devices = [
        "throttleReadBpsDevice",
        "throttleWriteBpsDevice",
        "throttleReadIOPSDevice",
    ];
    for list in devices
        .into_iter()
        .chain(["throttleWriteIOPSDevice", "weightDevice"])
    {
        let at = format!("/linux/resources/blockIO/{list}");
        for leaf in ["major", "minor"] {
            for number in [-1, 1_i64 << 32] {
                let mut device = json!({"major": 8, "minor": 0, "rate": 1, "weight": 10});
                device[leaf] = number.into();
                row(&[(&at, json!([device]))], format!("{at}/0/{leaf}"));
            }
        }
    }
    for clock in ["monotonic", "boottime"] {
        let offsets = json!({clock: {"secs": 0, "nanosecs": 1_000_000_000}});
        let new = json!({"type": "time"});
        let patches = [
            ("/linux/namespaces/-", new),
            ("/linux/timeOffsets", offsets),
        ];
        row(&patches, format!("/linux/timeOffsets/{clock}/nanosecs"));
    }
    let sides = ["uidMappings", "gidMappings"];
    for (side, other) in [(sides[0], sides[1]), (sides[1], sides[0])] {
        let good = json!({"containerID": 0, "hostID": 100_000, "size": 1000});
        for (leaf, bad) in [
            (
                "size",
                json!({"containerID": 5000, "hostID": 300_000, "size": 0}),
            ),
            (
                "containerID",
                json!({"containerID": 999, "hostID": 300_000, "size": 1}),
            ),
            (
                "hostID",
                json!({"containerID": 5000, "hostID": 100_999, "size": 1}),
            ),
            (
                "hostID",
                json!({"containerID": 5000, "hostID": u32::MAX, "size": 1}),
            ),
        ] {
            let list = json!([good, bad]);
            let user = json!({"type": "user"});
            for (at, namespace) in [("/linux", Some(user)), ("/mounts/1", None)] {
                let (one, two) = (format!("{at}/{side}"), format!("{at}/{other}"));
                let mut patches = vec![(one.as_str(), list.clone()), (&two, json!([good]))];
                patches.extend(namespace.map(|user| ("/linux/namespaces/-", user)));
                row(&patches, format!("{one}/1/{leaf}"));
            }
        }
    }
    all
}

#[test]
fn what_stands_in_several_places_is_refused_in_each() {
    for (config, pointer) in repeated() {
        let found: Vec<String> = failures(&config.to_string())
            .iter()
            .map(|failure| failure.field.pointer())
            .collect();
        assert_eq!(found, [pointer], "{config}");
    }
}

#[test]
fn a_string_with_a_nul_is_refused_where_it_stands() {
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    let mut all = Vec::new();
    places(&everything, "", &mut all);
    for (pointer, value) in all {
        let Some(text) = value
            .as_str()
            .filter(|_| !pointer.starts_with("/annotations/"))
        else {
            continue;
        };
        let mut config = everything.clone();
        *config.pointer_mut(&pointer).unwrap() = format!("{text}\0").into();
        let found = failures(&config.to_string());
        let has = |failure: &corten::Failure| failure.field.pointer() == pointer;
        assert!(found.iter().any(has), "{pointer}: {found:?}");
    }
}

#[test]
fn every_property_with_wrong_values_has_a_row() {
    let mut told: BTreeSet<String> = repeated().into_iter().map(|(_, pointer)| pointer).collect();
    for (patches, _) in CASES {
        let text = patched(&sound(), patches).to_string();
        told.extend(
            failures(&text)
                .iter()
                .map(|failure| failure.field.pointer()),
        );
    }
    let open = |path: &String| OPEN.iter().any(|(_, paths)| paths.contains(&path.as_str()));
    let has_row = |path: &String| told.iter().any(|pointer| fits(path, pointer));
    let (both, bare): (Vec<_>, Vec<_>) = own_leaves()
        .into_iter()
        .filter(|path| open(path) == has_row(path))
        .partition(open);
    assert!(bare.is_empty(), "these have no row: {bare:#?}");
    assert!(both.is_empty(), "these are not open: {both:#?}");
    let known = own_leaves();
    let of_open = OPEN.iter().flat_map(|(_, paths)| *paths);
    assert!(of_open.clone().all(|path| known.contains(*path)));
}
