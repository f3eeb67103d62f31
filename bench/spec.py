#!/usr/bin/env python3
"""Writes the OCI bundles' config.json used by bench.py (imported by it).

simple: what `runc spec` writes, minus terminal, process /bin/true, no limits.
docker: all six namespaces (pid, network, ipc, uts, mount, cgroup), Docker's default
        mounts + 3 file binds, masked/readonly paths, capability list, two sysctls,
        Docker's default seccomp profile, default device rules; no memory/cpu/pids limit.
"""
import json, os

CAPS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
        "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"]
SIMPLE_CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
          "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
          "/proc/interrupts", "/sys/firmware", "/sys/devices/virtual/powercap"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def seccomp(profile):
    """Docker's default profile, in the form of the OCI specification"""
    return json.load(open(profile))


def spec(kind, rootfs, args, cgroup, etc=None, profile=None):
    caps = CAPS if kind == "docker" else SIMPLE_CAPS
    m = lambda d, t, s, o: {"destination": d, "type": t, "source": s, "options": o}
    shm = "size=65536k" if kind == "simple" else "size=67108864"
    mounts = [m("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"] if kind == "docker" else None),
              m("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
              m("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
              m("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", shm]),
              m("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
              m("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])]
    if mounts[0]["options"] is None:
        del mounts[0]["options"]
    mounts.append(m("/sys/fs/cgroup", "cgroup", "cgroup", ["ro", "nosuid", "noexec", "nodev"] if kind == "docker"
                    else ["nosuid", "noexec", "nodev", "relatime", "ro"]))
    ns = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    d = {"ociVersion": "1.0.2", "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": args,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "HOSTNAME=bench"],
            "cwd": "/", "capabilities": {k: caps for k in ("bounding", "effective", "permitted")},
            **({"noNewPrivileges": True} if kind == "simple" else {})},
         "root": {"path": rootfs, "readonly": kind == "simple"},
         "hostname": "bench", "mounts": mounts,
         "linux": {"cgroupsPath": cgroup,
                   "resources": {"devices": [{"allow": False, "access": "rwm"}]},
                   "namespaces": [{"type": n} for n in ns],
                   "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                                   "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
                   "readonlyPaths": READONLY}}
    if kind == "simple":
        d["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    else:
        d["process"]["oomScoreAdj"] = 0
        for f in ("resolv.conf", "hostname", "hosts"):
            mounts.append(m("/etc/" + f, "bind", os.path.join(etc, f), ["rbind", "rprivate"]))
        c = lambda a, b: {"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"}
        d["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}, c(1, 5), c(1, 3), c(1, 9), c(1, 8),
            c(5, 0), c(5, 1), {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]
        d["linux"]["maskedPaths"] = MASKED
        d["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
        if profile:
            d["linux"]["seccomp"] = seccomp(profile)
    return d
