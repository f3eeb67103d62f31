//! The program's memory.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dlmalloc::Dlmalloc;

/// How much is asked of the kernel at once, in bytes: what a `run` needs.
const GRANULARITY: usize = 256 << 10;

/// Whether there has ever been a second thread.
static IS_SHARED: AtomicBool = AtomicBool::new(false);

/// An allocator for one thread most of the time: few, large mappings, and no lock before there is a second thread. musl's own asks
/// the kernel for nearly every block.
pub struct Memory {
    heap: UnsafeCell<Dlmalloc>,
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
    /// Every thread of the program but the first is started by [`spawn`].
    pub const unsafe fn new() -> Self {
        let mut heap = Dlmalloc::new();
        assert!(heap.set_granularity(GRANULARITY), "a power of two");
        Self {
            heap: UnsafeCell::new(heap),
            lock: Mutex::new(()),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Dlmalloc) -> T) -> T {
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
