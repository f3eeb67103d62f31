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
use super::{Errno, Result, check, descriptor, fs, mount, socket};

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
    /// The detached mount. Its last close waits until the kernel has taken it apart.
    tree: Option<OwnedFd>,
    /// None when dropped: closed together.
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    executable: OwnedFd,
    empty: OwnedFd,
}

impl Drop for Disguise {
    fn drop(&mut self) {
        if let Some(Files { executable, empty }) = self.files.take() {
            descriptor::close_both(executable, empty);
        }
    }
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
    /// Works out how the executable is mapped, and opens it through another mount.
    pub fn prepare() -> Result<Self> {
        let tree = mount::clone_tree(fs::AT_FDCWD, c"/proc/self/exe", Reach::One)?;
        let tree = descriptor::owned(tree);
        let path = CString::new(format!("/proc/self/fd/{}", tree.as_raw_fd()))
            .map_err(|_| Errno(libc::EINVAL))?;
        let executable = fs::openat(fs::AT_FDCWD, &path, libc::O_RDONLY, 0)?;
        let empty = descriptor::owned(descriptor::memfd(c"corten-init")?);
        descriptor::seal(empty.as_raw_fd())?;
        Ok(Self {
            mappings: mappings(program_headers()),
            tree: Some(tree),
            files: Some(Files {
                executable: descriptor::owned(executable),
                empty,
            }),
        })
    }

    /// Runtime: has the detached mount taken apart, and does not wait for it. Init has closed it before.
    pub fn drop_tree(&mut self) {
        if let Some(tree) = self.tree.take() {
            socket::close_in_background(tree);
        }
    }

    /// Init: /proc/self/exe becomes the empty file.
    pub fn put_on(&self) -> Result<()> {
        if let Some(tree) = &self.tree {
            fs::close(tree.as_raw_fd());
        }
        let files = self.files.as_ref().ok_or(Errno(libc::EBADF))?;
        for mapping in &self.mappings {
            match mapping.content {
                Content::Own => copy_over(*mapping)?,
                Content::File => map_over(*mapping, files.executable.as_raw_fd())?,
            }
        }
        name_executable(
            files.empty.as_raw_fd(),
            self.mappings
                .first()
                .map_or(0, |mapping| mapping.start as u64),
        )
    }
}

/// The program headers of the running executable, and where they lie in memory.
fn program_headers() -> (&'static [libc::Elf64_Phdr], usize) {
    // SAFETY: asks for values that the kernel gave this process at its start.
    let (table, count) = unsafe {
        (
            libc::getauxval(libc::AT_PHDR),
            libc::getauxval(libc::AT_PHNUM),
        )
    };
    let (Ok(address), Ok(count)) = (usize::try_from(table), usize::try_from(count)) else {
        return (&[], 0);
    };
    if address == 0 {
        return (&[], 0);
    }
    // SAFETY: AT_PHDR is the address of AT_PHNUM program headers of the running executable, which stay
    // mapped and are never written to.
    (
        unsafe { std::slice::from_raw_parts(address as *const libc::Elf64_Phdr, count) },
        address,
    )
}

const PAGE: usize = 4096;

/// The mappings that the kernel and the loader made of the executable (elf(5)): one a segment, but the
/// writable one is split where PT_GNU_RELRO ends, which was made read-only after relocation.
fn mappings((headers, table): (&[libc::Elf64_Phdr], usize)) -> Vec<Mapping> {
    let number = |value: u64| usize::try_from(value).unwrap_or(0);
    let segments = || {
        headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD)
    };
    // The headers stand right behind the ELF header, of 64 bytes, in the segment with the start of the file.
    let first = segments().find(|header| header.p_offset == 0);
    let Some(base) = first.map(|first| (table - 64).wrapping_sub(number(first.p_vaddr))) else {
        return Vec::new();
    };
    let relro = headers
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_RELRO);
    let relro_end = relro.map_or(0, |relro| {
        base.wrapping_add(number(relro.p_vaddr + relro.p_memsz)) & !(PAGE - 1)
    });
    let mut mappings = Vec::with_capacity(6);
    for segment in segments().filter(|segment| segment.p_filesz > 0) {
        let start = base.wrapping_add(number(segment.p_vaddr)) & !(PAGE - 1);
        let end = base
            .wrapping_add(number(segment.p_vaddr + segment.p_filesz))
            .next_multiple_of(PAGE);
        let offset = i64::try_from(segment.p_offset & !(PAGE as u64 - 1)).unwrap_or(0);
        let flag = |bit: u32, flag: i32| if segment.p_flags & bit != 0 { flag } else { 0 };
        let protection = flag(libc::PF_R, libc::PROT_READ)
            | flag(libc::PF_W, libc::PROT_WRITE)
            | flag(libc::PF_X, libc::PROT_EXEC);
        if segment.p_flags & libc::PF_W == 0 {
            mappings.push(Mapping {
                start,
                length: end - start,
                protection,
                offset,
                content: Content::File,
            });
            continue;
        }
        let split = relro_end.clamp(start, end);
        for (start, end, protection) in [(start, split, libc::PROT_READ), (split, end, protection)]
        {
            if start < end {
                mappings.push(Mapping {
                    start,
                    length: end - start,
                    protection,
                    offset,
                    content: Content::Own,
                });
            }
        }
    }
    mappings
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
    if protection != writable {
        // SAFETY: changes the protection of the new mapping only.
        check(unsafe { libc::mprotect(copy, length, protection) })?;
    }
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
    let map = MemoryMap {
        start_code: address,
        end_code: address + 1,
        start_data: address,
        end_data: address,
        start_brk: address,
        brk: address,
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
    fn the_mappings_are_those_that_the_kernel_shows() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let name = std::fs::read_link("/proc/self/exe").unwrap();
        let name = name.to_str().unwrap();
        let mut shown = Vec::new();
        for line in maps.lines().filter(|line| line.ends_with(name)) {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let (start, end) = words[0].split_once('-').unwrap();
            let address = |digits| usize::from_str_radix(digits, 16).unwrap();
            shown.push((address(start), address(end), words[1].to_owned()));
        }
        let found: Vec<_> = mappings(program_headers())
            .into_iter()
            .map(|mapping| {
                let letter = |bit, letter| {
                    if mapping.protection & bit != 0 {
                        letter
                    } else {
                        '-'
                    }
                };
                let letters = [
                    letter(libc::PROT_READ, 'r'),
                    letter(libc::PROT_WRITE, 'w'),
                    letter(libc::PROT_EXEC, 'x'),
                    'p',
                ];
                (
                    mapping.start,
                    mapping.start + mapping.length,
                    letters.iter().collect::<String>(),
                )
            })
            .collect();
        // The failing test of a neighbour maps the file once more, elsewhere, for its backtrace.
        let end = found.last().map_or(0, |(_, end, _)| *end);
        shown.retain(|(start, ..)| *start < end);
        assert_eq!(found, shown);
    }
}
