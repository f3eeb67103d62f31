//! `--pid-file`: decimal, no newline, and either whole or not there.

use std::fs::{OpenOptions, remove_file, rename};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Act, Code, Failure, Field, Result};

/// Writes the number beside the file and renames it there: a caller that sees the file sees all of it.
pub fn write(path: &Path, pid: i32) -> Result<()> {
    let act = || format!("cannot write the pid file {}", path.display());
    let named = |failure: Failure| failure.at(Field::new("--pid-file"));
    let name = path
        .file_name()
        .ok_or_else(|| named(Failure::new(Code::Usage, act()).because("it has no name")))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    let beside = path.with_file_name(beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&beside)
        .and_then(|mut file| write!(file, "{pid}"))
        .and_then(|()| rename(&beside, path));
    if written.is_err() {
        // Only what was made here goes; if it was somebody else's, the first error tells.
        remove_file(&beside).unwrap_or(());
    }
    written.act(act).map_err(named)
}
