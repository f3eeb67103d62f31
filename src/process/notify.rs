//! Readiness across the border of the container: sd_notify(3).
//!
//! A service manager starts the runtime with `NOTIFY_SOCKET` and waits for `READY=1` there. The program
//! in the container should say it, but cannot reach the socket, and must not: it could say anything
//! about the host's service. So it gets a socket of ours, in a directory of the container's state that
//! is mounted read-only on /run/notify, and we pass on one line.
//!
//! After that line come two of our own. `MAINPID` names the program, because we are about to end.
//! `BARRIER=1` carries a pipe: when its other end is closed the manager has read all that we sent;
//! without it our messages would come from a process that exists no more, and be dropped.
//!
//! The socket is bound by `start`, not by `create`, which must not wait for a program that is not
//! running; the directory has to exist at `create`, for it is mounted then.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::error::{Act, Code, Failure, Field, Result};
use crate::sys::poll::{Deadline, Watch, wait, wait_readable};
use crate::sys::socket::{self, Address, Kind};
use crate::sys::{self, Errno, descriptor, fs};

/// Where the container's directory is mounted.
pub const DIRECTORY: &str = "/run/notify";

/// `NOTIFY_SOCKET` of the program.
pub const SOCKET: &str = "/run/notify/notify.sock";

/// How long the service manager may take to read.
const BARRIER_PATIENCE: Duration = Duration::from_secs(30);

/// The longest message; longer ones are cut.
const MESSAGE: usize = 4096;

/// What came of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The program said that it is ready and the service manager knows.
    Told,
    /// The program ended before.
    Ended,
}

/// Our socket, bound in the container's directory.
#[derive(Debug)]
pub struct Notify {
    socket: OwnedFd,
}

impl Notify {
    /// Binds `notify.sock` in the directory that the container sees at [`DIRECTORY`], for every user:
    /// the program may be any.
    pub fn listen(directory: BorrowedFd<'_>) -> Result<Self> {
        let act = || "cannot listen for readiness";
        let socket = descriptor::owned(socket::socket(Kind::Datagram).act(act)?);
        // By descriptor, for a socket address holds only 107 bytes and an id alone may have 255.
        let path = c_string(&format!(
            "/proc/self/fd/{}/notify.sock",
            directory.as_raw_fd()
        ))?;
        match fs::unlinkat(directory.as_raw_fd(), c"notify.sock", 0) {
            // One that a killed `start` left.
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(Failure::system(act(), errno)),
        }
        socket::bind(socket.as_raw_fd(), Address::Path(&path)).act(act)?;
        // The directory is ours, and read-only in the container.
        fs::chmodat(directory.as_raw_fd(), c"notify.sock", 0o777).act(act)?;
        Ok(Self { socket })
    }

    /// Waits until the program says that it is ready, and passes that on to the service manager.
    ///
    /// `host` is `NOTIFY_SOCKET`, `pid` the program for the manager, `pidfd` the same to see it end. There
    /// is no deadline: how long a service may take to start is the manager's business.
    pub fn forward(&self, host: &Path, pidfd: BorrowedFd<'_>, pid: i32) -> Result<Readiness> {
        let act = || "cannot tell the service manager";
        let field = |failure: Failure| failure.at(Field::new("NOTIFY_SOCKET"));
        let Some(ready) = self.wait_ready(pidfd).act(|| "cannot wait for readiness")? else {
            return Ok(Readiness::Ended);
        };
        let host = connect(host).map_err(field)?;
        descriptor::write_all(host.as_raw_fd(), &ready)
            .act(act)
            .map_err(field)?;
        let pid = format!("MAINPID={pid}");
        descriptor::write_all(host.as_raw_fd(), pid.as_bytes())
            .act(act)
            .map_err(field)?;
        barrier(host.as_raw_fd()).act(act).map_err(field)?;
        Ok(Readiness::Told)
    }

    /// The line with `READY=`, or none if the program ended without.
    fn wait_ready(&self, pidfd: BorrowedFd<'_>) -> sys::Result<Option<Vec<u8>>> {
        let mut message = [0; MESSAGE];
        loop {
            let mut watches = [
                Watch::readable(self.socket.as_raw_fd()),
                Watch::readable(pidfd.as_raw_fd()),
            ];
            wait(&mut watches, Deadline::NEVER)?;
            // What it said before it ended counts: it may have forked into the background.
            if watches[0].is_ready() {
                let length = fs::read(self.socket.as_raw_fd(), &mut message)?;
                if let Some(line) = ready_line(&message[..length]) {
                    return Ok(Some(line.to_owned()));
                }
            } else if watches[1].is_ready() {
                return Ok(None);
            }
        }
    }
}

/// Only this line is passed on: the program must not speak for the host's service otherwise.
fn ready_line(message: &[u8]) -> Option<&[u8]> {
    message
        .split(|byte| *byte == b'\n')
        .find(|line| line.starts_with(b"READY="))
}

fn connect(host: &Path) -> Result<OwnedFd> {
    let act = || format!("cannot connect to {}", host.display());
    let socket = descriptor::owned(socket::socket(Kind::Datagram).act(act)?);
    socket::set_send_timeout(socket.as_raw_fd(), BARRIER_PATIENCE).act(act)?;
    let bytes = host.as_os_str().as_bytes();
    let connected = match bytes.strip_prefix(b"@") {
        Some(name) => socket::connect(socket.as_raw_fd(), Address::Abstract(name)),
        None => {
            let path = CString::new(bytes)
                .map_err(|_| Failure::new(Code::Usage, act()).because("NUL byte"))?;
            socket::connect(socket.as_raw_fd(), Address::Path(&path))
        }
    };
    connected.act(act)?;
    Ok(socket)
}

/// Waits until the manager has read what was sent before: it then closes our pipe.
fn barrier(host: RawFd) -> sys::Result<()> {
    let pipe = descriptor::pipe()?;
    let sent = socket::send_descriptor(host, b"BARRIER=1", pipe.write);
    fs::close(pipe.write);
    let read = sent.and_then(|()| wait_readable(pipe.read, Deadline::after(BARRIER_PATIENCE)));
    fs::close(pipe.read);
    read
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Failure::new(Code::System, format!("{text:?} contains a NUL byte")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::spawn::fork_for_test;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    struct Scene {
        path: std::path::PathBuf,
        directory: std::fs::File,
        notify: Notify,
        manager: UnixDatagram,
    }

    impl Scene {
        fn new(name: &str) -> Self {
            // Longer than a socket address, as the state directory of a long id is.
            let path =
                std::env::temp_dir().join(format!("corten-notify-{name}-{}", std::process::id()));
            let deep = path.join("x".repeat(200));
            std::fs::create_dir_all(&deep).unwrap();
            let directory = std::fs::File::open(&deep).unwrap();
            let notify = Notify::listen(directory.as_fd()).unwrap();
            let manager = UnixDatagram::bind(path.join("manager")).unwrap();
            manager
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            Self {
                path,
                directory,
                notify,
                manager,
            }
        }

        fn say(&self, text: &str) {
            let program = UnixDatagram::unbound().unwrap();
            let socket = format!("/proc/self/fd/{}/notify.sock", self.directory.as_raw_fd());
            program.send_to(text.as_bytes(), socket).unwrap();
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.path).unwrap();
        }
    }

    #[test]
    fn ready_is_passed_on_with_the_pid_and_nothing_else_is() {
        let scene = Scene::new("ready");
        scene.say("STATUS=starting");
        scene.say("MAINPID=1\nREADY=1\nWATCHDOG=1");
        // The manager: three messages, then it lets the barrier go.
        let child = fork_for_test(|| {
            let mut message = [0; 100];
            let mut received = Vec::new();
            for _ in 0..2 {
                let length = scene.manager.recv(&mut message).unwrap();
                received.push(String::from_utf8(message[..length].to_vec()).unwrap());
            }
            let last = socket::receive_descriptor(scene.manager.as_raw_fd(), &mut message).unwrap();
            assert_eq!(received, ["READY=1", "MAINPID=4711"]);
            assert_eq!(&message[..last.length], b"BARRIER=1");
            fs::close(last.fd.unwrap());
            0
        });
        let me = sys::Pidfd::open(crate::sys::process::getpid()).unwrap();
        let told = scene
            .notify
            .forward(&scene.path.join("manager"), me.as_fd(), 4711)
            .unwrap();
        assert_eq!(told, Readiness::Told);
        assert_eq!(crate::sys::process::wait_pidfd(child.pidfd).unwrap(), 0);
        fs::close(child.pidfd);
    }

    #[test]
    fn a_program_that_ends_silently_ends_the_wait() {
        let scene = Scene::new("ended");
        let child = fork_for_test(|| 0);
        let pidfd = descriptor::owned(child.pidfd);
        let told = scene
            .notify
            .forward(Path::new("/nonexistent"), pidfd.as_fd(), child.pid)
            .unwrap();
        assert_eq!(told, Readiness::Ended);
        crate::sys::process::wait_pidfd(child.pidfd).unwrap();
    }

    #[test]
    fn every_user_may_write_to_the_socket_and_a_second_start_binds_it_again() {
        use std::os::unix::fs::PermissionsExt;
        let scene = Scene::new("mode");
        let again = Notify::listen(scene.directory.as_fd()).unwrap();
        let path = format!("/proc/self/fd/{}/notify.sock", scene.directory.as_raw_fd());
        assert_eq!(
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o777
        );
        drop(again);
    }
}
