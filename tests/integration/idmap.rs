//! Mounts with mapped ids, on every file system that a kernel of the tests has.
//!
//! Each is made anew and has one file of user and group 1000. What the container sees of it, and whose a file
//! is that it makes there, is asked inside and on the host. Where the kernel cannot map the ids of a file
//! system (mount_setattr(2) lists those that it can), the mount is refused by name.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::call::Call;
use crate::harness::{Lab, host, skip, tests};

tests![
    ids_are_mapped_on_ext4,
    ids_are_mapped_on_xfs,
    ids_are_mapped_on_btrfs,
    ids_are_mapped_on_vfat,
    ids_are_mapped_on_tmpfs,
    ids_are_mapped_on_squashfs,
    ids_are_mapped_on_erofs,
    ids_of_a_file_system_that_cannot_map_them_are_refused,
    ridmap_reaches_what_is_mounted_below_and_idmap_does_not,
    a_user_namespace_that_is_joined_maps_by_itself,
];

/// How a file system is made: its program, and a script. `$image` is a file of 400 MB, `$tree` a directory
/// with the file, `$at` where it is to be mounted.
struct Kind {
    name: &'static str,
    program: &'static str,
    script: &'static str,
    /// The first Linux that maps its ids.
    since: (u32, u32),
}

/// Mounts it, in the mount namespace of the test; skips the test where that cannot be.
fn mounted(lab: &Lab, kind: &Kind) -> PathBuf {
    lab.need_corten("runc 1.1 has no id-mapped mounts");
    lab.need_program(kind.program);
    let (image, tree, at) = (lab.path("image"), lab.path("tree"), lab.path("at"));
    fs::create_dir(&tree).unwrap();
    fs::create_dir(&at).unwrap();
    fs::write(tree.join("file"), "of 1000\n").unwrap();
    chown(tree.join("file"), Some(1000), Some(1000)).unwrap();
    fs::File::create(&image)
        .unwrap()
        .set_len(400 << 20)
        .unwrap();
    let places = format!(
        "image={} tree={} at={}",
        image.display(),
        tree.display(),
        at.display()
    );
    let done = Call::script(lab, &format!("{places}; set -e; {}", kind.script)).done();
    if [
        "unknown filesystem",
        "No such device",
        "failed to setup loop",
    ]
    .iter()
    .any(|why| done.err.contains(why))
    {
        skip(&format!("this kernel has no {}", kind.name));
    }
    done.ok();
    at
}

fn unmount(lab: &Lab, at: &Path) {
    Call::script(lab, &format!("umount -R {}", at.display()))
        .done()
        .ok();
}

/// 1000 of the file system is 5000 in the container.
fn mapped(at: &Path, option: &str) -> serde_json::Value {
    let map = json!([{"containerID": 1000, "hostID": 5000, "size": 10}]);
    json!({"destination": "/x", "source": at, "type": "bind", "options": ["rbind", option],
        "uidMappings": map, "gidMappings": map})
}

fn check(lab: &Lab, kind: &Kind) {
    let at = mounted(lab, kind);
    let mut bundle = lab.bundle();
    bundle
        .set("/mounts/-", mapped(&at, "idmap"))
        .set("/process/user", json!({"uid": 5000, "gid": 5000}))
        .sh("stat -c %u:%g /x/file; cat /x/file; chmod 600 /x/file && echo mine >/x/made 2>/dev/null || echo cannot write");
    if host::kernel() < kind.since {
        let done = lab.refuse(&bundle);
        unmount(lab, &at);
        let names = done.err.contains("mounts[") && done.err.contains("its ids");
        assert!(names, "{done:?}");
        return;
    }
    fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap_or(());
    let done = lab.run(&bundle);
    let made = fs::metadata(at.join("made"));
    unmount(lab, &at);
    let lines = done.ok();
    assert_eq!(lines.lines()[..2], ["5000:5000", "of 1000"], "{lines:?}");
    match made {
        Ok(made) => assert_eq!((made.uid(), made.gid()), (1000, 1000)),
        Err(_) => assert_eq!(
            lines.lines()[2..],
            ["cannot write"],
            "{}: {lines:?}",
            kind.name
        ),
    }
}

const KINDS: &[Kind] = &[
    Kind {
        name: "ext4",
        program: "mkfs.ext4",
        script: "mkfs.ext4 -q -F $image; mount -t ext4 -o loop $image $at; cp -a $tree/file $at",
        since: (5, 12),
    },
    Kind {
        name: "xfs",
        program: "mkfs.xfs",
        script: "mkfs.xfs -q $image; mount -t xfs -o loop $image $at; cp -a $tree/file $at",
        since: (5, 12),
    },
    Kind {
        name: "btrfs",
        program: "mkfs.btrfs",
        script: "mkfs.btrfs -q $image; mount -t btrfs -o loop $image $at; cp -a $tree/file $at",
        since: (5, 15),
    },
    Kind {
        name: "vfat",
        program: "mkfs.vfat",
        script: "mkfs.vfat $image >/dev/null; mount -t vfat -o loop,uid=1000,gid=1000 $image $at; cp $tree/file $at",
        since: (5, 12),
    },
    Kind {
        name: "tmpfs",
        program: "mount",
        script: "mount -t tmpfs tmpfs $at; cp -a $tree/file $at",
        since: (6, 3),
    },
    Kind {
        name: "squashfs",
        program: "mksquashfs",
        script: "mksquashfs $tree $image -quiet -no-progress -noappend >/dev/null; mount -t squashfs -o loop $image $at",
        since: (6, 2),
    },
    Kind {
        name: "erofs",
        program: "mkfs.erofs",
        script: "mkfs.erofs $image $tree >/dev/null 2>&1; mount -t erofs -o loop $image $at",
        since: (5, 19),
    },
    Kind {
        name: "ramfs",
        program: "mount",
        script: "mount -t ramfs ramfs $at; cp -a $tree/file $at",
        since: (999, 0),
    },
];

fn on(lab: &Lab, name: &str) {
    check(lab, KINDS.iter().find(|kind| kind.name == name).unwrap());
}

fn ids_are_mapped_on_ext4(lab: &Lab) {
    on(lab, "ext4");
}

fn ids_are_mapped_on_xfs(lab: &Lab) {
    on(lab, "xfs");
}

fn ids_are_mapped_on_btrfs(lab: &Lab) {
    on(lab, "btrfs");
}

fn ids_are_mapped_on_vfat(lab: &Lab) {
    on(lab, "vfat");
}

fn ids_are_mapped_on_tmpfs(lab: &Lab) {
    on(lab, "tmpfs");
}

fn ids_are_mapped_on_squashfs(lab: &Lab) {
    on(lab, "squashfs");
}

fn ids_are_mapped_on_erofs(lab: &Lab) {
    on(lab, "erofs");
}

fn ids_of_a_file_system_that_cannot_map_them_are_refused(lab: &Lab) {
    on(lab, "ramfs");
}

fn ridmap_reaches_what_is_mounted_below_and_idmap_does_not(lab: &Lab) {
    let kind = &KINDS[0];
    let (at, below) = (mounted(lab, kind), mounted(lab, kind));
    let inner = at.join("inner");
    fs::create_dir(&inner).unwrap();
    Call::script(
        lab,
        &format!("mount --move {} {}", below.display(), inner.display()),
    )
    .done()
    .ok();
    let seen = |option| {
        let mut bundle = lab.bundle();
        bundle
            .set("/mounts/-", mapped(&at, option))
            .sh("stat -c %u /x/file /x/inner/file");
        lab.run(&bundle)
    };
    let (idmap, ridmap) = (seen("idmap"), seen("ridmap"));
    unmount(lab, &at);
    assert_eq!(idmap.ok().lines(), ["5000", "1000"]);
    assert_eq!(ridmap.ok().lines(), ["5000", "5000"]);
}

fn a_user_namespace_that_is_joined_maps_by_itself(lab: &Lab) {
    lab.need_corten("runc 1.1 has no id-mapped mounts");
    let other = lab.start(lab.sleeper().userns());
    let source = lab.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "").unwrap();
    chown(source.join("file"), Some(7), Some(8)).unwrap();
    for option in ["idmap", "ridmap"] {
        let mut bundle = lab.bundle();
        bundle
            .userns()
            .join("user", &format!("/proc/{}/ns/user", other.pid()))
            .remove("/linux/uidMappings")
            .remove("/linux/gidMappings")
            .bind(&source, "/mapped", &["rbind", option])
            .bind(&source, "/plain", &["rbind"])
            .sh("stat -c %u:%g /mapped/file /plain/file");
        let done = lab.run(&bundle);
        assert_eq!(done.lines(), ["7:8", "65534:65534"], "{option}: {done:?}");
    }
    other.end();
}
