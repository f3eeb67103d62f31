//! `restore`: what comes from outside of a container, and the flags that criu is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::checkpoint::{call, checkpoint, counter, goes_on, need_criu, restore};
use super::exec::with_a_key;
use crate::harness::call::{Call, eventually};
use crate::harness::{Bundle, Lab, skip, tests};

tests![
    mounts_over_links_and_below_others_come_back,
    a_root_on_a_shared_mount_comes_back,
    a_process_that_joined_a_restored_container_is_saved_with_it,
    a_file_of_options_counts_more_than_what_is_asked,
    cgroups_that_criu_leaves_alone_are_the_runtime_s,
    images_without_cgroups_come_back_into_a_cgroup_namespace,
    an_interface_is_still_in_the_network_that_was_joined,
    other_mounts_from_outside_are_refused,
    a_scope_of_systemd_comes_back,
    a_cgroup_below_a_scope_comes_back,
    a_mode_that_wants_no_cgroup_is_refused_at_restore,
    a_socket_from_outside_is_only_saved_when_asked_for,
    a_network_comes_back_empty,
    connections_come_back_closed,
    keys_of_the_caller_are_not_those_of_what_is_restored,
];

fn mounts_over_links_and_below_others_come_back(lab: &Lab) {
    need_criu(lab);
    let (mut bundle, counted) = counter(lab);
    let real = bundle.rootfs().join("real");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink("/real", bundle.rootfs().join("link")).unwrap();
    let (outer, inner) = (lab.path("outer"), lab.path("inner"));
    fs::create_dir(&outer).unwrap();
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), "inner").unwrap();
    bundle
        .bind(&inner, "/link/below", &["bind"])
        .bind(&outer, "/outer", &["bind"])
        .bind(&inner, "/outer/for/inner", &["bind", "ro"]);
    let container = lab.start(&bundle);
    goes_on(&counted);
    for _ in 0..2 {
        let image = checkpoint(lab, &container, &[]);
        fs::remove_dir_all(outer.join("for")).unwrap();
        restore(lab, &bundle, &image, &[], &container.id);
        goes_on(&counted);
        let script =
            "cat /real/below/file /link/below/file /outer/for/inner/file; : >/outer/for/inner/x";
        let done = container.exec(&["sh", "-c", script]);
        assert_eq!(done.out, "innerinnerinner", "{done:?}");
        assert!(done.err.contains("Read-only"), "{done:?}");
    }
    container.end();
}

/// As every mount of a host is that systemd has booted.
fn a_root_on_a_shared_mount_comes_back(lab: &Lab) {
    need_criu(lab);
    let place = lab.dir.display();
    let script = format!("mount --bind {place} {place} && mount --make-shared {place}");
    Call::script(lab, &script).done().ok();
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let masters = || {
        let text = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).unwrap();
        let slaves = text.lines().filter(|line| line.contains(" master:"));
        let places = slaves.filter_map(|line| line.split(' ').nth(4));
        places.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = masters();
    assert!(before.contains(&"/".to_owned()), "{before:?}");
    for _ in 0..2 {
        let image = checkpoint(lab, &container, &[]);
        restore(lab, &bundle, &image, &[], &container.id);
        goes_on(&counted);
        assert_eq!(masters(), before);
    }
    container.end();
    Call::script(lab, &format!("umount -l {place}")).done();
}

/// criu restores into a time namespace, which exec has to join.
fn a_process_that_joined_a_restored_container_is_saved_with_it(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    for round in 1..3 {
        // Its parent ends, and the container's first process takes it over.
        let script = "sleep 1000 </dev/null >/dev/null 2>&1 & readlink /proc/self/ns/time; readlink /proc/1/ns/time";
        let done = container.exec(&["sh", "-c", script]).ok();
        assert_eq!(done.lines()[0], done.lines()[1], "{round}");
        let image = checkpoint(lab, &container, &[]);
        restore(lab, &bundle, &image, &[], &container.id);
        goes_on(&counted);
        // Arguments end with a zero byte each.
        let running = container.exec(&["sh", "-c", "cat /proc/[0-9]*/cmdline"]);
        let count = running.out.matches("sleep\x001000\0").count();
        assert_eq!(count, round, "{running:?}");
    }
    container.end();
}

fn a_file_of_options_counts_more_than_what_is_asked(lab: &Lab) {
    need_criu(lab);
    let file = lab.file("criu.conf", "log-file=other.log\n");
    let (mut bundle, counted) = counter(lab);
    bundle.set(
        "/annotations",
        json!({"org.criu.config": file.to_str().unwrap()}),
    );
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = checkpoint(lab, &container, &[]);
    let log = Path::new(&image).join("other.log");
    assert!(log.exists() && !Path::new(&image).join("dump.log").exists());
    fs::remove_file(&log).unwrap();
    restore(lab, &bundle, &image, &[], &container.id);
    assert!(log.exists() && !Path::new(&image).join("restore.log").exists());
    container.end();
}

const IGNORE: [&str; 2] = ["--manage-cgroups-mode", "ignore"];

/// The same container, in another cgroup.
fn elsewhere(lab: &Lab, bundle: &mut Bundle) -> PathBuf {
    let path = format!("{}-elsewhere", lab.cgroup);
    bundle.set("/linux/cgroupsPath", json!(path));
    Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'))
}

fn cgroups_that_criu_leaves_alone_are_the_runtime_s(lab: &Lab) {
    need_criu(lab);
    let (mut bundle, counted) = counter(lab);
    bundle.unshare("cgroup");
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = checkpoint(lab, &container, &IGNORE);
    let other = elsewhere(lab, &mut bundle);
    bundle.write();
    restore(lab, &bundle, &image, &IGNORE, &container.id);
    goes_on(&counted);
    let procs = fs::read_to_string(other.join("cgroup.procs")).unwrap();
    assert!(procs.lines().any(|pid| pid == container.pid().to_string()));
    let own = fs::read_link("/proc/self/ns/cgroup").unwrap();
    let its = fs::read_link(format!("/proc/{}/ns/cgroup", container.pid())).unwrap();
    assert_ne!(own, its, "it is not in the host's cgroup namespace");
    let seen = container.exec(&["cat", "/proc/1/cgroup"]).ok().out;
    assert_eq!(
        seen.trim(),
        "0::/",
        "its cgroup is the root of what it sees"
    );
    container.corten(&["delete", "--force"], &[]).ok();
    assert!(!other.exists());
}

fn images_without_cgroups_come_back_into_a_cgroup_namespace(lab: &Lab) {
    need_criu(lab);
    let (mut bundle, counted) = counter(lab);
    bundle.unshare("cgroup");
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = checkpoint(lab, &container, &IGNORE);
    restore(lab, &bundle, &image, &[], &container.id);
    goes_on(&counted);
    let own = fs::read_link("/proc/self/ns/cgroup").unwrap();
    let its = fs::read_link(format!("/proc/{}/ns/cgroup", container.pid())).unwrap();
    assert_ne!(own, its);
    let seen = container.exec(&["cat", "/proc/1/cgroup"]).ok().out;
    assert_eq!(seen.trim(), "0::/");
    container.end();
}

fn an_interface_is_still_in_the_network_that_was_joined(lab: &Lab) {
    need_criu(lab);
    lab.need_program("ip");
    let pod = lab.start(&lab.sleeper());
    let (near, far) = (
        format!("n{}", std::process::id()),
        format!("f{}", std::process::id()),
    );
    let script = format!(
        "ip link add {near} type veth peer name {far} && ip addr add 192.0.2.7/24 dev {near}"
    );
    Call::script(lab, &script).done().ok();
    let (mut bundle, counted) = counter(lab);
    bundle
        .join("network", &format!("/proc/{}/ns/net", pod.pid()))
        .set("/linux/netDevices", json!({near.clone(): {}}));
    let container = lab.start(&bundle);
    let has_it = || {
        let table = fs::read_to_string(format!("/proc/{}/net/dev", container.pid()));
        table.unwrap_or_default().contains(&near)
    };
    assert!(has_it());
    let image = checkpoint(lab, &container, &[]);
    restore(lab, &bundle, &image, &[], &container.id);
    goes_on(&counted);
    assert!(has_it());
    container.end();
    pod.end();
    // Its peer goes with it, when the last network namespace is gone.
    let peer = Path::new("/sys/class/net").join(&far);
    eventually("the interfaces are gone", || !peer.exists());
}

fn other_mounts_from_outside_are_refused(lab: &Lab) {
    need_criu(lab);
    let (mut bundle, _) = counter(lab);
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    let more = lab.path("more");
    fs::create_dir(&more).unwrap();
    bundle.bind(&more, "/more", &["bind"]);
    let path = bundle.write();
    let flags = ["--detach", "--image-path", &image, "--bundle", &path];
    let done = call(lab, &[&["restore"], &flags[..], &[&container.id]].concat());
    done.fails(1, "mounts: config.json has other mounts");
    container.corten(&["state"], &[]).fails(1, "does not exist");
}

fn a_scope_of_systemd_comes_back(lab: &Lab) {
    scope_comes_back(lab, "");
}

fn a_cgroup_below_a_scope_comes_back(lab: &Lab) {
    scope_comes_back(lab, "box");
}

/// `subgroup` is the container's cgroup as seen from the scope.
fn scope_comes_back(lab: &Lab, subgroup: &str) {
    need_criu(lab);
    if !Path::new("/run/systemd/private").exists() {
        skip("systemd does not run here");
    }
    let (mut bundle, counted) = counter(lab);
    let id = lab.id();
    bundle
        .set(
            "/linux/cgroupsPath",
            json!(format!("corten-tests.slice:test:{id}")),
        )
        .set("/linux/resources", json!({"pids": {"limit": 40}}))
        .set(
            "/annotations",
            json!({"run.oci.systemd.subgroup": subgroup}),
        );
    let path = bundle.write();
    let scope = Path::new("/sys/fs/cgroup/corten.slice/corten-tests.slice")
        .join(format!("test-{id}.scope"));
    let image = lab.path("image").display().to_string();
    call(
        lab,
        &[
            "--systemd-cgroup",
            "run",
            "--detach",
            "--bundle",
            &path,
            &id,
        ],
    )
    .ok();
    for _ in 0..2 {
        goes_on(&counted);
        call(
            lab,
            &[
                "--systemd-cgroup",
                "checkpoint",
                "--image-path",
                &image,
                &id,
            ],
        )
        .ok();
        assert!(!scope.exists(), "the unit has gone");
        let flags = ["--detach", "--image-path", &image, "--bundle", &path, &id];
        call(
            lab,
            &[&["--systemd-cgroup", "restore"], &flags[..]].concat(),
        )
        .ok();
        goes_on(&counted);
        let max = fs::read_to_string(scope.join(subgroup).join("pids.max")).unwrap();
        assert_eq!(max, "40\n");
        let procs = fs::read_to_string(scope.join(subgroup).join("cgroup.procs")).unwrap();
        let pid = lab.corten(&["state", &id]).ok().json()["pid"].to_string();
        assert!(procs.lines().any(|line| line == pid), "{procs}");
        lab.corten(&["exec", &id, "true"]).ok();
    }
    lab.corten(&["delete", "--force", &id]).ok();
    assert!(!scope.exists());
}

fn a_mode_that_wants_no_cgroup_is_refused_at_restore(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let image = checkpoint(lab, &container, &["--manage-cgroups-mode", "strict"]);
    let path = bundle.dir.display().to_string();
    let flags = ["--detach", "--image-path", &image, "--bundle", &path];
    let strict = ["restore", "--manage-cgroups-mode", "strict"];
    call(lab, &[&strict[..], &flags, &[&container.id]].concat())
        .fails(1, "--manage-cgroups-mode: strict wants no cgroup");
    restore(lab, &bundle, &image, &[], &container.id);
    goes_on(&counted);
    container.end();
}

/// A directory with a socket of the host's; its listener lives as long as the guard.
fn listening(lab: &Lab) -> (PathBuf, std::os::unix::net::UnixListener) {
    let directory = lab.path("sockets");
    fs::create_dir(&directory).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(directory.join("sock")).unwrap();
    (directory, listener)
}

fn a_socket_from_outside_is_only_saved_when_asked_for(lab: &Lab) {
    need_criu(lab);
    let (directory, listener) = listening(lab);
    let mut bundle = lab.bundle();
    let python = lab.need_program("python3");
    assert!(python.exists());
    // The image has no program that speaks datagrams: the socket is inherited from the runtime's caller.
    bundle
        .bind(&directory, "/sockets", &["bind"])
        .sh("exec sleep 1000");
    let id = lab.id();
    let path = bundle.write();
    let script = "import os,socket,sys\n\
                  s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); os.dup2(s.fileno(),3); os.set_inheritable(3,True)\n\
                  os.execvp(sys.argv[2],sys.argv[2:])";
    let socket = directory.join("sock").display().to_string();
    let words = [
        "run",
        "--detach",
        "--preserve-fds",
        "1",
        "--bundle",
        &path,
        &id,
    ];
    lab.call(&words)
        .within(
            lab,
            &format!("exec {} -c '{script}' {socket} \"$@\"", python.display()),
        )
        .done()
        .ok();
    let image = lab.path("image").display().to_string();
    let refused = call(lab, &["checkpoint", "--image-path", &image, &id]);
    refused.fails(1, "criu failed");
    let done = call(
        lab,
        &["checkpoint", "--ext-unix-sk", "--image-path", &image, &id],
    );
    // A stream cannot be taken up again, and criu says so; a container that it cannot save goes on.
    assert!(done.code == 1 && done.err.contains("unix"), "{done:?}");
    assert_eq!(lab.corten(&["state", &id]).ok().json()["status"], "running");
    lab.corten(&["delete", "--force", &id]).ok();
    drop(listener);
}

fn a_network_comes_back_empty(lab: &Lab) {
    need_criu(lab);
    let (bundle, counted) = counter(lab);
    let container = lab.start(&bundle);
    goes_on(&counted);
    let flags = ["--empty-ns", "network"];
    let image = checkpoint(lab, &container, &flags);
    restore(lab, &bundle, &image, &flags, &container.id);
    goes_on(&counted);
    let of = |path: String| fs::read_link(path).unwrap();
    let its = of(format!("/proc/{}/ns/net", container.pid()));
    assert_ne!(of("/proc/self/ns/net".to_owned()), its);
    container.end();
}

/// A shell that listens and is connected to itself.
fn connections_come_back_closed(lab: &Lab) {
    need_criu(lab);
    let mut bundle = lab.bundle();
    for name in ["nc", "mkfifo"] {
        let link = bundle.rootfs().join("bin").join(name);
        if !link.exists() {
            std::os::unix::fs::symlink("busybox", link).unwrap();
        }
    }
    bundle.sh(
        "mkfifo /f; exec 8<>/f; nc -l -p 80 <&8 & until nc 127.0.0.1 80 <&8 2>/dev/null; do sleep 0.1; done; sleep 1000",
    );
    let container = lab.start(&bundle);
    let established = || {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", container.pid()));
        table.unwrap_or_default().contains(" 01 ")
    };
    eventually("the connection is there", established);
    let image = checkpoint(lab, &container, &["--tcp-established"]);
    restore(lab, &bundle, &image, &["--tcp-close"], &container.id);
    assert!(!established(), "it is closed");
    container.end();
}

fn keys_of_the_caller_are_not_those_of_what_is_restored(lab: &Lab) {
    need_criu(lab);
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/maskedPaths", json!([]))
        .sh("while ! test -e /look; do sleep 0.05; done; cat /proc/keys >/keys; : >/seen; exec sleep 1000");
    let container = lab.start(&bundle);
    let image = checkpoint(lab, &container, &[]);
    let path = bundle.dir.display().to_string();
    let flags = ["--detach", "--image-path", &image, "--bundle", &path];
    let words = [&["restore"], &flags[..], &[&container.id]].concat();
    let restoring = lab.call(&words).within(lab, &with_a_key(lab));
    restoring.deadline(Duration::from_secs(60)).done().ok();
    fs::write(bundle.rootfs().join("look"), "").unwrap();
    eventually("it looks", || bundle.rootfs().join("seen").exists());
    let seen = fs::read_to_string(bundle.rootfs().join("keys")).unwrap();
    let own = format!("_ses.{}:", container.id);
    assert!(
        seen.contains(&own) && !seen.contains("of-the-caller"),
        "{seen}"
    );
    // exec takes up the same one.
    let listed = container.exec(&["cat", "/proc/keys"]).ok().out;
    assert_eq!(listed.matches(&own).count(), 1, "{listed}");
    container.end();
}
