//! The last look before the program: init is what was planned. A call that was let fail would be an escape.
//!
//! The kernel shows all of it in one text, `/proc/self/status` (proc_pid_status(5)), of a procfs that nobody in the container can
//! have made; where there is none, init asks for each part. Init calls this: it allocates nothing.

use std::os::fd::RawFd;

use crate::execute::init::Init;
use crate::plan::Slot;
use crate::plan::op::Attestation;
use crate::sys::credentials::{self, CapabilitySets};
use crate::sys::process;
use crate::sys::signal::SignalSet;
use crate::sys::{Errno, Result, fs};

/// Compares; EPERM with the part that is another. What comes back are the signals that init may have inherited
/// as ignored, which the same text tells.
pub fn attest(init: &Init<'_>, planned: &Attestation) -> Result<SignalSet> {
    let found = match of_status(init) {
        Some(found) => found,
        None => of_calls(planned)?,
    };
    match difference(&found, planned) {
        None => Ok(found.ignored),
        Some(words) => {
            init.report.explain(words);
            Err(Errno(libc::EPERM))
        }
    }
}

/// What init is, whoever tells.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    uids: [u32; 3],
    gids: [u32; 3],
    capabilities: CapabilitySets,
    bounding: u64,
    no_new_privileges: bool,
    ignored: SignalSet,
}

fn difference(found: &Found, planned: &Attestation) -> Option<&'static [u8]> {
    if found.uids != [planned.uid; 3] || found.gids != [planned.gid; 3] {
        return Some(b"the ids are not the ones planned");
    }
    if found.capabilities != planned.capabilities {
        return Some(b"the capabilities are not the ones planned");
    }
    if found.bounding != planned.bounding {
        return Some(b"the bounding set is not the one planned");
    }
    if found.no_new_privileges != planned.no_new_privileges {
        return Some(b"no_new_privs is not what was planned");
    }
    None
}

/// Init's status in the host's procfs, while that is there; without one, calls tell.
pub fn open_status() -> Option<RawFd> {
    fs::openat(fs::AT_FDCWD, c"/proc/self/status", libc::O_RDONLY, 0).ok()
}

/// None where there is no procfs, or where its text is longer than this, with a thousand groups.
#[inline(never)]
fn of_status(init: &Init<'_>) -> Option<Found> {
    let status = if init.has(Slot::STATUS) {
        init.slot(Slot::STATUS)
    } else if init.has(Slot::PROC) {
        fs::openat(init.slot(Slot::PROC), c"self/status", libc::O_RDONLY, 0).ok()?
    } else {
        return None;
    };
    let mut text = [0; 4096];
    let length = fs::read(status, &mut text);
    init.done_with(status);
    parse(&text[..length.ok()?])
}

fn parse(status: &[u8]) -> Option<Found> {
    Some(Found {
        uids: ids(status, b"Uid:")?,
        gids: ids(status, b"Gid:")?,
        capabilities: CapabilitySets {
            effective: set(status, b"CapEff:")?,
            permitted: set(status, b"CapPrm:")?,
            inheritable: set(status, b"CapInh:")?,
        },
        bounding: set(status, b"CapBnd:")?,
        no_new_privileges: value(status, b"NoNewPrivs:")? == b"1",
        ignored: SignalSet(set(status, b"SigIgn:")?),
    })
}

fn value<'a>(status: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut lines = status.split(|byte| *byte == b'\n');
    lines
        .find_map(|line| line.strip_prefix(key))
        .map(<[u8]>::trim_ascii)
}

/// Real, effective, saved; the fourth is of file systems.
fn ids(status: &[u8], key: &[u8]) -> Option<[u32; 3]> {
    let mut numbers = value(status, key)?
        .split(|byte| *byte == b'\t')
        .map_while(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

fn set(status: &[u8], key: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value(status, key)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// The bits past the kernel's last capability are taken to be as planned: there is nothing to hold.
fn of_calls(planned: &Attestation) -> Result<Found> {
    let (uids, gids) = credentials::ids();
    let mut bounding = planned.bounding;
    for capability in 0..u64::BITS {
        match credentials::has_bounding(capability) {
            Ok(true) => bounding |= 1 << capability,
            Ok(false) => bounding &= !(1 << capability),
            Err(_) => break,
        }
    }
    Ok(Found {
        uids,
        gids,
        capabilities: credentials::capget()?,
        bounding,
        no_new_privileges: process::no_new_privileges()?,
        // Resetting one too many is harmless.
        ignored: SignalSet::ALL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_the_same_as_the_calls() {
        let planned = Attestation {
            uid: 0,
            gid: 0,
            capabilities: CapabilitySets::default(),
            bounding: 0,
            no_new_privileges: false,
        };
        let found = parse(&std::fs::read("/proc/self/status").unwrap()).unwrap();
        assert!(
            found.ignored.contains(libc::SIGPIPE),
            "the standard library ignores it"
        );
        assert!(!found.ignored.contains(libc::SIGUSR1));
        let asked = of_calls(&planned).unwrap();
        assert_eq!(asked.ignored, SignalSet::ALL);
        let ignored = SignalSet::ALL;
        assert_eq!(Found { ignored, ..found }, asked);
    }

    #[test]
    fn a_text_without_one_of_the_parts_says_nothing() {
        let text = "Uid:\t1\t1\t1\t1\nGid:\t2\t2\t2\t2\nCapInh:\t00\nCapPrm:\t03\nCapEff:\t01\n\
                    CapBnd:\tff\nNoNewPrivs:\t1\nSigIgn:\t1000\n";
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!((found.uids, found.gids), ([1; 3], [2; 3]));
        assert_eq!((found.capabilities.permitted, found.bounding), (3, 255));
        assert!(found.no_new_privileges);
        assert_eq!(found.ignored, SignalSet::EMPTY.with(libc::SIGPIPE));
        for line in text.lines() {
            let without = text.replace(line, "");
            assert_eq!(parse(without.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn every_part_that_is_another_is_named() {
        let planned = Attestation {
            uid: 7,
            gid: 8,
            capabilities: CapabilitySets::default(),
            bounding: 3,
            no_new_privileges: true,
        };
        let as_planned = || Found {
            uids: [7; 3],
            gids: [8; 3],
            capabilities: CapabilitySets::default(),
            bounding: 3,
            no_new_privileges: true,
            ignored: SignalSet::EMPTY,
        };
        assert_eq!(difference(&as_planned(), &planned), None);
        type Change = fn(&mut Found);
        let changes: [(&str, Change); 6] = [
            ("ids", |found| found.uids[2] = 0),
            ("ids", |found| found.gids[0] = 0),
            ("capabilities", |found| found.capabilities.effective = 1),
            ("capabilities", |found| found.capabilities.inheritable = 1),
            ("bounding", |found| found.bounding = 7),
            ("no_new_privs", |found| found.no_new_privileges = false),
        ];
        for (word, change) in changes {
            let mut found = as_planned();
            change(&mut found);
            let words = difference(&found, &planned).unwrap();
            assert!(String::from_utf8_lossy(words).contains(word));
        }
    }
}
