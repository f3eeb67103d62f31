//! Kinds of failures in the coarse, by which the runtime itself decides.

/// What kind of failure it is, for programs; the JSON log prints it as `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The command line is wrong.
    Usage,
    /// A property of config.json is wrong or cannot be honoured on this host.
    Config,
    /// config.json or the root filesystem cannot be read.
    Bundle,
    /// The container is in a state that does not allow the operation.
    State,
    /// No container has that id.
    NotFound,
    /// The id is taken.
    Exists,
    /// The caller lacks a privilege.
    Permission,
    /// The kernel refused: a limit, a full disk, a missing call.
    System,
    /// A hook failed.
    Hook,
    /// The program of the container cannot be executed.
    Exec,
    /// A wait came to its deadline.
    Timeout,
}

impl Code {
    /// The stable name printed in the JSON log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::Bundle => "bundle",
            Self::State => "state",
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::Permission => "permission",
            Self::System => "system",
            Self::Hook => "hook",
            Self::Exec => "exec",
            Self::Timeout => "timeout",
        }
    }
}
