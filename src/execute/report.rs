//! The page that init reports on: shared memory, because a child that may not allocate cannot send
//! a message, and a child that was killed cannot either.
//!
//! Init notes each step before it runs it, and where one fails the errno and the kernel's own words.
//! So even a killed child is attributed to its step. The runtime reads the page with every length
//! clamped: once init is somebody else's program the page is gone from its memory (execve), but the
//! runtime does not depend on that.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

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
    /// Keeps what follows on a multiple of 8.
    _end: [AtomicU64; 0],
}

/// The shared memory. Mapped once by the runtime before the clone; both halves see it.
pub struct Report {
    page: &'static Page,
    /// When each step began, in nanoseconds; empty unless somebody wants to know.
    times: &'static [AtomicU64],
}

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
    /// Maps a page that a child made by clone3 shares, with room for the times of so many steps.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(times: usize) -> Result<Self, Errno> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping; no memory of ours is touched.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length(times),
                protection,
                flags,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // SAFETY: the kernel gave a zeroed, page-aligned mapping of that length: a Page and after it the
        // times, which all zeroes are; size_of::<Page>() is a multiple of 8 (checked below). It is unmapped only by `drop`,
        // which consumes the only handle in this process.
        unsafe {
            Ok(Self {
                page: &*page.cast::<Page>(),
                times: std::slice::from_raw_parts(page.byte_add(size_of::<Page>()).cast(), times),
            })
        }
    }

    /// Init: this step begins.
    pub fn at(&self, step: u32) {
        if let Some(time) = self.times.get(step as usize) {
            time.store(super::trace::now(), Ordering::Relaxed);
        }
        self.page.step.store(step, Ordering::Relaxed);
    }

    /// Init: words that explain the failure that is about to be reported.
    pub fn explain(&self, words: &[u8]) {
        let words = &words[..words.len().min(DETAIL)];
        for (place, byte) in self.page.detail.iter().zip(words) {
            place.store(*byte, Ordering::Relaxed);
        }
        self.page
            .detail_length
            .store(u32::try_from(words.len()).unwrap_or(0), Ordering::Relaxed);
    }

    /// Init: the step failed.
    pub fn fail(&self, errno: Errno) {
        self.page.errno.store(errno.0, Ordering::Relaxed);
        self.page.failed.store(1, Ordering::Release);
    }

    /// Init: copies the words into `buffer`; how many. For the report to `start`.
    pub fn detail_into(&self, buffer: &mut [u8]) -> usize {
        let length = self.detail_length().min(buffer.len());
        for (byte, place) in buffer.iter_mut().zip(&self.page.detail[..length]) {
            *byte = place.load(Ordering::Relaxed);
        }
        length
    }

    /// Init: where its seccomp listener is going to be.
    pub fn announce_listener(&self, fd: i32) {
        self.page.listener.store(fd + 1, Ordering::Release);
    }

    /// Runtime: where init's listener is.
    pub fn listener(&self) -> Option<i32> {
        Some(self.page.listener.load(Ordering::Acquire) - 1).filter(|fd| *fd >= 0)
    }

    /// Runtime: the step that init is at.
    pub fn step(&self) -> usize {
        self.page.step.load(Ordering::Relaxed) as usize
    }

    /// Runtime: when a step began, in nanoseconds of [`super::trace::now`]; none if it has not.
    pub fn begun(&self, step: usize) -> Option<u64> {
        let time = self.times.get(step)?.load(Ordering::Relaxed);
        (time != 0).then_some(time)
    }

    /// Runtime: what init failed with.
    pub fn failure(&self) -> Option<InitFailure> {
        if self.page.failed.load(Ordering::Acquire) == 0 {
            return None;
        }
        let errno = Errno(self.page.errno.load(Ordering::Relaxed));
        let bytes: Vec<u8> = self.page.detail[..self.detail_length()]
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
        (self.page.detail_length.load(Ordering::Relaxed) as usize).min(DETAIL)
    }
}

/// The page and the times behind it.
const fn length(times: usize) -> usize {
    const { assert!(size_of::<Page>().is_multiple_of(align_of::<AtomicU64>())) };
    size_of::<Page>() + times * size_of::<AtomicU64>()
}

impl Drop for Report {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and this handle, the only one, is going away.
        unsafe {
            libc::munmap(
                std::ptr::from_ref(self.page).cast_mut().cast(),
                length(self.times.len()),
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_back_with_its_words() {
        let report = Report::new(0).unwrap();
        assert_eq!(report.failure(), None);
        report.at(7);
        report.explain(b"tmpfs: Bad value for 'size'\n");
        report.fail(Errno(libc::EINVAL));
        let failure = report.failure().unwrap();
        assert_eq!((failure.step, failure.errno), (7, Errno(libc::EINVAL)));
        assert_eq!(failure.detail, "tmpfs: Bad value for 'size'");
    }

    #[test]
    fn times_are_kept_where_there_is_room_for_them() {
        let report = Report::new(2).unwrap();
        assert_eq!(report.begun(0), None);
        (0..4).for_each(|step| report.at(step));
        assert!(report.begun(0).unwrap() <= report.begun(1).unwrap());
        assert_eq!(report.begun(2), None);
        assert_eq!(report.step(), 3);
    }

    #[test]
    fn words_without_end_are_cut() {
        let report = Report::new(0).unwrap();
        report.explain(&[b'x'; 10_000]);
        report.fail(Errno(libc::EINVAL));
        assert_eq!(report.failure().unwrap().detail.len(), DETAIL);
    }
}
