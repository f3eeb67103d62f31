"""The two bundles' configurations.

simple: what `runc spec` writes, without a terminal.
docker: what dockerd writes: six namespaces, Docker's mounts with three files, masked and read-only paths, capabilities, two
        kernel parameters, the default seccomp profile and device rules; no limit of memory, processors or processes.
"""

import json
import os

DOCKER_CAPABILITIES = """CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP
CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE""".split()
SIMPLE_CAPABILITIES = "CAP_AUDIT_WRITE CAP_KILL CAP_NET_BIND_SERVICE".split()
MASKED = """/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats
/proc/sched_debug /proc/scsi /sys/firmware""".split()
READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()
NAMESPACES = "pid network ipc uts mount cgroup".split()
PROFILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../src/seccomp/docker.json")


def mount(destination, kind, source, options):
    return {"destination": destination, "type": kind, "source": source, "options": options.split()}


def file_systems(proc, shm, cgroup):
    return [
        mount("/proc", "proc", "proc", proc),
        mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 " + shm),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
        mount("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", cgroup),
    ]


def config(rootfs, words, cgroup, capabilities, mounts):
    """What both have."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": words,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "HOSTNAME=bench"],
            "cwd": "/",
            "capabilities": {name: capabilities for name in ("bounding", "effective", "permitted")},
        },
        "root": {"path": rootfs},
        "hostname": "bench",
        "mounts": mounts,
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": name} for name in NAMESPACES],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READONLY),
        },
    }


def simple(rootfs, words, cgroup):
    mounts = file_systems("", "size=65536k", "nosuid noexec nodev relatime ro")
    spec = config(rootfs, words, cgroup, SIMPLE_CAPABILITIES, mounts)
    spec["root"]["readonly"] = True
    spec["process"]["noNewPrivileges"] = True
    spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    return spec


def docker(rootfs, words, cgroup, etc):
    mounts = file_systems("nosuid noexec nodev", "size=67108864", "ro nosuid noexec nodev")
    mounts += [mount(f"/etc/{name}", "bind", f"{etc}/{name}", "rbind rprivate") for name in ("resolv.conf", "hostname", "hosts")]
    spec = config(rootfs, words, cgroup, DOCKER_CAPABILITIES, mounts)
    spec["process"]["oomScoreAdj"] = 0
    linux = spec["linux"]
    linux["maskedPaths"] += ["/proc/interrupts", "/sys/devices/virtual/powercap"]
    linux["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    linux["resources"]["devices"] += [device(True, *numbers) for numbers in ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))]
    linux["resources"]["devices"].append(device(False, 10, 229))
    with open(PROFILE) as file:
        linux["seccomp"] = json.load(file)
    return spec


def device(allow, major, minor):
    return {"allow": allow, "type": "c", "major": major, "minor": minor, "access": "rwm"}
