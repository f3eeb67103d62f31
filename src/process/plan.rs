//! The process, decided: what init takes on, in the order that the kernel's rules force.
//!
//! Limits and scheduling need privileges that the container's user may not have, so they come first. The
//! bounding set needs CAP_SETPCAP, groups need CAP_SETGID, and the change of user takes all of them
//! away: bounding set, groups, user, and then the capabilities themselves, which KEEPCAPS carried over. A system
//! call filter without no_new_privs needs CAP_SYS_ADMIN up to the last moment; execve(2) computes the
//! program's capabilities from the bounding, inheritable and ambient sets alone, so init may hold it
//! until then without giving it away (capabilities(7), Transformation of capabilities during execve).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::str::FromStr;

use crate::config::{Capabilities, Names, Process, Scheduler, words};
use crate::error::{Failure, Field, Kind, Result};
use crate::host::OwnLimits;
use crate::plan::op::{Attestation, InitOp};
use crate::plan::{Planner, annotations, c_string};
use crate::process::limits;
use crate::sys::credentials::CapabilitySets;
use crate::sys::exec::CStringArray;
use crate::sys::process::SchedAttr;

const CAP_SYS_ADMIN: u64 = 1 << 21;

/// What decides about the process besides its own part of the configuration.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// `process` or `exec`'s own: the prefix of its fields.
    pub process: &'a Process,
    /// Capabilities that the kernel lets the runtime pass on.
    pub grantable: u64,
    /// Whether ids of the container are not the host's.
    pub in_user_namespace: bool,
    /// Whether setgroups(2) is allowed there.
    pub may_set_groups: bool,
    /// The program has the runtime's groups, and not its own.
    pub keeps_groups: bool,
    /// A filter will be loaded.
    pub has_filter: bool,
    /// Added to the environment: LISTEN_FDS, NOTIFY_SOCKET.
    pub variables: &'a [(String, String)],
    /// Descriptors besides stdio that the program inherits.
    pub kept_descriptors: u32,
    /// AppArmor is there.
    pub apparmor: bool,
    /// SELinux is there.
    pub selinux: bool,
    /// What the runtime is limited to.
    pub limits: OwnLimits,
}

/// Init: the label that the next exec takes on. Written while /proc is still the host's, which nobody
/// in the container can have replaced (CVE-2019-16884).
pub fn label(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    let process = circumstances.process;
    if let Some(profile) = asked(&process.apparmor_profile) {
        let field = || Field::new("process.apparmorProfile");
        if !circumstances.apparmor {
            return Err(
                Failure::config(field(), "apparmor is not enabled on this host")
                    .of(Kind::SecurityModule),
            );
        }
        let file = c"/proc/self/attr/apparmor/exec".to_owned();
        let label = c_string(format!("exec {profile}"), field)?;
        planner.init(InitOp::SetLabel { file, label }, field());
    }
    if let Some(label) = asked(&process.selinux_label) {
        let field = || Field::new("process.selinuxLabel");
        if !circumstances.selinux {
            return Err(
                Failure::config(field(), "selinux is not enabled on this host")
                    .of(Kind::SecurityModule),
            );
        }
        let file = c"/proc/self/attr/exec".to_owned();
        let label = c_string(label, field)?;
        planner.init(InitOp::SetLabel { file, label }, field());
    }
    Ok(())
}

/// Init: the label of the keyring that it makes, or SELinux would keep the program from its own keys. The next exec
/// takes it back.
pub fn keyring_label(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    let Some(label) = asked(&circumstances.process.selinux_label) else {
        return Ok(());
    };
    let field = || Field::new("process.selinuxLabel");
    let file = c"/proc/self/attr/keycreate".to_owned();
    let label = c_string(label, field)?;
    planner.init(InitOp::SetLabel { file, label }, field());
    Ok(())
}

fn asked(label: &Option<String>) -> Option<&str> {
    label.as_deref().filter(|label| !label.is_empty())
}

/// Scheduling, I/O priority, memory policy, personality: what is inherited by the program.
pub fn scheduling(planner: &mut Planner, process: &Process) -> Result<()> {
    if let Some(scheduler) = &process.scheduler {
        let field = || Field::new("process.scheduler");
        let policy = c_string(scheduler.policy.as_str(), field)?;
        planner.init(
            InitOp::SetScheduler {
                attr: attributes(scheduler)?,
                policy,
            },
            field(),
        );
    }
    if let Some(priority) = &process.io_priority {
        let class = word(
            &words::IO_CLASSES,
            &priority.class,
            "process.ioPriority.class",
        )?;
        let level = u32::try_from(priority.priority)
            .ok()
            .filter(|level| *level < 8)
            .ok_or_else(|| {
                Failure::config(
                    Field::new("process.ioPriority.priority"),
                    "an I/O priority is 0 to 7",
                )
            })?;
        planner.init(
            InitOp::SetIoPriority(u32::from(class) << 13 | level),
            Field::new("process.ioPriority"),
        );
    }
    Ok(())
}

/// A word of a table, or an error that names it.
pub fn word<T: Copy>(table: &[(&str, T)], word: &str, field: &'static str) -> Result<T> {
    table
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            Failure::config(
                Field::new(field),
                format!("{word:?} is none of {}", names.join(", ")),
            )
        })
}

fn attributes(scheduler: &Scheduler) -> Result<SchedAttr> {
    let flags = scheduler
        .flags
        .iter()
        .map(|flag| word(&words::SCHEDULER_FLAGS, flag, "process.scheduler.flags"))
        .try_fold(0, |all, flag| flag.map(|flag| all | flag))?;
    let priority = u32::try_from(scheduler.priority).map_err(|_| {
        Failure::config(
            Field::new("process.scheduler.priority"),
            "a priority is not negative",
        )
    })?;
    Ok(SchedAttr {
        size: 56,
        policy: word(
            &words::SCHEDULER_POLICIES,
            &scheduler.policy,
            "process.scheduler.policy",
        )?,
        flags,
        nice: scheduler.nice,
        priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
        ..SchedAttr::default()
    })
}

/// Whether `exec` is told on which CPUs.
pub fn has_affinity(process: &Process) -> bool {
    let affinity = process.exec_cpu_affinity.iter();
    let mut lists = affinity.flat_map(|affinity| [&affinity.initial, &affinity.last]);
    lists.any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
}

/// Init: CPUs of a process that `exec` adds, once it is in the container's cgroup.
pub fn affinity(planner: &mut Planner, process: &Process) -> Result<()> {
    let last = process
        .exec_cpu_affinity
        .as_ref()
        .and_then(|affinity| affinity.last.as_deref());
    let Some(list) = last.filter(|list| !list.is_empty()) else {
        return Ok(());
    };
    let field = || Field::new("process.execCPUAffinity.final");
    let mask = bits(list, "process.execCPUAffinity.final")?;
    planner.init(
        InitOp::SetAffinity {
            mask,
            list: c_string(list, field)?,
        },
        field(),
    );
    Ok(())
}

/// A list such as `0-3,7` as a bit each; numbers below 65536.
pub fn bits(list: &str, field: &'static str) -> Result<Vec<u64>> {
    let wrong = || {
        Failure::config(
            Field::new(field),
            format!("{list:?} is no list such as 0-3,7"),
        )
    };
    let mut words = Vec::new();
    for part in list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u16>().map(usize::from).map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        for bit in first..=last {
            if words.len() <= bit / 64 {
                words.resize(bit / 64 + 1, 0);
            }
            words[bit / 64] |= 1 << (bit % 64);
        }
    }
    Ok(words)
}

/// The five sets, masked by what can be granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// What exec can gain.
    pub bounding: u64,
    /// capset(2).
    pub sets: CapabilitySets,
    /// Kept by a program without privileges of its own.
    pub ambient: u64,
}

/// Reads the five sets. A capability that nobody knows or that the runtime does not have is a
/// warning (config.md: "runtimes SHOULD NOT fail").
pub fn capabilities<'a>(
    planner: &mut Planner,
    capabilities: Option<&'a Capabilities>,
    grantable: u64,
) -> Sets {
    let Some(capabilities) = capabilities else {
        return Sets::default();
    };
    let mut warned: Vec<&str> = Vec::new();
    let mut read = |names: &'a Option<Names>| {
        names.iter().flatten().fold(0, |bits, name| match bit_of(name) {
            Some(bit) if bit & grantable != 0 => bits | bit,
            known => {
                if !warned.contains(&name) {
                    warned.push(name);
                    planner.warn(match known {
                        Some(_) => format!("process.capabilities: {name} cannot be granted: the runtime does not have it"),
                        None => format!("process.capabilities: {name} is no capability that this kernel knows"),
                    });
                }
                bits
            }
        })
    };
    let bounding = read(&capabilities.bounding);
    let effective = read(&capabilities.effective);
    let permitted = read(&capabilities.permitted);
    let inheritable = read(&capabilities.inheritable);
    let ambient = read(&capabilities.ambient);
    // The kernel's own rules: effective is a part of permitted, ambient of permitted and inheritable.
    for name in capabilities.ambient.iter().flatten() {
        let lost = ambient & !(permitted & inheritable);
        if bit_of(name).is_some_and(|bit| bit & lost != 0) {
            planner.warn(format!(
                "process.capabilities.ambient: can't raise ambient capability {name}: it is not both permitted and inheritable"
            ));
        }
    }
    let sets = CapabilitySets {
        effective: effective & permitted,
        permitted,
        inheritable,
    };
    Sets {
        bounding,
        sets,
        ambient: ambient & permitted & inheritable,
    }
}

fn bit_of(name: &str) -> Option<u64> {
    caps::Capability::from_str(name)
        .ok()
        .map(|capability| capability.bitmask())
}

/// Everything from the working directory to the last look at what init has become.
pub fn become_user(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    let process = circumstances.process;
    let user = &process.user;
    planner.init(
        InitOp::OwnStdio {
            uid: user.uid,
            gid: user.gid,
        },
        Field::new("process.user"),
    );
    if !has_home(process) {
        planner.init(
            InitOp::FindHome { uid: user.uid },
            Field::new("process.env"),
        );
    }
    let cwd = c_string(process.cwd.as_str(), || Field::new("process.cwd"))?;
    planner.init(InitOp::ChangeDirectory(cwd), Field::new("process.cwd"));

    let mut wanted = capabilities(
        planner,
        process.capabilities.as_ref(),
        circumstances.grantable,
    );
    let program = wanted;
    // See the essay: the filter's load needs it, the program does not get it.
    if circumstances.has_filter && !process.no_new_privileges {
        wanted.sets.permitted |= CAP_SYS_ADMIN & circumstances.grantable;
        wanted.sets.effective |= CAP_SYS_ADMIN & circumstances.grantable;
    }
    change_identity(planner, circumstances, wanted.sets, &program)?;
    if process.no_new_privileges {
        planner.init(
            InitOp::ForbidNewPrivileges,
            Field::new("process.noNewPrivileges"),
        );
    }
    find_program(planner, process)?;
    planner.init(
        InitOp::Attest(Attestation {
            uid: user.uid,
            gid: user.gid,
            capabilities: wanted.sets,
            bounding: program.bounding,
            no_new_privileges: process.no_new_privileges,
        }),
        Field::default(),
    );
    planner.init(InitOp::ResetSignals, Field::default());
    planner.init(
        InitOp::KeepDescriptors(circumstances.kept_descriptors),
        Field::default(),
    );
    Ok(())
}

/// Ids and capabilities: the bounding set while init may still change it, the others when the ids are the program's.
fn change_identity(
    planner: &mut Planner,
    circumstances: &Circumstances<'_>,
    sets: CapabilitySets,
    program: &Sets,
) -> Result<()> {
    let field = || Field::new("process.capabilities");
    let keep = program.bounding;
    planner.init(InitOp::DropBounding { keep }, field().leaf("bounding"));
    change_ids(planner, circumstances)?;
    let umask = circumstances.process.user.umask.unwrap_or(0o022);
    planner.init(InitOp::SetUmask(umask), Field::new("process.user.umask"));
    planner.init(InitOp::SetCapabilities(sets), field());
    if program.ambient != 0 {
        let ambient = InitOp::RaiseAmbient(program.ambient);
        planner.init(ambient, field().leaf("ambient"));
    }
    Ok(())
}

fn change_ids(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    let user = &circumstances.process.user;
    let is_nobody = |id: u32| id == u32::MAX;
    if is_nobody(user.uid)
        || is_nobody(user.gid)
        || user.additional_gids.iter().any(|gid| is_nobody(*gid))
    {
        return Err(Failure::config(
            Field::new("process.user"),
            "4294967295 is no id",
        ));
    }
    if circumstances.keeps_groups {
        if !user.additional_gids.is_empty() {
            let key = annotations::KEEP_GROUPS;
            planner.warn(format!(
                "process.user.additionalGids is not set, as {key} asks"
            ));
        }
    } else if circumstances.may_set_groups {
        planner.init(
            InitOp::SetGroups(user.additional_gids.clone()),
            Field::new("process.user.additionalGids"),
        );
    } else if !user.additional_gids.is_empty() {
        let text = match circumstances.in_user_namespace {
            true => "groups cannot be set in this user namespace",
            false => "groups cannot be set without CAP_SETUID and CAP_SETGID",
        };
        return Err(Failure::config(
            Field::new("process.user.additionalGids"),
            text,
        ));
    }
    planner.init(InitOp::SetGid(user.gid), Field::new("process.user.gid"));
    if user.uid != 0 {
        planner.init(InitOp::KeepCapabilities, Field::new("process.user.uid"));
    }
    planner.init(InitOp::SetUid(user.uid), Field::new("process.user.uid"));
    Ok(())
}

/// An empty HOME is none; of several the last counts.
fn has_home(process: &Process) -> bool {
    let mut homes = process.env.iter().rev();
    let home = homes.find_map(|variable| variable.strip_prefix("HOME="));
    home.is_some_and(|home| !home.is_empty())
}

/// execvp(3)'s search, as a list of candidates: the last PATH counts, an empty entry is the working directory.
fn find_program(planner: &mut Planner, process: &Process) -> Result<()> {
    let field = || Field::index("process.args", 0);
    let name = process.args.first().map(String::as_str).unwrap_or_default();
    let candidates = if name.contains('/') {
        vec![c_string(name, field)?]
    } else {
        let path = process
            .env
            .iter()
            .rev()
            .find_map(|variable| variable.strip_prefix("PATH="));
        path.unwrap_or("/bin:/usr/bin")
            .split(':')
            .map(|directory| if directory.is_empty() { "." } else { directory })
            .map(|directory| c_string(format!("{directory}/{name}"), field))
            .collect::<Result<_>>()?
    };
    planner.init(
        InitOp::FindProgram {
            name: c_string(name, field)?,
            candidates,
        },
        field(),
    );
    Ok(())
}

/// The last step.
pub fn execute(planner: &mut Planner, circumstances: &Circumstances<'_>) -> Result<()> {
    let process = circumstances.process;
    let args = process
        .args
        .iter()
        .enumerate()
        .map(|(index, arg)| c_string(arg.as_str(), || Field::index("process.args", index)));
    let args = args.collect::<Result<Vec<_>>>()?;
    let env = environment(circumstances)?;
    limits::check_strings(&args, &env, circumstances)?;
    let (args, env) = (CStringArray::new(args), CStringArray::new(env));
    planner.init(InitOp::Execute { args, env }, Field::new("process.args"));
    Ok(())
}

/// The last of several variables of one name counts, in its place (as runc does; getenv(3) would take
/// the first).
pub fn environment(circumstances: &Circumstances<'_>) -> Result<Vec<CString>> {
    let (process, variables) = (circumstances.process, circumstances.variables);
    fn name_of(variable: &str) -> &str {
        variable.split('=').next().unwrap_or_default()
    }
    let mut seen: BTreeSet<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    // An empty HOME counts as none.
    if !has_home(process) {
        seen.insert("HOME");
    }
    let mut strings = Vec::with_capacity(process.env.len() + variables.len() + 1);
    for (name, value) in variables.iter().rev() {
        strings.push(c_string(format!("{name}={value}"), || {
            Field::new("process.env")
        })?);
    }
    for (index, variable) in process.env.iter().enumerate().rev() {
        if seen.insert(name_of(variable)) {
            strings.push(c_string(variable.as_str(), || {
                Field::index("process.env", index)
            })?);
        }
    }
    strings.reverse();
    Ok(strings)
}
