//! Each kind of namespace, made and left.

use super::{Circumstances, Outcome};
use crate::sys::probe::in_child;
use crate::sys::{Errno, Result, credentials, namespace};

/// The overflow user of most systems: nobody's.
const NOBODY: u32 = 65_534;

/// Without privileges, other namespaces are made in a user namespace.
fn made(circumstances: &Circumstances, flag: i32) -> Outcome {
    let first = if circumstances.privileged {
        0
    } else {
        libc::CLONE_NEWUSER
    };
    Outcome::of(in_child(None, || {
        if first != 0 {
            namespace::unshare(first)?;
        }
        namespace::unshare(flag)
    }))
}

pub(super) fn mount(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWNS)
}

pub(super) fn pid(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWPID)
}

pub(super) fn network(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWNET)
}

pub(super) fn ipc(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWIPC)
}

pub(super) fn uts(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWUTS)
}

pub(super) fn cgroup(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWCGROUP)
}

pub(super) fn time(circumstances: &Circumstances) -> Outcome {
    made(circumstances, libc::CLONE_NEWTIME)
}

pub(super) fn user(_: &Circumstances) -> Outcome {
    let made = in_child(None, || namespace::unshare(libc::CLONE_NEWUSER));
    refused(made)
}

/// What a plain user may: root becomes one for the trial. Some systems let them make the namespace, and give no
/// privileges in it.
pub(super) fn of_a_plain_user(_: &Circumstances) -> Outcome {
    let made = in_child(None, || {
        if nix::unistd::geteuid().is_root() {
            become_nobody()?;
        }
        namespace::unshare(libc::CLONE_NEWUSER)?;
        namespace::unshare(libc::CLONE_NEWNET)
    });
    refused(made)
}

fn become_nobody() -> Result<()> {
    credentials::setgroups(&[])?;
    credentials::setresgid(NOBODY)?;
    credentials::setresuid(NOBODY)
}

/// The knobs that are in the way, by what the kernel answers.
fn refused(made: Result<()>) -> Outcome {
    let Err(errno) = made else {
        return Outcome::of(made);
    };
    let set_to = |name: &str, value: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/")));
        text.is_ok_and(|text| text.trim() == value)
    };
    let mend = match errno {
        Errno(libc::ENOSPC) => "sysctl -w user.max_user_namespaces=28633",
        _ if set_to("kernel.unprivileged_userns_clone", "0") => {
            "sysctl -w kernel.unprivileged_userns_clone=1"
        }
        _ if set_to("kernel.apparmor_restrict_unprivileged_userns", "1") => {
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile with userns for the program"
        }
        Errno(libc::EINVAL | libc::ENOSYS) => "a kernel with CONFIG_USER_NS",
        _ => return Outcome::lacks(errno.to_string()),
    };
    Outcome::Lacks(errno.to_string(), Some(mend.to_owned()))
}

/// namespaces(7), The /proc/sys/user directory.
pub(super) fn limits(_: &Circumstances) -> Outcome {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let forbidden = kinds.iter().filter(|kind| {
        let text = std::fs::read_to_string(format!("/proc/sys/user/max_{kind}_namespaces"));
        text.is_ok_and(|text| text.trim() == "0")
    });
    let names: Vec<String> = forbidden
        .map(|kind| format!("user.max_{kind}_namespaces"))
        .collect();
    if names.is_empty() {
        return Outcome::works("none is 0");
    }
    let mend: Vec<String> = names.iter().map(|name| format!("{name}=28633")).collect();
    let mend = format!("sysctl -w {}", mend.join(" "));
    Outcome::Lacks(format!("{} = 0", names.join(", ")), Some(mend))
}
