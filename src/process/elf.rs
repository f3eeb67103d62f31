//! A look at the program, for a better word than `exec format error`.
//!
//! execve(2) says ENOENT when the interpreter of a script or the loader of a binary is missing, and
//! ENOEXEC for a binary of another architecture or for what is no program at all; both have cost many
//! an hour. Interpreter and loader are looked for when the container is made. Another architecture may
//! be one that the kernel has an emulator for (binfmt_misc), and nobody but the kernel can tell: so it is
//! named when execve has failed. What cannot be read (a program may be executable but not readable) is left
//! to the kernel. Init calls this.

use std::ffi::CStr;

use crate::execute::init::Init;
use crate::execute::report::Report;
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::{Errno, Result};

#[cfg(target_arch = "x86_64")]
const NATIVE: &[u16] = &[62, 3];
#[cfg(target_arch = "aarch64")]
const NATIVE: &[u16] = &[183, 40];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: &[u16] = &[];

/// e_machine of elf(5) and its name.
const MACHINES: &[(u16, &[u8])] = &[
    (3, b"a program for x86"),
    (8, b"a program for MIPS"),
    (20, b"a program for PowerPC"),
    (21, b"a program for 64-bit PowerPC"),
    (22, b"a program for IBM Z"),
    (40, b"a program for 32-bit ARM"),
    (62, b"a program for x86-64"),
    (183, b"a program for 64-bit ARM"),
    (243, b"a program for RISC-V"),
    (258, b"a program for LoongArch"),
];

#[cfg(target_arch = "x86_64")]
const HERE: &[u8] = b", and this machine is x86-64";
#[cfg(target_arch = "aarch64")]
const HERE: &[u8] = b", and this machine is 64-bit ARM";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const HERE: &[u8] = b", and this machine is not";

/// Refuses what the kernel would refuse for want of an interpreter, in better words.
// What stands on the stack here is not to stand in init's own frame, every page of which is touched.
#[inline(never)]
pub fn examine(init: &Init<'_>, path: &CStr) -> Result<()> {
    let report = init.report;
    let looked = look(init, path, |file, head| match format(head) {
        Format::Script => script(report, head),
        Format::Native => binary(report, file, head),
        Format::Foreign(_) | Format::Unknown => Ok(()),
    });
    looked?.unwrap_or(Ok(()))
}

/// After execve(2) has said ENOEXEC: what it is that the kernel has no use for.
#[inline(never)]
pub fn explain(init: &Init<'_>, path: &CStr) {
    // The kernel has refused it already.
    look(init, path, |_, head| format(head).explain(init.report)).unwrap_or(None);
}

/// The first bytes of a file; none if it cannot be read, of which the kernel will say why. EISDIR if it is a directory.
fn look<T>(init: &Init<'_>, path: &CStr, at: impl FnOnce(i32, &[u8]) -> T) -> Result<Option<T>> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let Ok(file) = fs::openat(AT_FDCWD, path, flags, 0) else {
        let stat = fs::statat(AT_FDCWD, path)?;
        return match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Err(Errno(libc::EISDIR)),
            _ => Ok(None),
        };
    };
    // Program headers stand at the beginning of all but strange binaries.
    let mut head = [0u8; 1024];
    let looked = match fs::pread(file, &mut head, 0) {
        Ok(length) => Ok(Some(at(file, &head[..length]))),
        Err(Errno(libc::EISDIR)) => Err(Errno(libc::EISDIR)),
        Err(_) => Ok(None),
    };
    init.done_with(file);
    looked
}

/// What a file is, by its first bytes.
enum Format {
    /// `#!`
    Script,
    /// A binary for this machine.
    Native,
    /// A binary for the machine of this number.
    Foreign(u16),
    /// Neither.
    Unknown,
}

fn format(head: &[u8]) -> Format {
    if head.starts_with(b"#!") {
        return Format::Script;
    }
    if head.len() < 20 || !head.starts_with(b"\x7fELF") {
        return Format::Unknown;
    }
    // Byte 5 is the order of bytes; a foreign order is a foreign machine.
    let machine = if head[5] == 2 {
        u16::from_be_bytes([head[18], head[19]])
    } else {
        u16::from_le_bytes([head[18], head[19]])
    };
    if NATIVE.is_empty() || NATIVE.contains(&machine) {
        Format::Native
    } else {
        Format::Foreign(machine)
    }
}

impl Format {
    fn explain(&self, report: &Report) {
        match self {
            Self::Script | Self::Native => {}
            Self::Unknown => {
                report
                    .explain(b"neither a binary for this machine nor a script that begins with #!");
            }
            Self::Foreign(machine) => {
                let known = MACHINES.iter().find(|(number, _)| number == machine);
                let name =
                    known.map_or(b"a program for another machine" as &[u8], |(_, name)| name);
                let mut words = [0u8; 128];
                let end = name.len() + HERE.len();
                words[..name.len()].copy_from_slice(name);
                words[name.len()..end].copy_from_slice(HERE);
                report.explain(&words[..end]);
            }
        }
    }
}

fn script(report: &Report, head: &[u8]) -> Result<()> {
    let line = head[2..]
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .filter(|word| !word.is_empty());
    words.next().map_or(Ok(()), |interpreter| {
        must_exist(report, b"the script's interpreter ", interpreter)
    })
}

fn binary(report: &Report, file: i32, head: &[u8]) -> Result<()> {
    let is_64_bit = head[4] == 2;
    if head.len() < 64 || !is_64_bit || head[5] != 1 {
        return Ok(());
    }
    loader(file, head).map_or(Ok(()), |(text, length)| {
        must_exist(report, b"the program's loader ", &text[..length])
    })
}

/// PT_INTERP of a 64-bit little-endian binary.
fn loader(file: i32, head: &[u8]) -> Option<([u8; 256], usize)> {
    let number =
        |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let offset = i64::try_from(number(head, 32)?).ok()?;
    let size = i64::from(u16::from_le_bytes([head[54], head[55]]));
    let count = i64::from(u16::from_le_bytes([head[56], head[57]]));
    for index in 0..count.min(64) {
        let at = offset.checked_add(index * size)?;
        let header = header_at(file, head, at)?;
        if header[..4] == 3u32.to_le_bytes() {
            let mut text = [0u8; 256];
            let length = usize::try_from(number(&header, 32)?).ok()?.min(255);
            let read = fs::pread(
                file,
                &mut text[..length],
                i64::try_from(number(&header, 8)?).ok()?,
            )
            .ok()?;
            let end = text[..read]
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(read);
            return Some((text, end));
        }
    }
    None
}

fn header_at(file: i32, head: &[u8], at: i64) -> Option<[u8; 56]> {
    let start = usize::try_from(at).ok()?;
    if let Some(known) = head.get(start..start.checked_add(56)?) {
        return known.try_into().ok();
    }
    let mut header = [0u8; 56];
    (fs::pread(file, &mut header, at).ok()? == header.len()).then_some(header)
}

fn must_exist(report: &Report, what: &[u8], path: &[u8]) -> Result<()> {
    let mut name = [0u8; 256];
    let Some(place) = name[..255].get_mut(..path.len()) else {
        return Ok(());
    };
    place.copy_from_slice(path);
    let Ok(name) = CStr::from_bytes_until_nul(&name) else {
        return Ok(());
    };
    let Ok(file) = fs::openat(AT_FDCWD, name, libc::O_PATH, 0) else {
        let mut words = [0u8; 320];
        let end = what.len() + path.len();
        words[..what.len()].copy_from_slice(what);
        words[what.len()..end].copy_from_slice(path);
        report.explain(&words[..end]);
        return Err(Errno(libc::ENOENT));
    };
    fs::close(file);
    Ok(())
}
