//! Races, made certain: at one system call of `create` a directory of the image becomes a link to the host.
//!
//! Whoever shares a file system with a container in the making can rename while the runtime resolves
//! (CVE-2021-30465, CVE-2023-27561, CVE-2024-45310, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881). Here
//! the tracer stops the runtime or init at one call, the directory is exchanged for a symbolic link to a
//! tree of canaries outside of the image, and the call goes on. Whatever becomes of the container, nothing of
//! that tree may have changed, nothing of it may be seen in the container, and no procfs in it may show what
//! the configuration hides.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::ground::Ground;
use super::probe::{self, Variety};
use super::scenario::{BUNDLE, Verdict};
use super::tracer::{Fault, Point};

/// What is exchanged; below the image, or below the directory that it shares.
pub const VICTIMS: [&str; 10] = [
    "rootfs/dev",
    "rootfs/proc",
    "rootfs/sys",
    "rootfs/tmp",
    "rootfs/etc",
    "rootfs/etc/secrets",
    "rootfs/vol",
    "rootfs/vol/a",
    "rootfs/work",
    "shared/a",
];

/// What stands in every file of the canaries.
const SECRET: &str = "the canary sings";

/// Plays `create` and `start`; at the point, the victim is exchanged.
pub fn play(ground: &mut Ground, point: Option<Point>, victim: &str) -> Verdict {
    probe::bundle(ground, Variety::Hostile, false);
    let canary = ground.dir.join("canary");
    let path = prepare(ground, &canary, victim);
    let before = inspect(&canary);
    let mut verdict = Verdict::default();
    let mut exchange = || {
        let link = path.with_extension("link");
        renameat2(
            AT_FDCWD,
            &path,
            AT_FDCWD,
            &link,
            RenameFlags::RENAME_EXCHANGE,
        )
        .expect("both are there");
    };
    let fault = point.map(|point| (point, Fault::Stop));
    let words = ["create", "--bundle", BUNDLE, &ground.id];
    let done = ground.traced(&words, None, fault, &mut exchange);
    verdict.reached = done.traced.reached;
    verdict.calls = done.traced.calls;
    verdict.ended = format!("exit {} {}", done.code, done.err.trim());
    let said = if done.code == 0 {
        run(ground, &mut verdict)
    } else {
        done.out
    };
    if point.is_none() && !said.contains(probe::END) {
        verdict
            .defects
            .push(format!("the program did not run: {}", verdict.ended));
    }
    if done.hung {
        verdict.defects.push("it did not come to an end".to_owned());
    }
    if done.code != 0 && done.err.trim().is_empty() {
        verdict.defects.push("it failed without a word".to_owned());
    }
    let deleted = ground.corten(&["delete", "--force", &ground.id]);
    if deleted.code != 0 {
        verdict
            .defects
            .push(format!("delete --force: {}", deleted.err.trim()));
    }
    if said.contains(SECRET) {
        verdict.defects.push("the canary was seen".to_owned());
    }
    for line in said.lines().filter(|line| line.starts_with("shown: ")) {
        verdict.defects.push(line.to_owned());
    }
    let after = inspect(&canary);
    if before != after {
        verdict
            .defects
            .push(format!("the canary was touched:\n{before}became\n{after}"));
    }
    verdict
}

/// The output of the program.
fn run(ground: &Ground, verdict: &mut Verdict) -> String {
    let log = ground.dir.join("log");
    fs::rename(log.join("out"), log.join("created")).expect("the last command has an output");
    let started = ground.corten(&["start", &ground.id]);
    if started.hung {
        verdict
            .defects
            .push("start did not come to an end".to_owned());
    }
    let said = || fs::read_to_string(log.join("created")).unwrap_or_default();
    if started.code == 0 {
        ground.eventually(|| {
            said().contains(probe::END)
                || !ground
                    .corten(&["state", &ground.id])
                    .out
                    .contains("\"running\"")
        });
    }
    said()
}

/// The tree outside, of the same shape as what is exchanged, and the link that will lead there.
fn prepare(ground: &Ground, canary: &Path, victim: &str) -> PathBuf {
    let base = if victim.starts_with("shared") {
        ground.dir.clone()
    } else {
        PathBuf::from(BUNDLE)
    };
    for name in [
        "a/b",
        "b",
        "m",
        "pts",
        "shm",
        "mqueue",
        "fs/cgroup",
        "sub",
        "secrets",
        "sys",
        "self/attr",
        "dir",
    ] {
        fs::create_dir_all(canary.join(name)).expect("the tmpfs is writable");
    }
    for name in [
        "null",
        "ptmx",
        "console",
        "tty",
        "secret",
        "secrets/secret",
        "m/secret",
        "passwd",
        "timer_list",
        "self/attr/exec",
    ] {
        fs::write(canary.join(name), SECRET).expect("the tmpfs is writable");
    }
    let path = base.join(victim);
    fs::create_dir_all(&path).expect("the tmpfs is writable");
    symlink(canary, path.with_extension("link")).expect("nothing is there");
    path
}

/// Everything of a tree that a stranger could change.
fn inspect(tree: &Path) -> String {
    let mut text = String::new();
    let mut paths = vec![tree.to_owned()];
    while let Some(path) = paths.pop() {
        let data = fs::symlink_metadata(&path).expect("nobody removes a canary");
        if data.is_dir() {
            let entries = fs::read_dir(&path).expect("it is a directory");
            let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            paths.extend(entries);
        }
        let content = if data.is_file() {
            fs::read(&path).unwrap_or_default().len()
        } else {
            0
        };
        writeln!(
            text,
            "{} {:o} {}:{} {}:{} {}.{} {content}",
            path.display(),
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink(),
            data.rdev(),
            data.ctime(),
            data.ctime_nsec(),
        )
        .expect("a string takes all");
    }
    text
}
