//! The system calls that `explain --syscalls` tells are those that are made: a tracer sees every call of the
//! runtime and of init, `--trace` says which operation was under way, on the same clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use corten::plan::op::about::{SPELLINGS, UNNAMED};
use corten::seccomp::tables::{Arch, call};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Bundle, Lab, host, tests};

tests![
    the_calls_of_an_operation_are_those_it_tells,
    the_calls_of_a_user_namespace_and_an_overlay_are_told,
    the_calls_of_hooks_limits_and_a_filter_are_told,
    the_calls_of_create_are_told,
    the_calls_of_a_terminal_are_told,
    the_calls_of_exec_are_told,
    the_calls_of_joins_are_told,
];

/// Names of system calls, of which this machine has some.
const NAMES: &str = include_str!("../seccomp_oracle/names.txt");

/// What the standard library asks of descriptors in a build for debugging.
const OF_CHECKS: &[&str] = &["fcntl"];

const TABLES: [(&str, &str); 2] = [
    (
        "runtime",
        include_str!("../../src/plan/op/runtime/about.rs"),
    ),
    ("init", include_str!("../../src/plan/op/init/about.rs")),
];

/// What each operation tells, by its half and its name.
fn told() -> BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>> {
    let mut told: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (half, table) in TABLES {
        for row in table.split("\n            Self::").skip(1) {
            let name = row
                .split(|letter: char| !letter.is_alphanumeric())
                .next()
                .unwrap();
            let (_, from_page) = row.split_once("=> ").unwrap();
            let calls = from_page
                .split_once('[')
                .unwrap()
                .1
                .split(']')
                .next()
                .unwrap();
            told.entry((half, name))
                .or_default()
                .extend(calls.split_whitespace());
        }
    }
    told
}

/// The spelling that the tables have.
fn spelt(name: &'static str) -> &'static str {
    let found = SPELLINGS.iter().find(|spellings| spellings.contains(&name));
    found.map_or(name, |spellings| spellings[0])
}

/// The half of an init whose child has gone on as init.
const LEFT_BEHIND: &str = "init left behind";

/// One call: who made it, when, and which.
type Seen = (&'static str, u64, i64);

fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
    u64::try_from(time.tv_sec()).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap()
}

fn options() -> Options {
    Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL
}

#[derive(Default)]
struct Tracer {
    /// The half that a process belongs to; none for a helper's.
    halves: HashMap<Pid, Option<&'static str>>,
    inside: BTreeSet<Pid>,
    seen: Vec<Seen>,
    /// Init has been born; what comes later is a hook.
    has_init: bool,
    /// The runtime has executed its own program.
    begun: bool,
}

impl Tracer {
    /// Runs a command, which stops itself first, to its end; its status.
    #[expect(clippy::zombie_processes, reason = "the tracer waits for all of them")]
    fn run(&mut self, mut command: Command) -> i32 {
        let child = command.spawn().unwrap();
        let root = Pid::from_raw(i32::try_from(child.id()).unwrap());
        // `sh` stops itself before it becomes the program.
        let stopped = waitpid(root, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert!(
            matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)),
            "{stopped:?}"
        );
        ptrace::seize(root, options()).unwrap();
        nix::sys::signal::kill(root, Signal::SIGCONT).unwrap();
        ptrace::interrupt(root).unwrap();
        self.halves.insert(root, Some("runtime"));
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == root => {
                    self.halves.remove(&pid);
                    self.let_go();
                    return status;
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == root => panic!("{signal}"),
                Ok(status) => self.event(root, status),
                Err(Errno::EINTR) => {}
                Err(errno) => panic!("waitpid: {errno}"),
            }
        }
    }

    /// Of whoever is left: an init that waits for start.
    fn let_go(&mut self) {
        for pid in self.halves.keys().copied().collect::<Vec<_>>() {
            // What has ended by now needs nothing.
            if ptrace::interrupt(pid).is_ok() {
                let stopped = waitpid(pid, Some(WaitPidFlag::__WALL));
                if matches!(
                    stopped,
                    Ok(WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_))
                ) {
                    ptrace::detach(pid, None).ok();
                }
            }
        }
    }

    fn event(&mut self, root: Pid, status: WaitStatus) {
        match status {
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => {
                if pid != root {
                    // Somebody else's program from here on.
                    self.halves.remove(&pid);
                    ptrace::detach(pid, None).ok();
                    return;
                }
                self.begun = true;
                self.go_on(pid, None);
            }
            WaitStatus::PtraceEvent(
                pid,
                _,
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
            ) => {
                if let Ok(child) = ptrace::getevent(pid) {
                    self.born(pid, Pid::from_raw(i32::try_from(child).unwrap()));
                }
                self.go_on(pid, None);
            }
            WaitStatus::PtraceEvent(pid, _, _) => self.go_on(pid, None),
            WaitStatus::PtraceSyscall(pid) => self.call(pid),
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                self.halves.remove(&pid);
            }
            _ => {}
        }
    }

    /// Init is the runtime's first child by clone3(2), but for the one whose user namespace holds the maps of a
    /// mount; and what init goes on in, a child of the same parent. Others are hooks and other programs to be.
    fn born(&mut self, parent: Pid, child: Pid) {
        let is = |flags: i32| Self::clone_flags(parent) & libc::c_long::from(flags) != 0;
        let half = match self.halves.get(&parent) {
            Some(Some("runtime")) if !self.has_init && !is(libc::CLONE_NEWUSER) => Some("init"),
            Some(Some("runtime")) if !self.has_init && is(libc::CLONE_NEWNS) => Some("init"),
            Some(Some("init")) if is(libc::CLONE_PARENT) => Some("init"),
            _ => None,
        };
        if half.is_some() && self.has_init {
            // The other one is at its next step by the time that this one has ended.
            self.halves.insert(parent, Some(LEFT_BEHIND));
        }
        self.has_init |= half.is_some();
        self.halves.entry(child).or_insert(half);
    }

    /// Of a clone3(2) under way.
    fn clone_flags(parent: Pid) -> libc::c_long {
        match ptrace::getregs(parent) {
            // The first member of struct clone_args.
            Ok(registers) if registers.orig_rax == libc::SYS_clone3.cast_unsigned() => {
                let arguments = registers.rdi as ptrace::AddressType;
                ptrace::read(parent, arguments).unwrap_or_default()
            }
            _ => 0,
        }
    }

    fn call(&mut self, pid: Pid) {
        if !self.inside.remove(&pid) {
            self.inside.insert(pid);
            if let (Ok(registers), Some(Some(half)), true) =
                (ptrace::getregs(pid), self.halves.get(&pid), self.begun)
            {
                self.seen
                    .push((half, now(), registers.orig_rax.cast_signed()));
            }
        }
        self.go_on(pid, None);
    }

    // A process may be killed at any moment: what cannot be done to it then needs no doing.
    fn go_on(&self, pid: Pid, signal: Option<Signal>) {
        let signal = signal.filter(|signal| !matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP));
        ptrace::syscall(pid, signal).ok();
    }
}

/// The operation of a half that was under way: the last one that had begun, if it had not ended.
fn operation<'a>(events: &'a [Value], beginning: u64, half: &str, at: u64) -> Option<&'a str> {
    let thread = if half == "runtime" { 1 } else { 2 };
    // As the trace has it: microseconds from the beginning, with three places.
    let at = Duration::from_nanos(at.checked_sub(beginning)?).as_secs_f64() * 1e6;
    events
        .iter()
        .filter(|event| event["ph"] == "X" && event["tid"] == thread)
        .find(|event| {
            let (begin, took) = (
                event["ts"].as_f64().unwrap(),
                event["dur"].as_f64().unwrap(),
            );
            begin - 0.0005 < at && at < begin + took + 0.0005
        })
        .and_then(|event| event["args"]["operation"].as_str())
}

/// Runs a command of the runtime's under the tracer, and compares; how many operations were seen.
fn check(lab: &Lab, words: &[&str]) -> usize {
    lab.need_corten("runc tells no calls");
    if !cfg!(target_arch = "x86_64") {
        crate::harness::skip("the tracer knows the registers of x86_64");
    }
    let trace = lab.path("trace").display().to_string();
    let (root, data) = (lab.root.to_str().unwrap(), lab.data.to_str().unwrap());
    let mut command = Command::new("sh");
    command
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
        .arg(host::binary())
        .args(["--root", root, "--data", data])
        .args([words[0], "--trace", &trace])
        .args(&words[1..])
        .stdin(Stdio::null());
    let mut tracer = Tracer::default();
    assert_eq!(tracer.run(command), 0);
    let trace: Value = serde_json::from_slice(&fs::read(trace).unwrap()).unwrap();
    let (operations, untold) = compare(&tracer.seen, &trace);
    assert!(untold.is_empty(), "not told: {untold:#?}");
    operations
}

/// How many operations made a call, and the calls that their rows do not have.
fn compare(seen: &[Seen], trace: &Value) -> (usize, BTreeSet<String>) {
    let events = trace["traceEvents"].as_array().unwrap();
    let beginning = trace["otherData"]["beginning"].as_str().unwrap();
    let beginning: u64 = beginning.parse().unwrap();
    let names: HashMap<i64, &'static str> = NAMES
        .split_whitespace()
        .filter_map(|name| Some((i64::from(call(name)?.numbers().on(Arch::native())?), name)))
        .collect();
    let told = told();
    let (mut untold, mut operations) = (BTreeSet::new(), BTreeSet::new());
    for (half, at, number) in seen {
        let (half, operation) = match *half {
            LEFT_BEHIND => ("init", Some("ContinueInChild")),
            half => (half, operation(events, beginning, half, *at)),
        };
        let Some(operation) = operation else {
            continue;
        };
        let name = spelt(names.get(number).copied().unwrap_or("unknown"));
        operations.insert((half, operation));
        let is_known = told[&(half, operation)].contains(name);
        if !is_known && !UNNAMED.contains(&name) && !OF_CHECKS.contains(&name) {
            untold.insert(format!("{half} {operation}: {name}"));
        }
    }
    (operations.len(), untold)
}

fn run(lab: &Lab, bundle: &Bundle, flags: &[&str]) {
    let (path, id) = (bundle.write(), lab.id());
    let words = [&["run", "--bundle", &path][..], flags, &[id.as_str()]].concat();
    let operations = check(lab, &words);
    // Most operations make a call, so most were seen with one.
    assert!(operations > 35, "{operations}");
}

fn the_calls_of_an_operation_are_those_it_tells(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set(
        "/process/rlimits",
        json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]),
    );
    bundle.set(
        "/process/user",
        json!({"uid": 7, "gid": 8, "additionalGids": [9]}),
    );
    run(
        lab,
        &bundle,
        &["--pid-file", &lab.path("pid").display().to_string()],
    );
}

fn the_calls_of_a_user_namespace_and_an_overlay_are_told(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.userns();
    let source = lab.path("source");
    fs::create_dir(&source).unwrap();
    bundle.bind(&source, "/made/here", &["rbind", "ro"]);
    run(
        lab,
        &bundle,
        &["--overlay", "tmpfs", "--volume", "kept:/kept"],
    );
}

fn the_calls_of_hooks_limits_and_a_filter_are_told(lab: &Lab) {
    let mut bundle = lab.bundle();
    for kind in [
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
    ] {
        bundle.hook(kind, "true");
    }
    bundle.set("/process/oomScoreAdj", json!(5));
    bundle.set("/process/terminal", json!(false));
    let refused = json!({"names": ["reboot"], "action": "SCMP_ACT_ERRNO"});
    bundle.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}),
    );
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    bundle
        .unshare("time")
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 5}}));
    bundle.mount("tmpfs", "tmpfs", "/etc", &["tmpcopyup"]);
    run(lab, &bundle, &[]);
}

fn the_calls_of_create_are_told(lab: &Lab) {
    let bundle = lab.sleeper();
    let (path, id) = (bundle.write(), lab.id());
    let pid_file = lab.path("pid").display().to_string();
    let operations = check(
        lab,
        &["create", "--bundle", &path, "--pid-file", &pid_file, &id],
    );
    assert!(operations > 35, "{operations}");
    lab.corten(&["start", &id]).ok();
    lab.corten(&["delete", "--force", &id]).ok();
}

fn the_calls_of_a_terminal_are_told(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/terminal", json!(true));
    bundle.set("/process/consoleSize", json!({"height": 24, "width": 80}));
    run(lab, &bundle, &[]);
}

fn the_calls_of_exec_are_told(lab: &Lab) {
    for users in [false, true] {
        let mut bundle = lab.sleeper();
        if users {
            bundle.userns();
        }
        let container = lab.start(&bundle);
        let operations = check(lab, &["exec", &container.id, "true"]);
        assert!(operations > 12, "{operations}");
        container.end();
    }
}

fn the_calls_of_joins_are_told(lab: &Lab) {
    let mut bundle = lab.sleeper();
    bundle.userns();
    let other = lab.start(&bundle);
    let mut bundle = lab.bundle();
    for (kind, file) in [
        ("user", "user"),
        ("network", "net"),
        ("ipc", "ipc"),
        ("pid", "pid"),
    ] {
        bundle.userns();
        bundle.join(kind, &format!("/proc/{}/ns/{file}", other.pid()));
    }
    bundle.join("user", &format!("/proc/{}/ns/user", other.pid()));
    run(lab, &bundle, &[]);
    other.end();
}
