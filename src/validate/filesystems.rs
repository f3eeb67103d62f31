//! Mount options that are no option of their filesystem, and filesystems that this machine does not have.
//!
//! Whether an option exists only the kernel knows, and newer ones know more. So only what is near to a word that is known
//! is told: that is a typing error and not a new option.

use std::path::Path;

use crate::config::{Mount, Spec, fields};
use crate::error::Field;
use crate::rootfs::options::{self, MountOptions};

/// The filesystems that containers mount, with the options of their own (the kernel's Documentation/filesystems and their
/// parameter tables).
const FILESYSTEMS: [(&str, &[&str]); 16] = [
    (
        "bpf",
        &[
            "mode",
            "uid",
            "gid",
            "delegate_cmds",
            "delegate_maps",
            "delegate_progs",
            "delegate_attachs",
        ],
    ),
    ("cgroup", CGROUP),
    ("cgroup2", CGROUP),
    ("debugfs", &["mode", "uid", "gid"]),
    (
        "devpts",
        &["mode", "uid", "gid", "ptmxmode", "newinstance", "max"],
    ),
    ("devtmpfs", TMPFS),
    (
        "fuse",
        &[
            "fd",
            "rootmode",
            "user_id",
            "group_id",
            "default_permissions",
            "allow_other",
            "max_read",
            "blksize",
        ],
    ),
    (
        "hugetlbfs",
        &[
            "mode",
            "uid",
            "gid",
            "size",
            "min_size",
            "nr_inodes",
            "pagesize",
        ],
    ),
    ("mqueue", &[]),
    ("overlay", OVERLAY),
    ("proc", &["hidepid", "gid", "subset", "pidns"]),
    ("ramfs", &["mode"]),
    ("securityfs", &[]),
    ("sysfs", &[]),
    ("tmpfs", TMPFS),
    ("tracefs", &["mode", "uid", "gid"]),
];

const CGROUP: &[&str] = &[
    "nsdelegate",
    "favordynmods",
    "memory_localevents",
    "memory_recursiveprot",
    "memory_hugetlb_accounting",
    "pids_localevents",
];

const TMPFS: &[&str] = &[
    "mode",
    "uid",
    "gid",
    "size",
    "nr_blocks",
    "nr_inodes",
    "huge",
    "mpol",
    "inode32",
    "inode64",
    "noswap",
    "quota",
    "usrquota",
    "grpquota",
    "usrquota_block_hardlimit",
    "usrquota_inode_hardlimit",
    "grpquota_block_hardlimit",
    "grpquota_inode_hardlimit",
    "casefold",
    "strict_encoding",
];

const OVERLAY: &[&str] = &[
    "lowerdir",
    "lowerdir+",
    "datadir+",
    "upperdir",
    "workdir",
    "default_permissions",
    "redirect_dir",
    "index",
    "uuid",
    "nfs_export",
    "userxattr",
    "xino",
    "metacopy",
    "verity",
    "volatile",
    "override_creds",
    "nooverride_creds",
];

/// Those of security modules, which every filesystem takes.
const OF_ALL: [&str; 10] = [
    "source",
    "context",
    "fscontext",
    "defcontext",
    "rootcontext",
    "seclabel",
    "smackfsdef",
    "smackfsroot",
    "smackfshat",
    "smackfsfloor",
];

/// A word that is probably another one.
#[derive(Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Its place.
    pub field: Field,
    /// What is strange.
    pub text: String,
    /// What was probably meant.
    pub meant: Option<&'static str>,
}

/// Options that are near to one of their filesystem.
pub fn misspelt_options(spec: &Spec) -> Vec<Doubt> {
    let mounts = spec.mounts.iter().enumerate();
    mounts
        .flat_map(|(index, mount)| misspelt(index, mount))
        .collect()
}

fn misspelt(index: usize, mount: &Mount) -> Vec<Doubt> {
    let kind = mount.kind.as_deref().unwrap_or_default();
    let is_bind =
        MountOptions::parse(&mount.options).map_or(true, |options| options.bind.is_some());
    let Some((_, own)) = FILESYSTEMS
        .iter()
        .find(|(name, _)| *name == kind && !is_bind)
    else {
        return Vec::new();
    };
    let known = || {
        let own = own.iter().copied().chain(OF_ALL);
        options::known_options().chain(own)
    };
    let words = mount.options.iter().enumerate();
    words
        .flat_map(|(place, word)| {
            let data = MountOptions::parse([word]).map_or_else(|_| Vec::new(), |one| one.data);
            let strange = data
                .into_iter()
                .filter(|(key, _)| known().all(|name| name != *key));
            strange
                .filter_map(|(key, _)| {
                    let meant = fields::nearest(key, known())?;
                    Some(Doubt {
                        field: Field::path(format!("mounts[{index}].options[{place}]")),
                        text: format!("{key:?} is no option of {kind}"),
                        meant: Some(meant),
                    })
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Filesystems that the kernel neither has nor, as far as its modules' names tell, can load.
pub fn missing_here(spec: &Spec) -> Vec<Doubt> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let here = read(Path::new("/proc/filesystems"));
    let release = read(Path::new("/proc/sys/kernel/osrelease"));
    let modules = Path::new("/lib/modules").join(release.trim());
    missing(spec, &here, &read(&modules.join("modules.alias")))
}

/// The same, of the texts of /proc/filesystems and modules.alias.
fn missing(spec: &Spec, here: &str, aliases: &str) -> Vec<Doubt> {
    let is_here = |name: &str| {
        let alias = format!("alias fs-{name} ");
        here.lines()
            .any(|line| line.split_whitespace().last() == Some(name))
            || aliases.lines().any(|line| line.starts_with(&alias))
    };
    let mut doubts = Vec::new();
    for (index, mount) in spec.mounts.iter().enumerate() {
        let Some(kind) = mount.kind.as_deref() else {
            continue;
        };
        // `fuse.sshfs` is a fuse.
        let name = kind.split('.').next().unwrap_or(kind);
        let is_mounted = MountOptions::parse(&mount.options).is_ok_and(|options| {
            options.bind.is_none() && !options.remount && options.propagation.is_empty()
        });
        if !is_mounted || ["volume", "cgroup", ""].contains(&name) || is_here(name) {
            continue;
        }
        doubts.push(Doubt {
            field: Field::index("mounts", index).leaf("type"),
            text: format!("{name:?} is not in /proc/filesystems, and no module here brings it"),
            meant: fields::nearest(name, FILESYSTEMS.iter().map(|(name, _)| *name))
                .filter(|meant| *meant != name),
        });
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn spec(mounts: &str) -> Spec {
        config::parse(format!(r#"{{"ociVersion": "1.2.0", "mounts": {mounts}}}"#).as_bytes())
            .unwrap()
    }

    fn told(doubts: &[Doubt]) -> Vec<(String, Option<&str>)> {
        let told = doubts
            .iter()
            .map(|doubt| (doubt.field.to_string(), doubt.meant));
        told.collect()
    }

    #[test]
    fn a_misspelt_option_of_a_known_filesystem_is_told_with_what_was_meant() {
        let spec = spec(
            r#"[{"destination": "/a", "type": "tmpfs", "options": ["nosiud", "siez=4m", "mode=755,gidd=5"]},
                {"destination": "/b", "type": "proc", "options": ["hidpid=2", "nosuid"]},
                {"destination": "/c", "type": "cgroup", "options": ["nsdelegat", "ro"]},
                {"destination": "/d", "type": "overlay", "options": ["lowerdir=/x", "uperdir=/y", "lowerdir+=/z"]}]"#,
        );
        assert_eq!(
            told(&misspelt_options(&spec)),
            [
                ("mounts[0].options[0]".into(), Some("nosuid")),
                ("mounts[0].options[1]".into(), Some("size")),
                ("mounts[0].options[2]".into(), Some("gid")),
                ("mounts[1].options[0]".into(), Some("hidepid")),
                ("mounts[2].options[0]".into(), Some("nsdelegate")),
                ("mounts[3].options[1]".into(), Some("upperdir")),
            ]
        );
    }

    #[test]
    fn what_is_near_to_nothing_or_of_a_filesystem_that_is_not_known_is_left_to_the_kernel() {
        let spec = spec(
            r#"[{"destination": "/a", "type": "tmpfs", "options": ["brandnewthing=1", "context=\"a,b\""]},
                {"destination": "/b", "type": "ext4", "options": ["nosiud"]},
                {"destination": "/c", "type": "bind", "source": "/", "options": ["rbind", "siez=4"]},
                {"destination": "/d", "type": "none", "options": ["remount", "nosiud"]}]"#,
        );
        assert_eq!(told(&misspelt_options(&spec)), []);
    }

    #[test]
    fn a_filesystem_that_neither_the_kernel_nor_a_module_has_is_told() {
        let spec = spec(
            r#"[{"destination": "/a", "type": "tmpsf"}, {"destination": "/b", "type": "ext4"},
                {"destination": "/c", "type": "xfs"}, {"destination": "/d", "type": "fuse.sshfs"},
                {"destination": "/e", "type": "none", "source": "/", "options": ["bind"]},
                {"destination": "/f", "type": "cgroup"}, {"destination": "/g", "type": "zfs"}]"#,
        );
        let here = "nodev\ttmpfs\nnodev\tfuse\n\text4\n";
        let missing = missing(&spec, here, "alias fs-xfs xfs\n");
        assert_eq!(
            told(&missing),
            [
                ("mounts[0].type".into(), Some("tmpfs")),
                ("mounts[6].type".into(), None)
            ]
        );
    }
}
