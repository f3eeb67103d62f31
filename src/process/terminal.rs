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
use crate::sys::{self, Errno, decimal, descriptor, fs, fs::resolve, process, socket};

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
    let flags = libc::O_PATH | libc::O_DIRECTORY;
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
    let mut digits = [0; 10];
    let digits = decimal(number, &mut digits);
    let length = PREFIX.len() + digits.len();
    buffer[..PREFIX.len()].copy_from_slice(PREFIX);
    buffer[PREFIX.len()..length].copy_from_slice(digits);
    &buffer[..length]
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

/// For a terminal whose output the runtime passes on: its caller's terminal adds the carriage returns, and a
/// file wants none. The program must not have started yet.
pub fn give_plain_newlines(master: RawFd) -> Result<()> {
    pty::modes(master)
        .and_then(|modes| pty::set_modes(master, modes.plain_newlines()))
        .act(|| "cannot set up the terminal")
}

/// Sends a descriptor as a console socket's peer expects it: `--pidfd-socket`.
pub fn send_descriptor(flag: &'static str, socket: &OwnedFd, name: &[u8], fd: RawFd) -> Result<()> {
    socket::send_descriptor(socket.as_raw_fd(), name, fd)
        .act(|| "cannot send the descriptor")
        .map_err(|failure| failure.at(Field::new(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::credentials;
    use crate::sys::spawn::fork_for_test;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn directory(path: &CStr) -> OwnedFd {
        descriptor::owned(
            fs::openat(fs::AT_FDCWD, path, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap(),
        )
    }

    /// A directory that goes with the test.
    struct Scene(std::path::PathBuf);

    impl Scene {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("corten-terminal-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn open(&self) -> OwnedFd {
            directory(&CString::new(self.0.to_str().unwrap()).unwrap())
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn error_of<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_name_is_made_without_an_allocation_from_any_number() {
        let mut buffer = [0; 24];
        for number in [0, 7, 10, 4095, u32::MAX] {
            assert_eq!(
                slave_name(number, &mut buffer),
                format!("/dev/pts/{number}").as_bytes()
            );
        }
    }

    #[test]
    fn the_master_travels_to_the_console_socket_and_the_program_has_the_slave() {
        let (near, far) = own_console_socket().unwrap();
        let child = fork_for_test(|| {
            let root = directory(c"/");
            let terminal = open_terminal(root.as_raw_fd()).unwrap();
            resize(
                terminal,
                WindowSize {
                    rows: 24,
                    columns: 80,
                },
            )
            .unwrap();
            let socket = std::os::fd::IntoRawFd::into_raw_fd(far.try_clone().unwrap());
            let expected = format!("/dev/pts/{}", pty::number(terminal.master).unwrap());
            send_master(socket, terminal).unwrap();
            attach(terminal).unwrap();
            // /dev/tty opens for whoever has a controlling terminal, and means that one.
            fs::openat(fs::AT_FDCWD, c"/dev/tty", libc::O_RDWR, 0).unwrap();
            assert_eq!(
                std::fs::read_link("/proc/self/fd/0")
                    .unwrap()
                    .to_str()
                    .unwrap(),
                expected
            );
            fs::write(1, b"written\n").unwrap();
            let mut byte = [0; 1];
            fs::read(0, &mut byte).unwrap();
            i32::from(byte[0])
        });
        drop(far);
        let master = receive_terminal(&near).unwrap();
        let size = pty::window_size(master.as_raw_fd()).unwrap();
        assert_eq!(
            size,
            WindowSize {
                rows: 24,
                columns: 80
            }
        );
        let mut bytes = [0; 64];
        wait_readable(master.as_raw_fd(), Deadline::after(PATIENCE)).unwrap();
        let length = fs::read(master.as_raw_fd(), &mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"written\r\n");
        fs::write(master.as_raw_fd(), b"*\n").unwrap();
        assert_eq!(process::wait_pidfd(child.pidfd).unwrap(), i32::from(b'*'));
        fs::close(child.pidfd);
    }

    #[test]
    fn an_init_that_dies_before_sending_is_an_error_not_a_wait() {
        let (near, far) = own_console_socket().unwrap();
        drop(far);
        assert_eq!(
            error_of(receive_terminal(&near)),
            "cannot receive the terminal: the container ended before it sent one"
        );
    }

    #[test]
    fn a_devpts_that_is_a_link_a_plain_directory_or_missing_is_refused() {
        let scene = Scene::new("devpts");
        let errno = |scene: &Scene| open_terminal(scene.open().as_raw_fd()).unwrap_err();
        assert_eq!(errno(&scene), Errno(libc::ENOENT));
        std::fs::create_dir(scene.0.join("dev")).unwrap();
        // Inside the root the link would mean nothing; outside it is the host's devpts.
        std::os::unix::fs::symlink("/dev/pts", scene.0.join("dev/pts")).unwrap();
        assert_eq!(errno(&scene), Errno(libc::ELOOP));
        std::fs::remove_file(scene.0.join("dev/pts")).unwrap();
        std::fs::create_dir(scene.0.join("dev/pts")).unwrap();
        std::fs::write(scene.0.join("dev/pts/ptmx"), "").unwrap();
        assert_eq!(errno(&scene), Errno(libc::ENOTTY));
    }

    #[test]
    fn something_mounted_over_ptmx_is_refused() {
        if credentials::ids().0[1] != 0 {
            return;
        }
        let child = fork_for_test(|| {
            crate::sys::namespace::unshare(libc::CLONE_NEWNS).unwrap();
            let run = |args: &[&str]| {
                assert!(
                    std::process::Command::new("mount")
                        .args(args)
                        .status()
                        .unwrap()
                        .success()
                )
            };
            run(&["--make-rprivate", "/"]);
            run(&["--bind", "/dev/null", "/dev/pts/ptmx"]);
            let errno = open_terminal(directory(c"/").as_raw_fd()).unwrap_err();
            i32::from(errno == Errno(libc::EXDEV))
        });
        assert_eq!(process::wait_pidfd(child.pidfd).unwrap(), 1);
        fs::close(child.pidfd);
    }

    #[test]
    fn streams_are_given_away_but_for_dev_null() {
        if credentials::ids().0[1] != 0 {
            return;
        }
        let scene = Scene::new("streams");
        let file = scene.0.join("out");
        std::fs::write(&file, "").unwrap();
        let child = fork_for_test(|| {
            let null = fs::openat(fs::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0).unwrap();
            let out = CString::new(file.to_str().unwrap()).unwrap();
            let out = fs::openat(fs::AT_FDCWD, &out, libc::O_RDWR, 0).unwrap();
            descriptor::dup_onto(null, 0).unwrap();
            descriptor::dup_onto(out, 1).unwrap();
            descriptor::dup_onto(null, 2).unwrap();
            let null_before = fs::fstat(0).unwrap().st_uid;
            give_streams_to(1234).unwrap();
            let owner = fs::fstat(1).unwrap();
            i32::from(
                (owner.st_uid, owner.st_gid, fs::fstat(0).unwrap().st_uid)
                    == (1234, 0, null_before),
            )
        });
        assert_eq!(process::wait_pidfd(child.pidfd).unwrap(), 1);
        fs::close(child.pidfd);
    }

    #[test]
    fn a_terminal_and_a_console_socket_come_together() {
        let path = Path::new("/socket");
        assert_eq!(
            console(true, Stay::Detach, Some(path)).unwrap(),
            Console::Socket(path)
        );
        assert_eq!(console(true, Stay::Foreground, None).unwrap(), Console::Own);
        assert_eq!(console(false, Stay::Detach, None).unwrap(), Console::None);
        assert_eq!(
            error_of(console(true, Stay::Detach, None)),
            "cannot allocate tty if runc will detach without setting console socket"
        );
        for (terminal, stay) in [
            (false, Stay::Detach),
            (false, Stay::Foreground),
            (true, Stay::Foreground),
        ] {
            assert_eq!(
                error_of(console(terminal, stay, Some(path))),
                "cannot use console socket if runc will not detach or allocate tty"
            );
        }
    }

    #[test]
    fn a_console_socket_that_cannot_be_connected_says_why() {
        let scene = Scene::new("socket");
        let error = |path: &Path| {
            let text = error_of(connect_console_socket("--console-socket", path));
            text.replace(scene.0.to_str().unwrap(), "DIR")
        };
        assert_eq!(
            error(&scene.0.join("missing")),
            "--console-socket: cannot connect to DIR/missing: no such file or directory"
        );
        std::fs::write(scene.0.join("file"), "").unwrap();
        assert_eq!(
            error(&scene.0.join("file")),
            "--console-socket: cannot connect to DIR/file: connection refused (not a socket, or nobody listens)"
        );
        let long = scene.0.join("x".repeat(100));
        assert!(
            error(&long).ends_with("bytes, a socket address holds 107"),
            "{}",
            error(&long)
        );
        let listener = UnixListener::bind(scene.0.join("good")).unwrap();
        let near = connect_console_socket("--console-socket", &scene.0.join("good")).unwrap();
        // A peer that never reads is no obstacle: the message waits in the socket.
        send_descriptor("--pidfd-socket", &near, b"pidfd", 1).unwrap();
        let (far, _): (UnixStream, _) = listener.accept().unwrap();
        let received = socket::receive_descriptor(far.as_raw_fd(), &mut [0; 16]).unwrap();
        fs::close(received.fd.unwrap());
        assert_eq!(received.length, 5);
    }
}
