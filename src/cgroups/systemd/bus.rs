//! A connection to one systemd: calls and their answers, and the ends of jobs.

use std::ffi::CString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::plan::Owner;
use super::wire::{self, Call, HEAD, Message, Writer};
use crate::error::{Code, Failure, Kind};
use crate::sys::{self, Errno, descriptor, socket};

/// How long a job or an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

const DESTINATION: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// A connection.
#[derive(Debug)]
pub struct Bus {
    stream: BufReader<UnixStream>,
    serial: u32,
    deadline: Instant,
    /// Jobs that have ended while something else was waited for, and how.
    ended: Vec<(String, String)>,
}

/// Why a call brought nothing.
#[derive(Debug)]
pub enum Fault {
    /// systemd's words.
    Refused {
        /// `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// A sentence.
        text: String,
    },
    /// The connection failed.
    Broken(Errno),
}

type Answer<T> = Result<T, Fault>;

impl Fault {
    /// Whether it is the error of this name, the part after the last dot.
    pub fn is(&self, last: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name.rsplit('.').next() == Some(last))
    }

    /// As a failure of an act.
    pub fn of(self, act: String) -> Failure {
        let is_denied = self.is("AccessDenied") || self.is("InteractiveAuthorizationRequired");
        let failure = match self {
            Self::Broken(errno) => Failure::system(act, errno),
            Self::Refused { text, .. } if is_denied => Failure::new(Code::Permission, act)
                .because(text)
                .hint("a plain user's containers are units of the user's own systemd: is $XDG_RUNTIME_DIR set?"),
            Self::Refused { name, text } if text.is_empty() => Failure::new(Code::System, act).because(name),
            Self::Refused { text, .. } => Failure::new(Code::System, act).because(text),
        };
        failure.of(Kind::Systemd)
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Broken(errno)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        let late = matches!(
            error.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        );
        match error.raw_os_error() {
            _ if late => Self::Broken(Errno(libc::ETIMEDOUT)),
            Some(number) => Self::Broken(Errno(number)),
            None => Self::Broken(Errno(libc::EPROTO)),
        }
    }
}

impl Bus {
    /// systemd's private socket, where there is one for this caller: nothing lies between, and it tells the
    /// end of every job. Else a bus.
    pub fn connect(owner: Owner) -> Answer<Self> {
        let (private, shared) = addresses(owner);
        match open(&private) {
            Ok(stream) => Self::begin(stream),
            Err(_) => {
                let mut bus = Self::begin(open(&shared)?)?;
                bus.subscribe()?;
                Ok(bus)
            }
        }
    }

    /// The kernel tells who we are; an empty answer to the question for it means that (it is right in user
    /// namespaces too, where our number is another on the other side).
    fn begin(stream: UnixStream) -> Answer<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bus = Self {
            stream: BufReader::new(stream),
            serial: 0,
            deadline: Instant::now() + PATIENCE,
            ended: Vec::new(),
        };
        bus.stream
            .get_mut()
            .write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        for word in ["DATA", "OK "] {
            let mut line = String::new();
            (&mut bus.stream).take(512).read_line(&mut line)?;
            if !line.starts_with(word) {
                return Err(Fault::Broken(Errno(libc::EACCES)));
            }
        }
        Ok(bus)
    }

    fn subscribe(&mut self) -> Answer<()> {
        let daemon = |member, signature| Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            signature,
        };
        self.call(daemon("Hello", ""), &Writer::default())?;
        let mut rule = Writer::default();
        rule.string(
            "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        );
        self.call(daemon("AddMatch", "s"), &rule)?;
        self.manager("Subscribe", "", &Writer::default())
            .map(|_| ())
    }

    /// A call of systemd's manager.
    pub fn manager(&mut self, member: &str, signature: &str, body: &Writer) -> Answer<Message> {
        let call = Call {
            destination: DESTINATION,
            path: OBJECT,
            interface: MANAGER,
            member,
            signature,
        };
        self.call(call, body)
    }

    /// A property of systemd's manager that is a text.
    pub fn property(&mut self, name: &str) -> Answer<String> {
        let call = Call {
            destination: DESTINATION,
            path: OBJECT,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            signature: "ss",
        };
        let mut body = Writer::default();
        body.string(MANAGER);
        body.string(name);
        let answer = self.call(call, &body)?;
        let mut reader = answer.reader();
        let text = reader
            .signature()
            .filter(|kind| kind == "s")
            .and_then(|_| reader.string());
        text.ok_or(Fault::Broken(Errno(libc::EPROTO)))
    }

    fn call(&mut self, call: Call<'_>, body: &Writer) -> Answer<Message> {
        self.serial += 1;
        let bytes = wire::message(call, self.serial, body);
        self.stream.get_mut().write_all(&bytes)?;
        loop {
            let message = self.receive()?;
            match message.kind {
                2 if message.answers == self.serial => return Ok(message),
                3 if message.answers == self.serial => {
                    return Err(Fault::Refused {
                        text: message.reader().string().unwrap_or_default(),
                        name: message.error,
                    });
                }
                _ => self.note(&message),
            }
        }
    }

    /// Waits until a job has ended. `done` is the good end.
    pub fn end_of(&mut self, job: &str) -> Answer<String> {
        loop {
            if let Some(index) = self.ended.iter().position(|(ended, _)| ended == job) {
                return Ok(self.ended.swap_remove(index).1);
            }
            let message = self.receive()?;
            self.note(&message);
        }
    }

    /// JobRemoved: number, job, unit, how it ended.
    fn note(&mut self, message: &Message) {
        if message.kind != 4 || message.member != "JobRemoved" {
            return;
        }
        let mut reader = message.reader();
        let job = reader.u32().and_then(|_| reader.string());
        let result = reader.string().and_then(|_| reader.string());
        self.ended.extend(job.zip(result));
    }

    fn receive(&mut self) -> Answer<Message> {
        if Instant::now() >= self.deadline {
            return Err(Fault::Broken(Errno(libc::ETIMEDOUT)));
        }
        let mut bytes = vec![0; HEAD];
        self.stream.read_exact(&mut bytes)?;
        let head = bytes[..].try_into().map_err(|_| Errno(libc::EPROTO))?;
        let rest = wire::rest(&head).ok_or(Errno(libc::EPROTO))?;
        bytes.resize(HEAD + rest, 0);
        self.stream.read_exact(&mut bytes[HEAD..])?;
        wire::read(&bytes).ok_or(Fault::Broken(Errno(libc::EPROTO)))
    }
}

/// The private socket and the bus.
fn addresses(owner: Owner) -> (PathBuf, PathBuf) {
    let named = |variable: &str| {
        let address = std::env::var(variable).ok()?;
        let path = address
            .split([';', ','])
            .next()?
            .strip_prefix("unix:path=")?;
        Some(PathBuf::from(path))
    };
    match owner {
        Owner::System => (
            PathBuf::from("/run/systemd/private"),
            named("DBUS_SYSTEM_BUS_ADDRESS")
                .unwrap_or_else(|| "/run/dbus/system_bus_socket".into()),
        ),
        Owner::User => {
            let own = || format!("/run/user/{}", sys::credentials::ids().0[1]).into();
            let directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
            let directory = directory.map_or_else(own, PathBuf::from);
            let bus = named("DBUS_SESSION_BUS_ADDRESS").unwrap_or_else(|| directory.join("bus"));
            (directory.join("systemd/private"), bus)
        }
    }
}

/// The deadline is set first: connect(2) waits while the queue is full.
fn open(path: &Path) -> sys::Result<UnixStream> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno(libc::EINVAL))?;
    let socket = descriptor::owned(socket::socket(socket::Kind::Stream)?);
    socket::set_send_timeout(socket.as_raw_fd(), PATIENCE)?;
    socket::connect(socket.as_raw_fd(), socket::Address::Path(&path))?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What systemd sends: a signal, then an answer to call 1.
    fn said(
        kind: u8,
        fields: &[(u8, &str, &str)],
        answers: Option<u32>,
        texts: &[&str],
        number: Option<u32>,
    ) -> Vec<u8> {
        let mut body = Writer::default();
        number.into_iter().for_each(|number| body.u32(number));
        texts.iter().for_each(|text| body.string(text));
        wire::tests::any(kind, fields, answers, &body)
    }

    #[test]
    fn a_job_that_ends_before_the_answer_is_remembered() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"DATA\r\nOK 0123\r\n").unwrap();
        let removed = [(3, "s", "JobRemoved")];
        far.write_all(&said(
            4,
            &removed,
            None,
            &["/job/7", "a.scope", "done"],
            Some(7),
        ))
        .unwrap();
        far.write_all(&said(2, &[], Some(1), &["/job/7"], None))
            .unwrap();
        let mut bus = Bus::begin(near).unwrap();
        let answer = bus.manager("StopUnit", "", &Writer::default()).unwrap();
        let job = answer.reader().string().unwrap();
        assert_eq!(bus.end_of(&job).unwrap(), "done");
    }

    #[test]
    fn a_refusal_is_told_in_systemd_s_words() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"DATA\r\nOK 0123\r\n").unwrap();
        let name = [(4, "s", "org.freedesktop.systemd1.NoSuchUnit")];
        far.write_all(&said(
            3,
            &name,
            Some(1),
            &["Unit a.scope not loaded."],
            None,
        ))
        .unwrap();
        let mut bus = Bus::begin(near).unwrap();
        let fault = bus.manager("StopUnit", "", &Writer::default()).unwrap_err();
        assert!(fault.is("NoSuchUnit"));
        let text = fault.of("cannot stop the unit a.scope".into()).to_string();
        assert_eq!(
            text,
            "cannot stop the unit a.scope: Unit a.scope not loaded."
        );
    }

    #[test]
    fn one_who_does_not_know_us_is_an_error() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"REJECTED\r\n").unwrap();
        assert!(matches!(
            Bus::begin(near),
            Err(Fault::Broken(Errno(libc::EACCES)))
        ));
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert!(Bus::begin(near).is_err());
    }
}
