//! The program's memory.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

/// How much is asked of the kernel at once, in bytes: what a `run` needs.
const GRANULARITY: usize = 256 << 10;

/// An allocator for one thread most of the time: few, large mappings, and a lock of a few instructions. musl's own asks the kernel for
/// nearly every block.
pub struct Memory(Mutex<Dlmalloc>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Nothing yet.
    pub const fn new() -> Self {
        let mut heap = Dlmalloc::new();
        assert!(heap.set_granularity(GRANULARITY), "a power of two");
        Self(Mutex::new(heap))
    }

    fn heap(&self) -> MutexGuard<'_, Dlmalloc> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: the allocator behind the lock keeps the contract (dlmalloc's own GlobalDlmalloc does the same with another lock); taking
// the lock allocates nothing.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as asked by the caller.
        unsafe { self.heap().malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got the block here, with this layout.
        unsafe { self.heap().free(block, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as asked by the caller.
        unsafe { self.heap().calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got the block here, with this layout.
        unsafe {
            self.heap()
                .realloc(block, layout.size(), layout.align(), size)
        }
    }
}
