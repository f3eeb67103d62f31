//! A throw-away container over a directory of this host, as `docker run` would set it up.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::{
    AtEnd, Attachment, CreateRequest, Network, RunRequest, ShellRequest, Subreaper, UserNamespace,
    birth, extras, recording, rootless,
};
use crate::config::{
    Capabilities, Cpu, IdMapping, Linux, Loaded, Memory, Mount, Names, Namespace, NamespaceType,
    Pids, Process, Resources, Root, Seccomp, Spec, User, template,
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

/// What Docker hides besides.
const MASKED: [&str; 2] = ["/proc/interrupts", "/sys/devices/virtual/powercap"];

/// The options of Docker's /proc.
const PROC: [&str; 3] = ["nosuid", "noexec", "nodev"];

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
    extras::add_volumes(&mut spec, &request.volumes)?;
    let own = Own::probe()?;
    rootless::complete(&mut spec, &own);
    let loaded = birth::checked(&create, Loaded::from_spec(spec)?)?;
    let decision = birth::decide_loaded(&create, loaded, &own, Start::Now, stay)?;
    let recording = request.recording.as_ref();
    let recording = recording
        .map(|recording| recording::begin(recording, &decision))
        .transpose()?;
    let made = birth::execute(&create, &decision, &signals, None).inspect_err(|_| {
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
    let (status, _rest) = made.attend(&run, &signals)?;
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
    let template = template::spec();
    Ok(Spec {
        root: Some(Root {
            path: root.to_owned(),
            readonly: request.root_is_readonly,
        }),
        mounts: mounts(request, template.mounts),
        process: Some(process(request)),
        hostname: Some(request.hostname.clone()),
        linux: Some(Box::new(linux(
            request,
            *template.linux.unwrap_or_default(),
        )?)),
        ..template
    })
}

fn mounts(request: &ShellRequest, mut mounts: Vec<Mount>) -> Vec<Mount> {
    for mount in &mut mounts {
        if mount.destination == "/proc" {
            mount.options = Names::from_iter(PROC);
        }
    }
    let resolver = "/etc/resolv.conf";
    // On many hosts that file is a link into /run, which the overlay does not have.
    if request.network == Network::Host && Path::new(resolver).exists() {
        mounts.push(Mount {
            destination: resolver.to_owned(),
            kind: Some("bind".to_owned()),
            source: Some(resolver.to_owned()),
            options: Names::from_iter(["bind", "ro"]),
            ..Mount::default()
        });
    }
    mounts
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
    let granted = || Some(Names::from_iter(CAPABILITIES));
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

fn linux(request: &ShellRequest, template: Linux) -> Result<Linux> {
    let mut namespaces = template.namespaces;
    if request.network == Network::Host {
        namespaces.retain(|namespace| namespace.kind != NamespaceType::Network);
    }
    let (uid_mappings, gid_mappings) = match request.user_namespace {
        UserNamespace::Host => (Vec::new(), Vec::new()),
        UserNamespace::Remap => {
            namespaces.push(Namespace {
                kind: NamespaceType::User,
                path: None,
            });
            remapped()?
        }
    };
    let is_root = nix::unistd::geteuid().is_root();
    Ok(Linux {
        namespaces,
        uid_mappings,
        gid_mappings,
        // Beside its own is the only place where a plain user may be allowed to make a cgroup.
        cgroups_path: is_root.then(|| format!("/corten/shell-{}", std::process::id())),
        resources: resources(request, template.resources),
        seccomp: Some(profile(request)?),
        masked_paths: template.masked_paths.iter().chain(MASKED).collect(),
        ..template
    })
}

/// Docker's default system call profile, as the configuration has it.
fn profile(request: &ShellRequest) -> Result<Seccomp> {
    let mut profile: Seccomp = serde_json::from_str(PROFILE).map_err(|error| {
        Failure::new(Code::System, "cannot read the default system call profile")
            .because(error.to_string())
    })?;
    let recording = request.recording.as_ref();
    if recording.is_some_and(|recording| recording.what == What::Seccomp) {
        // Calls of another table would be taken for native ones.
        profile.architectures.clear();
    }
    Ok(profile)
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

fn resources(request: &ShellRequest, template: Resources) -> Resources {
    Resources {
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
        ..template
    }
}
