//! mounts, root: every kind and option, where they land, what shows through.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::json;

use crate::harness::call::Call;
use crate::harness::{Bundle, Lab, tests};

tests![
    every_kind_of_file_system_is_mounted,
    mounts_come_in_the_order_of_the_list,
    a_later_mount_hides_an_earlier_one,
    bind_mounts_show_directories_and_files,
    a_bind_source_is_relative_to_the_bundle,
    a_missing_mount_point_is_made,
    a_missing_source_is_named,
    a_directory_cannot_be_bound_over_a_file,
    read_only_binds_cannot_be_written,
    recursive_binds_show_what_is_mounted_below,
    recursively_read_only_binds_reach_what_is_mounted_below,
    every_flag_option_reaches_the_kernel,
    options_that_undo_others_win_when_they_come_later,
    access_time_options_reach_the_kernel,
    tmpfs_options_reach_the_file_system,
    bad_data_is_reported_in_the_words_of_the_kernel,
    an_unknown_option_is_named,
    file_system_data_on_a_bind_mount_is_ignored_with_a_warning,
    an_unknown_file_system_is_named,
    tmpcopyup_keeps_what_was_there,
    propagation_options_reach_the_kernel,
    the_root_can_be_read_only,
    the_root_propagates_as_asked,
    mounts_of_the_host_come_into_a_slave,
    nothing_of_the_container_comes_out,
    mounts_below_a_bind_stay_in_a_user_namespace,
    a_root_that_shares_gives_the_host_no_mount,
    ids_of_a_mount_are_mapped,
    ids_of_a_mount_are_those_of_the_user_namespace_by_default,
    symlinks_in_the_image_are_followed_inside,
    nothing_covers_the_root_that_a_link_leads_to,
    a_relative_destination_counts_from_the_root,
    an_overlay_can_be_a_mount,
    the_cgroup_mount_shows_the_containers_cgroup,
    options_of_the_hierarchy_go_with_the_hosts_cgroup_namespace,
    the_root_of_the_host_is_gone,
    no_pivot_works_as_well,
    a_thousand_mounts_work,
    a_read_only_bind_of_a_locked_mount_in_a_user_namespace,
];

/// The line of mountinfo about a mount point in the container, of what `run` printed.
fn mountinfo(lab: &Lab, bundle: &mut Bundle, destination: &str) -> String {
    bundle.args(&["cat", "/proc/self/mountinfo"]);
    let done = lab.run(bundle).ok();
    let of = |line: &&str| line.split(' ').nth(4) == Some(destination);
    done.out
        .lines()
        .rfind(of)
        .unwrap_or_else(|| panic!("no mount on {destination}: {done:?}"))
        .to_owned()
}

fn options(line: &str) -> Vec<&str> {
    line.split(' ').nth(5).unwrap().split(',').collect()
}

/// A directory of the host with a file in it.
fn source(lab: &Lab) -> PathBuf {
    let dir = lab.path("source");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "of the host\n").unwrap();
    dir
}

fn every_kind_of_file_system_is_mounted(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("for d in /proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm; do awk -v d=$d '$2 == d {print $3}' /proc/mounts; done");
    let done = lab.run(&bundle).ok();
    assert_eq!(
        done.lines(),
        [
            "proc", "tmpfs", "devpts", "sysfs", "cgroup2", "mqueue", "tmpfs"
        ]
    );
}

fn mounts_come_in_the_order_of_the_list(lab: &Lab) {
    let mut bundle = lab.bundle();
    let dir = source(lab);
    bundle
        .mount("tmpfs", "tmpfs", "/mnt", &[])
        .bind(&dir, "/mnt/a", &["rbind"])
        .mount("tmpfs", "tmpfs", "/mnt/a/b", &[]);
    bundle.sh("cat /mnt/a/file; awk '$2 ~ \"^/mnt\" {print $2}' /proc/mounts");
    assert_eq!(
        lab.run(&bundle).ok().lines(),
        ["of the host", "/mnt", "/mnt/a", "/mnt/a/b"]
    );
}

fn a_later_mount_hides_an_earlier_one(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .bind(&source(lab), "/mnt/a", &["bind"])
        .mount("tmpfs", "tmpfs", "/mnt", &[])
        .args(&["ls", "/mnt"]);
    assert_eq!(lab.run(&bundle).ok().out, "");
}

fn bind_mounts_show_directories_and_files(lab: &Lab) {
    let mut bundle = lab.bundle();
    let dir = source(lab);
    bundle
        .bind(&dir, "/dir", &["bind"])
        .bind(&dir.join("file"), "/etc/file", &["bind"]);
    bundle.sh("cat /dir/file /etc/file; echo new > /dir/new");
    assert_eq!(lab.run(&bundle).ok().out, "of the host\nof the host\n");
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "new\n");
}

fn a_bind_source_is_relative_to_the_bundle(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::write(bundle.dir.join("beside"), "beside\n").unwrap();
    bundle
        .mount("bind", "beside", "/file", &["bind"])
        .args(&["cat", "/file"]);
    assert_eq!(lab.run(&bundle).ok().out, "beside\n");
}

fn a_missing_mount_point_is_made(lab: &Lab) {
    let mut bundle = lab.bundle();
    let dir = source(lab);
    bundle
        .bind(&dir, "/a/b/c", &["bind"])
        .bind(&dir.join("file"), "/d/e/f", &["bind"])
        .mount("tmpfs", "tmpfs", "/g/h", &[]);
    bundle.sh("cat /a/b/c/file /d/e/f; test -d /g/h");
    lab.run(&bundle).ok();
    assert!(bundle.rootfs().join("d/e/f").is_file());
    assert!(bundle.rootfs().join("a/b/c").is_dir());
}

fn a_missing_source_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.bind(&PathBuf::from("/no/such/source"), "/mnt", &["bind"]);
    let done = lab.refuse(&bundle);
    assert!(
        done.err.contains("/no/such/source") && done.err.contains("no such file or directory"),
        "{done:?}"
    );
    if lab.is_corten() {
        assert!(done.err.contains("mounts[7]"), "{done:?}");
    }
}

fn a_directory_cannot_be_bound_over_a_file(lab: &Lab) {
    let mut bundle = lab.bundle();
    let dir = source(lab);
    bundle.bind(&dir, "/etc/passwd", &["bind"]);
    assert!(lab.refuse(&bundle).err.contains("not a directory"));
    let mut bundle = lab.bundle();
    bundle.bind(&dir.join("file"), "/etc", &["bind"]);
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("/etc"), "{done:?}");
}

fn read_only_binds_cannot_be_written(lab: &Lab) {
    let mut bundle = lab.bundle();
    let dir = source(lab);
    bundle
        .bind(&dir, "/dir", &["bind", "ro"])
        .sh("cat /dir/file; echo x > /dir/file; mount -o remount,rw /dir; echo x > /dir/file");
    let done = lab.run(&bundle);
    assert!(
        done.code != 0 && done.err.contains("Read-only file system"),
        "{done:?}"
    );
    assert_eq!(
        fs::read_to_string(dir.join("file")).unwrap(),
        "of the host\n"
    );
}

/// A directory of the host with a tmpfs mounted below it, in this test's mount namespace.
fn nested(lab: &Lab) -> PathBuf {
    let dir = source(lab);
    fs::create_dir(dir.join("below")).unwrap();
    let script = "mount -t tmpfs tmpfs \"$1/below\" && touch \"$1/below/inner\"";
    let mut call = Call::script(lab, script);
    call.arg(dir.to_str().unwrap());
    call.done().ok();
    dir
}

fn end_nested(lab: &Lab, dir: &std::path::Path) {
    let mut call = Call::script(lab, "umount \"$1/below\"");
    call.arg(dir.to_str().unwrap());
    call.done().ok();
}

fn recursive_binds_show_what_is_mounted_below(lab: &Lab) {
    let dir = nested(lab);
    for (option, count) in [("rbind", "1"), ("bind", "0")] {
        let mut bundle = lab.bundle();
        bundle
            .bind(&dir, "/dir", &[option])
            .sh("ls /dir/below | wc -l");
        assert_eq!(lab.run(&bundle).ok().out.trim(), count, "{option}");
    }
    end_nested(lab, &dir);
}

fn recursively_read_only_binds_reach_what_is_mounted_below(lab: &Lab) {
    lab.need_corten("runc 1.1.5 may not know rro");
    let dir = nested(lab);
    for (option, code) in [("ro", 0), ("rro", 1)] {
        let mut bundle = lab.bundle();
        bundle
            .bind(&dir, "/dir", &["rbind", option])
            .sh("echo > /dir/below/x");
        assert_eq!(lab.run(&bundle).code, code, "{option}");
    }
    end_nested(lab, &dir);
}

fn every_flag_option_reaches_the_kernel(lab: &Lab) {
    let mut words = vec!["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"];
    if lab.is_corten() {
        words.push("nosymfollow");
    }
    for kind in ["tmpfs", "bind"] {
        for word in &words {
            let (mut bundle, dir) = (lab.bundle(), source(lab));
            let dir = if kind == "bind" {
                dir.to_str().unwrap()
            } else {
                "tmpfs"
            };
            let list: &[&str] = if kind == "bind" {
                &["rbind", word]
            } else {
                &[word]
            };
            bundle.mount(kind, dir, "/x", list);
            let line = mountinfo(lab, &mut bundle, "/x");
            assert!(options(&line).contains(word), "{kind} {word}: {line}");
        }
    }
}

fn options_that_undo_others_win_when_they_come_later(lab: &Lab) {
    let pairs = [
        ("ro", "rw"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("noexec", "exec"),
        ("noatime", "atime"),
    ];
    for (off, on) in pairs {
        let mut bundle = lab.bundle();
        bundle
            .mount("tmpfs", "tmpfs", "/x", &[off, on])
            .mount("tmpfs", "tmpfs", "/y", &[on, off]);
        assert!(
            !options(&mountinfo(lab, &mut bundle, "/x")).contains(&off),
            "{off},{on}"
        );
        assert!(
            options(&mountinfo(lab, &mut bundle, "/y")).contains(&off),
            "{on},{off}"
        );
    }
}

fn access_time_options_reach_the_kernel(lab: &Lab) {
    for (option, shown) in [
        ("relatime", "relatime"),
        ("noatime", "noatime"),
        ("strictatime", ""),
    ] {
        let mut bundle = lab.bundle();
        bundle.mount("tmpfs", "tmpfs", "/x", &[option]);
        let line = mountinfo(lab, &mut bundle, "/x");
        let has: Vec<&str> = options(&line)
            .into_iter()
            .filter(|word| word.contains("atime"))
            .collect();
        assert_eq!(has.join(","), shown, "{option}: {line}");
    }
}

fn tmpfs_options_reach_the_file_system(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.mount(
        "tmpfs",
        "scratch",
        "/x",
        &["size=1m", "mode=0750", "uid=7", "gid=8", "nr_inodes=100"],
    );
    let line = mountinfo(lab, &mut bundle, "/x");
    for word in [
        " scratch ",
        "size=1024k",
        "mode=750",
        "uid=7",
        "gid=8",
        "nr_inodes=100",
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
}

fn bad_data_is_reported_in_the_words_of_the_kernel(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.mount("tmpfs", "tmpfs", "/data", &["size=banana"]);
    let done = lab.refuse(&bundle);
    assert!(done.err.contains("/data"), "{done:?}");
    if lab.is_corten() {
        assert!(
            done.err.contains("mounts[7]") && done.err.contains("Bad value for 'size'"),
            "{done:?}"
        );
    }
}

fn an_unknown_option_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.mount("tmpfs", "tmpfs", "/x", &["banana"]);
    let done = lab.refuse(&bundle);
    if lab.is_corten() {
        assert!(
            done.err.contains("mounts[7]") && done.err.contains("banana"),
            "{done:?}"
        );
    }
    let mut bundle = lab.bundle();
    bundle.bind(&source(lab), "/x", &["bind", "readonly"]);
    let done = lab.run(&bundle);
    assert!(
        !lab.is_corten() || done.code != 0 && done.err.contains("readonly"),
        "it may be a misspelt ro: {done:?}"
    );
}

fn file_system_data_on_a_bind_mount_is_ignored_with_a_warning(lab: &Lab) {
    lab.need_corten("runc refuses it since 1.2");
    let mut bundle = lab.bundle();
    bundle
        .bind(&source(lab), "/x", &["bind", "ro", "mode=755", "size=1m"])
        .args(&["cat", "/x/file"]);
    let done = lab.run_with_warnings(&bundle).ok();
    assert_eq!(done.out, "of the host\n");
    assert!(
        done.err.contains("mounts[7].options") && done.err.contains("mode=755,size=1m"),
        "{done:?}"
    );
}

fn an_unknown_file_system_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.mount("bananafs", "none", "/x", &[]);
    let done = lab.refuse(&bundle);
    assert!(
        done.err.contains("no such device") || done.err.contains("bananafs"),
        "{done:?}"
    );
}

fn tmpcopyup_keeps_what_was_there(lab: &Lab) {
    let mut bundle = lab.bundle();
    let etc = bundle.rootfs().join("etc");
    symlink("passwd", etc.join("link")).unwrap();
    fs::create_dir(etc.join("sub")).unwrap();
    fs::write(etc.join("sub/script"), "x").unwrap();
    // In this order: chown(2) takes the set-user-ID bit away.
    std::os::unix::fs::chown(etc.join("sub/script"), Some(7), Some(8)).unwrap();
    fs::set_permissions(etc.join("sub/script"), fs::Permissions::from_mode(0o4711)).unwrap();
    bundle.mount("tmpfs", "tmpfs", "/etc", &["tmpcopyup"]);
    let mode = if lab.is_corten() {
        "4711 7 8"
    } else {
        "711 7 8"
    };
    bundle.sh("head -1 /etc/link; readlink /etc/link; stat -c '%a %u %g' /etc/sub/script; rm /etc/passwd; echo x > /etc/new");
    assert_eq!(
        lab.run(&bundle).ok().lines(),
        ["root:x:0:0:root:/root:/bin/sh", "passwd", mode]
    );
    assert!(
        etc.join("passwd").exists() && !etc.join("new").exists(),
        "the image is as it was"
    );
}

fn propagation_options_reach_the_kernel(lab: &Lab) {
    for (option, shown) in [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("unbindable", "unbindable"),
    ] {
        let mut bundle = lab.bundle();
        bundle.bind(&source(lab), "/x", &["rbind", option]);
        let line = mountinfo(lab, &mut bundle, "/x");
        let fields: Vec<&str> = line
            .split(' ')
            .skip(6)
            .take_while(|word| *word != "-")
            .collect();
        assert!(
            fields.join(" ").starts_with(shown) && fields.is_empty() == shown.is_empty(),
            "{option}: {line}"
        );
    }
}

fn the_root_can_be_read_only(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/root/readonly", json!(true))
        .mount("tmpfs", "tmpfs", "/tmp", &[]);
    bundle.sh("echo x > /tmp/x && echo x > /dev/shm/x && echo written; echo x > /x");
    let done = lab.run(&bundle);
    assert!(
        done.out == "written\n" && done.code != 0 && done.err.contains("Read-only"),
        "{done:?}"
    );
    assert!(!bundle.rootfs().join("x").exists());
}

fn the_root_propagates_as_asked(lab: &Lab) {
    lab.need_corten("runc 1.1 does so only where the host's root is shared");
    for (word, shown) in [
        ("private", ""),
        ("slave", ""),
        ("shared", "shared:"),
        ("unbindable", "unbindable"),
    ] {
        let mut bundle = lab.bundle();
        bundle.set("/linux/rootfsPropagation", json!(word));
        let line = mountinfo(lab, &mut bundle, "/");
        assert!(
            line.split(' ').nth(6).unwrap().starts_with(shown),
            "{word}: {line}"
        );
    }
    let mut bundle = lab.bundle();
    bundle.set("/linux/rootfsPropagation", json!("sideways"));
    lab.refuse(&bundle);
}

fn mounts_of_the_host_come_into_a_slave(lab: &Lab) {
    let dir = source(lab);
    let on = |script: &str| {
        let mut call = Call::script(lab, script);
        call.arg(dir.to_str().unwrap());
        call.done().ok();
    };
    on("mount --bind $1 $1 && mount --make-shared $1 && mkdir $1/later");
    let mut bundle = lab.sleeper();
    bundle.bind(&dir, "/x", &["rbind", "rslave"]);
    let container = lab.start(&bundle);
    on("mount -t tmpfs tmpfs $1/later && touch $1/later/seen");
    let done = container.exec(&["ls", "/x/later"]);
    container.end();
    on("umount $1/later; umount $1");
    assert_eq!(done.ok().out, "seen\n");
}

fn nothing_of_the_container_comes_out(lab: &Lab) {
    let mut bundle = lab.bundle();
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(
            &format!("/process/capabilities/{set}/-"),
            json!("CAP_SYS_ADMIN"),
        );
    }
    bundle.sh("mount -t tmpfs tmpfs /mnt && echo mounted");
    assert_eq!(lab.run(&bundle).ok().out, "mounted\n");
}

/// What is bound the runtime copies on the host there, where mounts may be shared, as every mount is that systemd has made.
fn mounts_below_a_bind_stay_in_a_user_namespace(lab: &Lab) {
    let dir = source(lab);
    let on = |script: &str| {
        let mut call = Call::script(lab, script);
        call.arg(dir.to_str().unwrap());
        call.done().ok();
    };
    on("mount --bind $1 $1 && mount --make-shared $1 && mkdir $1/below");
    let mut bundle = lab.sleeper();
    bundle
        .userns()
        .bind(&dir, "/x", &["rbind"])
        .mount("tmpfs", "tmpfs", "/x/below", &[]);
    let container = lab.start(&bundle);
    let place = format!(" {}/below ", dir.display());
    let mounts = |whose: &str| fs::read_to_string(format!("/proc/{whose}/mountinfo")).unwrap();
    let (host, inside) = (mounts("self"), mounts(&container.pid().to_string()));
    container.end();
    on("umount $1/below; umount $1");
    assert!(inside.contains(" /x/below "), "{inside}");
    assert!(!host.contains(&place), "{host}");
}

/// Where every mount of the host is shared, as systemd makes them, and the container keeps the connection.
fn a_root_that_shares_gives_the_host_no_mount(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .args(&["true"])
        .set("/linux/rootfsPropagation", json!("shared"))
        .set("/linux/maskedPaths", json!(["/proc/keys", "/proc/acpi"]));
    let (path, id) = (bundle.write(), lab.id());
    let host = r#"mount --make-rshared /; was=$(cat /proc/self/mountinfo | wc -l)
        "$@" && test "$(cat /proc/self/mountinfo | wc -l)" = "$was" && echo the same"#;
    let script = format!("unshare -m sh -c '{host}' sh \"$@\"");
    let call = lab.call(&["run", "--bundle", &path, &id]);
    assert_eq!(call.within(lab, &script).done().ok().out, "the same\n");
}

/// Where an id-mapped mount of this file system works, tells the file system's own answer.
fn needs_idmap(lab: &Lab) {
    lab.need_corten("runc 1.1 has no id-mapped mounts");
    let kind = Call::script(lab, "stat -f -c %T /tmp").done().ok().out;
    if kind.trim() == "tmpfs" {
        lab.need_kernel(6, 3, "an id-mapped tmpfs");
    }
}

fn ids_of_a_mount_are_mapped(lab: &Lab) {
    needs_idmap(lab);
    let dir = source(lab);
    std::os::unix::fs::chown(dir.join("file"), Some(1000), Some(1000)).unwrap();
    let mut bundle = lab.bundle();
    let map = json!([{"containerID": 1000, "hostID": 5000, "size": 10}]);
    let mount = json!({"destination": "/x", "source": dir, "type": "bind", "options": ["rbind", "idmap"],
        "uidMappings": map, "gidMappings": map});
    bundle.set("/mounts/-", mount).sh("stat -c %u:%g /x/file");
    let out = lab.run(&bundle).ok().out;
    assert_eq!(out, "5000:5000\n");
}

fn ids_of_a_mount_are_those_of_the_user_namespace_by_default(lab: &Lab) {
    needs_idmap(lab);
    let dir = source(lab);
    let mut bundle = lab.bundle();
    bundle
        .userns()
        .bind(&dir, "/x", &["rbind", "idmap"])
        .sh("stat -c %u:%g /x/file; echo mine > /x/made");
    assert_eq!(lab.run(&bundle).ok().out, "0:0\n");
    assert_eq!(
        fs::metadata(dir.join("made")).unwrap().uid(),
        0,
        "what its root makes is root's on the host"
    );
}

fn symlinks_in_the_image_are_followed_inside(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::create_dir_all(bundle.rootfs().join("var/target")).unwrap();
    symlink("/var/target", bundle.rootfs().join("link")).unwrap();
    symlink("../../../../var/target", bundle.rootfs().join("up")).unwrap();
    bundle
        .bind(&source(lab), "/link/x", &["bind"])
        .bind(&source(lab), "/up/y", &["bind"]);
    bundle.sh("cat /var/target/x/file /var/target/y/file");
    assert_eq!(lab.run(&bundle).ok().out, "of the host\nof the host\n");
}

fn nothing_covers_the_root_that_a_link_leads_to(lab: &Lab) {
    lab.need_corten("of runc it has no effect");
    let dir = source(lab);
    for (link, text) in [("top", "/"), ("up", "../.."), ("made", "new/..")] {
        let mut bundle = lab.bundle();
        symlink(text, bundle.rootfs().join(link)).unwrap();
        bundle
            .bind(&dir, &format!("/{link}"), &["bind"])
            .args(&["true"]);
        let done = lab.run(&bundle);
        assert!(done.err.contains("mounts["), "{text}: {done:?}");
        done.fails(
            1,
            "a link leads to the root filesystem itself, which cannot be covered",
        );
    }
    for field in ["maskedPaths", "readonlyPaths"] {
        let mut bundle = lab.bundle();
        symlink("/", bundle.rootfs().join("top")).unwrap();
        bundle
            .set(&format!("/linux/{field}"), json!(["/top"]))
            .args(&["true"]);
        let done = lab.run(&bundle);
        assert!(done.err.contains(&format!("linux.{field}[0]")), "{done:?}");
        done.fails(
            1,
            "a link leads to the root filesystem itself, which cannot be covered",
        );
    }
}

fn a_relative_destination_counts_from_the_root(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/cwd", json!("/tmp"))
        .bind(&source(lab), "mnt/rel", &["bind"])
        .args(&["cat", "/mnt/rel/file"]);
    assert_eq!(lab.run(&bundle).ok().out, "of the host\n");
}

fn an_overlay_can_be_a_mount(lab: &Lab) {
    let (mut bundle, dir) = (lab.bundle(), source(lab));
    let names = ["lower2", "upper", "work"].map(|name| {
        let path = lab.path(name);
        fs::create_dir(&path).unwrap();
        path
    });
    fs::write(names[0].join("second"), "second\n").unwrap();
    let lower = format!("lowerdir={}:{}", dir.display(), names[0].display());
    let (upper, work) = (
        format!("upperdir={}", names[1].display()),
        format!("workdir={}", names[2].display()),
    );
    bundle
        .mount("overlay", "overlay", "/x", &[&lower, &upper, &work])
        .sh("cat /x/file /x/second; echo new > /x/new");
    assert_eq!(lab.run(&bundle).ok().out, "of the host\nsecond\n");
    assert!(names[1].join("new").exists() && !dir.join("new").exists());
}

fn the_cgroup_mount_shows_the_containers_cgroup(lab: &Lab) {
    let mut bundle = lab.sleeper();
    let container = lab.start(&bundle);
    fs::create_dir(container.cgroup_dir().join("marker")).unwrap();
    let done = container.exec(&["ls", "-d", "/sys/fs/cgroup/marker"]);
    let write = container.exec(&["sh", "-c", "mkdir /sys/fs/cgroup/made"]);
    container.end();
    done.ok();
    assert_ne!(write.code, 0, "it is read-only");
    // Without a cgroup namespace the same mount must not show the host's tree writable (CVE-2023-25809).
    bundle.share("cgroup").args(&[
        "sh",
        "-c",
        "mkdir /sys/fs/cgroup/escape 2>/dev/null; ls /sys/fs/cgroup | head -3",
    ]);
    lab.run(&bundle);
    assert!(!PathBuf::from("/sys/fs/cgroup/escape").exists());
}

/// As containerd 2.4 writes them for a privileged container.
fn options_of_the_hierarchy_go_with_the_hosts_cgroup_namespace(lab: &Lab) {
    let options = [
        "nosuid",
        "nodev",
        "ro",
        "nsdelegate",
        "memory_recursiveprot",
    ];
    let mut bundle = lab.bundle();
    bundle
        .share("cgroup")
        .mount("cgroup", "cgroup", "/cg", &options)
        .args(&["ls", "/cg/cgroup.controllers"]);
    assert_eq!(lab.run(&bundle).ok().out, "/cg/cgroup.controllers\n");
}

fn the_root_of_the_host_is_gone(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("cat /proc/self/mountinfo; ls -a / ");
    let done = lab.run(&bundle).ok();
    let roots = done
        .lines()
        .iter()
        .filter(|line| line.split(' ').nth(4) == Some("/"))
        .count();
    assert_eq!(roots, 1, "{done:?}");
    assert!(
        !done.out.contains("pivot") && !done.out.contains("old"),
        "{done:?}"
    );
}

fn no_pivot_works_as_well(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.args(&["cat", "/etc/passwd"]);
    assert!(
        lab.run_with(&bundle, &["--no-pivot"])
            .ok()
            .out
            .contains("root:x:0")
    );
}

fn a_thousand_mounts_work(lab: &Lab) {
    let (mut bundle, dir) = (lab.bundle(), source(lab));
    for index in 0..1000 {
        bundle.bind(&dir, &format!("/mnt/{index}"), &["bind"]);
    }
    bundle.sh("grep -c ' /mnt/' /proc/mounts");
    assert_eq!(lab.run(&bundle).ok().out, "1000\n");
}

fn a_read_only_bind_of_a_locked_mount_in_a_user_namespace(lab: &Lab) {
    lab.need_corten("runc 1.1 drops flags that are locked");
    let dir = source(lab);
    let on = |script: &str| {
        let mut call = Call::script(lab, script);
        call.arg(dir.to_str().unwrap());
        call.done().ok();
    };
    on("mount -t tmpfs -o nosuid,nodev,noexec,noatime tmpfs $1 && touch $1/file");
    let mut bundle = lab.bundle();
    bundle
        .userns()
        .bind(&dir, "/x", &["rbind", "ro"])
        .sh("test -e /x/file && ! touch /x/y 2>/dev/null && echo fine");
    let done = lab.run(&bundle);
    on("umount $1");
    assert_eq!(done.ok().out, "fine\n");
}
