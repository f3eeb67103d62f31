//! The program's memory.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dlmalloc::{Allocator, Dlmalloc};

/// How much is asked of the kernel at once, in bytes: what a `run` needs.
const GRANULARITY: usize = 256 << 10;

/// The first of it is part of the program: one mapping less to make, to copy for init and to take apart, and no pages of its own for
/// where it begins and ends.
static FIRST: First = First(UnsafeCell::new([0; GRANULARITY]));

#[repr(align(16))]
struct First(UnsafeCell<[u8; GRANULARITY]>);

// SAFETY: only the heap touches it, to which it is given once.
unsafe impl Sync for First {}

/// Where the heap gets memory from: what the program has, then mappings.
struct Source {
    is_first_given: AtomicBool,
}

// SAFETY: what is handed out is nobody else's: the program's own part goes to whoever comes first, and all else is mapped anew.
unsafe impl Allocator for Source {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        /// Neither to be given back nor to be grown (dlmalloc's EXTERN_BIT).
        const NOT_MAPPED: u32 = 1;
        if size <= GRANULARITY && !self.is_first_given.swap(true, Ordering::Relaxed) {
            return (FIRST.0.get().cast(), GRANULARITY, NOT_MAPPED);
        }
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: nothing is there yet.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
        (or_null(mapped), size, 0)
    }

    fn remap(&self, block: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: the heap gives what it has of `alloc`.
        or_null(unsafe { libc::mremap(block.cast(), old, new, flags) })
    }

    fn free_part(&self, block: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the heap gives what it has of `alloc`, and nothing is behind `new`.
        unsafe { libc::munmap(block.wrapping_add(new).cast(), old - new) == 0 }
    }

    fn free(&self, block: *mut u8, size: usize) -> bool {
        // SAFETY: the heap gives what it has of `alloc`, and nothing is in it.
        unsafe { libc::munmap(block.cast(), size) == 0 }
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

/// dlmalloc's sign of a failure.
fn or_null(mapped: *mut libc::c_void) -> *mut u8 {
    if mapped == libc::MAP_FAILED {
        ptr::null_mut()
    } else {
        mapped.cast()
    }
}

/// Whether there has ever been a second thread.
static IS_SHARED: AtomicBool = AtomicBool::new(false);

/// An allocator for one thread most of the time: few, large mappings, and no lock before there is a second thread. musl's own asks
/// the kernel for nearly every block.
pub struct Memory {
    heap: UnsafeCell<Dlmalloc<Source>>,
    lock: Mutex<()>,
}

// SAFETY: the heap is touched by one thread at a time: by the only one there is, or by the holder of the lock.
unsafe impl Sync for Memory {}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// Nothing yet.
    ///
    /// # Safety
    /// Every thread of the program but the first is started by [`spawn`]. There is one of it.
    pub const unsafe fn new() -> Self {
        let source = Source {
            is_first_given: AtomicBool::new(false),
        };
        let mut heap = Dlmalloc::new_with_allocator(source);
        assert!(heap.set_granularity(GRANULARITY), "a power of two");
        Self {
            heap: UnsafeCell::new(heap),
            lock: Mutex::new(()),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Dlmalloc<Source>) -> T) -> T {
        // Only the first thread sets it, before there is another.
        let is_shared = IS_SHARED.load(Ordering::Relaxed);
        let lock = is_shared.then(|| self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: nobody else is here, see the promise of `new`; `act` does not come back here.
        let done = act(unsafe { &mut *self.heap.get() });
        drop(lock);
        done
    }
}

/// Starts a thread, which shares the memory.
pub fn spawn(act: impl FnOnce() + Send + 'static) {
    IS_SHARED.store(true, Ordering::Relaxed);
    std::thread::spawn(act);
}

// SAFETY: the allocator behind it keeps the contract (dlmalloc's own GlobalDlmalloc does the same with a lock); taking the lock
// allocates nothing.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as asked by the caller.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got the block here, with this layout.
        self.with(|heap| unsafe { heap.free(block, layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as asked by the caller.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got the block here, with this layout.
        self.with(|heap| unsafe { heap.realloc(block, layout.size(), layout.align(), size) })
    }
}
