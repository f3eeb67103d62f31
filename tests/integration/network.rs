//! linux.netDevices: interfaces of the host that move into the container.
//!
//! Each test has a network namespace of its own, which is the runtime's; its interfaces are the ends of veth
//! pairs, and what they have become is read inside the container.

use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use crate::harness::call::Call;
use crate::harness::{Bundle, Lab, tests};

tests![
    an_interface_keeps_its_addresses_and_attributes,
    an_interface_is_renamed,
    a_name_that_is_taken_is_refused,
    a_template_gives_a_free_name,
    an_interface_moves_into_a_user_namespace,
    interfaces_are_there_before_kernel_parameters_and_hooks,
    a_failed_create_moves_interfaces_back,
    an_interface_that_cannot_move_is_named,
    the_runtime_moves_nothing_back_at_the_end,
];

/// Leaves the host's network: what the runtime finds from here on is the test's.
fn enter(lab: &Lab) {
    lab.need_corten("runc 1.1 has no network devices");
    lab.need_program("ip");
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
}

/// Commands in the runtime's network namespace.
fn host(lab: &Lab, script: &str) -> String {
    Call::script(lab, &format!("set -e; {script}"))
        .done()
        .ok()
        .out
}

fn bundle(lab: &Lab, devices: serde_json::Value, script: &str) -> Bundle {
    let mut bundle = lab.bundle();
    bundle.set("/linux/netDevices", devices).sh(script);
    bundle
}

/// The addresses of an interface that `ip` shows: family, address, scope and the rest of their lines.
fn addresses(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let found = lines.filter(|line| line.starts_with("inet"));
    found.map(|line| line.replace(" tentative", "")).collect()
}

const PAIR: &str = "ip link add near type veth peer name far";

fn an_interface_keeps_its_addresses_and_attributes(lab: &Lab) {
    enter(lab);
    let made = format!(
        "{PAIR}; ip link set near mtu 1432 address 02:00:00:00:00:07 txqueuelen 77 alias mine; ip link set far up;
         ip addr add 192.0.2.7/24 broadcast 192.0.2.255 dev near;
         ip addr add 192.0.2.8/24 dev near; ip addr add 198.51.100.1/32 dev near label near:more;
         ip addr add 203.0.113.9/24 scope link dev near; ip addr add 192.0.2.10/24 valid_lft 1000 preferred_lft 900 dev near;
         ip link set near up; ip addr add 2001:db8::7/64 nodad dev near;
         ip addr add 2001:db8::8/64 nodad preferred_lft 0 dev near"
    );
    host(lab, &made);
    let look = "cd /sys/class/net/near; cat mtu address tx_queue_len ifalias flags; ip addr show near; ip route";
    let done = lab.run(&bundle(lab, json!({"near": {}}), look)).ok();
    let lines = done.lines();
    assert_eq!(lines[..4], ["1432", "02:00:00:00:00:07", "77", "mine"]);
    assert_eq!(lines[4], "0x1003", "it is up: {done:?}");
    let found = addresses(&done.out);
    let expected = [
        "inet 192.0.2.7/24 brd 192.0.2.255 scope global near",
        "inet 198.51.100.1/32 scope global near:more",
        "inet 192.0.2.8/24 scope global secondary near",
        "inet6 2001:db8::7/64 scope global",
        "inet6 2001:db8::8/64 scope global deprecated",
    ];
    for (address, line) in expected.iter().zip(&found) {
        assert!(line.starts_with(address), "{address}: {done:?}");
    }
    // Neither one of another scope nor one that ends some day; IPv6 makes its own of link scope.
    let others = found.iter().skip(expected.len());
    assert!(
        others.clone().all(|line| line.starts_with("inet6 fe80:")),
        "{done:?}"
    );
    assert!(done.out.contains("192.0.2.0/24 dev near"), "{done:?}");
}

fn an_interface_is_renamed(lab: &Lab) {
    enter(lab);
    host(
        lab,
        &format!("{PAIR}; ip addr add 192.0.2.7/24 label near:x dev near; ip link set near up"),
    );
    let look = "ls /sys/class/net; ip addr show eth0";
    let done = lab
        .run(&bundle(lab, json!({"near": {"name": "eth0"}}), look))
        .ok();
    assert_eq!(done.lines()[..2], ["eth0", "lo"], "{done:?}");
    let found = addresses(&done.out);
    assert_eq!(found[0], "inet 192.0.2.7/24 scope global eth0", "{done:?}");
}

fn a_name_that_is_taken_is_refused(lab: &Lab) {
    enter(lab);
    host(
        lab,
        &format!("{PAIR}; ip addr add 192.0.2.7/24 dev near; ip link set near up"),
    );
    // Not the whole text: whether the link has a carrier is noticed a moment later.
    let before = addresses(&host(lab, "ip addr show near"));
    let taken = lab.refuse(&bundle(lab, json!({"near": {"name": "lo"}}), "true"));
    for words in [
        "linux.netDevices[\"near\"]",
        "as lo",
        "file exists",
        "is there already",
    ] {
        assert!(taken.err.contains(words), "{words}: {taken:?}");
    }
    let after = addresses(&host(lab, "ip addr show near"));
    assert!(before.len() == 1 && after == before, "{before:?} {after:?}");
}

fn a_template_gives_a_free_name(lab: &Lab) {
    enter(lab);
    let name = format!("ct-{}", std::process::id());
    let made = format!(
        "ip netns add {name}; ip -n {name} link add eth0 type veth peer name other; {PAIR};
         ip addr add 192.0.2.7/24 dev near"
    );
    host(lab, &made);
    let mut wanted = bundle(lab, json!({"near": {"name": "eth%d"}}), "ip addr show eth1");
    wanted.join("network", &format!("/run/netns/{name}"));
    let done = lab.run(&wanted);
    // It is not the runtime's to take an interface out of a namespace that stays.
    let left = host(
        lab,
        &format!("ip -n {name} -br link; ip netns del {name}; umount /run/netns"),
    );
    assert!(addresses(&done.ok().out)[0].starts_with("inet 192.0.2.7/24"));
    assert!(left.contains("eth1@"), "{left}");
}

fn an_interface_moves_into_a_user_namespace(lab: &Lab) {
    enter(lab);
    host(
        lab,
        &format!("{PAIR}; ip addr add 2001:db8::7/64 nodad dev near"),
    );
    let mut wanted = bundle(lab, json!({"near": {"name": "eth0"}}), "ip addr show eth0");
    wanted.userns();
    let done = lab.run(&wanted).ok();
    assert!(done.out.contains("2001:db8::7/64"), "{done:?}");
}

fn interfaces_are_there_before_kernel_parameters_and_hooks(lab: &Lab) {
    enter(lab);
    host(lab, PAIR);
    let seen = lab.path("seen");
    let script = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); nsenter -n -t $pid ip -br link >{}",
        seen.display()
    );
    let look = "cat /proc/sys/net/ipv4/conf/eth7/forwarding";
    let mut wanted = bundle(lab, json!({"near": {"name": "eth7"}}), look);
    wanted
        .set("/linux/sysctl", json!({"net.ipv4.conf.eth7.forwarding": "1"}))
        .set("/hooks/createRuntime", json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}]));
    assert_eq!(lab.run(&wanted).ok().out.trim(), "1");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("eth7@"), "{seen}");
}

fn a_failed_create_moves_interfaces_back(lab: &Lab) {
    enter(lab);
    let made = format!(
        "{PAIR}; ip link add second type veth peer name third; ip addr add 192.0.2.7/24 label near:x dev near;
         ip addr add 2001:db8::7/64 nodad dev near; ip link set near up; ip link set far up"
    );
    host(lab, &made);
    let look = "ip addr show near | grep -v fe80; ip addr show second";
    let before = host(lab, look).replace(" tentative", "");
    let devices = json!({"near": {"name": "eth0"}, "second": {}});
    let mut failing = bundle(lab, devices.clone(), "true");
    failing.set("/hooks/createRuntime", json!([{"path": "/bin/false"}]));
    lab.refuse(&failing);
    let lines = |text: &str| {
        let lines = text.lines().map(|line| line.replace(" tentative", ""));
        lines
            .filter(|line| !line.contains("fe80") && !line.contains("forever"))
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&host(lab, look)), lines(&before));
    // One that is in the way of the second: the first goes back.
    let clash = json!({"near": {"name": "eth0"}, "second": {"name": "lo"}});
    let done = lab.refuse(&bundle(lab, clash, "true"));
    assert!(done.err.contains("netDevices[\"second\"]"), "{done:?}");
    assert_eq!(lines(&host(lab, look)), lines(&before));
    lab.run(&bundle(lab, devices, "true")).ok();
}

fn an_interface_that_cannot_move_is_named(lab: &Lab) {
    enter(lab);
    let missing = lab.refuse(&bundle(lab, json!({"no-such-device": {}}), "true"));
    assert!(
        missing.err.contains("linux.netDevices[\"no-such-device\"]"),
        "{missing:?}"
    );
    assert!(missing.err.contains("no such device"), "{missing:?}");
    let loopback = lab.refuse(&bundle(lab, json!({"lo": {"name": "lo7"}}), "true"));
    assert!(
        loopback.err.contains("linux.netDevices[\"lo\"]"),
        "{loopback:?}"
    );
    assert!(loopback.err.contains("invalid argument"), "{loopback:?}");
    assert!(host(lab, "ip link").contains("lo:"));
}

fn the_runtime_moves_nothing_back_at_the_end(lab: &Lab) {
    enter(lab);
    host(lab, PAIR);
    let mut wanted = lab.sleeper();
    wanted.set("/linux/netDevices", json!({"near": {}}));
    let container = lab.start(&wanted);
    assert!(!host(lab, "ip -br link").contains("near@"));
    container.end();
    // The namespace ends when nobody is in it any more, and a virtual interface with it.
    crate::harness::call::eventually("the pair is gone", || {
        !host(lab, "ip -br link").contains("far@")
    });
}
