//! What `--log` names: a file, or a logging service of the host, as crun spells them
//! (`file:PATH`, `journald:NAME`, `syslog:NAME`).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::error::{Act, Result};

/// A place for lines.
#[derive(Debug)]
pub(super) enum Destination {
    File(File),
    /// systemd-journald's own protocol: `FIELD=value` lines, of which ours hold no line break.
    Journal {
        socket: UnixDatagram,
        name: String,
    },
    /// RFC 3164 as syslogd and journald read it on /dev/log.
    Syslog {
        socket: UnixDatagram,
        name: String,
    },
}

impl Destination {
    pub(super) fn open(wanted: &str) -> Result<Self> {
        let (kind, rest) = wanted.split_once(':').unwrap_or(("file", wanted));
        let connect = |path: &str| -> std::io::Result<UnixDatagram> {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(socket)
        };
        let act = || format!("--log: cannot open {wanted}");
        match kind {
            "journald" => {
                let socket = connect("/run/systemd/journal/socket").act(act)?;
                Ok(Self::Journal {
                    socket,
                    name: rest.to_owned(),
                })
            }
            "syslog" => Ok(Self::Syslog {
                socket: connect("/dev/log").act(act)?,
                name: rest.to_owned(),
            }),
            "file" => file(rest),
            // A colon may stand in a path.
            _ => file(wanted),
        }
    }

    /// Whether the service notes the time itself.
    pub(super) fn has_clock(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// One line, without its end.
    pub(super) fn write(&self, level: &str, line: &str) -> std::io::Result<()> {
        // syslog(3): LOG_ERR, LOG_WARNING, LOG_DEBUG; the facility is LOG_DAEMON.
        let priority = match level {
            "error" => 3,
            "warning" => 4,
            _ => 7,
        };
        match self {
            // One write(2) with O_APPEND: lines of two calls never mix.
            Self::File(file) => (&*file).write_all(format!("{line}\n").as_bytes()),
            Self::Journal { socket, name } => {
                let line = line.replace('\n', " ");
                let fields =
                    format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={name}\nMESSAGE={line}\n");
                socket.send(fields.as_bytes()).map(|_| ())
            }
            Self::Syslog { socket, name } => socket
                .send(format!("<{}>{name}: {line}", 3 << 3 | priority).as_bytes())
                .map(|_| ()),
        }
    }
}

/// O_SYNC as runc has it: the line must be there when the caller sees the exit status, and after a
/// crash of the machine.
fn file(path: &str) -> Result<Destination> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_SYNC)
        .open(Path::new(path))
        .map(Destination::File)
        .act(|| format!("--log: cannot open {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::container::tests::Scratch;

    #[test]
    fn a_file_may_be_named_with_or_without_its_kind_and_may_hold_a_colon() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a:b");
        for wanted in [
            path.display().to_string(),
            format!("file:{}", path.display()),
        ] {
            Destination::open(&wanted)
                .unwrap()
                .write("error", "line")
                .unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "line\nline\n");
    }

    #[test]
    fn a_service_gets_priority_name_and_message() {
        let (socket, service) = UnixDatagram::pair().unwrap();
        let name = "web".to_owned();
        let mut buffer = [0; 256];
        Destination::Syslog {
            socket: socket.try_clone().unwrap(),
            name: name.clone(),
        }
        .write("error", "no")
        .unwrap();
        let length = service.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"<27>web: no");
        Destination::Journal { socket, name }
            .write("warning", "a\nMESSAGE=b")
            .unwrap();
        let length = service.recv(&mut buffer).unwrap();
        assert_eq!(
            &buffer[..length],
            b"PRIORITY=4\nSYSLOG_IDENTIFIER=web\nMESSAGE=a MESSAGE=b\n"
        );
    }
}
