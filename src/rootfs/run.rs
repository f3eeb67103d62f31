//! Init's half of the root filesystem: acts, never decides, allocates nothing.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;

use super::resolve::{self, Make, Walk};
use super::{nodes, short};
use crate::execute::init::Init;
use crate::plan::Slot;
use crate::plan::op::{Filesystem, Follow, MountPoint, Propagation};
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::mount::{self, Attributes, Reach};
use crate::sys::{Errno, Result};

type Parameters = [(CString, Option<CString>)];

/// Makes a filesystem and attaches it; `keep` holds the mount for later steps.
pub fn mount_filesystem(
    init: &mut Init<'_>,
    filesystem: &Filesystem,
    destination: &CStr,
    point: MountPoint,
    keep: Option<Slot>,
) -> Result<()> {
    // What is kept has to be the mount itself: a name may lead elsewhere a moment later.
    let is_short = keep.is_none() && short::suffices(filesystem);
    if is_short && mount_shortly(init, filesystem, destination, point).is_ok() {
        return Ok(());
    }
    init.nursery.forget();
    let mount = create_filesystem(init, filesystem, None)?;
    attach(init, mount, destination, point)?;
    match keep {
        Some(slot) => init.fill(slot, mount),
        None => init.done_with(mount),
    }
    Ok(())
}

fn mount_shortly(
    init: &mut Init<'_>,
    filesystem: &Filesystem,
    destination: &CStr,
    point: MountPoint,
) -> Result<()> {
    if !matches!(point, MountPoint::OrdinaryDirectory | MountPoint::Directory) {
        return Err(Errno(libc::EINVAL));
    }
    // Where there are links, `attach` looks where they lead.
    let root = init.slot(Slot::ROOT);
    init.is_at_root = false;
    let target = init.nursery.open_or_make(root, destination)?;
    let mounted = short::mount_on(filesystem, target);
    init.done_with(target);
    if mounted.is_ok() && filesystem.kind.as_c_str() == c"tmpfs" {
        init.nursery.expect_nothing_in(destination);
    }
    mounted
}

/// Makes a filesystem: a detached mount, whose root has a mode.
pub fn create_filesystem(
    init: &Init<'_>,
    filesystem: &Filesystem,
    mode: Option<libc::mode_t>,
) -> Result<RawFd> {
    let context = mount::fsopen(&filesystem.kind)?;
    let configure = || -> Result<RawFd> {
        if let Some(source) = &filesystem.source {
            mount::fsconfig_string(context, c"source", source)?;
        }
        set_parameters(context, &filesystem.parameters)?;
        if let Some(mode) = mode {
            mount::fsconfig_string(context, c"mode", octal(mode, &mut [0; 5]))?;
        }
        mount::fsconfig_create(context)?;
        mount::fsmount(context, filesystem.attributes)
    };
    let mount = configure().inspect_err(|_| explain(init, context));
    init.done_with(context);
    mount
}

/// The last four digits, and the end that C wants.
fn octal(mode: libc::mode_t, text: &mut [u8; 5]) -> &CStr {
    for (place, digit) in text[..4].iter_mut().rev().enumerate() {
        *digit = b'0' + (mode >> (3 * place) & 7).to_le_bytes()[0];
    }
    CStr::from_bytes_until_nul(text).unwrap_or(c"")
}

fn set_parameters(context: RawFd, parameters: &Parameters) -> Result<()> {
    for (key, value) in parameters {
        match value {
            Some(value) => mount::fsconfig_string(context, key, value)?,
            None => mount::fsconfig_flag(context, key)?,
        }
    }
    Ok(())
}

/// Reports the kernel's own words: reading the context gives messages such as `e tmpfs: Bad value`.
pub(super) fn explain(init: &Init<'_>, context: RawFd) {
    let mut words = [0u8; 256];
    let mut length = 0;
    // The first messages are the causes; ENODATA ends them.
    if let Ok(read) = fs::read(context, &mut words) {
        length = read;
    }
    let words = &words[..length];
    init.report
        .explain(words.strip_prefix(b"e ").unwrap_or(words));
}

/// Attaches a detached mount inside the root.
pub fn attach(init: &Init<'_>, mount: RawFd, destination: &CStr, point: MountPoint) -> Result<()> {
    let (walk, make) = match point {
        MountPoint::Directory => (Walk::Links, Make::Directory),
        MountPoint::OrdinaryDirectory => (Walk::NoLinks, Make::Directory),
        MountPoint::LikeSource => (Walk::Links, Make::Like(mount)),
        MountPoint::LikeSourceNoFollow => (Walk::LastLinkItself, Make::Like(mount)),
        MountPoint::Device { kind, major, minor } => {
            if !nodes::is_device(mount, kind, fs::device_number(major, minor))? {
                init.report.explain(b"the host's file is not that device");
                return Err(Errno(libc::ENODEV));
            }
            (Walk::Links, Make::File)
        }
    };
    let open = |root, walk| resolve::open_or_make(root, destination, walk, make);
    let target = match open_point(init, walk, open) {
        Err(Errno(libc::ELOOP | libc::ENOTDIR)) if point == MountPoint::OrdinaryDirectory => {
            init.report
                .explain(b"must be mounted on ordinary directory");
            return Err(Errno(libc::ENOTDIR));
        }
        target => target?,
    };
    let attached = mount::move_mount(mount, target);
    if attached.is_err() && is_other_kind(mount, target) {
        init.report
            .explain(b"not a directory: source and destination are of different kinds (are you trying to mount a directory onto a file, or the other way round?)");
    }
    init.done_with(target);
    attached
}

/// What is going to be covered. A link of the image may lead to the root itself, and nobody would see what covers that:
/// the program's root lies below it. Paths without links are others than the root, so they cost no look.
pub(super) fn open_point(
    init: &Init<'_>,
    walk: Walk,
    open: impl Fn(RawFd, Walk) -> Result<RawFd>,
) -> Result<RawFd> {
    let root = init.slot(Slot::ROOT);
    match open(root, Walk::NoLinks) {
        Err(Errno(libc::ELOOP)) if walk != Walk::NoLinks => {}
        opened => return opened,
    }
    let target = open(root, walk)?;
    if is_same(root, target)? {
        init.done_with(target);
        init.report
            .explain(b"a link leads to the root filesystem itself, which cannot be covered");
        return Err(Errno(libc::EBUSY));
    }
    Ok(target)
}

fn is_same(one: RawFd, other: RawFd) -> Result<bool> {
    let (one, other) = (fs::fstat(one)?, fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// The kernel says EINVAL or ENOTDIR of a directory on a file.
fn is_other_kind(mount: RawFd, target: RawFd) -> bool {
    let kinds = (resolve::is_directory(mount), resolve::is_directory(target));
    matches!(kinds, (Ok(one), Ok(other)) if one != other)
}

/// The same for a mount in a slot, which becomes free.
pub fn attach_slot(
    init: &mut Init<'_>,
    slot: Slot,
    destination: &CStr,
    point: MountPoint,
) -> Result<()> {
    attach(init, init.slot(slot), destination, point)?;
    init.empty(slot);
    Ok(())
}

/// A detached copy of a tree of the host, with these attributes as far as it reaches.
pub fn clone_tree(
    source: &CStr,
    reach: Reach,
    follow: Follow,
    attributes: Attributes,
) -> Result<RawFd> {
    if follow == Follow::Links
        && !attributes.is_empty()
        && let Ok(tree) = mount::clone_tree_attr(AT_FDCWD, source, reach, attributes)
    {
        return Ok(tree);
    }
    // Before Linux 6.15, and to say which of the two it is that fails.
    let tree = match follow {
        Follow::Links => mount::clone_tree(AT_FDCWD, source, reach),
        Follow::Nothing => mount::clone_tree_nofollow(AT_FDCWD, source, reach),
    }?;
    if attributes.is_empty() {
        return Ok(tree);
    }
    match mount::mount_setattr(tree, reach, attributes) {
        Ok(()) => Ok(tree),
        Err(errno) => {
            fs::close(tree);
            Err(errno)
        }
    }
}

/// Runtime: a copy of a shared mount is one of its peers, and what is mounted below it in the container would be mounted
/// on the host too. As a slave it takes mounts and gives none: what the kernel makes of mounts that it copies itself
/// into a mount namespace of another user namespace (mount_namespaces(7)).
pub const TAKES_ONLY: Attributes = Attributes {
    set: 0,
    clear: 0,
    propagation: Propagation::Slave.flag(),
};

/// Runtime: EPERM where a mount has one of these flags, MOUNT_ATTR_*.
pub fn respect_flags(mount: RawFd, clear: u64) -> Result<()> {
    let flags = fs::mount_flags(mount)?;
    let locked = [
        (libc::MOUNT_ATTR_RDONLY, libc::ST_RDONLY),
        (libc::MOUNT_ATTR_NOSUID, libc::ST_NOSUID),
        (libc::MOUNT_ATTR_NODEV, libc::ST_NODEV),
        (libc::MOUNT_ATTR_NOEXEC, libc::ST_NOEXEC),
    ];
    let is_locked =
        |(attribute, flag): &(u64, libc::c_ulong)| clear & attribute != 0 && flags & flag != 0;
    match locked.iter().any(is_locked) {
        true => Err(Errno(libc::EPERM)),
        false => Ok(()),
    }
}

/// The mode of the directory that a tmpfs is going to hide, which it gets, as with runc. One that is not there leaves
/// the kernel's.
pub fn mode_of(init: &Init<'_>, destination: &CStr) -> Result<Option<libc::mode_t>> {
    match resolve::open(init.slot(Slot::ROOT), destination, Walk::Links) {
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(errno),
        Ok(hidden) => {
            let stat = fs::fstat(hidden);
            init.done_with(hidden);
            Ok(Some(stat?.st_mode & 0o7777))
        }
    }
}

/// The label of a filesystem's root.
pub fn label_mount(init: &Init<'_>, mount: Slot, label: &CStr) -> Result<()> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let root = fs::openat(init.slot(mount), c".", flags, 0)?;
    let labelled = fs::fsetxattr(root, c"security.selinux", label.to_bytes_with_nul());
    fs::close(root);
    labelled
}

/// A volume that nothing was written to yet belongs to whom the directory belongs that it hides: else a
/// program that is not root could not use it.
pub fn own_volume(init: &Init<'_>, mount: Slot, destination: &CStr) -> Result<()> {
    let hidden = match resolve::open(init.slot(Slot::ROOT), destination, Walk::Links) {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        hidden => hidden?,
    };
    let stat = fs::fstat(hidden);
    fs::close(hidden);
    let stat = stat?;
    let root = fs::openat(
        init.slot(mount),
        c".",
        libc::O_RDONLY | libc::O_DIRECTORY,
        0,
    )?;
    let mut entries = [0u8; 256];
    // `.` and `..` take 24 bytes each.
    let owned = match fs::getdents(root, &mut entries) {
        Ok(length) if length <= 48 => fs::fchown(root, stat.st_uid, stat.st_gid)
            .and_then(|()| fs::fchmod(root, stat.st_mode & 0o7777)),
        Ok(_) | Err(Errno(libc::EINVAL)) => Ok(()),
        Err(errno) => Err(errno),
    };
    fs::close(root);
    match owned {
        // The volume belongs to the host's ids, of which the user namespace has none.
        Err(Errno(libc::EPERM | libc::EINVAL)) if init.in_user_namespace => Ok(()),
        owned => owned,
    }
}

/// Copies what a tmpfs is going to hide into it.
pub fn copy_up(init: &Init<'_>, mount: Slot, destination: &CStr) -> Result<()> {
    let hidden = match resolve::open(init.slot(Slot::ROOT), destination, Walk::Links) {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        hidden => hidden?,
    };
    let root = fs::openat(
        init.slot(mount),
        c".",
        libc::O_RDONLY | libc::O_DIRECTORY,
        0,
    )?;
    let copied = super::copy::copy_directory(hidden, root);
    fs::close(root);
    fs::close(hidden);
    copied
}

/// Makes a directory and its parents.
pub fn make_directory(init: &Init<'_>, path: &CStr) -> Result<()> {
    let made = resolve::open_or_make(init.slot(Slot::ROOT), path, Walk::Links, Make::Directory)?;
    fs::close(made);
    Ok(())
}

/// Changes what is mounted on `destination`.
pub fn remount(
    init: &Init<'_>,
    destination: &CStr,
    attributes: Attributes,
    parameters: &Parameters,
) -> Result<()> {
    let target = resolve::open(init.slot(Slot::ROOT), destination, Walk::Links)?;
    let change = || -> Result<()> {
        if !attributes.is_empty() {
            mount::mount_setattr(target, Reach::One, attributes)?;
        }
        if parameters.is_empty() {
            return Ok(());
        }
        let context = mount::fspick(target)?;
        let changed =
            set_parameters(context, parameters).and_then(|()| mount::fsconfig_reconfigure(context));
        if changed.is_err() {
            explain(init, context);
        }
        fs::close(context);
        changed
    };
    let changed = change();
    fs::close(target);
    changed
}

/// `/` and everything below it stops giving mount events to the host.
pub fn set_host_propagation(propagation: Propagation) -> Result<()> {
    let attributes = Attributes {
        propagation: propagation.flag(),
        ..Attributes::default()
    };
    mount::mount_setattr_path(c"/", Reach::Tree, attributes)
}

/// The mount that holds `path` must not be shared, or pivot_root(2) refuses. A path that is no mount
/// point is EINVAL: its parents are tried, `/` last.
#[inline(never)]
pub fn make_parent_private(path: &CStr) -> Result<()> {
    let private = Attributes {
        propagation: Propagation::Private.flag(),
        ..Attributes::default()
    };
    let mut buffer = [0u8; 4096];
    let bytes = path.to_bytes();
    let mut end = bytes.len();
    loop {
        let prefix = if end == 0 {
            b"/"
        } else {
            bytes.get(..end).ok_or(Errno(libc::ENAMETOOLONG))?
        };
        let place = buffer
            .get_mut(..=prefix.len())
            .ok_or(Errno(libc::ENAMETOOLONG))?;
        place[..prefix.len()].copy_from_slice(prefix);
        place[prefix.len()] = 0;
        let name = CStr::from_bytes_until_nul(place).map_err(|_| Errno(libc::EINVAL))?;
        match mount::mount_setattr_path(name, Reach::One, private) {
            Err(Errno(libc::EINVAL)) if end > 0 => {}
            result => return result,
        }
        end = bytes[..end]
            .iter()
            .rposition(|byte| *byte == b'/')
            .unwrap_or(0);
    }
}

/// Makes the root filesystem a mount of its own, as pivot_root(2) needs it.
pub fn bind_root(init: &mut Init<'_>, path: &CStr) -> Result<()> {
    let tree = mount::clone_tree_nofollow(AT_FDCWD, path, Reach::Tree)?;
    attach_root(init, tree, path)
}

/// The root that this process has, after setns(2).
pub fn open_root(init: &mut Init<'_>) -> Result<()> {
    let root = fs::openat(AT_FDCWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    init.fill(Slot::ROOT, root);
    Ok(())
}

fn attach_root(init: &mut Init<'_>, tree: RawFd, path: &CStr) -> Result<()> {
    mount::move_mount_to(tree, path)?;
    // Root of a user namespace may not be allowed in; the first mount would say so of something else.
    if init.in_user_namespace {
        fs::may_execute(tree, c".")?;
    }
    init.fill(Slot::ROOT, tree);
    Ok(())
}

/// A procfs that is attached nowhere: nobody can have mounted anything over its files.
pub fn open_proc(init: &mut Init<'_>) -> Result<()> {
    let context = mount::fsopen(c"proc")?;
    let mount = mount::fsconfig_create(context).and_then(|()| mount::fsmount(context, 0));
    init.done_with(context);
    init.fill(Slot::PROC, mount?);
    Ok(())
}

/// The procfs that is mounted where init comes from, for later.
pub fn open_host_proc(init: &mut Init<'_>) -> Result<()> {
    let proc = fs::openat(AT_FDCWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    init.fill(Slot::PROC, proc);
    Ok(())
}

/// Takes away what is mounted on `destination`: what the descriptor stands for, whatever the path has become.
pub fn unmount(init: &Init<'_>, destination: &CStr) -> Result<()> {
    let root = init.slot(Slot::ROOT);
    let target = resolve::open(root, destination, Walk::Links)?;
    if is_same(root, target)? {
        init.report.explain(b"it is the container's root");
        return Err(Errno(libc::EBUSY));
    }
    let mut link = DescriptorLink::default();
    fs::fchdir(init.slot(Slot::PROC))?;
    match mount::detach(link.name(target)) {
        Err(Errno(libc::EINVAL)) => {
            init.report
                .explain(b"nothing is mounted there, or it is locked");
            Err(Errno(libc::EINVAL))
        }
        detached => detached,
    }
}

/// `self/fd/N`, on the stack.
#[derive(Default)]
struct DescriptorLink([u8; 24]);

impl DescriptorLink {
    const DIRECTORY: &[u8] = b"self/fd/";

    fn name(&mut self, fd: RawFd) -> &CStr {
        let mut digits = [0u8; 12];
        let mut start = digits.len();
        let mut rest = fd.unsigned_abs();
        while start > 0 {
            start -= 1;
            digits[start] = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = &digits[start..];
        let end = Self::DIRECTORY.len() + digits.len();
        self.0[..Self::DIRECTORY.len()].copy_from_slice(Self::DIRECTORY);
        self.0[Self::DIRECTORY.len()..end].copy_from_slice(digits);
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

/// The root and the working directory become the container's; the host's root lies on top of it
/// until it is detached.
pub fn pivot_root(init: &mut Init<'_>, is_shared: bool) -> Result<()> {
    if is_shared {
        let old = fs::openat(AT_FDCWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?;
        init.fill(Slot::OLD_ROOT, old);
    }
    fs::fchdir(init.slot(Slot::ROOT))?;
    mount::pivot_to_working_directory()
}

/// For a root that is an initramfs, which cannot be pivoted.
pub fn change_root(init: &Init<'_>) -> Result<()> {
    fs::fchdir(init.slot(Slot::ROOT))?;
    match mount::move_working_directory_to_root() {
        // An overlay lies over it already.
        Err(Errno(libc::ELOOP)) => {}
        moved => moved?,
    }
    fs::chroot(c".")?;
    fs::chdir(c"/")
}

/// The host's mounts leave this namespace: umount2(2) of `.` takes the uppermost mount on it (pivot_root(2), NOTES).
pub fn detach_old_root(init: &mut Init<'_>) -> Result<()> {
    if init.has(Slot::OLD_ROOT) {
        // Detaching must not travel to the host's peers.
        fs::fchdir(init.slot(Slot::OLD_ROOT))?;
        set_propagation_here(Propagation::Private)?;
    }
    mount::detach(c".")?;
    fs::chdir(c"/")?;
    init.is_at_root = true;
    for slot in [Slot::OLD_ROOT, Slot::MASK] {
        init.empty(slot);
    }
    Ok(())
}

fn set_propagation_here(propagation: Propagation) -> Result<()> {
    let attributes = Attributes {
        propagation: propagation.flag(),
        ..Attributes::default()
    };
    mount::mount_setattr_path(c".", Reach::Tree, attributes)
}

/// Changes the mount of the container's root.
pub fn set_root_attributes(init: &Init<'_>, attributes: Attributes) -> Result<()> {
    mount::mount_setattr(init.slot(Slot::ROOT), Reach::One, attributes)
}

/// Writes a file of the private procfs, without crossing into anything else.
pub fn write_sysctl(init: &Init<'_>, path: &CStr, value: &CStr) -> Result<()> {
    let how = fs::resolve::BENEATH | fs::resolve::NO_SYMLINKS | fs::resolve::NO_XDEV;
    let file = resolve::open_how(init.slot(Slot::PROC), path, libc::O_WRONLY, how)?;
    let written = fs::write(file, value.to_bytes());
    init.done_with(file);
    written
}
