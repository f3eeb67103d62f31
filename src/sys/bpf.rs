//! bpf(2), as far as device programs of cgroups need it.
//!
//! The kernel reads each command's part of `union bpf_attr`; a shorter structure than the kernel's
//! stands for zeroes behind it. All structures here have no padding that is not a field.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::fs::descriptor;
use super::{Errno, Result, check};

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_DETACH: u32 = 9;
const BPF_PROG_GET_NEXT_ID: u32 = 11;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_PROG_QUERY: u32 = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// Programs that one cgroup can have (BPF_CGROUP_MAX_PROGS).
const MOST_PROGRAMS: usize = 64;

#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Default)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// A load that the kernel refused.
#[derive(Debug)]
pub struct LoadError {
    /// What the call returned.
    pub errno: Errno,
    /// The verifier's own words; empty if it was not asked or had none.
    pub log: String,
}

/// Loads a device program given as `struct bpf_insn` in native byte order. A program that the
/// verifier refuses is loaded once more to get its log, which costs too much to ask for always.
pub fn load_device_program(
    name: &CStr,
    instructions: &[u64],
) -> std::result::Result<OwnedFd, LoadError> {
    load_program(BPF_PROG_TYPE_CGROUP_DEVICE, name, instructions)
}

/// The same for a program of any kind (BPF_PROG_TYPE_*).
pub fn load_program(
    kind: u32,
    name: &CStr,
    instructions: &[u64],
) -> std::result::Result<OwnedFd, LoadError> {
    let errno = match load(kind, name, instructions, &mut []) {
        Ok(program) => return Ok(program),
        Err(errno) => errno,
    };
    let mut log = String::new();
    if matches!(errno, Errno(libc::EACCES | libc::EINVAL)) {
        let mut buffer = vec![0; 1 << 16];
        // The errno of the first attempt is the one to report; this one is for the log alone. It
        // may succeed only if the machine changed in between, and then the log is empty.
        if load(kind, name, instructions, &mut buffer).is_err() {
            let text = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
            log = text.to_string_lossy().trim_end().to_owned();
        }
    }
    Err(LoadError { errno, log })
}

fn load(kind: u32, name: &CStr, instructions: &[u64], log: &mut [u8]) -> Result<OwnedFd> {
    let too_big = |_| Errno(libc::E2BIG);
    let mut attr = LoadAttr {
        prog_type: kind,
        insn_cnt: u32::try_from(instructions.len()).map_err(too_big)?,
        insns: address(instructions.as_ptr()),
        license: address(c"Apache".as_ptr()),
        ..LoadAttr::default()
    };
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = u32::try_from(log.len()).map_err(too_big)?;
        attr.log_buf = address(log.as_mut_ptr());
    }
    for (to, from) in attr.prog_name.iter_mut().take(15).zip(name.to_bytes()) {
        *to = *from;
    }
    // SAFETY: `insns` names insn_cnt instructions of 8 bytes, `license` a C string that lives
    // forever, `log_buf` nothing or log_size bytes that are ours to have written; all of them
    // outlive the call, which keeps no pointer.
    unsafe { bpf(BPF_PROG_LOAD, &mut attr) }.map(opened)
}

/// The answer of a call that makes a descriptor.
pub(super) fn opened(answer: libc::c_long) -> OwnedFd {
    // SAFETY: every caller passes what such a call just returned to it and to nobody else.
    unsafe { OwnedFd::from_raw_fd(descriptor(answer)) }
}

/// Attaches a device program to a cgroup, beside those of its ancestors: all must allow.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    attach(cgroup, program, None)
}

/// Puts a device program in the place of another, with no moment without either.
pub fn replace_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> Result<()> {
    attach(cgroup, program, Some(old))
}

fn attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
        replace_bpf_fd: 0,
    };
    if let Some(old) = old {
        attr.attach_flags |= BPF_F_REPLACE;
        attr.replace_bpf_fd = number(old);
    }
    // SAFETY: the attributes are integers only.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr) }?;
    Ok(())
}

/// Takes a device program away from a cgroup.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        ..AttachAttr::default()
    };
    // SAFETY: the attributes are integers only.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr) }?;
    Ok(())
}

/// The device programs attached to this cgroup itself.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MOST_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: number(cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: u32::try_from(MOST_PROGRAMS).map_err(|_| Errno(libc::E2BIG))?,
        ..QueryAttr::default()
    };
    // SAFETY: the kernel writes at most prog_cnt numbers of 4 bytes to `ids`, which has that many
    // and outlives the call, and the count into the attributes, which are ours alone.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    let count = usize::try_from(attr.prog_cnt).unwrap_or(MOST_PROGRAMS);
    let mut programs = Vec::new();
    for &id in ids.iter().take(count) {
        let mut attr = IdAttr {
            id,
            ..IdAttr::default()
        };
        // SAFETY: the attributes are integers only.
        match unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr) } {
            Ok(fd) => programs.push(opened(fd)),
            // Detached and gone since the query.
            Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(programs)
}

/// Whether the caller has CAP_SYS_ADMIN in the first user namespace, which the kernel asks of who lists programs (bpf(2),
/// `capable` in the kernel's words; there is no program behind the greatest number). False also where it may not ask.
pub fn is_admin_of_the_host() -> bool {
    let mut attr = IdAttr {
        id: i32::MAX.cast_unsigned() - 1,
        ..IdAttr::default()
    };
    // SAFETY: the attributes are integers only.
    let asked = unsafe { bpf(BPF_PROG_GET_NEXT_ID, &mut attr) };
    matches!(asked, Ok(_) | Err(Errno(libc::ENOENT)))
}

/// What the kernel knows of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its number.
    pub id: u32,
    /// A digest of its instructions as they were loaded.
    pub tag: [u8; 8],
    /// As its maker named it.
    pub name: String,
}

/// The beginning of `struct bpf_prog_info`; the kernel fills as much as there is.
#[repr(C)]
#[derive(Default)]
struct ProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// BPF_OBJ_GET_INFO_BY_FD of a program.
pub fn program_info(program: BorrowedFd<'_>) -> Result<ProgramInfo> {
    let mut info = ProgInfo::default();
    let mut attr = InfoAttr {
        bpf_fd: number(program),
        info_len: u32::try_from(size_of::<ProgInfo>()).map_err(|_| Errno(libc::E2BIG))?,
        info: address(&raw mut info),
    };
    // SAFETY: the kernel writes at most info_len bytes to `info`, which has that many, outlives the call and
    // is plain integers; its lists have no length, so their pointers are not used.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let name = CStr::from_bytes_until_nul(&info.name).unwrap_or_default();
    Ok(ProgramInfo {
        id: info.id,
        tag: info.tag,
        name: name.to_string_lossy().into_owned(),
    })
}

/// # Safety
/// Every pointer in `attr` must be good for what `command` does with it.
pub(super) unsafe fn bpf<T>(command: u32, attr: &mut T) -> Result<libc::c_long> {
    // SAFETY: `attr` is a live structure of integers and the kernel touches its size_of bytes at
    // most; what its pointers name is promised by the caller.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) })
}

pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

pub(super) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CAP_SYS_ADMIN, Own};
    use crate::state::root::in_user_namespace;

    #[test]
    fn an_admin_of_the_host_is_one_by_procfs_too() {
        let is_admin = Own::probe().unwrap().has(CAP_SYS_ADMIN) && !in_user_namespace();
        assert_eq!(is_admin_of_the_host(), is_admin);
    }
}
