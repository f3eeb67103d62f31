//! Interfaces moved.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::message::{Answer, Request, answers, attribute, attributes, number};
use crate::error::{Act, Failure, Result};
use crate::sys::{self, Errno, descriptor, fs, namespace, network};

/// No answer of the kernel is longer.
const LONGEST_ANSWER: usize = 64 << 10;
/// How often a list is asked for that changes while it is told.
const ATTEMPTS: usize = 16;

/// rtnetlink(7): IFLA_* and IFA_* that are spoken of here.
mod kind {
    pub(super) const NAME: u16 = 3;
    pub(super) const NAMESPACE: u16 = 28;
    pub(super) const NEW_INDEX: u16 = 49;
    pub(super) const LABEL: u16 = 3;
    pub(super) const FLAGS: u16 = 8;
}

/// IFA_F_PERMANENT.
const PERMANENT: u32 = 0x80;
/// IFF_UP.
const UP: u32 = 1;
/// ifinfomsg: family, type, index, flags, mask of flags.
const LINK: usize = 16;
/// ifaddrmsg: family, length of the prefix, flags, scope; index.
const ADDRESS: usize = 8;

/// The two ends of a move, and what has been moved.
#[derive(Debug)]
pub struct Interfaces {
    outside: Network,
    inside: Network,
    moved: Vec<Moved>,
}

impl Interfaces {
    /// Between the runtime's network namespace and another one, given by its file.
    pub fn between_own_and(file: RawFd) -> Result<Self> {
        let outside = Network::own()?;
        Ok(Self {
            inside: outside.other(file)?,
            outside,
            moved: Vec::new(),
        })
    }

    /// Moves one into the container.
    pub fn pass(&mut self, name: &CStr, inside: &CStr, act: &str) -> Result<()> {
        let moved = self.outside.pass(name, &self.inside, inside, act)?;
        self.moved.push(moved);
        Ok(())
    }

    /// Moves all back, the last one first: the container has failed. One that stays does not keep the others.
    pub fn take_back(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(moved) = self.moved.pop() {
            result = result.and(self.outside.take_back(&self.inside, &moved));
        }
        result
    }
}

/// A network namespace: its file, and a conversation about its interfaces.
#[derive(Debug)]
struct Network {
    file: OwnedFd,
    socket: OwnedFd,
}

/// An interface of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    index: u32,
    flags: u32,
    name: CString,
}

/// An address as the kernel told it: family, length of the prefix, flags and scope; then attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    head: [u8; 4],
    attributes: Vec<(u16, Vec<u8>)>,
}

/// What was moved, and as what it goes back.
#[derive(Debug)]
struct Moved {
    /// Its number where it is now.
    index: u32,
    was: Interface,
    addresses: Vec<Address>,
}

/// Why the kernel refused, in its words if it had any.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal(Errno, String);

impl Moved {
    /// A label begins with the interface's name: under another name the kernel makes a new one.
    fn addresses_under(&self, name: &CStr) -> Vec<Address> {
        let mut addresses = self.addresses.clone();
        if self.was.name.as_c_str() != name {
            for address in &mut addresses {
                address.attributes.retain(|(of, _)| *of != kind::LABEL);
            }
        }
        addresses
    }
}

type Told<T> = std::result::Result<T, Refusal>;

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self(errno, String::new())
    }
}

impl Refusal {
    fn act(self, act: impl Into<String>) -> Failure {
        let failure = Failure::system(act, self.0);
        match self.1.is_empty() {
            true => failure,
            false => failure.because(format!("{} ({})", self.0, self.1)),
        }
    }
}

/// The file of a process's network namespace.
pub fn namespace_of(pid: i32) -> Result<OwnedFd> {
    let path = CString::new(format!("/proc/{pid}/ns/net")).expect("a number has no NUL byte");
    open(&path).act(|| "cannot open the container's network namespace")
}

fn open(path: &CStr) -> sys::Result<OwnedFd> {
    fs::openat(fs::AT_FDCWD, path, libc::O_RDONLY, 0).map(descriptor::owned)
}

impl Network {
    /// The runtime's own.
    fn own() -> Result<Self> {
        let act = || "cannot open the own network namespace";
        Ok(Self {
            file: open(c"/proc/self/ns/net").act(act)?,
            socket: network::route_socket().map(descriptor::owned).act(act)?,
        })
    }

    /// Another one: the runtime is there for as long as it takes to open the socket.
    fn other(&self, file: RawFd) -> Result<Self> {
        let act = || "cannot enter the container's network namespace";
        let file = descriptor::duplicate(file)
            .map(descriptor::owned)
            .act(act)?;
        namespace::setns(file.as_raw_fd(), libc::CLONE_NEWNET).act(act)?;
        let socket = network::route_socket().map(descriptor::owned);
        namespace::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET)
            .act(|| "cannot go back to the own network namespace")?;
        Ok(Self {
            file,
            socket: socket.act(act)?,
        })
    }

    /// Moves an interface to another namespace, with its permanent addresses of global scope, and brings it
    /// up there. Whatever fails, it is where it was.
    fn pass(&self, name: &CStr, other: &Self, inside: &CStr, act: &str) -> Result<Moved> {
        let moved = self.prepare(name, other, inside);
        let moved = moved.map_err(|refusal| refusal.act(act))?;
        let passed = self
            .send(moved.was.index, other, moved.index, inside)
            .and_then(|()| other.furnish(moved.index, &moved.addresses_under(inside)))
            .and_then(|()| other.raise(moved.index));
        let Err(refusal) = passed else {
            return Ok(moved);
        };
        let failure = refusal.act(act);
        // An order that moves and names may have moved alone.
        match self
            .find(name)
            .map_or_else(|_| self.take_back(other, &moved), |_| Ok(()))
        {
            Ok(()) => Err(failure),
            Err(left) => Err(failure.hint(left.to_string())),
        }
    }

    /// Moves back what was moved: the container has failed.
    fn take_back(&self, other: &Self, moved: &Moved) -> Result<()> {
        let was = &moved.was;
        other
            .send(moved.index, self, was.index, &was.name)
            .and_then(|()| self.furnish(was.index, &moved.addresses))
            .and_then(|()| match was.flags & UP {
                0 => Ok(()),
                _ => self.raise(was.index),
            })
            .map_err(|refusal| {
                refusal.act(format!("cannot move {} back", was.name.to_string_lossy()))
            })
    }

    /// What there is to know before anything is done; a name that is taken is an error already here.
    fn prepare(&self, name: &CStr, other: &Self, inside: &CStr) -> Told<Moved> {
        let was = self.find(name)?;
        let there = other.interfaces()?;
        if there
            .iter()
            .any(|interface| interface.name.as_c_str() == inside)
        {
            let words = "an interface of that name is there already";
            return Err(Refusal(Errno(libc::EEXIST), words.to_owned()));
        }
        // The number is chosen here, because it is how the interface is found again under a name such as eth%d.
        let is_taken = there.iter().any(|interface| interface.index == was.index);
        let highest = there.iter().map(|interface| interface.index).max();
        Ok(Moved {
            index: match is_taken {
                true => highest.unwrap_or(0).saturating_add(1),
                false => was.index,
            },
            addresses: self.addresses(was.index)?,
            was,
        })
    }

    /// RTM_SETLINK: into another namespace, under a number and a name there.
    fn send(&self, index: u32, other: &Self, new_index: u32, name: &CStr) -> Told<()> {
        let file = other.file.as_raw_fd();
        let order = link(libc::RTM_SETLINK, index, 0)
            .with(kind::NAMESPACE, &file.to_ne_bytes())
            .with(kind::NEW_INDEX, &new_index.to_ne_bytes())
            .with(kind::NAME, name.to_bytes_with_nul());
        self.order(&order)
    }

    /// RTM_NEWADDR: gives an interface its addresses back.
    fn furnish(&self, index: u32, addresses: &[Address]) -> Told<()> {
        addresses.iter().try_for_each(|address| {
            let fixed = [address.head, index.to_ne_bytes()].concat();
            let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
            let order = Request::new(libc::RTM_NEWADDR, flags, &fixed);
            let attributes = address.attributes.iter();
            self.order(&attributes.fold(order, |order, (of, value)| order.with(*of, value)))
        })
    }

    fn raise(&self, index: u32) -> Told<()> {
        self.order(&link(libc::RTM_SETLINK, index, UP))
    }

    fn find(&self, name: &CStr) -> Told<Interface> {
        let mut all = self.interfaces()?.into_iter();
        all.find(|interface| interface.name.as_c_str() == name)
            .ok_or_else(|| Refusal(Errno(libc::ENODEV), String::new()))
    }

    fn interfaces(&self) -> Told<Vec<Interface>> {
        let told = self.list(&Request::new(
            libc::RTM_GETLINK,
            libc::NLM_F_DUMP,
            &[0; LINK],
        ))?;
        Ok(told.iter().filter_map(|body| interface(body)).collect())
    }

    /// Those that config-linux.md wants preserved.
    fn addresses(&self, index: u32) -> Told<Vec<Address>> {
        let told = self.list(&Request::new(
            libc::RTM_GETADDR,
            libc::NLM_F_DUMP,
            &[0; ADDRESS],
        ))?;
        Ok(told
            .iter()
            .filter_map(|body| lasting_address(body, index))
            .collect())
    }

    fn order(&self, order: &Request) -> Told<()> {
        self.ask(order).map(|_| ())
    }

    /// A whole list; one that changed meanwhile is asked for again.
    fn list(&self, question: &Request) -> Told<Vec<Vec<u8>>> {
        for _ in 0..ATTEMPTS {
            if let Some(list) = self.ask(question)? {
                return Ok(list);
            }
        }
        Err(Errno(libc::EAGAIN).into())
    }

    /// All that the kernel answers; none if it was torn.
    fn ask(&self, request: &Request) -> Told<Option<Vec<Vec<u8>>>> {
        descriptor::write_all(self.socket.as_raw_fd(), &request.to_bytes())?;
        let mut buffer = vec![0; LONGEST_ANSWER];
        let (mut told, mut is_torn) = (Vec::new(), false);
        loop {
            let length = fs::read(self.socket.as_raw_fd(), &mut buffer)?;
            for answer in answers(buffer.get(..length).unwrap_or_default()) {
                match answer {
                    Answer::Is(body) => told.push(body),
                    Answer::Torn => is_torn = true,
                    Answer::Done => return Ok((!is_torn).then_some(told)),
                    Answer::No(errno, words) => return Err(Refusal(errno, words)),
                }
            }
        }
    }
}

/// An order about one interface, with flags to set.
fn link(kind: u16, index: u32, flags: u32) -> Request {
    let mut fixed = [0; LINK];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..].copy_from_slice(&flags.to_ne_bytes());
    Request::new(kind, libc::NLM_F_ACK, &fixed)
}

fn interface(body: &[u8]) -> Option<Interface> {
    let (fixed, attributes) = body.split_at_checked(LINK)?;
    let name = CStr::from_bytes_until_nul(attribute(attributes, kind::NAME)?);
    Some(Interface {
        index: number(&fixed[4..]),
        flags: number(&fixed[8..]),
        name: name.ok()?.to_owned(),
    })
}

/// An address of this interface, if it is permanent and of global scope (RT_SCOPE_UNIVERSE).
fn lasting_address(body: &[u8], index: u32) -> Option<Address> {
    let (fixed, rest) = body.split_at_checked(ADDRESS)?;
    let (head, of) = fixed.split_first_chunk()?;
    let [_, _, flags, scope]: [u8; 4] = *head;
    let flags = attribute(rest, kind::FLAGS).map_or(u32::from(flags), number);
    let is_kept = number(of) == index && scope == 0 && flags & PERMANENT != 0;
    is_kept.then(|| Address {
        head: *head,
        attributes: attributes(rest)
            .map(|(kind, value)| (kind, value.to_owned()))
            .collect(),
    })
}
