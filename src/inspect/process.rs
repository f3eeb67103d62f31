//! A process: who it is, what it may, how far it is limited. From /proc/PID/status and its neighbours.

use serde::{Serialize, Serializer};

use super::Unseens;
use super::held::Held;
use crate::config::words;
use crate::error::{Act, Code, Failure, Result};

/// One process, in the caller's ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessFacts {
    /// Its name for itself, at most 15 bytes: whatever it likes.
    pub name: String,
    /// The letter and the word of proc_pid_status(5).
    pub state: String,
    /// How many.
    pub threads: u64,
    /// As the caller's user namespace numbers them.
    pub uids: Ids,
    /// As the caller's user namespace numbers them.
    pub gids: Ids,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// All five sets, by name.
    pub capabilities: CapabilityFacts,
    /// prctl(PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// System call filters.
    pub seccomp: SeccompFacts,
    /// All sixteen, in the kernel's order.
    pub rlimits: Vec<LimitFact>,
    /// -1000 to 1000.
    pub oom_score_adj: i32,
    /// What the kernel makes of it now.
    pub oom_score: u32,
    /// Of AppArmor, SELinux or another module; empty without one.
    pub label: String,
    /// Its program, as far as the caller can name it.
    pub executable: String,
    /// Its working directory, as far as the caller can name it.
    pub cwd: String,
    /// Its root directory, as far as the caller can name it.
    pub root: String,
}

/// The four ids of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// Whose privileges it has.
    pub effective: u32,
    /// What it may go back to.
    pub saved: u32,
    /// For files.
    pub filesystem: u32,
}

/// The five sets of capabilities(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityFacts {
    /// What exec can gain.
    pub bounding: CapabilitySet,
    /// What the kernel checks.
    pub effective: CapabilitySet,
    /// Kept across exec of a file that has it inheritable too.
    pub inheritable: CapabilitySet,
    /// What may be made effective.
    pub permitted: CapabilitySet,
    /// Kept across exec of any program.
    pub ambient: CapabilitySet,
}

/// A set as the kernel's bits; shown by names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// In the order of their numbers; one that has no name yet by its number.
    pub fn names(self) -> Vec<String> {
        let is_set = |bit: &usize| self.0 & 1 << bit != 0;
        let name = |bit: usize| match words::CAPABILITIES.get(bit) {
            Some(name) => (*name).to_owned(),
            None => format!("CAP_{bit}"),
        };
        (0..64).filter(is_set).map(name).collect()
    }
}

impl Serialize for CapabilitySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

/// seccomp(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeccompFacts {
    /// `disabled`, `strict` or `filter`.
    pub mode: String,
    /// How many are in force.
    pub filters: u32,
}

/// A limit of getrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitFact {
    /// `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// None is unlimited.
    pub soft: Option<u64>,
    /// None is unlimited.
    pub hard: Option<u64>,
}

/// The lines of proc_pid_limits(5).
const LIMITS: [(&str, &str); 16] = [
    ("Max cpu time", "RLIMIT_CPU"),
    ("Max file size", "RLIMIT_FSIZE"),
    ("Max data size", "RLIMIT_DATA"),
    ("Max stack size", "RLIMIT_STACK"),
    ("Max core file size", "RLIMIT_CORE"),
    ("Max resident set", "RLIMIT_RSS"),
    ("Max processes", "RLIMIT_NPROC"),
    ("Max open files", "RLIMIT_NOFILE"),
    ("Max locked memory", "RLIMIT_MEMLOCK"),
    ("Max address space", "RLIMIT_AS"),
    ("Max file locks", "RLIMIT_LOCKS"),
    ("Max pending signals", "RLIMIT_SIGPENDING"),
    ("Max msgqueue size", "RLIMIT_MSGQUEUE"),
    ("Max nice priority", "RLIMIT_NICE"),
    ("Max realtime priority", "RLIMIT_RTPRIO"),
    ("Max realtime timeout", "RLIMIT_RTTIME"),
];

impl ProcessFacts {
    /// Reads what the kernel tells of a process. Its status is readable by everybody; what else is not
    /// goes to `unseen`.
    pub fn read(held: &Held, unseen: &mut Unseens) -> Result<Self> {
        let act = || format!("cannot read /proc/{}/status", held.pid());
        let status = held.small(c"status").act(act)?;
        let facts = of_status(&status)
            .ok_or_else(|| Failure::new(Code::System, act()).because("unknown format"))?;
        let number = |text: String| text.trim().parse::<i32>().unwrap_or_default();
        let oom_score = unseen.or_default("oomScore", held.small(c"oom_score").map(number));
        Ok(Self {
            rlimits: unseen.or_default("rlimits", held.small(c"limits").map(|text| limits(&text))),
            oom_score_adj: unseen
                .or_default("oomScoreAdj", held.small(c"oom_score_adj").map(number)),
            oom_score: u32::try_from(oom_score).unwrap_or_default(),
            label: label(held),
            executable: unseen.or_default("executable", held.link(c"exe")),
            cwd: unseen.or_default("cwd", held.link(c"cwd")),
            root: unseen.or_default("root", held.link(c"root")),
            ..facts
        })
    }
}

/// Without a security module the file says EINVAL: no label.
fn label(held: &Held) -> String {
    let files = [c"attr/apparmor/current", c"attr/current"];
    let texts = files.iter().filter_map(|file| held.small(file).ok());
    let text = texts.map(|text| text.trim_end_matches(['\n', '\0']).to_owned());
    text.into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// proc_pid_status(5).
fn of_status(status: &str) -> Option<ProcessFacts> {
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.strip_prefix(':')?.trim())
    };
    let set = |key: &str| u64::from_str_radix(value(key)?, 16).ok().map(CapabilitySet);
    let number = |key: &str| value(key)?.parse::<u64>().ok();
    let seccomp = match value("Seccomp") {
        Some("0") | None => "disabled",
        Some("1") => "strict",
        Some(_) => "filter",
    };
    // Since Linux 5.9.
    let filters = number("Seccomp_filters").and_then(|count| u32::try_from(count).ok());
    Some(ProcessFacts {
        name: value("Name")?.to_owned(),
        state: value("State")?.to_owned(),
        threads: number("Threads")?,
        uids: ids(value("Uid")?)?,
        gids: ids(value("Gid")?)?,
        groups: value("Groups")?
            .split_ascii_whitespace()
            .filter_map(|group| group.parse().ok())
            .collect(),
        capabilities: CapabilityFacts {
            bounding: set("CapBnd")?,
            effective: set("CapEff")?,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            ambient: set("CapAmb")?,
        },
        no_new_privileges: value("NoNewPrivs")? == "1",
        seccomp: SeccompFacts {
            mode: seccomp.to_owned(),
            filters: filters.unwrap_or(0),
        },
        ..ProcessFacts::default()
    })
}

fn ids(text: &str) -> Option<Ids> {
    let mut numbers = text
        .split_ascii_whitespace()
        .map(|number| number.parse().ok());
    Some(Ids {
        real: numbers.next()??,
        effective: numbers.next()??,
        saved: numbers.next()??,
        filesystem: numbers.next()??,
    })
}

fn limits(text: &str) -> Vec<LimitFact> {
    let find = |(line, kind): &(&str, &'static str)| {
        let rest = text.lines().find_map(|found| found.strip_prefix(line))?;
        let mut values = rest.split_ascii_whitespace();
        let mut value = || match values.next()? {
            "unlimited" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        Some(LimitFact {
            kind,
            soft: value()?,
            hard: value()?,
        })
    };
    LIMITS.iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tUid:\\n7\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\n\
        Gid:\t5\t6\t7\t8\nGroups:\t10 27 \nThreads:\t3\nCapInh:\t0\nCapPrm:\t3\nCapEff:\t1\n\
        CapBnd:\t20000000000\nCapAmb:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    #[test]
    fn a_status_is_read_by_its_keys_and_not_by_a_name_that_looks_like_one() {
        let facts = of_status(STATUS).unwrap();
        assert_eq!((facts.uids.real, facts.uids.filesystem), (1, 4));
        assert_eq!(facts.groups, [10, 27]);
        assert_eq!(
            facts.capabilities.permitted.names(),
            ["CAP_CHOWN", "CAP_DAC_OVERRIDE"]
        );
        assert_eq!(facts.capabilities.bounding.names(), ["CAP_41"]);
        assert!(facts.no_new_privileges);
        assert_eq!(
            (facts.seccomp.mode.as_str(), facts.seccomp.filters),
            ("filter", 2)
        );
        assert_eq!(of_status("Name:\tx\n"), None);
    }

    #[test]
    fn limits_are_numbers_or_none() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 4096                 files     \n\
                    Max nice priority         0                    0                    \n\
                    Max cpu time              unlimited            unlimited            seconds   \n";
        let found = limits(text);
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].kind, found[0].soft), ("RLIMIT_CPU", None));
        assert_eq!((found[1].soft, found[1].hard), (Some(1024), Some(4096)));
    }

    #[test]
    fn this_kernel_tells_all_sixteen_limits() {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(limits(&text).len(), 16);
    }
}
