//! What failed, was killed or was late leaves nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::call::eventually;
use crate::harness::host::patience;
use crate::harness::{Lab, tests};

tests!(
    a_failed_create_removes_the_cgroups_that_it_made_above,
    a_failed_run_removes_the_cgroups_that_it_made_above,
    a_killed_create_leaves_its_cgroups_to_delete,
    cgroups_above_that_others_use_stay,
    a_late_hook_takes_all_along_that_it_started,
    a_late_poststop_hook_takes_all_along_that_it_started,
);

/// `top/middle` below the test's cgroup, and the directory of `top`.
fn nest(lab: &Lab, bundle: &mut crate::harness::Bundle) -> std::path::PathBuf {
    bundle.set(
        "/linux/cgroupsPath",
        json!(format!("{}/top/middle/box", lab.cgroup)),
    );
    lab.cgroup_dir().join("top")
}

fn a_failed_create_removes_the_cgroups_that_it_made_above(lab: &Lab) {
    let mut bundle = lab.bundle();
    let top = nest(lab, &mut bundle);
    bundle.hook("createRuntime", "exit 3");
    let id = lab.id();
    let path = bundle.write();
    lab.corten(&["create", "--bundle", &path, &id])
        .fails(1, "createRuntime");
    assert!(!top.exists());
}

fn a_failed_run_removes_the_cgroups_that_it_made_above(lab: &Lab) {
    let mut bundle = lab.bundle();
    let top = nest(lab, &mut bundle);
    bundle.args(&["/nowhere"]);
    assert_ne!(lab.run(&bundle).code, 0);
    assert!(!top.exists());
}

fn a_killed_create_leaves_its_cgroups_to_delete(lab: &Lab) {
    let mut bundle = lab.bundle();
    let top = nest(lab, &mut bundle);
    let reached = lab.path("reached");
    bundle.hook(
        "createRuntime",
        &format!("echo $$ > {}; exec sleep 1000", reached.display()),
    );
    let (id, path) = (lab.id(), bundle.write());
    let create = lab.call(&["create", "--bundle", &path, &id]).start();
    eventually("the hook runs", || {
        fs::read_to_string(&reached).is_ok_and(|pid| pid.ends_with('\n'))
    });
    create.signal(Signal::SIGKILL);
    create.done();
    assert!(top.join("middle/box").exists());
    lab.corten(&["delete", "--force", &id]).ok();
    assert!(!top.exists());
    assert_ends(&reached);
}

fn cgroups_above_that_others_use_stay(lab: &Lab) {
    let mut bundle = lab.bundle();
    let top = nest(lab, &mut bundle);
    bundle.hook(
        "createRuntime",
        &format!("mkdir {}/other; exit 3", top.display()),
    );
    let (id, path) = (lab.id(), bundle.write());
    lab.corten(&["create", "--bundle", &path, &id])
        .fails(1, "createRuntime");
    assert!(top.join("other").exists() && !top.join("middle").exists());
    fs::remove_dir(top.join("other")).unwrap();
    fs::remove_dir(top).unwrap();
}

/// A daemon in a session of its own whose parents have ended: an orphan. Its number is in `escaped`.
fn escape(lab: &Lab) -> (String, std::path::PathBuf) {
    let escaped = lab.path("escaped");
    let script = format!(
        "setsid sh -c '(sleep 1000 & echo $! > {})'; sleep 1000",
        escaped.display()
    );
    (script, escaped)
}

fn assert_ends(escaped: &Path) {
    let pid = fs::read_to_string(escaped).unwrap();
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    eventually("the daemon of the hook ends", || {
        fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}

/// Seconds in which a hook has started its daemon.
fn timeout() -> u64 {
    patience(Duration::from_secs(1)).as_secs()
}

fn a_late_hook_takes_all_along_that_it_started(lab: &Lab) {
    let (script, escaped) = escape(lab);
    let mut bundle = lab.bundle();
    bundle
        .hook("createRuntime", &script)
        .set("/hooks/createRuntime/0/timeout", json!(timeout()));
    lab.refuse(&bundle)
        .fails(1, &format!("did not end within {} s", timeout()));
    assert_ends(&escaped);
}

fn a_late_poststop_hook_takes_all_along_that_it_started(lab: &Lab) {
    let (script, escaped) = escape(lab);
    let mut bundle = lab.bundle();
    bundle
        .hook("poststop", &script)
        .set("/hooks/poststop/0/timeout", json!(timeout()));
    let (id, path) = (lab.id(), bundle.write());
    let run = lab.corten(&["--debug", "run", "--bundle", &path, &id]).ok();
    let words = format!("did not end within {} s", timeout());
    assert!(run.err.contains(&words), "{run:?}");
    assert_ends(&escaped);
}
