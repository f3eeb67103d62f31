//! The table of conformance: every property of the specification, and the tests that show it.
//!
//! `tests/conformance/properties.txt` is the list; a row without a test, or with one that is not there, fails.
//! docs/conformance.md is made of it: `UPDATE_CONFORMANCE=1` writes it anew. `features` is held against that
//! list too, and against the specification's JSON schemas, which come with the Go module of the validation suite.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod plans;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten::plan::show;
use serde_json::{Value, json};

const LIST: &str = include_str!("conformance/properties.txt");

/// How many properties and rules of the specification concern Linux.
const PROPERTIES: usize = 163;

const HEAD: &str = "\
# Conformance

Every property and rule of the OCI runtime specification 1.3.0 that concerns Linux, the clause that has it, the test that shows it,
and where Corten deviates. Made from `tests/conformance/properties.txt` by `UPDATE_CONFORMANCE=1 cargo test --test conformance`;
a row without a test fails the build. What the specification's own validation suite says is in
[tests/oci-validation/known.md](../tests/oci-validation/known.md).
";

/// One block of the list.
struct Property<'a> {
    section: &'a str,
    name: &'a str,
    clause: &'a str,
    tests: Vec<&'a str>,
    deviation: Option<&'a str>,
}

fn properties() -> Vec<Property<'static>> {
    let mut section = "";
    let mut all = Vec::new();
    for block in LIST.split("\n\n") {
        let mut fields = Vec::new();
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("== ") {
                Some(title) => section = title,
                None => fields.push(line.split_once(": ").expect(line)),
            }
        }
        if fields.is_empty() {
            continue;
        }
        let field = |key| fields.iter().find(|(name, _)| *name == key);
        let known = ["property", "clause", "test", "deviation"];
        assert!(fields.iter().all(|(key, _)| known.contains(key)), "{block}");
        all.push(Property {
            section,
            name: field("property").expect(block).1,
            clause: field("clause").expect(block).1,
            tests: field("test").expect(block).1.split(", ").collect(),
            deviation: field("deviation").map(|(_, text)| *text),
        });
    }
    all
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The file of a module: of tests/integration, tests or src.
fn file(module: &str) -> Option<String> {
    ["tests/integration", "tests", "src"]
        .iter()
        .map(|directory| format!("{directory}/{module}.rs"))
        .find(|path| root().join(path).exists())
}

/// Whether a file has a test of that name: one of the harness is in its list, any other has the attribute.
fn is_test(path: &str, name: &str) -> bool {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let Some(place) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    if path.starts_with("tests/integration/") {
        return text.contains(&format!("\n    {name},\n"));
    }
    text[..place].trim_end().ends_with("#[test]")
}

#[test]
fn every_property_has_its_tests() {
    let all = properties();
    let mut wrong = Vec::new();
    for property in &all {
        for test in &property.tests {
            let (module, name) = test.split_once("::").expect(test);
            if !file(module).is_some_and(|path| is_test(&path, name)) {
                wrong.push(format!("{test}, of {:?}, is no test", property.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(all.len(), PROPERTIES);
    let names: BTreeSet<_> = all.iter().map(|row| (row.section, row.name)).collect();
    assert_eq!(names.len(), PROPERTIES, "a property stands twice");
}

/// Whether a test asks the real program: in real containers, in real cgroups, or what it says to a configuration.
fn asks_the_program(test: &str) -> bool {
    let module = test.split("::").next().unwrap_or_default();
    let path = file(module).unwrap_or_default();
    path.starts_with("tests/integration/")
        || ["tests/cgroups.rs", "tests/bad_config.rs"].contains(&path.as_str())
}

#[test]
fn what_is_not_seen_in_a_container_says_why() {
    let own = ["features.md", "features-linux.md"];
    let silent: Vec<&str> = properties()
        .iter()
        .filter(|row| !own.iter().any(|document| row.clause.starts_with(document)))
        .filter(|row| {
            row.deviation.is_none() && !row.tests.iter().any(|test| asks_the_program(test))
        })
        .map(|row| row.name)
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_document_is_that_of_the_list() {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for (number, row) in (1..).zip(properties()) {
        if row.section != section {
            section = row.section;
            write!(text, "\n## {section}\n\n| # | property | clause | tests | deviation |\n|--|--|--|--|--|\n").unwrap();
        }
        let tests: Vec<String> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        writeln!(
            text,
            "| {number} | {} | {} | {} | {} |",
            row.name.replace('|', "\\|"),
            row.clause,
            tests.join(" "),
            row.deviation.unwrap_or_default(),
        )
        .unwrap();
    }
    let path = root().join("docs/conformance.md");
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/conformance.md is old: UPDATE_CONFORMANCE=1 cargo test --test conformance"
    );
}

fn features() -> Value {
    let done = Command::new(env!("CARGO_BIN_EXE_corten"))
        .arg("features")
        .output()
        .unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn words(list: &Value) -> BTreeSet<&str> {
    let list = list.as_array().unwrap();
    let all: BTreeSet<_> = list.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(all.len(), list.len(), "a word stands twice: {list:?}");
    all
}

/// The mount options of the specification, as the list of properties has them.
fn mount_options() -> BTreeSet<&'static str> {
    let rows = properties()
        .into_iter()
        .filter(|row| row.clause == "config.md#linux-mount-options");
    rows.flat_map(|row| {
        let (_, words) = row.name.split_once("option").unwrap();
        let (_, words) = words.split_once(' ').unwrap();
        let alone = row.name.starts_with("the option ");
        words.split(' ').take(if alone { 1 } else { 99 })
    })
    .collect()
}

#[test]
fn features_tell_the_whole_truth() {
    let features = features();
    let linux = &features["linux"];
    let set = |list: &[&'static str]| list.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert_eq!(features["ociVersionMax"], "1.3.0");
    let hooks = [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ];
    assert_eq!(words(&features["hooks"]), set(&hooks));
    let own = set(&["copy-symlink", "dest-nofollow", "src-nofollow"]);
    let options: BTreeSet<_> = mount_options().union(&own).copied().collect();
    assert_eq!(words(&features["mountOptions"]), options);
    assert_eq!(
        features["annotations"]["org.corten.version"],
        env!("CARGO_PKG_VERSION")
    );
    let unsafe_ones = [
        "org.corten.layers",
        "org.corten.overlay",
        "run.oci.hooks.stdout",
        "run.oci.hooks.stderr",
    ];
    assert_eq!(
        words(&features["potentiallyUnsafeConfigAnnotations"]),
        set(&unsafe_ones)
    );
    let namespaces = [
        "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time",
    ];
    assert_eq!(words(&linux["namespaces"]), set(&namespaces));
    let capabilities = words(&linux["capabilities"]);
    assert_eq!(capabilities.len(), 41, "{capabilities:?}");
    assert!(capabilities.iter().all(|name| name.starts_with("CAP_")));
    assert_eq!(linux["cgroup"]["v1"], false);
    assert_eq!(linux["cgroup"]["v2"], true);
    assert_eq!(linux["cgroup"]["rdma"], true);
    for name in ["systemd", "systemdUser"] {
        assert_eq!(linux["cgroup"][name], true, "{name}");
    }
    for name in ["apparmor", "selinux", "netDevices"] {
        assert_eq!(linux[name]["enabled"], true, "{name}");
    }
    for name in ["enabled", "schemata", "monitoring"] {
        assert_eq!(linux["intelRdt"][name], true, "{name}");
    }
    assert_eq!(linux["mountExtensions"]["idmap"]["enabled"], true);
    features_of_tables(linux);
}

/// The closed sets of words of seccomp and of memory policies.
fn features_of_tables(linux: &Value) {
    let seccomp = &linux["seccomp"];
    assert_eq!(seccomp["enabled"], true);
    let action = |name: &str| format!("SCMP_ACT_{name}");
    let actions = [
        "ALLOW",
        "ERRNO",
        "KILL",
        "KILL_PROCESS",
        "KILL_THREAD",
        "LOG",
        "NOTIFY",
        "TRACE",
        "TRAP",
    ];
    let expected: BTreeSet<String> = actions.iter().map(|name| action(name)).collect();
    let told = |list: &Value| {
        words(list)
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(told(&seccomp["actions"]), expected);
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let expected: BTreeSet<String> = operators
        .iter()
        .map(|name| format!("SCMP_CMP_{name}"))
        .collect();
    assert_eq!(told(&seccomp["operators"]), expected);
    let archs = words(&seccomp["archs"]);
    assert!(
        archs.len() >= 3 && archs.contains("SCMP_ARCH_AARCH64"),
        "{archs:?}"
    );
    let flags = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"];
    let expected: BTreeSet<String> = flags
        .iter()
        .map(|name| format!("SECCOMP_FILTER_FLAG_{name}"))
        .collect();
    assert_eq!(told(&seccomp["knownFlags"]), expected);
    assert!(told(&seccomp["supportedFlags"]).is_subset(&expected));
    assert_eq!(words(&linux["memoryPolicy"]["modes"]).len(), 7);
    assert_eq!(words(&linux["memoryPolicy"]["flags"]).len(), 3);
}

/// The specification's schemas and the program that validates by them; none where they cannot be had.
fn schemas() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemas");
    let done = Command::new(root().join("tests/oci-validation/build"))
        .args([directory.as_os_str(), "schemas".as_ref()])
        .output()
        .unwrap();
    if done.status.code() == Some(3) {
        println!("skipped: {}", String::from_utf8_lossy(&done.stdout).trim());
        return None;
    }
    assert!(done.status.success(), "{done:?}");
    Some(directory)
}

fn validate(directory: &Path, schema: &str, document: &Value) {
    let path = directory.join(format!("{schema}-document.json"));
    fs::write(&path, document.to_string()).unwrap();
    let done = Command::new(directory.join("schema"))
        .arg(directory.join("schemas").join(schema))
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(text.contains("The document is valid"), "{schema}: {text}");
}

#[test]
fn documents_agree_with_the_schemas() {
    let Some(directory) = schemas() else { return };
    validate(&directory, "features-schema.json", &features());
    let bundle = directory.join("bundle");
    fs::create_dir_all(&bundle).unwrap();
    let config = bundle.join("config.json");
    drop(fs::remove_file(&config)); // there is none the first time
    let done = Command::new(env!("CARGO_BIN_EXE_corten"))
        .args(["spec".as_ref(), "--bundle".as_ref(), bundle.as_os_str()])
        .status();
    assert!(done.unwrap().success());
    let config = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    validate(&directory, "config-schema.json", &config);
    let state = json!({"ociVersion": 7});
    let result = std::panic::catch_unwind(|| validate(&directory, "state-schema.json", &state));
    assert!(result.is_err(), "the validator accepts everything");
}

/// The plan of a golden case, as text.
fn golden(name: &str) -> String {
    let (_, make) = plans::CASES.iter().find(|(case, _)| *case == name).unwrap();
    show::text(&make())
}

#[test]
fn a_selinux_label_is_written_before_the_namespaces_change() {
    let plan = golden("selinux");
    let label = plan.find("system_u:system_r:box_t:s0").expect(&plan);
    let pivot = plan.find("process.selinuxLabel").expect(&plan);
    assert!(pivot > label, "{plan}");
    assert!(label < plan.find("pivot").expect(&plan), "{plan}");
}

#[test]
fn a_mount_label_is_an_option_of_the_mounts() {
    let plan = golden("selinux");
    for target in ["/dev", "/dev/pts"] {
        let line = plan
            .lines()
            .find(|line| line.contains(&format!("{target} ")) && line.contains("context="));
        assert!(line.is_some(), "{target}: {plan}");
    }
}

#[test]
fn shares_are_written_in_the_order_of_the_specification() {
    let plan = golden("resctrl");
    let steps = [
        "make the group /sys/fs/resctrl/box ",
        "give /sys/fs/resctrl/box the shares L3:0=7f0 MB:0=20 L2:0=f",
        "make the group /sys/fs/resctrl/box/mon_groups/box",
        "clone init",
        "put the process into the group /sys/fs/resctrl/box ",
        "put the process into the group /sys/fs/resctrl/box/mon_groups/box",
        "wait until everything that can fail is done",
    ];
    let places: Vec<usize> = steps
        .iter()
        .map(|step| plan.find(step).expect(step))
        .collect();
    assert!(places.is_sorted(), "{plan}");
    let exec = golden("exec_resctrl");
    assert!(
        exec.contains("into the group /sys/fs/resctrl/box/mon_groups/box"),
        "{exec}"
    );
}
