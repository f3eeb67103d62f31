//! The table of probes: what is asked, who cannot do without, why it matters, what mends it.

use super::{
    Circumstances, Outcome, cgroups, filesystems, host, kernel, namespaces, network, programs,
};

/// How much depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    Should,
    Not,
}

use Need::{Must, Not, Should};

/// A row of the table.
pub(super) struct Probe {
    pub(super) name: &'static str,
    /// Of Corten, docker, podman, kubernetes, rootless.
    pub(super) needs: [Need; 5],
    pub(super) look: fn(&Circumstances) -> Outcome,
    pub(super) why: &'static str,
    pub(super) mend: &'static str,
}

/// Of Corten, docker, podman, kubernetes, rootless.
pub(super) const ALL: [Need; 5] = [Must; 5];
const ROOT: [Need; 5] = [Must, Must, Must, Must, Not];
const NICE: [Need; 5] = [Should; 5];
const NICE_FOR_ROOT: [Need; 5] = [Should, Should, Should, Should, Not];
const LIMITS: [Need; 5] = [Should, Should, Should, Must, Should];
const PLAIN_USER_OVERLAY: [Need; 5] = [Not, Not, Should, Not, Should];
const PLAIN_USER_MAPS: [Need; 5] = [Not, Not, Should, Not, Must];
const PLAIN_USER: [Need; 5] = [Should, Not, Should, Not, Must];

pub(super) const fn probe(
    name: &'static str,
    needs: [Need; 5],
    look: fn(&Circumstances) -> Outcome,
    why: &'static str,
    mend: &'static str,
) -> Probe {
    Probe {
        name,
        needs,
        look,
        why,
        mend,
    }
}

pub(super) const PROBES: &[Probe] = &[
    probe(
        "kernel",
        ALL,
        kernel::release,
        "the system calls of Linux 5.14 are used",
        "boot a newer kernel",
    ),
    probe(
        "mount namespace",
        ALL,
        namespaces::mount,
        "a container has its own mounts",
        "a kernel with CONFIG_NAMESPACES",
    ),
    probe(
        "pid namespace",
        ALL,
        namespaces::pid,
        "a container has its own processes",
        "a kernel with CONFIG_PID_NS",
    ),
    probe(
        "network namespace",
        ALL,
        namespaces::network,
        "a container has its own interfaces",
        "a kernel with CONFIG_NET_NS",
    ),
    probe(
        "ipc namespace",
        ALL,
        namespaces::ipc,
        "a container has its own message queues",
        "a kernel with CONFIG_IPC_NS",
    ),
    probe(
        "uts namespace",
        ALL,
        namespaces::uts,
        "a container has its own host name",
        "a kernel with CONFIG_UTS_NS",
    ),
    probe(
        "cgroup namespace",
        ALL,
        namespaces::cgroup,
        "a container sees its own cgroup as the root",
        "a kernel with CONFIG_CGROUPS",
    ),
    probe(
        "time namespace",
        NICE,
        namespaces::time,
        "linux.timeOffsets",
        "a kernel with CONFIG_TIME_NS",
    ),
    probe(
        "user namespace",
        [Should, Should, Should, Should, Must],
        namespaces::user,
        "root of a container that is nobody on the host",
        "sysctl -w user.max_user_namespaces=28633",
    ),
    probe(
        "user namespace of a plain user",
        PLAIN_USER,
        namespaces::of_a_plain_user,
        "rootless containers begin with one",
        "sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=28633",
    ),
    probe(
        "user.max_*_namespaces",
        ALL,
        namespaces::limits,
        "a limit of 0 forbids a kind of namespaces",
        "sysctl -w the limit to 28633",
    ),
    probe(
        "mount calls",
        ALL,
        filesystems::calls,
        "mounts are made and moved by descriptor (fsopen, open_tree, mount_setattr)",
        "boot Linux 5.12 or later; in a container, a system call filter that allows them",
    ),
    probe(
        "overlayfs",
        [Should, Must, Must, Must, Should],
        filesystems::overlay,
        "images are stacked from layers",
        "modprobe overlay",
    ),
    probe(
        "overlayfs in a user namespace",
        PLAIN_USER_OVERLAY,
        filesystems::overlay_of_a_user,
        "layers without fuse-overlayfs",
        "boot Linux 5.11 or later, modprobe overlay; or install fuse-overlayfs",
    ),
    probe(
        "idmapped mounts",
        NICE_FOR_ROOT,
        filesystems::idmap,
        "volumes and layers whose owners fit the container's user namespace",
        "a filesystem that knows them: ext4, xfs, btrfs, overlayfs (Linux 6.6), tmpfs (6.3)",
    ),
    probe(
        "openat2",
        ALL,
        kernel::openat2,
        "paths inside an image are walked without leaving it",
        "boot Linux 5.6 or later; in a container, a system call filter that allows it",
    ),
    probe(
        "pidfd",
        ALL,
        kernel::pidfd,
        "a process is signalled by descriptor, never by a number that was given out again",
        "boot Linux 5.6 or later; in a container, a system call filter that allows it",
    ),
    probe(
        "seccomp filter",
        ALL,
        kernel::seccomp,
        "system calls that a container must not make",
        "a kernel with CONFIG_SECCOMP_FILTER",
    ),
    probe(
        "seccomp log",
        NICE,
        kernel::seccomp_log,
        "SCMP_ACT_LOG and the flag LOG",
        "boot Linux 4.14 or later",
    ),
    probe(
        "seccomp user notification",
        NICE,
        kernel::seccomp_notify,
        "agents that answer system calls (SCMP_ACT_NOTIFY)",
        "boot Linux 5.0 or later",
    ),
    probe(
        "cgroup v2",
        ALL,
        cgroups::layout,
        "limits, freezing and killing of a container as one",
        "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all",
    ),
    probe(
        cgroups::OWN,
        [Must, Must, Must, Must, Should],
        cgroups::own,
        "a container is held together by its cgroup",
        "systemd-run --user --scope -p Delegate=yes corten doctor",
    ),
    probe(
        "clone3 into a cgroup",
        [Must, Must, Must, Must, Should],
        cgroups::clone_into,
        "no process of a container ever runs outside of its cgroup",
        "boot Linux 5.7 or later; in a container, a system call filter that allows clone3",
    ),
    probe(
        "cgroup.kill",
        LIMITS,
        cgroups::kill,
        "no fork can outrun the end of a container",
        "boot Linux 5.14 or later",
    ),
    probe(
        "cgroup.freeze",
        LIMITS,
        cgroups::freeze,
        "pause, resume, checkpoint",
        "boot Linux 5.2 or later",
    ),
    probe(
        "device programs",
        ROOT,
        cgroups::devices,
        "which devices a container may open is decided by an eBPF program",
        "a kernel with CONFIG_CGROUP_BPF; outside of a user namespace",
    ),
    probe(
        "cpu controller",
        LIMITS,
        cgroups::cpu,
        "linux.resources.cpu",
        "enable it, or move it to cgroup v2: boot with cgroup_no_v1=all",
    ),
    probe(
        "cpuset controller",
        LIMITS,
        cgroups::cpuset,
        "linux.resources.cpu.cpus",
        "enable it, or move it to cgroup v2: boot with cgroup_no_v1=all",
    ),
    probe(
        "memory controller",
        LIMITS,
        cgroups::memory,
        "linux.resources.memory",
        "boot with cgroup_enable=memory cgroup_no_v1=all",
    ),
    probe(
        "io controller",
        NICE,
        cgroups::io,
        "linux.resources.blockIO",
        "enable it, or move it to cgroup v2: boot with cgroup_no_v1=all",
    ),
    probe(
        "pids controller",
        LIMITS,
        cgroups::pids,
        "linux.resources.pids: a fork bomb ends in its container",
        "enable it, or move it to cgroup v2: boot with cgroup_no_v1=all",
    ),
    probe(
        "pressure",
        NICE,
        cgroups::pressure,
        "top and events tell who waits for memory",
        "boot with psi=1",
    ),
    probe(
        "security modules",
        NICE,
        host::security,
        "process.apparmorProfile, process.selinuxLabel",
        "boot with lsm=…,apparmor or selinux",
    ),
    probe(
        "apparmor_parser",
        [Not, Should, Should, Should, Not],
        programs::apparmor,
        "engines load their profile with it",
        "apt install apparmor",
    ),
    probe(
        "newuidmap and newgidmap",
        PLAIN_USER_MAPS,
        programs::id_map_programs,
        "a plain user gets more than one id",
        "apt install uidmap",
    ),
    probe(
        "subordinate ids",
        PLAIN_USER_MAPS,
        programs::subordinate_ids,
        "images have files of many users",
        "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
    ),
    probe(
        "runtime directory",
        ALL,
        host::run,
        "the state of containers is written there",
        "mount -o remount,rw /run; of a user: loginctl enable-linger USER",
    ),
    probe(
        "free inodes and space",
        ALL,
        host::room,
        "a full filesystem fails in the middle of a create",
        "df -i; df; remove what is not needed",
    ),
    probe(
        "veth pair",
        [Not, Must, Must, Must, Should],
        network::veth,
        "a cable between a container and the host",
        "modprobe veth",
    ),
    probe(
        "bridge",
        [Not, Must, Should, Should, Should],
        network::bridge,
        "containers of a network are plugged into one",
        "modprobe bridge",
    ),
    probe(
        "/dev/net/tun",
        [Not, Not, Should, Not, Should],
        network::tun,
        "the network of a plain user's containers ends in a program (pasta, slirp4netns)",
        "modprobe tun",
    ),
    probe(
        "pasta or slirp4netns",
        [Not, Not, Should, Not, Should],
        programs::network_of_a_user,
        "it carries the packets of a plain user's containers",
        "apt install passt, or slirp4netns",
    ),
    probe(
        "conmon",
        [Not, Not, Must, Not, Not],
        programs::conmon,
        "it holds the terminal and the exit status of each container",
        "apt install conmon",
    ),
    probe(
        "network plugins",
        [Not, Not, Should, Must, Not],
        programs::plugins,
        "they plug containers into networks",
        "apt install netavark (podman), containernetworking-plugins (kubernetes)",
    ),
    probe(
        "swap",
        [Not, Not, Not, Should, Not],
        host::swap,
        "a kubelet refuses to start with swap unless it is told to",
        "swapoff --all, or failSwapOn: false for the kubelet",
    ),
    probe(
        "ip_forward",
        [Not, Should, Should, Must, Not],
        host::ip_forward,
        "packets reach containers through the host",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    probe(
        "bridge and iptables",
        [Not, Should, Not, Should, Not],
        host::bridge,
        "packets between containers of a bridge pass the host's rules",
        "modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1",
    ),
    probe(
        "iptables or nft",
        [Not, Should, Should, Should, Not],
        programs::firewall,
        "ports are published by rules of the firewall",
        "apt install iptables",
    ),
    probe(
        "systemd",
        [Should, Should, Should, Should, Should],
        programs::systemd,
        "cgroups made by systemd (--systemd-cgroup)",
        "use the driver cgroupfs, or start systemd; of a user: apt install dbus-user-session",
    ),
    probe(
        "criu",
        [Should, Not, Should, Not, Not],
        programs::criu,
        "checkpoint and restore",
        "apt install criu",
    ),
    probe(
        "core_pattern",
        NICE,
        host::core_pattern,
        "where the memory of a program that crashed goes",
        "sysctl -w kernel.core_pattern=core",
    ),
    probe(
        "inotify instances",
        [Not, Should, Should, Should, Should],
        host::inotify,
        "many containers watch many files: \"too many open files\"",
        "sysctl -w fs.inotify.max_user_instances=1024",
    ),
    probe(
        "keys of a user",
        [Should, Should, Should, Should, Should],
        host::keys,
        "each container has a keyring: \"disk quota exceeded\"",
        "sysctl -w kernel.keys.maxkeys=2000 kernel.keys.maxbytes=2000000",
    ),
];
