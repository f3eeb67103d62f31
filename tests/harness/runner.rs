//! Runs the tests, each in a process of its own, and counts.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, process, thread};

use super::{Lab, SKIPPED, Test, host, lab, leaks};

/// How long one test may take before its processes are killed.
const DEADLINE: Duration = Duration::from_secs(90);

/// More tests than these do not fail because the machine is slow.
const BY_ACCIDENT: usize = 5;

/// What became of a test.
enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// How many came out how.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: Vec<Test>,
    unsteady: Vec<&'static str>,
    skipped: Vec<String>,
}

/// Runs the tests named on the command line (parts of names; `--exact` whole ones), all by default.
pub fn main(suite: &str, tests: &[&[Test]]) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let tests: Vec<Test> = tests
        .iter()
        .flat_map(|tests| tests.iter().copied())
        .collect();
    if let [flag, name, dir] = words.as_slice()
        && flag == "--child"
    {
        let test = tests
            .iter()
            .find(|test| test.name == name)
            .expect("the runner names a test of its own");
        return run_child(test, Path::new(dir));
    }
    let exact = words.iter().any(|word| word == "--exact");
    let wanted: Vec<&str> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .map(String::as_str)
        .collect();
    let chosen = tests.into_iter().filter(|test| {
        wanted.is_empty()
            || wanted.iter().any(|part| {
                if exact {
                    test.name == *part
                } else {
                    test.name.contains(part)
                }
            })
    });
    if words.iter().any(|word| word == "--list") {
        chosen.for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    let threads = words
        .iter()
        .find_map(|word| word.strip_prefix("--test-threads=")?.parse().ok())
        .unwrap_or(3);
    run_all(suite, chosen.collect(), threads)
}

fn run_all(suite: &str, queue: VecDeque<Test>, threads: usize) -> ExitCode {
    let total = queue.len();
    if !nix::unistd::geteuid().is_root() {
        println!("{suite}: 0 passed, 0 failed, {total} skipped");
        println!("skipped: all of them make containers on this host and so need root");
        return ExitCode::SUCCESS;
    }
    host::enter_private_mounts();
    println!("\n{suite}: {total} tests of {}", host::binary().display());
    println!(
        "{suite}: cgroup v2 controllers: {}",
        host::controllers().join(" ")
    );
    lab::prepare();
    let (queue, count) = (Mutex::new(queue), Mutex::new(Count::default()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&queue, &count));
        }
    });
    let mut count = count.into_inner().expect("no thread panicked");
    again(&mut count);
    lab::clear();
    conclude(suite, &count)
}

/// What failed beside other tests is tried once more, alone: a machine that is too slow for three at a time is not a defect. But
/// whatever passes then is named at the end, for it may be one.
fn again(count: &mut Count) {
    if count.failed.len() > BY_ACCIDENT {
        return;
    }
    for test in std::mem::take(&mut count.failed) {
        match run_one(&test) {
            Verdict::Passed => {
                println!("test {} ... ok, alone", test.name);
                count.passed += 1;
                count.unsteady.push(test.name);
            }
            Verdict::Failed(output) | Verdict::Skipped(output) => {
                println!("test {} ... FAILED alone too\n{output}", test.name);
                count.failed.push(test);
            }
        }
    }
}

/// One worker: takes test after test from the queue.
fn work(queue: &Mutex<VecDeque<Test>>, count: &Mutex<Count>) {
    loop {
        let Some(test) = queue.lock().expect("no thread panicked").pop_front() else {
            return;
        };
        let begin = Instant::now();
        let verdict = run_one(&test);
        let took = begin.elapsed().as_secs_f64();
        let mut count = count.lock().expect("no thread panicked");
        match verdict {
            Verdict::Passed => {
                println!("test {} ... ok ({took:.2} s)", test.name);
                count.passed += 1;
            }
            Verdict::Skipped(why) => {
                println!("test {} ... {why}", test.name);
                count.skipped.push(format!("{}: {why}", test.name));
            }
            Verdict::Failed(output) => {
                println!("test {} ... FAILED ({took:.2} s)\n{output}", test.name);
                count.failed.push(test);
            }
        }
    }
}

fn conclude(suite: &str, count: &Count) -> ExitCode {
    for name in &count.unsteady {
        println!("unsteady: {name} failed beside others and passed alone");
    }
    for test in &count.failed {
        println!("failed: {}", test.name);
    }
    println!(
        "{suite}: {} passed, {} failed, {} skipped",
        count.passed,
        count.failed.len(),
        count.skipped.len()
    );
    if count.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one test in a process of its own and leaves nothing of it behind.
fn run_one(test: &Test) -> Verdict {
    let dir = lab::directory(test.name);
    fs::create_dir_all(&dir).expect("the temporary directory is writable");
    let log = dir.join("log");
    let mut child = spawn(test, &dir, &log);
    let status = wait(
        &mut child,
        host::patience(DEADLINE),
        &lab::cgroup(test.name),
    );
    let output = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    leaks::end_everything(&lab::cgroup(test.name));
    if env::var_os("CORTEN_TEST_KEEP").is_none() {
        // A test may leave immutable or deep trees; what cannot be removed is below the temporary directory.
        drop(fs::remove_dir_all(&dir));
    }
    match status.map(|status| status.code()) {
        None => Verdict::Failed(format!(
            "{output}\nkilled: no end after {:?}",
            host::patience(DEADLINE)
        )),
        Some(Some(0)) => Verdict::Passed,
        Some(Some(SKIPPED)) => Verdict::Skipped(
            output
                .lines()
                .find(|line| line.starts_with("skipped: "))
                .unwrap_or("skipped: ?")
                .to_owned(),
        ),
        Some(_) => Verdict::Failed(output),
    }
}

fn spawn(test: &Test, dir: &Path, log: &Path) -> Child {
    let log = File::create(log).expect("the temporary directory is writable");
    Command::new(env::current_exe().expect("procfs is mounted"))
        .args(["--child", test.name])
        .arg(dir)
        .env("CORTEN_TEST_PARENT", lab::parent().to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a descriptor can be duplicated"))
        .stdout(log)
        .spawn()
        .expect("the test binary can run itself")
}

/// Waits for the end of a test; at the deadline ends all its processes, and None is returned.
fn wait(child: &mut Child, deadline: Duration, cgroup: &Path) -> Option<ExitStatus> {
    let begin = Instant::now();
    while begin.elapsed() < deadline {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    leaks::end_everything(cgroup);
    // It may have hung before it entered its cgroup.
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    None
}

/// The test's own process: prepares the ground, checks the claim, then looks for what was left.
fn run_child(test: &Test, dir: &Path) -> ExitCode {
    host::enter_private_mounts();
    let lab = Lab::enter(test.name, PathBuf::from(dir));
    let before = leaks::Snapshot::take(&lab);
    (test.check)(&lab);
    let left = before.compare(&lab);
    for line in &left {
        println!("left behind: {line}");
    }
    process::exit(i32::from(!left.is_empty()))
}
