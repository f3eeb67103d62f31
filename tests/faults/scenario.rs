//! The scenarios: what is there before a command, and what must hold after it, whatever went wrong.

use std::fs;

use nix::libc;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::ground::{Done, Ground, cgroup_dir};
use super::probe::{self, Variety};
use super::tracer::{Fault, Point};

/// Where the container's bundle is.
pub const BUNDLE: &str = "/tmp/corten-faults/bundle";
/// Where its init's number goes.
const PID_FILE: &str = "/tmp/corten-faults/log/pid";

/// A command under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// `create`.
    Create,
    /// `run` in the foreground.
    Run,
    /// `start`, and what init does after it.
    Start,
    /// `exec` in the foreground.
    Exec,
    /// `delete` of a stopped container.
    Delete,
    /// `delete --force` of a running one.
    DeleteForce,
    /// `kill` with SIGKILL.
    Kill,
}

/// A command and the container that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The command.
    pub command: Command,
    /// The container.
    pub variety: Variety,
}

const fn scenario(command: Command, variety: Variety) -> Scenario {
    Scenario { command, variety }
}

/// The one in which directories become links: see `swap.rs`.
pub const HOSTILE: Scenario = scenario(Command::Create, Variety::Hostile);

/// All others.
pub const ALL: [Scenario; 11] = [
    scenario(Command::Create, Variety::Plain),
    scenario(Command::Run, Variety::Plain),
    scenario(Command::Start, Variety::Plain),
    scenario(Command::Exec, Variety::Plain),
    scenario(Command::Delete, Variety::Plain),
    scenario(Command::DeleteForce, Variety::Plain),
    scenario(Command::Kill, Variety::Plain),
    scenario(Command::Create, Variety::Mapped),
    scenario(Command::Exec, Variety::Mapped),
    scenario(Command::DeleteForce, Variety::Mapped),
    scenario(Command::Run, Variety::Joined),
];

/// What came out of one point.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// What is wrong, one line each.
    pub defects: Vec<String>,
    /// What the container said of itself, if it ran.
    pub world: Option<String>,
    /// The calls that were made, and whether each makes a file.
    pub calls: Vec<(Point, bool)>,
    /// Whether the point was reached.
    pub reached: bool,
    /// For people: how the command ended.
    pub ended: String,
}

impl Scenario {
    /// As it is called on the command line.
    pub fn name(self) -> String {
        let command = match self.command {
            Command::Create => "create",
            Command::Run => "run",
            Command::Start => "start",
            Command::Exec => "exec",
            Command::Delete => "delete",
            Command::DeleteForce => "delete-force",
            Command::Kill => "kill",
        };
        match self.variety {
            Variety::Plain => command.to_owned(),
            Variety::Mapped => format!("{command}-mapped"),
            Variety::Joined => format!("{command}-joined"),
            Variety::Hostile => format!("{command}-hostile"),
        }
    }

    fn waits(self) -> bool {
        !matches!(
            self.command,
            Command::Create | Command::Run | Command::Start
        )
    }

    fn words(self, id: &str) -> Vec<&str> {
        let after: &[&str] = match self.command {
            Command::Create => &["--pid-file", PID_FILE, id],
            Command::Run => &["--pid-file", PID_FILE, id],
            Command::Start | Command::Delete => &[id],
            Command::Exec => &[id, "sh", "/probe"],
            Command::DeleteForce => &["--force", id],
            Command::Kill => &[id, "KILL"],
        };
        let before: &[&str] = match self.command {
            Command::Create => &["create", "--bundle", BUNDLE],
            Command::Run => &["run", "--bundle", BUNDLE],
            Command::Start => &["start"],
            Command::Exec => &["exec"],
            Command::Delete | Command::DeleteForce => &["delete"],
            Command::Kill => &["kill"],
        };
        [before, after].concat()
    }
}

/// One point under examination.
struct Examination<'a> {
    ground: &'a Ground,
    scenario: Scenario,
    fault: Option<(Point, Fault)>,
    came_to_be: bool,
    verdict: Verdict,
}

/// Plays a scenario with a fault, or without.
pub fn play(ground: &mut Ground, scenario: Scenario, fault: Option<(Point, Fault)>) -> Verdict {
    let ground_id = ground.id.clone();
    probe::bundle(ground, scenario.variety, scenario.waits());
    ground.note();
    let mut one = Examination {
        ground,
        scenario,
        fault,
        came_to_be: !matches!(scenario.command, Command::Create | Command::Run),
        verdict: Verdict::default(),
    };
    let also = one.prepare();
    let done = one
        .ground
        .traced(&scenario.words(&ground_id), also, fault, &mut || {});
    one.verdict.reached = done.traced.reached;
    one.verdict.calls.clone_from(&done.traced.calls);
    one.verdict.ended = format!("exit {} {}", done.code, done.err.trim());
    one.came_to_be |= done.code == 0
        || one.was_killed()
        || scenario.command == Command::Run && (done.out.contains("== ") || one.killed_init());
    one.general(&done);
    match scenario.command {
        Command::Create => one.after_create(&done),
        Command::Run => one.after_run(&done),
        Command::Start => one.after_start(&done),
        Command::Exec => one.after_exec(&done),
        Command::Delete | Command::DeleteForce => one.after_delete(&done),
        Command::Kill => one.after_kill(&done),
    }
    one.the_end();
    one.verdict
}

impl Examination<'_> {
    fn defect(&mut self, text: impl Into<String>) {
        self.verdict.defects.push(text.into());
    }

    /// A command of the scenery, which must work.
    fn must(&mut self, words: &[&str]) -> Done {
        let done = self.ground.corten(words);
        if done.code != 0 || done.hung {
            self.defect(format!(
                "{words:?} failed: {} {}{}",
                done.code,
                done.err.trim(),
                hung(&done)
            ));
        }
        done
    }

    fn was_killed(&self) -> bool {
        matches!(self.fault, Some((Point { process: 0, .. }, Fault::Kill)))
    }

    fn killed_init(&self) -> bool {
        matches!(self.fault, Some((Point { process: 1.., .. }, Fault::Kill)))
    }

    /// Init was told that the container is recorded, or that it may go on, and could not hear it.
    fn deafened_init(&self) -> bool {
        let point = self.fault.map(|(point, _)| point);
        point.is_some_and(|point| {
            point.process > 0 && matches!(point.call, libc::SYS_read | libc::SYS_ppoll)
        })
    }

    fn prepare(&mut self) -> Option<Pid> {
        if matches!(self.scenario.command, Command::Create | Command::Run) {
            return None;
        }
        self.must(&["create", "--bundle", BUNDLE, &self.ground.id]);
        self.keep_output();
        if self.scenario.command == Command::Start {
            let pid = self.state().and_then(|state| state["pid"].as_i64());
            return pid
                .and_then(|pid| i32::try_from(pid).ok())
                .map(Pid::from_raw);
        }
        self.must(&["start", &self.ground.id]);
        let two = || self.processes() == 2;
        if !self.ground.eventually(two) {
            self.defect("the container's second process does not come");
        }
        if self.scenario.command == Command::Delete {
            self.must(&["kill", &self.ground.id, "KILL"]);
            self.await_stop();
        }
        None
    }

    fn general(&mut self, done: &Done) {
        if done.hung {
            self.defect("it did not come to an end");
            return;
        }
        if self.was_killed() {
            return;
        }
        if done.code < 0 {
            self.defect(format!(
                "it died by signal {}: {}",
                -done.code,
                done.err.trim()
            ));
        }
        // Init that is killed on its way into the program is a program that was killed.
        let has_status = matches!(self.scenario.command, Command::Run | Command::Exec);
        let is_status = has_status && self.killed_init() && done.code == 137;
        if done.code != 0 && !is_status && done.err.trim().is_empty() {
            self.defect("it failed without a word");
        }
        if done.err.contains("panicked") {
            self.defect(format!("it panicked: {}", done.err.trim()));
        }
        if done.code != 0 && self.fault.is_none() {
            self.defect(format!("it failed without a fault: {}", done.err.trim()));
        }
    }

    /// The answer of `state`; None when there is no container.
    fn state(&mut self) -> Option<serde_json::Value> {
        let done = self.ground.corten(&["state", &self.ground.id]);
        if done.code == 0 {
            let state = serde_json::from_str(&done.out).ok();
            if state.is_none() {
                self.defect(format!("state says {:?}", done.out));
            }
            return state;
        }
        if !done.err.contains("does not exist") {
            self.defect(format!("state failed: {}{}", done.err.trim(), hung(&done)));
        }
        None
    }

    fn status(&mut self) -> String {
        let state = self.state();
        let status = state.as_ref().and_then(|state| state["status"].as_str());
        status.unwrap_or("none").to_owned()
    }

    fn await_stop(&mut self) {
        let ground = self.ground;
        let stopped = || {
            ground
                .corten(&["state", &self.ground.id])
                .out
                .contains("\"stopped\"")
        };
        if !ground.eventually(stopped) {
            self.defect("the container did not stop");
        }
    }

    fn nothing_is_left(&mut self, when: &str) {
        // Cgroups above that of a container that came to be are shared with its siblings.
        let above = format!("{}/a", cgroup_dir(&self.ground.cgroup).display());
        // A volume outlives its users.
        let volume = ["/volumes", "/kept", "/kept/data", "/kept/users"];
        let came_to_be = self.came_to_be;
        let is_fine = |thing: &String| {
            came_to_be && thing.ends_with(&above) || volume.iter().any(|name| thing.ends_with(name))
        };
        for thing in self.ground.left(is_fine) {
            self.defect(format!("{when}: {thing}"));
        }
    }

    /// What the program writes to the output of the last command.
    fn read_world(&mut self) {
        let ground = self.ground;
        let log = ground.dir.join("log/out");
        let file = fs::File::open(&log).expect("the last command has an output");
        let told = || {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            fs::read_to_string(path).unwrap_or_default()
        };
        if !ground.eventually(|| told().contains(probe::END)) {
            self.defect("the program did not say all");
        }
        self.verdict.world = Some(probe::normal(&told()));
    }

    /// Keeps the output of `create`, which is the program's, from the next command.
    fn keep_output(&self) {
        let log = self.ground.dir.join("log");
        for (name, kept) in [("out", "created"), ("err", "created-err")] {
            fs::rename(log.join(name), log.join(kept)).expect("the last command has an output");
        }
    }

    /// The kernel did not execute the program.
    fn refused_program(&self) -> bool {
        let point = self.fault.map(|(point, _)| point);
        point.is_some_and(|point| point.process > 0 && point.call == libc::SYS_execve)
    }

    /// After `start` that is the container's end, and its last line.
    fn read_refusal(&mut self) {
        let err = self.ground.dir.join("log/created-err");
        let told = || fs::read_to_string(&err).unwrap_or_default();
        if !self.ground.eventually(|| told().contains("exec /")) {
            self.defect("the container did not say that its program was refused");
        }
        self.await_stop();
    }

    /// What the program of a container that `create` made says once it is started.
    fn read_created(&mut self) {
        let out = self.ground.dir.join("log/created");
        let told = || fs::read_to_string(&out).unwrap_or_default();
        if !self.ground.eventually(|| told().contains(probe::END)) {
            self.defect("the program did not say all");
        }
        self.verdict.world = Some(probe::normal(&told()));
        self.await_stop();
    }

    fn after_create(&mut self, done: &Done) {
        self.keep_output();
        if done.code != 0 {
            if !self.was_killed() {
                self.nothing_is_left("after the failed create");
                if self.ground.dir.join("log/pid").exists() {
                    self.defect("after the failed create there is a pid file");
                }
                let status = self.status();
                if status != "none" {
                    self.defect(format!("after the failed create it is {status}"));
                }
            }
            return;
        }
        match self.status().as_str() {
            "created" => {
                self.must(&["start", &self.ground.id]);
                self.read_created();
            }
            "stopped" if self.killed_init() || self.deafened_init() => {}
            other => self.defect(format!("after create it is {other}")),
        }
    }

    fn after_run(&mut self, done: &Done) {
        let said = done.out.contains("== ");
        if done.code == 0 {
            self.read_world();
        } else if said && !self.was_killed() && !self.killed_init() {
            // The failure came after the program's end: then its status is lost, but not its traces.
            return self.still_known();
        }
        if !self.was_killed() {
            self.nothing_is_left("after run");
        }
    }

    /// What could not be removed is not forgotten either.
    fn still_known(&mut self) {
        if !self.ground.left(|_| false).is_empty() && self.status() == "none" {
            self.defect("it was forgotten, but something is left");
        }
    }

    fn after_start(&mut self, done: &Done) {
        let status = self.status();
        match (done.code, status.as_str()) {
            // Killed on its way into the program: a program that was killed.
            (0, "stopped") if self.killed_init() => {}
            (0, _) if self.refused_program() => self.read_refusal(),
            (0, "running" | "stopped") => self.read_created(),
            (1.., "created") => {
                self.must(&["start", &self.ground.id]);
                self.read_created();
            }
            (1.., "stopped") => {}
            _ if self.was_killed() => {}
            (code, status) => self.defect(format!("after start (exit {code}) it is {status}")),
        }
    }

    fn after_exec(&mut self, done: &Done) {
        if done.code == 0 {
            self.read_world();
        } else if done.out.contains("== ") && !self.was_killed() {
            self.defect("it failed, but the program ran");
        }
        let status = self.status();
        if status != "running" {
            self.defect(format!("after exec it is {status}"));
        }
        let only_its_own = || self.processes() == 2;
        if !self.ground.eventually(only_its_own) {
            self.defect("the process of exec is left in the container");
        }
    }

    /// How many are in the container.
    fn processes(&self) -> usize {
        let path = cgroup_dir(&self.ground.cgroup).join("a/bundle/cgroup.procs");
        fs::read_to_string(path).unwrap_or_default().lines().count()
    }

    fn after_delete(&mut self, done: &Done) {
        if done.code == 0 {
            self.nothing_is_left("after delete");
        } else if !self.was_killed() {
            self.still_known();
        }
    }

    fn after_kill(&mut self, done: &Done) {
        if done.code == 0 {
            self.await_stop();
        }
    }

    /// Whatever happened: it can be removed, nothing is left, and the id is free.
    fn the_end(&mut self) {
        self.status();
        self.must(&["delete", "--force", &self.ground.id]);
        self.nothing_is_left("after delete --force");
        // With the same pid file, beside which a killed one may have left its unfinished own.
        let command = match self.scenario.variety {
            Variety::Joined => Command::Run, // its terminal would need a socket
            Variety::Plain | Variety::Mapped | Variety::Hostile => Command::Create,
        };
        let again = Scenario {
            command,
            ..self.scenario
        };
        self.must(&again.words(&self.ground.id));
        self.must(&["delete", "--force", &self.ground.id]);
    }
}

fn hung(done: &Done) -> &'static str {
    if done.hung {
        " (it had to be killed)"
    } else {
        ""
    }
}
