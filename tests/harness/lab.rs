//! The ground on which one test stands: a directory, a state directory, a cgroup, a deadline.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::{env, process};

use serde_json::Value;

use super::call::Call;
use super::{Bundle, Container, Done, host, leaks, rootfs, skip};

/// The ground on which one test stands.
#[derive(Debug)]
pub struct Lab {
    /// The test's name.
    pub name: String,
    /// The test's own directory; gone after the test.
    pub dir: PathBuf,
    /// The runtime's state directory (`--root`).
    pub root: PathBuf,
    /// Where named volumes live (`--data`).
    pub data: PathBuf,
    /// The cgroup of the test, as `linux.cgroupsPath` wants it.
    pub cgroup: String,
    serial: Cell<u32>,
}

/// The process id that stands in the name of everything: that of the runner.
pub fn parent() -> u32 {
    env::var("CORTEN_TEST_PARENT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(process::id)
}

fn base() -> PathBuf {
    env::temp_dir().join(format!("corten-test-{}", parent()))
}

/// The last part of a test's name is unique enough with its module before it.
fn short(name: &str) -> String {
    let mut parts = name.rsplit("::");
    let (claim, module) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    format!("{module}-{claim}")
}

/// The directory of a test.
pub fn directory(name: &str) -> PathBuf {
    base().join(short(name))
}

/// The cgroup of a test.
pub fn cgroup(name: &str) -> PathBuf {
    PathBuf::from(format!("/sys/fs/cgroup/corten-test-{}", parent())).join(short(name))
}

/// Makes what all tests share: the root file system they copy.
pub fn prepare() {
    fs::create_dir_all(base()).expect("the temporary directory is writable");
    rootfs::prepare(&base().join("rootfs"));
}

/// Removes what all tests shared.
pub fn clear() {
    leaks::end_everything(&PathBuf::from(format!(
        "/sys/fs/cgroup/corten-test-{}",
        parent()
    )));
    // What a failed test left unremovable was reported by that test.
    drop(fs::remove_dir_all(base()));
}

impl Lab {
    /// Enters the test's cgroup and becomes the parent of all orphans.
    pub fn enter(name: &str, dir: PathBuf) -> Self {
        let leaf = cgroup(name).join("test");
        fs::create_dir_all(&leaf).expect("root can make a cgroup");
        fs::write(leaf.join("cgroup.procs"), "0").expect("root can enter a cgroup");
        nix::sys::prctl::set_child_subreaper(true).expect("every kernel since 3.4 has it");
        let (root, data) = (dir.join("state"), dir.join("data"));
        fs::create_dir_all(&root).expect("the test's directory is writable");
        Self {
            name: name.to_owned(),
            dir,
            root,
            data,
            cgroup: format!("/corten-test-{}/{}", parent(), short(name)),
            serial: Cell::new(0),
        }
    }

    /// A new bundle with a Docker-like configuration whose program is `true`.
    pub fn bundle(&self) -> Bundle {
        let dir = self.path("bundle");
        fs::create_dir(&dir).expect("the test's directory is writable");
        rootfs::copy(&base().join("rootfs"), &dir.join("rootfs"));
        Bundle::new(dir, &self.cgroup)
    }

    /// A bundle whose container waits until it is killed.
    pub fn sleeper(&self) -> Bundle {
        let mut bundle = self.bundle();
        bundle.args(&["sleep", "1000"]);
        bundle
    }

    /// A path of the test's own that does not exist yet.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{}", self.number()))
    }

    /// A file of the test's own with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the test's directory is writable");
        path
    }

    /// A number not used before in this test.
    pub fn number(&self) -> u32 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// An id that no container has had.
    pub fn id(&self) -> String {
        format!("test-{}-{}", process::id(), self.number())
    }

    /// The runtime with its state directory and these words after it.
    pub fn call<S: AsRef<str>>(&self, words: &[S]) -> Call {
        let mut call = Call::new(self, &host::binary());
        call.arg("--root").arg(&self.root.display().to_string());
        if host::is_corten() {
            call.arg("--data").arg(&self.data.display().to_string());
        }
        for word in words {
            call.arg(word.as_ref());
        }
        call
    }

    /// The runtime with these words, run to its end.
    pub fn corten<S: AsRef<str>>(&self, words: &[S]) -> Done {
        self.call(words).done()
    }

    /// `run` of a bundle in the foreground, to its end.
    pub fn run(&self, bundle: &Bundle) -> Done {
        self.run_with(bundle, &[])
    }

    /// `run` in the foreground with flags, to its end.
    pub fn run_with(&self, bundle: &Bundle, flags: &[&str]) -> Done {
        self.run_call(bundle, flags, &self.id()).done()
    }

    /// `run` in the foreground, to its end, with warnings on stderr; runc has no flag for them.
    pub fn run_with_warnings(&self, bundle: &Bundle) -> Done {
        let (path, id) = (bundle.write(), self.id());
        let words = ["--log-level", "warning", "run", "--bundle", &path, &id];
        self.corten(if self.is_corten() {
            &words
        } else {
            &words[2..]
        })
    }

    /// `run` with flags, yet to be carried out.
    pub fn run_call(&self, bundle: &Bundle, flags: &[&str], id: &str) -> Call {
        let path = bundle.write();
        let mut words = vec!["run", "--bundle", &path];
        words.extend(flags);
        words.push(id);
        self.call(&words)
    }

    /// `create` that is expected to fail, and to leave nothing; the error on stderr is returned.
    pub fn refuse(&self, bundle: &Bundle) -> Done {
        let id = self.id();
        let path = bundle.write();
        let done = self.corten(&["create", "--bundle", &path, &id]);
        assert_ne!(done.code, 0, "create accepted it: {done:?}");
        let state = self.corten(&["state", &id]);
        assert_ne!(state.code, 0, "a refused container has a state: {state:?}");
        done
    }

    /// A created container.
    pub fn create<'a>(&'a self, bundle: &Bundle) -> Container<'a> {
        Container::create(self, bundle, &[])
    }

    /// A created container, with flags of `create`.
    pub fn create_with<'a>(&'a self, bundle: &Bundle, flags: &[&str]) -> Container<'a> {
        Container::create(self, bundle, flags)
    }

    /// A running container, by `run --detach`.
    pub fn start<'a>(&'a self, bundle: &Bundle) -> Container<'a> {
        Container::run(self, bundle, &[])
    }

    /// Skips the test where the v2 tree lacks a controller.
    pub fn need_controller(&self, name: &str) {
        if !host::controllers().iter().any(|have| have == name) {
            skip(&format!(
                "the cgroup v2 tree of this host has no {name} controller"
            ));
        }
    }

    /// Whether the binary under test is Corten.
    pub fn is_corten(&self) -> bool {
        host::is_corten()
    }

    /// Skips the test where another runtime stands in for Corten.
    pub fn need_corten(&self, why: &str) {
        if !host::is_corten() {
            skip(&format!(
                "{} is not Corten: {why}",
                host::binary().display()
            ));
        }
    }

    /// Skips the test where the kernel is older.
    pub fn need_kernel(&self, major: u32, minor: u32, what: &str) {
        if host::kernel() < (major, minor) {
            skip(&format!("{what} needs Linux {major}.{minor}"));
        }
    }

    /// The path of a program of this host; skips the test where it is not installed.
    pub fn need_program(&self, name: &str) -> PathBuf {
        host::program(name).unwrap_or_else(|| skip(&format!("{name} is not installed here")))
    }

    /// The cgroup directory of the test on this host.
    pub fn cgroup_dir(&self) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(self.cgroup.trim_start_matches('/'))
    }
}

/// The text of a JSON value that must be a string.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no string at {pointer} in {value}"))
}
