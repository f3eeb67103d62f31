//! The effects: the runtime hands the listener to its agent. The load itself is [`crate::sys::seccomp::load`].

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Serialize;

use crate::error::{Act, Failure, Field, Result};
use crate::sys;

use super::plan::Listener;
use super::words::{FLAGS, Flag, NEW_LISTENER};

/// How long an agent may leave its socket unread.
const PATIENCE: Duration = Duration::from_secs(10);

/// The container process state (config-linux.md, The Container Process State).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a, S> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: &'a S,
}

/// The container process state as JSON. `pid` is the process behind the filter as the runtime sees it,
/// `state` the container's state as `state` prints it.
pub fn process_state<S: Serialize>(
    listener: &Listener,
    oci_version: &str,
    pid: i32,
    state: &S,
) -> Result<Vec<u8>> {
    let metadata = &listener.metadata;
    let process = ProcessState {
        oci_version,
        fds: ["seccompFd"],
        pid,
        metadata,
        state,
    };
    serde_json::to_vec(&process).map_err(|error| {
        Failure::new(crate::error::Code::System, "cannot write the process state")
            .because(error.to_string())
    })
}

/// Sends the listener's descriptor and the container process state to the agent: one state a connection,
/// the descriptor with its first byte.
///
/// # Errors
/// At `linux.seccomp.listenerPath`: no agent listens there, or it does not read for ten seconds.
pub fn send_listener(
    listener: &Listener,
    descriptor: BorrowedFd<'_>,
    process_state: &[u8],
) -> Result<()> {
    send(&listener.path, descriptor, process_state)
        .map_err(|failure| failure.at(Field::new("linux.seccomp.listenerPath")))
}

fn send(path: &str, descriptor: BorrowedFd<'_>, process_state: &[u8]) -> Result<()> {
    let mut stream = UnixStream::connect(path).act(|| format!("cannot connect to {path}"))?;
    stream
        .set_write_timeout(Some(PATIENCE))
        .act(|| format!("cannot set a deadline for {path}"))?;
    let act = || format!("cannot send the seccomp listener to {path}");
    let descriptors = [descriptor.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let text = [IoSlice::new(process_state)];
    let sent = sendmsg::<()>(
        stream.as_raw_fd(),
        &text,
        &rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map_err(sys::Errno::from)
    .act(act)?;
    std::io::Write::write_all(&mut stream, &process_state[sent..]).act(act)
}

/// `linux.seccomp.supportedFlags` of `features`: the known flags that this kernel takes.
pub fn supported_flags() -> Vec<&'static str> {
    let needs = |flag: &Flag| {
        if flag.listener_only {
            flag.bit | NEW_LISTENER
        } else {
            flag.bit
        }
    };
    let taken = FLAGS
        .iter()
        .filter(|flag| sys::seccomp::knows_flags(needs(flag)));
    taken.map(|flag| flag.name).collect()
}
