//! What runc's own suite found to be different, each as a claim.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::harness::call::{Call, eventually};
use crate::harness::pty::ConsoleSocket;
use crate::harness::{Bundle, Lab, skip, tests};

tests![
    a_request_to_end_reaches_a_container_that_was_not_started,
    signal_0_asks_whether_the_container_is_there,
    exec_follows_a_first_process_that_has_moved_into_a_cgroup_below,
    exec_passes_the_listener_of_its_filter_on,
    added_capabilities_that_are_inheritable_become_ambient,
    a_read_only_dev_still_gets_its_devices,
    a_mount_may_come_from_one_before_it,
    an_idmapped_mount_may_come_from_one_before_it_in_a_user_namespace,
    a_destination_may_be_written_as_the_host_knows_it,
    a_tmpfs_is_mounted_with_the_mode_of_what_it_hides,
    the_caller_s_cpus_are_not_the_container_s,
    a_subgroup_without_a_name_is_none,
    a_flag_of_a_bind_mount_replaces_those_of_its_source,
    a_bind_mount_without_flags_keeps_those_of_its_source,
    a_path_that_is_masked_twice_is_masked_once,
    a_start_container_hook_is_behind_the_filter_and_has_the_environment,
    a_create_container_hook_begins_at_the_root,
    a_cgroup_that_somebody_froze_is_left_to_them,
    the_last_home_counts,
    a_failed_hook_is_told_though_the_program_has_ended,
    a_device_ptmx_is_the_link_of_the_specification,
    a_quota_alone_keeps_the_period,
    a_page_size_may_be_spelt_in_small_letters,
    the_words_of_a_wrong_memory_policy,
    of_two_creates_of_one_id_exactly_one_wins,
    help_begins_with_the_name,
    memory_and_swap_are_checked_before_an_update,
    groups_of_the_caller_are_kept_when_asked_for,
    a_filter_may_come_compiled,
    an_unknown_call_may_be_an_error,
    a_pidfd_goes_to_the_receiver_of_the_annotation,
    an_expression_means_all_containers_whose_id_it_matches,
];

fn a_request_to_end_reaches_a_container_that_was_not_started(lab: &Lab) {
    for signal in ["TERM", "INT", "HUP", "QUIT", ""] {
        let container = lab.create(&lab.sleeper());
        container.kill(signal);
        container.wait();
        assert_eq!(container.status(), "stopped", "{signal}");
        container.delete();
    }
}

fn signal_0_asks_whether_the_container_is_there(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    container.kill("0");
    assert_eq!(container.status(), "running");
    container.kill("KILL");
    container.wait();
    container
        .corten(&["kill"], &["0"])
        .fails(1, "container not running");
    container.delete();
}

/// The cgroup mount of the bundle, writable.
fn with_own_cgroups(lab: &Lab, script: &str) -> Bundle {
    let mut bundle = lab.bundle();
    bundle.sh(script).unshare("cgroup");
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    for mount in mounts {
        if mount["destination"] == "/sys/fs/cgroup" {
            mount["options"] = json!(["rw"]);
        }
    }
    bundle
}

fn exec_follows_a_first_process_that_has_moved_into_a_cgroup_below(lab: &Lab) {
    lab.need_corten("runc 1.1 joins the cgroup that takes nobody");
    let Some(controller) = crate::harness::host::controllers().pop() else {
        crate::harness::skip("the cgroup v2 tree of this host has no controller");
    };
    let script = format!(
        "cd /sys/fs/cgroup && mkdir below && echo 1 >below/cgroup.procs && echo +{controller} >cgroup.subtree_control && touch /ready; sleep 1000"
    );
    let bundle = with_own_cgroups(lab, &script);
    let container = lab.start(&bundle);
    let ready = bundle.rootfs().join("ready");
    eventually("it hands a controller down", || ready.exists());
    let members = container.exec(&["cat", "/proc/self/cgroup"]).ok();
    assert!(members.lines().contains(&"0::/below"), "{members:?}");
    container.exec_with(&["--cgroup", "below"], &["true"]).ok();
    container.end();
}

fn exec_passes_the_listener_of_its_filter_on(lab: &Lab) {
    lab.need_corten("runc 1.1 sends the state of another shape");
    let path = lab.path("agent");
    let agent = UnixListener::bind(&path).unwrap();
    let received = std::thread::spawn(move || {
        let states = agent.incoming().take(2).map(|stream| {
            let mut state = String::new();
            stream.unwrap().read_to_string(&mut state).unwrap();
            serde_json::from_str::<serde_json::Value>(&state).unwrap()
        });
        states.collect::<Vec<_>>()
    });
    let mut bundle = lab.sleeper();
    bundle.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path.display().to_string(),
            "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_NOTIFY"}],
        }),
    );
    let container = lab.start(&bundle);
    container.exec(&["true"]).ok();
    let states = received.join().unwrap();
    assert_eq!(states[0]["state"]["status"], "creating");
    assert_eq!(states[1]["state"]["status"], "running");
    assert_eq!(states[1]["state"]["pid"], container.pid());
    assert_ne!(states[1]["pid"], states[1]["state"]["pid"]);
    container.end();
}

fn added_capabilities_that_are_inheritable_become_ambient(lab: &Lab) {
    lab.need_corten("runc 1.1 does otherwise");
    let mut bundle = lab.sleeper();
    bundle
        .set("/process/capabilities/inheritable", json!(["CAP_SYSLOG"]))
        .set("/process/capabilities/bounding/-", json!("CAP_SYSLOG"))
        .set("/process/capabilities/permitted/-", json!("CAP_SYSLOG"))
        .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let container = lab.start(&bundle);
    let set = |flags: &[&str]| {
        let out = container
            .exec_with(flags, &["grep", "CapAmb", "/proc/self/status"])
            .ok()
            .out;
        u64::from_str_radix(out.split_whitespace().last().unwrap(), 16).unwrap()
    };
    assert_eq!(set(&["--cap", "CAP_SYSLOG"]), 1 << 34);
    assert_eq!(set(&["--cap", "CAP_SYS_BOOT"]), 0);
    container.end();
}

fn a_read_only_dev_still_gets_its_devices(lab: &Lab) {
    let mut bundle = lab.bundle();
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["destination"] == "/dev" {
            mount["options"] = json!(["nosuid", "mode=755", "ro"]);
        }
    }
    bundle.sh("ls -l /dev/null /dev/pts/ptmx >/dev/null && touch /dev/new");
    let done = lab.run(&bundle);
    assert!(
        done.code == 1 && done.err.contains("Read-only file system"),
        "{done:?}"
    );
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
}

fn a_mount_may_come_from_one_before_it(lab: &Lab) {
    let mut bundle = lab.bundle();
    let inside = bundle.rootfs().join("first/below");
    let source = lab.path("source");
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("below/file"), "of the first").unwrap();
    bundle.bind(&source, "/first", &["bind"]);
    bundle.bind(&inside, "/second", &["bind"]);
    bundle.args(&["cat", "/second/file"]);
    assert_eq!(lab.run(&bundle).ok().out, "of the first");
}

fn an_idmapped_mount_may_come_from_one_before_it_in_a_user_namespace(lab: &Lab) {
    lab.need_corten("runc 1.1 has no id-mapped mounts");
    let mut bundle = lab.bundle();
    bundle.userns();
    let inside = bundle.rootfs().join("first/below");
    let source = lab.path("source");
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("below/file"), "of the first\n").unwrap();
    bundle.bind(&source, "/first", &["bind"]);
    for (destination, options) in [
        ("/second", &["bind", "idmap"][..]),
        ("/third", &["rbind", "ridmap", "ro"]),
    ] {
        bundle.bind(&inside, destination, options);
    }
    bundle.sh("cat /second/file; stat -c %u:%g /first/below/file /second/file /third/file; touch /third/x");
    let done = lab.run(&bundle);
    let expected = "of the first\n65534:65534\n0:0\n0:0\n";
    assert_eq!((done.out.as_str(), done.code), (expected, 1), "{done:?}");
    assert!(done.err.contains("Read-only"), "{done:?}");
}

fn a_destination_may_be_written_as_the_host_knows_it(lab: &Lab) {
    let mut bundle = lab.bundle();
    let file = lab.file("file", "text");
    let destination = bundle.rootfs().join("there").display().to_string();
    bundle.bind(&file, &destination, &["bind"]);
    bundle.args(&["cat", "/there"]);
    assert_eq!(lab.run(&bundle).ok().out, "text");
}

fn a_tmpfs_is_mounted_with_the_mode_of_what_it_hides(lab: &Lab) {
    let mut bundle = lab.bundle();
    let hidden = bundle.rootfs().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o1710)).unwrap();
    bundle.mount("tmpfs", "tmpfs", "/hidden", &[]);
    bundle.mount("tmpfs", "tmpfs", "/missing", &[]);
    bundle.sh("stat -c %a /hidden /missing; grep -E ' /(hidden|missing) ' /proc/mounts");
    let out = lab.run(&bundle).ok().out;
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[..2], ["1710", "1777"], "{out}");
    assert!(lines[2].contains("mode=1710"), "{out}");
    assert!(!lines[3].contains("mode="), "{out}");
}

fn a_subgroup_without_a_name_is_none(lab: &Lab) {
    lab.need_corten("the annotation is crun's");
    let mut bundle = lab.bundle();
    bundle.args(&["true"]);
    for (name, warns) in [("box", true), ("", false)] {
        bundle.set("/annotations", json!({"run.oci.systemd.subgroup": name}));
        let done = lab.run_with_warnings(&bundle).ok();
        let said = done.err.contains("run.oci.systemd.subgroup");
        assert_eq!(said, warns, "{name:?}: {done:?}");
    }
}

fn the_caller_s_cpus_are_not_the_container_s(lab: &Lab) {
    lab.need_corten("runc 1.1 keeps them");
    let list = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("Cpus_allowed_list:"));
        line.unwrap_or_default().to_owned()
    };
    let own = list(&fs::read_to_string("/proc/self/status").unwrap());
    let Some((first, _)) = own
        .trim_start_matches("Cpus_allowed_list:")
        .trim()
        .split_once(['-', ','])
    else {
        skip("there is one CPU");
    };
    let narrow = |words: &[&str]| {
        let mut call = Call::new(lab, &lab.need_program("taskset"));
        let binary = crate::harness::host::binary().display().to_string();
        let root = lab.root.display().to_string();
        for word in [&["-c", first, &binary, "--root", &root][..], words].concat() {
            call.arg(word);
        }
        list(&call.done().ok().out)
    };
    let mut bundle = lab.bundle();
    bundle.args(&["cat", "/proc/self/status"]);
    let id = lab.id();
    assert_eq!(narrow(&["run", "--bundle", &bundle.write(), &id]), own);
    let container = lab.start(&lab.sleeper());
    assert_eq!(
        narrow(&["exec", &container.id, "cat", "/proc/self/status"]),
        own
    );
    container.end();
}

/// The flags of a bind mount, as the container sees them, of a tmpfs with these flags.
fn flags_of_bind(lab: &Lab, of_source: &str, options: &[&str]) -> String {
    let source = lab.path("source");
    fs::create_dir(&source).unwrap();
    let mount = |words: &[&str]| {
        let mut call = crate::harness::call::Call::new(lab, &lab.need_program("mount"));
        for word in words {
            call.arg(word);
        }
        call.done().ok();
    };
    let path = source.display().to_string();
    mount(&["-t", "tmpfs", "tmpfs", &path]);
    mount(&["-o", &format!("remount,bind,{of_source}"), &path]);
    let mut bundle = lab.bundle();
    bundle.bind(&source, "/bound", options);
    bundle.sh("grep ' /bound ' /proc/self/mounts | cut -d' ' -f4");
    let done = lab.run(&bundle);
    nix::mount::umount(&source).unwrap();
    format!(",{},", done.ok().out.trim())
}

fn a_flag_of_a_bind_mount_replaces_those_of_its_source(lab: &Lab) {
    lab.need_corten("runc 1.1 does otherwise");
    let flags = flags_of_bind(lab, "ro,nosuid,nodev,noexec", &["bind", "nosuid"]);
    assert!(
        flags.contains(",rw,") && flags.contains(",nosuid,"),
        "{flags}"
    );
    assert!(
        !flags.contains(",nodev,") && !flags.contains(",noexec,"),
        "{flags}"
    );
}

fn a_bind_mount_without_flags_keeps_those_of_its_source(lab: &Lab) {
    let flags = flags_of_bind(lab, "ro,nosuid,nodev,noexec", &["bind"]);
    for flag in [",ro,", ",nosuid,", ",nodev,", ",noexec,"] {
        assert!(flags.contains(flag), "{flags}");
    }
}

fn a_path_that_is_masked_twice_is_masked_once(lab: &Lab) {
    lab.need_corten("runc 1.1 does otherwise");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/maskedPaths", json!(["/etc/passwd", "/etc/passwd"]))
        .sh("grep -c ' /etc/passwd ' /proc/self/mountinfo");
    assert_eq!(lab.run(&bundle).ok().out, "1\n");
}

fn a_start_container_hook_is_behind_the_filter_and_has_the_environment(lab: &Lab) {
    lab.need_corten("runc 1.1 has startContainer hooks after its own filter");
    let mut bundle = lab.bundle();
    bundle
        .set("/process/env/-", json!("OF_THE_PROGRAM=1"))
        .hook("startContainer", "env >/seen; mkdir /made; echo $? >>/seen");
    bundle.remove("/hooks/startContainer/0/env");
    bundle.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        }),
    );
    lab.run(&bundle).ok();
    let seen = fs::read_to_string(bundle.rootfs().join("seen")).unwrap();
    assert!(seen.contains("OF_THE_PROGRAM=1\n"), "{seen}");
    assert!(seen.contains("HOME=/"), "{seen}");
    assert!(
        seen.ends_with("\n1\n") && !bundle.rootfs().join("made").exists(),
        "{seen}"
    );
}

fn a_create_container_hook_begins_at_the_root(lab: &Lab) {
    lab.need_corten("runc 1.1 begins in the bundle");
    let mut bundle = lab.bundle();
    bundle.hook("createContainer", "touch here");
    lab.run(&bundle).ok();
    assert!(bundle.rootfs().join("here").exists());
}

fn a_cgroup_that_somebody_froze_is_left_to_them(lab: &Lab) {
    lab.need_corten("runc 1.1 removes it");
    let bundle = lab.bundle();
    let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap();
    let directory = std::path::Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("cgroup.freeze"), "1").unwrap();
    lab.refuse(&bundle)
        .fails(1, "container's cgroup unexpectedly frozen");
    assert!(directory.exists());
    fs::remove_dir(&directory).unwrap();
}

fn the_last_home_counts(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/env/-", json!("HOME=/first"))
        .set("/process/env/-", json!("HOME=/second"))
        .sh("echo $HOME");
    assert_eq!(lab.run(&bundle).ok().out, "/second\n");
}

fn a_failed_hook_is_told_though_the_program_has_ended(lab: &Lab) {
    lab.need_corten("runc 1.1 runs it before the program");
    for _ in 0..5 {
        let mut bundle = lab.bundle();
        bundle.hook("poststart", "sleep 0.1; exit 3");
        lab.run(&bundle)
            .fails(1, "error running poststart hook #0")
            .fails(1, "exited with status 3");
    }
}

fn a_device_ptmx_is_the_link_of_the_specification(lab: &Lab) {
    let mut bundle = lab.bundle();
    let device = json!({"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2});
    bundle
        .userns()
        .set("/linux/devices", json!([device]))
        .args(&["readlink", "/dev/ptmx"]);
    assert_eq!(lab.run(&bundle).ok().out, "pts/ptmx\n");
}

fn a_quota_alone_keeps_the_period(lab: &Lab) {
    lab.need_controller("cpu");
    let mut bundle = lab.sleeper();
    let cpu = json!({"quota": 5000, "period": 50_000});
    bundle.set("/linux/resources/cpu", cpu);
    let container = lab.start(&bundle);
    lab.corten(&["update", "--cpu-quota", "6000", &container.id])
        .ok();
    let max = fs::read_to_string(container.cgroup_dir().join("cpu.max")).unwrap();
    assert_eq!(max, "6000 50000\n");
    container.end();
}

fn a_page_size_may_be_spelt_in_small_letters(lab: &Lab) {
    lab.need_controller("hugetlb");
    let mut bundle = lab.bundle();
    let limit = json!([{"pagesize": "2MB", "limit": 4_194_304}]);
    bundle
        .set("/linux/resources/hugepageLimits", limit)
        .args(&["cat", "/sys/fs/cgroup/hugetlb.2MB.max"]);
    assert_eq!(lab.run(&bundle).ok().out, "4194304\n");
}

fn the_words_of_a_wrong_memory_policy(lab: &Lab) {
    lab.need_corten("runc 1.1 has no memory policies");
    for (policy, words) in [
        (json!({"mode": "MPOL_NONE"}), "invalid memory policy mode"),
        (
            json!({"mode": "MPOL_BIND", "nodes": "a"}),
            "invalid memory policy node",
        ),
        (
            json!({"mode": "MPOL_LOCAL", "nodes": "0-2"}),
            "MPOL_LOCAL mode requires 0 nodes but got 3",
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F"]}),
            "invalid memory policy flag",
        ),
    ] {
        let mut bundle = lab.bundle();
        bundle.set("/linux/memoryPolicy", policy);
        lab.refuse(&bundle).fails(1, words);
    }
}

fn of_two_creates_of_one_id_exactly_one_wins(lab: &Lab) {
    lab.need_corten("runc 1.1 has a race here");
    let (mut first, mut second) = (lab.sleeper(), lab.sleeper());
    let cgroup = |name: &str| format!("{}/{name}", lab.cgroup);
    first.set("/linux/cgroupsPath", json!(cgroup("first")));
    second.set("/linux/cgroupsPath", json!(cgroup("second")));
    let bundles = [("first", first.write()), ("second", second.write())];
    let id = lab.id();
    let mut wins = [0; 2];
    for round in 0..60 {
        // Who is started first takes turns.
        let order = [round % 2, 1 - round % 2];
        let calls = order.map(|who| {
            let call = lab.call(&["create", "--bundle", &bundles[who].1, &id]);
            (who, call.start())
        });
        let mut ends = calls.map(|(who, call)| (who, call.done()));
        ends.sort_by_key(|(_, done)| done.code);
        let [(winner, won), (loser, lost)] = ends;
        won.ok();
        lost.fails(1, "container with given ID already exists");
        wins[winner] += 1;
        let state = lab.corten(&["state", &id]).ok().json();
        assert_eq!(state["bundle"], bundles[winner].1, "{round}");
        assert_eq!(state["status"], "created", "{round}");
        let left = lab.cgroup_dir().join(bundles[loser].0);
        assert!(!left.exists(), "{round}: {}", left.display());
        lab.corten(&["start", &id]).ok();
        lab.corten(&["exec", &id, "true"]).ok();
        lab.corten(&["delete", "--force", &id]).ok();
        assert_eq!(fs::read_dir(&lab.root).unwrap().count(), 0, "{round}");
    }
    assert!(wins.iter().all(|count| *count > 0), "no race: {wins:?}");
}

/// Who looks for a command's help reads its first two lines.
fn help_begins_with_the_name(lab: &Lab) {
    lab.need_corten("the commands are its own");
    for words in [&["--help"][..], &["-h"], &["help"]] {
        let done = lab.corten(words).ok();
        assert_eq!(done.lines()[0], "NAME:");
        let about = done.lines()[1];
        assert!(
            about.contains(" - Open Container Initiative runtime"),
            "{about}"
        );
    }
    for name in ["run", "exec", "events", "features"] {
        for words in [[name, "-h"], [name, "--help"], ["help", name]] {
            let done = lab.corten(&words).ok();
            assert_eq!(done.lines()[0], "NAME:");
            let about = done.lines()[1];
            assert!(about.contains(&format!(" {name} - ")), "{about}");
        }
    }
    for words in [["foo", "-h"], ["foo", "--help"], ["help", "foo"]] {
        lab.corten(&words).fails(3, "No help topic for 'foo'");
    }
}

fn memory_and_swap_are_checked_before_an_update(lab: &Lab) {
    lab.need_controller("memory");
    lab.need_corten("runc 1.1 does not check");
    let container = lab.start(&lab.sleeper());
    for (limits, words) in [
        (r#""limit": 1024"#, "rejecting memory limit 1024"),
        (
            r#""limit": 1024, "swap": 2048"#,
            "rejecting memory+swap limit 2048",
        ),
    ] {
        let json = format!(r#"{{"memory": {{{limits}, "checkBeforeUpdate": true}}}}"#);
        let file = lab.file("limits.json", &json);
        let words_of = ["update", "--resources", file.to_str().unwrap()];
        container.corten(&words_of, &[]).fails(1, words);
    }
    assert_eq!(container.status(), "running");
    container.end();
}

/// The first annotations here are crun's, and engines use them.
fn groups_of_the_caller_are_kept_when_asked_for(lab: &Lab) {
    lab.need_corten("runc does not know the annotation");
    let mut bundle = lab.bundle();
    bundle.sh("grep ^Groups: /proc/self/status");
    let groups = |bundle: &Bundle| {
        let path = bundle.write();
        let words = ["run", "--bundle", &path, &lab.id()];
        let call = lab.call(&words);
        let call = call.within(lab, "exec setpriv --groups 4242,4243 -- \"$@\"");
        call.done().ok().out
    };
    assert!(!groups(&bundle).contains("4242"));
    bundle.set("/annotations", json!({"run.oci.keep_original_groups": "1"}));
    assert!(groups(&bundle).contains("4242 4243"));
}

fn a_filter_may_come_compiled(lab: &Lab) {
    lab.need_corten("runc does not know the annotation");
    if cfg!(not(target_arch = "x86_64")) {
        crate::harness::skip("the program is one for x86-64");
    }
    // The number; is it mkdir(2)? EPERM; else all is allowed.
    let script = r"printf '\x20\0\0\0\0\0\0\0\x15\0\0\x01\x53\0\0\0\x06\0\0\0\x01\0\x05\0\x06\0\0\0\0\0\xff\x7f' | base64 -w0";
    let data = Call::script(lab, script).done().ok().out;
    let mut bundle = lab.bundle();
    bundle
        .set("/annotations", json!({"run.oci.seccomp_bpf_data": data}))
        .sh("mkdir /made; echo made $?");
    let done = lab.run_call(&bundle, &[], &lab.id()).done();
    assert_eq!(done.out, "made 1\n", "{done:?}");
    assert!(done.err.contains("Operation not permitted"), "{done:?}");
    bundle.set("/annotations", json!({"run.oci.seccomp_bpf_data": "BgAA"}));
    let refused = lab.refuse(&bundle);
    assert!(
        refused.err.contains("run.oci.seccomp_bpf_data"),
        "{refused:?}"
    );
}

fn an_unknown_call_may_be_an_error(lab: &Lab) {
    lab.need_corten("runc does not know the annotation");
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ERRNO"});
    bundle.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}),
    );
    let warned = lab.run_with_warnings(&bundle);
    assert!(warned.err.contains("no_such_call"), "{warned:?}");
    bundle.set(
        "/annotations",
        json!({"run.oci.seccomp_fail_unknown_syscall": "1"}),
    );
    let refused = lab.refuse(&bundle);
    assert!(
        refused.err.contains("unknown system call \"no_such_call\""),
        "{refused:?}"
    );
}

fn a_pidfd_goes_to_the_receiver_of_the_annotation(lab: &Lab) {
    lab.need_corten("runc does not know the annotation");
    let socket = ConsoleSocket::new(lab);
    let mut bundle = lab.sleeper();
    bundle.set(
        "/annotations",
        json!({"run.oci.pidfd_receiver": socket.path.to_str().unwrap()}),
    );
    let container = lab.start(&bundle);
    let (pidfd, _) = socket.descriptor();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    assert!(
        info.contains(&format!("Pid:\t{}\n", container.pid())),
        "{info}"
    );
    container.end();
}

fn an_expression_means_all_containers_whose_id_it_matches(lab: &Lab) {
    lab.need_corten("runc has no --regex");
    let mut bundle = lab.sleeper();
    let prefix = lab.id();
    for name in ["web-1", "web-2", "db"] {
        bundle.set(
            "/linux/cgroupsPath",
            json!(format!("{}/{name}", lab.cgroup)),
        );
        let path = bundle.write();
        let id = format!("{prefix}-{name}");
        lab.corten(&["run", "--detach", "--bundle", &path, &id])
            .ok();
    }
    let status = |name: &str| {
        let state = lab.corten(&["state", &format!("{prefix}-{name}")]).ok();
        state.json()["status"].as_str().unwrap().to_owned()
    };
    let web = format!("^{prefix}-web-[0-9]$");
    lab.corten(&["delete", "--regex", &web])
        .fails(1, "that is not stopped");
    lab.corten(&["kill", "--regex", &web, "KILL"]).ok();
    eventually("both have stopped", || {
        status("web-1") == "stopped" && status("web-2") == "stopped"
    });
    assert_eq!(status("db"), "running");
    lab.corten(&["delete", "--regex", &web]).ok();
    let left = lab.corten(&["list", "--quiet"]).ok();
    assert_eq!(left.lines(), [format!("{prefix}-db")]);
    lab.corten(&["kill", "--regex", "web"]).ok();
    lab.corten(&["kill", "--regex", "a("]).fails(1, "--regex: ");
    lab.corten(&["delete", "--force", "--regex", &prefix]).ok();
    assert_eq!(lab.corten(&["list", "--quiet"]).ok().out, "");
}
