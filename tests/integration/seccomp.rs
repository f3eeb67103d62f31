//! linux.seccomp and the terminal: what the program meets, and what the one who listens gets.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::pty::ConsoleSocket;
use crate::harness::{Bundle, Lab, skip, tests};

tests![
    a_filtered_call_fails_with_its_errno,
    the_default_action_meets_every_other_call,
    an_architecture_that_is_not_listed_is_killed,
    a_call_newer_than_the_profile_does_not_exist,
    every_flag_can_be_asked_for,
    a_filter_may_keep_init_itself_from_reading,
    conditions_on_arguments_are_seen_inside,
    a_killed_call_ends_the_program,
    unknown_calls_are_skipped_with_a_warning,
    a_listener_gets_the_descriptor_and_the_state,
    a_listener_that_is_not_there_is_refused,
    what_the_first_exec_compiled_holds_for_later_ones,
    what_an_exec_has_kept_for_another_configuration_is_not_used,
    metadata_without_a_listener_is_refused,
    an_errno_for_an_action_without_one_is_refused,
    a_terminal_has_its_size_and_is_the_console,
    a_console_size_without_a_terminal_means_nothing,
];

fn profile(rules: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"], "syscalls": rules})
}

fn a_filtered_call_fails_with_its_errno(lab: &Lab) {
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .sh("mkdir /x; grep Seccomp: /proc/self/status");
    let done = lab.run(&bundle);
    assert!(done.err.contains("File exists"), "{done:?}");
    assert_eq!(done.lines(), ["Seccomp:\t2"]);
}

/// Every system call by its name.
const NAMES: &str = include_str!("../seccomp_oracle/names.txt");

fn the_default_action_meets_every_other_call(lab: &Lab) {
    let mut bundle = lab.bundle();
    let others = NAMES
        .split_whitespace()
        .filter(|name| !name.starts_with("mkdir"));
    let rule = json!({"names": others.collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW"});
    let mut profile = profile(json!([rule]));
    profile["defaultAction"] = json!("SCMP_ACT_ERRNO");
    bundle
        .set("/linux/seccomp", profile)
        .sh("mkdir /x; test -d /x || echo none");
    let done = lab.run(&bundle).ok();
    assert!(done.err.contains("not permitted"), "{done:?}");
    bundle.set("/linux/seccomp/defaultErrnoRet", json!(17));
    let done = lab.run(&bundle).ok();
    assert!(
        done.err.contains("File exists") && done.out == "none\n",
        "{done:?}"
    );
}

/// A program of x86-64: one segment with this code.
fn program(code: &[u8]) -> Vec<u8> {
    let (at, headers) = (0x40_0000_u64, 120_u64);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let words = |file: &mut Vec<u8>, words: &[u64]| {
        words
            .iter()
            .for_each(|word| file.extend(word.to_le_bytes()));
    };
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]); // executable, x86-64, version
    words(&mut file, &[at + headers, 64, 0]); // entry, program headers, no sections
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]); // one to load, read and execute
    let length = headers + code.len() as u64;
    words(&mut file, &[0, at, at, length, length, 4096]);
    file.extend(code);
    file
}

/// A bundle whose program is of this code; skips the test where another processor is.
fn bundle_of(lab: &Lab, code: &[u8]) -> Bundle {
    if cfg!(not(target_arch = "x86_64")) {
        skip("the program is one of x86-64");
    }
    let mut bundle = lab.bundle();
    let path = bundle.rootfs().join("program");
    fs::write(&path, program(code)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.args(&["/program"]);
    bundle
}

/// Makes the call of a number, and ends with its errno.
fn errno_of_call(number: u8, high: u8) -> [u8; 18] {
    [
        0xb8, number, high, 0, 0, 0x0f, 0x05, // mov eax, number; syscall
        0xf7, 0xd8, 0x89, 0xc7, // neg eax; mov edi, eax
        0xb8, 60, 0, 0, 0, 0x0f, 0x05, // mov eax, exit; syscall
    ]
}

fn a_call_newer_than_the_profile_does_not_exist(lab: &Lab) {
    let rule = json!({"names": ["execve", "exit", "mseal"], "action": "SCMP_ACT_ALLOW"});
    let mut profile = profile(json!([rule]));
    profile["defaultAction"] = json!("SCMP_ACT_ERRNO");
    // getpid is as old as the profile, and gets EPERM; a call 1023 is newer, and gets ENOSYS.
    for (code, errno) in [(errno_of_call(39, 0), 1), (errno_of_call(255, 3), 38)] {
        let mut bundle = bundle_of(lab, &code);
        bundle.set("/linux/seccomp", profile.clone());
        assert_eq!(lab.run(&bundle).code, errno, "{code:x?}");
    }
}

fn every_flag_can_be_asked_for(lab: &Lab) {
    lab.need_corten("runc 1.1 knows fewer");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/seccomp", profile(json!([])))
        .sh("grep Seccomp: /proc/self/status");
    for flag in ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"] {
        let flags = json!([format!("SECCOMP_FILTER_FLAG_{flag}")]);
        bundle.set("/linux/seccomp/flags", flags);
        let done = lab.run(&bundle).ok();
        assert_eq!(done.lines(), ["Seccomp:\t2"], "{flag}");
    }
}

fn an_architecture_that_is_not_listed_is_killed(lab: &Lab) {
    // One call the way of i386, getpid, and the end with 7.
    let mut bundle = bundle_of(
        lab,
        &[
            0xb8, 20, 0, 0, 0, 0xcd, 0x80, // mov eax, getpid; int 0x80
            0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f,
            0x05, // mov edi, 7; mov eax, exit; syscall
        ],
    );
    if lab.run(&bundle).code != 7 {
        skip("this kernel makes no calls of i386");
    }
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"});
    bundle.set("/linux/seccomp", profile(json!([rule])));
    assert_eq!(lab.run(&bundle).code, 128 + 31, "SIGSYS");
    bundle.set(
        "/linux/seccomp/architectures",
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
    );
    assert_eq!(lab.run(&bundle).code, 7);
}

/// Any other filter is loaded while init still waits for the runtime's last word.
fn a_filter_may_keep_init_itself_from_reading(lab: &Lab) {
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["read"], "action": "SCMP_ACT_ERRNO"});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .sh("echo out; cat /proc/self/status");
    let done = lab.run(&bundle);
    assert!(done.err.contains("not permitted"), "{done:?}");
    assert_eq!(done.out, "out\n");
    bundle.args(&["sleep", "1000"]);
    let container = lab.start(&bundle);
    let done = lab.call(&["exec", &container.id, "echo", "inside"]).done();
    assert_eq!(done.ok().out, "inside\n");
    container.end();
}

fn conditions_on_arguments_are_seen_inside(lab: &Lab) {
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [
        {"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 12, "op": "SCMP_CMP_EQ"},
    ]});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .sh("trap '' USR1 USR2 WINCH; for s in USR1 USR2 WINCH; do kill -s $s $$ 2>/dev/null && echo $s; done");
    assert_eq!(lab.run(&bundle).out, "WINCH\n");
}

fn a_killed_call_ends_the_program(lab: &Lab) {
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .args(&["mkdir", "/x"]);
    assert_eq!(lab.run(&bundle).code, 128 + 31, "SIGSYS");
}

fn unknown_calls_are_skipped_with_a_warning(lab: &Lab) {
    lab.need_corten("runc says nothing");
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .sh("mkdir /x || true");
    let done = lab.run_with_warnings(&bundle).ok();
    assert!(
        done.err.contains("no_such_call") && done.err.contains("not permitted"),
        "{done:?}"
    );
}

fn a_listener_gets_the_descriptor_and_the_state(lab: &Lab) {
    let socket = ConsoleSocket::new(lab);
    let mut bundle = lab.sleeper();
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .set("/linux/seccomp/listenerPath", json!(socket.path))
        .set("/linux/seccomp/listenerMetadata", json!("of the test"))
        .set("/annotations", json!({"key": "value"}));
    let container = lab.create(&bundle);
    let (_descriptor, payload) = socket.descriptor();
    let state: Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "of the test");
    assert_eq!(state["pid"], container.pid());
    assert_eq!(state["state"]["id"], container.id);
    assert_eq!(state["state"]["status"], "creating");
    assert_eq!(state["state"]["annotations"]["key"], "value");
    container.end();
}

/// No directory can be made.
fn without_mkdir(lab: &Lab) -> Bundle {
    let mut bundle = lab.sleeper();
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17});
    bundle.set("/linux/seccomp", profile(json!([rule])));
    bundle
}

/// What an `exec` says that tries to make one, and how many filters it has.
const MKDIR: [&str; 3] = [
    "sh",
    "-c",
    "mkdir /x; grep Seccomp_filters: /proc/self/status",
];

fn what_the_first_exec_compiled_holds_for_later_ones(lab: &Lab) {
    let container = lab.start(&without_mkdir(lab));
    let kept = lab.root.join(&container.id).join("exec.kept");
    let mut texts = Vec::new();
    for _ in 0..3 {
        let done = container.exec(&MKDIR);
        assert!(done.err.contains("File exists"), "{done:?}");
        assert_eq!(done.lines(), ["Seccomp_filters:\t1"]);
        if lab.is_corten() {
            texts.push(fs::read(&kept).unwrap());
        }
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    if lab.is_corten() {
        // Half of it is as none, and is replaced by the whole.
        fs::write(&kept, &texts[0][..texts[0].len() - 4]).unwrap();
        let done = container.exec(&MKDIR);
        assert!(done.err.contains("File exists"), "{done:?}");
        assert_eq!(fs::read(&kept).unwrap(), texts[0]);
    }
    let directory = lab.root.join(&container.id);
    container.end();
    assert!(!directory.exists());
}

fn what_an_exec_has_kept_for_another_configuration_is_not_used(lab: &Lab) {
    if !lab.is_corten() {
        skip("what is kept between two calls is each runtime's own");
    }
    let container = lab.start(&without_mkdir(lab));
    assert!(container.exec(&MKDIR).err.contains("File exists"));
    let directory = lab.root.join(&container.id);
    let config = directory.join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    let (before, behind) = text.split_once("\"errnoRet\"").unwrap();
    // EDOM, and no byte more.
    let behind = behind.replacen("17", "33", 1);
    fs::write(&config, format!("{before}\"errnoRet\"{behind}")).unwrap();
    let done = container.exec(&MKDIR);
    assert!(done.err.contains("argument out of domain"), "{done:?}");
    container.end();
}

fn a_listener_that_is_not_there_is_refused(lab: &Lab) {
    let mut bundle = lab.bundle();
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"});
    bundle
        .set("/linux/seccomp", profile(json!([rule])))
        .set("/linux/seccomp/listenerPath", json!(lab.path("nobody")));
    let done = lab.refuse(&bundle);
    assert!(
        !lab.is_corten() || done.err.contains("linux.seccomp.listenerPath"),
        "{done:?}"
    );
}

fn metadata_without_a_listener_is_refused(lab: &Lab) {
    lab.need_corten("runc ignores it");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/seccomp", profile(json!([])))
        .set("/linux/seccomp/listenerMetadata", json!("for nobody"));
    assert!(
        lab.refuse(&bundle)
            .err
            .contains("linux.seccomp.listenerMetadata")
    );
}

fn an_errno_for_an_action_without_one_is_refused(lab: &Lab) {
    lab.need_corten("runc ignores it");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/seccomp", profile(json!([])))
        .set("/linux/seccomp/defaultErrnoRet", json!(1));
    assert!(
        lab.refuse(&bundle)
            .err
            .contains("linux.seccomp.defaultErrnoRet")
    );
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_LOG", "errnoRet": 1});
    bundle.set("/linux/seccomp", profile(json!([rule])));
    assert!(
        lab.refuse(&bundle)
            .err
            .contains("linux.seccomp.syscalls[0].errnoRet")
    );
}

fn a_terminal_has_its_size_and_is_the_console(lab: &Lab) {
    let socket = ConsoleSocket::new(lab);
    let mut bundle = lab.bundle();
    bundle
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", json!({"height": 33, "width": 99}))
        .sh("stty size; tty; echo to the console >/dev/console; sleep 1000");
    let path = socket.path.display().to_string();
    let container = lab.create_with(&bundle, &["--console-socket", &path]);
    let mut terminal = socket.terminal();
    container.start();
    let seen = terminal.expect("to the console");
    assert!(
        seen.contains("33 99") && seen.contains("/dev/pts/0"),
        "{seen}"
    );
    container.end();
}

fn a_console_size_without_a_terminal_means_nothing(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/consoleSize", json!({"height": 33, "width": 99}))
        .sh("test -e /dev/console || echo no console");
    assert_eq!(lab.run(&bundle).ok().out, "no console\n");
}
