//! `audit`: a clean container has no finding, and every fault that is made from outside is found.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use corten::sys::bpf;
use serde_json::{Value, json};

use crate::harness::call::eventually;
use crate::harness::{Bundle, Container, Lab, skip, tests};

tests![
    a_clean_container_has_no_finding,
    containers_of_every_shape_have_no_finding,
    a_container_that_waits_for_start_has_no_finding,
    what_a_program_gives_up_is_no_finding,
    audit_tells_by_its_status_that_it_could_not_look,
    audit_of_all_names_each_container,
    a_lost_device_program_is_found,
    another_device_program_is_found,
    a_limit_changed_from_outside_is_found,
    a_memory_limit_raised_from_outside_is_found,
    limits_of_every_kind_have_no_finding,
    an_update_is_what_was_asked_for,
    a_descriptor_of_the_host_is_found,
    a_working_directory_of_the_host_is_found,
    a_host_namespace_is_found,
    another_namespace_than_the_one_to_join_is_found,
    capabilities_gained_by_a_file_are_found,
    a_missing_filter_and_no_new_privs_are_found,
    a_bounding_set_beyond_what_was_asked_is_found,
    a_path_that_is_not_hidden_any_more_is_found,
    a_path_that_is_writable_again_is_found,
    a_root_that_is_writable_again_is_found,
    a_missing_mount_is_found,
    a_mount_that_lost_its_options_is_found,
    a_mount_from_outside_is_found,
    a_link_of_the_image_leads_to_its_mount,
    a_raised_resource_limit_is_found,
    a_lowered_oom_score_is_found,
    a_process_from_outside_in_the_cgroup_is_found,
];

fn need(lab: &Lab) {
    lab.need_corten("no other runtime has audit");
}

/// The findings as `KIND field`, and the exit status must fit them.
#[track_caller]
fn findings(container: &Container<'_>) -> Vec<String> {
    let done = container.corten(&["audit", "--format", "json"], &[]);
    let page = done.json();
    let audit = &page["containers"][0];
    assert_eq!(audit["unseen"], json!([]), "{page}");
    let list = audit["findings"].as_array().unwrap();
    assert_eq!(done.code, i32::from(!list.is_empty()), "{page}");
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    list.iter()
        .map(|finding| word(finding, "kind") + " " + &word(finding, "field"))
        .collect()
}

#[track_caller]
fn assert_clean(container: &Container<'_>) {
    let done = container.corten(&["audit"], &[]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    assert!(done.out.ends_with(": as asked for\n"), "{done:?}");
}

/// Clean before the fault; exactly this finding after it.
#[track_caller]
fn assert_found(container: &Container<'_>, fault: impl FnOnce(), expected: &[&str]) {
    assert_clean(container);
    fault();
    assert_eq!(findings(container), expected);
}

/// A program of the image in the container's mount and pid namespaces, with all privileges.
#[track_caller]
fn inside(lab: &Lab, container: &Container<'_>, words: &[&str]) {
    let status = Command::new(lab.need_program("nsenter"))
        .args([
            "--target",
            &container.pid().to_string(),
            "--mount",
            "--pid",
            "--",
        ])
        .args(words)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{words:?}");
}

/// Changes what was asked for, where no way leads to the fault itself: nobody can take a filter away.
#[track_caller]
fn ask(lab: &Lab, container: &Container<'_>, pointer: &str, value: Value) {
    let path = lab.root.join(&container.id).join("config.json");
    let config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut bundle = Bundle {
        dir: lab.dir.clone(),
        config,
    };
    bundle.set(pointer, value);
    fs::write(&path, bundle.config.to_string()).unwrap();
}

fn a_clean_container_has_no_finding(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    assert_clean(&container);
    container.exec(&["true"]).ok();
    container.corten(&["pause"], &[]).ok();
    assert_clean(&container);
    container.end();
}

fn containers_of_every_shape_have_no_finding(lab: &Lab) {
    need(lab);
    let volume = lab.path("volume");
    fs::create_dir(&volume).unwrap();
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["syslog"], "action": "SCMP_ACT_ERRNO"}]});
    type Shape<'a> = (&'a [&'a str], &'a dyn Fn(&mut Bundle) -> &mut Bundle);
    let volume_flag = format!("{}:/mnt:ro", volume.display());
    let shapes: [Shape<'_>; 12] = [
        (&[], &|bundle| bundle.userns()),
        (&[], &|bundle| bundle.set("/root/readonly", json!(true))),
        (&[], &|bundle| bundle.set("/linux/seccomp", filter.clone())),
        (&[], &|bundle| {
            let bundle = bundle.set("/process/noNewPrivileges", json!(true));
            bundle.set("/linux/seccomp", filter.clone())
        }),
        (&[], &|bundle| {
            let user = json!({"uid": 1000, "gid": 1000, "additionalGids": [50]});
            bundle.set("/process/user", user)
        }),
        (&[], &|bundle| {
            bundle.bind(&volume, "/mnt", &["rbind", "rro", "rslave", "nosuid"])
        }),
        (&[], &|bundle| {
            bundle.unshare("time").share("network").share("ipc")
        }),
        (&[], &|bundle| bundle.share("pid")),
        (&[], &|bundle| bundle.remove("/linux/resources/devices")),
        (&["--overlay", "tmpfs"], &|bundle| bundle),
        (&["--volume", &volume_flag], &|bundle| bundle),
        (&[], &|bundle| {
            let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
            bundle.set("/process/rlimits", limits);
            bundle.set("/process/oomScoreAdj", json!(100));
            bundle.set("/linux/rootfsPropagation", json!("rslave"))
        }),
    ];
    for (index, (flags, shape)) in shapes.iter().enumerate() {
        let mut bundle = lab.sleeper();
        shape(&mut bundle);
        let container = Container::run(lab, &bundle, flags);
        assert_eq!(findings(&container), [""; 0], "shape {index}");
        container.end();
    }
}

fn a_container_that_waits_for_start_has_no_finding(lab: &Lab) {
    need(lab);
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["syslog"], "action": "SCMP_ACT_ERRNO"}]});
    let mut bundle = lab.sleeper();
    bundle.set("/linux/seccomp", filter);
    let container = Container::create(lab, &bundle, &[]);
    assert_clean(&container);
    container.start();
    assert_clean(&container);
    container.end();
}

/// Groups, limits, a user of its own, files, a mount where it may: what a program does by right.
fn what_a_program_gives_up_is_no_finding(lab: &Lab) {
    need(lab);
    let mut bundle = lab.bundle();
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(
            &format!("/process/capabilities/{set}/-"),
            json!("CAP_SYS_ADMIN"),
        );
    }
    bundle
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]))
        .sh("mount -t tmpfs x /mnt; exec 8</etc/passwd 9>&1; ulimit -n 150; touch /tmp/ready; exec su user -c 'exec sleep 1000'");
    let container = lab.start(&bundle);
    let ready = bundle.rootfs().join("tmp/ready");
    eventually("the program runs", || {
        let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
        ready.exists() && status.contains("Uid:\t1000")
    });
    assert_clean(&container);
    container.end();
}

fn audit_tells_by_its_status_that_it_could_not_look(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    container.kill("KILL");
    container.wait();
    let done = container.corten(&["audit"], &[]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("no process to compare with"), "{done:?}");
    assert_eq!(lab.corten(&["audit", "--all"]).code, 0);
    assert_eq!(lab.corten(&["audit", "nobody"]).code, 2);
    assert_eq!(lab.corten(&["audit"]).code, 2);
    assert_eq!(lab.corten(&["audit", "--all", "nobody"]).code, 2);
    let record = lab.root.join(&container.id).join("state.json");
    let text = fs::read(&record).unwrap();
    fs::write(&record, "{").unwrap();
    let blind = lab.corten(&["audit", "--all"]);
    assert_eq!(blind.code, 2, "{blind:?}");
    fs::write(&record, text).unwrap();
    container.end();
}

fn audit_of_all_names_each_container(lab: &Lab) {
    need(lab);
    let (clean, faulty) = (lab.start(&lab.sleeper()), lab.start(&lab.sleeper()));
    inside(lab, &faulty, &["umount", "/proc/sys"]);
    let done = lab.corten(&["audit", "--all"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.out.contains(&format!("{}: as asked for\n", clean.id)),
        "{done:?}"
    );
    assert!(
        done.out
            .contains(&format!("{}: 1 finding\n  WEAKER ", faulty.id)),
        "{done:?}"
    );
    let quiet = lab.corten(&["audit", "--all", "--quiet"]);
    assert_eq!(quiet.code, 1);
    assert!(
        quiet.out.contains(&faulty.id) && !quiet.out.contains(&clean.id),
        "{quiet:?}"
    );
    let page = lab.corten(&["audit", "--all", "--format", "json"]).json();
    assert_eq!(
        (
            &page["version"],
            page["containers"].as_array().unwrap().len()
        ),
        (&json!(1), 2)
    );
    let all = page["containers"].as_array().unwrap();
    let finding =
        all.iter().find(|audit| audit["id"] == *faulty.id).unwrap()["findings"][0].clone();
    assert_eq!(finding["pointer"], "/linux/readonlyPaths/3");
    assert_eq!(finding["asked"], "/proc/sys read-only");
    clean.end();
    faulty.end();
}

fn a_lost_device_program_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let lose = || {
        let cgroup = fs::File::open(container.cgroup_dir()).unwrap();
        for program in bpf::device_programs(cgroup.as_fd()).unwrap() {
            bpf::detach_device_program(cgroup.as_fd(), program.as_fd()).unwrap();
        }
    };
    assert_found(&container, lose, &["MISSING linux.resources.devices"]);
    container.end();
}

fn another_device_program_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let exchange = || {
        let cgroup = fs::File::open(container.cgroup_dir()).unwrap();
        let old = bpf::device_programs(cgroup.as_fd()).unwrap();
        // r0 = 1; exit: everything is allowed.
        let allow = u64::from_le_bytes([0xb7, 0, 0, 0, 1, 0, 0, 0]);
        let program = bpf::load_device_program(c"other", &[allow, 0x95]).unwrap();
        bpf::replace_device_program(cgroup.as_fd(), program.as_fd(), old[0].as_fd()).unwrap();
    };
    assert_found(&container, exchange, &["DIFFERENT linux.resources.devices"]);
    container.end();
}

fn a_limit_changed_from_outside_is_found(lab: &Lab) {
    need(lab);
    lab.need_controller("hugetlb");
    let mut bundle = lab.sleeper();
    let limit = json!([{"pageSize": "2MB", "limit": 4 << 20}]);
    bundle.set("/linux/resources/hugepageLimits", limit);
    let container = lab.start(&bundle);
    let file = container.cgroup_dir().join("hugetlb.2MB.max");
    let raise = || fs::write(&file, "8388608").unwrap();
    assert_found(
        &container,
        raise,
        &["WEAKER linux.resources.hugepageLimits[0]"],
    );
    fs::write(&file, "2097152").unwrap();
    assert_eq!(
        findings(&container),
        ["DIFFERENT linux.resources.hugepageLimits[0]"]
    );
    container.end();
}

fn a_memory_limit_raised_from_outside_is_found(lab: &Lab) {
    need(lab);
    for controller in ["memory", "cpu", "pids"] {
        lab.need_controller(controller);
    }
    let mut bundle = lab.sleeper();
    bundle
        .set("/linux/resources/memory/limit", json!(64 << 20))
        .set("/linux/resources/memory/reservation", json!(32 << 20))
        .set(
            "/linux/resources/cpu",
            json!({"quota": 50_000, "period": 100_000, "shares": 512}),
        )
        .set("/linux/resources/pids/limit", json!(20))
        .set(
            "/linux/resources/unified",
            json!({"memory.high": "50000000"}),
        );
    let container = lab.start(&bundle);
    let write =
        |file: &str, text: &str| fs::write(container.cgroup_dir().join(file), text).unwrap();
    let raise = || write("memory.max", "max");
    assert_found(&container, raise, &["WEAKER linux.resources.memory.limit"]);
    write("memory.max", "67108864");
    for (file, text, finding) in [
        ("cpu.max", "max 100000", "WEAKER linux.resources.cpu.quota"),
        ("pids.max", "1000", "WEAKER linux.resources.pids.limit"),
        (
            "memory.high",
            "max",
            "WEAKER linux.resources.unified[\"memory.high\"]",
        ),
        (
            "memory.low",
            "0",
            "DIFFERENT linux.resources.memory.reservation",
        ),
    ] {
        let old = fs::read_to_string(container.cgroup_dir().join(file)).unwrap();
        write(file, text);
        assert_eq!(findings(&container), [finding]);
        write(file, old.trim());
        assert_clean(&container);
    }
    container.end();
}

fn limits_of_every_kind_have_no_finding(lab: &Lab) {
    need(lab);
    for controller in ["memory", "cpu", "cpuset", "io", "pids", "hugetlb"] {
        lab.need_controller(controller);
    }
    let mut bundle = lab.sleeper();
    bundle
        .set(
            "/linux/resources/memory",
            json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": (32 << 20) + 1}),
        )
        .set(
            "/linux/resources/cpu",
            json!({"shares": 700, "quota": 50_000, "period": 20_000, "burst": 1000, "cpus": "0", "mems": "0"}),
        )
        .set("/linux/resources/pids/limit", json!(-1))
        .set(
            "/linux/resources/hugepageLimits",
            json!([{"pageSize": "2MB", "limit": 5_000_000}]),
        )
        .set(
            "/linux/resources/unified",
            json!({"memory.high": "50000001", "memory.oom.group": "1", "pids.max": "30", "cgroup.max.depth": "3"}),
        );
    if let Some((major, minor)) = crate::resources::disk() {
        let device = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
        bundle
            .set(
                "/linux/resources/blockIO/throttleReadBpsDevice",
                device(1 << 20),
            )
            .set(
                "/linux/resources/blockIO/throttleWriteIOPSDevice",
                device(100),
            );
    }
    let container = lab.start(&bundle);
    assert_clean(&container);
    let words = [
        "update",
        "--memory",
        "128m",
        "--memory-swap",
        "160m",
        "--cpu-quota",
        "70000",
        "--cpuset-cpus",
        "0",
    ];
    container.corten(&words, &[]).ok();
    assert_clean(&container);
    fs::write(container.cgroup_dir().join("cpu.max"), "70001 20000").unwrap();
    assert_eq!(findings(&container), ["WEAKER linux.resources.cpu.quota"]);
    container.end();
}

fn an_update_is_what_was_asked_for(lab: &Lab) {
    need(lab);
    lab.need_controller("hugetlb");
    let mut bundle = lab.sleeper();
    let limits = |bytes: u64| json!([{"pageSize": "2MB", "limit": bytes}]);
    bundle.set("/linux/resources/hugepageLimits", limits(4 << 20));
    let container = lab.start(&bundle);
    for bytes in [8 << 20, 6 << 20] {
        let file = lab.file(
            "resources",
            &json!({"hugepageLimits": limits(bytes)}).to_string(),
        );
        container
            .corten(&["update", "--resources", &file.display().to_string()], &[])
            .ok();
        assert_clean(&container);
    }
    let file = container.cgroup_dir().join("hugetlb.2MB.max");
    fs::write(file, "8388608").unwrap();
    assert_eq!(
        findings(&container),
        ["WEAKER linux.resources.hugepageLimits[0]"]
    );
    container.end();
}

/// A directory of the host is mounted, opened, and the mount taken away: what is left is a file of the host.
fn a_descriptor_of_the_host_is_found(lab: &Lab) {
    need(lab);
    let shared = lab.path("shared");
    fs::create_dir(&shared).unwrap();
    let mut bundle = lab.sleeper();
    bundle
        .bind(&shared, "/mnt", &["bind"])
        .sh("exec 8>/mnt/file; exec sleep 1000");
    let container = lab.start(&bundle);
    eventually("the file is open", || shared.join("file").exists());
    let take = || inside(lab, &container, &["umount", "-l", "/mnt"]);
    assert_found(&container, take, &["MISSING mounts[7]", "EXTRA process"]);
    container.end();
    // What was passed on is asked for.
    let path = lab.sleeper().write();
    let id = lab.id();
    let call = lab.call(&[
        "run",
        "--detach",
        "--preserve-fds",
        "1",
        "--bundle",
        &path,
        &id,
    ]);
    call.within(lab, "exec 3</etc; exec \"$@\"").done().ok();
    lab.corten(&["audit", &id]).ok();
    lab.corten(&["delete", "--force", &id]).ok();
}

fn a_working_directory_of_the_host_is_found(lab: &Lab) {
    need(lab);
    let shared = lab.path("shared");
    fs::create_dir(&shared).unwrap();
    let mut bundle = lab.sleeper();
    bundle
        .bind(&shared, "/mnt", &["bind"])
        .set("/process/cwd", json!("/mnt"));
    let container = lab.start(&bundle);
    let take = || inside(lab, &container, &["umount", "-l", "/mnt"]);
    assert_found(
        &container,
        take,
        &["MISSING mounts[7]", "EXTRA process.cwd"],
    );
    container.end();
}

/// The program itself goes into the host's namespace, by a file of it that the container was given.
fn a_host_namespace_is_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(
            &format!("/process/capabilities/{set}/-"),
            json!("CAP_SYS_ADMIN"),
        );
    }
    bundle
        .bind(Path::new(&format!("/proc/{}/ns/net", std::process::id())), "/mnt/net", &["bind"])
        .sh("test -e /tmp/go || sleep 1; while ! test -e /tmp/go; do sleep 0.1; done; exec nsenter --net=/mnt/net sleep 1000");
    let container = lab.start(&bundle);
    let go = || {
        fs::write(bundle.rootfs().join("tmp/go"), "").unwrap();
        let host = fs::read_link("/proc/self/ns/net").unwrap();
        let link = format!("/proc/{}/ns/net", container.pid());
        eventually("it is there", || fs::read_link(&link).unwrap() == host);
    };
    assert_found(&container, go, &["WEAKER linux.namespaces[1]"]);
    container.end();
}

fn another_namespace_than_the_one_to_join_is_found(lab: &Lab) {
    need(lab);
    let (first, second) = (lab.start(&lab.sleeper()), lab.start(&lab.sleeper()));
    let mut bundle = lab.sleeper();
    bundle.join("network", &format!("/proc/{}/ns/net", first.pid()));
    let container = lab.start(&bundle);
    let change = || {
        let path = format!("/proc/{}/ns/net", second.pid());
        let list = bundle.config["linux"]["namespaces"].as_array().unwrap();
        let index = list
            .iter()
            .position(|one| one["type"] == "network")
            .unwrap();
        ask(
            lab,
            &container,
            &format!("/linux/namespaces/{index}/path"),
            json!(path),
        );
    };
    assert_found(&container, change, &["DIFFERENT linux.namespaces[5].path"]);
    container.end();
    second.end();
    first.end();
}

/// The program of a user who has none gets one from the file.
fn capabilities_gained_by_a_file_are_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.set("/process/capabilities/permitted", json!([]));
    bundle.set("/process/capabilities/effective", json!([]));
    let container = Container::create(lab, &bundle, &[]);
    assert_clean(&container);
    give_net_raw(&bundle.rootfs().join("bin/busybox"));
    container.start();
    assert_eq!(
        findings(&container),
        [
            "EXTRA process.capabilities.permitted",
            "EXTRA process.capabilities.effective"
        ]
    );
    container.end();
}

/// struct vfs_ns_cap_data, revision 2, effective: CAP_NET_RAW is number 13.
fn give_net_raw(path: &Path) {
    let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: two C strings and as many bytes as are said, all of which outlive the call.
    let done = unsafe {
        nix::libc::setxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            data.as_ptr().cast(),
            data.len(),
            0,
        )
    };
    if done != 0 {
        skip("files have no capabilities here");
    }
}

fn a_missing_filter_and_no_new_privs_are_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    if status.contains("Seccomp:\t0") {
        let change = || ask(lab, &container, "/linux/seccomp", filter);
        assert_found(&container, change, &["MISSING linux.seccomp"]);
        ask(lab, &container, "/linux/seccomp", Value::Null);
    }
    let change = || ask(lab, &container, "/process/noNewPrivileges", json!(true));
    let found = ["MISSING process.noNewPrivileges"];
    assert_found(&container, change, &found);
    container.end();
}

fn a_bounding_set_beyond_what_was_asked_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let change = || {
        for set in ["bounding", "permitted", "effective"] {
            let pointer = format!("/process/capabilities/{set}");
            ask(lab, &container, &pointer, json!(["CAP_KILL"]));
        }
    };
    let expected = ["bounding", "permitted", "effective"]
        .map(|set| format!("EXTRA process.capabilities.{set}"));
    assert_found(&container, change, &expected.each_ref().map(String::as_str));
    let text = container.corten(&["audit"], &[]).out;
    assert!(
        text.contains("asked CAP_KILL; found also CAP_CHOWN"),
        "{text}"
    );
    container.end();
}

fn a_path_that_is_not_hidden_any_more_is_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    fs::write(bundle.rootfs().join("etc/secret"), "x").unwrap();
    fs::remove_dir(bundle.rootfs().join("run")).unwrap();
    fs::create_dir(bundle.rootfs().join("var/run")).unwrap();
    std::os::unix::fs::symlink("var/run", bundle.rootfs().join("run")).unwrap();
    fs::write(bundle.rootfs().join("var/run/token"), "x").unwrap();
    bundle.set(
        "/linux/maskedPaths",
        json!([
            "/proc/keys",
            "/etc/secret",
            "/run/token",
            "/proc/nothing",
            "/etc/nothing"
        ]),
    );
    let container = lab.start(&bundle);
    let seen = || inside(lab, &container, &["umount", "/proc/keys"]);
    assert_found(&container, seen, &["MISSING linux.maskedPaths[0]"]);
    inside(lab, &container, &["umount", "/etc/secret"]);
    inside(lab, &container, &["umount", "/var/run/token"]);
    let expected = [0, 1, 2].map(|index| format!("MISSING linux.maskedPaths[{index}]"));
    assert_eq!(findings(&container), expected);
    inside(
        lab,
        &container,
        &["mount", "--bind", "/etc/passwd", "/etc/secret"],
    );
    assert!(findings(&container).contains(&"DIFFERENT linux.maskedPaths[1]".to_owned()));
    container.end();
}

fn a_path_that_is_writable_again_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let free = || inside(lab, &container, &["umount", "/proc/sys"]);
    assert_found(&container, free, &["WEAKER linux.readonlyPaths[3]"]);
    inside(
        lab,
        &container,
        &["mount", "-o", "remount,bind,rw", "/proc/bus"],
    );
    assert_eq!(
        findings(&container),
        [
            "WEAKER linux.readonlyPaths[0]",
            "WEAKER linux.readonlyPaths[3]"
        ]
    );
    container.end();
}

fn a_root_that_is_writable_again_is_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    bundle.set("/root/readonly", json!(true));
    let container = lab.start(&bundle);
    let free = || inside(lab, &container, &["mount", "-o", "remount,bind,rw", "/"]);
    assert_found(&container, free, &["WEAKER root.readonly"]);
    container.end();
}

fn a_missing_mount_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let take = || inside(lab, &container, &["umount", "/dev/shm"]);
    assert_found(&container, take, &["MISSING mounts[6]"]);
    container.end();
}

fn a_mount_that_lost_its_options_is_found(lab: &Lab) {
    need(lab);
    let shared = lab.path("shared");
    fs::create_dir(&shared).unwrap();
    let mut bundle = lab.sleeper();
    bundle.bind(&shared, "/mnt", &["bind", "ro", "noexec"]);
    let container = lab.start(&bundle);
    let free = || {
        inside(
            lab,
            &container,
            &["mount", "-o", "remount,bind,rw,noexec", "/mnt"],
        )
    };
    assert_found(&container, free, &["WEAKER mounts[7].options"]);
    inside(
        lab,
        &container,
        &["mount", "-o", "remount,size=128m", "/dev/shm"],
    );
    let text = container.corten(&["audit"], &[]).out;
    assert!(
        text.contains("mounts[6].options: asked size=67108864 on /dev/shm; found size=131072k"),
        "{text}"
    );
    container.end();
}

fn a_mount_from_outside_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let add = || inside(lab, &container, &["mount", "-t", "tmpfs", "x", "/mnt"]);
    assert_found(&container, add, &["EXTRA mounts"]);
    container.end();
}

fn a_link_of_the_image_leads_to_its_mount(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    std::os::unix::fs::symlink("../mnt", bundle.rootfs().join("var/data")).unwrap();
    bundle.mount("tmpfs", "tmpfs", "/var/data/inner", &["nosuid"]);
    let container = lab.start(&bundle);
    let take = || inside(lab, &container, &["umount", "/mnt/inner"]);
    assert_found(&container, take, &["MISSING mounts[7]"]);
    container.end();
}

fn a_raised_resource_limit_is_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    bundle.set("/process/rlimits", limits);
    let container = lab.start(&bundle);
    assert_clean(&container);
    let done = Command::new(lab.need_program("prlimit"))
        .args(["--pid", &container.pid().to_string(), "--nofile=100:400"])
        .output()
        .unwrap();
    if !done.status.success() {
        container.end();
        skip("nobody may raise a limit here");
    }
    assert_eq!(findings(&container), ["WEAKER process.rlimits[0].hard"]);
    container.end();
}

fn a_lowered_oom_score_is_found(lab: &Lab) {
    need(lab);
    let mut bundle = lab.sleeper();
    bundle.set("/process/oomScoreAdj", json!(500));
    let container = lab.start(&bundle);
    let lower = || fs::write(format!("/proc/{}/oom_score_adj", container.pid()), "400").unwrap();
    assert_found(&container, lower, &["WEAKER process.oomScoreAdj"]);
    container.end();
}

fn a_process_from_outside_in_the_cgroup_is_found(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let mut stranger: Option<Child> = None;
    let move_in = || {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let procs = container.cgroup_dir().join("cgroup.procs");
        fs::write(procs, child.id().to_string()).unwrap();
        stranger = Some(child);
    };
    assert_found(&container, move_in, &["EXTRA linux.cgroupsPath"]);
    let mut stranger = stranger.unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_clean(&container);
    container.end();
}
