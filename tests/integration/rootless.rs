//! Containers of a plain user: no privilege on the host but those of their own ids.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::{Value, json};

use crate::harness::call::{Call, Done};
use crate::harness::{Bundle, Lab, host, rootfs, tests};

tests![
    rootless_spec_runs,
    rootless_lifecycle_of_a_container,
    rootless_exec_is_in_every_namespace_of_the_container,
    rootless_exec_with_a_terminal,
    rootless_maps_granted_ids_with_newuidmap,
    rootless_without_newuidmap_names_the_program,
    rootless_with_ids_that_are_not_granted_names_the_refusal,
    rootless_groups_that_cannot_be_set_are_refused,
    rootless_without_cgroup_rights_goes_on_without_a_cgroup,
    rootless_without_anything_that_holds_processes_together_is_warned_of,
    rootless_limits_without_cgroup_rights_name_the_field,
    rootless_delegated_cgroup_is_used,
    rootless_flag_decides_whether_a_cgroup_may_be_missing,
    rootless_state_is_below_the_runtime_directory,
    rootless_without_home_has_no_volumes_but_containers,
    rootless_without_a_user_namespace_gets_one,
    rootless_devices_are_the_host_s,
    rootless_own_network_gets_its_own_sysfs,
    rootless_hooks_run_as_the_user,
    rootless_shell,
    rootless_root_of_a_user_namespace_makes_containers,
    cgroup_manager_disabled_leaves_the_container_where_the_caller_is,
    overlay_below_a_private_state_directory_in_a_user_namespace,
];

const UID: u32 = 4321;
const FIRST: u32 = 700_000;

/// A user of this host, known to the test's mount namespace alone.
struct User<'a> {
    lab: &'a Lab,
    mounts: Vec<PathBuf>,
    home: PathBuf,
    binary: PathBuf,
    path: String,
}

impl<'a> User<'a> {
    /// With 65536 subordinate ids from [`FIRST`] on.
    fn new(lab: &'a Lab) -> Self {
        lab.need_corten("these are its own rules");
        lab.need_program("setpriv");
        let mut mounts = Vec::new();
        for (file, line) in [
            ("passwd", format!("plain:x:{UID}:{UID}::/nowhere:/bin/sh\n")),
            ("group", format!("plain:x:{UID}:\n")),
            ("subuid", format!("plain:{FIRST}:65536\n")),
            ("subgid", format!("plain:{FIRST}:65536\n")),
        ] {
            let real = Path::new("/etc").join(file);
            let text = fs::read_to_string(&real).unwrap_or_default();
            if !real.exists() {
                fs::write(&real, "").unwrap();
            }
            bind(&lab.file(file, &(text + &line)), &real);
            mounts.push(real);
        }
        let home = lab.path("home");
        fs::create_dir(&home).unwrap();
        chown(&home, Some(UID), Some(UID)).unwrap();
        let binary = lab.file("corten", "");
        bind(&host::binary(), &binary);
        mounts.push(binary.clone());
        let path = std::env::var("PATH").unwrap();
        Self {
            lab,
            mounts,
            home,
            binary,
            path,
        }
    }

    /// A command by this user, with nothing in the environment but what a session has.
    fn call(&self, words: &[&str]) -> Call {
        let mut call = Call::new(self.lab, &self.binary);
        for word in words {
            call.arg(word);
        }
        self.demote(call)
    }

    fn demote(&self, call: Call) -> Call {
        let script = format!(
            "cd {} && exec setpriv --reuid {UID} --regid {UID} --clear-groups --inh-caps=-all \"$@\"",
            self.home.display()
        );
        let home = self.home.display().to_string();
        call.within(self.lab, &script)
            .bare()
            .env("PATH", &self.path)
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", &home)
    }

    fn corten(&self, words: &[&str]) -> Done {
        self.call(words).done()
    }

    /// What `spec --rootless` writes, with a root file system and a program of its own.
    fn bundle(&self, script: &str) -> Bundle {
        let mut bundle = self.lab.bundle();
        rootfs::give(&bundle.dir, UID);
        let dir = bundle.dir.display().to_string();
        self.corten(&["spec", "--rootless", "--bundle", &dir]).ok();
        let text = fs::read(bundle.dir.join("config.json")).unwrap();
        bundle.config = serde_json::from_slice(&text).unwrap();
        bundle.set("/process/terminal", json!(false)).sh(script);
        bundle
    }

    fn run(&self, bundle: &Bundle) -> Done {
        let dir = bundle.write();
        self.corten(&["run", "--bundle", &dir, &self.lab.id()])
    }

    /// A container in the background; its id.
    fn start(&self, bundle: &Bundle) -> String {
        let (dir, id) = (bundle.write(), self.lab.id());
        self.corten(&["run", "--detach", "--bundle", &dir, &id])
            .ok();
        id
    }

    fn end(&self, id: &str) {
        self.corten(&["delete", "--force", id]).ok();
    }

    fn pid(&self, id: &str) -> i64 {
        self.corten(&["state", id]).ok().json()["pid"]
            .as_i64()
            .unwrap()
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        for place in &self.mounts {
            umount2(place, MntFlags::MNT_DETACH).unwrap();
        }
    }
}

fn bind(source: &Path, target: &Path) {
    mount(
        Some(source),
        target,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .unwrap();
}

/// The own id, and the granted ones behind it.
fn ranges(first: u32) -> Value {
    json!([
        {"containerID": 0, "hostID": UID, "size": 1},
        {"containerID": 1, "hostID": first, "size": 65536},
    ])
}

fn rootless_spec_runs(lab: &Lab) {
    let user = User::new(lab);
    let bundle = user.bundle("id -u; cat /proc/self/uid_map /proc/self/setgroups; cat /proc/self/attr/current >/dev/null; pwd");
    let done = user.run(&bundle).ok();
    let words: Vec<&str> = done.out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "4321", "1", "deny", "/"]);
}

fn rootless_lifecycle_of_a_container(lab: &Lab) {
    let user = User::new(lab);
    let (dir, id) = (user.bundle("sleep 1000").write(), lab.id());
    let pid_file = user.home.join("pid").display().to_string();
    user.corten(&["create", "--bundle", &dir, "--pid-file", &pid_file, &id])
        .ok();
    let state = user.corten(&["state", &id]).ok().json();
    assert_eq!(
        (&state["status"], &state["owner"]),
        (&json!("created"), &json!("plain"))
    );
    assert_eq!(
        fs::read_to_string(&pid_file).unwrap(),
        state["pid"].to_string()
    );
    user.corten(&["start", &id]).ok();
    assert_eq!(
        user.corten(&["state", &id]).ok().json()["status"],
        "running"
    );
    let listed = user.corten(&["list", "--quiet"]).ok();
    assert_eq!(listed.out.trim(), id);
    user.corten(&["exec", "--detach", &id, "sleep", "1000"])
        .ok();
    let pids = user.corten(&["ps", "--format", "json", &id]).ok().json();
    assert_eq!(pids.as_array().unwrap().len(), 2, "{pids}");
    user.corten(&["audit", &id]).ok();
    let facts = user.corten(&["inspect", "--format", "json", &id]).ok();
    assert_eq!(facts.json()["unseen"], json!([]));
    user.corten(&["delete", &id]).fails(1, "is not stopped");
    user.corten(&["kill", &id, "KILL"]).ok();
    crate::harness::call::eventually("it stops", || {
        user.corten(&["state", &id]).ok().json()["status"] == "stopped"
    });
    user.corten(&["delete", &id]).ok();
    user.corten(&["state", &id]).fails(1, "does not exist");
}

fn rootless_exec_is_in_every_namespace_of_the_container(lab: &Lab) {
    let user = User::new(lab);
    let id = user.start(&user.bundle("sleep 1000"));
    let pid = user.pid(&id);
    let kinds = ["user", "pid", "ipc", "uts", "mnt", "cgroup", "net"];
    let script = "for n in user pid ipc uts mnt cgroup net; do readlink /proc/self/ns/$n; done";
    let inside = user.corten(&["exec", &id, "sh", "-c", script]).ok().out;
    for (kind, found) in kinds.iter().zip(inside.lines()) {
        let wanted = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(Path::new(found), wanted, "{kind}");
    }
    let words = [
        "exec",
        "--env",
        "A=b",
        "--cwd",
        "/tmp",
        &id,
        "sh",
        "-c",
        "echo $A $PWD; exit 7",
    ];
    let done = user.corten(&words);
    assert_eq!((done.code, done.out.as_str()), (7, "b /tmp\n"));
    user.corten(&["exec", &id, "nope"])
        .fails(255, "executable file not found in $PATH");
    let done = user.corten(&["exec", "--cgroup", "x", &id, "true"]);
    done.fails(255, "--cgroup: the container has no cgroup of its own");
    user.end(&id);
}

fn rootless_exec_with_a_terminal(lab: &Lab) {
    let user = User::new(lab);
    let script = lab.need_program("script").display().to_string();
    let id = user.start(&user.bundle("sleep 1000"));
    let mut call = Call::new(lab, Path::new(&script));
    let typed = format!(
        "{} exec -t {id} sh -c 'tty; ps -o tty,pid | tail -n +2 | wc -l'",
        user.binary.display()
    );
    call.arg("-qec").arg(&typed).arg("/dev/null");
    let done = user.demote(call).done().ok();
    assert!(done.out.contains("/dev/pts/0"), "{done:?}");
    user.end(&id);
}

fn rootless_maps_granted_ids_with_newuidmap(lab: &Lab) {
    let user = User::new(lab);
    lab.need_program("newuidmap");
    let mut bundle =
        user.bundle("id; cat /proc/self/uid_map /proc/self/setgroups; touch /tmp/mine");
    bundle
        .set("/linux/uidMappings", ranges(FIRST))
        .set("/linux/gidMappings", ranges(FIRST))
        .set("/root/readonly", json!(false))
        .set(
            "/process/user",
            json!({"uid": 1000, "gid": 1000, "additionalGids": [50]}),
        );
    let done = user.run(&bundle).ok();
    assert!(
        done.out
            .starts_with("uid=1000(user) gid=1000(user) groups=50(staff)"),
        "{done:?}"
    );
    assert!(done.out.ends_with("allow\n"), "{done:?}");
    let data = fs::metadata(bundle.rootfs().join("tmp/mine")).unwrap();
    assert_eq!(data.uid(), FIRST + 999);
}

fn rootless_without_newuidmap_names_the_program(lab: &Lab) {
    let user = User::new(lab);
    let mut bundle = user.bundle("true");
    bundle
        .set("/linux/uidMappings", ranges(FIRST))
        .set("/linux/gidMappings", ranges(FIRST));
    let (dir, id) = (bundle.write(), lab.id());
    let call = Call::new(lab, &user.binary);
    let mut call = call;
    for word in ["run", "--bundle", &dir, &id] {
        call.arg(word);
    }
    // The shell finds setpriv, and the runtime finds nothing.
    let script =
        format!("exec setpriv --reuid {UID} --regid {UID} --clear-groups env PATH=/nowhere \"$@\"");
    let home = user.home.display().to_string();
    let done = call
        .within(lab, &script)
        .env("XDG_RUNTIME_DIR", &home)
        .done();
    done.fails(1, "linux.uidMappings: cannot run newuidmap: ");
    assert!(!user.home.join("corten").join(&id).exists());
}

fn rootless_with_ids_that_are_not_granted_names_the_refusal(lab: &Lab) {
    let user = User::new(lab);
    lab.need_program("newuidmap");
    let mut bundle = user.bundle("true");
    bundle
        .set("/linux/uidMappings", ranges(FIRST + 1))
        .set("/linux/gidMappings", ranges(FIRST));
    let done = user.run(&bundle);
    assert!(
        done.err.contains("(/etc/subuid and /etc/subgid grant ids)"),
        "{done:?}"
    );
    done.fails(1, "linux.uidMappings: newuidmap refuses the id map: ");
}

fn rootless_groups_that_cannot_be_set_are_refused(lab: &Lab) {
    let user = User::new(lab);
    let mut bundle = user.bundle("true");
    bundle.set("/process/user/additionalGids", json!([5]));
    user.run(&bundle)
        .fails(1, "process.user.additionalGids (line ")
        .fails(1, "): groups cannot be set in this user namespace");
}

fn rootless_without_cgroup_rights_goes_on_without_a_cgroup(lab: &Lab) {
    let user = User::new(lab);
    let id = user.start(&user.bundle("sleep 1000"));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let its = fs::read_to_string(format!("/proc/{}/cgroup", user.pid(&id))).unwrap();
    assert_eq!(own, its);
    user.corten(&["pause", &id])
        .fails(1, "it has no cgroup of its own");
    user.corten(&["events", "--stats", &id])
        .fails(1, "has no cgroup of its own");
    user.end(&id);
    let mut bundle = user.bundle("true");
    bundle.set("/linux/cgroupsPath", json!("/not-mine"));
    let done = user.run(&bundle);
    assert!(done.err.contains("permission denied"), "{done:?}");
    done.fails(1, "linux.cgroupsPath: cannot make cgroup /not-mine: ");
}

fn rootless_without_anything_that_holds_processes_together_is_warned_of(lab: &Lab) {
    let user = User::new(lab);
    let mut bundle = user.bundle("true");
    bundle.share("pid");
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["type"] == "proc" {
            *mount = json!({"destination": "/proc", "type": "none", "source": "/proc", "options": ["rbind", "nosuid", "nodev", "noexec"]});
        }
    }
    let (dir, id) = (bundle.write(), lab.id());
    let words = ["--log-level", "warning", "run", "--bundle", &dir, &id];
    let done = user.corten(&words).ok();
    assert!(
        done.err
            .contains("Such configuration is strongly discouraged"),
        "{done:?}"
    );
    let done = user.run(&user.bundle("true")).ok();
    assert!(!done.err.contains("strongly discouraged"), "{done:?}");
}

fn rootless_limits_without_cgroup_rights_name_the_field(lab: &Lab) {
    let user = User::new(lab);
    let mut bundle = user.bundle("true");
    bundle.set("/linux/resources", json!({"pids": {"limit": 7}}));
    let done = user.run(&bundle);
    assert!(
        done.err.contains("no permission is granted for cgroups"),
        "{done:?}"
    );
    done.fails(1, "linux.resources.pids.limit (line ")
        .fails(1, "): cannot be set for a container without a cgroup");
    bundle.set("/linux/resources", json!({"pids": {"limit": -1}}));
    user.run(&bundle).ok();
}

fn rootless_delegated_cgroup_is_used(lab: &Lab) {
    let user = User::new(lab);
    // As systemd delegates: the directory and the files that move processes and hand controllers down.
    let top = lab.cgroup_dir().join("delegated");
    fs::create_dir_all(top.join("shell")).unwrap();
    for dir in [top.clone(), top.join("shell")] {
        for name in [
            ".",
            "cgroup.procs",
            "cgroup.subtree_control",
            "cgroup.threads",
        ] {
            chown(dir.join(name), Some(UID), Some(UID)).unwrap();
        }
    }
    let mut bundle = user.bundle("cat /proc/self/cgroup; sleep 1000");
    bundle.set(
        "/linux/cgroupsPath",
        json!(format!("{}/delegated/box", lab.cgroup)),
    );
    let (dir, id) = (bundle.write(), lab.id());
    let inside = |words: &[&str]| {
        let enter = format!(
            "echo $$ > {}/shell/cgroup.procs && exec \"$@\"",
            top.display()
        );
        user.call(words).within(lab, &enter).done()
    };
    inside(&["run", "--detach", "--bundle", &dir, &id]).ok();
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", user.pid(&id))).unwrap();
    assert!(cgroup.trim().ends_with("/delegated/box"), "{cgroup}");
    user.corten(&["pause", &id]).ok();
    assert_eq!(user.corten(&["state", &id]).ok().json()["status"], "paused");
    user.corten(&["resume", &id]).ok();
    let done = inside(&["exec", &id, "cat", "/proc/self/cgroup"]).ok();
    assert_eq!(done.out.lines().last(), Some("0::/"));
    user.end(&id);
    assert!(!top.join("box").exists());
    // Without a path it stands beside the caller's own, where that is the user's.
    bundle.remove("/linux/cgroupsPath");
    let (dir, id) = (bundle.write(), lab.id());
    inside(&["run", "--detach", "--bundle", &dir, &id]).ok();
    assert!(top.join(&id).is_dir());
    user.end(&id);
    fs::remove_dir(top.join("shell")).unwrap();
    fs::remove_dir(&top).unwrap();
}

fn rootless_flag_decides_whether_a_cgroup_may_be_missing(lab: &Lab) {
    let user = User::new(lab);
    let dir = user.bundle("true").write();
    for flag in ["true", "auto"] {
        user.corten(&["--rootless", flag, "run", "--bundle", &dir, &lab.id()])
            .ok();
    }
    user.corten(&["--rootless=false", "run", "--bundle", &dir, &lab.id()])
        .fails(1, "linux.cgroupsPath: cannot make cgroup");
    user.corten(&["--rootless", "maybe", "run", "--bundle", &dir, &lab.id()])
        .fails(1, "invalid value \"maybe\" for --rootless");
}

fn rootless_state_is_below_the_runtime_directory(lab: &Lab) {
    let user = User::new(lab);
    let id = user.start(&user.bundle("sleep 1000"));
    let root = user.home.join("corten");
    assert!(root.join(&id).join("state.json").exists());
    assert_eq!(
        fs::metadata(&root).unwrap().permissions().mode() & 0o7777,
        0o1700
    );
    user.end(&id);
    // Where there is no session, the place is still the user's, and an error says what to do.
    let dir = user.bundle("true").write();
    let none = |words: &[&str]| user.call(words).env("XDG_RUNTIME_DIR", "").done();
    let done = none(&["run", "--bundle", &dir, &lab.id()]);
    assert!(
        done.err
            .contains("--root and $XDG_RUNTIME_DIR name another one"),
        "{done:?}"
    );
    done.fails(
        1,
        &format!("cannot make the root directory /run/user/{UID}/corten"),
    );
    none(&["list"]).ok();
    let own = user.home.join("elsewhere").display().to_string();
    none(&["--root", &own, "run", "--bundle", &dir, &lab.id()]).ok();
}

fn rootless_without_home_has_no_volumes_but_containers(lab: &Lab) {
    let user = User::new(lab);
    let dir = user.bundle("true").write();
    let homeless = |words: &[&str]| user.call(words).env("HOME", "").done();
    homeless(&["run", "--bundle", &dir, &lab.id()]).ok();
    homeless(&["run", "--volume", "a:/data", "--bundle", &dir, &lab.id()]).fails(
        1,
        "--data: no directory: neither $XDG_DATA_HOME nor $HOME is set",
    );
    homeless(&["volume", "list"]).fails(1, "--data: no directory");
    user.corten(&["run", "--volume", "a:/data", "--bundle", &dir, &lab.id()])
        .ok();
    assert!(
        user.home
            .join(".local/share/corten/volumes/a/data")
            .is_dir()
    );
}

fn rootless_without_a_user_namespace_gets_one(lab: &Lab) {
    let user = User::new(lab);
    lab.need_program("newuidmap");
    let mut bundle = user.bundle("id -u; sleep 1000");
    bundle
        .share("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings");
    let id = user.start(&bundle);
    let map = user
        .corten(&["exec", &id, "cat", "/proc/self/uid_map"])
        .ok()
        .out;
    let numbers: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(numbers, ["0", "4321", "1", "1", "700000", "65536"]);
    user.end(&id);
}

fn rootless_devices_are_the_host_s(lab: &Lab) {
    let user = User::new(lab);
    let script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c; stat -c %t:%T /dev/full /dev/tty; ls /dev/ptmx /dev/fd/0";
    let done = user.run(&user.bundle(script)).ok();
    assert_eq!(
        done.lines(),
        ["3", "1:7", "5:0", "/dev/fd/0", "/dev/ptmx"],
        "{done:?}"
    );
    let mut bundle = user.bundle("true");
    bundle.set(
        "/linux/devices",
        json!([{"path": "/dev/nowhere", "type": "c", "major": 1, "minor": 3}]),
    );
    user.run(&bundle).fails(
        1,
        "linux.devices[0]: cannot take a detached copy of /dev/nowhere: ",
    );
}

fn rootless_own_network_gets_its_own_sysfs(lab: &Lab) {
    let user = User::new(lab);
    let mut bundle = user.bundle("ls /sys/class/net");
    let sysfs =
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]});
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/sys"));
    mounts.push(sysfs);
    bundle.unshare("network");
    assert_eq!(user.run(&bundle).ok().out, "lo\n");
    // Of the host's network only a copy of the host's sysfs can be had.
    bundle
        .share("network")
        .sh("ls -d /sys/kernel; touch /sys/x");
    let done = user.run(&bundle);
    assert!(done.out == "/sys/kernel\n" && done.code == 1, "{done:?}");
}

fn rootless_hooks_run_as_the_user(lab: &Lab) {
    let user = User::new(lab);
    let mut bundle = user.bundle("cat /tmp/inside");
    bundle.set("/root/readonly", json!(false));
    let (one, two) = (user.home.join("one"), user.home.join("two"));
    bundle.hook("createRuntime", &format!("id -u > {}", one.display()));
    bundle.hook(
        "createContainer",
        &format!("id -u > {}/tmp/inside", bundle.rootfs().display()),
    );
    bundle.hook("poststop", &format!("id -u > {}", two.display()));
    assert_eq!(user.run(&bundle).ok().out, "0\n");
    for file in [one, two] {
        assert_eq!(fs::read_to_string(file).unwrap(), format!("{UID}\n"));
    }
}

fn rootless_shell(lab: &Lab) {
    let user = User::new(lab);
    lab.need_program("newuidmap");
    let root = user.bundle("true").rootfs().display().to_string();
    let script = "id -u; echo x > /new && cat /new; cat /proc/self/mountinfo | wc -l";
    let done = user
        .corten(&["shell", "--rootfs", &root, "sh", "-c", script])
        .ok();
    assert!(done.out.starts_with("0\nx\n"), "{done:?}");
    assert!(!Path::new(&root).join("new").exists());
    let words = [
        "shell",
        "--rootfs",
        &root,
        "--userns",
        "remap",
        "cat",
        "/proc/self/uid_map",
    ];
    let map = user.corten(&words).ok().out;
    assert_eq!(
        map.split_whitespace().collect::<Vec<_>>(),
        ["0", "700000", "65536"]
    );
    user.corten(&["shell", "true"])
        .fails(1, "a layer may have no mounts below it, as / has");
    user.corten(&["shell", "--rootfs", &root, "--pids", "9", "true"])
        .fails(
            1,
            "linux.resources.pids.limit: cannot be set for a container",
        );
}

/// As podman calls: root, but of a user namespace, which is all that it is root of.
fn rootless_root_of_a_user_namespace_makes_containers(lab: &Lab) {
    let user = User::new(lab);
    lab.need_program("newuidmap");
    let mut bundle = user.bundle("id -u; sleep 1000");
    bundle
        .share("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings");
    bundle.set("/process/user/additionalGids", json!([50]));
    let (dir, id) = (bundle.write(), lab.id());
    let script = format!(
        "{0} run --detach --bundle {dir} {id} && {0} exec {id} id && {0} delete --force {id}",
        user.binary.display()
    );
    let mut call = Call::new(lab, Path::new("/usr/bin/unshare"));
    for word in [
        "--map-auto",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &script,
    ] {
        call.arg(word);
    }
    let done = user.demote(call).env("USER", "plain").done().ok();
    assert!(
        done.out
            .contains("uid=0(root) gid=0(root) groups=50(staff)"),
        "{done:?}"
    );
}

fn cgroup_manager_disabled_leaves_the_container_where_the_caller_is(lab: &Lab) {
    lab.need_corten("runc has no such flag");
    let mut bundle = lab.bundle();
    bundle.share("cgroup").args(&["cat", "/proc/self/cgroup"]);
    let (dir, id) = (bundle.write(), lab.id());
    let run = |id: &str| lab.corten(&["--cgroup-manager", "disabled", "run", "--bundle", &dir, id]);
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(run(&id).ok().out.lines().last(), own.lines().last());
    bundle.set("/linux/resources/memory", json!({"limit": 100_000_000}));
    bundle.write();
    run(&lab.id())
        .fails(1, "linux.resources.memory.limit (line ")
        .fails(1, "): cannot be set for a container without a cgroup");
}

/// The state directory of the shell was where the overlay stood: root of the user namespace could not
/// reach it through a parent of mode 0700.
fn overlay_below_a_private_state_directory_in_a_user_namespace(lab: &Lab) {
    lab.need_corten("runc has no overlay");
    fs::set_permissions(&lab.root, fs::Permissions::from_mode(0o700)).unwrap();
    let mut bundle = lab.bundle();
    bundle
        .userns()
        .sh("echo x > /new; ls -di / /..; cat /proc/self/mountinfo");
    let done = lab.run_with(&bundle, &["--overlay", "tmpfs"]).ok();
    assert!(!bundle.rootfs().join("new").exists());
    let inodes: Vec<_> = done
        .lines()
        .iter()
        .take(2)
        .map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(inodes[0], inodes[1], "{done:?}");
    // Nothing of the host's tree has stayed below or above the root.
    let roots = done
        .lines()
        .iter()
        .filter(|line| line.split(' ').nth(4) == Some("/"))
        .count();
    assert_eq!(roots, 1, "{done:?}");
    assert!(
        !done.out.contains(" /tmp ") && !done.out.contains(" /run "),
        "{done:?}"
    );
}
