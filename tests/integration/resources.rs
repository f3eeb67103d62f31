//! linux.resources and what else the kernel keeps of a process: each limit is read back inside the container,
//! through the cgroup mount or procfs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::call::eventually;
use crate::harness::{Bundle, Lab, skip, tests};

tests![
    memory_limits_are_seen_inside,
    swap_is_the_difference_of_both_limits,
    a_memory_limit_binds,
    cpu_limits_are_seen_inside,
    an_idle_cgroup_is_seen_inside,
    processors_and_memory_nodes_are_seen_inside,
    process_numbers_are_limited,
    io_weight_and_throttles_are_seen_inside,
    huge_pages_and_their_reservation_are_seen_inside,
    a_limit_of_huge_pages_binds,
    rdma_limits_need_their_device,
    unified_limits_are_seen_inside,
    values_that_only_cgroup_v1_has_are_refused_if_they_ask_for_something,
    a_cgroup_with_processes_is_refused,
    the_same_path_is_the_same_cgroup,
    a_cgroup_of_the_users_own_is_given_to_the_user,
    processes_begin_in_a_cgroup_below_where_that_is_asked_for,
    a_cgroup_below_needs_a_name_and_a_cgroup,
    a_memory_policy_is_seen_inside,
    exec_takes_its_cpu_affinity,
    resctrl_is_refused_where_there_is_none,
    a_container_is_in_its_resctrl_groups,
];

/// Runs a container with these resources and returns what stands in files of its cgroup, one a line.
fn read(
    lab: &Lab,
    bundle: &mut Bundle,
    resources: &[(&str, Value)],
    files: &[&str],
) -> Vec<String> {
    for (pointer, value) in resources {
        bundle.set(&format!("/linux/resources/{pointer}"), value.clone());
    }
    let words: Vec<String> = files
        .iter()
        .map(|file| format!("/sys/fs/cgroup/{file}"))
        .collect();
    bundle.sh(&format!("cat {}", words.join(" ")));
    let done = lab.run(bundle).ok();
    done.lines().iter().map(|line| (*line).to_owned()).collect()
}

fn memory_limits_are_seen_inside(lab: &Lab) {
    lab.need_controller("memory");
    let limits = [
        ("memory/limit", json!(64 << 20)),
        ("memory/reservation", json!(32 << 20)),
    ];
    let seen = read(
        lab,
        &mut lab.bundle(),
        &limits,
        &["memory.max", "memory.low"],
    );
    assert_eq!(seen, ["67108864", "33554432"]);
    let none = [("memory/limit", json!(-1))];
    assert_eq!(
        read(lab, &mut lab.bundle(), &none, &["memory.max"]),
        ["max"]
    );
}

fn swap_is_the_difference_of_both_limits(lab: &Lab) {
    lab.need_controller("memory");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/resources/memory/limit", json!(64 << 20))
        .sh("test -e /sys/fs/cgroup/memory.swap.max");
    if lab.run(&bundle).code != 0 {
        skip("this kernel does not count swap");
    }
    let limits = [
        ("memory/limit", json!(64 << 20)),
        ("memory/swap", json!(96 << 20)),
    ];
    let seen = read(lab, &mut lab.bundle(), &limits, &["memory.swap.max"]);
    assert_eq!(seen, ["33554432"]);
}

fn a_memory_limit_binds(lab: &Lab) {
    lab.need_controller("memory");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/resources/memory/limit", json!(16 << 20))
        .sh("head -c 64m /dev/zero | tail -c 64m >/dev/null; echo $?");
    assert_ne!(lab.run(&bundle).out.trim(), "0");
    bundle.set("/linux/resources/memory/limit", json!(256 << 20));
    assert_eq!(lab.run(&bundle).ok().out.trim(), "0");
}

fn cpu_limits_are_seen_inside(lab: &Lab) {
    lab.need_controller("cpu");
    let limits = [
        ("cpu/shares", json!(2048)),
        ("cpu/quota", json!(50_000)),
        ("cpu/period", json!(200_000)),
        ("cpu/burst", json!(10_000)),
    ];
    let files = ["cpu.weight", "cpu.max", "cpu.max.burst"];
    let seen = read(lab, &mut lab.bundle(), &limits, &files);
    assert_eq!(seen[1..], ["50000 200000", "10000"]);
    let weight: u32 = seen[0].parse().unwrap();
    assert!((100..=200).contains(&weight), "{weight} of 2048 shares");
}

fn an_idle_cgroup_is_seen_inside(lab: &Lab) {
    lab.need_controller("cpu");
    let idle = [("cpu/idle", json!(1))];
    assert_eq!(read(lab, &mut lab.bundle(), &idle, &["cpu.idle"]), ["1"]);
}

fn processors_and_memory_nodes_are_seen_inside(lab: &Lab) {
    lab.need_controller("cpuset");
    let sets = [("cpu/cpus", json!("0")), ("cpu/mems", json!("0"))];
    let files = ["cpuset.cpus", "cpuset.mems", "../../../proc/self/status"];
    let seen = read(lab, &mut lab.bundle(), &sets, &files);
    assert_eq!(seen[..2], ["0", "0"]);
    assert!(
        seen.contains(&"Cpus_allowed_list:\t0".to_owned()),
        "{seen:?}"
    );
}

fn process_numbers_are_limited(lab: &Lab) {
    lab.need_controller("pids");
    for (limit, seen) in [(json!(20), "20"), (json!(-1), "max")] {
        let limits = [("pids/limit", limit)];
        assert_eq!(read(lab, &mut lab.bundle(), &limits, &["pids.max"]), [seen]);
    }
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/resources/pids/limit", json!(3))
        .sh("sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & wait");
    let done = lab.run(&bundle);
    assert!(done.code != 0 && done.err.contains("fork"), "{done:?}");
}

fn io_weight_and_throttles_are_seen_inside(lab: &Lab) {
    lab.need_controller("io");
    let Some((major, minor)) = disk() else {
        skip("this host has no block device to throttle");
    };
    let device = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let limits = [
        ("blockIO/throttleReadBpsDevice", device(1 << 20)),
        ("blockIO/throttleWriteIOPSDevice", device(100)),
    ];
    let seen = read(lab, &mut lab.bundle(), &limits, &["io.max"]);
    assert_eq!(
        seen,
        [format!(
            "{major}:{minor} rbps=1048576 wbps=max riops=max wiops=100"
        )]
    );
    let files = ["io.weight", "io.bfq.weight"];
    let Some(file) = files
        .iter()
        .find(|file| lab.cgroup_dir().join("test").join(file).exists())
    else {
        return;
    };
    let weight = [("blockIO/weight", json!(500))];
    assert!(read(lab, &mut lab.bundle(), &weight, &[file])[0].starts_with("default "));
}

/// The number of a whole disk.
pub fn disk() -> Option<(u32, u32)> {
    fs::read_dir("/sys/block")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let number = fs::read_to_string(entry.path().join("dev")).ok()?;
            let (major, minor) = number.trim().split_once(':')?;
            entry.path().join("device").exists().then_some(())?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
}

fn huge_pages_and_their_reservation_are_seen_inside(lab: &Lab) {
    lab.need_controller("hugetlb");
    let limits = [(
        "hugepageLimits",
        json!([{"pageSize": "2MB", "limit": 4 << 20}]),
    )];
    let files = ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"];
    let seen = read(lab, &mut lab.bundle(), &limits, &files);
    assert_eq!(seen, ["4194304", "4194304"]);
}

fn a_limit_of_huge_pages_binds(lab: &Lab) {
    lab.need_controller("hugetlb");
    let pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    let before =
        fs::read_to_string(pool).unwrap_or_else(|_| skip("this kernel has no pages of 2 MB"));
    let number: u32 = before.trim().parse().unwrap();
    fs::write(pool, (number + 4).to_string()).unwrap();
    let has_them = fs::read_to_string(pool).unwrap().trim().parse() == Ok(number + 4);
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 2 << 20}]))
        .mount("hugetlbfs", "hugetlbfs", "/huge", &["pagesize=2M"])
        .sh("cd /huge; fallocate -l 2097152 one && echo one; fallocate -l 2097152 two 2>/dev/null || echo no more");
    let done = lab.run(&bundle);
    fs::write(pool, before).unwrap();
    if !has_them {
        skip("this machine has no room for huge pages");
    }
    assert_eq!(done.ok().lines(), ["one", "no more"]);
}

fn rdma_limits_need_their_device(lab: &Lab) {
    lab.need_corten("it names the field");
    let mut bundle = lab.bundle();
    bundle.set(
        "/linux/resources/rdma",
        json!({"no-such-device": {"hcaHandles": 3}}),
    );
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("linux.resources.rdma"), "{done:?}");
}

fn unified_limits_are_seen_inside(lab: &Lab) {
    lab.need_controller("memory");
    lab.need_controller("pids");
    let limits = [(
        "unified",
        json!({"memory.high": "33554432", "pids.max": "30"}),
    )];
    let files = ["memory.high", "pids.max"];
    let seen = read(lab, &mut lab.bundle(), &limits, &files);
    assert_eq!(seen, ["33554432", "30"]);
    let mut bundle = lab.bundle();
    bundle.set("/linux/resources/unified", json!({"banana.max": "1"}));
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("banana"), "{done:?}");
}

fn values_that_only_cgroup_v1_has_are_refused_if_they_ask_for_something(lab: &Lab) {
    lab.need_corten("runc drops them");
    let asking = [
        ("memory/swappiness", json!(10)),
        ("memory/kernel", json!(1 << 20)),
        ("memory/kernelTCP", json!(1 << 20)),
        ("memory/disableOOMKiller", json!(true)),
        ("cpu/realtimeRuntime", json!(10_000)),
        ("network/classID", json!(1_048_577)),
        ("network/priorities", json!([{"name": "lo", "priority": 1}])),
        ("blockIO/leafWeight", json!(100)),
    ];
    for (pointer, value) in asking {
        let mut bundle = lab.bundle();
        bundle.set(&format!("/linux/resources/{pointer}"), value);
        let done = lab.refuse(&bundle);
        let name = pointer.replace('/', ".");
        assert!(
            done.err.contains(&format!("linux.resources.{name}")),
            "{done:?}"
        );
    }
    let mut bundle = lab.bundle();
    for (pointer, nothing) in [
        ("memory/kernel", json!(-1)),
        ("memory/disableOOMKiller", json!(false)),
        ("memory/useHierarchy", json!(true)),
        ("cpu/realtimeRuntime", json!(0)),
        ("network/priorities", json!([])),
    ] {
        bundle.set(&format!("/linux/resources/{pointer}"), nothing);
    }
    lab.run(&bundle).ok();
}

fn a_cgroup_with_processes_is_refused(lab: &Lab) {
    let bundle = lab.sleeper();
    let first = lab.start(&bundle);
    let done = lab.refuse(&bundle);
    assert!(
        !lab.is_corten() || done.err.contains("linux.cgroupsPath"),
        "{done:?}"
    );
    assert_eq!(first.status(), "running", "the other one lives on");
    first.end();
}

fn the_same_path_is_the_same_cgroup(lab: &Lab) {
    let bundle = lab.sleeper();
    for _ in 0..2 {
        let container = lab.start(&bundle);
        let line = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
        let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap();
        assert!(line.trim_end().ends_with(path), "{line} is not {path}");
        assert!(container.cgroup_dir().join("cgroup.procs").exists());
        container.end();
    }
}

fn a_cgroup_of_the_users_own_is_given_to_the_user(lab: &Lab) {
    use std::os::unix::fs::MetadataExt;
    lab.need_corten("runc 1.1 gives it to the root of the user namespace only");
    let mut bundle = lab.sleeper();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let owner = |bundle: &Bundle| {
        let container = lab.start(bundle);
        let uids = [
            "",
            "cgroup.procs",
            "cgroup.subtree_control",
            "cgroup.events",
        ]
        .map(|file| {
            fs::metadata(container.cgroup_dir().join(file))
                .unwrap()
                .uid()
        });
        container.end();
        uids
    };
    assert_eq!(owner(&bundle), [0; 4], "its mount is read-only");
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts
        .iter_mut()
        .find(|mount| mount["type"] == "cgroup")
        .unwrap()["options"] = json!(["rw", "nosuid", "noexec", "nodev"]);
    assert_eq!(owner(&bundle), [1000, 1000, 1000, 0]);
}

/// An annotation of crun's, for containers that manage cgroups themselves.
fn processes_begin_in_a_cgroup_below_where_that_is_asked_for(lab: &Lab) {
    lab.need_corten("runc does not know the annotation");
    let Some(controller) = crate::harness::host::controllers().pop() else {
        skip("the cgroup v2 tree of this host has no controller");
    };
    let script = format!(
        "grep ^0: /proc/self/cgroup && cd /sys/fs/cgroup && cat cgroup.max.depth && \
         echo +{controller} >cgroup.subtree_control && mkdir init/below && touch /ready; exec sleep 1000"
    );
    for users in ["the host's", "its own"] {
        let mut bundle = lab.bundle();
        bundle.sh(&script).unshare("cgroup");
        if users == "its own" {
            bundle.userns();
        }
        let mounts = bundle.config["mounts"].as_array_mut().unwrap();
        let mut mounts = mounts.iter_mut();
        let mount = mounts.find(|mount| mount["type"] == "cgroup").unwrap();
        mount["options"] = json!(["rw"]);
        bundle
            .set("/linux/resources/unified", json!({"cgroup.max.depth": "7"}))
            .set("/annotations", json!({"run.oci.delegate-cgroup": "init"}));
        let container = lab.start(&bundle);
        let ready = bundle.rootfs().join("ready");
        eventually("it hands a controller down", || ready.exists());
        assert_eq!(container.out(), "0::/init\n7\n", "users: {users}");
        container.exec(&["true"]).ok();
        let audited = container.corten(&["audit", "--format", "json"], &[]).json();
        assert_eq!(audited["containers"][0]["findings"], json!([]));
        let cgroup = container.cgroup_dir();
        container.end();
        assert!(!cgroup.exists(), "{} is left", cgroup.display());
    }
}

fn a_cgroup_below_needs_a_name_and_a_cgroup(lab: &Lab) {
    lab.need_corten("runc does not know the annotation");
    let mut bundle = lab.bundle();
    for name in ["..", "a/b"] {
        bundle.set("/annotations", json!({"run.oci.delegate-cgroup": name}));
        let done = lab.refuse(&bundle);
        let words = format!("{name:?} is no name of a cgroup");
        assert!(
            done.err
                .contains("annotations[\"run.oci.delegate-cgroup\"]"),
            "{done:?}"
        );
        assert!(done.err.contains(&words), "{done:?}");
    }
    bundle.set("/annotations", json!({"run.oci.delegate-cgroup": "init"}));
    lab.refuse(bundle.args(&["/nope"]));
    bundle
        .remove("/linux/cgroupsPath")
        .remove("/linux/resources");
    let (path, id) = (bundle.write(), lab.id());
    lab.corten(&[
        "--cgroup-manager",
        "disabled",
        "run",
        "--bundle",
        &path,
        &id,
    ])
    .fails(1, "needs a cgroup of the container's own");
}

fn a_memory_policy_is_seen_inside(lab: &Lab) {
    lab.need_corten("runc 1.1 has no memory policies");
    if !Path::new("/proc/self/numa_maps").exists() {
        skip("this kernel has no NUMA");
    }
    let mut bundle = lab.bundle();
    bundle.sh("cut -d ' ' -f 2 /proc/self/numa_maps | sort -u");
    for (policy, seen) in [
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (
            json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}),
            "interleave:0",
        ),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}),
            "bind=static:0",
        ),
    ] {
        bundle.set("/linux/memoryPolicy", policy);
        let done = lab.run(&bundle).ok();
        assert!(done.lines().contains(&seen), "{done:?}");
    }
}

fn exec_takes_its_cpu_affinity(lab: &Lab) {
    lab.need_corten("runc 1.1 has no affinity for exec");
    if fs::read_to_string("/sys/devices/system/cpu/online").is_ok_and(|list| list.trim() == "0") {
        skip("this host has one processor");
    }
    let container = lab.start(&lab.sleeper());
    let run = |affinity: Value| {
        let process = json!({
            "args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/",
            "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "execCPUAffinity": affinity,
        });
        let file = lab.file("process", &process.to_string());
        let flag = file.display().to_string();
        let done = lab.corten(&["exec", "-p", &flag, &container.id]).ok();
        done.out.trim().replace("Cpus_allowed_list:\t", "")
    };
    assert_eq!(run(json!({"initial": "0", "final": "1"})), "1");
    assert_eq!(run(json!({"final": "0"})), "0");
    container.end();
}

fn resctrl_is_mounted() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(" - resctrl ")
}

fn resctrl_is_refused_where_there_is_none(lab: &Lab) {
    lab.need_corten("it names the field");
    if resctrl_is_mounted() {
        skip("this machine has resctrl");
    }
    let mut bundle = lab.bundle();
    for rdt in [
        json!({}),
        json!({"closID": "gold"}),
        json!({"enableMonitoring": true}),
    ] {
        bundle.set("/linux/intelRdt", rdt);
        let done = lab.refuse(&bundle);
        for words in [
            "linux.intelRdt",
            "needs the resctrl file system, which is not mounted",
        ] {
            assert!(done.err.contains(words), "{done:?}");
        }
    }
}

fn a_container_is_in_its_resctrl_groups(lab: &Lab) {
    lab.need_corten("it is compared with the specification");
    if !resctrl_is_mounted() {
        skip("this machine has no resctrl");
    }
    let mut bundle = lab.sleeper();
    bundle.set("/linux/intelRdt", json!({"enableMonitoring": true}));
    let container = lab.start(&bundle);
    let group = std::path::Path::new("/sys/fs/resctrl").join(&container.id);
    let pid = container.pid().to_string();
    for tasks in [
        group.join("tasks"),
        group.join("mon_groups").join(&container.id).join("tasks"),
    ] {
        let text = fs::read_to_string(tasks).unwrap();
        assert!(text.lines().any(|line| line == pid), "{text}");
    }
    container.end();
    assert!(!group.exists());
    bundle.set("/linux/intelRdt", json!({"closID": "no-such-group"}));
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("linux.intelRdt.closID"), "{done:?}");
}
