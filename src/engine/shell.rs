//! A throw-away container over a directory of this host, as `docker run` would set it up.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::{
    AtEnd, Attachment, CreateRequest, Network, RunRequest, ShellRequest, Subreaper, UserNamespace,
    birth, recording, rootless,
};
use crate::config::{
    Capabilities, Cpu, DeviceRule, IdMapping, Linux, Loaded, Memory, Mount, Namespace,
    NamespaceType, Pids, Process, Resources, Root, Seccomp, Spec, User,
};
use crate::error::{Code, Failure, Field, Result};
use crate::host::Own;
use crate::plan::request::Start;
use crate::process::terminal::Stay;
use crate::record::What;
use crate::state::Id;
use crate::supervise::{self, Signals};

/// The fourteen that Docker leaves a container.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Destination, type, source, options: Docker's default mounts.
const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
];

/// Docker's default system call profile, for its default capabilities.
const PROFILE: &str = include_str!("../seccomp/docker.json");

/// The first id and the number of ids of `--userns`, where no subordinate ids are granted to root.
const REMAPPED: (u32, u32) = (100_000, 65_536);

/// Runs it; the program's status.
pub fn run(request: &ShellRequest) -> Result<u8> {
    let stay = Stay::Foreground;
    supervise::adopt_orphans()?;
    let signals = Signals::block()?;
    let create = create_request(request)?;
    let mut spec = spec(request)?;
    birth::add_volumes(&mut spec, &request.volumes)?;
    let own = Own::probe()?;
    rootless::complete(&mut spec, &own);
    let loaded = birth::checked(&create, Loaded::from_spec(spec)?)?;
    let decision = birth::decide_loaded(&create, loaded, &own, Start::Now, stay)?;
    let recording = request.recording.as_ref();
    let recording = recording
        .map(|recording| recording::begin(recording, &decision))
        .transpose()?;
    let made = birth::execute(&create, decision, &signals, None).inspect_err(|_| {
        if let Some(recording) = &recording {
            recording.abandon();
        }
    })?;
    let run = RunRequest {
        create,
        attachment: Attachment::Foreground,
        at_end: AtEnd::Delete,
        subreaper: Subreaper::Runtime,
        stop_timeout: None,
    };
    let status = made.attend(&run, &signals)?;
    if let Some(recording) = recording {
        recording.end(&request.log)?;
    }
    Ok(status)
}

fn create_request(request: &ShellRequest) -> Result<CreateRequest> {
    let id = Id::parse(&format!("shell-{}", std::process::id()))?;
    Ok(CreateRequest {
        data: request.data.clone(),
        overlay: Some(request.overlay.clone()),
        layers: request.layers.clone(),
        cgroup_driver: request.cgroup_driver,
        rootless: request.rootless,
        log: request.log.clone(),
        trace: request.trace.clone(),
        step: request.step.clone(),
        ..CreateRequest::new(id, PathBuf::from("/"), request.root.clone())
    })
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The configuration, as an engine would write it.
pub fn spec(request: &ShellRequest) -> Result<Spec> {
    let root = request.rootfs.to_str().ok_or_else(|| {
        Failure::new(
            Code::Usage,
            format!("{} is not UTF-8", request.rootfs.display()),
        )
        .at(Field::new("--rootfs"))
    })?;
    Ok(Spec {
        oci_version: "1.3.0".to_owned(),
        root: Some(Root {
            path: root.to_owned(),
            readonly: request.root_is_readonly,
        }),
        mounts: mounts(request),
        process: Some(process(request)),
        hostname: Some(request.hostname.clone()),
        linux: Some(linux(request)?),
        ..Spec::default()
    })
}

fn mounts(request: &ShellRequest) -> Vec<Mount> {
    let has_resolver = std::path::Path::new("/etc/resolv.conf").exists();
    // On many hosts that file is a link into /run, which the overlay does not have.
    let resolver = (
        "/etc/resolv.conf",
        "bind",
        "/etc/resolv.conf",
        &["bind", "ro"] as &[&str],
    );
    let resolver = Some(resolver).filter(|_| has_resolver && request.network == Network::Host);
    MOUNTS
        .into_iter()
        .chain(resolver)
        .map(|(destination, kind, source, options)| Mount {
            destination: destination.to_owned(),
            kind: Some(kind.to_owned()),
            source: Some(source.to_owned()),
            options: strings(options),
            ..Mount::default()
        })
        .collect()
}

fn process(request: &ShellRequest) -> Process {
    let (uid, gid) = request
        .user
        .map_or((0, 0), |(uid, gid)| (uid, gid.unwrap_or(0)));
    let args = match request.args.as_slice() {
        [] => vec![default_shell(request)],
        args => args.to_vec(),
    };
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut env = strings(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    env.push(format!("HOSTNAME={}", request.hostname));
    if terminal {
        env.push(format!(
            "TERM={}",
            std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned())
        ));
    }
    env.extend(request.env.iter().cloned());
    let granted = || Some(strings(&CAPABILITIES));
    Process {
        terminal,
        cwd: request.cwd.clone(),
        env,
        args,
        user: User {
            uid,
            gid,
            ..User::default()
        },
        capabilities: Some(Capabilities {
            bounding: granted(),
            // A user other than root gets them by the bounding set alone, as with Docker.
            effective: granted().filter(|_| uid == 0),
            permitted: granted().filter(|_| uid == 0),
            ..Capabilities::default()
        }),
        ..Process::default()
    }
}

fn default_shell(request: &ShellRequest) -> String {
    let has_bash = request.rootfs.join("bin/bash").exists();
    if has_bash { "/bin/bash" } else { "/bin/sh" }.to_owned()
}

fn linux(request: &ShellRequest) -> Result<Linux> {
    let mut kinds = vec![
        NamespaceType::Pid,
        NamespaceType::Mount,
        NamespaceType::Ipc,
        NamespaceType::Uts,
        NamespaceType::Cgroup,
    ];
    if request.network == Network::None {
        kinds.push(NamespaceType::Network);
    }
    let is_root = nix::unistd::geteuid().is_root();
    let (uid_mappings, gid_mappings) = match request.user_namespace {
        UserNamespace::Host => (Vec::new(), Vec::new()),
        UserNamespace::Remap => {
            kinds.push(NamespaceType::User);
            remapped()?
        }
    };
    let mut profile = profile()?;
    if request
        .recording
        .as_ref()
        .is_some_and(|recording| recording.what == What::Seccomp)
    {
        // Calls of another table would be taken for native ones.
        profile.architectures.clear();
    }
    Ok(Linux {
        namespaces: kinds
            .into_iter()
            .map(|kind| Namespace { kind, path: None })
            .collect(),
        uid_mappings,
        gid_mappings,
        // Beside its own is the only place where a plain user may be allowed to make a cgroup.
        cgroups_path: is_root.then(|| format!("/corten/shell-{}", std::process::id())),
        resources: resources(request),
        seccomp: Some(profile),
        masked_paths: strings(&MASKED),
        readonly_paths: strings(&READONLY),
        ..Linux::default()
    })
}

/// Docker's default system call profile, as the configuration has it.
fn profile() -> Result<Seccomp> {
    serde_json::from_str(PROFILE).map_err(|error| {
        Failure::new(Code::System, "cannot read the default system call profile")
            .because(error.to_string())
    })
}

/// Ids that are nobody's on the host: for root any will do, a plain user needs a grant.
fn remapped() -> Result<(Vec<IdMapping>, Vec<IdMapping>)> {
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        let (host_id, size) = REMAPPED;
        let map = vec![IdMapping {
            container_id: 0,
            host_id,
            size,
        }];
        return Ok((map.clone(), map));
    }
    rootless::Grants::of(uid.as_raw()).alone().ok_or_else(|| {
        Failure::new(Code::Usage, "no ids are granted to this user")
            .at(Field::new("--userns"))
            .hint("/etc/subuid and /etc/subgid grant ids; without --userns you are root in there yourself")
    })
}

fn resources(request: &ShellRequest) -> Resources {
    let deny_all = DeviceRule {
        allow: false,
        kind: None,
        major: None,
        minor: None,
        access: Some("rwm".to_owned()),
    };
    Resources {
        devices: vec![deny_all],
        memory: request.memory.map(|limit| Memory {
            limit: Some(limit),
            ..Memory::default()
        }),
        cpu: request.cpu_quota.map(|quota| Cpu {
            quota: Some(quota),
            period: Some(100_000),
            ..Cpu::default()
        }),
        pids: request.pids.map(|limit| Pids { limit: Some(limit) }),
        ..Resources::default()
    }
}
