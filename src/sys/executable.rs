//! Init lets go of the runtime's own executable.
//!
//! The attack (CVE-2019-5736): an image whose entrypoint is `#!/proc/self/exe` makes execve(2) run the
//! file that init was started from, and that is the runtime's binary on the host. From then on it is the
//! program of a container, which may open `/proc/PID/exe` and, once nobody runs it, overwrite it. runc
//! and crun execute themselves once more from a copy (in memory, or on a read-only overlay). Corten's
//! init instead changes what `/proc/self/exe` is: prctl(PR_SET_MM_MAP) sets it to an empty sealed file in memory. The
//! kernel allows that only when the process has no mapping of the old file, by its path on its mount;
//! so code and constants are mapped again from the same file through another, detached mount, and what was
//! written to (data, relocations) becomes anonymous memory with the same content. That costs some
//! twenty system calls and copies a few pages, and works for a library in somebody else's program too.
//!
//! The kernel needs CONFIG_CHECKPOINT_RESTORE, which distributions set. Without it the step fails, and with it
//! the container.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::mount::Reach;
use super::{Errno, Result, check, descriptor, fs, mount};

/// A mapping of the executable.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    start: usize,
    length: usize,
    protection: i32,
    offset: i64,
    content: Content,
}

/// Whether a mapping still has the file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Code and constants.
    File,
    /// Data, and constants that were relocated: written to at some time.
    Own,
}

/// What init needs to let go: made by the runtime, which may allocate.
#[derive(Debug)]
pub struct Disguise {
    mappings: Vec<Mapping>,
    executable: OwnedFd,
    empty: OwnedFd,
}

/// struct prctl_mm_map of linux/prctl.h.
#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *const u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl Disguise {
    /// Looks at how the executable is mapped, and opens it through another mount.
    pub fn prepare() -> Result<Self> {
        let maps = std::fs::read("/proc/self/maps")
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let link = fs::openat(fs::AT_FDCWD, c"/proc/self/exe", libc::O_PATH, 0)?;
        let link = descriptor::owned(link);
        let stat = fs::fstat(link.as_raw_fd())?;
        let mappings = read_maps(&maps, stat.st_dev, stat.st_ino, first_writable());
        let tree = descriptor::owned(mount::clone_tree(link.as_raw_fd(), c"", Reach::One)?);
        let path = CString::new(format!("/proc/self/fd/{}", tree.as_raw_fd()))
            .map_err(|_| Errno(libc::EINVAL))?;
        let executable = descriptor::owned(fs::openat(fs::AT_FDCWD, &path, libc::O_RDONLY, 0)?);
        let empty = descriptor::owned(descriptor::memfd(c"corten-init")?);
        descriptor::seal(empty.as_raw_fd())?;
        Ok(Self {
            mappings,
            executable,
            empty,
        })
    }

    /// Init: /proc/self/exe becomes the empty file.
    pub fn put_on(&self) -> Result<()> {
        for mapping in &self.mappings {
            match mapping.content {
                Content::Own => copy_over(*mapping)?,
                Content::File => map_over(*mapping, self.executable.as_raw_fd())?,
            }
        }
        name_executable(
            self.empty.as_raw_fd(),
            self.mappings
                .first()
                .map_or(0, |mapping| mapping.start as u64),
        )
    }
}

/// Where in the file the first segment begins that is loaded writable: the linker puts those last, and
/// everything in front of it is loaded as the file has it and never written to (elf(5), PT_LOAD).
fn first_writable() -> i64 {
    // SAFETY: asks for values that the kernel gave this process at its start.
    let (table, count) = unsafe {
        (
            libc::getauxval(libc::AT_PHDR),
            libc::getauxval(libc::AT_PHNUM),
        )
    };
    if table == 0 {
        return 0;
    }
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: AT_PHDR is the address of AT_PHNUM program headers of the running executable, which stay mapped and
    // are never written to.
    let headers = unsafe { std::slice::from_raw_parts(table as *const libc::Elf64_Phdr, count) };
    let writable = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W != 0);
    // A mapping begins at a page.
    let offset = writable.map(|header| header.p_offset & !0xfff).min();
    offset
        .and_then(|offset| i64::try_from(offset).ok())
        .unwrap_or(i64::MAX)
}

/// Lines of proc_pid_maps(5): `start-end rwxp offset major:minor inode path`.
fn read_maps(text: &[u8], device: u64, inode: u64, first_writable: i64) -> Vec<Mapping> {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .filter_map(|line| read_line(line, device, inode, first_writable))
        .collect()
}

fn read_line(line: &str, device: u64, inode: u64, first_writable: i64) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?.as_bytes();
    let offset = i64::from_str_radix(words.next()?, 16).ok()?;
    let (major, minor) = words.next()?.split_once(':')?;
    let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
    let is_it = words.next()?.parse::<u64>().ok()? == inode
        && libc::makedev(hex(major)?, hex(minor)?) == device;
    let address = |digits: &str| usize::from_str_radix(digits, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    let flag = |place: usize, letter: u8, flag: i32| {
        if permissions.get(place) == Some(&letter) {
            flag
        } else {
            0
        }
    };
    let protection = flag(0, b'r', libc::PROT_READ)
        | flag(1, b'w', libc::PROT_WRITE)
        | flag(2, b'x', libc::PROT_EXEC);
    let content = if offset >= first_writable {
        Content::Own
    } else {
        Content::File
    };
    is_it.then_some(Mapping {
        start,
        length: end - start,
        protection,
        offset,
        content,
    })
}

fn map_over(mapping: Mapping, file: RawFd) -> Result<()> {
    let Mapping {
        start,
        length,
        protection,
        offset,
        ..
    } = mapping;
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
    // SAFETY: the range is one mapping of the executable that was never written to, and what takes its
    // place, in one step for this only thread, is the same range of the same file: every byte stays what it
    // was, the instructions after this call included. The file cannot change while it is executed (ETXTBSY).
    let mapped = unsafe {
        libc::mmap(
            start as *mut libc::c_void,
            length,
            protection,
            flags,
            file,
            offset,
        )
    };
    if mapped == libc::MAP_FAILED {
        Err(Errno::last())
    } else {
        Ok(())
    }
}

fn copy_over(mapping: Mapping) -> Result<()> {
    let Mapping {
        start,
        length,
        protection,
        ..
    } = mapping;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new anonymous mapping touches no memory of ours.
    let copy = unsafe { libc::mmap(std::ptr::null_mut(), length, writable, flags, -1, 0) };
    if copy == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: both ranges are mapped, `length` bytes long, and apart from each other. The source is data of
    // this program that no other thread writes to, for there is none; between this copy and the mremap below
    // this thread writes to its stack alone, which is no part of the executable.
    unsafe { std::ptr::copy_nonoverlapping(start as *const u8, copy.cast::<u8>(), length) };
    // SAFETY: changes the protection of the new mapping only.
    check(unsafe { libc::mprotect(copy, length, protection) })?;
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: moves the copy, in one step, over the range that it is a copy of: every byte stays what it was.
    let moved = unsafe { libc::mremap(copy, length, length, flags, start as *mut libc::c_void) };
    if moved == libc::MAP_FAILED {
        Err(Errno::last())
    } else {
        Ok(())
    }
}

/// prctl(PR_SET_MM, PR_SET_MM_MAP). Of the fields only `exe_fd` matters here: the others tell ps(1) where things are,
/// and are gone with the exec.
fn name_executable(file: RawFd, address: u64) -> Result<()> {
    // SAFETY: asks where the heap ends; moves nothing.
    let brk = unsafe { libc::syscall(libc::SYS_brk, 0) }.cast_unsigned();
    let map = MemoryMap {
        start_code: address,
        end_code: address + 1,
        start_data: address,
        end_data: address,
        start_brk: brk,
        brk,
        start_stack: address,
        arg_start: address,
        arg_end: address,
        env_start: address,
        env_end: address,
        auxv: std::ptr::null(),
        auxv_size: 0,
        exe_fd: file.cast_unsigned(),
    };
    // SAFETY: the kernel reads one struct of the size given, and no auxiliary vector for its size is 0.
    check(unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP,
            &raw const map,
            size_of::<MemoryMap>(),
            0,
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_the_file_are_found_and_others_left_alone() {
        let text = b"55c5e1d06000-55c5e1d0a000 r--p 00000000 fe:00 7 /x\n\
            55c5e1d0a000-55c5e1d20000 r-xp 00004000 fe:00 7 /x\n\
            7f63f5270000-7f63f52c7000 r--p 00000000 fe:00 8 /lib\n\
            7ffd4c5a2000-7ffd4c5c3000 rw-p 00000000 00:00 0 [stack]\n";
        let mappings = read_maps(text, libc::makedev(0xfe, 0), 7, 0x8000);
        assert_eq!(mappings.len(), 2);
        assert_eq!(
            (mappings[1].start, mappings[1].length, mappings[1].offset),
            (0x55c5_e1d0_a000, 0x16000, 0x4000)
        );
        assert_eq!(mappings[1].protection, libc::PROT_READ | libc::PROT_EXEC);
    }
}
