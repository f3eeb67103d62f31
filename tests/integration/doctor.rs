//! `doctor`: it finds what is missing, says what mends it, and leaves nothing behind.

use std::fs;

use serde_json::{Value, json};

use crate::harness::call::Call;
use crate::harness::{Lab, host, skip, tests};

tests![
    doctor_answers_for_everybody_and_leaves_nothing,
    doctor_that_is_ended_leaves_nothing,
    doctor_finds_what_the_host_has,
    a_forbidden_namespace_is_found,
    a_filter_in_the_way_is_found,
    a_missing_program_is_found,
    interfaces_are_found_as_ip_makes_them,
    a_missing_device_is_found,
    a_runtime_directory_that_cannot_be_written_is_found,
    doctor_for_a_plain_user_tries_as_one,
    the_exit_status_of_doctor_is_that_of_the_worst,
];

fn need(lab: &Lab) {
    lab.need_corten("no other runtime has a doctor");
}

/// The answer, whose exit status must fit it.
#[track_caller]
fn page(call: Call) -> Value {
    let done = call.done();
    assert_eq!(done.err, "", "{done:?}");
    let page = done.json();
    let states: Vec<&str> = page["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["state"].as_str().unwrap())
        .collect();
    let status = match () {
        () if states.contains(&"fail") => (2, "fail"),
        () if states.contains(&"warn") => (1, "warn"),
        () => (0, "ok"),
    };
    assert_eq!((done.code, page["state"].as_str().unwrap()), status);
    page
}

fn examined(lab: &Lab, target: &str) -> Call {
    lab.call(&["doctor", "--for", target, "--format", "json"])
}

#[track_caller]
fn check<'a>(page: &'a Value, name: &str) -> &'a Value {
    let checks = page["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {page}"))
}

/// What is left of doctors that have ended; others of these tests have one at work at the same time.
fn left() -> Vec<String> {
    let names = ["/sys/fs/cgroup", "/run"]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let of_the_dead = |name: &String| {
        let pid = name.split("corten-doctor-").nth(1);
        pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists())
    };
    names.filter(of_the_dead).collect()
}

/// The harness itself compares mounts, cgroups and processes after every test.
fn doctor_answers_for_everybody_and_leaves_nothing(lab: &Lab) {
    need(lab);
    for target in ["corten", "docker", "podman", "kubernetes", "rootless"] {
        let page = page(examined(lab, target));
        assert_eq!(
            (&page["version"], &page["for"]),
            (&json!(1), &json!(target))
        );
        for check in page["checks"].as_array().unwrap() {
            let has_remedy = check["mend"].is_string();
            assert_eq!(has_remedy, check["state"] != "ok", "{check}");
            assert!(!check["why"].as_str().unwrap().is_empty());
        }
        assert_eq!(left(), [""; 0], "{target}");
    }
    let text = lab.corten(&["doctor"]).out;
    assert!(text.contains("\nok    openat2  "), "{text}");
}

fn doctor_that_is_ended_leaves_nothing(lab: &Lab) {
    need(lab);
    for milliseconds in (2..60).step_by(6) {
        let script = format!("exec timeout --signal INT 0.{milliseconds:03} \"$@\"");
        lab.call(&["doctor"]).within(lab, &script).done();
        assert_eq!(left(), [""; 0], "after {milliseconds} ms");
    }
}

/// Containers are made by these very tests, so what they take is there.
fn doctor_finds_what_the_host_has(lab: &Lab) {
    need(lab);
    let page = page(examined(lab, "corten"));
    for name in [
        "kernel",
        "mount namespace",
        "pid namespace",
        "network namespace",
        "user namespace",
        "mount calls",
        "openat2",
        "pidfd",
        "seccomp filter",
        "cgroup of its own",
        "clone3 into a cgroup",
        "cgroup.kill",
        "cgroup.freeze",
        "device programs",
        "runtime directory",
    ] {
        assert_eq!(check(&page, name)["state"], "ok", "{}", check(&page, name));
    }
    for name in ["memory", "cpu", "pids", "io"] {
        let found = check(&page, &format!("{name} controller"));
        let expected = host::controllers().iter().any(|have| have == name);
        // Without a count of swap, memory is there with something to know.
        let is_there = found["state"] == "ok" || found["found"] == "swap is not limited";
        assert_eq!(is_there, expected, "{found}");
    }
}

/// Limits of namespaces are those of the user namespace that one is in, so this is not the host's.
fn a_forbidden_namespace_is_found(lab: &Lab) {
    need(lab);
    let within = |knob: &str| {
        let script = format!(
            "exec unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/{knob} && exec \"$@\"' sh \"$@\""
        );
        page(examined(lab, "rootless").within(lab, &script))
    };
    let page = within("max_user_namespaces");
    let found = check(&page, "user namespace");
    assert_eq!(
        (&found["state"], &found["found"]),
        (&json!("fail"), &json!("no space left on device"))
    );
    assert_eq!(found["mend"], "sysctl -w user.max_user_namespaces=28633");
    assert_eq!(
        check(&page, "user.max_*_namespaces")["found"],
        "user.max_user_namespaces = 0"
    );
    let page = within("max_net_namespaces");
    assert_eq!(check(&page, "user namespace")["state"], "ok");
    assert_eq!(check(&page, "network namespace")["state"], "fail");
}

/// In a container whose filter does not know some calls, as one of an old engine.
fn a_filter_in_the_way_is_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.bundle();
    fs::copy(host::binary(), bundle.rootfs().join("bin/corten")).unwrap();
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["openat2", "pidfd_open", "fsopen"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]});
    bundle
        .set("/linux/seccomp", filter)
        .args(&["corten", "doctor", "--for", "corten", "--format", "json"]);
    let done = lab.run(&bundle);
    assert_eq!(done.code, 2, "{done:?}");
    let page = done.json();
    for name in ["openat2", "pidfd", "mount calls", "device programs"] {
        assert_eq!(
            check(&page, name)["state"],
            "fail",
            "{}",
            check(&page, name)
        );
    }
    assert_eq!(check(&page, "openat2")["found"], "function not implemented");
    assert_eq!(check(&page, "seccomp filter")["state"], "ok");
}

fn interfaces_are_found_as_ip_makes_them(lab: &Lab) {
    need(lab);
    lab.need_program("ip");
    let page = page(examined(lab, "docker"));
    for (name, kind) in [("veth pair", "veth"), ("bridge", "bridge")] {
        let script = format!("unshare --net ip link add trial0 type {kind}");
        let works = Call::script(lab, &script).done().code == 0;
        let wanted = if works { "ok" } else { "fail" };
        assert_eq!(check(&page, name)["state"], wanted, "{page}");
    }
}

fn a_missing_device_is_found(lab: &Lab) {
    need(lab);
    if !std::path::Path::new("/dev/net/tun").exists() {
        skip("/dev/net/tun is not there anyway");
    }
    let hidden =
        "exec unshare --mount sh -c 'mount -t tmpfs none /dev/net && exec \"$@\"' sh \"$@\"";
    let page = page(examined(lab, "rootless").within(lab, hidden));
    let tun = check(&page, "/dev/net/tun");
    assert_eq!(
        (&tun["state"], &tun["mend"]),
        (&json!("warn"), &json!("modprobe tun"))
    );
}

fn a_missing_program_is_found(lab: &Lab) {
    need(lab);
    let empty = lab.path("empty");
    fs::create_dir(&empty).unwrap();
    // Programs of administrators are looked for anyway; those of users are not among them.
    let call = examined(lab, "rootless").env("PATH", &empty.display().to_string());
    let page = page(call);
    let found = check(&page, "newuidmap and newgidmap");
    assert_eq!(
        (&found["state"], &found["mend"]),
        (&json!("fail"), &json!("apt install uidmap"))
    );
}

fn a_runtime_directory_that_cannot_be_written_is_found(lab: &Lab) {
    need(lab);
    let script = "exec unshare --mount sh -c 'mount --bind /run /run && mount -o remount,bind,ro /run && exec \"$@\"' sh \"$@\"";
    let page = page(examined(lab, "corten").within(lab, script));
    let found = check(&page, "runtime directory");
    assert_eq!(found["state"], "fail");
    assert!(
        found["found"].as_str().unwrap().contains("Read-only"),
        "{found}"
    );
}

fn doctor_for_a_plain_user_tries_as_one(lab: &Lab) {
    need(lab);
    lab.need_program("setpriv");
    let binary = lab.file("corten", "");
    fs::copy(host::binary(), &binary).unwrap();
    std::os::unix::fs::chown(&binary, Some(4321), None).unwrap();
    let mut call = Call::new(lab, &binary);
    for word in ["doctor", "--format", "json"] {
        call.arg(word);
    }
    let home = lab.dir.display().to_string();
    let script = "exec setpriv --reuid 4321 --regid 4321 --clear-groups --inh-caps=-all \"$@\"";
    let page = page(call.within(lab, script).env("XDG_RUNTIME_DIR", &home));
    assert_eq!(page["for"], "rootless");
    if check(&page, "user namespace")["state"] != "ok" {
        skip("a plain user gets no user namespace here");
    }
    for name in [
        "mount namespace",
        "network namespace",
        "mount calls",
        "user namespace of a plain user",
    ] {
        assert_eq!(check(&page, name)["state"], "ok", "{}", check(&page, name));
    }
    assert_eq!(check(&page, "cgroup of its own")["state"], "warn");
    assert_eq!(check(&page, "runtime directory")["state"], "fail", "{page}");
    assert!(
        check(&page, "subordinate ids")["found"]
            .as_str()
            .unwrap()
            .contains("for #4321")
    );
}

fn the_exit_status_of_doctor_is_that_of_the_worst(lab: &Lab) {
    need(lab);
    // `page` compares; a wrong flag is told apart by nothing but its words.
    page(examined(lab, "docker"));
    lab.corten(&["doctor", "--for", "nobody"])
        .fails(2, "nobody");
}
