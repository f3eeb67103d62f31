//! The root file system of every bundle: a static busybox and its names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

/// Where Debian's busybox-static puts it.
const BUSYBOX: &str = "/usr/bin/busybox";

/// Makes the tree that the bundles copy.
pub fn prepare(dir: &Path) {
    for name in [
        "bin",
        "dev",
        "etc",
        "home/user",
        "mnt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr/bin",
        "var/lib",
    ] {
        fs::create_dir_all(dir.join(name)).expect("the temporary directory is writable");
    }
    fs::set_permissions(dir.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("it is ours");
    fs::copy(BUSYBOX, dir.join("bin/busybox")).expect("busybox-static is installed");
    let list = Command::new(BUSYBOX)
        .arg("--list")
        .output()
        .expect("busybox-static is installed");
    for name in String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|name| *name != "busybox")
    {
        symlink("busybox", dir.join("bin").join(name)).expect("the names of busybox differ");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
    fs::write(dir.join("etc/passwd"), passwd).expect("the temporary directory is writable");
    fs::write(
        dir.join("etc/group"),
        "root:x:0:\nuser:x:1000:\nstaff:x:50:user\n",
    )
    .expect("the same");
}

/// Copies the tree.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .expect("coreutils are installed");
    assert!(status.success(), "cannot copy the root file system");
}

/// Gives a tree to the ids that a user namespace maps to `first`.
pub fn give(path: &Path, first: u32) {
    lchown(path, Some(first), Some(first)).expect("the tests run as root");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("it is a directory").flatten() {
            give(&entry.path(), first);
        }
    }
}
