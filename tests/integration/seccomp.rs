//! linux.seccomp and the terminal: what the program meets, and what the one who listens gets.

use serde_json::{Value, json};

use crate::harness::pty::ConsoleSocket;
use crate::harness::{Lab, tests};

tests![
    a_filtered_call_fails_with_its_errno,
    conditions_on_arguments_are_seen_inside,
    a_killed_call_ends_the_program,
    unknown_calls_are_skipped_with_a_warning,
    a_listener_gets_the_descriptor_and_the_state,
    a_listener_that_is_not_there_is_refused,
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
