//! Mounts: the calls, overlays, mapped ids. In a mount namespace that ends with the child.

use std::ffi::CString;
use std::os::fd::AsRawFd;

use super::{Circumstances, Outcome, words};
use crate::namespaces::idmap::make_user_namespace;
use crate::plan::op::{IdMaps, IdRange};
use crate::sys::mount::{self, Attributes, Reach};
use crate::sys::probe::in_child;
use crate::sys::{Errno, Result, descriptor, fs, namespace};

/// Where the trial's mounts go: a directory that every system has.
const PLACE: &std::ffi::CStr = c"/proc";
/// Where images usually are.
const IMAGES: [&std::ffi::CStr; 2] = [c"/var/lib", c"/"];

pub(super) fn calls(circumstances: &Circumstances) -> Outcome {
    let room = Room::of(circumstances);
    Outcome::of(in_child(None, || {
        room.enter()?;
        let tmpfs = tmpfs()?;
        let readonly = Attributes {
            set: libc::MOUNT_ATTR_RDONLY,
            ..Attributes::default()
        };
        mount::mount_setattr(tmpfs, Reach::One, readonly)?;
        attach(tmpfs)?;
        mount::clone_tree(tmpfs, c"", Reach::Tree).map(|_| ())
    }))
}

pub(super) fn overlay(circumstances: &Circumstances) -> Outcome {
    let room = Room::of(circumstances);
    stacked(in_child(None, || room.enter().and_then(|()| stack())))
}

pub(super) fn overlay_of_a_user(_: &Circumstances) -> Outcome {
    let room = Room::of_a_user();
    stacked(in_child(None, || room.enter().and_then(|()| stack())))
}

fn stacked(result: Result<()>) -> Outcome {
    match result {
        Err(Errno(libc::ENODEV)) => Outcome::lacks("the kernel has no overlayfs"),
        result => Outcome::of(result),
    }
}

/// A mount namespace for a trial; of a user who has no privileges, in a user namespace where they have.
pub(super) struct Room {
    maps: Option<(CString, CString)>,
}

impl Room {
    pub(super) fn of(circumstances: &Circumstances) -> Self {
        if circumstances.privileged {
            return Self { maps: None };
        }
        Self::of_a_user()
    }

    fn of_a_user() -> Self {
        let line = |id: u32| CString::new(format!("0 {id} 1\n")).unwrap_or_default();
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Self {
            maps: Some((line(uid.as_raw()), line(gid.as_raw()))),
        }
    }

    pub(super) fn enter(&self) -> Result<()> {
        if let Some((uids, gids)) = &self.maps {
            namespace::unshare(libc::CLONE_NEWUSER)?;
            fs::write_small(c"/proc/self/setgroups", b"deny")?;
            fs::write_small(c"/proc/self/uid_map", uids.to_bytes())?;
            fs::write_small(c"/proc/self/gid_map", gids.to_bytes())?;
        }
        namespace::unshare(libc::CLONE_NEWNS)?;
        let private = Attributes {
            propagation: libc::MS_PRIVATE,
            ..Attributes::default()
        };
        mount::mount_setattr_path(c"/", Reach::Tree, private)
    }
}

fn tmpfs() -> Result<i32> {
    let context = mount::fsopen(c"tmpfs")?;
    mount::fsconfig_create(context)?;
    mount::fsmount(context, 0)
}

fn attach(tree: i32) -> Result<()> {
    let place = fs::openat(fs::AT_FDCWD, PLACE, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    mount::move_mount(tree, place)
}

/// Two layers on a tmpfs, stacked, and written to.
fn stack() -> Result<()> {
    let tmpfs = tmpfs()?;
    attach(tmpfs)?;
    fs::fchdir(tmpfs)?;
    for name in [c"lower", c"upper", c"work", c"merged", c"lower/seen"] {
        fs::mkdirat(tmpfs, name, 0o755)?;
    }
    mount::mount_overlay(c"merged", c"lowerdir=lower,upperdir=upper,workdir=work")?;
    fs::unlinkat(tmpfs, c"merged/seen", libc::AT_REMOVEDIR)?;
    fs::mkdirat(tmpfs, c"merged/made", 0o755)
}

/// A copy of the mount where images are, never attached, with other owners.
pub(super) fn idmap(circumstances: &Circumstances) -> Outcome {
    if !circumstances.privileged {
        return Outcome::lacks("they take privileges on the host");
    }
    let range = || {
        vec![IdRange {
            inside: 0,
            outside: 100_000,
            size: 65_536,
        }]
    };
    let maps = IdMaps {
        users: range(),
        groups: range(),
    };
    let users = match make_user_namespace(&maps) {
        Ok(users) => users,
        Err(failure) => return Outcome::lacks(words(failure)),
    };
    let mapped = |path: &std::ffi::CStr| {
        let tree = mount::clone_tree(fs::AT_FDCWD, path, Reach::One).map(descriptor::owned)?;
        mount::mount_idmap(tree.as_raw_fd(), Reach::One, users.as_raw_fd())
    };
    let path = IMAGES
        .iter()
        .find(|path| fs::statat(fs::AT_FDCWD, path).is_ok())
        .unwrap_or(&c"/");
    let name = path.to_string_lossy();
    match mapped(path) {
        Ok(()) => Outcome::works(format!("works on {name}")),
        Err(Errno(libc::EINVAL)) => {
            Outcome::lacks(format!("the filesystem of {name} does not know them"))
        }
        Err(errno) => Outcome::lacks(errno.to_string()),
    }
}
