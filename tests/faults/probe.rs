//! What a container is, told by its own program: two containers are the same if they say the same.

use std::fs;
use std::os::unix::fs::symlink;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ground::Ground;
use super::harness::Bundle;

/// The program of the container that is to be compared.
const SCRIPT: &str = r#"
say() { echo "== $1"; }
say status; grep -E '^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig[BIC]|Cpus_allowed:|NSpid|Tracer)' /proc/$$/status
say mounts; cat /proc/self/mountinfo
say descriptors; ls -l /proc/$$/fd
say namespaces; for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done
say devices; stat -c '%n %F %t:%T %a %u:%g' /dev/* /dev/pts/*
say limits; cat /proc/self/limits /proc/self/oom_score_adj /proc/self/cgroup /proc/self/personality
say identity; hostname; cat /proc/sys/kernel/domainname; pwd; id; env | sort; umask; cat /proc/sys/kernel/shmmni
say masks; wc -c /proc/timer_list /etc/secret; ls -A /sys/firmware /etc/secrets; stat -c '%n %a %u:%g' /etc/secret /etc/secrets
say writes; for f in /x /ro/x /proc/sys/kernel/shmmni /proc/sysrq-trigger /sys/x /sys/fs/cgroup/x /tmp/x /etc/secrets/x
do (echo 1 > $f) 2>&1; done
say filter; mkdir /tmp/dir 2>&1
say rules; mknod /tmp/mem c 1 1 2>&1 && head -c1 /tmp/mem 2>&1 | head -c 200
say processes; echo /proc/[0-9]*
say links; ip link show lo 2>&1 | head -1
say keyring; grep -c '_ses.ID:' /proc/keys
say end
"#;

/// The last line of the script.
pub const END: &str = "== end";

/// Which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variety {
    /// Docker's, root in it.
    Plain,
    /// With a user and a time namespace, an unprivileged user in it, an overlay and a volume.
    Mapped,
    /// With the caller's network by its path and a terminal.
    Joined,
    /// With all that resolves a path of the image.
    Hostile,
}

/// Makes the bundle; its program tells what it finds, or waits.
pub fn bundle(ground: &Ground, variety: Variety, waits: bool) {
    let dir = ground.dir.join("bundle");
    let rootfs = dir.join("rootfs");
    for name in [
        "bin",
        "dev",
        "etc/secrets",
        "proc",
        "ro",
        "sys",
        "tmp",
        "var",
    ] {
        fs::create_dir_all(rootfs.join(name)).expect("the tmpfs is empty");
    }
    fs::copy("/usr/bin/busybox", rootfs.join("bin/busybox")).expect("busybox-static is installed");
    for name in [
        "sh", "grep", "cat", "ls", "sed", "readlink", "stat", "hostname", "id", "env", "sort",
        "wc", "mkdir", "mknod", "head", "ip", "sleep", "true",
    ] {
        symlink("busybox", rootfs.join("bin").join(name)).expect("the names differ");
    }
    let write =
        |path: &str, text: &str| fs::write(rootfs.join(path), text).expect("the tmpfs is writable");
    write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    );
    write("etc/group", "root:x:0:\n");
    write("etc/secret", "secret\n");
    write("etc/secrets/secret", "secret\n");
    write("probe", &SCRIPT.replace("ID", &ground.id));
    let mut bundle = Bundle::new(dir, &format!("{}/a", ground.cgroup));
    enrich(&mut bundle, ground);
    match variety {
        Variety::Plain => {}
        Variety::Mapped => mapped(&mut bundle),
        Variety::Joined => joined(&mut bundle),
        Variety::Hostile => hostile(&mut bundle, ground),
    }
    if waits {
        bundle.sh("sleep 1000 & exec sleep 1000");
    }
    bundle.write();
}

/// A bit of everything that a fault could lose.
fn enrich(bundle: &mut Bundle, ground: &Ground) {
    let shared = ground.dir.join("shared");
    bundle
        .args(&["sh", "/probe"])
        .set("/root/readonly", json!(true))
        .set("/domainname", json!("example"))
        .set("/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [5, 50], "umask": 0o27}))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 1000, "hard": 2000}]))
        .set("/process/oomScoreAdj", json!(100))
        .set("/linux/sysctl", json!({"kernel.shmmni": "1234"}))
        .set("/linux/rootfsPropagation", json!("private"))
        .set("/linux/maskedPaths/-", json!("/etc/secret"))
        .set("/linux/maskedPaths/-", json!("/etc/secrets"))
        .set("/linux/devices", json!([{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 0o600}]))
        .set("/linux/seccomp", json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}],
        }))
        .mount("tmpfs", "tmpfs", "/tmp", &["nosuid", "noexec", "mode=1777", "size=1m"])
        .bind(&shared, "/ro", &["rbind", "ro", "nosuid", "nodev"])
        .set("/linux/maskedPaths/3", json!("/proc/kcore"))
        .set("/hooks/createRuntime", json!([{"path": "/bin/true", "timeout": 5}]));
}

fn mapped(bundle: &mut Bundle) {
    bundle
        .userns()
        .unshare("time")
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 1000}}))
        .set("/process/user/uid", json!(1000))
        .set("/process/user/gid", json!(1000))
        .set("/process/noNewPrivileges", json!(true))
        .set("/annotations", json!({"org.corten.overlay": "tmpfs"}))
        .mount("volume", "kept", "/var", &["nosuid"])
        .hook("startContainer", "true");
}

fn joined(bundle: &mut Bundle) {
    bundle
        .join("network", "/proc/1/ns/net")
        .set("/process/terminal", json!(true))
        .hook("createContainer", "cat >/dev/null")
        .hook("poststop", "cat >/dev/null");
}

/// Sings whatever it finds, and tells of every procfs that shows more than it should.
const SEARCH: &str = r#"
cat /vol/a/b/* /vol/m/* /etc/secret /etc/secrets/* /shared/a/b/* /work/* /dev/null /dev/ptmx/* 2>/dev/null
while read -r source point type rest
do
    [ "$type" = proc ] || continue
    case $point in /proc/*) continue ;; esac
    [ -s "$point/timer_list" ] || [ "$(head -c1 $point/timer_list 2>/dev/null | wc -c)" = 0 ] || echo "shown: $point/timer_list"
    (echo 4321 > "$point/sys/kernel/shmmni") 2>/dev/null && echo "shown: $point/sys is writable"
done < /proc/self/mounts
say end
"#;

fn hostile(bundle: &mut Bundle, ground: &Ground) {
    let rootfs = bundle.rootfs();
    for name in ["vol/a/b", "vol/m", "vol/r", "work", "shared"] {
        fs::create_dir_all(rootfs.join(name)).expect("the tmpfs is writable");
    }
    fs::write(rootfs.join("vol/m/secret"), "secret\n").expect("the tmpfs is writable");
    let shared = ground.dir.join("shared");
    fs::create_dir_all(shared.join("a/b")).expect("the tmpfs is writable");
    let device = json!({"type": "c", "path": "/vol/a/zero", "major": 1, "minor": 5});
    bundle
        .mount("tmpfs", "tmpfs", "/vol/a/b", &["mode=755"])
        .bind(&shared, "/shared", &["rbind", "rw"])
        .mount("tmpfs", "tmpfs", "/shared/a/b", &["mode=755"])
        .bind(&shared.join("a"), "/vol/a/made/dir", &["bind", "ro"])
        .set("/linux/devices/-", device)
        .set("/linux/maskedPaths/-", json!("/vol/m/secret"))
        .set("/linux/readonlyPaths/-", json!("/vol/r"))
        .set("/process/cwd", json!("/work/made"))
        .set("/root/readonly", json!(false))
        .sh(&format!("say() {{ echo \"== $1\"; }}\n{SEARCH}"));
}

/// What the program said, without what differs from one container to the next.
pub fn normal(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines() {
        if line.starts_with("== ") {
            lines.push(line.to_owned());
            continue;
        }
        let line = match lines.iter().rev().find_map(|line| line.strip_prefix("== ")) {
            Some("mounts") => mount(line),
            Some("namespaces") => namespace(line),
            Some("descriptors") => descriptor(line),
            _ => line.to_owned(),
        };
        lines.push(line);
    }
    lines.join("\n")
}

/// A line of mountinfo without its numbers; peer groups without theirs.
fn mount(line: &str) -> String {
    let words = line.split(' ').enumerate().filter(|(index, _)| *index > 2);
    let words = words.map(|(_, word)| {
        word.split_once(':')
            .filter(|(kind, _)| ["shared", "master"].contains(kind))
            .map_or(word, |(kind, _)| kind)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A line of `ls -l` without the times; the first three lead to files of the ground.
fn descriptor(line: &str) -> String {
    let Some((left, target)) = line.split_once(" -> ") else {
        return String::new();
    };
    let number = left.rsplit(' ').next().unwrap_or_default();
    let target = if ["0", "1", "2"].contains(&number) {
        "standard"
    } else {
        target
    };
    format!("{number} {target}")
}

/// Whether it is the runtime's.
fn namespace(line: &str) -> String {
    let Some((kind, _)) = line.split_once(':') else {
        return line.to_owned();
    };
    let ours = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
    let whose = if ours.as_os_str() == line {
        "shared"
    } else {
        "own"
    };
    format!("{kind} {whose}")
}
