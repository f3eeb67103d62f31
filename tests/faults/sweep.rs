//! Which points there are, and their turn.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use super::calls::{self, Kind};
use super::ground::{self, Ground};
use super::harness::{host, leaks};
use super::scenario::{self, Scenario, Verdict};
use super::swap;
use super::tracer::{Fault, Point};

/// How many faults of one kind the sample takes of a scenario.
const SAMPLE: usize = 30;

/// How many grounds there are at a time.
const WORKERS: usize = 3;

/// One trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trial {
    scenario: Scenario,
    fault: Option<(Point, Fault)>,
    /// What is exchanged for a link, at the point.
    victim: Option<String>,
}

impl Trial {
    fn of(scenario: Scenario) -> Self {
        Self {
            scenario,
            fault: None,
            victim: None,
        }
    }

    fn with(&self, fault: (Point, Fault)) -> Self {
        Self {
            fault: Some(fault),
            ..self.clone()
        }
    }

    /// As it is printed and may be asked for.
    fn name(&self) -> String {
        let what = match &self.victim {
            Some(victim) => format!("swap {victim}"),
            None => self.scenario.name(),
        };
        let Some((point, fault)) = self.fault else {
            return what;
        };
        let call = calls::find(point.call).map_or("?", |call| call.name);
        let fault = match fault {
            Fault::Errno(errno) | Fault::ErrnoAfterwards(errno) => {
                format!("{:?}", nix::errno::Errno::from_raw(errno))
            }
            Fault::Kill => "SIGKILL".to_owned(),
            Fault::Stop => "stop".to_owned(),
        };
        let call = call.trim_start_matches("SYS_");
        format!(
            "{what} process {} {call} #{} {fault}",
            point.process, point.occurrence
        )
    }
}

/// What is done to a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Errno,
    Kill,
    Interrupt,
    Stop,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Kill, Self::Errno, Self::Interrupt];

    fn name(self) -> &'static str {
        match self {
            Self::Errno => "errno",
            Self::Kill => "kill",
            Self::Interrupt => "interrupt",
            Self::Stop => "stop",
        }
    }
}

/// The process between: it has the namespaces of which its child is the first.
pub fn enter(trial: &str, cgroup: &str) -> ! {
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    unshare(flags).expect("the tests run as root");
    let mut child = Command::new(env::current_exe().expect("procfs is mounted"))
        .args(["--ground", trial, cgroup])
        .spawn()
        .expect("the test can run itself");
    let status = child.wait().expect("the child is ours");
    process::exit(status.code().unwrap_or(1))
}

/// The process on the ground.
pub fn stand(trial: &str, cgroup: &str) -> ! {
    ground::assert_first();
    let trial: Trial = serde_json::from_str(trial).expect("the sweep wrote it");
    let mut ground = Ground::enter(cgroup);
    let verdict = match &trial.victim {
        Some(victim) => swap::play(&mut ground, trial.fault.map(|(point, _)| point), victim),
        None => scenario::play(&mut ground, trial.scenario, trial.fault),
    };
    let text = serde_json::to_string(&verdict).expect("a verdict is JSON");
    println!("{text}");
    process::exit(0)
}

struct Sweep {
    is_full: bool,
    wanted: Vec<String>,
    serial: AtomicUsize,
    cgroup: String,
}

/// Counts faults by what became of them.
#[derive(Default)]
struct Count {
    good: usize,
    unreached: usize,
    bad: Vec<String>,
}

/// The suite.
pub fn main(words: &[String]) -> ExitCode {
    if let Some(why) = cannot_run() {
        println!("skipped: {why}\nfaults: 0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    host::enter_private_mounts();
    Ground::prepare();
    let sweep = Sweep {
        is_full: words.iter().any(|word| word == "--all"),
        wanted: words
            .iter()
            .filter(|word| !word.starts_with("--"))
            .cloned()
            .collect(),
        serial: AtomicUsize::new(0),
        cgroup: format!("/corten-faults-{}", process::id()),
    };
    let mut results = Vec::new();
    for scenario in scenario::ALL {
        let name = scenario.name();
        let modes = Mode::ALL
            .map(|mode| (mode, format!("{name}:{}", mode.name())))
            .into_iter();
        let modes: Vec<_> = modes
            .filter(|(_, whole)| sweep.wants(&name, whole))
            .collect();
        sweep.series(&Trial::of(scenario), &modes, &mut results);
    }
    for victim in swap::VICTIMS {
        let trial = Trial {
            victim: Some(victim.to_owned()),
            ..Trial::of(scenario::HOSTILE)
        };
        let name = trial.name();
        if sweep.wants(&name, "swap") {
            sweep.series(&trial, &[(Mode::Stop, name)], &mut results);
        }
    }
    leaks::end_everything(&ground::cgroup_dir(&sweep.cgroup));
    let failed = results.iter().filter(|passed| !**passed).count();
    println!(
        "faults: {} passed, {failed} failed, 0 skipped",
        results.len() - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn cannot_run() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it makes containers and traces processes, and so needs root");
    }
    (!cfg!(target_arch = "x86_64")).then_some("it knows the registers of x86-64 only")
}

impl Sweep {
    fn wants(&self, name: &str, whole: &str) -> bool {
        let one = format!("{name} ");
        let is_meant = |word: &String| *word == name || *word == whole || word.starts_with(&one);
        self.wanted.is_empty() || self.wanted.iter().any(is_meant)
    }

    /// A scenario in some modes; one result each.
    fn series(&self, calm: &Trial, modes: &[(Mode, String)], results: &mut Vec<bool>) {
        if modes.is_empty() {
            return;
        }
        let Some(verdict) = self.calm(calm) else {
            results.extend(modes.iter().map(|_| false));
            return;
        };
        for (mode, name) in modes {
            results.push(self.all_of(name, *mode, calm, &verdict));
        }
    }

    /// The scenario without a fault, twice, because nothing can be compared with what varies.
    fn calm(&self, trial: &Trial) -> Option<Verdict> {
        let (first, second) = (self.turn(trial), self.turn(trial));
        let mut wrong = [first.defects.clone(), second.defects].concat();
        if first.world != second.world {
            let text = differences(&first.world, &second.world);
            wrong.push(format!("two containers differ: {text}"));
        }
        let calls = first.calls.iter().map(|(point, _)| point.call);
        let unknown = calls.filter(|call| calls::find(*call).is_none());
        wrong.extend(unknown.map(|call| format!("system call {call} is not in the table")));
        for line in &wrong {
            println!("{} without a fault: {line}", trial.name());
        }
        wrong.is_empty().then_some(first)
    }

    fn all_of(&self, name: &str, mode: Mode, calm: &Trial, verdict: &Verdict) -> bool {
        let begin = Instant::now();
        let faults = faults(&verdict.calls, mode).into_iter();
        let trials: Vec<Trial> = faults.map(|fault| calm.with(fault)).collect();
        let total = trials.len();
        let count = Mutex::new(Count::default());
        let queue = Mutex::new(self.choose(name, trials).into_iter());
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(trial) = take(&queue) {
                        self.judge(&trial, verdict, &count);
                    }
                });
            }
        });
        let count = count.into_inner().expect("no thread panicked");
        println!(
            "test {name} ... {} ({} of {total} faults: {} survived, {} not reached, {} defects; {:.1} s)",
            if count.bad.is_empty() { "ok" } else { "FAILED" },
            count.good + count.unreached + count.bad.len(),
            count.good,
            count.unreached,
            count.bad.len(),
            begin.elapsed().as_secs_f64()
        );
        count.bad.is_empty()
    }

    fn choose(&self, name: &str, mut trials: Vec<Trial>) -> Vec<Trial> {
        if self.wanted.iter().any(|word| word.contains(" process ")) {
            trials.retain(|trial| self.wanted.contains(&trial.name()));
            return trials;
        }
        if self.is_full || name == "create:kill" {
            return trials;
        }
        let stride = trials.len().div_ceil(SAMPLE).max(1);
        trials.into_iter().step_by(stride).collect()
    }

    fn judge(&self, trial: &Trial, calm: &Verdict, count: &Mutex<Count>) {
        let mut verdict = self.turn(trial);
        if !verdict.reached && verdict.defects.is_empty() {
            count.lock().expect("no thread panicked").unreached += 1;
            return;
        }
        if verdict.world.is_some() && verdict.world != calm.world {
            let text = differences(&calm.world, &verdict.world);
            verdict.defects.push(format!("another container: {text}"));
        }
        if verdict.defects.is_empty() {
            count.lock().expect("no thread panicked").good += 1;
            return;
        }
        let name = trial.name();
        let text = verdict.defects.join("\n    ");
        println!("  {name}: {}\n    {text}", verdict.ended);
        std::io::stdout().flush().expect("stdout is open");
        count.lock().expect("no thread panicked").bad.push(name);
    }

    /// One trial on a ground of its own.
    fn turn(&self, trial: &Trial) -> Verdict {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("{}/p{number}", self.cgroup);
        let verdict = play(trial, &cgroup);
        leaks::end_everything(&ground::cgroup_dir(&cgroup));
        verdict
    }
}

fn take(queue: &Mutex<std::vec::IntoIter<Trial>>) -> Option<Trial> {
    queue.lock().expect("no thread panicked").next()
}

fn play(trial: &Trial, cgroup: &str) -> Verdict {
    let text = serde_json::to_string(trial).expect("a trial is JSON");
    let mut child = Command::new(env::current_exe().expect("procfs is mounted"))
        .args(["--enter", &text, cgroup])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test can run itself");
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
        thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut stream) = stream {
                std::io::Read::read_to_string(&mut stream, &mut text).ok();
            }
            text
        })
    };
    let out = read(out.map(|stream| Box::new(stream) as _));
    let err = read(err.map(|stream| Box::new(stream) as _));
    let deadline = Instant::now() + host::patience(Duration::from_secs(120));
    while child.try_wait().expect("the child is ours").is_none() {
        if Instant::now() > deadline {
            leaks::end_everything(&ground::cgroup_dir(cgroup));
            child.kill().expect("the child is ours");
        }
        thread::sleep(Duration::from_millis(1));
    }
    let (out, err) = (out.join().expect("no panic"), err.join().expect("no panic"));
    out.lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| Verdict {
            defects: vec![format!("the ground gave way: {out}{err}")],
            ..Verdict::default()
        })
}

/// Every fault of a mode, in the order of the calls.
fn faults(calls: &[(Point, bool)], mode: Mode) -> Vec<(Point, Fault)> {
    let mut faults = Vec::new();
    for (point, makes) in calls {
        let Some(call) = calls::find(point.call) else {
            continue;
        };
        match mode {
            Mode::Errno => faults.extend(call.errors().into_iter().map(|fault| (*point, fault))),
            Mode::Kill if *makes || call.kind != Kind::Looks => faults.push((*point, Fault::Kill)),
            Mode::Interrupt if call.kind == Kind::Waits => {
                faults.push((*point, Fault::Errno(libc::EINTR)))
            }
            Mode::Stop => faults.push((*point, Fault::Stop)),
            Mode::Kill | Mode::Interrupt => {}
        }
    }
    faults
}

/// The lines that are not in both.
fn differences(one: &Option<String>, other: &Option<String>) -> String {
    let count = |text: &Option<String>| {
        let mut lines = BTreeMap::new();
        for line in text.iter().flat_map(|text| text.lines()) {
            *lines.entry(line.to_owned()).or_insert(0) += 1;
        }
        lines
    };
    let (one, other) = (count(one), count(other));
    let lost = one
        .iter()
        .filter(|(line, n)| other.get(*line) != Some(n))
        .map(|(line, _)| format!("- {line}"));
    let new = other
        .iter()
        .filter(|(line, n)| one.get(*line) != Some(n))
        .map(|(line, _)| format!("+ {line}"));
    let lines: Vec<String> = lost.chain(new).take(12).collect();
    format!("\n      {}", lines.join("\n      "))
}
