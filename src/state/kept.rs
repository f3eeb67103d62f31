//! What `exec` needs of a configuration, kept by a container's first one for the next.
//!
//! Health checks execute a program in a container every few seconds, and most of what is then read and compiled is the
//! system call filter, which does not change. So the first `exec` leaves, while its program runs, a file beside
//! config.json: one line, the configuration without what only a birth needs, and the filter's instructions as the kernel
//! takes them.
//!
//! ```text
//! corten 8d1a6f02c39be754 inode 53 size 9899 written 1700000000.123456789 configuration 1312 flags 4 instructions 255
//! ```
//!
//! It counts for the same compiler of filters and for the config.json that the line describes; any other is as none. Nobody
//! else can write it: it lies in the directory of the record and of config.json, which are trusted as much.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd;

use nix::errno::Errno as NixErrno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use seccompiler::sock_filter;

use super::container::Container;
use super::directory::{CONFIG, KEPT, read_file};
use crate::config::{self, Hooks, Names, Resources, Spec};
use crate::error::{Act, Failure, Result};
use crate::seccomp;
use crate::sys::Errno;

/// What an `exec` has kept.
#[derive(Debug)]
pub struct Kept {
    /// The configuration, as far as an `exec` needs it; without the filter.
    pub spec: Spec,
    /// The filter: its instructions, and the flags of its load. Without one nothing is kept: no file says that there is none.
    pub filter: (Vec<sock_filter>, u64),
}

/// What an earlier `exec` has kept for this program and for config.json as it is. What cannot be read is as none.
pub fn read(container: &Container) -> Option<Kept> {
    let bytes = read_file(container.directory(), KEPT).ok()??;
    parse(&bytes, &head(container).ok()?)
}

fn parse(bytes: &[u8], head: &str) -> Option<Kept> {
    let bytes = bytes.strip_prefix(head.as_bytes())?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]);
    let mut numbers = line.split(' ').step_by(2).map(str::parse::<u64>);
    let mut number = || numbers.next()?.ok();
    let (length, flags, count) = (number()?, number()?, number()?);
    let (text, program) = rest.split_at_checked(length.try_into().ok()?)?;
    let program = seccomp::from_bytes(program)?;
    if program.is_empty() || program.len() as u64 != count {
        return None;
    }
    let spec = config::parse(text).ok()?;
    Some(Kept {
        spec,
        filter: (program, flags),
    })
}

/// Keeps it for the next: whole, or not at all.
pub fn write(
    container: &Container,
    mut spec: Spec,
    (instructions, flags): (&[sock_filter], u64),
) -> Result<()> {
    let act = || format!("cannot write {KEPT} of container {}", container.id());
    forget_birth(&mut spec);
    let text = config::to_text(&spec)?;
    let mut head = head(container)?;
    let (length, count) = (text.len(), instructions.len());
    // A string takes all that is written into it.
    writeln!(head, "{length} flags {flags} instructions {count}").ok();
    let mut bytes = head.into_bytes();
    bytes.extend(text);
    bytes.extend(instructions.iter().flat_map(seccomp::to_bytes));

    let directory = container.directory();
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = openat(directory, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let mut file = File::from(file.map_err(Errno::from).act(act)?);
    file.write_all(&bytes).act(act)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = || {
        linkat(
            AT_FDCWD,
            path.as_str(),
            directory,
            KEPT,
            AtFlags::AT_SYMLINK_FOLLOW,
        )
    };
    match link() {
        // Of another program, or of another `exec` at the same time. Whether it is gone, the second attempt tells.
        Err(NixErrno::EEXIST) => {
            unlinkat(directory, KEPT, UnlinkatFlags::NoRemoveDir).ok();
            link()
        }
        linked => linked,
    }
    .or_else(|errno| match errno {
        // Once more: somebody keeps the same right now. Or the container is being deleted.
        NixErrno::EEXIST | NixErrno::ENOENT => Ok(()),
        errno => Err(Failure::system(act(), errno.into())),
    })
}

/// The line's first part: of which compiler, and of which config.json.
fn head(container: &Container) -> Result<String> {
    let found = fstatat(container.directory(), CONFIG, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(Errno::from)
        .act(|| format!("cannot look at {CONFIG} of container {}", container.id()))?;
    Ok(format!(
        "corten {:016x} inode {} size {} written {}.{:09} configuration ",
        seccomp::COMPILER,
        found.st_ino,
        found.st_size,
        found.st_mtime,
        found.st_mtime_nsec
    ))
}

/// Takes away what is of no use to a process that joins what is there.
fn forget_birth(spec: &mut Spec) {
    spec.mounts.clear();
    spec.hooks = Hooks::default();
    if let Some(linux) = &mut spec.linux {
        linux.devices.clear();
        linux.resources = Resources::default();
        linux.seccomp = None;
        linux.masked_paths = Names::default();
        linux.readonly_paths = Names::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Linux;
    use crate::state::container::tests::{Scratch, create, id, record};

    const HEAD: &str = "corten of a test ";

    fn instruction(k: u32) -> sock_filter {
        sock_filter {
            code: 0x15,
            jt: 1,
            jf: 2,
            k,
        }
    }

    #[test]
    fn what_is_written_is_read_again_without_what_only_a_birth_needs() {
        let scratch = Scratch::new();
        let (container, lock) = create(&scratch.root(), record()).unwrap();
        drop(lock);
        assert!(read(&container).is_none());
        let spec = Spec {
            hostname: Some("here".to_owned()),
            mounts: vec![crate::config::Mount::default()],
            linux: Some(Box::default()),
            ..Spec::default()
        };
        let filter = [instruction(1), instruction(u32::MAX)];
        for _ in 0..2 {
            write(&container, spec.clone(), (&filter, 4)).unwrap();
            let kept = read(&container).unwrap();
            let expected = Spec {
                mounts: Vec::new(),
                ..spec.clone()
            };
            assert_eq!(kept.spec, expected);
            let (instructions, flags) = kept.filter;
            assert_eq!(flags, 4);
            let read = instructions.iter().map(seccomp::to_bytes);
            assert!(read.eq(filter.iter().map(seccomp::to_bytes)));
        }
        // Another configuration, by its length.
        let mut other = openat(
            container.directory(),
            CONFIG,
            OFlag::O_WRONLY | OFlag::O_APPEND,
            Mode::empty(),
        )
        .map(File::from)
        .unwrap();
        other.write_all(b" ").unwrap();
        assert!(read(&container).is_none());
        drop(container);
        crate::state::destroy(&scratch.root(), &id(), crate::state::Thoroughness::Force).unwrap();
        assert!(!scratch.path().join("x").exists());
    }

    #[test]
    fn what_is_not_whole_is_as_none() {
        let spec = config::to_text(&Spec {
            linux: Some(Box::new(Linux::default())),
            ..Spec::default()
        });
        let spec = String::from_utf8(spec.unwrap()).unwrap();
        let whole = format!(
            "{HEAD}{} flags 4 instructions 1\n{spec}12345678",
            spec.len()
        );
        assert!(parse(whole.as_bytes(), HEAD).is_some());
        assert!(parse(whole.as_bytes(), "corten of another ").is_none());
        for length in 0..whole.len() {
            assert!(
                parse(&whole.as_bytes()[..length], HEAD).is_none(),
                "{length}"
            );
        }
        assert!(parse(format!("{whole}12345678").as_bytes(), HEAD).is_none());
        let without = format!("{HEAD}{} flags 4 instructions 0\n{spec}", spec.len());
        assert!(parse(without.as_bytes(), HEAD).is_none());
        for (right, wrong) in [("flags 4", "flags x"), ("ions 1", "ions 2"), ("{", "[")] {
            let text = whole.replacen(right, wrong, 1);
            assert!(parse(text.as_bytes(), HEAD).is_none(), "{text}");
        }
    }
}
