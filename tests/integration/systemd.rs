//! `--systemd-cgroup`: the container's cgroup is a unit of systemd's.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::call::{Call, eventually};
use crate::harness::{Bundle, Done, Lab, host, rootfs, skip, tests};

tests![
    a_cgroups_path_that_is_no_unit_is_refused,
    a_property_without_a_name_or_a_value_is_refused,
    without_systemd_there_is_no_unit,
    a_container_is_a_scope_with_its_limits,
    other_limits_are_told_to_systemd,
    annotations_are_properties_of_the_unit,
    processes_of_a_scope_may_begin_in_a_cgroup_below,
    the_container_s_cgroup_may_be_one_below_its_scope,
    a_slice_has_no_cgroup_below_for_processes,
    a_unit_that_is_there_is_not_taken,
    a_unit_goes_with_its_container,
    from_a_login_the_user_s_systemd_moves_processes_into_units,
];

const PRIVATE: &str = "/run/systemd/private";

fn need_systemd(lab: &Lab) {
    lab.need_corten("runc would need a bus");
    if !Path::new(PRIVATE).exists() {
        skip("systemd does not run here");
    }
}

/// The name of the scope of a container with this id, in a slice of the tests'.
fn scope(id: &str) -> String {
    format!("test-{id}.scope")
}

fn directory(id: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup/corten.slice/corten-tests.slice").join(scope(id))
}

fn bundle(lab: &Lab, id: &str) -> Bundle {
    let mut bundle = lab.sleeper();
    let path = format!("corten-tests.slice:test:{id}");
    bundle.set("/linux/cgroupsPath", json!(path));
    bundle
}

fn start(lab: &Lab, bundle: &Bundle, id: &str) -> Done {
    let path = bundle.write();
    lab.corten(&["--systemd-cgroup", "run", "--detach", "--bundle", &path, id])
}

/// A property as systemctl prints it.
fn property(lab: &Lab, id: &str, name: &str) -> String {
    let mut call = Call::new(lab, &lab.need_program("systemctl"));
    for word in ["show", "--value", "--property", name, &scope(id)] {
        call.arg(word);
    }
    call.done().ok().out.trim().to_owned()
}

fn end(lab: &Lab, id: &str) {
    lab.corten(&["delete", "--force", id]).ok();
    assert!(!directory(id).exists(), "the cgroup is left");
}

fn a_cgroups_path_that_is_no_unit_is_refused(lab: &Lab) {
    lab.need_corten("runc connects first");
    let mut bundle = lab.bundle();
    for (path, words) in [
        (
            "/a/b",
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead",
        ),
        ("a--b.slice:c:d", "\"a--b.slice\" is no name of a slice"),
    ] {
        bundle.set("/linux/cgroupsPath", json!(path));
        start(lab, &bundle, &lab.id())
            .fails(1, "linux.cgroupsPath")
            .fails(1, words);
    }
}

fn a_property_without_a_name_or_a_value_is_refused(lab: &Lab) {
    lab.need_corten("runc connects first");
    let id = lab.id();
    for (key, value, words) in [
        (
            "org.systemd.property.a",
            "true",
            "\"a\" is no name of a property",
        ),
        (
            "org.systemd.property.KillMode",
            "mixed",
            "\"mixed\" is no value",
        ),
    ] {
        let mut bundle = bundle(lab, &id);
        bundle.set("/annotations", json!({key: value}));
        start(lab, &bundle, &id).fails(1, key).fails(1, words);
    }
}

fn without_systemd_there_is_no_unit(lab: &Lab) {
    lab.need_corten("the words are ours");
    if Path::new(PRIVATE).exists() {
        skip("systemd runs here");
    }
    let id = lab.id();
    start(lab, &bundle(lab, &id), &id).fails(1, "linux.cgroupsPath: cannot connect to systemd: ");
    lab.corten(&["state", &id])
        .fails(1, "container does not exist");
}

fn a_container_is_a_scope_with_its_limits(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    let mut bundle = bundle(lab, &id);
    bundle.set(
        "/linux/resources",
        json!({
            "memory": {"limit": 50_003_968},
            "pids": {"limit": 20},
            "cpu": {"quota": 5000, "period": 100_000, "shares": 100},
        }),
    );
    start(lab, &bundle, &id).ok();
    for (name, value) in [
        ("Slice", "corten-tests.slice"),
        ("Delegate", "yes"),
        ("MemoryMax", "50003968"),
        ("TasksMax", "20"),
        ("CPUQuotaPerSecUSec", "50ms"),
    ] {
        assert_eq!(property(lab, &id, name), value, "{name}");
    }
    for (file, value) in [
        ("memory.max", "50003968\n"),
        ("pids.max", "20\n"),
        ("cpu.max", "5000 100000\n"),
    ] {
        assert_eq!(
            fs::read_to_string(directory(&id).join(file)).unwrap(),
            value
        );
    }
    // The placeholder is gone: the program is alone, and `exec` comes to it.
    let members = || fs::read_to_string(directory(&id).join("cgroup.procs")).unwrap();
    assert_eq!(members().lines().count(), 1);
    lab.corten(&["exec", "--detach", &id, "sleep", "1000"]).ok();
    assert_eq!(members().lines().count(), 2);
    lab.corten(&["audit", &id]).ok();
    end(lab, &id);
}

fn other_limits_are_told_to_systemd(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    start(lab, &bundle(lab, &id), &id).ok();
    lab.corten(&["update", "--pids-limit", "30", "--cpu-quota", "5001", &id])
        .ok();
    assert_eq!(property(lab, &id, "TasksMax"), "30");
    // systemd counts in steps, and the file says the same.
    assert_eq!(property(lab, &id, "CPUQuotaPerSecUSec"), "60ms");
    let max = fs::read_to_string(directory(&id).join("cpu.max")).unwrap();
    assert_eq!(max, "6000 100000\n");
    // Idleness and a weight are one property: the weight is dropped aloud, and given alone ends the idleness.
    let both = ["--cpu-share", "200", "--cpu-idle", "1"];
    let file = lab.file(
        "both.json",
        r#"{"unified": {"cpu.idle": "1", "cpu.weight": "8"}}"#,
    );
    let unified = ["--resources", file.to_str().unwrap()];
    let idle = || fs::read_to_string(directory(&id).join("cpu.idle")).unwrap();
    for flags in [&both[..], &unified] {
        let done = lab.corten(&[&["update"], flags, &[&id]].concat()).ok();
        assert!(done.err.contains("unable to apply both"), "{done:?}");
        assert_eq!(idle(), "1\n");
        lab.corten(&["update", "--cpu-share", "200", &id]).ok();
        assert_eq!(idle(), "0\n");
    }
    let file = lab.file("busy.json", r#"{"unified": {"cpu.idle": "0"}}"#);
    lab.corten(&["update", "--resources", file.to_str().unwrap(), &id])
        .ok();
    lab.corten(&["audit", &id]).ok();
    fs::write(directory(&id).join("pids.max"), "40").unwrap();
    let raised = lab.corten(&["audit", &id]).fails(1, "").out;
    assert!(raised.contains("linux.resources.pids.limit"), "{raised}");
    end(lab, &id);
}

fn processes_of_a_scope_may_begin_in_a_cgroup_below(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    let mut bundle = bundle(lab, &id);
    bundle.set("/annotations", json!({"run.oci.delegate-cgroup": "init"}));
    start(lab, &bundle, &id).ok();
    let members = |cgroup: PathBuf| fs::read_to_string(cgroup.join("cgroup.procs")).unwrap();
    assert_eq!(members(directory(&id)), "");
    assert_eq!(members(directory(&id).join("init")).lines().count(), 1);
    lab.corten(&["exec", &id, "true"]).ok();
    end(lab, &id);
}

/// The annotation is crun's.
fn the_container_s_cgroup_may_be_one_below_its_scope(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    let mut bundle = bundle(lab, &id);
    bundle
        .set(
            "/annotations",
            json!({"run.oci.systemd.subgroup": "box", "run.oci.delegate-cgroup": "init"}),
        )
        .set("/linux/resources", json!({"pids": {"limit": 20}}));
    start(lab, &bundle, &id).ok();
    let scope = directory(&id);
    let read = |file: &str| fs::read_to_string(scope.join(file)).unwrap();
    let members = |cgroup: &str| read(&format!("{cgroup}/cgroup.procs")).lines().count();
    assert_eq!(
        (members("."), members("box"), members("box/init")),
        (0, 0, 1)
    );
    // systemd knows the limit, and the container's cgroup has it.
    assert_eq!(property(lab, &id, "TasksMax"), "20");
    assert_eq!(read("box/pids.max"), "20\n");
    lab.corten(&["update", "--pids-limit", "30", "--memory", "64M", &id])
        .ok();
    assert_eq!(property(lab, &id, "TasksMax"), "30");
    assert_eq!(
        (read("box/pids.max").trim(), read("box/memory.max").trim()),
        ("30", "67108864")
    );
    lab.corten(&["exec", &id, "true"]).ok();
    lab.corten(&["pause", &id]).ok();
    assert!(read("box/cgroup.events").contains("frozen 1"));
    lab.corten(&["resume", &id]).ok();
    let inspected = lab.corten(&["inspect", "--format", "json", &id]).json();
    let path = format!("/corten.slice/corten-tests.slice/test-{id}.scope/box");
    assert_eq!(inspected["cgroup"]["path"], path);
    end(lab, &id);
}

fn a_slice_has_no_cgroup_below_for_processes(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    let mut bundle = bundle(lab, &id);
    bundle
        .set(
            "/linux/cgroupsPath",
            json!("corten-tests.slice::corten-tests-a.slice"),
        )
        .set("/annotations", json!({"run.oci.systemd.subgroup": "box"}));
    start(lab, &bundle, &id).fails(1, "annotations[\"run.oci.systemd.subgroup\"]");
}

fn annotations_are_properties_of_the_unit(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    let mut bundle = bundle(lab, &id);
    bundle.set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopSec": "7",
            "org.systemd.property.KillMode": "'mixed'",
            "org.systemd.property.KillSignal": "10",
        }),
    );
    start(lab, &bundle, &id).ok();
    for (name, value) in [
        ("TimeoutStopUSec", "7s"),
        ("KillMode", "mixed"),
        ("KillSignal", "10"),
    ] {
        assert_eq!(property(lab, &id, name), value, "{name}");
    }
    end(lab, &id);
    bundle.set(
        "/annotations",
        json!({"org.systemd.property.Nonsense": "true"}),
    );
    start(lab, &bundle, &id).fails(1, "Nonsense");
    lab.corten(&["state", &id])
        .fails(1, "container does not exist");
}

fn a_unit_that_is_there_is_not_taken(lab: &Lab) {
    need_systemd(lab);
    let (id, other) = (lab.id(), lab.id());
    let bundle = bundle(lab, &id);
    start(lab, &bundle, &id).ok();
    start(lab, &bundle, &other).fails(1, "container's cgroup is not empty");
    lab.corten(&["state", &other])
        .fails(1, "container does not exist");
    assert_eq!(property(lab, &id, "ActiveState"), "active");
    assert_eq!(lab.corten(&["state", &id]).ok().json()["status"], "running");
    end(lab, &id);
}

fn a_unit_goes_with_its_container(lab: &Lab) {
    need_systemd(lab);
    let id = lab.id();
    let bundle = bundle(lab, &id);
    for _ in 0..3 {
        start(lab, &bundle, &id).ok();
        assert_eq!(property(lab, &id, "ActiveState"), "active");
        end(lab, &id);
        assert_eq!(property(lab, &id, "ActiveState"), "inactive");
    }
}

/// Whom this host knows, and who has no containers.
const GAMES: u32 = 5;

/// A command of a user who is in no unit of the own systemd, as after a login.
fn by_games(lab: &Lab, home: &Path, words: &[&str]) -> Done {
    let mut call = Call::new(lab, &host::binary());
    for word in [&["--systemd-cgroup"], words].concat() {
        call.arg(word);
    }
    let script = format!(
        "cd {} && exec nsenter --mount=/proc/1/ns/mnt --wd=. setpriv --reuid {GAMES} --regid {GAMES} --clear-groups --inh-caps=-all \"$@\"",
        home.display()
    );
    call.within(lab, &script)
        .env("HOME", &home.display().to_string())
        .env("XDG_RUNTIME_DIR", &format!("/run/user/{GAMES}"))
        .done()
}

fn from_a_login_the_user_s_systemd_moves_processes_into_units(lab: &Lab) {
    need_systemd(lab);
    let service = format!("user@{GAMES}.service");
    let manager = |verb: &str| {
        let mut call = Call::new(lab, &lab.need_program("systemctl"));
        call.arg(verb).arg(&service);
        call.deadline(std::time::Duration::from_secs(90)).done()
    };
    if manager("start").code != 0 {
        skip("no systemd of a user can be started here");
    }
    // systemd mounts that directory where the test does not see it.
    let bus = format!("/proc/1/root/run/user/{GAMES}/systemd/private");
    eventually("the user's systemd listens", || Path::new(&bus).exists());
    let home = lab.path("home");
    fs::create_dir(&home).unwrap();
    let mut bundle = lab.bundle();
    rootfs::give(&home, GAMES);
    rootfs::give(&bundle.dir, GAMES);
    let dir = bundle.dir.display().to_string();
    by_games(lab, &home, &["spec", "--rootless", "--bundle", &dir]).ok();
    let text = fs::read(bundle.dir.join("config.json")).unwrap();
    bundle.config = serde_json::from_slice(&text).unwrap();
    bundle
        .set("/process/terminal", json!(false))
        .unshare("cgroup")
        .args(&["sleep", "1000"]);
    let scope = |id: &str| format!("/{service}/user.slice/runc-{id}.scope");
    let id = lab.id();
    lives_in(lab, &home, &bundle, &id, &scope(&id));
    bundle.set("/annotations", json!({"run.oci.systemd.subgroup": "box"}));
    let id = lab.id();
    lives_in(lab, &home, &bundle, &id, &(scope(&id) + "/box"));
    manager("stop").ok();
}

/// A container of the user's, and what `exec` starts in it.
fn lives_in(lab: &Lab, home: &Path, bundle: &Bundle, id: &str, place: &str) {
    let dir = bundle.write();
    let words = ["run", "--detach", "--bundle", &dir, id];
    by_games(lab, home, &words).ok();
    let seen = by_games(lab, home, &["exec", id, "cat", "/proc/1/cgroup"]);
    assert_eq!(
        seen.ok().out,
        "0::/\n",
        "its cgroup is the root of what it sees"
    );
    let state = by_games(lab, home, &["state", id]).ok().json();
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).unwrap();
    assert!(cgroup.trim_end().ends_with(place), "{cgroup}");
    let exec = ["exec", "--detach", id, "sleep", "1000"];
    by_games(lab, home, &exec).ok();
    let pids = by_games(lab, home, &["ps", "--format", "json", id]).ok();
    let pids = pids.json();
    assert_eq!(pids.as_array().unwrap().len(), 2, "{pids}");
    by_games(lab, home, &["delete", "--force", id]).ok();
}
