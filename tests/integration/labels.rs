//! Labels of security modules, on a kernel that has one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::checkpoint::{checkpoint, need_criu, restore};
use crate::harness::call::{Call, eventually};
use crate::harness::{Bundle, Container, Lab, skip, tests};

tests![
    an_apparmor_profile_is_seen_inside,
    exec_takes_the_profile_of_the_container_or_its_own,
    a_profile_that_is_not_loaded_is_refused_with_its_field,
    a_container_whose_profile_was_taken_away_is_found,
    a_container_under_another_profile_is_found,
    a_profile_that_only_complains_is_found,
    a_restored_container_has_the_profile_that_is_asked_for,
    an_selinux_label_is_seen_inside_and_exec_takes_it_or_its_own,
    an_selinux_label_that_the_policy_does_not_know_is_refused,
    filesystems_have_the_selinux_mount_label,
    a_keyring_has_the_selinux_label_of_its_container,
    a_container_under_another_selinux_label_is_found,
    a_restored_container_has_the_label_that_is_asked_for,
    restored_filesystems_have_the_label_that_is_asked_for,
];

/// A profile that is loaded for the time of a test.
struct Profile {
    name: String,
    file: PathBuf,
}

impl Profile {
    /// It forbids `/forbidden` and lets change to any other.
    fn load(lab: &Lab, word: &str) -> Self {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if !enabled.is_ok_and(|text| text.starts_with('Y')) {
            skip("this kernel has no AppArmor");
        }
        lab.need_program("apparmor_parser");
        let name = format!("corten_test_{}_{word}", std::process::id());
        let text = format!(
            "profile {name} flags=(attach_disconnected) {{\n file, capability, network, mount, umount, signal, ptrace, \
             unix,\n change_profile -> **,\n deny /forbidden r,\n}}\n"
        );
        let file = lab.file(word, &text);
        let profile = Self { name, file };
        profile.parser(&["--replace"]);
        profile
    }

    fn parser(&self, flags: &[&str]) {
        let mut parser = Command::new("apparmor_parser");
        let status = parser
            .args(flags)
            .arg("--skip-cache")
            .arg(&self.file)
            .status();
        assert!(status.unwrap().success(), "apparmor_parser {flags:?}");
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles");
        if profiles.is_ok_and(|text| text.contains(&format!("{} (", self.name))) {
            self.parser(&["--remove"]);
        }
    }
}

fn under(lab: &Lab, profile: &Profile, script: &str) -> Bundle {
    let mut bundle = lab.bundle();
    fs::write(bundle.rootfs().join("forbidden"), "").unwrap();
    bundle
        .set("/process/apparmorProfile", json!(profile.name))
        .sh(script);
    bundle
}

/// What inspect says of the first process, and the findings of audit.
fn seen(container: &Container<'_>) -> (String, Vec<String>) {
    let inspected = container
        .corten(&["inspect", "--format", "json"], &[])
        .json();
    let label = inspected["process"]["label"].as_str().unwrap().to_owned();
    let audited = container.corten(&["audit", "--format", "json"], &[]).json();
    let findings = audited["containers"][0]["findings"].as_array().unwrap();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = findings
        .iter()
        .map(|finding| word(finding, "kind") + " " + &word(finding, "field"));
    (label, findings.collect())
}

fn an_apparmor_profile_is_seen_inside(lab: &Lab) {
    let profile = Profile::load(lab, "own");
    let script = "cat /proc/self/attr/current; cat /forbidden 2>/dev/null || echo denied";
    let done = lab.run(&under(lab, &profile, script)).ok();
    let label = format!("{} (enforce)", profile.name);
    assert_eq!(done.lines(), [label.as_str(), "denied"]);
}

fn exec_takes_the_profile_of_the_container_or_its_own(lab: &Lab) {
    let (own, other) = (Profile::load(lab, "own"), Profile::load(lab, "other"));
    let container = lab.start(&under(lab, &own, "exec sleep 1000"));
    let label = |flags: &[&str]| {
        let done = container.exec_with(flags, &["cat", "/proc/self/attr/current"]);
        done.ok().out
    };
    assert_eq!(label(&[]), format!("{} (enforce)\n", own.name));
    assert_eq!(
        label(&["--apparmor", &other.name]),
        format!("{} (enforce)\n", other.name)
    );
    container.end();
}

fn a_profile_that_is_not_loaded_is_refused_with_its_field(lab: &Lab) {
    let profile = Profile::load(lab, "own");
    let container = lab.start(&under(lab, &profile, "exec sleep 1000"));
    let done = container.exec_with(&["--apparmor", "corten_no_such"], &["true"]);
    let mut bundle = lab.bundle();
    bundle.set("/process/apparmorProfile", json!("corten_no_such"));
    for done in [done, lab.refuse(&bundle)] {
        assert_ne!(done.code, 0, "{done:?}");
        if lab.is_corten() {
            let text = "process.apparmorProfile: cannot ";
            assert!(done.err.contains(text), "{done:?}");
            assert!(done.err.contains("corten_no_such"), "{done:?}");
            assert!(done.err.contains("is not loaded"), "{done:?}");
        }
    }
    container.end();
}

fn a_container_whose_profile_was_taken_away_is_found(lab: &Lab) {
    lab.need_corten("no other runtime has audit");
    let profile = Profile::load(lab, "own");
    let container = lab.start(&under(lab, &profile, "exec sleep 1000"));
    let label = format!("{} (enforce)", profile.name);
    assert_eq!(seen(&container), (label, Vec::new()));
    profile.parser(&["--remove"]);
    let finding = "MISSING process.apparmorProfile".to_owned();
    assert_eq!(seen(&container), ("unconfined".to_owned(), vec![finding]));
    container.end();
}

fn a_container_under_another_profile_is_found(lab: &Lab) {
    lab.need_corten("no other runtime has audit");
    let (own, other) = (Profile::load(lab, "own"), Profile::load(lab, "other"));
    let script = format!(
        "printf 'changeprofile {}' >/proc/self/attr/current; touch /done; while :; do sleep 1; done",
        other.name
    );
    let bundle = under(lab, &own, &script);
    let container = lab.start(&bundle);
    eventually("the program changes its profile", || {
        bundle.rootfs().join("done").exists()
    });
    let finding = "DIFFERENT process.apparmorProfile".to_owned();
    assert_eq!(
        seen(&container),
        (format!("{} (enforce)", other.name), vec![finding])
    );
    container.end();
}

fn a_profile_that_only_complains_is_found(lab: &Lab) {
    lab.need_corten("no other runtime has audit");
    let profile = Profile::load(lab, "own");
    let container = lab.start(&under(lab, &profile, "exec sleep 1000"));
    profile.parser(&["--Complain", "--replace"]);
    let finding = "WEAKER process.apparmorProfile".to_owned();
    assert_eq!(
        seen(&container),
        (format!("{} (complain)", profile.name), vec![finding])
    );
    container.end();
}

fn a_restored_container_has_the_profile_that_is_asked_for(lab: &Lab) {
    need_criu(lab);
    let (own, other) = (Profile::load(lab, "own"), Profile::load(lab, "other"));
    let bundle = under(lab, &own, "while :; do sleep 1; done");
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    restore(lab, &bundle, &image, &[], &container.id);
    assert_eq!(seen(&container).0, format!("{} (enforce)", own.name));
    let image = checkpoint(lab, &container, &[]);
    let label = format!("apparmor:{}", other.name);
    let flags = ["--lsm-profile", &label];
    restore(lab, &bundle, &image, &flags, &container.id);
    assert_eq!(seen(&container).0, format!("{} (enforce)", other.name));
    container.end();
}

/// tests/lab/selinux has loaded the policy whose labels these are.
fn need_selinux() {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !modules.split(',').any(|name| name.trim() == "selinux") {
        skip("this kernel was not booted with SELinux");
    }
}

const LABEL: &str = "u:r:box_t:s0";

fn labelled(lab: &Lab, script: &str) -> Bundle {
    let mut bundle = lab.bundle();
    bundle.set("/process/selinuxLabel", json!(LABEL)).sh(script);
    bundle
}

fn an_selinux_label_is_seen_inside_and_exec_takes_it_or_its_own(lab: &Lab) {
    need_selinux();
    let container = lab.start(&labelled(lab, "exec sleep 1000"));
    let label = |flags: &[&str]| {
        let done = container.exec_with(flags, &["cat", "/proc/self/attr/current"]);
        done.ok().out.trim_end_matches('\0').to_owned()
    };
    assert_eq!(label(&[]), LABEL);
    assert_eq!(
        label(&["--process-label", "u:r:other_t:s0"]),
        "u:r:other_t:s0"
    );
    assert_eq!(seen(&container), (LABEL.to_owned(), Vec::new()));
    container.end();
}

fn an_selinux_label_that_the_policy_does_not_know_is_refused(lab: &Lab) {
    need_selinux();
    let container = lab.start(&labelled(lab, "exec sleep 1000"));
    let mut bundle = lab.bundle();
    bundle.set("/process/selinuxLabel", json!("u:r:no_such_t:s0"));
    let flags = ["--process-label", "u:r:no_such_t:s0"];
    for done in [lab.refuse(&bundle), container.exec_with(&flags, &["true"])] {
        assert_ne!(done.code, 0, "{done:?}");
        if lab.is_corten() {
            for words in [
                "process.selinuxLabel: cannot ",
                "u:r:no_such_t:s0",
                "the policy does not know the label",
            ] {
                assert!(done.err.contains(words), "{done:?}");
            }
        }
    }
    container.end();
}

fn filesystems_have_the_selinux_mount_label(lab: &Lab) {
    need_selinux();
    let mut bundle = labelled(lab, "exec sleep 1000");
    bundle.set("/linux/mountLabel", json!("u:r:other_t:s0"));
    let container = lab.start(&bundle);
    for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        assert_eq!(label_at(&container, place), "u:r:other_t:s0", "{place}");
    }
    container.end();
}

fn a_keyring_has_the_selinux_label_of_its_container(lab: &Lab) {
    need_selinux();
    lab.need_program("python3");
    let container = lab.start(&labelled(lab, "exec sleep 1000"));
    // keyctl(KEYCTL_GET_SECURITY) of the key that /proc/keys names, in hexadecimal.
    let python = "import ctypes, sys; text = ctypes.create_string_buffer(256); \
                  ctypes.CDLL(None).syscall(250, 17, int(sys.argv[1], 16), text, 256); print(text.value.decode())";
    let script = format!(
        "key=$(grep -F _ses.{}: /proc/keys) && python3 -c '{python}' ${{key%% *}}",
        container.id
    );
    let done = Call::script(lab, &script).done().ok();
    assert_eq!(done.lines(), [LABEL]);
    container.end();
}

fn label_at(container: &Container<'_>, place: &str) -> String {
    let path = format!("/proc/{}/root{place}", container.pid());
    let listed = Command::new("ls").args(["-Zd", &path]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let label = listed.split(' ').next();
    label.unwrap_or_default().to_owned()
}

fn a_container_under_another_selinux_label_is_found(lab: &Lab) {
    lab.need_corten("no other runtime has audit");
    need_selinux();
    let script =
        "printf u:r:other_t:s0 >/proc/self/attr/current; touch /done; while :; do sleep 1; done";
    let bundle = labelled(lab, script);
    let container = lab.start(&bundle);
    eventually("the program changes its label", || {
        bundle.rootfs().join("done").exists()
    });
    let finding = "DIFFERENT process.selinuxLabel".to_owned();
    assert_eq!(
        seen(&container),
        ("u:r:other_t:s0".to_owned(), vec![finding])
    );
    container.end();
}

fn a_restored_container_has_the_label_that_is_asked_for(lab: &Lab) {
    need_criu(lab);
    need_selinux();
    let criu = fs::read(lab.need_program("criu")).unwrap();
    if !criu.windows(10).any(|bytes| bytes == b"libselinux") {
        skip("this criu was built without SELinux");
    }
    let bundle = labelled(lab, "while :; do sleep 1; done");
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    let flags = ["--lsm-profile", "selinux:u:r:other_t:s0"];
    restore(lab, &bundle, &image, &flags, &container.id);
    assert_eq!(seen(&container).0, "u:r:other_t:s0");
    container.end();
}

fn restored_filesystems_have_the_label_that_is_asked_for(lab: &Lab) {
    need_criu(lab);
    need_selinux();
    let mut bundle = labelled(lab, "while :; do sleep 1; done");
    bundle.set("/linux/mountLabel", json!("u:r:other_t:s0"));
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    let flags = ["--lsm-mount-context", "u:r:box_t:s0"];
    restore(lab, &bundle, &image, &flags, &container.id);
    assert_eq!(label_at(&container, "/dev"), "u:r:box_t:s0");
    container.end();
}
