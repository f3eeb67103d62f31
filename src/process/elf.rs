//! A look at the program before it is executed, for a better word than `exec format error`.
//!
//! execve(2) says ENOENT when the interpreter of a script or the loader of a binary is missing, and
//! ENOEXEC for a binary of another architecture; both have cost many an hour. What cannot be read
//! (a program may be executable but not readable) is left to the kernel. Init calls this.

use std::ffi::CStr;

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

/// Refuses what the kernel would refuse, in better words.
pub fn examine(report: &Report, path: &CStr) -> Result<()> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let Ok(file) = fs::openat(AT_FDCWD, path, flags, 0) else {
        return Ok(());
    };
    let mut head = [0u8; 256];
    let read = fs::pread(file, &mut head[..255], 0);
    let verdict = match read {
        Ok(length) if head.starts_with(b"#!") => script(report, &head[..length]),
        Ok(length) if length >= 64 && head.starts_with(b"\x7fELF") => binary(report, file, &head),
        // Anything else may be registered with binfmt_misc: the kernel knows.
        _ => Ok(()),
    };
    fs::close(file);
    verdict
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
    // Byte 5 is the order of bytes; a foreign order is a foreign machine.
    let machine = if head[5] == 2 {
        u16::from_be_bytes([head[18], head[19]])
    } else {
        u16::from_le_bytes([head[18], head[19]])
    };
    if !NATIVE.is_empty() && !NATIVE.contains(&machine) && !is_emulated() {
        if let Some((_, name)) = MACHINES.iter().find(|(number, _)| *number == machine) {
            report.explain(name);
        }
        return Err(Errno(libc::ENOEXEC));
    }
    let is_64_bit = head[4] == 2;
    if !is_64_bit || head[5] != 1 {
        return Ok(());
    }
    loader(file, head).map_or(Ok(()), |(text, length)| {
        must_exist(report, b"the program's loader ", &text[..length])
    })
}

/// Whether binfmt_misc may know foreign machines. It is the host's: a registration with the flag F
/// works in every container, and there is no telling from here which.
fn is_emulated() -> bool {
    fs::lstatat(AT_FDCWD, c"/proc/sys/fs/binfmt_misc/status").is_ok()
}

/// PT_INTERP of a 64-bit little-endian binary.
fn loader(file: i32, head: &[u8]) -> Option<([u8; 256], usize)> {
    let number =
        |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let offset = i64::try_from(number(head, 32)?).ok()?;
    let size = i64::from(u16::from_le_bytes([head[54], head[55]]));
    let count = i64::from(u16::from_le_bytes([head[56], head[57]]));
    for index in 0..count.min(64) {
        let mut header = [0u8; 56];
        let at = offset.checked_add(index * size)?;
        if fs::pread(file, &mut header, at).ok()? < header.len() {
            return None;
        }
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
