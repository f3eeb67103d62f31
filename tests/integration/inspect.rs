//! `inspect`: what it says of a container is what the kernel says, whatever the container does against it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Container, Lab, tests};

tests![
    inspect_says_what_the_configuration_asked_for,
    inspect_tells_with_whom_namespaces_are_shared,
    inspect_tells_what_the_cgroup_says,
    inspect_tells_the_ids_of_a_user_namespace,
    inspect_of_a_created_and_of_a_stopped_container_says_what_is_known,
    a_hostile_container_does_not_disturb_inspect,
    the_json_of_inspect_has_the_documented_properties,
];

fn inspected(container: &Container<'_>) -> Value {
    container
        .corten(&["inspect", "--format", "json"], &[])
        .ok()
        .json()
}

fn names(value: &Value) -> Vec<&str> {
    let list = value.as_array().unwrap();
    list.iter().filter_map(Value::as_str).collect()
}

fn inspect_says_what_the_configuration_asked_for(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let mut bundle = lab.sleeper();
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["syslog"], "action": "SCMP_ACT_ERRNO"}]});
    let sets = json!({"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    bundle
        .set(
            "/process/user",
            json!({"uid": 1000, "gid": 50, "additionalGids": [7, 8]}),
        )
        .set("/process/capabilities", sets)
        .set("/process/noNewPrivileges", json!(true))
        .set("/process/oomScoreAdj", json!(321))
        .set("/process/cwd", json!("/tmp"))
        .set(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]),
        )
        .set("/linux/seccomp", filter)
        .mount("tmpfs", "tmpfs", "/mnt", &["ro", "size=64k"]);
    let container = lab.start(&bundle);
    let facts = inspected(&container);
    assert_eq!(facts["status"], "running");
    assert_eq!(facts["pid"], container.pid());
    assert_eq!(facts["bundle"], bundle.dir.display().to_string());
    let process = &facts["process"];
    assert_eq!(process["uids"]["effective"], 1000);
    assert_eq!(process["gids"]["real"], 50);
    assert_eq!(process["groups"], json!([7, 8]));
    let sets = &process["capabilities"];
    assert_eq!(names(&sets["bounding"]), ["CAP_CHOWN", "CAP_KILL"]);
    // A user that is not root has none after exec.
    assert!(names(&sets["effective"]).is_empty(), "{sets}");
    assert_eq!(process["noNewPrivileges"], true);
    assert_eq!(
        process["seccomp"],
        json!({"mode": "filter", "filters": own_filters() + 1})
    );
    assert_eq!(process["oomScoreAdj"], 321);
    assert_eq!(process["cwd"], "/tmp");
    let nofile = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200});
    assert!(process["rlimits"].as_array().unwrap().contains(&nofile));
    let mounts = facts["mounts"]["list"].as_array().unwrap();
    let mnt = mounts
        .iter()
        .find(|mount| mount["destination"] == "/mnt")
        .unwrap();
    assert_eq!(
        (&mnt["type"], &mnt["options"][0]),
        (&json!("tmpfs"), &json!("ro"))
    );
    let descriptors = facts["descriptors"]["list"].as_array().unwrap();
    assert_eq!(descriptors.len(), 3);
    assert_eq!(
        (&descriptors[0]["target"], &descriptors[0]["access"]),
        (&json!("/dev/null"), &json!("read"))
    );
    assert_eq!(facts["unseen"], json!([]));
    container.end();
}

/// Filters that this test runs behind, and so the container too.
fn own_filters() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp_filters:"));
    count.unwrap().trim().parse().unwrap()
}

fn namespace<'a>(facts: &'a Value, kind: &str) -> &'a Value {
    let list = facts["namespaces"].as_array().unwrap();
    list.iter().find(|found| found["type"] == kind).unwrap()
}

fn inspect_tells_with_whom_namespaces_are_shared(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let first = lab.start(&lab.sleeper());
    let mut bundle = lab.sleeper();
    bundle
        .join("network", &format!("/proc/{}/ns/net", first.pid()))
        .share("ipc");
    let second = lab.start(&bundle);
    let facts = inspected(&second);
    assert_eq!(
        namespace(&facts, "network")["containers"],
        json!([first.id])
    );
    assert_eq!(namespace(&facts, "network")["isHost"], false);
    assert_eq!(namespace(&facts, "ipc")["isHost"], true);
    assert_eq!(namespace(&facts, "pid")["isHost"], false);
    assert_eq!(namespace(&facts, "pid")["containers"], json!([]));
    let link = fs::read_link(format!("/proc/{}/ns/net", second.pid())).unwrap();
    let inode = namespace(&facts, "network")["inode"].as_u64().unwrap();
    assert_eq!(link.display().to_string(), format!("net:[{inode}]"));
    let text = second.corten(&["inspect"], &[]).ok().out;
    assert!(
        text.contains(&format!("shared with {}", first.id)),
        "{text}"
    );
    second.end();
    first.end();
}

fn inspect_tells_what_the_cgroup_says(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let bundle = lab.sleeper();
    let container = lab.start(&bundle);
    let facts = inspected(&container);
    let cgroup = &facts["cgroup"];
    assert_eq!(cgroup["path"], bundle.config["linux"]["cgroupsPath"]);
    assert_eq!(
        (&cgroup["exists"], &cgroup["processes"]),
        (&json!(true), &json!(1))
    );
    let programs = cgroup["devicePrograms"].as_array().unwrap();
    assert_eq!(
        (programs.len(), &programs[0]["name"]),
        (1, &json!("corten_devices"))
    );
    for file in ["cgroup.freeze", "cgroup.type", "cpu.stat"] {
        let said = cgroup["values"][file].as_str().unwrap();
        let read = fs::read_to_string(container.cgroup_dir().join(file)).unwrap();
        assert_eq!(said.lines().count(), read.lines().count(), "{file}");
    }
    container.corten(&["pause"], &[]).ok();
    let facts = inspected(&container);
    assert_eq!(facts["status"], "paused");
    assert_eq!(facts["cgroup"]["values"]["cgroup.freeze"], "1");
    container.end();
}

fn inspect_tells_the_ids_of_a_user_namespace(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let mut bundle = lab.sleeper();
    bundle.userns();
    let container = lab.start(&bundle);
    let facts = inspected(&container);
    let map = json!([{"container": 0, "host": 100_000, "size": 65536}]);
    assert_eq!(
        (&facts["idMaps"]["uids"], &facts["idMaps"]["gids"]),
        (&map, &map)
    );
    assert_eq!(facts["process"]["uids"]["real"], 100_000);
    assert_eq!(namespace(&facts, "user")["isHost"], false);
    container.end();
}

fn inspect_of_a_created_and_of_a_stopped_container_says_what_is_known(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let bundle = lab.sleeper();
    let container = Container::create(lab, &bundle, &[]);
    assert_eq!(inspected(&container)["status"], "created");
    container.start();
    container.kill("KILL");
    container.wait();
    let facts = inspected(&container);
    assert_eq!(
        (&facts["status"], &facts["pid"]),
        (&json!("stopped"), &json!(0))
    );
    assert_eq!(facts["bundle"], bundle.dir.display().to_string());
    assert!(facts.get("process").is_none(), "{facts}");
    assert_eq!(facts["cgroup"]["exists"], true);
    container.end();
    let gone = container.corten(&["inspect"], &[]);
    assert_eq!(gone.code, 1);
    assert!(gone.err.contains("container does not exist"), "{gone:?}");
}

/// Names with control characters and line ends, a fifo that nobody else opens, two hundred mounts in one place.
fn a_hostile_container_does_not_disturb_inspect(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let script = "\
        mkdir \"/tmp/a\nstatus: stopped\" && cd \"/tmp/a\nstatus: stopped\" && mkfifo fifo\n\
        i=0; while [ $i -lt 200 ]; do mount -t tmpfs x /mnt; i=$((i+1)); done\n\
        printf 'evil\\033[2J' >/proc/self/comm\n\
        exec 7<>fifo; touch /tmp/ready; sleep 1000; true";
    let mut bundle = lab.bundle();
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(
            &format!("/process/capabilities/{set}/-"),
            json!("CAP_SYS_ADMIN"),
        );
    }
    bundle.sh(script);
    let container = lab.start(&bundle);
    let ready = bundle.rootfs().join("tmp/ready");
    crate::harness::call::eventually("the container is ready", || ready.exists());
    let text = container.corten(&["inspect"], &[]).ok().out;
    assert!(
        !text.contains('\u{1b}') && !text.contains("\nstatus: stopped"),
        "{text}"
    );
    assert!(text.contains("evil\\u{1b}[2J"), "{text}");
    let facts = inspected(&container);
    assert_eq!(facts["status"], "running");
    let mounts = facts["mounts"]["list"].as_array().unwrap();
    assert_eq!(
        mounts
            .iter()
            .filter(|mount| mount["destination"] == "/mnt")
            .count(),
        200
    );
    let cwd = facts["process"]["cwd"].as_str().unwrap();
    assert!(cwd.contains("status: stopped"), "{cwd}");
    container.end();
}

/// What a program may rely on: docs/see-inside.md names the same.
fn the_json_of_inspect_has_the_documented_properties(lab: &Lab) {
    lab.need_corten("no other runtime has inspect");
    let container = lab.start(&lab.sleeper());
    let facts = inspected(&container);
    let documentation = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/see-inside.md");
    let documentation = fs::read_to_string(documentation).unwrap();
    for pointer in documentation
        .lines()
        .filter_map(|line| line.strip_prefix("| `/")?.split('`').next())
    {
        let found = facts.pointer(&format!("/{pointer}"));
        assert!(
            found.is_some(),
            "/{pointer} of docs/see-inside.md is not there"
        );
    }
    for (key, value) in facts.as_object().unwrap() {
        let nested = value.as_object().into_iter().flatten();
        let paths = nested.map(|(inner, _)| format!("/{key}/{inner}"));
        for path in std::iter::once(format!("/{key}")).chain(paths) {
            assert!(
                documentation.contains(&format!("`{path}")),
                "{path} is not in docs/see-inside.md"
            );
        }
    }
    container.end();
}
