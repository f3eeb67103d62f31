//! What init says last, put together without an allocation: to `start`, or as the program that was not executed.

use std::ffi::CStr;

use super::report::Report;
use crate::sys::process::exit_now;
use crate::sys::{Errno, fs};

/// What runc's init ends with when execve(2) has failed.
const NOT_EXECUTED: i32 = 255;

/// After `start` the container has begun, and a program that execve(2) refuses is its end: a line on its standard
/// error and a status, as with runc. So an engine shows both where it shows what a program said.
#[inline(never)] // a frame of its own: init's is touched by every container
pub fn not_executed(report: &Report, path: &CStr, errno: Errno) -> ! {
    let mut buffer = [0u8; 1024];
    let detail_length = report.detail_into(&mut buffer[..512]);
    let (detail, line) = buffer.split_at_mut(512);
    let detail = &detail[..detail_length];
    let mut text = [0u8; 64];
    let text_length = join(&[errno.text().unwrap_or("").as_bytes()], &mut text);
    text.make_ascii_lowercase();
    let colon: &[u8] = if detail.is_empty() { b"" } else { b": " };
    let words = [
        b"exec ",
        path.to_bytes(),
        b": ",
        &text[..text_length],
        colon,
        detail,
    ];
    let length = join(&words, line);
    let end = length.min(line.len() - 1);
    line[end] = b'\n';
    // Standard error may be closed.
    fs::write(libc::STDERR_FILENO, &line[..=end]).unwrap_or(());
    exit_now(NOT_EXECUTED)
}

/// As much of the words as there is room for; how long it is.
pub fn join(words: &[&[u8]], room: &mut [u8]) -> usize {
    words.iter().fold(0, |length, word| {
        let end = (length + word.len()).min(room.len());
        room[length..end].copy_from_slice(&word[..end - length]);
        end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_where_the_room_ends() {
        let mut room = [0u8; 7];
        assert_eq!(join(&[b"one", b"", b" two"], &mut room), 7);
        assert_eq!(&room, b"one two");
        assert_eq!(join(&[b"three", b"four", b"five"], &mut room), 7);
        assert_eq!(&room, b"threefo");
    }
}
