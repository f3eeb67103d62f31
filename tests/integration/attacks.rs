//! Attacks of the past, each played once: what the image, the caller or a neighbour prepares must lead nowhere.
//!
//! Those that need a race are in `tests/faults/swap.rs`, where it is made certain.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::harness::{Bundle, Done, Lab, host, tests};

tests![
    a_link_of_the_host_is_not_followed_within_an_overlay,
    a_link_in_place_of_proc_or_sys_is_refused,
    a_link_in_place_of_dev_is_refused,
    a_hidden_path_does_not_depend_on_the_null_device_of_the_image,
    a_procfs_that_others_mounted_over_is_not_believed,
    a_working_directory_through_a_leaked_descriptor_is_refused,
    no_descriptor_of_the_caller_is_left_in_init_or_exec,
    strange_password_files_neither_hang_nor_leak,
    the_runtime_is_not_reached_through_its_executable,
    hooks_do_not_get_the_environment_of_the_program,
    a_created_container_has_no_abstract_socket,
];

const SECRET: &str = "the canary sings";

/// A directory of the host that an attack aims at.
struct Canary {
    dir: PathBuf,
    before: Vec<(PathBuf, u64, u32, i64, i64)>,
}

impl Canary {
    fn new(lab: &Lab) -> Self {
        let dir = lab.path("canary");
        fs::create_dir(&dir).unwrap();
        for name in ["ptmx", "null", "secret", "passwd"] {
            fs::write(dir.join(name), SECRET).unwrap();
        }
        let before = inspect(&dir);
        Self { dir, before }
    }

    #[track_caller]
    fn assert_untouched(&self, done: &Done) {
        assert_eq!(self.before, inspect(&self.dir), "{done:?}");
        assert!(!done.out.contains(SECRET), "{done:?}");
    }
}

fn inspect(dir: &Path) -> Vec<(PathBuf, u64, u32, i64, i64)> {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .chain([dir.to_owned()])
        .map(|path| {
            let data = fs::symlink_metadata(&path).unwrap();
            (
                path,
                data.ino(),
                data.mode(),
                data.ctime(),
                data.ctime_nsec(),
            )
        })
        .collect();
    found.sort();
    found
}

/// Replaces a directory of the image by a link.
fn replace(bundle: &Bundle, name: &str, target: &Path) {
    let path = bundle.rootfs().join(name);
    match fs::symlink_metadata(&path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(&path).unwrap(),
        Ok(_) => fs::remove_file(&path).unwrap(),
        Err(_) => {}
    }
    symlink(target, path).unwrap();
}

/// Takes the mounts on and below a path out of the configuration.
fn without_mounts(bundle: &mut Bundle, path: &str) {
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| !Path::new(mount["destination"].as_str().unwrap()).starts_with(path));
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867.
fn a_link_in_place_of_proc_or_sys_is_refused(lab: &Lab) {
    lab.need_corten("the words are its own");
    let canary = Canary::new(lab);
    for name in ["proc", "sys"] {
        let bundle = lab.bundle();
        let targets = [&canary.dir, Path::new("etc"), Path::new("/nowhere")];
        for target in targets {
            replace(&bundle, name, target);
            let done = lab.refuse(&bundle);
            assert!(
                done.err.contains("must be mounted on ordinary directory"),
                "{done:?}"
            );
            assert!(done.err.contains("mounts["), "{done:?}");
            canary.assert_untouched(&done);
        }
        fs::remove_file(bundle.rootfs().join(name)).unwrap();
        fs::write(bundle.rootfs().join(name), "").unwrap();
        let done = lab.refuse(&bundle);
        assert!(done.err.contains("mounts["), "{done:?}");
    }
}

/// CVE-2026-41579, CVE-2026-47766: the runtime removed and made devices in the host's /dev.
fn a_link_in_place_of_dev_is_refused(lab: &Lab) {
    lab.need_corten("the words are its own");
    let canary = Canary::new(lab);
    for has_mount in [true, false] {
        let mut bundle = lab.bundle();
        if !has_mount {
            without_mounts(&mut bundle, "/dev");
        }
        replace(&bundle, "dev", &canary.dir);
        let done = lab.refuse(&bundle);
        assert!(
            done.err.contains("must be mounted on ordinary directory"),
            "{done:?}"
        );
        canary.assert_untouched(&done);
    }
}

/// CVE-2025-31133, CVE-2025-62161: a mask was made of what the image calls /dev/null.
fn a_hidden_path_does_not_depend_on_the_null_device_of_the_image(lab: &Lab) {
    lab.need_corten("runc 1.1 binds the image's");
    let canary = Canary::new(lab);
    let mut bundle = lab.bundle();
    without_mounts(&mut bundle, "/dev");
    fs::write(bundle.rootfs().join("etc/secret"), SECRET).unwrap();
    bundle
        .set("/linux/maskedPaths", json!(["/etc/secret", "/proc/kcore"]))
        .sh("cat /etc/secret; stat -c %s:%a /etc/secret; head -c1 /proc/kcore | wc -c");
    let dev = bundle.rootfs().join("dev");
    fs::create_dir_all(&dev).unwrap();
    for target in [
        &canary.dir.join("secret"),
        Path::new("/proc/sys/kernel/core_pattern"),
    ] {
        replace(&bundle, "dev/null", target);
        let done = lab.run(&bundle);
        // The link is not the device that the specification promises.
        assert!(done.code != 0 && done.err.contains("/dev/null"), "{done:?}");
        canary.assert_untouched(&done);
    }
    fs::remove_file(dev.join("null")).unwrap();
    assert_eq!(lab.run(&bundle).ok().lines(), ["0:444", "0"]);
}

/// CVE-2019-16884, CVE-2025-52881: a write to procfs went to what was mounted over it.
fn a_procfs_that_others_mounted_over_is_not_believed(lab: &Lab) {
    lab.need_corten("runc 1.1 writes to what it finds");
    let fake = lab.file("fake", "untouched");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/sysctl", json!({"kernel.shmmni": "1234"}))
        .sh("cat /proc/sys/kernel/shmmni");
    let script = format!(
        "unshare --mount --propagation private bash -c 'mount --bind {} /proc/sys/kernel/shmmni && exec \"$@\"' bash \"$@\"",
        fake.display()
    );
    let done = lab
        .run_call(&bundle, &[], &lab.id())
        .within(lab, &script)
        .done();
    assert_eq!(done.ok().lines(), ["1234"]);
    assert_eq!(fs::read_to_string(&fake).unwrap(), "untouched");
}

/// CVE-2024-21626: a working directory outside of the root, through a descriptor that was left open.
fn a_working_directory_through_a_leaked_descriptor_is_refused(lab: &Lab) {
    let canary = Canary::new(lab);
    let leak = format!(
        "for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15; do eval \"exec $fd<{}\"; done; exec \"$@\"",
        canary.dir.display()
    );
    let mut bundle = lab.bundle();
    bundle.sh("pwd; ls -a; cat secret 2>/dev/null; true");
    for fd in 3..=15 {
        for process in ["self", "1"] {
            let target = format!("/proc/{process}/fd/{fd}");
            replace(&bundle, "way", Path::new(&target));
            bundle.set("/process/cwd", json!("/way"));
            let done = lab
                .run_call(&bundle, &[], &lab.id())
                .within(lab, &leak)
                .done();
            assert_ne!(done.code, 0, "{target}: {done:?}");
            canary.assert_untouched(&done);
        }
    }
    let container = lab.start(&{
        let mut bundle = lab.sleeper();
        symlink("/proc/self/fd/7", bundle.rootfs().join("way")).unwrap();
        bundle.set("/process/cwd", json!("/"));
        bundle
    });
    for way in ["/proc/self/fd/7", "/way"] {
        let words = ["exec", "--cwd", way, &container.id, "cat", "secret"];
        let done = lab.call(&words).within(lab, &leak).done();
        assert_ne!(done.code, 0, "{way}: {done:?}");
        canary.assert_untouched(&done);
    }
    container.end();
}

fn no_descriptor_of_the_caller_is_left_in_init_or_exec(lab: &Lab) {
    lab.need_corten("runc keeps some of its own in the created init");
    let leak = "exec 7</ 8</etc/hostname 9>/dev/null; exec \"$@\"";
    let (bundle, id) = (lab.sleeper(), lab.id());
    let path = bundle.write();
    lab.call(&["create", "--bundle", &path, &id])
        .within(lab, leak)
        .done()
        .ok();
    let state: Value = lab.corten(&["state", &id]).ok().json();
    let descriptors = fs::read_dir(format!("/proc/{}/fd", state["pid"])).unwrap();
    for descriptor in descriptors {
        let descriptor = descriptor.unwrap().path();
        let number = descriptor.file_name().unwrap().to_owned();
        let target = fs::read_link(&descriptor).unwrap();
        let is_stdio = ["0", "1", "2"].iter().any(|stdio| *stdio == number);
        let is_ours = target.starts_with(&lab.dir) || target == Path::new("/dev/null");
        // Its own: where it waits for start, and for a request to end.
        let target = target.to_string_lossy();
        let is_inits = target.starts_with("socket:") || target == "anon_inode:[signalfd]";
        assert!(is_stdio && is_ours || is_inits, "{number:?} is {target:?}");
    }
    lab.corten(&["start", &id]).ok();
    let words = ["exec", &id, "sh", "-c", "ls /proc/$$/fd; true"];
    let done = lab.call(&words).within(lab, leak).done().ok();
    assert_eq!(done.lines(), ["0", "1", "2"], "{done:?}");
    lab.corten(&["delete", "--force", &id]).ok();
}

/// CVE-2019-14271 and its kin: what reads the image's files must not be held up, or led to the host's.
fn strange_password_files_neither_hang_nor_leak(lab: &Lab) {
    lab.need_corten("runc 1.1 hangs");
    let canary = Canary::new(lab);
    fs::write(
        canary.dir.join("passwd"),
        "root:x:0:0:root:/the-canary-sings:/bin/sh\n",
    )
    .unwrap();
    let mut bundle = lab.bundle();
    bundle.sh("echo $HOME");
    let passwd = bundle.rootfs().join("etc/passwd");
    let ways: [&dyn Fn(); 5] = [
        &|| mkfifo(&passwd, Mode::S_IRWXU).unwrap(),
        &|| symlink("/dev/zero", &passwd).unwrap(),
        &|| symlink(canary.dir.join("passwd"), &passwd).unwrap(),
        &|| fs::create_dir(&passwd).unwrap(),
        &|| fs::File::create(&passwd).unwrap().set_len(1 << 30).unwrap(),
    ];
    for (index, prepare) in ways.iter().enumerate() {
        fs::remove_file(&passwd).unwrap();
        prepare();
        let done = lab.run(&bundle).ok();
        assert_eq!(done.lines(), ["/"], "way {index}");
        if passwd.is_dir() {
            fs::remove_dir(&passwd).unwrap();
            fs::write(&passwd, "").unwrap();
        }
    }
}

/// CVE-2016-8649, CVE-2019-5736: the container executes, or writes to, the runtime's own program.
fn the_runtime_is_not_reached_through_its_executable(lab: &Lab) {
    let binary = host::binary();
    let before = fs::read(&binary).unwrap();
    let mut bundle = lab.bundle();
    let entry = bundle.rootfs().join("entry");
    fs::write(&entry, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&entry, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for program in ["/entry", "/proc/self/exe"] {
        bundle.args(&[program, "--version"]);
        let done = lab.run(&bundle);
        assert!(done.code != 0 && done.out.is_empty(), "{program}: {done:?}");
    }
    let mut bundle = lab.bundle();
    fs::copy(&entry, bundle.rootfs().join("entry")).unwrap();
    let container = lab.start(bundle.args(&["sleep", "1000"]));
    for program in ["/entry", "/proc/self/exe"] {
        let done = container.exec(&[program, "--version"]);
        assert!(done.code != 0 && done.out.is_empty(), "{program}: {done:?}");
    }
    container.end();
    // A created init waits in the container: its program is not a file of the host.
    let container = lab.create(&lab.sleeper());
    let exe = fs::metadata(format!("/proc/{}/exe", container.pid())).unwrap();
    let host = fs::metadata(&binary).unwrap();
    assert_ne!((exe.dev(), exe.ino()), (host.dev(), host.ino()));
    container.end();
    assert_eq!(before, fs::read(&binary).unwrap());
}

/// CVE-2025-23266: a hook on the host was loaded with the container's LD_PRELOAD.
fn hooks_do_not_get_the_environment_of_the_program(lab: &Lab) {
    let log = lab.path("log");
    let mut bundle = lab.bundle();
    bundle.set("/process/env/-", json!("LD_PRELOAD=/of/the/container.so"));
    let kinds = [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
    ];
    for kind in kinds {
        bundle.hook(
            kind,
            &format!("(echo {kind}; /usr/bin/env) >> {}", log.display()),
        );
    }
    bundle.hook(
        "startContainer",
        "echo startContainer ${LD_PRELOAD-none} > /hook",
    );
    bundle.sh("cat /hook; sleep 0.1");
    assert_eq!(lab.run(&bundle).ok().lines(), ["startContainer none"]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains("LD_PRELOAD"), "{text}");
    for kind in kinds {
        assert!(text.lines().any(|line| line == kind), "{kind}: {text}");
    }
}

/// CVE-2020-15257: an abstract socket is open to everyone who shares the network namespace.
fn a_created_container_has_no_abstract_socket(lab: &Lab) {
    let mut bundle = lab.sleeper();
    bundle.share("network");
    let container = lab.create(&bundle);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", container.pid())).unwrap();
    let inodes: Vec<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|target| {
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    assert!(
        !inodes.is_empty() || !lab.is_corten(),
        "it waits on a socket"
    );
    for line in fs::read_to_string("/proc/net/unix").unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_its = words
            .get(6)
            .is_some_and(|inode| inodes.iter().any(|own| own == inode));
        let is_abstract = words.get(7).is_some_and(|name| name.starts_with('@'));
        assert!(!(is_its && is_abstract), "{line}");
    }
    container.end();
}

/// Where `/` is covered by the overlay, `..` at the top of the host's tree leads into it, and so to links of the image.
fn a_link_of_the_host_is_not_followed_within_an_overlay(lab: &Lab) {
    lab.need_corten("runc has no overlay roots");
    let mut bundle = lab.bundle();
    let (right, wrong) = (lab.file("right", "right"), lab.file("wrong", "wrong"));
    let up = "../".repeat(right.components().count());
    let link = lab.path("link");
    symlink(
        format!(
            "{up}{}",
            right.display().to_string().trim_start_matches('/')
        ),
        &link,
    )
    .unwrap();
    // The image has a link at the same path, to another file of the host.
    let inside = bundle.rootfs().join(right.strip_prefix("/").unwrap());
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    symlink(&wrong, &inside).unwrap();
    bundle.bind(&link, "/seen", &["bind"]).sh("cat /seen");
    let done = lab.run_with(&bundle, &["--overlay", "tmpfs"]).ok();
    assert_eq!(done.out, "right");
}
