//! The terminal of the container: made by Init, held by whoever asked for it.
//!
//! A pseudo terminal is two files. The program reads and writes the slave; the caller (conmon, a
//! shim, or our own foreground loop) holds the master. It must belong to the container's devpts, or
//! the program could not open /dev/tty, so Init makes it and sends the master out over a socket that
//! the runtime connected beforehand.
//!
//! /dev belongs to the image or to a volume that somebody else writes to. An attacker who puts a
//! link, a device or another mount at /dev/pts/ptmx or /dev/pts/0 wants the runtime to open, chown or
//! bind what it points to (CVE-2025-52565). So no path is used twice and none below the devpts at
//! all: /dev/pts is opened without following links and must be a devpts, `ptmx` is looked up in it
//! without crossing a mount, and the slave comes from the master (TIOCGPTPEER), never by name.
//!
//! The functions of the first half run in Init: they call the kernel and nothing else.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::error::{Act, Code, Failure, Field, Result};
use crate::sys::poll::{Deadline, wait_readable};
use crate::sys::pty::{self, WindowSize};
use crate::sys::{self, Errno, descriptor, fs, fs::resolve, process, socket};

/// How long the other side of a console socket may take to accept, and Init to send.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Major numbers of pseudo terminal slaves: admin-guide/devices.txt.
const SLAVE_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;

/// Both files of a pseudo terminal, O_CLOEXEC, owned by Init.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Goes to the caller.
    pub master: RawFd,
    /// Becomes the standard streams.
    pub slave: RawFd,
}

/// Init: makes a terminal of the devpts at /dev/pts below `root`, a directory descriptor.
///
/// ENOTTY: there is no devpts. ELOOP, EXDEV: a link or a mount is in the way.
pub fn open_terminal(root: RawFd) -> sys::Result<Terminal> {
    let devpts = open_devpts(root)?;
    let master = open_ptmx(devpts);
    fs::close(devpts);
    let master = master?;
    let slave = pty::unlock(master).and_then(|()| open_slave(master));
    match slave {
        Ok(slave) => Ok(Terminal { master, slave }),
        Err(errno) => {
            fs::close(master);
            Err(errno)
        }
    }
}

fn open_devpts(root: RawFd) -> sys::Result<RawFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let devpts = fs::openat2(
        root,
        c"dev/pts",
        flags,
        0,
        resolve::IN_ROOT | resolve::NO_SYMLINKS,
    )?;
    checked(
        devpts,
        fs::filesystem_magic(devpts).map(|magic| magic == pty::DEVPTS_MAGIC),
    )
}

/// Only the kernel makes entries in a devpts, so what is found there is what it is called.
fn open_ptmx(devpts: RawFd) -> sys::Result<RawFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let how = resolve::BENEATH | resolve::NO_SYMLINKS | resolve::NO_XDEV;
    let master = fs::openat2(devpts, c"ptmx", flags, 0, how)?;
    checked(
        master,
        is_character_device(master, |major, minor| (major, minor) == (5, 2)),
    )
}

fn open_slave(master: RawFd) -> sys::Result<RawFd> {
    let slave = pty::peer(master)?;
    checked(
        slave,
        is_character_device(slave, |major, _| SLAVE_MAJORS.contains(&major)),
    )
}

/// The descriptor if it is what it should be; else it is closed, ENOTTY.
fn checked(fd: RawFd, verdict: sys::Result<bool>) -> sys::Result<RawFd> {
    let errno = match verdict {
        Ok(true) => return Ok(fd),
        Ok(false) => Errno(libc::ENOTTY),
        Err(errno) => errno,
    };
    fs::close(fd);
    Err(errno)
}

fn is_character_device(fd: RawFd, numbers: fn(u32, u32) -> bool) -> sys::Result<bool> {
    let stat = fs::fstat(fd)?;
    let is_device = stat.st_mode & libc::S_IFMT == libc::S_IFCHR;
    Ok(is_device && numbers(libc::major(stat.st_rdev), libc::minor(stat.st_rdev)))
}

/// Init: process.consoleSize.
pub fn resize(terminal: Terminal, size: WindowSize) -> sys::Result<()> {
    pty::set_window_size(terminal.master, size)
}

/// Init: gives the slave to the user of the program. The group is devpts's own (`gid=5`) and stays.
pub fn give_to(terminal: Terminal, uid: u32) -> sys::Result<()> {
    fs::fchown(terminal.slave, uid, u32::MAX)
}

/// Init: sends the master over the console socket and closes both.
///
/// One message: SCM_RIGHTS with one descriptor, the payload is the name of the slave.
pub fn send_master(socket: RawFd, terminal: Terminal) -> sys::Result<()> {
    let mut buffer = [0; 24];
    let name = slave_name(pty::number(terminal.master)?, &mut buffer);
    socket::send_descriptor(socket, name, terminal.master)?;
    fs::close(terminal.master);
    fs::close(socket);
    Ok(())
}

/// `/dev/pts/N`, without an allocation.
fn slave_name(number: u32, buffer: &mut [u8; 24]) -> &[u8] {
    const PREFIX: &[u8] = b"/dev/pts/";
    let (mut at, mut rest) = (buffer.len(), number);
    loop {
        at -= 1;
        buffer[at] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    // 9 bytes of prefix and at most 10 digits: 19 of 24.
    at -= PREFIX.len();
    buffer[at..at + PREFIX.len()].copy_from_slice(PREFIX);
    &buffer[at..]
}

/// Init: a session of its own, with the slave as controlling terminal and standard streams. The
/// slave's own descriptor stays open for [`crate::rootfs`] to bind on /dev/console.
pub fn attach(terminal: Terminal) -> sys::Result<()> {
    match process::setsid() {
        // EPERM: Init leads its session already.
        Ok(()) | Err(Errno(libc::EPERM)) => {}
        Err(errno) => return Err(errno),
    }
    pty::set_controlling(terminal.slave)?;
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        descriptor::dup_onto(terminal.slave, stream)?;
    }
    Ok(())
}

/// Init: gives inherited standard streams to the user of the program, who could not reopen them
/// through /dev/stdin otherwise. Not /dev/null, which everybody shares.
pub fn give_streams_to(uid: u32) -> sys::Result<()> {
    let null = fs::device_number(1, 3);
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        let stat = fs::fstat(stream)?;
        let is_null = stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == null;
        if is_null || stat.st_uid == uid {
            continue;
        }
        match fs::fchown(stream, uid, u32::MAX) {
            // EINVAL: the owner is not mapped. EPERM, EROFS: somebody else's file. The program can
            // still use what it was given; it is only the path that it cannot open.
            Ok(()) | Err(Errno(libc::EINVAL | libc::EPERM | libc::EROFS)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether the runtime stays until the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// `create`, `run --detach`, `exec --detach`.
    Detach,
    /// `run`, `exec`.
    Foreground,
}

/// Where the master goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console<'a> {
    /// The program has no terminal.
    None,
    /// To the caller, over this socket.
    Socket(&'a Path),
    /// To the runtime itself, which plays the caller.
    Own,
}

/// Decides where the master goes: process.terminal against `--console-socket` and `--detach`.
pub fn console(terminal: bool, stay: Stay, socket: Option<&Path>) -> Result<Console<'_>> {
    match (terminal, stay, socket) {
        (true, Stay::Detach, Some(path)) => Ok(Console::Socket(path)),
        (true, Stay::Foreground, None) => Ok(Console::Own),
        (false, _, None) => Ok(Console::None),
        (true, Stay::Detach, None) => Err(Failure::new(
            Code::Usage,
            "cannot allocate tty if runc will detach without setting console socket",
        )),
        (_, _, Some(_)) => Err(Failure::new(
            Code::Usage,
            "cannot use console socket if runc will not detach or allocate tty",
        )),
    }
}

/// Connects to the socket of `--console-socket` or `--pidfd-socket` (the `flag`), within [`PATIENCE`].
pub fn connect_console_socket(flag: &'static str, path: &Path) -> Result<OwnedFd> {
    let bytes = path.as_os_str().as_bytes();
    let act = || format!("cannot connect to {}", path.display());
    let fail = |text: String| {
        Failure::new(Code::Usage, act())
            .because(text)
            .at(Field::new(flag))
    };
    if bytes.len() > socket::PATH_MAX {
        let length = bytes.len();
        return Err(fail(format!(
            "the path has {length} bytes, a socket address holds {}",
            socket::PATH_MAX
        )));
    }
    let address =
        CString::new(bytes).map_err(|_| fail("the path contains a NUL byte".to_owned()))?;
    let socket = connect(&address).map_err(|errno| match errno {
        Errno(libc::EAGAIN) => Failure::system(act(), Errno(libc::ETIMEDOUT)),
        // What connect(2) says of a file that is not a socket.
        Errno(libc::ECONNREFUSED) => {
            Failure::system(act(), errno).hint("not a socket, or nobody listens")
        }
        errno => Failure::system(act(), errno),
    });
    socket.map_err(|failure| failure.at(Field::new(flag)))
}

fn connect(address: &CStr) -> sys::Result<OwnedFd> {
    let socket = descriptor::owned(socket::socket(socket::Kind::Stream)?);
    // connect(2) waits while the backlog is full; the same timeout then bounds Init's sendmsg(2).
    socket::set_send_timeout(socket.as_raw_fd(), PATIENCE)?;
    socket::connect(socket.as_raw_fd(), socket::Address::Path(address))?;
    Ok(socket)
}

/// The two ends that replace a console socket when the runtime stays: its own, Init's.
pub fn own_console_socket() -> Result<(OwnedFd, OwnedFd)> {
    let (near, far) = socket::socketpair().act(|| "cannot make a socket for the terminal")?;
    Ok((descriptor::owned(near), descriptor::owned(far)))
}

/// Takes the master that Init sent. The caller has closed its copy of Init's end, so that a dead
/// Init is an end of file.
pub fn receive_terminal(socket: &OwnedFd) -> Result<OwnedFd> {
    let act = || "cannot receive the terminal";
    wait_readable(socket.as_raw_fd(), Deadline::after(PATIENCE)).act(act)?;
    let mut name = [0; 4096];
    let received = socket::receive_descriptor(socket.as_raw_fd(), &mut name).act(act)?;
    match received.fd {
        Some(fd) => Ok(descriptor::owned(fd)),
        None => {
            Err(Failure::new(Code::System, act()).because("the container ended before it sent one"))
        }
    }
}

/// Sends a descriptor as a console socket's peer expects it: `--pidfd-socket`.
pub fn send_descriptor(flag: &'static str, socket: &OwnedFd, name: &[u8], fd: RawFd) -> Result<()> {
    socket::send_descriptor(socket.as_raw_fd(), name, fd)
        .act(|| "cannot send the descriptor")
        .map_err(|failure| failure.at(Field::new(flag)))
}
