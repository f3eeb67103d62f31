//! The effects: the runtime hands the listener to its agent. The load itself is [`crate::sys::seccomp::load`].

use std::ffi::CString;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Serialize;

use crate::error::{Act, Failure, Field, Result};
use crate::sys::{self, Errno, descriptor, socket};

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
    let act = || format!("failed to connect with seccomp agent {path}");
    let mut stream = connect(path).map_err(|errno| match errno {
        Errno(libc::EAGAIN) => Failure::system(act(), Errno(libc::ETIMEDOUT)),
        errno => Failure::system(act(), errno),
    })?;
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
    .map_err(Errno::from)
    .act(act)?;
    std::io::Write::write_all(&mut stream, &process_state[sent..]).act(act)
}

/// The deadline is set first: connect(2) waits while the agent's queue is full.
fn connect(path: &str) -> sys::Result<UnixStream> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let socket = descriptor::owned(socket::socket(socket::Kind::Stream)?);
    socket::set_send_timeout(socket.as_raw_fd(), PATIENCE)?;
    socket::connect(socket.as_raw_fd(), socket::Address::Path(&path))?;
    Ok(UnixStream::from(socket))
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_process_state_is_that_of_the_specification() {
        let listener = Listener {
            path: "/agent".to_owned(),
            metadata: "hello".to_owned(),
        };
        let state = serde_json::json!({"id": "a"});
        let json = process_state(&listener, "1.3.0", 7, &state).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":7,"metadata":"hello","state":{"id":"a"}}"#
        );
    }

    #[test]
    fn an_agent_gets_the_descriptor_and_one_state_a_connection() {
        let path = std::env::temp_dir().join(format!("corten-agent-{}", std::process::id()));
        let agent = UnixListener::bind(&path).unwrap();
        let listener = Listener {
            path: path.to_str().unwrap().to_owned(),
            metadata: String::new(),
        };
        let (given, _kept) = std::os::unix::net::UnixStream::pair().unwrap();
        send_listener(&listener, given.as_fd(), b"state").unwrap();
        let (mut connection, _) = agent.accept().unwrap();
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let mut bytes = [0; 2];
        let mut text = [std::io::IoSliceMut::new(&mut bytes)];
        let message = nix::sys::socket::recvmsg::<()>(
            connection.as_raw_fd(),
            &mut text,
            Some(&mut space),
            MsgFlags::empty(),
        )
        .unwrap();
        let received: Vec<_> = message.cmsgs().unwrap().collect();
        assert!(
            matches!(&received[..], [nix::sys::socket::ControlMessageOwned::ScmRights(fds)] if fds.len() == 1)
        );
        let mut rest = String::new();
        connection.read_to_string(&mut rest).unwrap();
        assert_eq!((&bytes, rest.as_str()), (b"st", "ate"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_agent_that_is_not_there_is_named_by_its_field() {
        let listener = Listener {
            path: "/nowhere/agent".to_owned(),
            metadata: String::new(),
        };
        let failure = send_listener(&listener, std::io::stdin().as_fd(), b"").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "linux.seccomp.listenerPath: failed to connect with seccomp agent /nowhere/agent: no such file or directory"
        );
    }

    #[test]
    fn this_kernel_knows_all_flags() {
        assert_eq!(supported_flags(), super::super::known_flags());
    }
}
