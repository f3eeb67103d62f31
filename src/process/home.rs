//! HOME of the program, from the container's /etc/passwd.
//!
//! The file belongs to the image. It may be a fifo that never answers, a link to the host, a device
//! without end: it is opened inside the root without blocking, must be a plain file, and no more
//! than a mebibyte of it is read, a piece at a time, on the stack. Whatever is wrong with it, HOME is `/`;
//! a machine that cannot read it now is an error, because another HOME would be another container.
//! No name service is asked: that would load the image's code into the runtime (CVE-2019-14271).

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::rootfs::resolve;
use crate::sys::{Result, fs};

/// Longest home directory, with `HOME=` and the NUL.
const LONGEST: usize = 1024;
/// How much of the file is read.
const MOST: usize = 1 << 20;

/// The variable, ready for execve(2).
#[derive(Clone, Debug)]
pub struct Home {
    text: [u8; LONGEST],
    wanted: bool,
}

impl Default for Home {
    fn default() -> Self {
        Self {
            text: [0; LONGEST],
            wanted: false,
        }
    }
}

impl Home {
    fn new(directory: &[u8]) -> Self {
        let mut home = Self {
            wanted: true,
            ..Self::default()
        };
        let directory = if directory.is_empty() || directory.len() > LONGEST - 6 {
            b"/"
        } else {
            directory
        };
        home.text[..5].copy_from_slice(b"HOME=");
        home.text[5..5 + directory.len()].copy_from_slice(directory);
        home
    }

    /// `HOME=…`, if it was looked up.
    pub fn variable(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.text)
            .ok()
            .filter(|_| self.wanted)
    }
}

/// Looks the user up; `/` if there is no such user or no such file.
// What stands on the stack here is not to stand in init's own frame, every page of which is touched.
#[inline(never)]
pub fn find(root: RawFd, uid: u32) -> Result<Home> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let how = fs::resolve::IN_ROOT | fs::resolve::NO_MAGICLINKS;
    let file = match resolve::open_how(root, c"/etc/passwd", flags, how) {
        Err(errno) if errno.is_of_the_machine() => return Err(errno),
        Err(_) => return Ok(Home::new(b"/")),
        Ok(file) => file,
    };
    let home = match fs::fstat(file) {
        Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFREG => search(file, uid),
        Ok(_) => Ok(Home::new(b"/")),
        Err(errno) => Err(errno),
    };
    fs::close(file);
    home
}

// With a page of the stack for itself: init's own frame is touched, and paid for, by every container.
#[inline(never)]
fn search(file: RawFd, uid: u32) -> Result<Home> {
    let mut buffer = [0u8; 4096];
    let (mut held, mut total) = (0, 0);
    loop {
        let length = fs::read(file, &mut buffer[held..])?;
        if length == 0 {
            break;
        }
        total += length;
        let filled = held + length;
        let mut start = 0;
        while let Some(end) = buffer[start..filled].iter().position(|byte| *byte == b'\n') {
            if let Some(home) = home_of(&buffer[start..start + end], uid) {
                return Ok(Home::new(home));
            }
            start += end + 1;
        }
        // A line that fills the buffer is no user's.
        held = if start == 0 && filled == buffer.len() {
            0
        } else {
            filled - start
        };
        buffer.copy_within(filled - held..filled, 0);
        if total > MOST {
            break;
        }
    }
    Ok(home_of(&buffer[..held], uid).map_or_else(|| Home::new(b"/"), Home::new))
}

/// The sixth field of `name:password:uid:gid:comment:home:shell` if the third is this user.
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = std::str::from_utf8(fields.nth(2)?)
        .ok()?
        .parse::<u32>()
        .ok()?;
    (number == uid).then_some(())?;
    fields.nth(2).filter(|home| !home.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn home_in(passwd: &[u8], uid: u32) -> String {
        let root = std::env::temp_dir().join(format!(
            "corten-home-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/passwd"), passwd).unwrap();
        let home = find(std::fs::File::open(&root).unwrap().as_raw_fd(), uid).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        home.variable().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_home_of_the_user_is_found() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nredis:x:100:101::/var/lib/redis:/bin/false";
        assert_eq!(home_in(passwd, 0), "HOME=/root");
        assert_eq!(home_in(passwd, 100), "HOME=/var/lib/redis");
        assert_eq!(home_in(passwd, 7), "HOME=/");
    }

    #[test]
    fn a_user_far_down_is_found_and_long_lines_are_skipped() {
        let mut passwd = Vec::new();
        for uid in 1000..2000 {
            passwd.extend_from_slice(
                format!("u{uid}:x:{uid}:{uid}::/home/{uid}:/bin/sh\n").as_bytes(),
            );
        }
        passwd.extend_from_slice(&[b'x'; 10_000]);
        passwd.extend_from_slice(b"\nlast:x:5:5::/last:/bin/sh\n");
        assert_eq!(home_in(&passwd, 1999), "HOME=/home/1999");
        assert_eq!(home_in(&passwd, 5), "HOME=/last");
    }

    #[test]
    fn a_fifo_does_not_hang() {
        let root = std::env::temp_dir().join(format!("corten-home-fifo-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        nix::unistd::mkfifo(&root.join("etc/passwd"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let home = find(std::fs::File::open(&root).unwrap().as_raw_fd(), 0).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        assert_eq!(home.variable().unwrap(), c"HOME=/");
    }
}
