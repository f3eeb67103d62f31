//! What init has done with and not closed yet.

use std::cell::Cell;
use std::os::fd::RawFd;

use crate::sys::{Result, fs};

/// Descriptors that are not needed any more and still open: a few close_range(2) are fewer calls than a
/// close(2) for each.
#[derive(Debug)]
pub(super) struct Spent {
    numbers: Cell<[u64; SPENT / 64]>,
    below: Cell<RawFd>,
}

/// The highest number that [`Spent`] can hold, plus one.
pub const SPENT: usize = 256;

impl Spent {
    pub(super) fn new(below: RawFd) -> Self {
        Self {
            numbers: Cell::new([0; SPENT / 64]),
            below: Cell::new(below),
        }
    }

    pub(super) fn add(&self, fd: RawFd) {
        match usize::try_from(fd) {
            Ok(number) if fd < self.below.get() && number < SPENT => {
                let mut numbers = self.numbers.get();
                numbers[number / 64] |= 1 << (number % 64);
                self.numbers.set(numbers);
            }
            _ => fs::close(fd),
        }
    }

    /// Closes them all; from now on each is closed at once.
    pub(super) fn close(&self) -> Result<()> {
        let numbers = self.numbers.take();
        self.below.set(0);
        let is_spent = |fd: u32| {
            let number = fd as usize;
            number < SPENT && numbers[number / 64] & 1 << (number % 64) != 0
        };
        let mut fd = 0;
        while (fd as usize) < SPENT {
            let first = fd;
            while is_spent(fd) {
                fd += 1;
            }
            if fd > first {
                fs::close_range(first, fd - 1)?;
            }
            fd += 1;
        }
        Ok(())
    }
}
