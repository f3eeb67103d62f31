//! Law 2: after the clone init allocates nothing. This program's allocator ends every process but the
//! one that started the test, so an operation that allocates fails its container. What the runtime itself
//! allocates for a Docker-like bundle is counted, and has a limit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use corten::engine::{AtEnd, Attachment, CreateRequest, Overlay, RunRequest, Subreaper, run};
use corten::execute::step::Stepping;
use corten::plan::show::Look;
use corten::state::{Id, Root};
use serde_json::{Value, json};

struct Watching;

/// The process that may allocate; 0: everybody.
static ALLOWED: AtomicI32 = AtomicI32::new(0);

/// Allocations of this process; a block that grows counts again.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Of `run` with Docker's default profile. Who needs more says in docs/performance.md what for.
const BUDGET: usize = 650;

// SAFETY: every call goes on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allowed = ALLOWED.load(Ordering::Relaxed);
        // SAFETY: no arguments, no effects.
        if allowed != 0 && allowed != unsafe { libc::getpid() } {
            let words = b"init allocated memory\n";
            // SAFETY: writes a constant and ends the process.
            unsafe {
                libc::write(2, words.as_ptr().cast(), words.len());
                libc::_exit(99);
            }
        }
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's pointer and layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Runs this program again where /sys/fs/cgroup is cgroup v2 alone, in a mount namespace of its own.
fn in_private_namespace() -> bool {
    const MARK: &str = "CORTEN_NO_ALLOCATION_INSIDE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let script = "mount --make-rprivate /; \
        [ ! -d /sys/fs/cgroup/unified ] || mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup; exec \"$@\"";
    let mut inside = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // For the run that is stepped through: not to stop again.
    inside.stdin.take().unwrap().write_all(b"c\n").unwrap();
    let status = inside.wait().unwrap();
    assert!(status.success(), "inside: {status}");
    false
}

fn make_bundle(directory: &Path, patch: impl FnOnce(&mut Value)) {
    let bin = directory.join("rootfs/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir_all(directory.join("rootfs/etc")).unwrap();
    std::fs::write(
        directory.join("rootfs/etc/passwd"),
        "root:x:0:0::/root:/bin/sh\n",
    )
    .unwrap();
    std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
    symlink("busybox", bin.join("true")).unwrap();
    let mut config = json!({
        "ociVersion": "1.3.0",
        "process": {"args": ["true"], "cwd": "/made/here", "env": ["PATH=/bin"], "user": {"uid": 7, "gid": 8},
            "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]},
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "quiet",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
            {"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
            {"destination": "/deep/er/mount", "type": "bind", "source": "rootfs/bin", "options": ["rbind", "ro", "rprivate"]},
        ],
        "hooks": {"startContainer": [{"path": "/bin/busybox", "args": ["busybox", "true"], "timeout": 5}]},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}, {"type": "time"}],
            "timeOffsets": {"boottime": {"secs": 5}},
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "maskedPaths": ["/proc/kcore", "/sys/firmware", "/proc/nothing"],
            "readonlyPaths": ["/proc/sys"],
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]},
        },
    });
    patch(&mut config);
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
}

fn run_request(directory: &Path, overlay: Option<Overlay>) -> RunRequest {
    let name = directory.file_name().unwrap().to_str().unwrap();
    RunRequest {
        create: CreateRequest {
            data: Some(directory.join("data")),
            overlay,
            volumes: vec!["kept:/kept".to_owned()],
            ..CreateRequest::new(
                Id::parse(name).unwrap(),
                directory.to_owned(),
                Root::given(&directory.join("state")).unwrap(),
            )
        },
        attachment: Attachment::Foreground,
        at_end: AtEnd::Delete,
        subreaper: Subreaper::Unchanged,
        stop_timeout: None,
    }
}

/// How many allocations it took.
fn quiet_run(
    name: &str,
    overlay: Option<Overlay>,
    step: Option<Stepping>,
    patch: impl FnOnce(&mut Value),
) -> usize {
    let directory = PathBuf::from(format!("/tmp/corten-quiet-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    make_bundle(&directory, patch);
    let mut request = run_request(&directory, overlay);
    request.create.step = step;
    ALLOWED.store(std::process::id().cast_signed(), Ordering::Relaxed);
    let before = COUNT.load(Ordering::Relaxed);
    let status = run(&request);
    let count = COUNT.load(Ordering::Relaxed) - before;
    ALLOWED.store(0, Ordering::Relaxed);
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(
        status.map_err(|failure| failure.to_string()),
        Ok(0),
        "{name}"
    );
    count
}

#[test]
fn init_allocates_nothing() {
    if corten::sys::credentials::ids().0[1] != 0 || !Path::new("/bin/busybox").exists() {
        println!("skipped: it needs root and busybox-static");
        return;
    }
    if !in_private_namespace() {
        return;
    }
    quiet_run("plain", None, None, |_| {});
    let stepping = Stepping {
        until: Some("AwaitExecution".to_owned()),
        look: Look::default(),
    };
    quiet_run("stepped", None, Some(stepping), |_| {});
    quiet_run("overlay", Some(Overlay::Temporary), None, |_| {});
    quiet_run("userns", Some(Overlay::Temporary), None, |config| {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    let count = quiet_run("docker", None, None, |config| {
        let profile = include_str!("../src/seccomp/docker.json");
        config["linux"]["seccomp"] = serde_json::from_str(profile).unwrap();
        config["hooks"] = json!({});
    });
    println!("run allocates {count} times");
    assert!(
        count <= BUDGET,
        "{count} allocations, of which {BUDGET} are allowed"
    );
}
