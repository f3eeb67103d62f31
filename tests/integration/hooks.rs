//! Hooks: their order, where they run, what they are told, and what their failure does (config.md,
//! POSIX-platform Hooks; runtime.md, Lifecycle).

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::{Bundle, Lab, tests};

tests![
    hooks_come_in_order_in_their_namespaces_and_with_the_state,
    hooks_of_one_kind_come_in_the_order_of_the_list,
    a_hook_has_its_own_arguments_and_environment,
    a_poststart_hook_finds_the_program_running,
    a_poststop_hook_finds_nothing_left,
    a_start_container_hook_sees_the_container,
    a_create_container_hook_comes_after_the_mounts,
    a_failed_hook_of_create_undoes_the_container,
    a_failed_start_container_hook_undoes_the_container,
    a_failed_poststart_hook_undoes_the_container,
    a_failed_hook_of_run_undoes_the_container,
    a_failed_poststop_hook_is_a_warning_and_the_next_one_runs,
    a_hook_that_takes_too_long_is_a_failed_one,
    a_relative_hook_path_and_a_timeout_of_zero_are_refused,
    annotations_name_files_for_the_output_of_hooks,
    a_file_for_the_output_of_hooks_that_cannot_be_opened_is_named,
];

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// The state on stdin, and a function for one property of it.
const READ_STATE: &str = r#"
    state=$(cat)
    of() { echo "$state" | grep -o "\"$1\": *\"*[^,\"}]*" | head -n 1 | sed 's/.*[:"] *//'; }
"#;

/// Appends to a file of the host, which the container has as `/log`.
fn script(kind: &str, log: &Path, text: &str) -> String {
    let file = if kind == "startContainer" {
        "/log".to_owned()
    } else {
        log.display().to_string()
    };
    format!("{READ_STATE} echo {text} >>{file}")
}

/// A bundle whose container has the log, and the log.
fn logged(lab: &Lab) -> (Bundle, std::path::PathBuf) {
    let log = lab.file("log", "");
    let mut bundle = lab.sleeper();
    bundle.bind(&log, "/log", &["bind"]);
    (bundle, log)
}

fn hooks_come_in_order_in_their_namespaces_and_with_the_state(lab: &Lab) {
    lab.need_corten("runc 1.1 has startContainer hooks after its own filter");
    let (mut bundle, log) = logged(lab);
    for kind in KINDS {
        let text = format!("{kind} $(of status) $(of id) $(readlink /proc/self/ns/uts) $(of pid)");
        bundle.hook(kind, &script(kind, &log, &text));
    }
    let container = lab.create(&bundle);
    let at_create = fs::read_to_string(&log).unwrap();
    assert_eq!(at_create.lines().count(), 3, "{at_create}");
    let pid = container.pid();
    let inside = fs::read_link(format!("/proc/{pid}/ns/uts")).unwrap();
    let outside = fs::read_link("/proc/self/ns/uts").unwrap();
    container.start();
    container.end();
    let (inside, outside) = (inside.display(), outside.display());
    let id = &container.id;
    let expected = [
        format!("prestart creating {id} {outside} {pid}"),
        format!("createRuntime creating {id} {outside} {pid}"),
        // As the container sees it: it is the first process of its pid namespace.
        format!("createContainer creating {id} {inside} 1"),
        format!("startContainer created {id} {inside} 1"),
        format!("poststart running {id} {outside} {pid}"),
        format!("poststop stopped {id} {outside}"),
    ];
    let text = fs::read_to_string(&log).unwrap();
    for (line, expected) in text.lines().zip(&expected) {
        assert!(line.trim_end() == expected, "{line} is not {expected}");
    }
    assert_eq!(text.lines().count(), expected.len(), "{text}");
}

fn a_hook_has_its_own_arguments_and_environment(lab: &Lab) {
    lab.need_corten("runc gives startContainer hooks the environment of the program");
    let (mut bundle, log) = logged(lab);
    for kind in KINDS {
        let text = "$0 $1 $(env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | tr '\\n' ' ')";
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script(kind, &log, text), kind, "second"],
            "env": ["PATH=/usr/bin:/bin", "OF=hook"]});
        bundle.set(&format!("/hooks/{kind}"), json!([hook]));
    }
    lab.start(&bundle).end();
    let text = fs::read_to_string(&log).unwrap();
    for (kind, line) in KINDS.iter().zip(text.lines()) {
        let (start, env) = line.split_once(" second ").expect(line);
        let mut env: Vec<&str> = env.split_whitespace().collect();
        env.sort_unstable();
        assert_eq!(start, *kind);
        assert_eq!(env, ["OF=hook", "PATH=/usr/bin:/bin"], "{kind}");
    }
    assert_eq!(text.lines().count(), KINDS.len(), "{text}");
}

fn hooks_of_one_kind_come_in_the_order_of_the_list(lab: &Lab) {
    let (mut bundle, log) = logged(lab);
    for kind in KINDS {
        for number in 1..=3 {
            bundle.hook(kind, &script(kind, &log, &format!("{kind}{number}")));
        }
    }
    let container = lab.create(&bundle);
    container.start();
    container.end();
    let all = KINDS
        .iter()
        .flat_map(|kind| (1..=3).map(move |number| format!("{kind}{number}\n")));
    assert_eq!(fs::read_to_string(&log).unwrap(), all.collect::<String>());
}

fn a_poststart_hook_finds_the_program_running(lab: &Lab) {
    lab.need_corten("runc 1.1 runs it before the program");
    let (mut bundle, log) = logged(lab);
    let text = "$(tr '\\0' ' ' </proc/$(of pid)/cmdline)";
    for _ in 0..5 {
        bundle.hook("poststart", &script("poststart", &log, text));
    }
    for _ in 0..5 {
        fs::write(&log, "").unwrap();
        let container = lab.create(&bundle);
        container.start();
        container.end();
        let text = fs::read_to_string(&log).unwrap();
        assert_eq!(text, "sleep 1000\n".repeat(5));
    }
    fs::write(&log, "").unwrap();
    lab.start(&bundle).end();
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "sleep 1000\n".repeat(5),
        "run --detach"
    );
}

fn a_poststop_hook_finds_nothing_left(lab: &Lab) {
    let (mut bundle, log) = logged(lab);
    let cgroup = format!(
        "/sys/fs/cgroup{}",
        bundle.config["linux"]["cgroupsPath"].as_str().unwrap()
    );
    let text = format!("$(test -e {cgroup} && echo cgroup; echo gone)");
    bundle.hook("poststop", &script("poststop", &log, &text));
    lab.start(&bundle).end();
    assert_eq!(fs::read_to_string(&log).unwrap(), "gone\n");
}

fn a_start_container_hook_sees_the_container(lab: &Lab) {
    let (mut bundle, log) = logged(lab);
    bundle.hook(
        "startContainer",
        "echo $(hostname) $(readlink /bin/sh) $(cat /proc/1/comm) >>/log",
    );
    let container = lab.create(&bundle);
    assert_eq!(fs::read_to_string(&log).unwrap(), "", "not before start");
    container.start();
    container.end();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("box busybox "), "{text}");
    assert!(!text.contains("sleep"), "the program came first: {text}");
}

fn a_create_container_hook_comes_after_the_mounts(lab: &Lab) {
    let (mut bundle, log) = logged(lab);
    let root = bundle.rootfs().display().to_string();
    let text = format!(
        "$(grep -c ' {root}/proc ' /proc/self/mountinfo) $(test -e {root}/../config.json && echo host)"
    );
    bundle.hook("createContainer", &script("createContainer", &log, &text));
    lab.create(&bundle).end();
    assert_eq!(fs::read_to_string(&log).unwrap(), "1 host\n");
}

fn a_failed_hook_of_create_undoes_the_container(lab: &Lab) {
    lab.need_corten("runc 1.1 runs no poststop hooks then");
    for (index, kind) in KINDS[..3].iter().enumerate() {
        let (mut bundle, log) = logged(lab);
        for kind in KINDS {
            bundle.hook(kind, &script(kind, &log, kind));
        }
        bundle.hook(kind, "echo the words of the hook >&2; exit 7");
        bundle.hook(kind, &script(kind, &log, "never"));
        let done = lab.refuse(&bundle);
        assert!(
            done.err.contains(&format!("hooks.{kind}[1]"))
                && done.err.contains("the words of the hook"),
            "{done:?}"
        );
        let ran = [&KINDS[..=index], &["poststop"]].concat();
        let text = fs::read_to_string(&log).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), ran);
    }
}

fn a_failed_start_container_hook_undoes_the_container(lab: &Lab) {
    lab.need_corten("runc 1.1 leaves the container");
    let (mut bundle, log) = logged(lab);
    bundle.hook("startContainer", "exit 7");
    bundle.hook("poststart", &script("poststart", &log, "poststart"));
    bundle.hook("poststop", &script("poststop", &log, "poststop"));
    let container = lab.create(&bundle);
    let done = container.corten(&["start"], &[]);
    assert!(
        done.code == 1 && done.err.contains("hooks.startContainer[0]"),
        "{done:?}"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), "poststop\n");
    container.corten(&["state"], &[]).fails(1, "does not exist");
}

fn a_failed_poststart_hook_undoes_the_container(lab: &Lab) {
    lab.need_corten("runc 1.1 leaves the container");
    let (mut bundle, log) = logged(lab);
    bundle.hook("poststart", "exit 7");
    bundle.hook("poststart", &script("poststart", &log, "never"));
    bundle.hook("poststop", &script("poststop", &log, "poststop"));
    let container = lab.create(&bundle);
    let pid = container.pid();
    let done = container.corten(&["start"], &[]);
    assert!(
        done.code == 1 && done.err.contains("hooks.poststart[0]"),
        "{done:?}"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), "poststop\n");
    assert!(!Path::new(&format!("/proc/{pid}/root/log")).exists());
    container.corten(&["state"], &[]).fails(1, "does not exist");
}

fn a_failed_hook_of_run_undoes_the_container(lab: &Lab) {
    lab.need_corten("runc 1.1 leaves the container");
    for kind in &KINDS[3..5] {
        for flags in [&[][..], &["--detach"]] {
            let (mut bundle, log) = logged(lab);
            bundle.hook(kind, "exit 7");
            bundle.hook(
                "poststop",
                &script("poststop", &log, "poststop $(of status)"),
            );
            let id = lab.id();
            let done = lab.run_call(&bundle, flags, &id).done();
            let words = format!("hooks.{kind}[0]");
            assert!(done.code == 1 && done.err.contains(&words), "{done:?}");
            assert_eq!(fs::read_to_string(&log).unwrap(), "poststop stopped\n");
            lab.corten(&["state", &id]).fails(1, "does not exist");
        }
    }
}

fn a_failed_poststop_hook_is_a_warning_and_the_next_one_runs(lab: &Lab) {
    lab.need_corten("runc 1.1 ends at the first failure");
    let (mut bundle, log) = logged(lab);
    bundle.hook("poststop", "echo the words of the hook >&2; exit 7");
    bundle.hook("poststop", &script("poststop", &log, "next"));
    let container = lab.start(&bundle);
    let done = container.corten(&["delete", "--force"], &[]).ok();
    assert!(done.err.contains("hooks.poststop[0]"), "{done:?}");
    assert_eq!(fs::read_to_string(&log).unwrap(), "next\n");
    container.corten(&["state"], &[]).fails(1, "does not exist");
}

fn a_hook_that_takes_too_long_is_a_failed_one(lab: &Lab) {
    let (mut bundle, _) = logged(lab);
    bundle.hook("createRuntime", "sleep 1000");
    bundle.set("/hooks/createRuntime/0/timeout", 1.into());
    let done = lab.refuse(&bundle);
    assert!(
        !lab.is_corten() || done.err.contains("hooks.createRuntime[0]"),
        "{done:?}"
    );
}

fn a_relative_hook_path_and_a_timeout_of_zero_are_refused(lab: &Lab) {
    lab.need_corten("runc looks at neither");
    let (mut bundle, _) = logged(lab);
    bundle.hook("poststop", "true");
    bundle.set("/hooks/poststop/0/path", "bin/sh".into());
    assert!(lab.refuse(&bundle).err.contains("hooks.poststop[0].path"));
    bundle.set("/hooks/poststop/0/path", "/bin/sh".into());
    bundle.set("/hooks/poststop/0/timeout", 0.into());
    assert!(
        lab.refuse(&bundle)
            .err
            .contains("hooks.poststop[0].timeout")
    );
}

/// The annotations are crun's.
fn annotations_name_files_for_the_output_of_hooks(lab: &Lab) {
    lab.need_corten("runc does not know the annotations");
    let (out, err) = (lab.file("hooks.out", "before\n"), lab.path("hooks.err"));
    let mut bundle = lab.bundle();
    bundle.sh("echo the program; echo its errors >&2");
    bundle.set(
        "/annotations",
        json!({"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err}),
    );
    for kind in KINDS {
        bundle.hook(kind, &format!("echo {kind}; echo no {kind} >&2"));
    }
    let done = lab.run(&bundle).ok();
    assert_eq!(
        (done.out.as_str(), done.err.as_str()),
        ("the program\n", "its errors\n")
    );
    let read = |path| fs::read_to_string(path).unwrap();
    let said = |prefix: &str| {
        let outside = KINDS.iter().filter(|kind| **kind != "startContainer");
        outside
            .map(|kind| format!("{prefix}{kind}\n"))
            .collect::<String>()
    };
    assert_eq!(read(&out), "before\n".to_owned() + &said(""));
    assert_eq!(read(&err), said("no "));
    let warning = "hooks.startContainer run in the container and write no file of the host";
    assert!(lab.run_with_warnings(&bundle).err.contains(warning));
}

fn a_file_for_the_output_of_hooks_that_cannot_be_opened_is_named(lab: &Lab) {
    lab.need_corten("runc does not know the annotations");
    let (mut bundle, log) = logged(lab);
    bundle.hook("createRuntime", &script("createRuntime", &log, "never"));
    let fifo = lab.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [fifo, lab.path("missing").join("file")] {
        bundle.set("/annotations", json!({"run.oci.hooks.stdout": path}));
        let done = lab.refuse(&bundle);
        let words = format!("cannot open {} for the output of hooks", path.display());
        assert!(
            done.err.contains("hooks.createRuntime[0]") && done.err.contains(&words),
            "{done:?}"
        );
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
}
