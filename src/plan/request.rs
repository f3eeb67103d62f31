//! What a caller asks for besides config.json.

use std::path::PathBuf;

use crate::error::Field;
use crate::process::terminal::Stay;

/// What the caller asks for besides the configuration.
#[derive(Clone, Debug)]
pub struct Request {
    /// The container's id.
    pub id: String,
    /// Absolute; relative paths of the configuration begin here.
    pub bundle: PathBuf,
    /// The container's state directory, absolute.
    pub state: PathBuf,
    /// Where volumes are, absolute; none where there is no place for them.
    pub data: Option<PathBuf>,
    /// Whether the program waits for `start`.
    pub start: Start,
    /// Who takes the terminal.
    pub console: Console,
    /// `--pid-file`, absolute.
    pub pid_file: Option<PathBuf>,
    /// `--pidfd-socket`, absolute.
    pub pidfd_socket: Option<PathBuf>,
    /// How the root becomes `/`.
    pub pivot: Pivot,
    /// Whose session keyring.
    pub keyring: Keyring,
    /// An overlay root.
    pub overlay: Option<Overlay>,
    /// Descriptors from 3 on that the program inherits.
    pub kept_descriptors: u32,
    /// Added to the environment.
    pub variables: Vec<(String, String)>,
    /// NOTIFY_SOCKET of the runtime: who wants to know that the program is ready.
    pub notify: Option<PathBuf>,
    /// Whether the runtime stays until the program ends.
    pub stay: Stay,
}

impl Request {
    /// Where the socket is made by which the program says that it is ready.
    pub fn notify_directory(&self) -> PathBuf {
        self.state.join("notify")
    }
}

/// When the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `create`: when `start` says so.
    Later,
    /// `run`: at once.
    Now,
}

/// Who takes the terminal's master side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// There is no terminal.
    None,
    /// Whoever listens on this socket.
    Socket(PathBuf),
    /// The runtime, in the foreground.
    Runtime,
}

/// How the root becomes `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pivot {
    /// pivot_root(2).
    Pivot,
    /// MS_MOVE and chroot(2).
    Move,
}

/// The session keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyring {
    /// One of the container's own.
    New,
    /// The caller's.
    Inherit,
}

/// An overlay root: what lies above the bundle's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Read-only layers, uppermost first; the bundle's root is the lowest.
    pub layers: Vec<PathBuf>,
    /// Where writes are kept; none: in a tmpfs.
    pub upper: Option<PathBuf>,
    /// The flag or annotation that asked.
    pub field: Field,
}
