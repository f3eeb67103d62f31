//! `--pid-file`: decimal, no newline, and either whole or not there.

use std::fs::{OpenOptions, remove_file, rename};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Act, Code, Failure, Field, Result};

/// Writes the number beside the file and renames it there: a caller that sees the file sees all of it. Whoever is killed
/// in between leaves what is beside, as runc does under the same name, and the next call takes it over; a file without
/// a name (O_TMPFILE) would leave nothing, but can be linked only where none is, and would come to the same name.
pub fn write(path: &Path, pid: i32) -> Result<()> {
    let act = || format!("cannot write the pid file {}", path.display());
    let named = |failure: Failure| failure.at(Field::new("--pid-file"));
    let name = path
        .file_name()
        .ok_or_else(|| named(Failure::new(Code::Usage, act()).because("it has no name")))?;
    // Renaming would put a file in the place of /dev/null, for everybody.
    let there = std::fs::symlink_metadata(path).map(|there| there.file_type());
    if there.is_ok_and(|kind| !kind.is_file() && !kind.is_symlink() && !kind.is_dir()) {
        let failure = Failure::new(Code::Usage, act()).because("what is there is no file");
        return Err(named(failure));
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    let beside = path.with_file_name(beside);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        // One that was killed may have left its own.
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW)
        .mode(0o666)
        .open(&beside)
        .and_then(|mut file| write!(file, "{pid}"))
        .and_then(|()| rename(&beside, path));
    if written.is_err() {
        // If it was not even made, the first error tells.
        remove_file(&beside).unwrap_or(());
    }
    written.act(act).map_err(named)
}

/// Takes it back: the process is gone, and the number may soon be another's.
pub fn remove(path: &Path) {
    // The failure that led here is the one to tell.
    remove_file(path).unwrap_or(());
}
