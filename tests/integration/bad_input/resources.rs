//! 146 to 155: the host, or the caller, gives too little, or lies.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use serde_json::json;

use super::scene::{Row, Scene, refused, story};
use super::sockets::Disk;
use crate::harness::Done;
use crate::harness::call::eventually;

pub const ROWS: &[Row] = &[
    story(146, "a root directory that is read-only", |scene| {
        let disk = Disk::new(scene, "disk", "size=1m");
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &disk.path, None::<&str>, flags, None::<&str>).unwrap();
        create_in(scene, &disk.path).fails(1, "read-only file system");
    }),
    story(147, "a root directory without a byte left", |scene| {
        let disk = Disk::full(scene, "disk");
        let done = create_in(scene, &disk.path).fails(1, "no space left on device");
        assert!(done.err.contains("state.json"), "it says what could not be written: {done:?}");
        only_ballast(&disk);
    }),
    story(147, "a root directory without an inode left", |scene| {
        for inodes in 2..=6 {
            let disk = Disk::new(scene, "disk", &format!("nr_inodes={inodes}"));
            let done = create_in(scene, &disk.path);
            if done.code == 0 {
                assert!(inodes > 3, "{done:?}");
                scene.end();
            } else {
                assert!(done.err.contains("no space left on device"), "{done:?}");
            }
            assert_eq!(fs::read_dir(&disk.path).unwrap().count(), 0, "{inodes} inodes: {done:?}");
        }
    }),
    story(148, "a root directory that is a file", |scene| {
        let file = scene.lab.file("file", "");
        let done = create_in(scene, &file).fails(1, file.to_str().unwrap());
        assert!(done.err.contains("not a directory") || done.err.contains("file exists"), "{done:?}");
        assert_eq!(fs::read(&file).unwrap(), b"");
    }),
    story(149, "a root directory of somebody else", |scene| {
        scene.unprivileged("");
        let directory = scene.lab.path("directory");
        fs::create_dir(&directory).unwrap();
        create_in(scene, &directory).fails(1, "permission denied");
    }),
    story(150, "few descriptors", |scene| {
        let mut least = None;
        for most in 3..=40 {
            let id = scene.lab.id();
            scene.id = id;
            scene.within = Some(format!("ulimit -n {most}; exec \"$@\""));
            let done = scene.create();
            if done.code == 0 {
                least.get_or_insert(most);
                scene.end();
            } else {
                assert!(least.is_none(), "{most} are enough for one, not for another: {done:?}");
                let told = done.err.contains("too many open files") || most < 5;
                assert!(told, "{most} descriptors: {done:?}");
            }
            assert_eq!(fs::read_dir(&scene.lab.root).unwrap().count(), 0, "{most}: {done:?}");
            assert!(!scene.cgroup().exists(), "{most}: {done:?}");
        }
        assert!(least.is_some(), "40 descriptors are not enough");
    }),
    story(150, "files that may not grow", |scene| {
        // Else the kernel ends the process, by SIGXFSZ.
        scene.within = Some("ulimit -f 1; exec \"$@\"".to_owned());
        scene.set("/annotations", json!({"long": "x".repeat(2000)}));
        scene.create().fails(1, "file too large");
        assert_eq!(fs::read_dir(&scene.lab.root).unwrap().count(), 0);
        // The program's own files are another matter.
        scene.bundle.config["annotations"] = json!({});
        scene.bundle.args(&["grep", "SigIgn:", "/proc/self/status"]);
        scene.within = None;
        assert_eq!(scene.run().ok().out, "SigIgn:\t0000000000000000\n");
    }),
    story(152, "no standard streams", |scene| {
        scene.bundle.sh("ls -l /proc/self/fd > /streams; true");
        scene.within = Some("exec \"$@\" <&- >&- 2>&-".to_owned());
        assert_eq!(scene.run().code, 0);
        let streams = fs::read_to_string(scene.bundle.rootfs().join("streams")).unwrap();
        assert_eq!(streams.matches("/dev/null").count(), 2, "{streams}");
    }),
    story(152, "no standard input", |scene| {
        scene.bundle.sh("cat; echo read");
        scene.within = Some("exec \"$@\" <&-".to_owned());
        assert_eq!(scene.run().ok().out, "read\n");
    }),
    story(153, "SIGTERM while the container is made", |scene| {
        scene.bundle.hook("createContainer", "echo in > /proc/self/fd/1; touch in; sleep 1000");
        scene.write();
        let create = scene.call(&["create"]).start();
        let mark = scene.bundle.rootfs().join("in");
        eventually("create is under way", || mark.exists());
        create.signal(Signal::SIGTERM);
        create.done().fails(1, "signal 15");
        scene.corten(&["state"]).fails(1, "container does not exist");
    }),
    story(153, "SIGTERM at any time", |scene| {
        for delay in 0..25 {
            scene.id = scene.lab.id();
            scene.write();
            let create = scene.call(&["create"]).start();
            std::thread::sleep(std::time::Duration::from_millis(delay * 2));
            create.signal(Signal::SIGTERM);
            let done = create.done();
            match done.code {
                // It came too late, or so early that nothing had begun.
                0 | 143 => scene.end(),
                _ => drop(done.fails(1, "interrupted by signal 15")),
            }
            assert_eq!(fs::read_dir(&scene.lab.root).unwrap().count(), 0);
            assert!(!scene.cgroup().exists());
        }
    }),
    story(154, "a service manager that is not there", |scene| {
        let program = "exec 3<>/dev/null; echo READY | true; sleep 1000";
        scene.bundle.sh(program);
        scene.env = vec![("NOTIFY_SOCKET", "/no/such/socket".to_owned())];
        scene.create().ok();
        scene.end();
    }),
    story(154, "a service manager with a name that is too long", |scene| {
        scene.env = vec![("NOTIFY_SOCKET", format!("/{}", "x".repeat(300)))];
        scene.create().ok();
        scene.end();
    }),
    story(154, "a service manager that never reads", |scene| {
        let path = scene.lab.path("manager");
        let _manager = UnixDatagram::bind(&path).unwrap();
        scene.env = vec![("NOTIFY_SOCKET", path.display().to_string())];
        scene.create().ok();
        scene.end();
    }),
    refused(
        155,
        "descriptors that are not there",
        |scene| {
            scene.within = Some("export LISTEN_PID=$$ LISTEN_FDS=3; exec \"$@\"".to_owned());
        },
        &["LISTEN_FDS: unable to stat listen-fd 0 (of 3)"],
    ),
    refused(
        155,
        "more descriptors than there are numbers",
        |scene| {
            scene.within = Some("export LISTEN_PID=$$ LISTEN_FDS=4294967295; exec \"$@\"".to_owned());
            scene.flags = ["--preserve-fds", "4294967295"].map(str::to_owned).into();
        },
        &["LISTEN_FDS: unable to stat listen-fd 0"],
    ),
    story(155, "descriptors of another process", |scene| {
        scene.env = vec![("LISTEN_FDS", "3".to_owned()), ("LISTEN_PID", "1".to_owned())];
        scene.bundle.sh("echo ${LISTEN_FDS-none}");
        assert_eq!(scene.run().ok().out, "none\n");
    }),
    story(155, "a number of descriptors that is none", |scene| {
        scene.within = Some("export LISTEN_PID=$$ LISTEN_FDS=three; exec \"$@\"".to_owned());
        scene.bundle.sh("echo ${LISTEN_FDS-none}");
        assert_eq!(scene.run().ok().out, "none\n");
    }),
    refused(
        155,
        "descriptors to keep that are not there",
        |scene| scene.flags = ["--preserve-fds", "7"].map(str::to_owned).into(),
        &["--preserve-fds: unable to stat preserved-fd 0 (of 7)"],
    ),
];

fn create_in(scene: &mut Scene<'_>, root: &Path) -> Done {
    scene.root = root.to_owned();
    let done = scene.create();
    if done.code != 0 {
        assert!(!scene.cgroup().exists(), "its cgroup is there: {done:?}");
    }
    done
}

fn only_ballast(disk: &Disk) {
    let names = fs::read_dir(&disk.path).unwrap().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    assert_eq!(json!(names.len()), 1, "{names:?}");
}
