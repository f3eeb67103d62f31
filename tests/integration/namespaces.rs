//! linux.namespaces: new, joined, shared with the host; id maps, offsets, names, sysctls.

use std::fs;

use serde_json::json;

use crate::harness::call::Call;
use crate::harness::{Lab, tests};

tests![
    every_namespace_is_new,
    a_namespace_that_is_not_listed_is_the_hosts,
    namespaces_are_joined_by_path,
    a_pid_namespace_is_joined,
    a_mount_namespace_is_joined,
    the_mount_namespace_of_the_host_is_not_joined,
    kernel_parameters_of_the_host_are_not_changed_through_a_namespace_that_is_joined,
    a_namespace_of_another_type_is_refused,
    a_missing_namespace_is_named,
    duplicate_namespaces_are_refused,
    the_program_is_the_first_process_of_a_new_pid_namespace,
    host_name_and_domain_name_are_set,
    a_host_name_without_a_uts_namespace_is_refused,
    the_loopback_device_is_up,
    ids_are_mapped,
    a_user_namespace_with_odd_maps,
    an_unprivileged_user_in_a_user_namespace,
    a_user_namespace_without_maps_is_refused,
    maps_without_a_user_namespace_are_refused,
    a_user_namespace_is_joined_with_its_maps,
    the_clocks_of_a_time_namespace_are_set,
    time_offsets_without_a_time_namespace_are_refused,
    sysctls_are_set,
    limits_of_a_user_namespace_are_set,
    sysctls_outside_of_namespaces_are_refused,
    the_network_of_a_named_namespace_is_used,
    a_container_without_a_mount_namespace_never_mounts_on_the_host,
];

const NAMES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

fn links(text: &str) -> Vec<&str> {
    text.lines().collect()
}

fn own(name: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{name}"))
        .unwrap()
        .display()
        .to_string()
}

fn every_namespace_is_new(lab: &Lab) {
    let mut bundle = lab.bundle();
    if lab.is_corten() {
        bundle.unshare("time");
    }
    bundle.sh("cd /proc/1/ns; for n in cgroup ipc mnt net pid uts time; do readlink $n; done");
    let done = lab.run(&bundle).ok();
    for (name, link) in NAMES.iter().zip(links(&done.out)) {
        assert!(
            link.starts_with(name) && link != own(name),
            "{name}: {link}"
        );
    }
    if lab.is_corten() {
        assert_ne!(links(&done.out)[6], own("time"));
    }
}

fn a_namespace_that_is_not_listed_is_the_hosts(lab: &Lab) {
    let mut bundle = lab.bundle();
    for kind in ["ipc", "network", "pid", "uts", "cgroup"] {
        bundle.share(kind);
    }
    bundle
        .remove("/hostname")
        .sh("cd /proc/self/ns; for n in ipc net pid uts; do readlink $n; done");
    // procfs belongs to a pid namespace and sysfs to a network namespace; both are the host's here.
    let done = lab.run(&bundle).ok();
    let expected: Vec<String> = ["ipc", "net", "pid", "uts"].map(own).to_vec();
    assert_eq!(links(&done.out)[..4], expected);
}

fn namespaces_are_joined_by_path(lab: &Lab) {
    let other = lab.start(&lab.sleeper());
    let pid = other.pid();
    let mut bundle = lab.bundle();
    for (kind, name) in [("ipc", "ipc"), ("network", "net"), ("uts", "uts")] {
        bundle.join(kind, &format!("/proc/{pid}/ns/{name}"));
    }
    bundle
        .remove("/hostname")
        .sh("cd /proc/self/ns; for n in ipc net uts; do readlink $n; done; hostname");
    let done = lab.run(&bundle).ok();
    let of = |name: &str| {
        fs::read_link(format!("/proc/{pid}/ns/{name}"))
            .unwrap()
            .display()
            .to_string()
    };
    assert_eq!(
        links(&done.out),
        [of("ipc"), of("net"), of("uts"), "box".to_owned()]
    );
    other.end();
}

fn a_pid_namespace_is_joined(lab: &Lab) {
    let other = lab.start(&lab.sleeper());
    let mut bundle = lab.bundle();
    bundle
        .join("pid", &format!("/proc/{}/ns/pid", other.pid()))
        .sh("readlink /proc/self/ns/pid; cat /proc/1/cmdline");
    let done = lab.run(&bundle).ok();
    let theirs = fs::read_link(format!("/proc/{}/ns/pid", other.pid())).unwrap();
    assert_eq!(links(&done.out)[0], theirs.to_str().unwrap());
    assert!(
        done.out.contains("sleep\u{0}1000"),
        "its procfs shows the joined namespace: {done:?}"
    );
    other.end();
}

fn a_mount_namespace_is_joined(lab: &Lab) {
    lab.need_corten("runc cannot join a mount namespace with mounts");
    let other = lab.start(&lab.sleeper());
    let mut bundle = lab.bundle();
    bundle.join("mount", &format!("/proc/{}/ns/mnt", other.pid()));
    bundle
        .set("/mounts", json!([]))
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    bundle.sh("readlink /proc/self/ns/mnt");
    let done = lab.run(&bundle);
    // Whether it works or is refused by name: the host's mounts stay what they were (checked after each test).
    assert!(done.code == 0 || done.err.contains("mount"), "{done:?}");
    other.end();
}

fn a_namespace_of_another_type_is_refused(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.join("network", "/proc/self/ns/uts");
    let done = lab.refuse(&bundle);
    if lab.is_corten() {
        assert!(done.err.contains("linux.namespaces["), "{done:?}");
    }
}

fn a_missing_namespace_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.join("network", "/run/netns/no-such-network");
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("no-such-network"), "{done:?}");
}

fn duplicate_namespaces_are_refused(lab: &Lab) {
    lab.need_corten("runc 1.1 takes them");
    let mut bundle = lab.bundle();
    bundle.set("/linux/namespaces/-", json!({"type": "pid"}));
    assert!(lab.refuse(&bundle).err.contains("namespace"));
}

fn the_program_is_the_first_process_of_a_new_pid_namespace(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("echo $$; ls /proc | grep -c '^[0-9]'");
    let done = lab.run(&bundle).ok();
    assert_eq!(links(&done.out)[0], "1");
    assert!(
        links(&done.out)[1].parse::<u32>().unwrap() <= 4,
        "no process of the runtime is seen: {done:?}"
    );
}

fn host_name_and_domain_name_are_set(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/hostname", json!("some-host"))
        .sh("hostname; cat /proc/sys/kernel/domainname");
    if lab.is_corten() {
        bundle.set("/domainname", json!("example.org"));
    }
    let done = lab.run(&bundle).ok();
    assert_eq!(links(&done.out)[0], "some-host");
    if lab.is_corten() {
        assert_eq!(links(&done.out)[1], "example.org");
    }
}

fn a_host_name_without_a_uts_namespace_is_refused(lab: &Lab) {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut bundle = lab.bundle();
    bundle.share("uts");
    assert!(lab.refuse(&bundle).err.contains("hostname"));
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
        before
    );
}

fn the_loopback_device_is_up(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("ip addr show lo; ls /sys/class/net");
    let done = lab.run(&bundle).ok();
    assert!(
        done.out.contains("127.0.0.1/8") && done.out.contains("LOOPBACK,UP"),
        "{done:?}"
    );
}

fn ids_are_mapped(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.userns().sh("cat /proc/self/uid_map /proc/self/gid_map; id -u; touch /made; stat -c %u:%g /made; grep CapEff /proc/self/status");
    let done = lab.run(&bundle).ok();
    let words: Vec<&str> = done.out.split_whitespace().collect();
    assert_eq!(
        words[..9],
        [
            "0", "100000", "65536", "0", "100000", "65536", "0", "0:0", "CapEff:"
        ]
    );
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.rootfs().join("made")).unwrap());
    assert_eq!(owner, 100_000, "on the host it is another's");
}

fn a_user_namespace_with_odd_maps(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.userns();
    let map = json!([
        {"containerID": 0, "hostID": 100_000, "size": 1},
        {"containerID": 1, "hostID": 200_001, "size": 999},
        {"containerID": 1000, "hostID": 1000, "size": 1},
    ]);
    bundle
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map);
    bundle.set(
        "/process/user",
        json!({"uid": 1000, "gid": 1000, "additionalGids": [5]}),
    );
    bundle.sh("id -u; id -G; wc -l < /proc/self/uid_map");
    assert_eq!(links(&lab.run(&bundle).ok().out), ["1000", "1000 5", "3"]);
}

fn an_unprivileged_user_in_a_user_namespace(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .userns()
        .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.sh("id -u; cat /etc/hostname 2>/dev/null; touch /forbidden && echo made; grep CapEff /proc/self/status | cut -f2");
    let done = lab.run(&bundle);
    assert_eq!(links(&done.out), ["1000", "0000000000000000"]);
}

fn a_user_namespace_without_maps_is_refused(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.unshare("user");
    let done = lab.refuse(&bundle);
    if lab.is_corten() {
        assert!(
            done.err.contains("linux.uidMappings") || done.err.contains("linux.namespaces"),
            "{done:?}"
        );
    }
}

fn maps_without_a_user_namespace_are_refused(lab: &Lab) {
    lab.need_corten("runc 1.1 does without a word");
    let mut bundle = lab.bundle();
    bundle.set(
        "/linux/uidMappings",
        json!([{"containerID": 0, "hostID": 100_000, "size": 10}]),
    );
    assert!(lab.refuse(&bundle).err.contains("linux.uidMappings"));
}

fn a_user_namespace_is_joined_with_its_maps(lab: &Lab) {
    let mut first = lab.sleeper();
    first.userns();
    let other = lab.start(&first);
    let mut bundle = lab.bundle();
    bundle
        .userns()
        .join("user", &format!("/proc/{}/ns/user", other.pid()));
    // containerd and CRI-O send the maps along with the path: the same ones are accepted.
    bundle.sh("readlink /proc/self/ns/user; cat /proc/self/uid_map");
    if !lab.is_corten() {
        bundle
            .remove("/linux/uidMappings")
            .remove("/linux/gidMappings");
    }
    let done = lab.run(&bundle);
    if lab.is_corten() {
        assert!(done.out.contains(" 100000 "), "{done:?}");
        let map = json!([{"containerID": 0, "hostID": 5, "size": 65536}]);
        bundle.set("/linux/uidMappings", map);
        assert!(lab.refuse(&bundle).err.contains("linux.uidMappings"));
    }
    other.end();
}

fn the_clocks_of_a_time_namespace_are_set(lab: &Lab) {
    lab.need_corten("runc 1.1 has no time namespaces");
    let mut bundle = lab.bundle();
    bundle.unshare("time").set(
        "/linux/timeOffsets",
        json!({"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 500, "nanosecs": 5}}),
    );
    bundle.sh("cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets");
    let done = lab.run(&bundle).ok();
    assert!(
        links(&done.out)[0].parse::<u64>().unwrap() >= 1_000_000,
        "{done:?}"
    );
    let words: Vec<&str> = done.out.split_whitespace().skip(1).collect();
    assert_eq!(words, ["monotonic", "500", "5", "boottime", "1000000", "0"]);
}

fn time_offsets_without_a_time_namespace_are_refused(lab: &Lab) {
    lab.need_corten("runc 1.1 has no time namespaces");
    let mut bundle = lab.bundle();
    bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 1}}));
    assert!(lab.refuse(&bundle).err.contains("linux.timeOffsets"));
}

fn sysctls_are_set(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1", "net.ipv4.ip_unprivileged_port_start": "80"}));
    bundle.sh("cd /proc/sys; cat net/ipv4/ip_forward kernel/shm_rmid_forced net/ipv4/ip_unprivileged_port_start");
    assert_eq!(links(&lab.run(&bundle).ok().out), ["1", "1", "80"]);
}

fn limits_of_a_user_namespace_are_set(lab: &Lab) {
    lab.need_corten("runc before 1.4 refuses them");
    let mut bundle = lab.bundle();
    bundle.userns();
    bundle.set("/linux/sysctl", json!({"user.max_mnt_namespaces": "17"}));
    bundle.sh("cat /proc/sys/user/max_mnt_namespaces");
    assert_eq!(lab.run(&bundle).ok().out, "17\n");
}

fn sysctls_outside_of_namespaces_are_refused(lab: &Lab) {
    let keys = [
        "kernel.panic",
        "vm.swappiness",
        "kernel.core_pattern",
        "net.../../kernel.panic",
        "net/../kernel/panic",
    ];
    for key in keys {
        let mut bundle = lab.bundle();
        bundle.set("/linux/sysctl", json!({key: "0"}));
        let done = lab.refuse(&bundle);
        if lab.is_corten() {
            assert!(done.err.contains("linux.sysctl"), "{key}: {done:?}");
        }
    }
    let mut bundle = lab.bundle();
    bundle
        .share("network")
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "0"}));
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("net.ipv4.ip_forward"), "{done:?}");
}

fn the_network_of_a_named_namespace_is_used(lab: &Lab) {
    lab.need_program("ip");
    let name = format!("ct-{}", std::process::id());
    let ip = |script: &str| {
        Call::script(lab, &script.replace("NAME", &name))
            .done()
            .ok()
    };
    ip("ip netns add NAME && ip -n NAME link set lo up");
    let theirs = ip("ip netns exec NAME readlink /proc/self/ns/net").out;
    let mut bundle = lab.bundle();
    bundle
        .join("network", &format!("/run/netns/{name}"))
        .args(&["readlink", "/proc/self/ns/net"]);
    let done = lab.run(&bundle);
    ip("ip netns del NAME; umount /run/netns");
    assert_eq!(done.ok().out, theirs);
}

fn the_mount_namespace_of_the_host_is_not_joined(lab: &Lab) {
    lab.need_corten("runc joins it, and its root becomes that of everything");
    let mut bundle = lab.bundle();
    bundle.join("mount", "/proc/self/ns/mnt");
    let call = lab.run_call(&bundle, &[], &lab.id());
    // In one of its own, which alone would be lost if it were joined.
    let script = "exec unshare --mount sh -c '\"$@\"; code=$?; ls /proc/self/ns/mnt >&2 && exit $code' sh \"$@\"";
    let done = call.within(lab, script).done();
    let done = done.fails(1, "the container's mounts would be the host's");
    assert!(done.err.contains("linux.namespaces["), "{done:?}");
    assert!(done.err.contains("/proc/self/ns/mnt"), "{done:?}");
}

fn kernel_parameters_of_the_host_are_not_changed_through_a_namespace_that_is_joined(lab: &Lab) {
    lab.need_corten("runc refuses it for the network namespace alone");
    for (kind, file, key) in [
        ("network", "net", "net.ipv4.ip_unprivileged_port_start"),
        ("ipc", "ipc", "kernel.shmmax"),
        ("uts", "uts", "kernel.domainname"),
    ] {
        let mut bundle = lab.bundle();
        bundle.join(kind, &format!("/proc/self/ns/{file}"));
        bundle.set("/linux/sysctl", json!({ key: "1001" }));
        let parameter = format!("/proc/sys/{}", key.replace('.', "/"));
        let before = fs::read_to_string(&parameter).unwrap();
        let call = lab.run_call(&bundle, &[], &lab.id());
        // In one of its own, which alone would be changed if it were joined.
        let script = format!(
            "exec unshare --net --ipc --uts sh -c 'before=$(cat {parameter}); \"$@\"; code=$?; [ \"$before\" = \"$(cat {parameter})\" ] && exit $code' sh \"$@\""
        );
        let done = call.within(lab, &script).done();
        let done = done.fails(1, "it is the host's, which linux.sysctl would change");
        assert!(done.err.contains("linux.namespaces["), "{done:?}");
        assert_eq!(fs::read_to_string(&parameter).unwrap(), before);
    }
}

fn a_container_without_a_mount_namespace_never_mounts_on_the_host(lab: &Lab) {
    lab.need_corten("runc 1.1 does");
    let mut bundle = lab.bundle();
    bundle.share("mount");
    if !lab.is_corten() {
        bundle
            .set("/linux/maskedPaths", json!([]))
            .set("/linux/readonlyPaths", json!([]));
    }
    let done = lab.refuse(&bundle);
    if lab.is_corten() {
        assert!(
            done.err.contains("linux.namespaces") || done.err.contains("mount namespace"),
            "{done:?}"
        );
    }
}
