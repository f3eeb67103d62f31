//! What this machine offers to the tests.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Where the cgroup v2 tree is mounted on a hybrid host.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Enters a mount namespace of our own that shows the cgroup v2 tree only.
pub fn enter_private_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("the tests run as root");
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .expect("a fresh mount namespace can be made private");
    if Path::new(UNIFIED).join("cgroup.procs").exists() {
        mount(
            Some(UNIFIED),
            "/sys/fs/cgroup",
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .expect("the cgroup v2 tree can be bound over the v1 ones");
    }
}

/// Whether the host's v1 hierarchies hold controllers that the v2 tree lacks.
pub fn is_hybrid() -> bool {
    Path::new(UNIFIED).join("cgroup.procs").exists()
}

/// The controllers that containers can have here.
pub fn controllers() -> Vec<String> {
    let text = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The binary under test.
pub fn binary() -> PathBuf {
    env::var_os("CORTEN_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_corten")),
        PathBuf::from,
    )
}

/// Whether the binary under test is Corten, or another runtime that tests the tests.
pub fn is_corten() -> bool {
    binary().file_name().is_some_and(|name| name == "corten")
}

/// Multiplies every deadline: an emulated machine is slow.
pub fn patience(duration: Duration) -> Duration {
    let slowness = env::var("CORTEN_TEST_SLOWNESS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    duration * slowness
}

/// The kernel's release as (major, minor).
pub fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("procfs is mounted");
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A program found in PATH, where it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}
