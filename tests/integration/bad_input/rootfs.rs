//! 29 to 35: the root file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use super::scene::{Row, Scene, config, refused, story};

pub const ROWS: &[Row] = &[
    config(
        29,
        "no root",
        |scene| { scene.bundle.remove("/root"); },
        "root",
        "required on Linux, and missing",
    ),
    refused(
        30,
        "a root that is not there",
        |scene| { scene.set("/root/path", json!("nowhere")); },
        &["root.path (line ", "cannot use ", "/nowhere as root filesystem: no such file or directory"],
    ),
    refused(
        31,
        "a root that is a file",
        |scene| {
            fs::write(scene.bundle.dir.join("file"), "").unwrap();
            scene.set("/root/path", json!("file"));
        },
        &["root.path (line ", "cannot use ", "/file as root filesystem: not a directory"],
    ),
    config(
        32,
        "an empty path",
        |scene| { scene.set("/root/path", json!("")); },
        "root.path",
        "required, and empty",
    ),
    refused(
        32,
        "an empty directory",
        |scene| {
            let empty = scene.bundle.dir.join("empty");
            fs::create_dir(&empty).unwrap();
            // Mount points are made where they are missing; these are there.
            for name in ["dev", "proc", "sys"] {
                fs::create_dir(empty.join(name)).unwrap();
            }
            scene.set("/root/path", json!("empty"));
        },
        &["process.args[0]: ", "exec: \"true\": executable file not found in $PATH"],
    ),
    refused(
        33,
        "the root of the host",
        |scene| { scene.set("/root/path", json!("/")); },
        &["root.path (line ", "is the root filesystem of the host itself"],
    ),
    refused(
        33,
        "the root of the host by another name",
        |scene| { scene.set("/root/path", json!("/proc/self/root")); },
        &["root.path (line ", "/proc/self/root as root filesystem: a symbolic link"],
    ),
    story(33, "the root of the host, mounted elsewhere", |scene| {
        let place = scene.bundle.dir.join("host");
        fs::create_dir(&place).unwrap();
        let bind = MsFlags::MS_BIND;
        mount(Some("/"), &place, None::<&str>, bind, None::<&str>).unwrap();
        scene.set("/root/path", json!("host"));
        let done = scene.create();
        umount2(&place, MntFlags::MNT_DETACH).unwrap();
        done.fails(1, "is the root filesystem of the host itself");
    }),
    refused(
        34,
        "a link to a directory",
        |scene| {
            symlink("rootfs", scene.bundle.dir.join("link")).unwrap();
            scene.set("/root/path", json!("link"));
        },
        &["root.path (line ", "cannot use ", "/link as root filesystem: a symbolic link"],
    ),
    refused(
        34,
        "a link to the host's root",
        |scene| {
            symlink("/", scene.bundle.dir.join("link")).unwrap();
            scene.set("/root/path", json!("link"));
        },
        &["root.path (line ", "cannot use ", "/link as root filesystem: a symbolic link"],
    ),
    refused(
        35,
        "a root that its own user may not enter",
        unreadable,
        &["root.path: ", "permission denied"],
    ),
];

/// Root of the user namespace is nobody to the owner of the directory.
fn unreadable(scene: &mut Scene<'_>) {
    scene.bundle.userns();
    let rootfs = scene.bundle.rootfs();
    std::os::unix::fs::chown(&rootfs, Some(4711), Some(4711)).unwrap();
    fs::set_permissions(&rootfs, fs::Permissions::from_mode(0o700)).unwrap();
}
