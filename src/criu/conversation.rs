//! criu as a child, asked over a socket.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::rpc::{self, Kind, Message, Response};
use crate::error::{self, Act, Code, Failure, Result};
use crate::sys::{Errno, descriptor, signal, socket, spawn};

/// Whether criu is here, and the kernel is one that it can work with.
pub fn check() -> Result<()> {
    let act = || "cannot checkpoint and restore here";
    // A caller who ignores SIGCHLD leaves that to us, and the kernel would discard the status.
    signal::set_default(libc::SIGCHLD).act(act)?;
    let checked = Command::new("criu")
        .arg("check")
        .stdin(Stdio::null())
        .output()
        .act(act)
        .map_err(|failure| failure.hint(MISSING).of(error::Kind::Criu))?;
    if checked.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&checked.stderr);
    let last = text.lines().last().unwrap_or("it says nothing");
    Err(Failure::new(Code::System, act())
        .because(format!("criu check: {last}"))
        .of(error::Kind::Criu))
}

/// criu's messages are small; a notification names a script.
const LONGEST: usize = 64 << 10;

const MISSING: &str = "the program criu is part of the package criu";

/// criu, started and listening. Killed when dropped before the end.
#[derive(Debug)]
pub struct Criu {
    child: Child,
    socket: OwnedFd,
}

/// What criu says.
#[derive(Debug)]
pub enum Told {
    /// On its way.
    Event(Event),
    /// It is done.
    End(Response),
}

/// What criu tells on its way.
#[derive(Debug)]
pub struct Event {
    /// `setup-namespaces`, `post-restore`, `orphan-pts-master`.
    pub name: String,
    /// The container's first process.
    pub pid: Option<i32>,
    /// The master of a terminal.
    pub descriptor: Option<OwnedFd>,
}

impl Criu {
    /// Starts it. It inherits the standard streams and `descriptors`, under their numbers; and begins, where one is
    /// given, in a cgroup that is the root of its cgroup namespace, and with a session keyring.
    pub fn start(
        descriptors: &[RawFd],
        cgroup: Option<BorrowedFd<'_>>,
        keyring: Option<CString>,
    ) -> Result<Self> {
        let act = || "cannot run criu";
        let (near, far) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(Errno::from)
        .act(act)?;
        for fd in descriptors.iter().chain([&far.as_raw_fd()]) {
            descriptor::keep_at_exec(*fd).act(act)?;
        }
        signal::set_default(libc::SIGCHLD).act(act)?;
        let mut command = Command::new("criu");
        command
            .args(["swrk", &far.as_raw_fd().to_string()])
            .stdin(Stdio::inherit());
        if let Some(cgroup) = cgroup {
            spawn::begin_in_cgroup(&mut command, cgroup).act(act)?;
        }
        if let Some(name) = keyring {
            spawn::begin_in_keyring(&mut command, name);
        }
        let child = command
            .spawn()
            .act(act)
            .map_err(|failure| failure.hint(MISSING))?;
        Ok(Self {
            child,
            socket: near,
        })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// Asks for one thing.
    pub fn ask(&self, kind: Kind, options: &Message) -> Result<()> {
        self.send(&rpc::request(kind, options))
    }

    /// What criu tells next. After an event it waits until told to go on; after the end it is gone. A failure
    /// carries the last errors of the log, which nobody would find.
    pub fn next(&mut self, log: &Path) -> Result<Told> {
        let (response, descriptor) = self.receive(log)?;
        if response.kind == Kind::Notify as u64 {
            return Ok(Told::Event(Event {
                name: response.script.unwrap_or_default(),
                pid: response.script_pid,
                descriptor,
            }));
        }
        self.child.wait().act(|| "cannot wait for criu")?;
        if response.success {
            return Ok(Told::End(response));
        }
        Err(refused(response.words, log))
    }

    /// Answers an event.
    pub fn go_on(&self) -> Result<()> {
        self.send(&rpc::acknowledgement())
    }

    fn send(&self, message: &Message) -> Result<()> {
        let sent = nix::unistd::write(&self.socket, message.bytes()).map_err(Errno::from);
        sent.act(|| "cannot ask criu").map(drop)
    }

    fn receive(&mut self, log: &Path) -> Result<(Response, Option<OwnedFd>)> {
        let mut bytes = vec![0; LONGEST];
        let received = socket::receive_descriptor(self.socket.as_fd().as_raw_fd(), &mut bytes)
            .act(|| "cannot hear criu")?;
        let descriptor = received.fd.map(descriptor::owned);
        if received.length == 0 {
            return Err(refused(None, log));
        }
        let response = rpc::parse(&bytes[..received.length]).ok_or_else(|| {
            Failure::new(Code::System, "cannot understand criu").because("another protocol")
        })?;
        Ok((response, descriptor))
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        // One that has been waited for is gone, and then neither has anything to do.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// The errors of criu's log; its path too, for the rest.
fn refused(words: Option<String>, log: &Path) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let errors: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("Error ").map(|(_, words)| words.trim()))
        .collect();
    let last = errors.len().saturating_sub(3);
    let words = match (&errors[last..], words) {
        ([], Some(words)) => words,
        ([], None) => "it says nothing".to_owned(),
        (errors, _) => errors.join("; "),
    };
    Failure::new(Code::System, "criu failed")
        .because(words)
        .hint(format!("all of it is in {}", log.display()))
        .of(error::Kind::Criu)
}

/// A path for criu, which wants descriptors.
pub fn open_for_criu(path: &Path) -> Result<File> {
    File::open(path).act(|| format!("cannot open {}", path.display()))
}
