//! The configuration of a container as plain data: `config.json` of runtime-spec 1.3.0.
//!
//! One struct a JSON object, one field a property, in the specification's order and words. What an
//! engine may send as `null` (Go's nil slice) reads as absent. Words that the specification closes
//! are enums, so that the parser refuses a wrong one with its line and column; words that it leaves
//! open (capabilities, mount options, system calls) stay strings.
//!
//! These are our own types, not oci-spec's: those close the set of capabilities, where an unknown
//! one must be a warning, and know neither the position of an error nor an unknown property.

mod json;
mod linux;
mod names;
mod resources;
mod seccomp;

use serde::{Deserialize, Serialize};

use json::{is_default, nullable, objects, only_objects};

pub use json::Pairs;
pub use linux::*;
pub use names::Names;
pub use resources::*;
pub use seccomp::*;

objects! {
    /// config.md: the whole file.
    Spec {
        /// SemVer 2.0.0 of the specification that the file follows.
        oci_version: String,
        /// The root filesystem; required on Linux.
        root: Option<Root>,
        /// In the order in which they are mounted.
        mounts: Vec<Mount>,
        /// May be absent at create; `start` then fails.
        process: Option<Process>,
        /// Of the UTS namespace.
        hostname: Option<String>,
        /// Of the UTS namespace.
        domainname: Option<String>,
        /// Programs run at points of the container's life.
        hooks: Hooks,
        /// Free words for engines, some of which ask things of the runtime.
        annotations: Pairs<String>,
        /// config-linux.md.
        linux: Option<Box<Linux>>,
    }

    /// config.md, Root.
    Root {
        /// Absolute, or relative to the bundle.
        path: String,
        /// The root filesystem is read-only inside the container.
        readonly: bool,
    }

    /// config.md, Mounts.
    Mount {
        /// Path inside the container.
        destination: String,
        /// Filesystem type; a dummy for bind mounts. `volume` is ours: a named volume.
        #[serde(rename = "type")]
        kind: Option<String>,
        /// Device, file or directory; relative to the bundle for binds.
        source: Option<String>,
        /// Mount options as of mount(8), plus the specification's own.
        options: Names,
        /// Of an idmapped mount.
        uid_mappings: Vec<IdMapping>,
        /// Of an idmapped mount.
        gid_mappings: Vec<IdMapping>,
    }

    /// config.md, Process.
    Process {
        /// Attach a pseudo-terminal.
        terminal: bool,
        /// Ignored unless `terminal`.
        console_size: Option<ConsoleSize>,
        /// Working directory, absolute, inside the container.
        cwd: String,
        /// `NAME=value`, as environ(7).
        env: Vec<String>,
        /// The program and its arguments; at least one.
        args: Vec<String>,
        /// setrlimit(2).
        rlimits: Vec<Rlimit>,
        /// Profile to change to at exec.
        apparmor_profile: Option<String>,
        /// The five sets of capabilities(7).
        capabilities: Option<Capabilities>,
        /// prctl(PR_SET_NO_NEW_PRIVS).
        no_new_privileges: bool,
        /// -1000 to 1000; set only if present.
        oom_score_adj: Option<i32>,
        /// sched_setattr(2).
        scheduler: Option<Scheduler>,
        /// Label to change to at exec.
        selinux_label: Option<String>,
        /// ioprio_set(2).
        io_priority: Option<IoPriority>,
        /// CPUs of processes that `exec` adds.
        #[serde(rename = "execCPUAffinity")]
        exec_cpu_affinity: Option<CpuAffinity>,
        /// Ids inside the container.
        user: User,
    }

    /// config.md: rows and columns of the terminal.
    ConsoleSize {
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    }

    /// config.md, Linux process capabilities: names such as `CAP_CHOWN`; unknown ones are a warning.
    Capabilities {
        /// Limits what exec can gain.
        bounding: Option<Names>,
        /// What the kernel checks.
        effective: Option<Names>,
        /// Kept across exec of a file with inheritable capabilities.
        inheritable: Option<Names>,
        /// What may be made effective.
        permitted: Option<Names>,
        /// Kept across exec of an unprivileged program.
        ambient: Option<Names>,
    }

    /// config.md, Linux process: execCPUAffinity. CPU lists as of cpuset(7).
    CpuAffinity {
        /// Set before the process moves into the container's cgroup.
        initial: Option<String>,
        /// Set after it.
        #[serde(rename = "final")]
        last: Option<String>,
    }

    /// config.md, POSIX-platform hooks.
    Hooks {
        /// Deprecated; runs right before createRuntime.
        prestart: Vec<Hook>,
        /// Runtime's namespace, before pivot_root.
        create_runtime: Vec<Hook>,
        /// Container's namespace, path from the runtime's, before pivot_root.
        create_container: Vec<Hook>,
        /// Container's namespace, before the user's program.
        start_container: Vec<Hook>,
        /// Runtime's namespace, after the user's program was executed.
        poststart: Vec<Hook>,
        /// Runtime's namespace, after the container is deleted.
        poststop: Vec<Hook>,
    }

    /// config.md: one program.
    Hook {
        /// Absolute.
        path: String,
        /// argv, `args[0]` included; the path alone if absent.
        args: Vec<String>,
        /// environ.
        env: Vec<String>,
        /// Seconds, above 0.
        timeout: Option<i64>,
    }
}

only_objects! { User Rlimit Scheduler IoPriority }

/// config.md, User. The ids are written even where they are 0: readers require them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase", default)]
pub struct User {
    /// In the container's user namespace.
    pub uid: u32,
    /// In the container's user namespace.
    pub gid: u32,
    /// File mode creation mask; 0022 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
    /// Not used on Linux; parsed so that it is not unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// config.md, Process: a resource limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct Rlimit {
    /// RLIMIT_*.
    #[serde(rename = "type")]
    pub kind: String,
    /// rlim_cur.
    pub soft: u64,
    /// rlim_max.
    pub hard: u64,
}

/// config.md, Scheduler: sched_setattr(2).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Scheduler {
    /// SCHED_*.
    pub policy: String,
    /// -20 to 19.
    #[serde(default, deserialize_with = "nullable")]
    pub nice: i32,
    /// Static priority.
    #[serde(default, deserialize_with = "nullable")]
    pub priority: i32,
    /// SCHED_FLAG_*.
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
    /// Nanoseconds.
    #[serde(default, deserialize_with = "nullable")]
    pub runtime: u64,
    /// Nanoseconds.
    #[serde(default, deserialize_with = "nullable")]
    pub deadline: u64,
    /// Nanoseconds.
    #[serde(default, deserialize_with = "nullable")]
    pub period: u64,
}

/// config.md, I/O Priority: ioprio_set(2).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
pub struct IoPriority {
    /// IOPRIO_CLASS_*.
    pub class: String,
    /// 0 to 7.
    #[serde(default, deserialize_with = "nullable")]
    pub priority: i32,
}
