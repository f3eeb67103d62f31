//! The engine's end of `--console-socket`: takes the terminal, then types and reads.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::{Lab, host};

/// How long to wait for a terminal or for what it prints.
const DEADLINE: Duration = Duration::from_secs(10);

/// A socket on which an engine waits for a terminal.
#[derive(Debug)]
pub struct ConsoleSocket {
    /// For `--console-socket`.
    pub path: PathBuf,
    listener: UnixListener,
}

/// The controlling end of a terminal, and all that came out of it.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    /// What came with the descriptor.
    pub payload: String,
    seen: String,
}

impl ConsoleSocket {
    /// Listens in the test's directory.
    pub fn new(lab: &Lab) -> Self {
        // Relative to the long path of a test's directory, a socket's name would not fit in 108 bytes.
        let path = std::env::temp_dir().join(format!(
            "corten-tty-{}-{}",
            std::process::id(),
            lab.number()
        ));
        let listener = UnixListener::bind(&path).expect("the path is short and new");
        Self { path, listener }
    }

    /// Takes the one descriptor that a runtime sends.
    #[track_caller]
    pub fn descriptor(self) -> (OwnedFd, String) {
        wait_readable(&self.listener, "a connection to the console socket");
        let (stream, _) = self.listener.accept().expect("it is readable");
        wait_readable(&stream, "a message on the console socket");
        let (mut bytes, mut space) = ([0u8; 4096], nix::cmsg_space!([RawFd; 4]));
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .expect("it is readable");
        let length = message.bytes;
        let mut received = Vec::new();
        for control in message.cmsgs().expect("the space was large enough") {
            if let ControlMessageOwned::ScmRights(list) = control {
                received.extend(list);
            }
        }
        assert_eq!(received.len(), 1, "one descriptor was expected");
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
        let descriptor = unsafe { OwnedFd::from_raw_fd(received[0]) };
        drop(std::fs::remove_file(&self.path)); // whether it can be removed says nothing about the runtime
        (
            descriptor,
            String::from_utf8_lossy(&bytes[..length]).into_owned(),
        )
    }

    /// Takes the terminal.
    #[track_caller]
    pub fn terminal(self) -> Terminal {
        let (descriptor, payload) = self.descriptor();
        Terminal {
            file: File::from(descriptor),
            payload,
            seen: String::new(),
        }
    }
}

impl Terminal {
    /// The controlling end.
    pub fn new(descriptor: OwnedFd) -> Self {
        Self {
            file: File::from(descriptor),
            payload: String::new(),
            seen: String::new(),
        }
    }

    /// Types.
    pub fn enter(&mut self, line: &str) {
        writeln!(self.file, "{line}").expect("the terminal is open");
    }

    /// All that is printed until whoever prints has gone.
    pub fn rest(&mut self) -> String {
        let mut bytes = [0u8; 4096];
        // The end of a terminal is EIO.
        while let Ok(length @ 1..) = self.file.read(&mut bytes) {
            self.seen
                .push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        self.seen.clone()
    }

    /// Types the end of the input.
    pub fn end(&mut self) {
        self.file.write_all(b"\x04").expect("the terminal is open");
    }

    /// Waits until the terminal has printed a text more often than that, or another text at all.
    #[track_caller]
    pub fn expect_more_than(&mut self, text: &str, count: usize, other: &str) -> String {
        self.expect_that(text, |seen| {
            seen.matches(text).count() > count || seen.contains(other)
        })
    }

    /// Waits until the terminal has printed a text; returns all it has printed.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        self.expect_that(text, |seen| seen.contains(text))
    }

    #[track_caller]
    fn expect_that(&mut self, text: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + host::patience(DEADLINE);
        while !holds(&self.seen) {
            assert!(
                Instant::now() < deadline,
                "no {text:?} on the terminal: {:?}",
                self.seen
            );
            let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            if poll(&mut polled, PollTimeout::from(50u8)).expect("the terminal is open") == 0 {
                continue;
            }
            let mut bytes = [0u8; 4096];
            match self.file.read(&mut bytes) {
                Ok(length) => self
                    .seen
                    .push_str(&String::from_utf8_lossy(&bytes[..length])),
                Err(error) => panic!(
                    "the terminal is gone ({error}) without {text:?}: {:?}",
                    self.seen
                ),
            }
        }
        self.seen.clone()
    }
}

#[track_caller]
fn wait_readable(file: &impl AsFd, what: &str) {
    let limit = PollTimeout::try_from(host::patience(DEADLINE)).expect("a short time");
    let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    assert_eq!(
        poll(&mut polled, limit).expect("it is open"),
        1,
        "no {what}"
    );
}
