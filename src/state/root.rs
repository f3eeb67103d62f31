//! Where containers live: the root directory, and the ids that name directories in it.

use std::fmt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use crate::config;
use crate::error::{Act, Code, Failure, Result};
use crate::sys::fs;

/// Under which name Corten was called: installed in place of runc it behaves, and is named, as runc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The base name of `argv[0]` is anything but `runc`.
    Corten,
    /// The base name of `argv[0]` is `runc`.
    Runc,
}

impl Program {
    /// Decides by the base name of `argv[0]`.
    pub fn of(argv0: &str) -> Self {
        if argv0.rsplit('/').next() == Some("runc") {
            Self::Runc
        } else {
            Self::Corten
        }
    }

    /// The name in messages, and of the default root.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Corten => "corten",
            Self::Runc => "runc",
        }
    }
}

/// How the root directory was chosen: it decides what a missing one means, and its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--root`: `list` refuses a missing one.
    Given,
    /// `/run/<program>`.
    Default,
    /// `$XDG_RUNTIME_DIR/<program>`: sticky, so that the session's cleaner leaves it alone.
    UserRuntime,
}

/// The directory that holds one directory a container.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    origin: Origin,
}

impl Root {
    /// The directory of `--root`, made absolute; `/` is refused as runc refuses it.
    pub fn given(path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path)
            .act(|| format!("--root: cannot resolve {}", path.display()))?;
        let path = without_dots(&absolute);
        if path == Path::new("/") {
            return Err(Failure::new(
                Code::Usage,
                "Option --root argument should not be set to /",
            ));
        }
        Ok(Self {
            path,
            origin: Origin::Given,
        })
    }

    /// The directory if `--root` was not given: `/run/<program>`, or below the user's runtime
    /// directory where the caller is not, or is not really, root. That is $XDG_RUNTIME_DIR, and without it
    /// `/run/user/<uid>`, where systemd-logind puts it.
    pub fn default_of(program: Program) -> Self {
        let euid = nix::unistd::geteuid();
        let of_session = std::env::var_os("XDG_RUNTIME_DIR")
            .filter(|directory| !directory.is_empty() && belongs_to_a_user())
            .map(PathBuf::from);
        let of_user = || (!euid.is_root()).then(|| PathBuf::from(format!("/run/user/{euid}")));
        match of_session.or_else(of_user) {
            Some(directory) => Self {
                path: directory.join(program.name()),
                origin: Origin::UserRuntime,
            },
            None => Self {
                path: Path::new("/run").join(program.name()),
                origin: Origin::Default,
            },
        }
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it was chosen.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Makes the directory if it is missing; what is there keeps its mode. Others may walk through,
    /// because root of a user namespace is one of them and mounts below it; the files are private.
    pub fn make(&self) -> Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.path)
            .act(|| format!("cannot make the root directory {}", self.path.display()))
            .map_err(|failure| failure.hint("--root and $XDG_RUNTIME_DIR name another one"))?;
        if self.origin == Origin::UserRuntime {
            std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o1700))
                .act(|| format!("cannot set the sticky bit of {}", self.path.display()))?;
        }
        Ok(())
    }

    /// The ids of the containers, sorted. Names that cannot be ids are skipped: they are not ours.
    /// A missing directory is empty unless it was given by name.
    pub fn ids(&self) -> Result<Vec<Id>> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && self.origin != Origin::Given =>
            {
                return Ok(Vec::new());
            }
            entries => entries.act(|| format!("open {}", self.path.display()))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.act(|| format!("cannot read {}", self.path.display()))?;
            if let Some(Ok(id)) = entry.file_name().to_str().map(Id::parse) {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

/// Whether the caller's own runtime directory is the right place: euid not 0, or a root that only
/// exists inside a user namespace (`$USER` then still names the user outside).
fn belongs_to_a_user() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    in_user_namespace() && std::env::var_os("USER").is_none_or(|user| user != "root")
}

/// The link of the first user namespace: its inode is a constant of the kernel (PROC_USER_INIT_INO).
const FIRST_USER_NAMESPACE: &[u8] = b"user:[4026531837]";

/// Whether we are in another user namespace than the first: that one maps all ids to themselves.
pub fn in_user_namespace() -> bool {
    let mut link = [0; 64];
    if let Ok(length) = fs::readlinkat(fs::AT_FDCWD, c"/proc/self/ns/user", &mut link)
        && link[..length] == *FIRST_USER_NAMESPACE
    {
        return false;
    }
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else {
        return false;
    };
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// `/a/./b/../c` is `/a/c`: lexically, as Go's filepath.Abs cleans a path.
fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// The name of a container: `[A-Za-z0-9_+][A-Za-z0-9_+.-]{0,254}`, so that it is a file name, never
/// hidden, never a flag, never `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// Checks the characters.
    pub fn parse(text: &str) -> Result<Self> {
        config::check_id(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_file_name_and_never_a_path_or_a_flag() {
        for good in ["a", "A0_+.-", "_", &"x".repeat(255)] {
            assert!(Id::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "a/b",
            "..",
            ".",
            ".a",
            "-a",
            "a b",
            "a\n",
            "ä",
            "a%",
            &"x".repeat(256),
        ] {
            let failure = Id::parse(bad).unwrap_err();
            assert!(
                failure
                    .to_string()
                    .starts_with("invalid container ID format"),
                "{bad}: {failure}"
            );
        }
        assert_eq!(
            Id::parse("").unwrap_err().to_string(),
            "container id cannot be empty"
        );
    }

    #[test]
    fn the_root_directory_is_never_the_file_system_s_root() {
        for path in ["/", "//", "/tmp/..", "/a/../.."] {
            assert!(Root::given(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(
            Root::given(Path::new("/a/./b/../c/")).unwrap().path(),
            Path::new("/a/c")
        );
    }

    #[test]
    fn only_the_base_name_runc_is_runc() {
        assert_eq!(Program::of("/usr/bin/runc"), Program::Runc);
        assert_eq!(Program::of("runc"), Program::Runc);
        assert_eq!(Program::of("/opt/runc/corten"), Program::Corten);
    }

    #[test]
    fn a_missing_default_root_is_empty_and_a_missing_given_one_an_error() {
        let missing = PathBuf::from("/nonexistent/corten");
        let root = |origin| Root {
            path: missing.clone(),
            origin,
        };
        assert!(root(Origin::Default).ids().unwrap().is_empty());
        assert!(root(Origin::Given).ids().is_err());
    }
}
