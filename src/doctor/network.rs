//! Interfaces, made in a network namespace that ends with the child.

use super::filesystems::Room;
use super::{Circumstances, Outcome};
use crate::network::message::Request;
use crate::sys::poll::{Deadline, wait_readable};
use crate::sys::probe::in_child;
use crate::sys::{Errno, Result, fs, namespace, network};

/// if_link.h: IFLA_IFNAME, and IFLA_LINKINFO, in which IFLA_INFO_KIND says of which kind it is.
const NAME: u16 = 3;
const INFO: u16 = 18;
const INFO_KIND: u16 = 1;
/// ifinfomsg: whichever the kernel gives.
const ANY: [u8; 16] = [0; 16];

pub(super) fn veth(circumstances: &Circumstances) -> Outcome {
    made(circumstances, "veth")
}

pub(super) fn bridge(circumstances: &Circumstances) -> Outcome {
    made(circumstances, "bridge")
}

/// An interface of a kind, where no other one can be in its way. The kernel loads the module.
fn made(circumstances: &Circumstances, kind: &str) -> Outcome {
    let room = Room::of(circumstances);
    let order = order(kind);
    let made = in_child(None, || {
        room.enter()?;
        namespace::unshare(libc::CLONE_NEWNET)?;
        obeyed(&order)
    });
    match made {
        Err(Errno(libc::EOPNOTSUPP)) => {
            Outcome::lacks(format!("the kernel has no interfaces of the kind {kind}"))
        }
        result => Outcome::of(result),
    }
}

/// RTM_NEWLINK.
fn order(kind: &str) -> Vec<u8> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL | libc::NLM_F_ACK;
    let length = u16::try_from(4 + kind.len()).unwrap_or_default();
    let info = [
        &length.to_ne_bytes()[..],
        &INFO_KIND.to_ne_bytes(),
        kind.as_bytes(),
    ];
    let request = Request::new(libc::RTM_NEWLINK, flags, &ANY);
    let request = request.with(NAME, b"trial0\0").with(INFO, &info.concat());
    request.to_bytes()
}

/// Sends it, and reads the errno behind the header of the answer. In the child, so nothing is allocated.
fn obeyed(order: &[u8]) -> Result<()> {
    let socket = network::route_socket()?;
    fs::write(socket, order)?;
    wait_readable(socket, Deadline::after(std::time::Duration::from_secs(4)))?;
    let mut answer = [0; 1024];
    let length = fs::read(socket, &mut answer)?;
    match answer[..length].get(16..20).and_then(<[u8]>::first_chunk) {
        None => Err(Errno(libc::EBADMSG)),
        Some(errno) => match i32::from_ne_bytes(*errno) {
            0 => Ok(()),
            errno => Err(Errno(errno.saturating_neg())),
        },
    }
}

/// Opened, as the programs do that make an interface of it.
pub(super) fn tun(_: &Circumstances) -> Outcome {
    match std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => Outcome::works("can be opened"),
        Err(error) => Outcome::lacks(error.kind().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::message::{Answer, answers, attribute};

    #[test]
    fn the_order_names_the_kind_within_the_information_of_the_link() {
        let bytes = order("bridge");
        let [Answer::Is(body)] = &answers(&bytes)[..] else {
            panic!("{bytes:?}");
        };
        let info = attribute(&body[16..], INFO).unwrap();
        assert_eq!(attribute(info, INFO_KIND), Some(&b"bridge"[..]));
        assert_eq!(attribute(&body[16..], NAME), Some(&b"trial0\0"[..]));
    }
}
