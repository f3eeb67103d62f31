//! What the commands print, for people and for engines: list, spec, features, version, logs, usage.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Done, Lab, tests};

tests![
    version_is_what_engines_parse,
    help_exits_with_0_everywhere,
    a_wrong_number_of_arguments_shows_the_help,
    a_missing_flag_value_is_named,
    an_unknown_flag_and_an_unknown_command_are_named,
    long_flags_take_one_dash_and_equal_signs,
    list_prints_a_table_and_json,
    list_of_nothing_is_empty,
    list_of_a_missing_root_is_an_error,
    a_list_that_lacks_a_container_for_want_of_descriptors_is_an_error,
    spec_writes_a_configuration_that_runs,
    spec_overwrites_nothing,
    features_is_json_alone_on_stdout,
    features_tells_engines_what_they_ask_for,
    the_json_log_gets_one_line_per_failure,
    the_text_log_gets_the_error_as_well,
    services_of_the_host_are_told_the_error_as_well,
    a_service_that_is_not_there_is_refused,
    an_unknown_log_format_is_refused,
    the_root_may_not_be_the_root_directory,
    a_typo_in_a_property_is_not_fatal,
    warnings_stay_out_of_the_container_s_standard_error,
    under_the_name_runc_warnings_are_told,
    debug_tells_every_step_of_both_halves,
    completions_and_manual_pages_know_every_command,
];

fn version_is_what_engines_parse(lab: &Lab) {
    for flag in ["--version", "-v"] {
        let done = lab.corten(&[flag]).ok();
        let first = done.lines()[0].to_owned();
        assert!(
            first.contains(" version ") && first.split(' ').count() == 3,
            "{first}"
        );
        assert!(done.out.contains("\nspec: 1."), "{done:?}");
        let with_word = done
            .lines()
            .iter()
            .filter(|line| line.contains("version"))
            .count();
        assert_eq!(
            with_word, 1,
            "moby takes the last line with the word: {done:?}"
        );
    }
}

fn help_exits_with_0_everywhere(lab: &Lab) {
    lab.corten(&["--help"]).ok();
    let commands = [
        "create", "start", "run", "exec", "state", "list", "kill", "delete", "pause", "resume",
        "ps", "update",
    ];
    for command in commands.iter().chain(&["events", "spec", "features"]) {
        let done = lab.corten(&[command, "--help"]).ok();
        assert!(done.out.contains(command), "{done:?}");
        lab.corten(&[command, "-h"]).ok();
    }
}

fn a_wrong_number_of_arguments_shows_the_help(lab: &Lab) {
    for command in ["state", "start", "create", "run", "delete"] {
        let done = lab.corten(&[command]).fails(1, "1 argument");
        assert!(
            done.err
                .contains(&format!("\"{command}\" requires exactly 1 argument(s)")),
            "{done:?}"
        );
    }
    let done = lab.corten(&["state", "a", "b"]);
    assert!(
        done.code == 1 && done.err.contains("requires exactly 1 argument(s)"),
        "{done:?}"
    );
}

fn a_missing_flag_value_is_named(lab: &Lab) {
    let done = lab.corten(&["create", "--bundle"]);
    assert_ne!(done.code, 0);
    assert!((done.err + &done.out).contains("flag needs an argument"));
}

fn an_unknown_flag_and_an_unknown_command_are_named(lab: &Lab) {
    let done = lab.corten(&["state", "--colour", "x"]);
    assert!(done.code != 0 && (done.err + &done.out).contains("colour"));
    let done = lab.corten(&["paint"]);
    assert_ne!(done.code, 0);
}

fn long_flags_take_one_dash_and_equal_signs(lab: &Lab) {
    let mut bundle = lab.bundle();
    let path = bundle.args(&["echo", "ran"]).write();
    let words = [
        format!("-bundle={path}"),
        format!("--bundle={path}"),
        format!("-b={path}"),
    ];
    for word in words {
        assert_eq!(
            lab.corten(&["run", &word, &lab.id()]).ok().out,
            "ran\n",
            "{word}"
        );
    }
    assert_eq!(
        lab.corten(&["run", "-bundle", &path, "--keep=false", &lab.id()])
            .ok()
            .out,
        "ran\n"
    );
}

fn list_prints_a_table_and_json(lab: &Lab) {
    let bundle = lab.sleeper();
    let container = lab.start(&bundle);
    let table = lab.corten(&["list"]).ok();
    let head: Vec<&str> = table.lines()[0].split_whitespace().collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row: Vec<&str> = table.lines()[1].split_whitespace().collect();
    let pid = container.pid().to_string();
    assert_eq!(
        row[..4],
        [&container.id, &pid, "running", bundle.dir.to_str().unwrap()]
    );
    let list = lab.corten(&["list", "-f", "json"]).ok().json();
    assert_eq!(list[0]["id"], container.id.as_str());
    assert_eq!(list[0]["status"], "running");
    assert_eq!(list[0]["owner"], "root");
    assert_eq!(
        lab.corten(&["list", "-q"]).ok().out,
        format!("{}\n", container.id)
    );
    assert_eq!(
        lab.corten(&["list", "--quiet"]).ok().out,
        format!("{}\n", container.id)
    );
    container.end();
}

fn list_of_nothing_is_empty(lab: &Lab) {
    assert_eq!(lab.corten(&["list", "-q"]).ok().out, "");
    assert_eq!(
        lab.corten(&["list", "--format", "json"]).ok().json(),
        Value::Null
    );
    assert_ne!(lab.corten(&["list", "--format", "xml"]).code, 0);
}

fn list_of_a_missing_root_is_an_error(lab: &Lab) {
    lab.need_corten("runc 1.1 lists nothing");
    let mut call = crate::harness::call::Call::new(lab, &crate::harness::host::binary());
    call.arg("--root").arg("/nonexistent/state").arg("list");
    call.done().fails(1, "no such file or directory");
}

fn a_list_that_lacks_a_container_for_want_of_descriptors_is_an_error(lab: &Lab) {
    lab.need_corten("runc needs more descriptors to begin with");
    let container = lab.start(&lab.sleeper());
    let mut lacked = 0;
    for most in 4..=20 {
        let few = format!("ulimit -n {most}; exec \"$@\"");
        let done = lab.call(&["list"]).within(lab, &few).done();
        if done.out.contains(&container.id) {
            done.ok();
        } else {
            done.fails(1, "too many open files");
            lacked += 1;
        }
    }
    assert!(lacked > 0, "four descriptors were enough");
    container.end();
}

fn spec_writes_a_configuration_that_runs(lab: &Lab) {
    let bundle = lab.bundle();
    let path = bundle.dir.to_str().unwrap();
    lab.corten(&["spec", "--bundle", path]).ok();
    let file = bundle.dir.join("config.json");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\n\t\"ociVersion\""),
        "it is indented with tabs: {text}"
    );
    let mut config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["root"]["path"], "rootfs");
    assert_eq!(config["process"]["args"], json!(["sh"]));
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "ran"]);
    config["linux"]["cgroupsPath"] = json!(format!("{}/spec", lab.cgroup));
    fs::write(&file, config.to_string()).unwrap();
    assert_eq!(
        lab.corten(&["run", "--bundle", path, &lab.id()]).ok().out,
        "ran\n"
    );
}

fn spec_overwrites_nothing(lab: &Lab) {
    let dir = lab.path("empty");
    fs::create_dir(&dir).unwrap();
    lab.call(&["spec"]).current_dir(&dir).done().ok();
    lab.call(&["spec"])
        .current_dir(&dir)
        .done()
        .fails(1, "File config.json exists. Remove it first");
}

fn features_is_json_alone_on_stdout(lab: &Lab) {
    let done = lab.corten(&["features"]).ok();
    assert_eq!(done.err, "");
    assert!(
        done.json()["ociVersionMax"]
            .as_str()
            .unwrap()
            .starts_with("1.")
    );
}

fn features_tells_engines_what_they_ask_for(lab: &Lab) {
    lab.need_corten("runc 1.1 tells less");
    let features = lab.corten(&["features"]).ok().json();
    let has = |pointer: &str, word: &str| {
        let list = features
            .pointer(pointer)
            .and_then(Value::as_array)
            .unwrap_or_else(|| panic!("no {pointer}: {features}"));
        assert!(list.contains(&json!(word)), "{pointer} lacks {word}");
    };
    assert_eq!(features["ociVersionMin"], "1.0.0");
    for hook in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        has("/hooks", hook);
    }
    for option in [
        "rro",
        "idmap",
        "ridmap",
        "tmpcopyup",
        "nosymfollow",
        "rbind",
    ] {
        has("/mountOptions", option);
    }
    for kind in [
        "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time",
    ] {
        has("/linux/namespaces", kind);
    }
    has("/linux/capabilities", "CAP_CHECKPOINT_RESTORE");
    has("/linux/seccomp/actions", "SCMP_ACT_NOTIFY");
    has("/linux/seccomp/operators", "SCMP_CMP_MASKED_EQ");
    has("/linux/seccomp/archs", "SCMP_ARCH_X86_64");
    has("/linux/seccomp/knownFlags", "SECCOMP_FILTER_FLAG_LOG");
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    assert_eq!(features["linux"]["cgroup"]["v1"], false);
    assert_eq!(
        features["linux"]["mountExtensions"]["idmap"]["enabled"],
        true
    );
}

fn the_json_log_gets_one_line_per_failure(lab: &Lab) {
    let log = lab.path("log.json");
    let mut bundle = lab.bundle();
    let path = bundle.args(&["/nope"]).write();
    for count in 1..=2 {
        let words = [
            "--log",
            log.to_str().unwrap(),
            "--log-format",
            "json",
            "create",
            "--bundle",
            &path,
            "a",
        ];
        let done = lab.corten(&words);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(
            done.err.contains("no such file or directory"),
            "it goes to stderr as well: {done:?}"
        );
        let text = fs::read_to_string(&log).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let errors: Vec<&Value> = lines
            .iter()
            .filter(|line| line["level"] == "error")
            .collect();
        assert_eq!(errors.len(), count, "appended, one each: {text}");
        assert!(
            errors[0]["msg"]
                .as_str()
                .unwrap()
                .contains("/nope: no such file or directory"),
            "{text}"
        );
        let time = errors[0]["time"].as_str().unwrap();
        assert!(
            time.len() >= 20 && time.as_bytes()[10] == b'T',
            "RFC 3339: {time}"
        );
        if lab.is_corten() {
            assert_eq!(
                lines.len(),
                count,
                "podman reads the whole file as one object: {text}"
            );
        }
    }
}

fn the_text_log_gets_the_error_as_well(lab: &Lab) {
    let log = lab.path("log");
    lab.corten(&["--log", log.to_str().unwrap(), "state", "nobody"])
        .fails(1, "container does not exist");
    assert!(
        fs::read_to_string(&log)
            .unwrap()
            .contains("container does not exist")
    );
}

/// A /run and a /dev of its own, where the sockets of services are the test's, or nobody's.
const WITH_SERVICES: &str = r#"exec unshare --mount --propagation private bash -c '
    mount -t tmpfs none /run && mkdir -p /run/systemd/journal && touch /run/systemd/journal/socket &&
    mount -t tmpfs none /dev && touch /dev/log || exit 77
    if test -e $SOCKETS/journal; then
        mount --bind $SOCKETS/journal /run/systemd/journal/socket && mount --bind $SOCKETS/syslog /dev/log || exit 77
    fi
    exec "$@"' bash "$@""#;

fn with_services(lab: &Lab, destination: &str, sockets: &Path) -> Done {
    lab.call(&["--log", destination, "state", "nobody"])
        .env("SOCKETS", &sockets.display().to_string())
        .within(lab, WITH_SERVICES)
        .done()
}

fn services_of_the_host_are_told_the_error_as_well(lab: &Lab) {
    lab.need_corten("the names of services are crun's");
    let sockets = lab.path("sockets");
    fs::create_dir(&sockets).unwrap();
    let service = |name: &str| {
        let socket = UnixDatagram::bind(sockets.join(name)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let (journal, syslog) = (service("journal"), service("syslog"));
    for (destination, socket, start) in [
        (
            "journald:web",
            &journal,
            "PRIORITY=3\nSYSLOG_IDENTIFIER=web\nMESSAGE=",
        ),
        ("syslog:web", &syslog, "<27>web: "),
    ] {
        with_services(lab, destination, &sockets).fails(1, "container does not exist");
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let rest = text.strip_prefix(start);
        assert!(
            rest.is_some_and(|rest| rest.contains("container does not exist")),
            "{text:?}"
        );
        assert!(socket.recv(&mut buffer).is_err(), "one message each");
    }
}

fn a_service_that_is_not_there_is_refused(lab: &Lab) {
    lab.need_corten("the names of services are crun's");
    for destination in ["journald:web", "syslog:web"] {
        let words = format!("--log: cannot open {destination}");
        with_services(lab, destination, &lab.path("none")).fails(1, &words);
    }
}

fn an_unknown_log_format_is_refused(lab: &Lab) {
    let done = lab.corten(&["--log-format", "xml", "list"]);
    assert!(
        done.code == 1 && done.err.contains("log-format"),
        "{done:?}"
    );
}

fn the_root_may_not_be_the_root_directory(lab: &Lab) {
    lab.need_corten("runc 1.1 tries it");
    let done = lab.corten(&["--root", "/", "list"]);
    assert!(
        done.code == 1 && done.err.contains("should not be set to /"),
        "{done:?}"
    );
}

fn a_typo_in_a_property_is_not_fatal(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/rootPropagation", json!("private"))
        .set("/vendor", json!({"x": 1}));
    let done = lab.run_with_warnings(&bundle).ok();
    let told = |words: &[&str]| words.iter().all(|word| done.err.contains(word));
    assert!(
        !lab.is_corten() || told(&["linux.rootPropagation", "rootfsPropagation", "vendor"]),
        "{done:?}"
    );
}

/// Under conmon the runtime's standard error is the container's: what is in there are the program's words.
fn warnings_stay_out_of_the_container_s_standard_error(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/unheardOf", json!(1));
    let done = lab.run(&bundle).ok();
    assert_eq!(done.err, "");
    lab.need_corten("runc does not know --log-level");
    let done = lab.run_with_warnings(&bundle).ok();
    assert!(done.err.contains("unheardOf"), "{done:?}");
}

/// Whoever calls runc without a log finds them on stderr, be it a terminal or not.
fn under_the_name_runc_warnings_are_told(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/capabilities/inheritable", json!([]));
    bundle.set("/process/capabilities/ambient", json!(["CAP_KILL"]));
    let (path, root) = (bundle.write(), lab.root.display().to_string());
    let dir = lab.path("dir");
    fs::create_dir(&dir).unwrap();
    let runc = dir.join("runc");
    std::os::unix::fs::symlink(crate::harness::host::binary(), &runc).unwrap();
    let log = lab.path("log").display().to_string();
    for flags in [&[][..], &["--log", &log]] {
        let mut call = crate::harness::call::Call::new(lab, &runc);
        let words = [flags, &["--root", &root, "run", "--bundle", &path]].concat();
        for word in words {
            call.arg(word);
        }
        call.arg(&lab.id());
        let done = call.done().ok();
        let told = done
            .err
            .contains("can't raise ambient capability CAP_KILL: ");
        assert_eq!(told, flags.is_empty(), "{done:?}");
    }
}

fn debug_tells_every_step_of_both_halves(lab: &Lab) {
    lab.need_corten("runc tells other things");
    let bundle = lab.bundle();
    let (dir, log) = (bundle.write(), lab.path("log").display().to_string());
    let explain = lab.corten(&["explain", "--bundle", &dir]).ok().out;
    let flags = ["--debug", "--log", &log, "--log-format", "json"];
    let id = lab.id();
    lab.corten(&[&flags[..], &["run", "--bundle", &dir, &id]].concat())
        .ok();
    let text = fs::read_to_string(&log).unwrap();
    let told: Vec<String> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["level"], "debug", "{line}");
            line["msg"].as_str().unwrap().to_owned()
        })
        .collect();
    let has = |sentence: &str| told.iter().any(|line| line.starts_with(sentence));
    assert!(
        has("runtime: write down what is about to be made"),
        "{text}"
    );
    assert!(has("init: mount proc on /proc [mounts[0]]"), "{text}");
    assert!(has("init: execute true [process.args]"), "{text}");
    // Every step of the plan, but the wait for start that `run` has not, and what it does after it.
    let steps = explain
        .lines()
        .filter(|line| line.starts_with("    "))
        .count();
    assert!(told.len() + 4 >= steps, "{} of {steps} steps", told.len());
    // Without the flag, nothing.
    let silent = lab.path("log").display().to_string();
    lab.corten(&["--log", &silent, "run", "--bundle", &dir, &lab.id()])
        .ok();
    assert_eq!(fs::read_to_string(&silent).unwrap(), "");
}

fn completions_and_manual_pages_know_every_command(lab: &Lab) {
    lab.need_corten("runc has its own");
    let help = lab.corten(&["--help"]).ok().out;
    let commands = help.split("Commands:").nth(1).unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .collect();
    assert!(
        commands.contains(&"create") && commands.contains(&"man"),
        "{help}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let text = lab.corten(&["completion", shell]).ok().out;
        for word in commands.iter().chain(&["no-new-keyring", "log-format"]) {
            assert!(text.contains(word), "{shell} does not know {word}");
        }
    }
    lab.corten(&["completion", "tcsh"])
        .fails(1, "unknown shell \"tcsh\": not bash, zsh or fish");
    let pages = lab.path("man");
    lab.corten(&["man", &pages.display().to_string()]).ok();
    for command in &commands {
        let page = fs::read_to_string(pages.join(format!("corten-{command}.8"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(pages.join("corten.8").exists());
}
