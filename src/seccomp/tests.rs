//! What profiles become, seen through the interpreter.

use crate::config::Seccomp;
use crate::error::Failure;

use super::interpret::{Call, passes, run, stops};
use super::tables::{X32_BIT, numbers};
use super::{Arch, Filter, compile};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_THREAD;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | 38;

fn profile(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

fn filter(json: &str) -> Filter {
    compile(&profile(json), Arch::X86_64).unwrap()
}

fn refusal(json: &str) -> String {
    let failure: Failure = compile(&profile(json), Arch::X86_64).unwrap_err();
    failure.to_string()
}

fn verdict(filter: &Filter, arch: Arch, number: u32, arguments: [u64; 6]) -> u32 {
    let call = Call {
        number,
        audit: arch.audit(),
        instruction_pointer: 0,
        arguments,
    };
    run(&filter.instructions, &call).unwrap().verdict
}

fn of(filter: &Filter, arch: Arch, name: &str, first: u64) -> u32 {
    let number = numbers(name).unwrap().on(arch).unwrap();
    verdict(filter, arch, number, [first, 0, 0, 0, 0, 0])
}

fn docker() -> Filter {
    filter(include_str!("docker.json"))
}

#[test]
fn dockers_profile_is_small_and_every_call_is_decided_in_a_few_steps() {
    let filter = docker();
    let steps = |number| {
        let call = Call {
            number,
            audit: Arch::X86_64.audit(),
            ..Call::default()
        };
        run(&filter.instructions, &call).unwrap().steps
    };
    assert!(
        filter.instructions.len() < 260,
        "{}",
        filter.instructions.len()
    );
    assert!((0..480).map(steps).max() < Some(40));
    assert_eq!(filter.unknown, Vec::<String>::new());
}

#[test]
fn dockers_profile_says_what_dockers_documentation_says() {
    let filter = docker();
    let on = |name, first| of(&filter, Arch::X86_64, name, first);
    assert_eq!(on("read", 0), ALLOW);
    assert_eq!(on("mount", 0), EPERM);
    assert_eq!(on("clone3", 0), ENOSYS);
    assert_eq!(on("clone", libc::CLONE_NEWUSER as u64), EPERM);
    assert_eq!(on("clone", libc::SIGCHLD as u64), ALLOW);
    assert_eq!(on("socket", libc::AF_INET as u64), ALLOW);
    assert_eq!(on("socket", libc::AF_VSOCK as u64), EPERM);
    assert_eq!(on("personality", 8), ALLOW);
    assert_eq!(on("personality", 8 | 1 << 32), EPERM);
    assert_eq!(of(&filter, Arch::X86, "mount", 0), EPERM);
    assert_eq!(of(&filter, Arch::X32, "read", 0), ALLOW);
}

/// Init waits for the runtime behind a filter only if nothing that it reads from could change the answer.
#[test]
fn a_call_passes_whatever_its_arguments_or_not_at_all() {
    let read = |json: &str| {
        let number = numbers("read").unwrap().on(Arch::X86_64).unwrap();
        passes(&filter(json).instructions, number, Arch::X86_64.audit())
    };
    let rule = |default: &str, rule: &str| {
        format!(r#"{{"defaultAction": "{default}", "syscalls": [{{"names": ["read"], {rule}}}]}}"#)
    };
    let on_stdin = r#""args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]"#;
    assert!(read(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#));
    assert!(read(&rule(
        "SCMP_ACT_ERRNO",
        r#""action": "SCMP_ACT_ALLOW""#
    )));
    assert!(!read(r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#));
    assert!(!read(&rule(
        "SCMP_ACT_ALLOW",
        r#""action": "SCMP_ACT_LOG""#
    )));
    for (default, action) in [("ERRNO", "ALLOW"), ("ALLOW", "ERRNO")] {
        let text = format!(r#""action": "SCMP_ACT_{action}", {on_stdin}"#);
        assert!(
            !read(&rule(&format!("SCMP_ACT_{default}"), &text)),
            "{text}"
        );
    }
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read","mseal"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let strict = filter(json);
    assert_eq!(verdict(&strict, Arch::X86_64, 462, [0; 6]), ALLOW);
    assert_eq!(verdict(&strict, Arch::X86_64, 461, [0; 6]), EPERM);
    assert_eq!(verdict(&strict, Arch::X86_64, 463, [0; 6]), ENOSYS);
    let lenient = filter(&json.replace("SCMP_ACT_ERRNO", "SCMP_ACT_LOG"));
    assert_eq!(
        verdict(&lenient, Arch::X86_64, 463, [0; 6]),
        libc::SECCOMP_RET_LOG
    );
}

#[test]
fn an_architecture_without_rules_is_killed() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_AARCH64"],
        "syscalls":[{"names":["mount"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let filter = filter(json);
    assert_eq!(of(&filter, Arch::X86_64, "mount", 0), EPERM);
    assert_eq!(of(&filter, Arch::X86, "read", 0), KILL);
    assert_eq!(of(&filter, Arch::X32, "read", 0), KILL);
    assert_eq!(of(&filter, Arch::Aarch64, "read", 0), KILL);
    assert_eq!(verdict(&filter, Arch::X86_64, X32_BIT - 1, [0; 6]), ALLOW);
    assert_eq!(verdict(&filter, Arch::X86_64, X32_BIT, [0; 6]), KILL);
    // A tracer skips a call with -1.
    assert_eq!(verdict(&filter, Arch::X86_64, u32::MAX, [0; 6]), ALLOW);
}

#[test]
fn arm_programs_are_filtered_on_an_arm64_host() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_ARM"],
        "syscalls":[{"names":["read","set_tls","close_range"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let filter = compile(&profile(json), Arch::Aarch64).unwrap();
    assert_eq!(verdict(&filter, Arch::Aarch64, 63, [0; 6]), ALLOW);
    assert_eq!(verdict(&filter, Arch::Aarch64, 437, [0; 6]), ENOSYS);
    assert_eq!(verdict(&filter, Arch::Arm, 0xf_0005, [0; 6]), ALLOW);
    assert_eq!(verdict(&filter, Arch::Arm, 437, [0; 6]), EPERM);
    assert_eq!(of(&filter, Arch::X86_64, "read", 0), KILL);
}

#[test]
fn i386_reaches_sockets_through_socketcall_too() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
        {"names":["socket","close_range"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}]}"#;
    let filter = filter(json);
    assert_eq!(of(&filter, Arch::X86, "socketcall", 1), ALLOW);
    assert_eq!(of(&filter, Arch::X86, "socketcall", 2), EPERM);
    assert_eq!(of(&filter, Arch::X86, "socket", 2), ALLOW);
    assert_eq!(of(&filter, Arch::X86, "socket", 40), EPERM);
}

#[test]
fn comparisons_see_all_64_bits() {
    let low = (1 << 32) | 5;
    let around = [0, 5, low - 1, low, low + 1, 2 << 32, u64::MAX];
    type Holds = fn(u64, u64) -> bool;
    let holds: [(&str, Holds); 6] = [
        ("EQ", |a, b| a == b),
        ("NE", |a, b| a != b),
        ("LT", |a, b| a < b),
        ("LE", |a, b| a <= b),
        ("GE", |a, b| a >= b),
        ("GT", |a, b| a > b),
    ];
    for (operator, holds) in holds {
        let filter = filter(&format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read","mseal"],
            "action":"SCMP_ACT_ALLOW","args":[{{"index":0,"value":{low},"op":"SCMP_CMP_{operator}"}}]}}]}}"#
        ));
        for value in around {
            let expected = if holds(value, low) { ALLOW } else { EPERM };
            assert_eq!(
                of(&filter, Arch::X86_64, "read", value),
                expected,
                "{value:#x} {operator}"
            );
        }
    }
}

#[test]
fn conditions_on_one_argument_are_alternatives() {
    let json = |second| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read","mseal"],"action":"SCMP_ACT_ALLOW",
            "args":[{{"index":0,"value":1,"op":"SCMP_CMP_EQ"}},{{"index":{second},"value":2,"op":"SCMP_CMP_EQ"}}]}}]}}"#
        )
    };
    let (either, both) = (filter(&json(0)), filter(&json(1)));
    assert_eq!(verdict(&either, Arch::X86_64, 0, [2, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(verdict(&both, Arch::X86_64, 0, [1, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(verdict(&both, Arch::X86_64, 0, [1, 2, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn the_first_rule_without_conditions_decides() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_TRAP","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["read"],"action":"SCMP_ACT_ALLOW"},
        {"names":["read","mseal"],"action":"SCMP_ACT_KILL"}]}"#;
    assert_eq!(of(&filter(json), Arch::X86_64, "read", 1), ALLOW);
}

#[test]
fn actions_carry_their_data() {
    let on = |action: &str| {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a","syscalls":[{{"names":["read"],{action}}}]}}"#
        );
        of(&filter(&json), Arch::X86_64, "read", 0)
    };
    assert_eq!(on(r#""action":"SCMP_ACT_ERRNO","errnoRet":13"#), 0x5_000d);
    assert_eq!(on(r#""action":"SCMP_ACT_TRACE","errnoRet":7"#), 0x7ff0_0007);
    assert_eq!(on(r#""action":"SCMP_ACT_TRACE""#), 0x7ff0_0001);
    assert_eq!(on(r#""action":"SCMP_ACT_KILL""#), 0);
    assert_eq!(on(r#""action":"SCMP_ACT_KILL_PROCESS""#), 0x8000_0000);
    assert_eq!(on(r#""action":"SCMP_ACT_NOTIFY""#), 0x7fc0_0000);
}

#[test]
fn no_flags_mean_the_default_flag_and_an_empty_list_means_none() {
    let flags = |flags: &str, action: &str| {
        filter(&format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW",{flags}"listenerPath":"/agent",
            "syscalls":[{{"names":["read"],"action":"{action}"}}]}}"#
        ))
        .flags
    };
    let all = r#""flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#;
    assert_eq!(flags("", "SCMP_ACT_KILL"), 4);
    assert_eq!(flags(r#""flags":[],"#, "SCMP_ACT_KILL"), 0);
    assert_eq!(flags(all, "SCMP_ACT_KILL"), 2);
    assert_eq!(flags(all, "SCMP_ACT_NOTIFY"), 2 | 8 | 32);
}

#[test]
fn unknown_calls_are_skipped_and_named() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read","no_such_call","spu_run"],"action":"SCMP_ACT_ALLOW"}]}"#;
    assert_eq!(filter(json).unknown, ["no_such_call"]);
}

#[test]
fn refusals_name_the_field() {
    let with = |rest: &str| refusal(&format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO",{rest}}}"#));
    let rule = |rest: &str| {
        with(
            &r#""syscalls":[{"names":["read"]}]"#
                .replace(r#"["read"]"#, &format!(r#"["read","write"],{rest}"#)),
        )
    };
    for (refusal, expected) in [
        (
            with(r#""architectures":["SCMP_ARCH_Z80"]"#),
            r#"linux.seccomp.architectures[0]: unknown architecture "SCMP_ARCH_Z80""#,
        ),
        (
            with(r#""flags":["SECCOMP_FILTER_FLAG_X"]"#),
            r#"linux.seccomp.flags[0]: unknown flag "SECCOMP_FILTER_FLAG_X""#,
        ),
        (
            with(r#""listenerMetadata":"x""#),
            "linux.seccomp.listenerMetadata: must not be set without listenerPath",
        ),
        (
            with(r#""defaultErrnoRet":65536"#),
            "linux.seccomp.defaultErrnoRet: 65536 does not fit into 16 bits",
        ),
        (
            rule(r#""action":"SCMP_ACT_ALLOW","errnoRet":1"#),
            "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW takes no errno",
        ),
        (
            rule(r#""action":"SCMP_ACT_NOTIFY""#),
            "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            rule(r#""action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]"#),
            "linux.seccomp.syscalls[0].args: a system call has arguments 0 to 5",
        ),
    ] {
        assert_eq!(refusal, expected);
    }
    assert_eq!(
        refusal(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#),
        "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action"
    );
}

#[test]
fn contradictions_are_refused() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["read"],"action":"SCMP_ACT_TRAP","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#;
    assert_eq!(
        refusal(json),
        "linux.seccomp.syscalls[1]: contradicts an earlier rule for the same system call"
    );
}

#[test]
fn far_targets_are_reached_and_too_long_filters_refused() {
    let rule = |value: u64, errno: u64| {
        format!(
            r#"{{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":{errno},
            "args":[{{"index":0,"value":{value},"op":"SCMP_CMP_EQ"}}]}}"#
        )
    };
    let json = |count: u64| {
        let rules: Vec<String> = (0..count)
            .map(|n| rule(n << 32 | n, 100 + n % 300))
            .collect();
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["close"],"action":"SCMP_ACT_TRAP"}},{}]}}"#,
            rules.join(",")
        )
    };
    let filter = filter(&json(700));
    for n in 0..700 {
        let expected = libc::SECCOMP_RET_ERRNO | u32::try_from(100 + n % 300).unwrap();
        assert_eq!(of(&filter, Arch::X86_64, "read", n << 32 | n), expected);
        assert_eq!(of(&filter, Arch::X86_64, "read", (n + 1) << 32 | n), ALLOW);
    }
    assert_eq!(
        of(&filter, Arch::X86_64, "close", 0),
        libc::SECCOMP_RET_TRAP
    );
    assert!(refusal(&json(1500)).contains("the kernel takes 4096"));
}

#[test]
fn the_planner_can_ask_what_a_filter_lets_through() {
    let audit = Arch::X86_64.audit();
    let stopped = |filter: &Filter, number| stops(&filter.instructions, number, audit);
    assert_eq!(stopped(&docker(), 59), None);
    assert_eq!(stopped(&docker(), 165), Some("refuses"));
    let json = |action: &str, args: &str| {
        let rule = format!(r#"{{"names":["execve"],"action":"{action}","args":[{args}]}}"#);
        format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#)
    };
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        assert_eq!(stopped(&filter(&json(action, "")), 59), Some("kills"));
    }
    assert_eq!(stopped(&filter(&json("SCMP_ACT_TRACE", "")), 59), None);
    let condition = r#"{"index":0,"value":0,"op":"SCMP_CMP_EQ"}"#;
    assert_eq!(
        stopped(&filter(&json("SCMP_ACT_KILL", condition)), 59),
        None
    );
}
