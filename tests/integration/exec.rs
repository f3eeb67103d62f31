//! exec: a further process in a running container.

use std::fs;

use serde_json::json;

use crate::harness::call::eventually;
use crate::harness::pty::ConsoleSocket;
use crate::harness::{Bundle, Lab, tests};

tests![
    exec_returns_the_exit_code_of_the_program,
    exec_own_failures_are_255,
    exec_passes_stdin_stdout_and_stderr,
    exec_is_in_every_namespace_and_the_cgroup_of_the_container,
    exec_takes_user_groups_cwd_and_environment_from_flags,
    exec_takes_a_process_from_a_file,
    exec_gives_capabilities_to_the_bounding_permitted_and_effective_sets_only,
    exec_without_a_flag_has_the_capabilities_of_the_configuration,
    exec_in_the_background_writes_the_pid_file,
    exec_in_a_stopped_container_is_refused,
    exec_without_a_program_is_refused,
    exec_flags_end_at_the_id,
    exec_users_are_never_misread,
    exec_with_a_terminal,
    exec_survives_a_program_that_closes_its_output,
    execs_run_at_the_same_time,
    exec_goes_into_a_sub_cgroup,
    exec_in_a_user_namespace_is_root_there_only,
    exec_does_not_pass_on_the_keys_of_the_caller,
];

fn exec_returns_the_exit_code_of_the_program(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    for code in [0, 1, 42] {
        assert_eq!(
            container.exec(&["sh", "-c", &format!("exit {code}")]).code,
            code
        );
    }
    assert_eq!(container.exec(&["sh", "-c", "kill -KILL $$"]).code, 137);
    container.end();
}

fn exec_own_failures_are_255(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let done = container.exec(&["nope"]);
    assert!(
        done.err.contains("executable file not found in $PATH"),
        "{done:?}"
    );
    assert_eq!(done.code, 255);
    let done = container.exec(&["/nope"]);
    assert!(
        done.code == 255 && done.err.contains("no such file or directory"),
        "{done:?}"
    );
    let done = container.exec(&["/etc/passwd"]);
    assert!(
        done.code == 255 && done.err.contains("permission denied"),
        "{done:?}"
    );
    container.end();
}

fn exec_passes_stdin_stdout_and_stderr(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let call = lab.call(&[
        "exec",
        &container.id,
        "sh",
        "-c",
        "read line; echo out $line; echo err $line >&2",
    ]);
    let done = call.stdin("hello\n").done().ok();
    assert_eq!(
        (done.out.as_str(), done.err.as_str()),
        ("out hello\n", "err hello\n")
    );
    container.end();
}

fn exec_is_in_every_namespace_and_the_cgroup_of_the_container(lab: &Lab) {
    let mut bundle = lab.sleeper();
    bundle.unshare("time");
    if !lab.is_corten() {
        bundle.share("time");
    }
    let container = lab.start(&bundle);
    let script = "for n in pid net ipc uts mnt cgroup time; do readlink /proc/self/ns/$n; done";
    let inside = container.exec(&["sh", "-c", script]).ok().out;
    let init = container
        .exec(&["sh", "-c", &script.replace("self", "1")])
        .ok()
        .out;
    assert_eq!(inside, init);
    let cgroups = container.exec(&["cat", "/proc/self/cgroup"]).ok();
    assert!(cgroups.lines().contains(&"0::/"), "{cgroups:?}");
    container.end();
}

fn exec_takes_user_groups_cwd_and_environment_from_flags(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let flags = [
        "--user", "1000:50", "-g", "7", "-g", "8", "--cwd", "/tmp", "-e", "A=1,2", "-e", "B=",
    ];
    let script = "id -u; id -g; id -G; pwd; echo \"$A|${B-unset}|$HOME\"";
    let out = container.exec_with(&flags, &["sh", "-c", script]).ok().out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["1000", "50"]);
    assert_eq!(lines[2], "50 7 8");
    assert_eq!(lines[3..], ["/tmp", "1,2||/home/user"]);
    container.end();
}

fn exec_takes_a_process_from_a_file(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let process = json!({
        "user": {"uid": 1000, "gid": 1000}, "args": ["sh", "-c", "id -u; pwd; echo $X; grep NoNewPrivs /proc/self/status"],
        "env": ["PATH=/bin", "X=y"], "cwd": "/etc", "noNewPrivileges": true,
    });
    let file = lab.file("process", &process.to_string());
    let done = container
        .exec_with(&["--process", file.to_str().unwrap()], &[])
        .ok();
    assert_eq!(done.lines(), ["1000", "/etc", "y", "NoNewPrivs:\t1"]);
    container.end();
}

/// The five capability sets of a process, from its status.
const SETS: &str = "grep ^Cap /proc/self/status";

fn exec_gives_capabilities_to_the_bounding_permitted_and_effective_sets_only(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let done = container
        .exec_with(&["--cap", "CAP_SYS_TIME"], &["sh", "-c", SETS])
        .ok();
    let bit = 1u64 << 25;
    for line in done.lines() {
        let (name, value) = line.split_once(":\t").unwrap();
        let has = u64::from_str_radix(value, 16).unwrap() & bit != 0;
        // Never inheritable (CVE-2022-29162).
        assert_eq!(
            has,
            ["CapBnd", "CapPrm", "CapEff"].contains(&name),
            "{done:?}"
        );
    }
    container.end();
}

fn exec_without_a_flag_has_the_capabilities_of_the_configuration(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let done = container.exec(&["sh", "-c", SETS]).ok();
    assert_eq!(
        done.lines(),
        [
            "CapInh:\t0000000000000000",
            "CapPrm:\t00000000a80425fb",
            "CapEff:\t00000000a80425fb",
            "CapBnd:\t00000000a80425fb",
            "CapAmb:\t0000000000000000"
        ]
    );
    container.end();
}

fn exec_in_the_background_writes_the_pid_file(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let file = lab.path("pid");
    container
        .exec_with(
            &["--detach", "--pid-file", file.to_str().unwrap()],
            &["sleep", "999"],
        )
        .ok();
    let pid = fs::read_to_string(&file).unwrap();
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line, "sleep\0999\0");
    container.end();
}

fn exec_in_a_stopped_container_is_refused(lab: &Lab) {
    let container = lab.start(&lab.bundle());
    container.wait();
    let done = container.exec(&["true"]);
    assert!(
        done.code == 255 && done.err.contains("cannot exec in a stopped container"),
        "{done:?}"
    );
    container.delete();
}

fn exec_without_a_program_is_refused(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let done = container.exec(&[]);
    assert!(done.code != 0 && !done.err.is_empty(), "{done:?}");
    let file = lab.file("process", r#"{"args": [], "cwd": "/"}"#);
    assert_ne!(
        container
            .exec_with(&["--process", file.to_str().unwrap()], &[])
            .code,
        0
    );
    container.end();
}

fn exec_flags_end_at_the_id(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    assert_eq!(
        container
            .exec(&["echo", "-t", "--user", "x", "--help"])
            .ok()
            .out,
        "-t --user x --help\n"
    );
    container.end();
}

fn exec_users_are_never_misread(lab: &Lab) {
    lab.need_corten("runc 1.1 takes some of them");
    let container = lab.start(&lab.sleeper());
    for (word, id) in [
        ("0", "0:0"),
        ("1", "1:0"),
        ("1000:1000", "1000:1000"),
        ("1:2", "1:2"),
        ("65534:0", "65534:0"),
    ] {
        let done = container
            .exec_with(&["--user", word], &["sh", "-c", "echo $(id -u):$(id -g)"])
            .ok();
        assert_eq!(done.out.trim(), id, "--user {word}");
    }
    for word in [
        "-1",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "0:-1",
        "0:4294967295",
        "1x",
        "0x0",
        ":",
        "1:",
        ":1",
        "1:2:3",
        " 1",
    ] {
        let done = container.exec_with(&[&format!("--user={word}")], &["id"]);
        assert!(
            done.code == 255 && !done.out.contains("uid="),
            "--user {word:?}: {done:?}"
        );
    }
    container.end();
}

fn exec_with_a_terminal(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let socket = ConsoleSocket::new(lab);
    let path = socket.path.to_str().unwrap().to_owned();
    container
        .exec_with(&["--tty", "--detach", "--console-socket", &path], &["sh"])
        .ok();
    let mut terminal = socket.terminal();
    terminal.enter("tty; echo is $((6*7))");
    assert!(terminal.expect("is 42").contains("/dev/pts/"));
    terminal.enter("exit");
    container.end();
}

fn exec_survives_a_program_that_closes_its_output(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    assert_eq!(
        container
            .exec(&["sh", "-c", "exec >&- 2>&- <&-; sleep 0.1; exit 9"])
            .code,
        9
    );
    container.end();
}

fn execs_run_at_the_same_time(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let calls: Vec<_> = (0..8)
        .map(|n| {
            (
                n,
                lab.call(&["exec", &container.id, "sh", "-c", &format!("exit {n}")])
                    .start(),
            )
        })
        .collect();
    for (n, call) in calls {
        assert_eq!(call.done().code, n);
    }
    container.end();
}

fn exec_goes_into_a_sub_cgroup(lab: &Lab) {
    let container = lab.start(&lab.sleeper());
    let sub = container.cgroup_dir().join("sub");
    fs::create_dir(&sub).unwrap();
    container
        .exec_with(&["--detach", "--cgroup", "sub"], &["sleep", "999"])
        .ok();
    eventually("it is there", || {
        !fs::read_to_string(sub.join("cgroup.procs"))
            .unwrap()
            .is_empty()
    });
    let done = container.exec_with(&["--cgroup", "../.."], &["true"]);
    assert_ne!(done.code, 0, "a sub-cgroup cannot escape: {done:?}");
    container.end();
}

fn exec_in_a_user_namespace_is_root_there_only(lab: &Lab) {
    let mut bundle = lab.sleeper();
    bundle.userns();
    let container = lab.start(&bundle);
    let file = lab.path("pid");
    container
        .exec_with(
            &["--detach", "--pid-file", file.to_str().unwrap()],
            &["sleep", "999"],
        )
        .ok();
    let status = fs::read_to_string(format!(
        "/proc/{}/status",
        fs::read_to_string(&file).unwrap()
    ))
    .unwrap();
    assert!(status.contains("Uid:\t100000\t100000"), "{status}");
    assert_eq!(container.exec(&["id", "-u"]).ok().out, "0\n");
    container.end();
}

/// A script that runs its arguments with a session keyring in which a key is, named so, for those alone who have the keyring.
pub(super) fn with_a_key(lab: &Lab) -> String {
    let python = lab.need_program("python3");
    // keyctl(KEYCTL_JOIN_SESSION_KEYRING), add_key(2), keyctl(KEYCTL_SETPERM).
    let script = "import ctypes, os, sys; call = ctypes.CDLL(None).syscall; \
                  call(250, 1, None); key = call(248, b\"user\", b\"of-the-caller\", b\"x\", 1, -3); \
                  call(250, 5, key, 0x3f000000); os.execvp(sys.argv[1], sys.argv[1:])";
    format!("exec {} -c '{script}' \"$@\"", python.display())
}

fn exec_does_not_pass_on_the_keys_of_the_caller(lab: &Lab) {
    let within = with_a_key(lab);
    let sees = |bundle: &Bundle, flags: &[&str]| {
        let container = lab.create_with(bundle, flags);
        container.start();
        let words = ["exec", &container.id, "cat", "/proc/keys"];
        let done = lab.call(&words).within(lab, &within).done().ok();
        container.end();
        let own = format!("_ses.{}:", container.id);
        (done.out.contains("of-the-caller"), done.out.contains(&own))
    };
    let mut bundle = lab.sleeper();
    bundle.set("/linux/maskedPaths", json!([]));
    assert_eq!(sees(&bundle, &[]), (false, true));
    assert_eq!(sees(&bundle, &["--no-new-keyring"]), (true, false));
    let (seen, _) = sees(bundle.userns(), &[]);
    assert!(!seen);
}
