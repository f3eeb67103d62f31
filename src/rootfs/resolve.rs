//! Paths inside the root filesystem.
//!
//! The attack: the image, or another container that shares a volume, replaces a directory by a
//! symbolic link between the moment a path is looked at and the moment it is used, and the mount or
//! the directory ends up on the host (CVE-2019-18837, CVE-2021-30465, CVE-2023-27561,
//! CVE-2024-45310). The defence: every path is walked by the kernel in one openat2(2) that cannot
//! leave the root, what comes out is a descriptor, and everything after that is done to the
//! descriptor. A component that is missing is made below the descriptor of its parent and opened
//! without following links.
//!
//! Init calls this: nothing here allocates.

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::sys::fs::{self, resolve};
use crate::sys::{Errno, Result};

/// Longest path, as the kernel's PATH_MAX with its NUL.
const PATH_MAX: usize = 4096;
/// How many symbolic links one path may lead through, as the kernel's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// How a path inside the root may be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Symbolic links are followed, as if the root were `/`.
    Links,
    /// Any symbolic link is ELOOP.
    NoLinks,
    /// Links are followed, but a final one is opened itself.
    LastLinkItself,
}

/// Opens what is there, as an O_PATH descriptor.
pub fn open(root: RawFd, path: &CStr, walk: Walk) -> Result<RawFd> {
    let (how, flags) = match walk {
        Walk::Links => (resolve::IN_ROOT | resolve::NO_MAGICLINKS, 0),
        Walk::NoLinks => (resolve::IN_ROOT | resolve::NO_SYMLINKS, 0),
        Walk::LastLinkItself => (resolve::IN_ROOT | resolve::NO_MAGICLINKS, libc::O_NOFOLLOW),
    };
    open_how(root, path, libc::O_PATH | flags, how)
}

/// openat2(2), again after EAGAIN: with RESOLVE_IN_ROOT the kernel gives that up when a rename
/// anywhere on the system races with a `..` component.
pub fn open_how(root: RawFd, path: &CStr, flags: i32, how: u64) -> Result<RawFd> {
    for _ in 0..128 {
        match fs::openat2(root, path, flags, 0, how) {
            Err(Errno(libc::EAGAIN)) => {}
            result => return result,
        }
    }
    Err(Errno(libc::EAGAIN))
}

/// What to make when a path is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0755 as runc makes it.
    File,
    /// What this descriptor is, looked at only where something is missing.
    Like(RawFd),
}

impl Make {
    fn decided(self) -> Result<Self> {
        match self {
            Self::Like(model) if is_directory(model)? => Ok(Self::Directory),
            Self::Like(_) => Ok(Self::File),
            decided => Ok(decided),
        }
    }
}

/// Whether a descriptor is a directory's.
pub fn is_directory(fd: RawFd) -> Result<bool> {
    Ok(fs::fstat(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Opens what is there, or makes it together with its missing parents.
pub fn open_or_make(root: RawFd, path: &CStr, walk: Walk, make: Make) -> Result<RawFd> {
    match open(root, path, walk) {
        Err(Errno(libc::ENOENT)) => {}
        result => return result,
    }
    let make = make.decided()?;
    if make == Make::Directory
        && let Some(made) = make_last(root, path, walk)
    {
        return Ok(made);
    }
    make_all(root, path, walk, make)
}

#[inline(never)]
fn make_all(root: RawFd, path: &CStr, walk: Walk, make: Make) -> Result<RawFd> {
    Walker::new(root, path, walk)?.walk(make)
}

/// Makes a directory whose parent is there: the usual case, in four calls. None where it is not so simple.
#[inline(never)]
fn make_last(root: RawFd, path: &CStr, walk: Walk) -> Option<RawFd> {
    let (parent, name) = split(path)?;
    let parent = open_bytes(root, parent, walk).ok()?;
    let made = make_in(parent, name);
    fs::close(parent);
    made.ok()
}

/// A path's parent and its last component; none if that is no name, or there is no parent but the root.
fn split(path: &CStr) -> Option<(&[u8], &CStr)> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[slash + 1..]).ok()?;
    let is_name = slash > 0 && !matches!(name.to_bytes(), b"" | b"." | b"..");
    is_name.then_some((&bytes[..slash], name))
}

fn open_bytes(root: RawFd, path: &[u8], walk: Walk) -> Result<RawFd> {
    let mut buffer = PathBuffer::new();
    buffer.push(path)?;
    open(root, buffer.as_c_str(), walk)
}

/// What was made is opened without following links: somebody may have put one in its place.
fn make_in(parent: RawFd, name: &CStr) -> Result<RawFd> {
    let how = resolve::BENEATH | resolve::NO_SYMLINKS;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_DIRECTORY;
    fs::mkdirat(parent, name, 0o755)?;
    fs::openat2(parent, name, flags, 0, how)
}

/// Where a mount point was made last: the next one is likely to stand beside it, as /dev/pts, /dev/shm and /dev/mqueue do.
/// A mount on anything but what was made there may cover it, so it has to be forgotten then.
#[derive(Debug)]
pub struct Nursery {
    parent: Option<RawFd>,
    path: [u8; 64],
    length: usize,
    /// There is nothing in `path` yet.
    is_empty: bool,
    /// Descriptors below this number are left open.
    spare: RawFd,
}

impl Nursery {
    /// Nothing was made yet; descriptors below `spare` need not be closed one by one.
    pub const fn new(spare: RawFd) -> Self {
        Self {
            parent: None,
            path: [0; 64],
            length: 0,
            is_empty: false,
            spare,
        }
    }

    /// [`open_or_make`] of a directory, without links.
    pub fn open_or_make(&mut self, root: RawFd, path: &CStr) -> Result<RawFd> {
        if let Some(made) = self.make_beside(path) {
            return Ok(made);
        }
        let is_missing = self.is_empty && split(path).is_some_and(|(parent, _)| self.is_in(parent));
        self.forget();
        if is_missing && let Some(made) = self.make_and_remember(root, path) {
            return Ok(made);
        }
        match open(root, path, Walk::NoLinks) {
            Err(Errno(libc::ENOENT)) => {}
            result => return result,
        }
        self.forget();
        match self.make_and_remember(root, path) {
            Some(made) => Ok(made),
            None => make_all(root, path, Walk::NoLinks, Make::Directory),
        }
    }

    /// An empty filesystem was mounted there: what is made in it need not be looked for first.
    pub fn expect_nothing_in(&mut self, path: &CStr) {
        let bytes = path.to_bytes();
        let place = self.path.get_mut(..bytes.len());
        // The next one rather stands beside this one than in it.
        if let Some(place) = place.filter(|_| self.parent.is_none()) {
            place.copy_from_slice(bytes);
            self.length = bytes.len();
            self.is_empty = true;
        }
    }

    /// Closes what it remembers.
    pub fn forget(&mut self) {
        self.is_empty = false;
        if let Some(parent) = self.parent.take().filter(|parent| *parent >= self.spare) {
            fs::close(parent);
        }
    }

    fn is_in(&self, parent: &[u8]) -> bool {
        &self.path[..self.length] == parent
    }

    fn make_beside(&self, path: &CStr) -> Option<RawFd> {
        let (parent, name) = split(path)?;
        make_in(self.parent.filter(|_| self.is_in(parent))?, name).ok()
    }

    #[inline(never)]
    fn make_and_remember(&mut self, root: RawFd, path: &CStr) -> Option<RawFd> {
        let (parent, name) = split(path)?;
        let place = self.path.get_mut(..parent.len())?;
        let directory = open_bytes(root, parent, Walk::NoLinks).ok()?;
        let made = make_in(directory, name).ok();
        place.copy_from_slice(parent);
        self.length = parent.len();
        self.parent = Some(directory);
        made
    }
}

/// Opens the directory that holds the last component of `path`, made if missing, and says what that
/// component is. EINVAL if it is no name.
// With the path on a piece of the stack of its own: init's frame is touched, and paid for, by every container.
#[inline(never)]
pub fn open_parent(root: RawFd, path: &CStr) -> Result<(RawFd, &CStr)> {
    let bytes = path.to_bytes();
    let split = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[split..])
        .map_err(|_| Errno(libc::EINVAL))?;
    if matches!(name.to_bytes(), b"" | b"." | b"..") {
        return Err(Errno(libc::EINVAL));
    }
    let mut buffer = PathBuffer::new();
    buffer.push(if split == 0 { b"." } else { &bytes[..split] })?;
    let parent = open_or_make(root, buffer.as_c_str(), Walk::Links, Make::Directory)?;
    Ok((parent, name))
}

/// A path on the stack.
struct PathBuffer {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl PathBuffer {
    fn new() -> Self {
        Self {
            bytes: [0; PATH_MAX],
            length: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.length + bytes.len();
        if end >= PATH_MAX {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.bytes[end] = 0;
        self.length = end;
        Ok(())
    }

    /// Puts `link` and a slash in the place of the bytes from `start` to `end`.
    fn replace(&mut self, start: usize, end: usize, link: &[u8]) -> Result<()> {
        let after = start + link.len() + 1;
        let kept = self.length - end;
        if after + kept >= PATH_MAX {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        self.bytes.copy_within(end..self.length, after);
        self.bytes[start..after - 1].copy_from_slice(link);
        self.bytes[after - 1] = b'/';
        self.length = after + kept;
        self.bytes[self.length] = 0;
        Ok(())
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c".")
    }
}

/// Walks component by component, with one descriptor for where it stands.
struct Walker {
    root: RawFd,
    /// Where the walk stands; equal to `root`, or owned by the walker.
    here: RawFd,
    path: PathBuffer,
    links: usize,
    walk: Walk,
}

/// Where a component stands in the path.
struct Component {
    start: usize,
    end: usize,
    is_last: bool,
}

impl Drop for Walker {
    fn drop(&mut self) {
        self.stand_on(self.root);
    }
}

impl Walker {
    fn new(root: RawFd, path: &CStr, walk: Walk) -> Result<Self> {
        let mut buffer = PathBuffer::new();
        buffer.push(path.to_bytes())?;
        Ok(Self {
            root,
            here: root,
            path: buffer,
            links: 0,
            walk,
        })
    }

    fn component(&self, from: usize) -> Option<Component> {
        let bytes = &self.path.bytes[..self.path.length];
        let start = from + bytes.get(from..)?.iter().position(|byte| *byte != b'/')?;
        let end = bytes[start..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(bytes.len(), |slash| start + slash);
        Some(Component {
            start,
            end,
            is_last: bytes[end..].iter().all(|byte| *byte == b'/'),
        })
    }

    /// To the end of the path; the descriptor is the caller's.
    fn walk(&mut self, make: Make) -> Result<RawFd> {
        let mut next = 0;
        while let Some(component) = self.component(next) {
            next = self.enter(
                &component,
                if component.is_last {
                    make
                } else {
                    Make::Directory
                },
            )?;
        }
        if self.here == self.root {
            return open(self.root, c".", Walk::NoLinks);
        }
        Ok(std::mem::replace(&mut self.here, self.root))
    }

    /// Goes one component on; where the next one begins.
    fn enter(&mut self, component: &Component, make: Make) -> Result<usize> {
        let mut name = [0u8; 256];
        let bytes = &self.path.bytes[component.start..component.end];
        if bytes.len() >= name.len() {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        name[..bytes.len()].copy_from_slice(bytes);
        match bytes {
            b"." => return Ok(component.end),
            b".." => return self.leave(component.end),
            _ => {}
        }
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| Errno(libc::ENAMETOOLONG))?;
        let fd = self.open_or_make_component(name, make)?;
        let kind = fs::fstat(fd)?.st_mode & libc::S_IFMT;
        if kind == libc::S_IFLNK && !(component.is_last && self.walk == Walk::LastLinkItself) {
            let followed = self.follow(fd, component);
            fs::close(fd);
            return followed;
        }
        if !component.is_last && kind != libc::S_IFDIR {
            fs::close(fd);
            return Err(Errno(libc::ENOTDIR));
        }
        self.stand_on(fd);
        Ok(component.end)
    }

    fn open_or_make_component(&self, name: &CStr, make: Make) -> Result<RawFd> {
        let open = || {
            let how = resolve::BENEATH | resolve::NO_MAGICLINKS;
            fs::openat2(self.here, name, libc::O_PATH | libc::O_NOFOLLOW, 0, how)
        };
        match open() {
            Err(Errno(libc::ENOENT)) => {}
            result => return result,
        }
        let exclusively = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
        let made = match make {
            Make::Directory => fs::mkdirat(self.here, name, 0o755),
            _ => fs::openat(self.here, name, exclusively, 0o755).map(fs::close),
        };
        match made {
            // Somebody else made it in between: it is opened without following links all the same.
            Ok(()) | Err(Errno(libc::EEXIST)) => open(),
            Err(errno) => Err(errno),
        }
    }

    /// `..`: the kernel walks the path so far once more, because going up from a directory that was
    /// meanwhile moved out of the root would leave it.
    fn leave(&mut self, end: usize) -> Result<usize> {
        let mut so_far = PathBuffer::new();
        so_far.push(&self.path.bytes[..end])?;
        let fd = open(self.root, so_far.as_c_str(), Walk::Links)?;
        self.stand_on(fd);
        Ok(end)
    }

    /// Puts the link's text into the path; the walk begins again at the root.
    fn follow(&mut self, link: RawFd, component: &Component) -> Result<usize> {
        self.links += 1;
        if self.walk == Walk::NoLinks || self.links > MAX_LINKS {
            return Err(Errno(libc::ELOOP));
        }
        let mut text = [0u8; PATH_MAX];
        let length = fs::readlinkat(link, c"", &mut text)?;
        let text = &text[..length];
        let start = if text.first() == Some(&b'/') {
            0
        } else {
            component.start
        };
        self.path.replace(start, component.end, text)?;
        self.stand_on(self.root);
        Ok(0)
    }

    fn stand_on(&mut self, fd: RawFd) {
        if self.here != self.root {
            fs::close(self.here);
        }
        self.here = fd;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::path::PathBuf;

    /// A directory that goes away with the test, with a `root` and an `outside` in it.
    struct Playground(PathBuf);

    impl Playground {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("corten-resolve-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root")).unwrap();
            std::fs::create_dir_all(path.join("outside")).unwrap();
            Self(path)
        }

        fn root(&self) -> OwnedFd {
            std::fs::File::open(self.0.join("root")).unwrap().into()
        }

        fn link(&self, target: &str, name: &str) {
            std::os::unix::fs::symlink(target, self.0.join("root").join(name)).unwrap();
        }

        fn make(&self, path: &str, make: Make) -> Result<()> {
            let root = self.root();
            open_or_make(
                root.as_raw_fd(),
                &CString::new(path).unwrap(),
                Walk::Links,
                make,
            )
            .map(fs::close)
        }

        fn is_untouched(&self) -> bool {
            std::fs::read_dir(self.0.join("outside"))
                .unwrap()
                .next()
                .is_none()
        }
    }

    impl Drop for Playground {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn missing_directories_are_made() {
        let playground = Playground::new("make");
        playground.make("/a/b//c/", Make::Directory).unwrap();
        playground.make("a/b/file", Make::File).unwrap();
        assert!(playground.0.join("root/a/b/c").is_dir());
        assert!(playground.0.join("root/a/b/file").is_file());
    }

    #[test]
    fn links_out_of_the_root_stay_inside() {
        let playground = Playground::new("links");
        let outside = playground.0.join("outside");
        playground.link(outside.to_str().unwrap(), "absolute");
        playground.link("../outside", "relative");
        playground.make("/absolute/made", Make::Directory).unwrap();
        playground.make("/relative/made", Make::File).unwrap();
        assert!(playground.is_untouched());
        assert!(
            playground
                .0
                .join("root")
                .join(outside.strip_prefix("/").unwrap())
                .join("made")
                .is_dir()
        );
        assert!(playground.0.join("root/outside/made").is_file());
    }

    #[test]
    fn dangling_links_are_completed_inside_the_root() {
        let playground = Playground::new("dangling");
        playground.link("/var/real/data", "data");
        playground.make("/data/sub", Make::Directory).unwrap();
        assert!(playground.0.join("root/var/real/data/sub").is_dir());
    }

    #[test]
    fn dots_never_leave_the_root() {
        let playground = Playground::new("dots");
        playground
            .make("/a/../../../../outside/x", Make::Directory)
            .unwrap();
        assert!(playground.is_untouched());
        assert!(playground.0.join("root/outside/x").is_dir());
    }

    #[test]
    fn what_is_made_beside_the_last_one_is_made_in_its_parent() {
        let playground = Playground::new("nursery");
        let root = playground.root();
        let mut nursery = Nursery::new(0);
        let make = |nursery: &mut Nursery, path: &CStr| {
            nursery.open_or_make(root.as_raw_fd(), path).map(fs::close)
        };
        std::fs::create_dir(playground.0.join("root/dev")).unwrap();
        make(&mut nursery, c"/dev/pts").unwrap();
        // Whoever looks at the path again finds another directory; the nursery still has the one of before.
        std::fs::rename(playground.0.join("root/dev"), playground.0.join("root/old")).unwrap();
        make(&mut nursery, c"/dev/shm").unwrap();
        assert!(playground.0.join("root/old/shm").is_dir());
        // What is there already is found, by its path; and so is everything after it.
        make(&mut nursery, c"/dev/shm").unwrap();
        assert!(playground.0.join("root/dev/shm").is_dir());
        make(&mut nursery, c"/other/a").unwrap();
        make(&mut nursery, c"/dev/mqueue").unwrap();
        assert!(playground.0.join("root/dev/mqueue").is_dir());
        make(&mut nursery, c"/dev/one").unwrap();
        nursery.forget();
        std::fs::rename(
            playground.0.join("root/dev"),
            playground.0.join("root/gone"),
        )
        .unwrap();
        make(&mut nursery, c"/dev/two").unwrap();
        assert!(playground.0.join("root/dev/two").is_dir());
    }

    #[test]
    fn loops_end() {
        let playground = Playground::new("loop");
        playground.link("two", "one");
        playground.link("one", "two");
        assert_eq!(
            playground.make("/one/x", Make::Directory),
            Err(Errno(libc::ELOOP))
        );
    }

    #[test]
    fn a_file_is_not_a_directory() {
        let playground = Playground::new("file");
        playground.make("/file", Make::File).unwrap();
        assert_eq!(
            playground.make("/file/x", Make::Directory),
            Err(Errno(libc::ENOTDIR))
        );
    }

    #[test]
    fn no_links_means_no_links() {
        let playground = Playground::new("nolinks");
        playground.link("/elsewhere", "proc");
        let root = playground.root();
        let result = open_or_make(root.as_raw_fd(), c"/proc", Walk::NoLinks, Make::Directory);
        assert_eq!(result, Err(Errno(libc::ELOOP)));
    }

    #[test]
    fn the_parent_is_opened_and_the_name_told() {
        let playground = Playground::new("parent");
        let root = playground.root();
        let (parent, name) = open_parent(root.as_raw_fd(), c"/dev/net/tun").unwrap();
        fs::close(parent);
        assert_eq!(name, c"tun");
        assert!(playground.0.join("root/dev/net").is_dir());
        assert_eq!(
            open_parent(root.as_raw_fd(), c"/dev/..").unwrap_err(),
            Errno(libc::EINVAL)
        );
    }
}
