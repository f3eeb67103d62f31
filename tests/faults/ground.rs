//! The ground of one point: namespaces of its own, a tmpfs, a cgroup, and what was there before.
//!
//! The process that stands on it is the first one of its pid namespace: with it everything ends that
//! the runtime could have left. Host name, network and mounts are its own as well, so that a runtime
//! that fails open changes this ground and not the machine.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::harness::host;
use super::tracer::{Fault, Point, Traced, Tracer};

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where the tmpfs of every ground is.
const DIRECTORY: &str = "/tmp/corten-faults";

/// The ground of one point.
pub struct Ground {
    /// A tmpfs.
    pub dir: PathBuf,
    /// The id of its container, which no other ground has.
    pub id: String,
    /// As `linux.cgroupsPath` wants it.
    pub cgroup: String,
    watchdog: Arc<Mutex<Watch>>,
    before: BTreeSet<String>,
}

#[derive(Default)]
struct Watch {
    until: Option<Instant>,
    bit: bool,
}

/// A command that has ended.
#[derive(Debug, Default)]
pub struct Done {
    /// Its exit code; if it was killed, the signal, negative.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// It had to be killed.
    pub hung: bool,
    /// If it was traced.
    pub traced: Traced,
}

impl Ground {
    /// Of the first process of a fresh pid and mount namespace.
    pub fn enter(cgroup: &str) -> Self {
        let dir = PathBuf::from(DIRECTORY);
        let none = None::<&str>;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).expect("the mount namespace is our own");
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).expect("procfs mounts");
        mount(
            Some("tmpfs"),
            &dir,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=755"),
        )
        .expect("tmpfs mounts");
        let own = cgroup_dir(cgroup).join("runner");
        fs::create_dir_all(&own).expect("root can make a cgroup");
        fs::write(own.join("cgroup.procs"), "0").expect("root can enter a cgroup");
        for name in ["state", "data", "log", "shared"] {
            fs::create_dir(dir.join(name)).expect("the tmpfs is empty");
        }
        leak_a_descriptor();
        let watchdog = Arc::new(Mutex::new(Watch::default()));
        let shared = Arc::clone(&watchdog);
        thread::spawn(move || watch(&shared));
        let id = cgroup.replace('/', "-").trim_start_matches('-').to_owned();
        Self {
            dir,
            id,
            cgroup: cgroup.to_owned(),
            watchdog,
            before: BTreeSet::new(),
        }
    }

    /// Makes the mount points that a process outside must have made.
    pub fn prepare() {
        fs::create_dir_all(DIRECTORY).expect("the temporary directory is writable");
    }

    /// What is there now is not a leak.
    pub fn note(&mut self) {
        self.before = self.things();
    }

    /// The runtime, untraced.
    pub fn corten(&self, words: &[&str]) -> Done {
        let mut command = Command::new(host::binary());
        command.args(self.globals()).args(words);
        self.run(command, None)
    }

    /// The runtime, traced, with a fault; `also` is traced too.
    pub fn traced(
        &self,
        words: &[&str],
        also: Option<Pid>,
        point: Option<(Point, Fault)>,
        at_stop: &mut dyn FnMut(),
    ) -> Done {
        let mut command = Command::new(env::current_exe().expect("procfs is mounted"));
        command
            .arg("--traced")
            .arg(host::binary())
            .args(self.globals())
            .args(words);
        self.run(command, Some((Tracer::new(point, at_stop), also)))
    }

    fn globals(&self) -> [String; 4] {
        let path = |name: &str| self.dir.join(name).display().to_string();
        [
            "--root".to_owned(),
            path("state"),
            "--data".to_owned(),
            path("data"),
        ]
    }

    fn run(&self, mut command: Command, tracer: Option<(Tracer<'_>, Option<Pid>)>) -> Done {
        let (out, err) = (self.dir.join("log/out"), self.dir.join("log/err"));
        // New files: a container of before may still hold the old ones.
        for path in [&out, &err] {
            fs::remove_file(path)
                .or_else(ignore_missing)
                .expect("it is ours");
        }
        let open = |path: &Path| File::create(path).expect("the tmpfs is writable");
        command
            .stdin(Stdio::null())
            .stdout(open(&out))
            .stderr(open(&err));
        self.watchdog.lock().expect("no thread panicked").until =
            Some(Instant::now() + host::patience(DEADLINE));
        let mut done = Done::default();
        match tracer {
            Some((tracer, also)) => {
                done.traced = tracer.run(command, also);
                done.code = done.traced.code;
            }
            None => {
                done.code = reap_until(spawn(&mut command));
            }
        }
        let mut watch = self.watchdog.lock().expect("no thread panicked");
        watch.until = None;
        done.hung = std::mem::take(&mut watch.bit);
        done.out = read(&out);
        done.err = read(&err);
        done
    }

    /// Waits until something holds.
    pub fn eventually(&self, mut holds: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + host::patience(DEADLINE);
        loop {
            reap();
            if holds() {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was left behind: the difference to what was noted, once the dying are dead, but for what is fine.
    pub fn left(&self, is_fine: impl Fn(&String) -> bool) -> Vec<String> {
        let difference = || -> Vec<String> {
            let now = self.things();
            let more = now
                .difference(&self.before)
                .map(|thing| format!("left: {thing}"));
            let less = self
                .before
                .difference(&now)
                .map(|thing| format!("gone: {thing}"));
            more.chain(less).filter(|thing| !is_fine(thing)).collect()
        };
        let deadline = Instant::now() + host::patience(Duration::from_secs(2));
        loop {
            reap();
            let left = difference();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Processes, mounts, cgroups, files, the host's name and parameters: one line each.
    pub fn things(&self) -> BTreeSet<String> {
        let mut things = BTreeSet::new();
        things.extend(
            processes()
                .into_iter()
                .map(|(pid, name)| format!("process {pid} {name}")),
        );
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs is mounted");
        things.extend(mounts.lines().map(|line| format!("mount {line}")));
        let mut paths = Vec::new();
        walk(&cgroup_dir(&self.cgroup), &mut |path, is_directory| {
            if is_directory {
                paths.push(path.to_owned());
            }
        });
        things.extend(
            paths
                .drain(..)
                .map(|path| format!("cgroup {}", path.display())),
        );
        for name in ["state", "data", "bundle"] {
            walk(&self.dir.join(name), &mut |path, _| {
                things.insert(format!("file {}", path.display()));
            });
        }
        for path in [
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/domainname",
            "/proc/sys/net/ipv4/ip_forward",
        ] {
            things.insert(format!("{path} {}", read(Path::new(path)).trim()));
        }
        things
    }
}

/// Where a cgroup of cgroupsPath is.
pub fn cgroup_dir(path: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'))
}

/// The processes of this pid namespace that have not ended, but for ourselves.
pub fn processes() -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("procfs is mounted").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(") ") else {
            continue;
        };
        if pid != 1 && !tail.starts_with(['Z', 'X']) {
            let name = head.split_once('(').map_or("", |(_, name)| name);
            found.push((pid, name.to_owned()));
        }
    }
    found
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// Every path below a directory, which may be missing, and whether it is a directory itself.
fn walk(dir: &Path, found: &mut dyn FnMut(&Path, bool)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        found(&entry.path(), is_directory);
        if is_directory {
            walk(&entry.path(), found);
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A directory of the host that the caller forgot to close: no container may see it.
fn leak_a_descriptor() {
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY;
    let leaked =
        nix::fcntl::open("/", flags, nix::sys::stat::Mode::empty()).expect("there is a root");
    std::mem::forget(leaked);
}

/// Starts a command that is reaped together with all others.
#[allow(clippy::zombie_processes)]
pub fn spawn(command: &mut Command) -> i32 {
    let child = command.spawn().expect("the program is there");
    i32::try_from(child.id()).expect("a pid is small")
}

/// Reaps until this child has ended.
fn reap_until(child: i32) -> i32 {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == child => return code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == child => {
                return -(signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => panic!("waitpid: {errno}"),
        }
    }
}

fn reap() {
    while matches!(
        waitpid(
            Pid::from_raw(-1),
            Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)
        ),
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
    ) {}
}

/// Kills everything in the pid namespace when the time is over: what hangs, ends.
fn watch(shared: &Mutex<Watch>) {
    loop {
        thread::sleep(Duration::from_millis(20));
        let mut watch = shared.lock().expect("no thread panicked");
        if watch.until.is_some_and(|until| Instant::now() > until) {
            watch.bit = true;
            watch.until = None;
            // Everybody but us, who are its first process. Nobody there is fine too.
            kill(Pid::from_raw(-1), Signal::SIGKILL).ok();
        }
    }
}

/// The ground process must be the first of its pid namespace.
pub fn assert_first() {
    assert_eq!(process::id(), 1, "only the sweep itself starts this");
}
