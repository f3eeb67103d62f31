//! What of the kernel a container may see and touch: masks, read-only paths, devices.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use serde_json::json;

use crate::harness::{Lab, tests};

tests![
    masked_files_are_empty_and_masked_directories_too,
    masks_cannot_be_written_or_lifted,
    a_mask_of_something_missing_is_ignored,
    a_hidden_path_is_found_through_links_that_go_up,
    read_only_paths_cannot_be_written,
    the_default_devices_are_there,
    the_standard_links_are_there,
    devices_of_the_configuration_are_made,
    devices_that_are_not_allowed_cannot_be_used,
    device_rules_apply_in_order,
    device_nodes_cannot_be_made_of_what_is_not_allowed,
    devices_work_in_a_user_namespace,
    a_file_of_the_host_is_not_taken_for_a_device,
    a_device_over_another_file_is_refused,
    an_image_without_a_dev_directory_gets_one,
    ptmx_gives_terminals_of_the_container_only,
];

fn masked_files_are_empty_and_masked_directories_too(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
    fs::create_dir(bundle.rootfs().join("etc/secrets")).unwrap();
    fs::write(bundle.rootfs().join("etc/secrets/a"), "secret\n").unwrap();
    bundle.set(
        "/linux/maskedPaths",
        json!([
            "/etc/secret",
            "/etc/secrets",
            "/proc/kcore",
            "/sys/firmware"
        ]),
    );
    bundle.sh("cat /etc/secret; ls -A /etc/secrets /sys/firmware; head -c1 /proc/kcore | wc -c; stat -c %F /etc/secrets");
    let done = lab.run(&bundle).ok();
    assert_eq!(
        done.lines(),
        ["/etc/secrets:", "", "/sys/firmware:", "0", "directory"]
    );
}

fn masks_cannot_be_written_or_lifted(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::create_dir(bundle.rootfs().join("etc/secrets")).unwrap();
    fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
    bundle.set("/linux/maskedPaths", json!(["/etc/secret", "/etc/secrets"]));
    bundle.sh("touch /etc/secrets/x 2>/dev/null && echo touched; umount /etc/secrets 2>/dev/null && echo lifted; \
               umount /etc/secret 2>/dev/null && echo lifted; cat /etc/secret");
    assert_eq!(lab.run(&bundle).out, "");
    assert!(!bundle.rootfs().join("etc/secrets/x").exists());
    assert_eq!(
        fs::read_to_string(bundle.rootfs().join("etc/secret")).unwrap(),
        "secret\n"
    );
}

fn a_mask_of_something_missing_is_ignored(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set(
        "/linux/maskedPaths",
        json!(["/nonexistent", "/proc/none/such"]),
    );
    bundle.set(
        "/linux/readonlyPaths",
        json!(["/nonexistent", "/proc/none/such"]),
    );
    lab.run(&bundle).ok();
}

/// Between the pivot and its end the host's root lies on the container's, and `..` leads there.
fn a_hidden_path_is_found_through_links_that_go_up(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::create_dir(bundle.rootfs().join("depot")).unwrap();
    for name in ["secret", "kept"] {
        fs::write(bundle.rootfs().join("depot").join(name), "seen\n").unwrap();
    }
    std::os::unix::fs::symlink("../depot", bundle.rootfs().join("var/data")).unwrap();
    bundle.set("/linux/maskedPaths", json!(["/var/data/secret"]));
    bundle.set("/linux/readonlyPaths", json!(["/var/data/kept"]));
    bundle.sh("cat /depot/secret; (echo new > /depot/kept) 2>&1 | grep -c Read-only");
    assert_eq!(lab.run(&bundle).ok().lines(), ["1"]);
}

fn read_only_paths_cannot_be_written(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::create_dir(bundle.rootfs().join("etc/kept")).unwrap();
    bundle.set(
        "/linux/readonlyPaths",
        json!([
            "/proc/sys",
            "/proc/sysrq-trigger",
            "/etc/kept",
            "/etc/passwd"
        ]),
    );
    bundle.sh("for f in /proc/sys/net/ipv4/ip_forward /etc/kept/x /etc/passwd; do (echo 0 > $f) 2>&1; done | grep -c Read-only; cat /proc/sys/kernel/ostype");
    assert_eq!(lab.run(&bundle).ok().lines(), ["3", "Linux"]);
}

fn the_default_devices_are_there(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' /dev/$d; done; \
               echo x > /dev/null && head -c4 /dev/zero | od -An -tx1 && head -c1 /dev/urandom | wc -c; echo x > /dev/full");
    let done = lab.run(&bundle);
    let expected = [
        "/dev/null character special file 1:3 666 0:0",
        "/dev/zero character special file 1:5 666 0:0",
        "/dev/full character special file 1:7 666 0:0",
        "/dev/random character special file 1:8 666 0:0",
        "/dev/urandom character special file 1:9 666 0:0",
        "/dev/tty character special file 5:0 666 0:0",
        " 00 00 00 00",
        "1",
    ];
    assert_eq!(done.lines(), expected, "{done:?}");
}

fn the_standard_links_are_there(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; echo through >> /dev/stdout");
    let links = [
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
        "through",
    ];
    assert_eq!(lab.run(&bundle).ok().lines(), links);
}

fn devices_of_the_configuration_are_made(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set(
        "/linux/devices",
        json!([
            {"type": "c", "path": "/dev/mynull", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6},
            {"type": "u", "path": "/dev/sub/zero", "major": 1, "minor": 5},
            {"type": "b", "path": "/dev/disk7", "major": 7, "minor": 7, "fileMode": 0o600},
            {"type": "p", "path": "/dev/pipe", "fileMode": 0o622},
        ]),
    );
    bundle.sh("stat -c '%F %t:%T %a %u:%g' /dev/mynull /dev/disk7 /dev/pipe; stat -c '%t:%T' /dev/sub/zero");
    let expected = [
        "character special file 1:3 640 5:6",
        "block special file 7:7 600 0:0",
        "fifo 0:0 622 0:0",
        "1:5",
    ];
    assert_eq!(lab.run(&bundle).ok().lines(), expected);
}

fn devices_that_are_not_allowed_cannot_be_used(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set(
        "/linux/devices",
        json!([{"type": "c", "path": "/dev/port9", "major": 1, "minor": 4}]),
    );
    bundle.sh("cat /dev/port9 >/dev/null 2>&1 || echo refused; head -c1 /dev/zero >/dev/null && echo read");
    assert_eq!(lab.run(&bundle).ok().lines(), ["refused", "read"]);
}

fn device_rules_apply_in_order(lab: &Lab) {
    let mut bundle = lab.bundle();
    // 10:229 is /dev/fuse, which anybody may open who is allowed to.
    bundle.set(
        "/linux/devices",
        json!([{"type": "c", "path": "/dev/fuse9", "major": 10, "minor": 229}]),
    );
    let script = "(: < /dev/fuse9) && echo read; (: > /dev/fuse9) 2>/dev/null && echo write";
    let allow = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"});
    bundle
        .sh(&format!("{script}; true"))
        .set("/linux/resources/devices/-", allow);
    assert_eq!(lab.run(&bundle).ok().lines(), ["read"]);
    let deny = json!({"allow": false, "type": "c", "major": 10, "access": "rwm"});
    bundle.set("/linux/resources/devices/-", deny);
    assert_eq!(lab.run(&bundle).ok().out, "", "a later rule wins");
}

fn device_nodes_cannot_be_made_of_what_is_not_allowed(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("mknod /tmp/mem c 1 1 && (cat /tmp/mem >/dev/null) 2>&1 | grep -o 'Operation not permitted' | head -1");
    let out = lab.run(&bundle).out;
    assert!(
        out.is_empty() || out.contains("Operation not permitted"),
        "{out}"
    );
}

fn devices_work_in_a_user_namespace(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.userns().sh("echo x > /dev/null && head -c1 /dev/zero | wc -c; stat -c '%t:%T' /dev/null; head -c1 /dev/urandom | wc -c");
    assert_eq!(lab.run(&bundle).ok().lines(), ["1", "1:3", "1"]);
}

fn a_file_of_the_host_is_not_taken_for_a_device(lab: &Lab) {
    lab.need_corten("runc binds whatever the host has at that path");
    let secret = lab.file("secret", "of the host");
    let secret = secret.display().to_string();
    for (path, minor) in [
        (secret.as_str(), 3),
        ("/dev", 3),
        ("/dev/null", 5),
        ("/dev/fd", 3),
    ] {
        let mut bundle = lab.bundle();
        bundle.userns().set(
            "/linux/devices",
            json!([{"type": "c", "path": path, "major": 1, "minor": minor}]),
        );
        let done = lab.refuse(&bundle);
        for words in [
            "linux.devices[0]",
            path,
            "the host's file is not that device",
        ] {
            assert!(done.err.contains(words), "{words}: {done:?}");
        }
    }
}

fn a_device_over_another_file_is_refused(lab: &Lab) {
    lab.need_corten("runc takes any file for the device");
    let mut bundle = lab.bundle();
    fs::write(bundle.rootfs().join("etc/node"), "a file").unwrap();
    bundle.set(
        "/linux/devices",
        json!([{"type": "c", "path": "/etc/node", "major": 1, "minor": 3}]),
    );
    let done = lab.refuse(&bundle);
    assert!(
        done.err.contains("linux.devices[0]") && done.err.contains("/etc/node"),
        "{done:?}"
    );
    let kind = fs::symlink_metadata(bundle.rootfs().join("etc/node")).unwrap();
    assert!(
        !kind.file_type().is_char_device() && kind.size() == 6,
        "it is as it was"
    );
}

fn an_image_without_a_dev_directory_gets_one(lab: &Lab) {
    let mut bundle = lab.bundle();
    for name in ["dev", "proc", "sys"] {
        fs::remove_dir(bundle.rootfs().join(name)).unwrap();
    }
    bundle.sh("echo x > /dev/null && ls /proc/1/status /sys/kernel >/dev/null && echo fine");
    assert_eq!(lab.run(&bundle).ok().out, "fine\n");
}

fn ptmx_gives_terminals_of_the_container_only(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("script -q -c tty /dev/null </dev/null; ls /dev/pts");
    let done = lab.run(&bundle);
    assert!(done.out.contains("ptmx"), "{done:?}");
    assert!(
        !done.out.contains("/dev/pts/1"),
        "its first terminal has number 0: {done:?}"
    );
}
