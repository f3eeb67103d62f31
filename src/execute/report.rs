//! The page that init reports on: shared memory, because a child that may not allocate cannot send
//! a message, and a child that was killed cannot either.
//!
//! Init notes each step before it runs it, and where one fails the errno and the kernel's own words.
//! So even a killed child is attributed to its step. The runtime reads the page with every length
//! clamped: once init is somebody else's program the page is gone from its memory (execve), but the
//! runtime does not depend on that.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

use crate::sys::Errno;

/// How many bytes of the kernel's words are kept.
const DETAIL: usize = 512;

/// What lies on the page. Atomics, because two processes look at it.
#[repr(C)]
struct Page {
    step: AtomicU32,
    failed: AtomicU32,
    errno: AtomicI32,
    /// Number of the seccomp listener's descriptor in init, plus one.
    listener: AtomicI32,
    detail_length: AtomicU32,
    detail: [AtomicU8; DETAIL],
}

/// The shared page. Mapped once by the runtime before the clone; both halves see it.
pub struct Report(&'static Page);

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("step", &self.step())
            .field("failure", &self.failure())
            .finish()
    }
}

/// What init failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitFailure {
    /// Index into the plan's init list.
    pub step: usize,
    /// errno.
    pub errno: Errno,
    /// The kernel's words, or the operation's; empty if there are none.
    pub detail: String,
}

impl Report {
    /// Maps a page that a child made by clone3 shares.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping; no memory of ours is touched.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Page>(),
                protection,
                flags,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // SAFETY: the kernel gave a zeroed, page-aligned mapping of at least size_of::<Page>() bytes; all
        // zeroes is a Page; it is unmapped only by `drop`, which consumes the only handle in this process.
        Ok(Self(unsafe { &*page.cast::<Page>() }))
    }

    /// Init: this step begins.
    pub fn at(&self, step: u32) {
        self.0.step.store(step, Ordering::Relaxed);
    }

    /// Init: words that explain the failure that is about to be reported.
    pub fn explain(&self, words: &[u8]) {
        let words = &words[..words.len().min(DETAIL)];
        for (place, byte) in self.0.detail.iter().zip(words) {
            place.store(*byte, Ordering::Relaxed);
        }
        self.0
            .detail_length
            .store(u32::try_from(words.len()).unwrap_or(0), Ordering::Relaxed);
    }

    /// Init: the step failed.
    pub fn fail(&self, errno: Errno) {
        self.0.errno.store(errno.0, Ordering::Relaxed);
        self.0.failed.store(1, Ordering::Release);
    }

    /// Init: copies the words into `buffer`; how many. For the report to `start`.
    pub fn detail_into(&self, buffer: &mut [u8]) -> usize {
        let length = self.detail_length().min(buffer.len());
        for (byte, place) in buffer.iter_mut().zip(&self.0.detail[..length]) {
            *byte = place.load(Ordering::Relaxed);
        }
        length
    }

    /// Init: where its seccomp listener is going to be.
    pub fn announce_listener(&self, fd: i32) {
        self.0.listener.store(fd + 1, Ordering::Release);
    }

    /// Runtime: where init's listener is.
    pub fn listener(&self) -> Option<i32> {
        Some(self.0.listener.load(Ordering::Acquire) - 1).filter(|fd| *fd >= 0)
    }

    /// Runtime: the step that init is at.
    pub fn step(&self) -> usize {
        self.0.step.load(Ordering::Relaxed) as usize
    }

    /// Runtime: what init failed with.
    pub fn failure(&self) -> Option<InitFailure> {
        if self.0.failed.load(Ordering::Acquire) == 0 {
            return None;
        }
        let errno = Errno(self.0.errno.load(Ordering::Relaxed));
        let bytes: Vec<u8> = self.0.detail[..self.detail_length()]
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        let detail = String::from_utf8_lossy(&bytes).trim().to_owned();
        Some(InitFailure {
            step: self.step(),
            errno,
            detail,
        })
    }

    fn detail_length(&self) -> usize {
        (self.0.detail_length.load(Ordering::Relaxed) as usize).min(DETAIL)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and this handle, the only one, is going away.
        unsafe {
            libc::munmap(
                std::ptr::from_ref(self.0).cast_mut().cast(),
                size_of::<Page>(),
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_back_with_its_words() {
        let report = Report::new().unwrap();
        assert_eq!(report.failure(), None);
        report.at(7);
        report.explain(b"tmpfs: Bad value for 'size'\n");
        report.fail(Errno(libc::EINVAL));
        let failure = report.failure().unwrap();
        assert_eq!((failure.step, failure.errno), (7, Errno(libc::EINVAL)));
        assert_eq!(failure.detail, "tmpfs: Bad value for 'size'");
    }

    #[test]
    fn words_without_end_are_cut() {
        let report = Report::new().unwrap();
        report.explain(&[b'x'; 10_000]);
        report.fail(Errno(libc::EINVAL));
        assert_eq!(report.failure().unwrap().detail.len(), DETAIL);
    }
}
