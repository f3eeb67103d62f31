//! A container of a test: its id, and the commands on it.

use std::path::PathBuf;

use serde_json::Value;

use super::call::{Done, eventually};
use super::{Bundle, Lab};

/// A container made by `create` or `run --detach`.
#[derive(Debug)]
pub struct Container<'a> {
    /// Its id.
    pub id: String,
    /// What the call that made it wrote; what the container writes is appended.
    pub call: Done,
    lab: &'a Lab,
    cgroup: String,
}

impl<'a> Container<'a> {
    /// `create`, which must succeed.
    #[track_caller]
    pub fn create(lab: &'a Lab, bundle: &Bundle, flags: &[&str]) -> Self {
        Self::made(lab, bundle, &["create"], flags)
    }

    /// `run --detach`, which must succeed.
    #[track_caller]
    pub fn run(lab: &'a Lab, bundle: &Bundle, flags: &[&str]) -> Self {
        Self::made(lab, bundle, &["run", "--detach"], flags)
    }

    #[track_caller]
    fn made(lab: &'a Lab, bundle: &Bundle, command: &[&str], flags: &[&str]) -> Self {
        let (id, path) = (lab.id(), bundle.write());
        let words = [command, &["--bundle", &path], flags, &[&id]].concat();
        let call = lab.corten(&words).ok();
        // Asked for by hand: every container of every test, as it was made, is what was asked for.
        if std::env::var_os("CORTEN_TEST_AUDIT").is_some() {
            let done = lab.corten(&["audit", &id]);
            assert!(done.code != 1, "{done:?}");
        }
        let cgroup = bundle.config["linux"]["cgroupsPath"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Self {
            id,
            call,
            lab,
            cgroup,
        }
    }

    /// A command on this container, with words after the id.
    pub fn corten(&self, command: &[&str], after: &[&str]) -> Done {
        self.lab
            .corten(&[command, &[self.id.as_str()], after].concat())
    }

    /// `start`, which must succeed.
    #[track_caller]
    pub fn start(&self) {
        self.corten(&["start"], &[]).ok();
    }

    /// `state`, which must succeed.
    #[track_caller]
    pub fn state(&self) -> Value {
        self.corten(&["state"], &[]).ok().json()
    }

    /// The status word of `state`.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"]
            .as_str()
            .expect("status is a string")
            .to_owned()
    }

    /// The pid of its init on this host.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().expect("pid is a number"))
            .expect("a pid is small")
    }

    /// `kill` with a signal, which must succeed.
    #[track_caller]
    pub fn kill(&self, signal: &str) {
        self.corten(&["kill"], &[signal]).ok();
    }

    /// Waits until it has stopped.
    #[track_caller]
    pub fn wait(&self) {
        eventually("the container stops", || self.status() == "stopped");
    }

    /// `delete`, which must succeed.
    #[track_caller]
    pub fn delete(&self) {
        self.corten(&["delete"], &[]).ok();
    }

    /// `delete --force`, which must succeed.
    #[track_caller]
    pub fn end(&self) {
        self.corten(&["delete", "--force"], &[]).ok();
    }

    /// `exec` of a program in the foreground.
    pub fn exec(&self, args: &[&str]) -> Done {
        self.corten(&["exec"], args)
    }

    /// `exec` of a program with flags before the id.
    pub fn exec_with(&self, flags: &[&str], args: &[&str]) -> Done {
        self.corten(&[&["exec"], flags].concat(), args)
    }

    /// The directory of its cgroup on this host.
    pub fn cgroup_dir(&self) -> PathBuf {
        PathBuf::from(format!("/sys/fs/cgroup{}", self.cgroup))
    }

    /// What has been written to its stdout until now.
    pub fn out(&self) -> String {
        self.call.out_now()
    }
}
