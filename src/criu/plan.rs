//! What criu is asked, decided from config.json and the flags.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::rpc::Message;
use crate::config::{Mount, Namespace, NamespaceType, Spec};
use crate::error::{Failure, Field, Result};
use crate::rootfs::options::MountOptions;
use crate::rootfs::plan::clean;
use crate::sys::mount::Attributes;

/// The flags that both commands have.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--tcp-established`.
    pub tcp_established: bool,
    /// `--tcp-close`.
    pub tcp_close: bool,
    /// `--tcp-skip-in-flight`.
    pub tcp_skip_in_flight: bool,
    /// `--ext-unix-sk`.
    pub ext_unix_sk: bool,
    /// `--shell-job`.
    pub shell_job: bool,
    /// `--file-locks`.
    pub file_locks: bool,
    /// `--link-remap`.
    pub link_remap: bool,
    /// `--auto-dedup`.
    pub auto_dedup: bool,
    /// `--lazy-pages`.
    pub lazy_pages: bool,
    /// `--empty-ns network`.
    pub empty_network: bool,
    /// `--manage-cgroups-mode`.
    pub cgroups: Cgroups,
    /// `--lsm-profile`.
    pub lsm_profile: Option<String>,
    /// `--lsm-mount-context`.
    pub lsm_mount_context: Option<String>,
    /// A file of criu's options: the annotation org.criu.config, or /etc/criu/runc.conf.
    pub config_file: Option<PathBuf>,
}

/// criu_cg_mode: what criu does about cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Cgroups {
    /// Nothing.
    Ignore = 0,
    /// Properties of those that it makes.
    #[default]
    Soft = 3,
    /// Properties of all.
    Full = 4,
    /// None may be there.
    Strict = 5,
}

/// Where criu reads and writes.
#[derive(Debug)]
pub struct Places<'a> {
    /// The images, open.
    pub images: RawFd,
    /// The log and the statistics, open.
    pub work: RawFd,
    /// The log's name.
    pub log: &'a str,
    /// The container's root directory on the host.
    pub root: &'a Path,
}

/// What comes from outside of the container, by the name under which it is brought again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// The mount point in the container, which is the name too.
    pub name: String,
    /// On the host.
    pub source: PathBuf,
    /// Of the mount in the container; criu would leave those of the source.
    pub attributes: Attributes,
}

/// criu_opts, the common part.
pub fn options(flags: &Flags, places: &Places<'_>) -> Message {
    let mut options = Message::default();
    options
        .descriptor(1, places.images)
        .descriptor(17, places.work)
        .text(10, places.log.as_bytes())
        .text(13, places.root.as_os_str().as_bytes())
        .number(9, 4) // log_level
        .flag(4, flags.ext_unix_sk)
        .flag(5, flags.tcp_established)
        .flag(7, flags.shell_job)
        .flag(8, flags.file_locks)
        .flag(12, true) // notify_scripts
        .flag(16, flags.auto_dedup)
        .flag(18, flags.link_remap)
        .flag(46, flags.tcp_skip_in_flight)
        .flag(48, flags.lazy_pages)
        .flag(50, true) // orphan_pts_master
        .flag(52, flags.tcp_close);
    if flags.empty_network {
        options.number(38, u64::from(libc::CLONE_NEWNET.cast_unsigned()));
    }
    if flags.cgroups != Cgroups::Ignore {
        options.flag(24, true);
    }
    options.number(34, flags.cgroups as u64);
    let texts = [(53, &flags.lsm_profile), (63, &flags.lsm_mount_context)];
    for (field, text) in texts {
        if let Some(text) = text {
            options.text(field, text.as_bytes());
        }
    }
    if let Some(path) = &flags.config_file {
        options.text(51, path.as_os_str().as_bytes());
    }
    options
}

/// Where criu finds cgroup v2. Else it mounts it once more, which resets the flags of the host's own mount:
/// nsdelegate and memory_recursiveprot belong to the hierarchy.
pub fn yard(options: &mut Message, yard: &Path) {
    options.text(60, yard.as_os_str().as_bytes());
}

/// At the checkpoint: this mount is not to be looked into.
pub fn leave_out(options: &mut Message, name: &str) {
    options.text(37, format!("mnt[{name}]:{name}").as_bytes());
}

/// At restore: what is mounted there.
pub fn bring(options: &mut Message, name: &str, source: &Path) {
    let mut text = format!("mnt[{name}]:").into_bytes();
    text.extend_from_slice(source.as_os_str().as_bytes());
    options.text(37, &text);
}

/// At restore: the cgroup in the place of the one that the container had.
pub fn root_cgroup(options: &mut Message, path: &Path) {
    let mut root = Message::default();
    // The hierarchy without a name is that of cgroup v2.
    root.text(1, b"").text(2, path.as_os_str().as_bytes());
    options.message(25, &root);
}

/// A descriptor that criu inherited, for the one that had this name at the checkpoint.
pub fn inherit(options: &mut Message, name: &str, fd: RawFd) {
    let mut inherited = Message::default();
    inherited.text(1, name.as_bytes()).descriptor(2, fd);
    options.message(27, &inherited);
}

/// The mounts of the configuration that show something of the host's, in their order.
pub fn externals(spec: &Spec, bundle: &Path, cgroup: &Path) -> Vec<External> {
    let mounts = spec.mounts.iter().filter_map(|mount| {
        let source = match mount.kind.as_deref() {
            Some("cgroup" | "cgroup2") => cgroup.to_owned(),
            _ if is_bind(mount) => bundle.join(mount.source.as_deref().unwrap_or_default()),
            _ => return None,
        };
        let path = clean(Path::new(&mount.destination));
        // They were parsed when the container was made.
        let options = MountOptions::parse(&mount.options).unwrap_or_default();
        Some(External {
            name: path.to_string_lossy().into_owned(),
            source,
            attributes: Attributes {
                set: options.set | options.recursive_set,
                clear: options.clear | options.recursive_clear,
                propagation: 0,
            },
        })
    });
    mounts.collect()
}

/// Whether it shows something of the host's.
pub fn is_bind(mount: &Mount) -> bool {
    let asks = |option: &str| option == "bind" || option == "rbind";
    mount.kind.as_deref() == Some("bind") || mount.options.iter().any(asks)
}

/// The earlier mount below which this one is: the last that covers its mount point.
pub fn around(mounts: &[Mount], index: usize) -> Option<&Mount> {
    fn point(mount: &Mount) -> Cow<'_, Path> {
        clean(Path::new(&mount.destination))
    }
    let own = point(&mounts[index]);
    let covers = |mount: &&Mount| own.starts_with(point(mount)) && own != point(mount);
    mounts[..index].iter().rev().find(covers)
}

/// Whether criu has to be born into the container's cgroup namespace, because it is not to look at cgroups.
pub fn needs_cgroup_namespace(spec: &Spec, flags: &Flags) -> bool {
    flags.cgroups == Cgroups::Ignore && makes(spec, NamespaceType::Cgroup)
}

/// Whether the container has one that is not the host's.
pub fn makes(spec: &Spec, kind: NamespaceType) -> bool {
    let mut namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    namespaces.any(|namespace| namespace.kind == kind)
}

/// What a checkpoint would lose without a word.
pub fn refuse(spec: &Spec) -> Result<()> {
    for (index, mount) in spec.mounts.iter().enumerate() {
        let field = || Field::index("mounts", index);
        if mount.kind.as_deref() == Some("volume") {
            let text = "a volume cannot be brought again by criu";
            return Err(Failure::config(field(), text));
        }
        let options = MountOptions::parse(&mount.options).unwrap_or_default();
        if options.idmap.is_some() || !mount.uid_mappings.is_empty() {
            let text = "criu knows no mounts with mapped ids";
            return Err(Failure::config(field(), text));
        }
    }
    if makes(spec, NamespaceType::User) {
        let text = "criu cannot read its images from within a user namespace";
        return Err(Failure::config(Field::new("linux.namespaces"), text));
    }
    if makes(spec, NamespaceType::Time) {
        let text = "the clocks of a time namespace would not come back";
        return Err(Failure::config(Field::new("linux.namespaces"), text));
    }
    let joins = |namespace: &Namespace| {
        let path = namespace.path.as_deref().unwrap_or_default();
        !path.is_empty() && namespace.kind != NamespaceType::Network
    };
    let mut namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    if namespaces.any(joins) {
        let text = "of the joined namespaces only that of the network would be joined again";
        return Err(Failure::config(Field::new("linux.namespaces"), text));
    }
    Ok(())
}

/// Every mount of a mountinfo(5) by its place, flags and filesystem: what must be the same after a restore.
pub fn mounts(mountinfo: &str) -> Vec<String> {
    let mut mounts: Vec<String> = mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let mut words = mount.split(' ').skip(4);
            let kind = filesystem.split(' ').next()?;
            Some(format!("{} {} {kind}", words.next()?, words.next()?))
        })
        .collect();
    mounts.sort();
    mounts
}

/// Where a descriptor's mount is mounted: its file in /proc/self/fdinfo, and mountinfo(5).
pub fn mount_point(details: &str, mountinfo: &str) -> Option<PathBuf> {
    let id = details
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))?;
    let line = mountinfo
        .lines()
        .find(|line| line.split(' ').next() == Some(id.trim()))?;
    Some(PathBuf::from(unescape(line.split(' ').nth(4)?)))
}

/// Blanks and the like are written as three octal digits.
fn unescape(text: &str) -> OsString {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        let digits = more.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[3..] } else { more };
    }
    OsString::from_vec(bytes)
}

/// criu's name of a network namespace that was joined.
pub const NETWORK: &str = "extRootNetNS";

/// The network namespace that was joined, and will be again.
pub fn joined_network(spec: &Spec) -> Option<PathBuf> {
    let mut namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    let network = namespaces.find(|namespace| namespace.kind == NamespaceType::Network)?;
    let path = network.path.as_deref().filter(|path| !path.is_empty())?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_compared_by_place_flags_and_kind() {
        let text = "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw\n\
                    21 36 0:5 /null /dev/null ro - devtmpfs udev rw\n";
        assert_eq!(
            mounts(text),
            ["/dev/null ro devtmpfs", "/mnt rw,noatime ext3"]
        );
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let refused = |json: &str| {
            let spec: Spec = serde_json::from_str(json).unwrap();
            refuse(&spec).map_err(|failure| failure.to_string())
        };
        let cgroup = r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"cgroup"}]}}"#;
        assert!(refused(cgroup).is_ok());
        let volume = r#"{"ociVersion":"1.0.2","mounts":[{"destination":"/v","type":"volume","source":"v"}]}"#;
        let text = refused(volume).unwrap_err();
        assert!(text.starts_with("mounts[0]: "), "{text}");
        let mapped = r#"{"ociVersion":"1.0.2","mounts":[{"destination":"/v","type":"bind","source":"/v","options":["idmap"]}]}"#;
        assert!(refused(mapped).is_err());
    }

    #[test]
    fn a_mount_is_found_by_its_number() {
        let table = "36 35 98:0 / /a\\040b rw - ext3 /dev/root rw\n137 35 98:0 / /c rw - ext3 /dev/root rw\n";
        let found = |id| mount_point(&format!("pos:\t0\nmnt_id:\t{id}\nino:\t7\n"), table);
        assert_eq!(found(36), Some(PathBuf::from("/a b")));
        assert_eq!(found(137), Some(PathBuf::from("/c")));
        assert_eq!(found(3), None);
    }

    #[test]
    fn a_mount_is_below_the_last_that_covers_its_place() {
        let mounts = |places: &[&str]| -> Vec<Mount> {
            let mount = |place: &&str| Mount {
                destination: (*place).to_owned(),
                ..Mount::default()
            };
            places.iter().map(mount).collect()
        };
        let all = mounts(&["/a", "/ab", "/a/b/", "/a/b/c"]);
        let found = |index| around(&all, index).map(|mount| mount.destination.as_str());
        assert_eq!((found(0), found(1)), (None, None));
        assert_eq!((found(2), found(3)), (Some("/a"), Some("/a/b/")));
    }

    #[test]
    fn what_shows_the_host_is_brought_by_its_mount_point() {
        let json = r#"{"ociVersion":"1.0.2","mounts":[
            {"destination":"/proc","type":"proc"},
            {"destination":"/data/","type":"bind","source":"data"},
            {"destination":"/x/../y","type":"none","source":"/srv","options":["rbind","ro"]},
            {"destination":"/sys/fs/cgroup","type":"cgroup"}]}"#;
        let spec: Spec = serde_json::from_str(json).unwrap();
        let found = externals(&spec, Path::new("/b"), Path::new("/sys/fs/cgroup/box"));
        let pairs: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.source.to_str().unwrap()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("/data", "/b/data"),
                ("/y", "/srv"),
                ("/sys/fs/cgroup", "/sys/fs/cgroup/box")
            ]
        );
        assert_eq!(joined_network(&spec), None);
    }
}
