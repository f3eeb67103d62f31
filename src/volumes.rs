//! Named volumes: directories below the data directory that outlive containers.
//!
//! A mount of type `volume` has a name for a source. The name becomes one path component,
//! `DATA/volumes/NAME/data`, so whatever it is it cannot lead elsewhere. A container holds a shared lock on
//! the volume's directory from before its mounts until it is deleted, so that a volume in use is
//! not removed: the lock is a file `DATA/volumes/NAME/users/ID`, which `delete` removes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Act, Code, Failure, Kind, Result};

/// A volume as `volume inspect` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub path: PathBuf,
    /// Ids of the containers that mount it, with the state directory of each.
    pub users: Vec<String>,
}

/// A name: letters, digits and `_.-`, not beginning with `.` or `-`, at most 255.
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = name.bytes().next();
    let is_name = first.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= 255
        && name.bytes().all(allowed);
    if is_name {
        return Ok(());
    }
    let text = format!("{name:?} is no name of a volume: letters, digits and _.- are");
    Err(Failure::new(Code::Config, text).of(Kind::Volume))
}

/// There is no place for volumes.
pub fn no_directory() -> Failure {
    Failure::new(Code::Usage, "--data: no directory")
        .because("neither $XDG_DATA_HOME nor $HOME is set")
        .of(Kind::Volume)
}

fn home(data: &Path, name: &str) -> PathBuf {
    data.join("volumes").join(name)
}

/// Where a volume's files are. The name must have been checked.
pub fn directory(data: &Path, name: &str) -> PathBuf {
    home(data, name).join("data")
}

/// The mark that a container uses a volume. State directories tell containers of one id apart.
pub fn mark(data: &Path, name: &str, state: &Path) -> PathBuf {
    let user = state
        .to_string_lossy()
        .trim_start_matches('/')
        .replace('%', "%25")
        .replace('/', "%2F");
    home(data, name).join("users").join(user)
}

/// Makes a volume if there is none.
pub fn create(data: &Path, name: &str) -> Result<()> {
    check_name(name)?;
    for path in [directory(data, name), home(data, name).join("users")] {
        let act = || format!("cannot make the volume {name}");
        let parent = path.parent().unwrap_or(data);
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(parent)
            .act(act)?;
        match DirBuilder::new().mode(0o755).create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made.act(act)?,
        }
    }
    Ok(())
}

/// Marks a volume as used by the container with this state directory.
pub fn hold(data: &Path, name: &str, state: &Path) -> Result<()> {
    create(data, name)?;
    fs::write(mark(data, name, state), b"").act(|| format!("cannot mark the volume {name} as used"))
}

/// All volumes, by name.
pub fn list(data: &Path) -> Result<Vec<Volume>> {
    let entries = match fs::read_dir(data.join("volumes")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.act(|| format!("cannot read {}", data.join("volumes").display()))?,
    };
    let mut volumes = Vec::new();
    for entry in entries {
        let entry = entry.act(|| "cannot read the volumes")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if check_name(&name).is_ok() && entry.path().join("data").is_dir() {
            volumes.push(inspect(data, &name)?);
        }
    }
    volumes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(volumes)
}

/// One volume.
pub fn inspect(data: &Path, name: &str) -> Result<Volume> {
    check_name(name)?;
    let path = directory(data, name);
    if !path.is_dir() {
        return Err(
            Failure::new(Code::NotFound, format!("volume {name} does not exist")).of(Kind::Volume),
        );
    }
    let mut users = Vec::new();
    let entries = fs::read_dir(home(data, name).join("users"));
    for entry in entries.act(|| format!("cannot read the users of the volume {name}"))? {
        let entry = entry.act(|| format!("cannot read the users of the volume {name}"))?;
        let user = entry
            .file_name()
            .to_string_lossy()
            .replace("%2F", "/")
            .replace("%25", "%");
        let state = Path::new("/").join(user);
        // A state directory that is gone took its container with it, whoever removed it.
        if state.is_dir() {
            users.push(
                state
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
    users.sort();
    Ok(Volume {
        name: name.to_owned(),
        path,
        users,
    })
}

/// Removes a volume that no container uses.
pub fn remove(data: &Path, name: &str) -> Result<()> {
    let volume = inspect(data, name)?;
    if !volume.users.is_empty() {
        let text = format!("volume {name} is in use by {}", volume.users.join(", "));
        return Err(Failure::new(Code::State, text).of(Kind::Volume));
    }
    fs::remove_dir_all(home(data, name)).act(|| format!("cannot remove the volume {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/a",
            "-a",
            ".a",
            "a b",
            "ä",
            &"x".repeat(256),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "redis-data", "_x", "1.2", &"x".repeat(255)] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn a_volume_in_use_is_not_removed() {
        let data = std::env::temp_dir().join(format!("corten-volumes-{}", std::process::id()));
        let state = data.join("state/box");
        fs::create_dir_all(&state).unwrap();
        hold(&data, "v", &state).unwrap();
        assert_eq!(inspect(&data, "v").unwrap().users, ["box"]);
        assert!(
            remove(&data, "v")
                .unwrap_err()
                .to_string()
                .contains("in use by box")
        );
        fs::remove_file(mark(&data, "v", &state)).unwrap();
        remove(&data, "v").unwrap();
        assert_eq!(list(&data).unwrap(), []);
        fs::remove_dir_all(data).unwrap();
    }
}
