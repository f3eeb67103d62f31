//! process: identity, limits, environment, program; and what the program is told when that fails.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::harness::call::Call;
use crate::harness::{Lab, skip, tests};

tests![
    user_groups_and_umask_are_those_of_the_configuration,
    the_umask_is_0022_whatever_the_callers_is,
    the_five_capability_sets_are_those_of_the_configuration,
    an_unprivileged_user_has_ambient_capabilities_only,
    no_capabilities_means_none,
    an_unknown_capability_is_no_failure,
    no_new_privileges_is_set,
    every_rlimit_is_set,
    the_oom_score_is_set,
    the_environment_is_that_of_the_configuration,
    home_comes_from_the_password_file_of_the_container,
    the_working_directory_is_that_of_the_configuration,
    a_missing_working_directory_is_made,
    a_working_directory_that_is_a_file_is_named,
    a_program_is_found_by_path,
    a_program_that_is_not_found_is_named,
    a_program_that_cannot_be_executed_is_named,
    a_program_for_another_machine_is_named,
    a_missing_interpreter_is_named,
    a_program_without_a_path_needs_an_absolute_name,
    a_scheduler_is_set,
    a_deadline_and_the_flags_of_a_scheduler_are_set,
    a_deadline_wants_every_processor,
    an_io_priority_is_set,
    a_personality_is_set,
    the_program_leads_its_session,
    the_program_has_default_signal_dispositions,
    signals_that_the_caller_ignores_are_not_ignored_inside,
    a_session_keyring_is_new_unless_told_otherwise,
    a_container_without_a_process_can_be_created_but_not_started,
];

fn user_groups_and_umask_are_those_of_the_configuration(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set(
        "/process/user",
        json!({"uid": 1000, "gid": 50, "additionalGids": [7, 8], "umask": 0o027}),
    );
    bundle.sh("id -u; id -g; id -G; umask");
    assert_eq!(
        lab.run(&bundle).ok().lines(),
        ["1000", "50", "50 7 8", "0027"]
    );
}

fn the_umask_is_0022_whatever_the_callers_is(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("umask");
    let call = lab.run_call(&bundle, &[], &lab.id());
    let done = call.within(lab, "umask 077; exec \"$@\"").done();
    assert_eq!(done.ok().lines(), ["0022"]);
}

fn the_five_capability_sets_are_those_of_the_configuration(lab: &Lab) {
    let mut bundle = lab.bundle();
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL", "CAP_CHOWN"],
        "ambient": ["CAP_KILL"],
    });
    // A process that is not root keeps over execve what is ambient, and no more.
    bundle
        .set("/process/capabilities", sets)
        .set("/process/user/uid", json!(1000))
        .sh("grep ^Cap /proc/self/status");
    assert_eq!(
        lab.run(&bundle).ok().lines(),
        [
            "CapInh:\t0000000000000021",
            "CapPrm:\t0000000000000020",
            "CapEff:\t0000000000000020",
            "CapBnd:\t00000000000020a1",
            "CapAmb:\t0000000000000020"
        ]
    );
}

fn an_unprivileged_user_has_ambient_capabilities_only(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/user/uid", json!(1000))
        .sh("grep -E 'Cap(Prm|Eff|Inh|Amb)' /proc/self/status | cut -f2");
    assert_eq!(lab.run(&bundle).ok().lines(), ["0000000000000000"; 4]);
}

fn no_capabilities_means_none(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .remove("/process/capabilities")
        .sh("grep ^Cap /proc/self/status | cut -f2");
    if lab.is_corten() {
        assert_eq!(lab.run(&bundle).ok().lines(), ["0000000000000000"; 5]);
    }
    let sets =
        json!({"bounding": [], "permitted": [], "effective": [], "inheritable": [], "ambient": []});
    bundle.set("/process/capabilities", sets);
    assert_eq!(lab.run(&bundle).ok().lines(), ["0000000000000000"; 5]);
}

fn an_unknown_capability_is_no_failure(lab: &Lab) {
    let mut bundle = lab.bundle();
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(
            &format!("/process/capabilities/{set}/-"),
            json!("CAP_WARP_DRIVE"),
        );
    }
    let done = lab.run_with_warnings(&bundle).ok();
    assert!(
        !lab.is_corten() || done.err.contains("CAP_WARP_DRIVE"),
        "{done:?}"
    );
}

fn no_new_privileges_is_set(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.sh("grep NoNewPrivs /proc/self/status | cut -f2");
    assert_eq!(lab.run(&bundle).ok().out, "0\n");
    bundle.set("/process/noNewPrivileges", json!(true));
    assert_eq!(lab.run(&bundle).ok().out, "1\n");
}

fn every_rlimit_is_set(lab: &Lab) {
    let names = [
        ("CPU", "Max cpu time"),
        ("FSIZE", "Max file size"),
        ("DATA", "Max data size"),
        ("STACK", "Max stack size"),
        ("CORE", "Max core file size"),
        ("RSS", "Max resident set"),
        ("NPROC", "Max processes"),
        ("NOFILE", "Max open files"),
        ("MEMLOCK", "Max locked memory"),
        ("AS", "Max address space"),
        ("LOCKS", "Max file locks"),
        ("SIGPENDING", "Max pending signals"),
        ("MSGQUEUE", "Max msgqueue size"),
        ("NICE", "Max nice priority"),
        ("RTPRIO", "Max realtime priority"),
        ("RTTIME", "Max realtime timeout"),
    ];
    // Without CAP_SYS_RESOURCE a limit can only be lowered.
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let limit = |(index, (name, title)): (usize, &(&str, &str))| {
        let hard = limits_in(&own, title)[1].map_or(1 << (29 + index % 3), |hard| hard / 2);
        json!({"type": format!("RLIMIT_{name}"), "soft": hard / 2, "hard": hard})
    };
    let mut bundle = lab.bundle();
    let limits: Vec<_> = names.iter().enumerate().map(limit).collect();
    bundle
        .set("/process/rlimits", json!(limits))
        .args(&["cat", "/proc/self/limits"]);
    let done = lab.run(&bundle).ok();
    for (index, (name, title)) in names.iter().enumerate() {
        let expected = [
            limits[index]["soft"].as_u64(),
            limits[index]["hard"].as_u64(),
        ];
        assert_eq!(limits_in(&done.out, title), expected, "{name}");
    }
}

/// The soft and the hard limit of this title in `/proc/PID/limits`; None is unlimited.
fn limits_in(text: &str, title: &str) -> Vec<Option<u64>> {
    let line = text.lines().find(|line| line.starts_with(title)).unwrap();
    line[title.len()..]
        .split_whitespace()
        .take(2)
        .map(|word| word.parse().ok())
        .collect()
}

fn the_oom_score_is_set(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.args(&["cat", "/proc/self/oom_score_adj"]);
    for score in [500, 600] {
        bundle.set("/process/oomScoreAdj", json!(score));
        assert_eq!(lab.run(&bundle).ok().out.trim(), score.to_string());
    }
}

fn the_environment_is_that_of_the_configuration(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set(
            "/process/env",
            json!(["PATH=/bin", "A=1", "B=x=y z", "HOME=/nowhere", "EMPTY="]),
        )
        .args(&["env"]);
    let done = lab
        .run_call(&bundle, &[], &lab.id())
        .env("LEAKED", "1")
        .env("LD_PRELOAD", "")
        .done()
        .ok();
    let mut lines = done.lines();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["A=1", "B=x=y z", "EMPTY=", "HOME=/nowhere", "PATH=/bin"]
    );
}

fn home_comes_from_the_password_file_of_the_container(lab: &Lab) {
    for (uid, home) in [(0, "/root"), (1000, "/home/user"), (4711, "/")] {
        let mut bundle = lab.bundle();
        bundle.set("/process/user/uid", json!(uid)).sh("echo $HOME");
        assert_eq!(lab.run(&bundle).ok().out.trim(), home, "uid {uid}");
    }
}

fn the_working_directory_is_that_of_the_configuration(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/cwd", json!("/home/user"))
        .args(&["pwd"]);
    assert_eq!(lab.run(&bundle).ok().out, "/home/user\n");
}

fn a_missing_working_directory_is_made(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/cwd", json!("/made/for/me"))
        .args(&["pwd"]);
    assert_eq!(lab.run(&bundle).ok().out, "/made/for/me\n");
}

fn a_working_directory_that_is_a_file_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/cwd", json!("/etc/passwd"));
    let done = lab.refuse(&bundle);
    assert!(
        done.err.contains("/etc/passwd") && done.err.contains("not a directory"),
        "{done:?}"
    );
}

fn a_program_is_found_by_path(lab: &Lab) {
    let mut bundle = lab.bundle();
    fs::create_dir_all(bundle.rootfs().join("opt/a")).unwrap();
    symlink("/bin/busybox", bundle.rootfs().join("opt/a/echo")).unwrap();
    bundle
        .set("/process/env", json!(["PATH=/nonexistent:/opt/a"]))
        .args(&["echo", "found"]);
    assert_eq!(lab.run(&bundle).ok().out, "found\n");
    // argv[0] is what was asked for, not the path that was found.
    bundle.set("/process/env", json!(["PATH=/bin"])).args(&[
        "sh",
        "-c",
        "cat /proc/$$/cmdline; true",
    ]);
    assert!(lab.run(&bundle).ok().out.starts_with("sh\0-c\0"));
}

fn a_program_that_is_not_found_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.args(&["nope"]);
    let done = lab.refuse(&bundle);
    assert!(
        done.err
            .contains("exec: \"nope\": executable file not found in $PATH"),
        "{done:?}"
    );
    bundle.args(&["/bin/nope"]);
    let done = lab.refuse(&bundle);
    assert!(
        done.err
            .contains("exec: \"/bin/nope\": stat /bin/nope: no such file or directory"),
        "{done:?}"
    );
}

fn a_program_that_cannot_be_executed_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    for (program, words) in [
        ("/etc/passwd", "permission denied"),
        ("/etc", "is a directory"),
    ] {
        bundle.args(&[program]);
        let done = lab.refuse(&bundle);
        let says = done.err.contains(words) || done.err.contains("permission denied");
        assert!(
            says && done.err.contains(&format!("exec: \"{program}\"")),
            "{done:?}"
        );
    }
}

/// Makes an executable file in the root file system.
fn executable(bundle: &crate::harness::Bundle, path: &str, bytes: &[u8]) {
    let path = bundle.rootfs().join(path);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn a_program_for_another_machine_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    // The header of an ELF file for machine 243, RISC-V.
    let mut elf = vec![0u8; 64];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    elf[16..20].copy_from_slice(&[2, 0, 243, 0]);
    executable(&bundle, "bin/alien", &elf);
    bundle.args(&["/bin/alien"]);
    let done = lab.run(&bundle);
    assert!(
        done.code != 0 && done.err.contains("exec format error"),
        "{done:?}"
    );
}

fn a_missing_interpreter_is_named(lab: &Lab) {
    let mut bundle = lab.bundle();
    executable(&bundle, "bin/script", b"#!/usr/bin/no-such-interpreter\n");
    bundle.args(&["/bin/script"]);
    let done = lab.run(&bundle);
    assert!(
        done.code != 0 && done.err.contains("no such file or directory"),
        "{done:?}"
    );
    if lab.is_corten() {
        assert!(
            done.err.contains("/usr/bin/no-such-interpreter"),
            "it names what is missing: {done:?}"
        );
    }
}

fn a_program_without_a_path_needs_an_absolute_name(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/process/env", json!([]))
        .args(&["/bin/echo", "found"]);
    assert_eq!(lab.run(&bundle).ok().out, "found\n");
}

fn a_scheduler_is_set(lab: &Lab) {
    lab.need_corten("runc 1.1 has no schedulers");
    let mut bundle = lab.bundle();
    // Fields 41 (policy), 40 (real-time priority) and 19 (nice) of stat.
    bundle.sh("sed 's/.*) //' /proc/self/stat | awk '{print $39, $38, $17}'");
    bundle.set(
        "/process/scheduler",
        json!({"policy": "SCHED_BATCH", "nice": 5}),
    );
    assert_eq!(lab.run(&bundle).ok().out, "3 0 5\n");
    bundle.set(
        "/process/scheduler",
        json!({"policy": "SCHED_FIFO", "priority": 10}),
    );
    assert_eq!(lab.run(&bundle).ok().out, "1 10 0\n");
    bundle.set("/process/scheduler", json!({"policy": "SCHED_NOTHING"}));
    assert!(lab.refuse(&bundle).err.contains("process.scheduler"));
}

fn a_deadline_and_the_flags_of_a_scheduler_are_set(lab: &Lab) {
    lab.need_corten("runc 1.1 has no schedulers");
    lab.need_program("chrt");
    let seen = |scheduler: serde_json::Value| {
        let mut bundle = lab.sleeper();
        bundle.set("/process/scheduler", scheduler);
        let container = lab.start(&bundle);
        let told = Call::script(lab, &format!("chrt -p {}", container.pid()));
        let told = told.done().ok().out;
        container.end();
        told
    };
    let deadline = json!({
        "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 8_000_000, "period": 10_000_000,
    });
    let told = seen(deadline);
    assert!(told.contains("SCHED_DEADLINE"), "{told}");
    assert!(told.contains("2000000/8000000/10000000"), "{told}");
    let told = seen(json!({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}));
    assert!(told.contains("SCHED_BATCH|SCHED_RESET_ON_FORK"), "{told}");
}

fn a_deadline_wants_every_processor(lab: &Lab) {
    lab.need_corten("runc 1.1 has no schedulers");
    lab.need_controller("cpuset");
    if std::thread::available_parallelism().unwrap().get() < 2 {
        skip("this machine has one processor");
    }
    let mut bundle = lab.bundle();
    let deadline = json!({
        "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 8_000_000, "period": 10_000_000,
    });
    bundle
        .set("/linux/resources/cpu", json!({"cpus": "0"}))
        .set("/process/scheduler", deadline);
    let done = lab.refuse(&bundle);
    for words in [
        "process.scheduler: ",
        "process scheduler can't be used together with AllowedCPUs",
    ] {
        assert!(done.err.contains(words), "{done:?}");
    }
}

fn an_io_priority_is_set(lab: &Lab) {
    lab.need_corten("runc 1.1 has no I/O priorities");
    let mut bundle = lab.bundle();
    bundle.args(&["ionice", "-p", "1"]);
    bundle.set(
        "/process/ioPriority",
        json!({"class": "IOPRIO_CLASS_BE", "priority": 6}),
    );
    assert!(lab.run(&bundle).ok().out.contains("best-effort: prio 6"));
    bundle.set(
        "/process/ioPriority",
        json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}),
    );
    assert!(lab.run(&bundle).ok().out.contains("idle"));
    bundle.set(
        "/process/ioPriority",
        json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
    );
    assert!(lab.refuse(&bundle).err.contains("process.ioPriority"));
}

fn a_personality_is_set(lab: &Lab) {
    lab.need_corten("runc 1.1 has no personalities");
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/personality", json!({"domain": "LINUX32"}))
        .args(&["uname", "-m"]);
    assert_eq!(lab.run(&bundle).ok().out, "i686\n");
    bundle.set("/linux/personality", json!({"domain": "LINUX"}));
    assert_eq!(lab.run(&bundle).ok().out, "x86_64\n");
}

fn the_program_leads_its_session(lab: &Lab) {
    let mut bundle = lab.bundle();
    // Fields 5 and 6 of stat: process group and session.
    bundle.sh("sed 's/.*) //' /proc/1/stat | cut -d' ' -f3,4");
    assert_eq!(lab.run(&bundle).ok().out, "1 1\n");
}

fn the_program_has_default_signal_dispositions(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.args(&["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
    let call = lab
        .run_call(&bundle, &[], &lab.id())
        .within(lab, "trap '' PIPE USR1; exec \"$@\"");
    for line in call.done().ok().lines() {
        let value = u64::from_str_radix(line.split_once(":\t").unwrap().1, 16).unwrap();
        // What the caller ignores stays ignored by POSIX, and with runc; SIGPIPE is what Rust itself ignores.
        assert_eq!(value & !(1 << 12) & !(1 << 9) & 0x7fff_ffff, 0, "{line}");
    }
}

fn signals_that_the_caller_ignores_are_not_ignored_inside(lab: &Lab) {
    lab.need_corten("runc keeps what its caller ignores");
    const NONE: &str = "SigIgn:\t0000000000000000\n";
    let ignoring = "trap '' HUP PIPE USR1; exec \"$@\"";
    let look = ["grep", "SigIgn", "/proc/self/status"];
    let mut bundle = lab.bundle();
    bundle.args(&look);
    let run = lab.run_call(&bundle, &[], &lab.id()).within(lab, ignoring);
    assert_eq!(run.done().ok().out, NONE);
    let container = lab.start(&lab.sleeper());
    let exec = lab.call(&[&["exec", &container.id], &look[..]].concat());
    assert_eq!(exec.within(lab, ignoring).done().ok().out, NONE);
    container.end();
}

fn a_session_keyring_is_new_unless_told_otherwise(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/maskedPaths", json!([]))
        .args(&["cat", "/proc/keys"]);
    let (id, other) = (lab.id(), lab.id());
    let with = lab.run_call(&bundle, &[], &id).done().ok().out;
    assert!(with.contains(&format!("_ses.{id}")), "{with}");
    let without = lab
        .run_call(&bundle, &["--no-new-keyring"], &other)
        .done()
        .ok()
        .out;
    assert!(!without.contains(&format!("_ses.{other}")), "{without}");
}

fn a_container_without_a_process_can_be_created_but_not_started(lab: &Lab) {
    lab.need_corten("runc wants a process at create");
    let mut bundle = lab.bundle();
    bundle.remove("/process");
    // Both are for a program, which there is not.
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    bundle.hook("startContainer", "touch /the-hook-ran");
    let container = lab.create(&bundle);
    assert_eq!(container.status(), "created");
    let done = container.corten(&["start"], &[]);
    assert!(done.code == 1 && done.err.contains("process"), "{done:?}");
    assert!(!bundle.rootfs().join("the-hook-ran").exists());
    container.delete();
}
