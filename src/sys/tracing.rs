//! bpf(2) and perf_event_open(2), as far as watching takes them: maps, raw tracepoints, kprobes.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::bpf::{address, bpf, number, opened};
use super::{Errno, Result, check};

const BPF_MAP_CREATE: u32 = 0;
const BPF_MAP_LOOKUP_ELEM: u32 = 1;
const BPF_MAP_GET_NEXT_KEY: u32 = 4;
const BPF_RAW_TRACEPOINT_OPEN: u32 = 17;

const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::Ioctl = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::Ioctl = 0x4004_2408;

/// A kind of program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For [`attach_to_function`].
    Kprobe,
    /// For [`attach_to_tracepoint`].
    RawTracepoint,
}

impl Kind {
    /// BPF_PROG_TYPE_*.
    pub const fn number(self) -> u32 {
        match self {
            Self::Kprobe => 2,
            Self::RawTracepoint => 17,
        }
    }
}

/// A kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Keys of so many bytes.
    Hash {
        /// That many.
        key: u32,
    },
    /// Keys are indices.
    Array,
}

#[repr(C)]
#[derive(Default)]
struct MapAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// BPF_MAP_CREATE.
pub fn make_map(kind: Map, value: u32, entries: u32) -> Result<OwnedFd> {
    let (map_type, key_size) = match kind {
        Map::Hash { key } => (1, key),
        Map::Array => (2, 4),
    };
    let mut attr = MapAttr {
        map_type,
        key_size,
        value_size: value,
        max_entries: entries,
        map_flags: 0,
    };
    // SAFETY: the attributes are integers only.
    unsafe { bpf(BPF_MAP_CREATE, &mut attr) }.map(opened)
}

#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The first value of an array. `value` must be as long as the array's values are.
pub fn read_array<const LENGTH: usize>(
    map: BorrowedFd<'_>,
    value: &mut [u8; LENGTH],
) -> Result<()> {
    // Inside, the kernel rounds the size of a value up to whole units of 8 bytes: a multiple of them leaves no doubt.
    const { assert!(LENGTH.is_multiple_of(8)) };
    let first = 0u32;
    let mut attr = ElementAttr {
        map_fd: number(map),
        key: address(&raw const first),
        value: address(value.as_mut_ptr()),
        ..ElementAttr::default()
    };
    // SAFETY: the kernel reads 4 bytes of `first` and writes one value, whose length the caller vouches for by the type of
    // `value`; both outlive the call.
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) }?;
    Ok(())
}

/// All values of a hash whose keys and values are two numbers of 8 bytes, and which nobody changes meanwhile.
pub fn read_hash(map: BorrowedFd<'_>) -> Result<Vec<[u64; 2]>> {
    let (mut values, mut key, mut value) = (Vec::new(), [0u64; 2], [0u64; 2]);
    let mut attr = ElementAttr {
        map_fd: number(map),
        value: address(&raw mut key),
        ..ElementAttr::default()
    };
    // SAFETY: the kernel writes a key of 16 bytes to `key`; without one to begin with it is the first.
    let mut next = unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) };
    while next.is_ok() {
        attr.key = address(&raw mut key);
        attr.value = address(&raw mut value);
        // SAFETY: the kernel reads a key of 16 bytes and writes a value of as many; both outlive the call.
        unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) }?;
        values.push(value);
        attr.value = address(&raw mut key);
        // SAFETY: the kernel reads the key of 16 bytes before it writes the next one there.
        next = unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) };
    }
    match next {
        Err(Errno(libc::ENOENT)) | Ok(_) => Ok(values),
        Err(errno) => Err(errno),
    }
}

#[repr(C)]
#[derive(Default)]
struct TracepointAttr {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

/// Runs a program at a tracepoint of the kernel for as long as the answer is open. ENOENT if there is none of that name.
pub fn attach_to_tracepoint(name: &CStr, program: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut attr = TracepointAttr {
        name: address(name.as_ptr()),
        prog_fd: number(program),
        padding: 0,
    };
    // SAFETY: `name` is a C string that outlives the call, which keeps no pointer.
    unsafe { bpf(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }.map(opened)
}

/// Where in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At its first instruction.
    Entry,
    /// When it returns.
    Return,
}

/// The number that this kernel has for events of kprobes; None where it has no kprobes.
pub fn kprobe_kind() -> Option<u32> {
    let text = std::fs::read_to_string("/sys/bus/event_source/devices/kprobe/type").ok()?;
    text.trim().parse().ok()
}

/// The beginning of `struct perf_event_attr`, PERF_ATTR_SIZE_VER1.
#[repr(C)]
#[derive(Default)]
struct EventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    kprobe_func: u64,
    probe_offset: u64,
}

/// Runs a program at a function of the kernel, on all processors, for as long as the answer is open.
pub fn attach_to_function(
    kind: u32,
    name: &CStr,
    place: Place,
    program: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    let attr = EventAttr {
        kind,
        size: u32::try_from(size_of::<EventAttr>()).unwrap_or(0),
        // Its lowest bit is "retprobe" (format/retprobe beside the type).
        config: u64::from(place == Place::Return),
        kprobe_func: address(name.as_ptr()),
        ..EventAttr::default()
    };
    // SAFETY: the kernel reads `size` bytes of `attr` and the C string that it names; both outlive the call. Process
    // -1 on processor 0 stands for every process everywhere, as far as kprobes go; -1 is no group.
    let event = check(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1,
            0,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    })
    .map(opened)?;
    // SAFETY: both requests take a number; the event holds the program by a reference of its own.
    check(unsafe {
        libc::ioctl(
            event.as_raw_fd(),
            PERF_EVENT_IOC_SET_BPF,
            program.as_raw_fd(),
        )
    })?;
    // SAFETY: as above.
    check(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) })?;
    Ok(event)
}
