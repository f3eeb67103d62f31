//! `mounts add` and `mounts remove`: what comes into a container that is there, and leaves it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::call::Done;
use crate::harness::{Container, Lab, tests};

tests![
    a_mount_comes_and_goes,
    mounts_that_are_added_have_their_options,
    mounts_are_added_to_created_and_paused_containers_alone,
    mounts_of_a_user_namespace_come_and_go,
    a_mount_that_is_added_may_have_mapped_ids,
    a_link_of_the_image_leads_no_mount_out_of_it,
    a_mount_that_cannot_be_made_is_named,
    what_is_not_mounted_cannot_be_removed,
];

fn change(container: &Container<'_>, lab: &Lab, action: &str, mounts: &Value) -> Done {
    let file = lab.file("mounts.json", &mounts.to_string());
    let path = file.display().to_string();
    container.corten(&["mounts", action], &[&path])
}

/// A directory of the host, with a file.
fn source(lab: &Lab) -> PathBuf {
    let path = lab.path("source");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), "of the host\n").unwrap();
    path
}

fn a_mount_comes_and_goes(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let container = lab.start(&lab.sleeper());
    let source = source(lab);
    let bind = |from: &PathBuf, to| json!({"destination": to, "type": "bind", "source": from, "options": ["bind"]});
    let mounts = json!([
        bind(&source, "/new/dir"),
        bind(&source.join("file"), "/new/file"),
        {"destination": "/new/dir/tmp", "type": "tmpfs", "source": "tmpfs"},
    ]);
    fs::create_dir(source.join("tmp")).unwrap();
    change(&container, lab, "add", &mounts).ok();
    let script = [
        "sh",
        "-c",
        "cat /new/dir/file /new/file && touch /new/dir/tmp/made",
    ];
    assert_eq!(
        container.exec(&script).ok().out,
        "of the host\nof the host\n"
    );
    assert!(!source.join("tmp/made").exists(), "it is in the tmpfs");
    change(&container, lab, "remove", &mounts).ok();
    let left = container.exec(&["grep", "-c", " /new", "/proc/mounts"]);
    assert_eq!((left.code, left.out.trim()), (1, "0"), "{left:?}");
    assert!(source.join("file").exists());
    container.end();
}

fn mounts_that_are_added_have_their_options(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let container = lab.start(&lab.sleeper());
    let source = source(lab);
    let mounts = json!([
        {"destination": "/ro", "type": "bind", "source": source, "options": ["rbind", "ro", "noexec"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "mode=700"]},
    ]);
    change(&container, lab, "add", &mounts).ok();
    let lines = container
        .exec(&["grep", "-E", " /(ro|tmp) ", "/proc/mounts"])
        .ok()
        .out;
    assert!(
        lines.contains(" /ro ") && lines.contains("ro,") && lines.contains("noexec"),
        "{lines}"
    );
    assert!(lines.contains("size=64k,mode=700"), "{lines}");
    container.exec(&["touch", "/ro/x"]).fails(1, "Read-only");
    container.end();
}

fn mounts_are_added_to_created_and_paused_containers_alone(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let mut bundle = lab.bundle();
    bundle.sh("cat /new/file; sleep 1000");
    let container = lab.create(&bundle);
    let source = source(lab);
    let at =
        |to| json!([{"destination": to, "type": "bind", "source": source, "options": ["bind"]}]);
    change(&container, lab, "add", &at("/new")).ok();
    container.start();
    container.call.wait_for("of the host");
    container.corten(&["pause"], &[]).ok();
    change(&container, lab, "add", &at("/more")).ok();
    container.corten(&["resume"], &[]).ok();
    container.exec(&["cat", "/more/file"]).ok();
    container.kill("KILL");
    container.wait();
    change(&container, lab, "add", &at("/late")).fails(1, "container not running");
    container.delete();
}

fn mounts_of_a_user_namespace_come_and_go(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let mut bundle = lab.sleeper();
    bundle.userns();
    let container = lab.start(&bundle);
    let source = source(lab);
    fs::create_dir(source.join("tmp")).unwrap();
    let mounts = json!([
        {"destination": "/new", "type": "bind", "source": source, "options": ["bind", "ro"]},
        {"destination": "/new/tmp", "type": "tmpfs", "source": "tmpfs"},
    ]);
    change(&container, lab, "add", &mounts).ok();
    container.exec(&["cat", "/new/file"]).ok();
    container.exec(&["touch", "/new/tmp/made"]).ok();
    change(&container, lab, "remove", &mounts).ok();
    container.exec(&["test", "-e", "/new/file"]).fails(1, "");
    container.end();
}

fn a_mount_that_is_added_may_have_mapped_ids(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let container = lab.start(&lab.sleeper());
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
    let mounts = json!([{"destination": "/new", "type": "bind", "source": source(lab),
        "options": ["bind", "idmap"], "uidMappings": map, "gidMappings": map}]);
    change(&container, lab, "add", &mounts).ok();
    let owner = container
        .exec(&["stat", "-c", "%u:%g", "/new/file"])
        .ok()
        .out;
    assert_eq!(owner, "5000:5000\n");
    container.end();
}

fn a_link_of_the_image_leads_no_mount_out_of_it(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let bundle = lab.sleeper();
    let outside = lab.path("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("link")).unwrap();
    let up = format!("../../../../../../../../../..{}", outside.display());
    std::os::unix::fs::symlink(up, bundle.rootfs().join("up")).unwrap();
    let before = fs::metadata(&outside).unwrap().ino();
    let container = lab.start(&bundle);
    let mounts = json!([
        {"destination": "/link", "type": "bind", "source": source(lab), "options": ["bind"]},
        {"destination": "/up/below", "type": "tmpfs", "source": "tmpfs"},
    ]);
    change(&container, lab, "add", &mounts).ok();
    assert_eq!(fs::metadata(&outside).unwrap().ino(), before);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    container.exec(&["cat", "/link/file"]).ok();
    change(&container, lab, "remove", &mounts).ok();
    container.exec(&["test", "-e", "/link/file"]).fails(1, "");
    container.end();
}

fn a_mount_that_cannot_be_made_is_named(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let container = lab.start(&lab.sleeper());
    let one = |mount: Value| change(&container, lab, "add", &json!([mount]));
    one(json!({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}))
        .fails(1, "mounts[0]: cannot take a detached copy of /no/such");
    one(json!({"destination": "/x", "type": "tmpfs", "options": ["size=banana"]}))
        .fails(1, "mounts[0]");
    one(json!({"destination": "/proc/sys", "type": "tmpfs"})).fails(1, "inside /proc");
    one(json!({"destination": 7})).fails(1, "mounts");
    change(&container, lab, "add", &json!({})).fails(1, "mounts");
    container
        .corten(&["mounts", "change"], &["/dev/null"])
        .fails(1, "no such action");
    lab.corten(&["mounts", "add"])
        .fails(1, "\"mounts\" requires exactly 3 argument(s)");
    container.end();
}

fn what_is_not_mounted_cannot_be_removed(lab: &Lab) {
    lab.need_corten("the command is crun's");
    let container = lab.start(&lab.sleeper());
    let one = |path: &str| change(&container, lab, "remove", &json!([{"destination": path}]));
    one("/etc").fails(
        1,
        "mounts[0].destination: cannot unmount /etc: nothing is mounted there",
    );
    one("/no/such").fails(1, "no such file or directory");
    one("/").fails(1, "mounts[0].destination");
    container.exec(&["ln", "-s", "/", "/top"]).ok();
    one("/top").fails(1, "root");
    container.exec(&["true"]).ok();
    container.end();
}
