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
use super::tracer::{Fault, Point};

/// How many faults of one kind the sample takes of a scenario.
const SAMPLE: usize = 40;

/// How many grounds there are at a time.
const WORKERS: usize = 3;

/// One turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Turn {
    scenario: Scenario,
    fault: Option<(Point, Fault)>,
    cgroup: String,
}

/// What is done to a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Errno,
    Kill,
    Interrupt,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Kill, Self::Errno, Self::Interrupt];

    fn name(self) -> &'static str {
        match self {
            Self::Errno => "errno",
            Self::Kill => "kill",
            Self::Interrupt => "interrupt",
        }
    }
}

/// The process between: it has the namespaces of which its child is the first.
pub fn enter(turn: &str) -> ! {
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    unshare(flags).expect("the tests run as root");
    let mut child = Command::new(env::current_exe().expect("procfs is mounted"))
        .args(["--ground", turn])
        .spawn()
        .expect("the test can run itself");
    let status = child.wait().expect("the child is ours");
    process::exit(status.code().unwrap_or(1))
}

/// The process on the ground.
pub fn stand(turn: &str) -> ! {
    ground::assert_first();
    let turn: Turn = serde_json::from_str(turn).expect("the sweep wrote it");
    let mut ground = Ground::enter(&turn.cgroup);
    let verdict = scenario::play(&mut ground, turn.scenario, turn.fault);
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
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenario::ALL {
        let chosen: Vec<Mode> = Mode::ALL
            .into_iter()
            .filter(|mode| {
                let name = scenario.name();
                let whole = format!("{name}:{}", mode.name());
                let one = format!("{name} ");
                let is_meant =
                    |word: &String| *word == name || *word == whole || word.starts_with(&one);
                sweep.wanted.is_empty() || sweep.wanted.iter().any(is_meant)
            })
            .collect();
        if chosen.is_empty() {
            continue;
        }
        let Some(calm) = sweep.calm(scenario) else {
            failed += chosen.len();
            continue;
        };
        for mode in chosen {
            if sweep.all_of(scenario, mode, &calm) {
                passed += 1
            } else {
                failed += 1
            }
        }
    }
    leaks::end_everything(&ground::cgroup_dir(&sweep.cgroup));
    println!("faults: {passed} passed, {failed} failed, 0 skipped");
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
    /// The scenario without a fault, twice, because nothing can be compared with what varies.
    fn calm(&self, scenario: Scenario) -> Option<Verdict> {
        let (first, second) = (self.turn(scenario, None), self.turn(scenario, None));
        let mut wrong = [first.defects.clone(), second.defects].concat();
        if first.world != second.world {
            wrong.push(format!(
                "two containers differ: {}",
                differences(&first.world, &second.world)
            ));
        }
        let unknown = first
            .calls
            .iter()
            .filter(|(point, _)| calls::find(point.call).is_none());
        wrong.extend(
            unknown.map(|(point, _)| format!("system call {} is not in the table", point.call)),
        );
        for line in &wrong {
            println!("{} without a fault: {line}", scenario.name());
        }
        wrong.is_empty().then_some(first)
    }

    fn all_of(&self, scenario: Scenario, mode: Mode, calm: &Verdict) -> bool {
        let begin = Instant::now();
        let faults = faults(&calm.calls, mode);
        let total = faults.len();
        let faults = self.choose(scenario, mode, faults);
        let count = Mutex::new(Count::default());
        let queue = Mutex::new(faults.into_iter());
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    loop {
                        let Some(fault) = queue.lock().expect("no thread panicked").next() else {
                            return;
                        };
                        self.judge(scenario, fault, calm, &count);
                    }
                });
            }
        });
        let count = count.into_inner().expect("no thread panicked");
        let verdict = if count.bad.is_empty() { "ok" } else { "FAILED" };
        let name = format!("{}:{}", scenario.name(), mode.name());
        println!(
            "test {name} ... {verdict} ({} of {total} faults: {} survived, {} not reached, {} defects; {:.1} s)",
            count.good + count.unreached + count.bad.len(),
            count.good,
            count.unreached,
            count.bad.len(),
            begin.elapsed().as_secs_f64()
        );
        count.bad.is_empty()
    }

    fn choose(
        &self,
        scenario: Scenario,
        mode: Mode,
        mut faults: Vec<(Point, Fault)>,
    ) -> Vec<(Point, Fault)> {
        if self.wanted.iter().any(|word| word.contains(' ')) {
            faults.retain(|fault| self.wanted.contains(&name(scenario, *fault)));
            return faults;
        }
        if self.is_full || scenario.name() == "create" && mode == Mode::Kill {
            return faults;
        }
        let stride = faults.len().div_ceil(SAMPLE).max(1);
        faults.into_iter().step_by(stride).collect()
    }

    fn judge(
        &self,
        scenario: Scenario,
        fault: (Point, Fault),
        calm: &Verdict,
        count: &Mutex<Count>,
    ) {
        let mut verdict = self.turn(scenario, Some(fault));
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
        let name = name(scenario, fault);
        let text = verdict.defects.join("\n    ");
        println!("  {name}: {}\n    {text}", verdict.ended);
        std::io::stdout().flush().expect("stdout is open");
        count.lock().expect("no thread panicked").bad.push(name);
    }

    /// One turn on a ground of its own.
    fn turn(&self, scenario: Scenario, fault: Option<(Point, Fault)>) -> Verdict {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("{}/p{number}", self.cgroup);
        let turn = Turn {
            scenario,
            fault,
            cgroup: cgroup.clone(),
        };
        let verdict = play(&turn);
        leaks::end_everything(&ground::cgroup_dir(&cgroup));
        verdict
    }
}

fn play(turn: &Turn) -> Verdict {
    let text = serde_json::to_string(turn).expect("a turn is JSON");
    let mut child = Command::new(env::current_exe().expect("procfs is mounted"))
        .args(["--enter", &text])
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
            leaks::end_everything(&ground::cgroup_dir(&turn.cgroup));
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
            Mode::Kill | Mode::Interrupt => {}
        }
    }
    faults
}

fn name(scenario: Scenario, (point, fault): (Point, Fault)) -> String {
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
        "{} process {} {call} #{} {fault}",
        scenario.name(),
        point.process,
        point.occurrence
    )
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
