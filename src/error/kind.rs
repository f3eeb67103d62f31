//! Kinds of failures for people: some dozens, each with a number that never changes its meaning.
//!
//! A kind is a class of causes, not a line of code: what is usually the matter and what to do about it is the same for all
//! failures of one kind. Numbers are given once; one that is not needed any more stays unused.

use super::{Cause, Code, Failure};

/// All kinds with their numbers.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a failure is: see [`super::pages`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// All, by their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its number: `E0201`.
            pub fn number(self) -> &'static str {
                match self {
                    $(Self::$name => $number,)*
                }
            }
        }
    };
}

kinds! {
    /// Flags, words, values on the command line.
    CommandLine = "E0101",
    /// An id that no container may have.
    InvalidId = "E0102",
    /// A property of config.json that is wrong in itself or beside another one.
    Refused = "E0201",
    /// A file that is no JSON, or cannot be read.
    Unreadable = "E0202",
    /// No config.json.
    NoConfiguration = "E0203",
    /// A root directory that cannot be one.
    RootFilesystem = "E0204",
    /// No container of that id.
    NoContainer = "E0301",
    /// The id is taken.
    IdTaken = "E0302",
    /// The container is not in the state for it.
    WrongState = "E0303",
    /// The container's record is gone or damaged.
    Record = "E0304",
    /// A named volume is missing or in use.
    Volume = "E0305",
    /// The kernel says no to this user.
    Permission = "E0401",
    /// A part of the cgroup tree that is not the user's.
    NotDelegated = "E0402",
    /// A cgroup controller that the host does not offer.
    NoController = "E0403",
    /// No cgroup v2 at all.
    NoCgroup2 = "E0404",
    /// A kernel without what is needed.
    Kernel = "E0405",
    /// Users and groups that cannot be mapped.
    IdMaps = "E0406",
    /// A security module that is not there.
    SecurityModule = "E0407",
    /// systemd does not do what it is asked for.
    Systemd = "E0408",
    /// The machine is out of something.
    Exhausted = "E0409",
    /// A file or directory of the host is missing.
    Missing = "E0410",
    /// The program criu is missing or fails.
    Criu = "E0411",
    /// A limit that the kernel does not take.
    Limit = "E0412",
    /// A mount that cannot be made.
    Mount = "E0501",
    /// A namespace that cannot be made or joined.
    Namespace = "E0502",
    /// An interface that cannot be moved.
    Network = "E0503",
    /// A system call filter that cannot be loaded.
    Filter = "E0504",
    /// A hook that failed.
    Hook = "E0505",
    /// A program that is not in the image.
    NoProgram = "E0506",
    /// A program that cannot be executed.
    Program = "E0507",
    /// The working directory of the program.
    WorkingDirectory = "E0508",
    /// Init was killed.
    Killed = "E0509",
    /// The terminal of the container.
    Terminal = "E0510",
    /// A device node that cannot be made.
    Device = "E0511",
    /// A wait that came to its end.
    Timeout = "E0601",
    /// A signal to the runtime.
    Interrupted = "E0602",
    /// A system call failed for another reason.
    System = "E0701",
    /// A fault of the runtime's own.
    Internal = "E0901",
}

impl Kind {
    /// By its number, as people type it: `E0201`, `e0201`, `201`.
    pub fn of_number(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches(['E', 'e']);
        let number = format!("E{digits:0>4}");
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.number() == number)
    }
}

/// What the parts of a failure say of its kind.
pub(super) fn derived(failure: &Failure) -> Kind {
    match failure.code {
        Code::Usage => Kind::CommandLine,
        Code::Bundle => of_bundle(failure),
        Code::NotFound => Kind::NoContainer,
        Code::Exists => Kind::IdTaken,
        Code::State => Kind::WrongState,
        Code::Hook => Kind::Hook,
        Code::Exec => of_program(failure),
        Code::Timeout => Kind::Timeout,
        // A rule has words; what has an errno was tried.
        Code::Config if failure.errno().is_none() => Kind::Refused,
        Code::Config | Code::Permission | Code::System => of_system(failure),
    }
}

fn of_bundle(failure: &Failure) -> Kind {
    if failure.field.to_string().starts_with("root") {
        Kind::RootFilesystem
    } else {
        Kind::Unreadable
    }
}

fn of_program(failure: &Failure) -> Kind {
    let is_missing = match &failure.cause {
        Some(Cause::Errno(errno)) => errno.0 == libc::ENOENT,
        // As engines look for them: `execute::message` has the words.
        Some(Cause::Text(words)) => {
            words.starts_with("stat ") || words.starts_with("executable file not found")
        }
        None => false,
    };
    if is_missing {
        Kind::NoProgram
    } else {
        Kind::Program
    }
}

/// By what asked for it, which says more than an errno; the first that fits.
const BY_FIELD: [(&str, Kind); 15] = [
    ("mounts", Kind::Mount),
    ("--overlay", Kind::Mount),
    ("--layer", Kind::Mount),
    ("--volume", Kind::Mount),
    ("annotations", Kind::Mount),
    ("root", Kind::Mount),
    ("linux.uidMappings", Kind::IdMaps),
    ("linux.gidMappings", Kind::IdMaps),
    ("linux.namespaces", Kind::Namespace),
    ("linux.netDevices", Kind::Network),
    ("linux.seccomp", Kind::Filter),
    ("linux.devices", Kind::Device),
    ("process.cwd", Kind::WorkingDirectory),
    ("process.terminal", Kind::Terminal),
    ("--console-socket", Kind::Terminal),
];

fn of_system(failure: &Failure) -> Kind {
    let errno = failure.errno().map_or(0, |errno| errno.0);
    // What the machine lacks at the moment is not the fault of what asked.
    match errno {
        libc::ENOMEM | libc::ENOSPC | libc::EMFILE | libc::ENFILE | libc::EDQUOT | libc::EAGAIN => {
            return Kind::Exhausted;
        }
        libc::ENOSYS => return Kind::Kernel,
        _ => {}
    }
    let field = failure.field.to_string();
    let is_denied = failure.code == Code::Permission;
    let is_of_cgroup = ["linux.cgroupsPath", "linux.resources", "--cgroup"]
        .iter()
        .any(|name| field.starts_with(name));
    if is_of_cgroup {
        return if is_denied {
            Kind::NotDelegated
        } else {
            Kind::Limit
        };
    }
    let by_field = BY_FIELD.iter().find(|(name, _)| field.starts_with(name));
    match by_field {
        Some((_, kind)) => *kind,
        None if is_denied => Kind::Permission,
        None if matches!(errno, libc::ENOENT | libc::ENOTDIR) => Kind::Missing,
        None => Kind::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Field;
    use crate::sys::Errno;

    #[test]
    fn numbers_are_given_once_and_found_again() {
        let mut numbers: Vec<_> = Kind::ALL.iter().map(|kind| kind.number()).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        numbers.dedup();
        assert_eq!(numbers.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let number = kind.number();
            for typed in [
                number,
                &number.to_lowercase(),
                &number[1..],
                number[1..].trim_start_matches('0'),
            ] {
                assert_eq!(Kind::of_number(typed), Some(*kind), "{typed}");
            }
        }
        assert_eq!(Kind::of_number("E9999"), None);
        assert_eq!(Kind::of_number(""), None);
    }

    fn system(field: &'static str, errno: i32) -> Failure {
        Failure::system("cannot do it", Errno(errno)).at(Field::new(field))
    }

    #[test]
    fn the_parts_of_a_failure_say_what_it_is() {
        let exec = |why: &str| Failure::new(Code::Exec, "exec: \"x\"").because(why);
        let cases = [
            (Failure::new(Code::Usage, "no such flag"), Kind::CommandLine),
            (
                Failure::config(Field::index("mounts", 2), "twice"),
                Kind::Refused,
            ),
            (
                Failure::new(Code::Bundle, "line 3 column 1: trailing comma"),
                Kind::Unreadable,
            ),
            (
                Failure::new(Code::Bundle, "a link").at(Field::new("root.path")),
                Kind::RootFilesystem,
            ),
            (
                Failure::new(Code::NotFound, "container does not exist"),
                Kind::NoContainer,
            ),
            (
                Failure::new(Code::Exists, "container with given ID already exists"),
                Kind::IdTaken,
            ),
            (
                Failure::new(Code::State, "container not running"),
                Kind::WrongState,
            ),
            (Failure::new(Code::Hook, "hook failed"), Kind::Hook),
            (
                Failure::new(Code::Timeout, "waited too long"),
                Kind::Timeout,
            ),
            (exec("executable file not found in $PATH"), Kind::NoProgram),
            (exec("stat /x: no such file or directory"), Kind::NoProgram),
            (exec("permission denied"), Kind::Program),
            (system("mounts[1]", libc::EPERM), Kind::Mount),
            (system("mounts[1]", libc::ENOSPC), Kind::Exhausted),
            (
                system("linux.cgroupsPath", libc::EACCES),
                Kind::NotDelegated,
            ),
            (
                system("linux.resources.memory.limit", libc::EINVAL),
                Kind::Limit,
            ),
            (system("linux.namespaces[0]", libc::EINVAL), Kind::Namespace),
            (system("linux.uidMappings", libc::EPERM), Kind::IdMaps),
            (
                system("linux.netDevices[\"eth0\"]", libc::ENODEV),
                Kind::Network,
            ),
            (system("linux.seccomp", libc::EINVAL), Kind::Filter),
            (system("linux.devices[0]", libc::EPERM), Kind::Device),
            (system("process.cwd", libc::ENOENT), Kind::WorkingDirectory),
            (
                system("--console-socket", libc::ECONNREFUSED),
                Kind::Terminal,
            ),
            (system("", libc::EPERM), Kind::Permission),
            (system("", libc::ENOENT), Kind::Missing),
            (system("", libc::ENOSYS), Kind::Kernel),
            (system("", libc::EIO), Kind::System),
        ];
        for (failure, kind) in cases {
            assert_eq!(failure.kind(), kind, "{failure}");
        }
        let known = system("", libc::EIO).of(Kind::Criu);
        assert_eq!(known.kind(), Kind::Criu);
    }
}
