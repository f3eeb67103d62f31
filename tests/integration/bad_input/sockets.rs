//! 111 to 118: terminals, sockets and files that the command line names.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use nix::sys::socket::{Backlog, listen};
use nix::sys::stat::{Mode, SFlag, makedev};
use serde_json::json;

use super::scene::{Row, Scene, refused, story};

pub const ROWS: &[Row] = &[
    refused(
        111,
        "a terminal without a socket for it",
        |scene| { scene.set("/process/terminal", json!(true)); },
        &["cannot allocate tty if runc will detach without setting console socket"],
    ),
    refused(
        112,
        "a socket that is not there",
        |scene| terminal(scene, "/no/such/socket"),
        &["--console-socket: cannot connect to /no/such/socket: no such file or directory"],
    ),
    refused(
        113,
        "a socket that is a file",
        |scene| {
            let file = scene.lab.file("file", "");
            terminal(scene, file.to_str().unwrap());
        },
        &["--console-socket: cannot connect to ", "not a socket"],
    ),
    refused(
        114,
        "a socket whose path is too long",
        |scene| terminal(scene, &format!("/tmp/{}", "x".repeat(200))),
        &["--console-socket", "a socket address holds 107"],
    ),
    refused(
        115,
        "a socket for no terminal",
        |scene| scene.flags = ["--console-socket", "/no/such/socket"].map(str::to_owned).into(),
        &["cannot use console socket if runc will not detach or allocate tty"],
    ),
    story(116, "a peer that never accepts", |scene| {
        let deaf = Deaf::new("accepts");
        terminal(scene, deaf.path.to_str().unwrap());
        scene.create().fails(1, "--console-socket: cannot connect to");
    }),
    story(116, "a peer that never reads", |scene| {
        // The descriptor waits in the socket; whoever asked for it may come later, or never.
        let (path, _listener) = peer("reads");
        terminal(scene, path.to_str().unwrap());
        scene.create().ok();
        scene.end();
        fs::remove_file(path).unwrap();
    }),
    story(116, "a peer for the pidfd that never accepts", |scene| {
        let deaf = Deaf::new("pidfd");
        scene.flags = vec!["--pidfd-socket".to_owned(), deaf.path.display().to_string()];
        scene.create().fails(1, "--pidfd-socket: cannot connect to");
        scene.corten(&["state"]).fails(1, "container does not exist");
    }),
    refused(
        117,
        "a pid file in a directory that is not there",
        |scene| scene.flags = ["--pid-file", "/no/such/directory/pid"].map(str::to_owned).into(),
        &["--pid-file: cannot write the pid file /no/such/directory/pid: no such file or directory"],
    ),
    refused(
        117,
        "a pid file that is a directory",
        |scene| {
            let directory = scene.lab.path("directory");
            fs::create_dir(&directory).unwrap();
            scene.flags = vec!["--pid-file".to_owned(), directory.display().to_string()];
        },
        &["--pid-file: cannot write the pid file ", "is a directory"],
    ),
    story(117, "a pid file that is a device", |scene| {
        // Not one of the machine's: putting a file in its place is the fault.
        let device = scene.lab.path("device");
        nix::sys::stat::mknod(&device, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
        scene.flags = vec!["--pid-file".to_owned(), device.display().to_string()];
        scene.create().fails(1, "--pid-file: cannot write the pid file ");
        scene.corten(&["state"]).fails(1, "container does not exist");
        assert!(fs::metadata(&device).unwrap().file_type().is_char_device());
        fs::remove_file(device).unwrap();
    }),
    story(118, "a pid file on a disk that is full", |scene| {
        let disk = Disk::full(scene, "bytes");
        scene.flags = vec!["--pid-file".to_owned(), disk.path.join("pid").display().to_string()];
        scene.create().fails(1, "--pid-file: cannot write the pid file");
        scene.corten(&["state"]).fails(1, "container does not exist");
        let left: Vec<_> = fs::read_dir(&disk.path).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["ballast"]);
    }),
];

fn terminal(scene: &mut Scene<'_>, socket: &str) {
    scene.set("/process/terminal", json!(true));
    scene.flags = vec!["--console-socket".to_owned(), socket.to_owned()];
}

fn peer(name: &str) -> (PathBuf, UnixListener) {
    let path = std::env::temp_dir().join(format!("corten-{name}-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
}

/// A listener whose queue is full.
struct Deaf {
    path: PathBuf,
    _listener: UnixListener,
    _waiting: UnixStream,
}

impl Deaf {
    fn new(name: &str) -> Self {
        let (path, listener) = peer(name);
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        Self {
            _waiting: UnixStream::connect(&path).unwrap(),
            _listener: listener,
            path,
        }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap();
    }
}

/// A small file system in memory.
pub struct Disk {
    pub path: PathBuf,
}

impl Disk {
    /// One with no room left; but for files without content.
    pub fn full(scene: &Scene<'_>, name: &str) -> Self {
        let disk = Self::new(scene, name, "size=4k");
        fs::write(disk.path.join("ballast"), [0; 4096]).unwrap();
        disk
    }

    /// One with these options, in the mount namespace of the test alone.
    pub fn new(scene: &Scene<'_>, name: &str, options: &str) -> Self {
        let path = scene.lab.path(name);
        fs::create_dir(&path).unwrap();
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), &path, Some("tmpfs"), flags, Some(options)).unwrap();
        Self { path }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        nix::mount::umount2(&self.path, nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}
