//! A page for each kind of failure: what it means, what usually causes it, what to do, an example.
//!
//! `corten explain-error` prints one; docs/errors.md is all of them, and a test sees that it is.

use std::fmt::Write as _;

use super::Kind;

/// What there is to know about a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// A few words.
    pub title: &'static str,
    /// What has happened.
    pub meaning: &'static str,
    /// What is usually the matter, the most likely first.
    pub causes: &'static [&'static str],
    /// What to do.
    pub remedies: &'static [&'static str],
    /// A message of this kind, as it is printed after the program's name.
    pub example: &'static str,
}

macro_rules! pages {
    ($kind:expr; $($name:ident: $title:literal, $meaning:literal;
        causes $($cause:literal)+; do $($remedy:literal)+; example $example:literal;)*) => {
        match $kind {
            $(Kind::$name => &Page {
                title: $title,
                meaning: $meaning,
                causes: &[$($cause),+],
                remedies: &[$($remedy),+],
                example: $example,
            },)*
        }
    };
}

impl Kind {
    /// Its page.
    pub fn page(self) -> &'static Page {
        pages! { self;
            CommandLine: "the command line is wrong",
                "A flag, a value or the number of words is not what the command takes. Nothing was done.";
                causes "a misspelt flag, or one of another command" "flags after the container's id with exec: there they belong to the program";
                do "corten COMMAND --help lists flags and words";
                example "No help topic for 'paint' (corten --help lists them)";
            InvalidId: "no container may have this id",
                "The id becomes the name of a directory and of a cgroup, so its letters are limited.";
                causes "a slash, a space or a leading dot in the id" "an empty variable in a script";
                do "begin with a letter, a digit, _ or +, and go on with up to 254 of these, . and -";
                example "invalid container ID format: \"a/b\" (a letter, digit, _ or +, then up to 254 of these, . and -)";
            Refused: "a property of config.json is refused",
                "The value is not allowed by the specification, contradicts another property, or cannot be honoured. Nothing was made. All that is wrong is told at once, with line and column where the file is as somebody wrote it.";
                causes "a typing error in a value" "a limit for cgroup v1, which this runtime does not use" "two properties that exclude each other";
                do "corten validate BUNDLE lists everything that is wrong, with what was probably meant" "look the property up in the specification: config.md, config-linux.md";
                example "process.cwd (line 9 column 12): \"tmp\" is not an absolute path";
            Unreadable: "config.json cannot be read",
                "The file is not JSON in UTF-8, a value is of another type than the specification says, or the file cannot be opened.";
                causes "a comma too much or too few near the line that is named" "a number in quotes, or a list where one value belongs" "an editor that writes UTF-16 or a byte order mark";
                do "mend the line that is named" "jq . config.json shows whether it is JSON at all";
                example "cannot read box/config.json: line 12 column 5: trailing comma";
            NoConfiguration: "there is no config.json",
                "A bundle is a directory with a config.json in it; this one has none.";
                causes "the command runs in another directory and --bundle is missing" "the bundle has not been made yet";
                do "name the bundle: --bundle DIR" "corten spec --bundle DIR writes a configuration to begin with";
                example "JSON specification file config.json not found";
            RootFilesystem: "the root filesystem cannot be used",
                "root.path does not lead to a directory that may become the container's /.";
                causes "the image was not unpacked, or to another place" "root.path is relative to the bundle, not to the working directory" "it is a symbolic link, which whoever can change it could lead elsewhere";
                do "let root.path name a directory, without a link as its last part";
                example "root.path: cannot use /box/rootfs as root filesystem: no such file or directory";
            NoContainer: "no container has this id",
                "The state directory knows no container of that name.";
                causes "it has been deleted, or its creation has failed" "it belongs to another state directory: --root differs between root and other users, and between engines";
                do "corten list shows what there is" "name the engine's directory: docker uses --root /run/docker/runtime-runc/moby, podman and CRI-O /run/runc";
                example "container does not exist";
            IdTaken: "the id is taken",
                "There is a container of this id already, perhaps a stopped one, or a file that would be overwritten.";
                causes "a container that ended was not deleted" "a creation that was killed half-way has left its record";
                do "corten state ID tells what it is" "corten delete ID removes a stopped one, delete --force any";
                example "container with given ID already exists: box";
            WrongState: "the container is in another state",
                "What was asked for is possible in other states only: start of a created container, exec in a running one, delete of a stopped one.";
                causes "the program has ended in the meantime" "the container is paused" "start was called twice";
                do "corten state ID tells the state" "resume, kill or delete it first";
                example "cannot exec in a stopped container";
            Record: "the container's record cannot be used",
                "state.json in the state directory is damaged or of a newer version.";
                causes "the disk was full, or the machine crashed, while it was written" "another version of the runtime wrote it" "somebody edited it";
                do "corten delete --force ID kills and removes the container by what can still be read";
                example "cannot read the container's record state.json: it is empty (delete --force kills and removes the container all the same)";
            Volume: "a named volume is not there, or in use",
                "A volume is a directory of its own, which outlives containers.";
                causes "a misspelt name" "a container still mounts it";
                do "corten volume list shows all, volume inspect NAME who uses one";
                example "volume data is in use by box";
            Permission: "the kernel does not permit it",
                "A system call ended in EPERM or EACCES: the user who runs the runtime lacks a privilege, or a security module forbids it.";
                causes "the command needs root, or a user namespace" "the runtime itself runs in a container that was given few capabilities" "AppArmor or SELinux: look for denials in dmesg" "sysctl kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns forbids user namespaces";
                do "corten doctor tells what this user may do here" "run it as root, or give the bundle a user namespace";
                example "cannot open /proc/1/ns/net: permission denied";
            NotDelegated: "this part of the cgroup tree is not yours",
                "The container's cgroup cannot be made or limited, because the cgroup above it belongs to somebody else.";
                causes "a plain user in a session whose cgroup systemd has not delegated" "cgroupsPath names a place of root's";
                do "start in a delegated scope: systemd-run --user --scope -p Delegate=yes corten …" "use --systemd-cgroup, and let the user's systemd make it" "leave cgroupsPath and limits out: the container then goes on without a cgroup of its own";
                example "linux.cgroupsPath: cannot make the cgroup user.slice/box: permission denied";
            NoController: "cgroup v2 has no such controller here",
                "The limit belongs to a controller that the kernel does not offer in this part of the tree.";
                causes "a cgroup v1 hierarchy holds it (a hybrid host)" "the cgroup above does not hand it down in cgroup.subtree_control" "the kernel was built without it, or without that file";
                do "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all) to move all controllers to v2" "have it delegated: Delegate=cpu cpuset io memory pids in the unit" "take the limit out of the configuration";
                example "linux.resources.memory.limit: cgroup v2 has no memory controller on this host: the cgroup v1 hierarchy at /sys/fs/cgroup/memory holds it";
            NoCgroup2: "there is no cgroup v2",
                "The unified hierarchy is mounted at none of its usual places.";
                causes "an old distribution with cgroup v1 alone" "a container without /sys/fs/cgroup";
                do "mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1";
                example "cgroup v2 is mounted neither at /sys/fs/cgroup nor at /sys/fs/cgroup/unified";
            Kernel: "the kernel lacks something",
                "A system call or a filesystem that is needed does not exist in this kernel, or a filter hides it.";
                causes "Linux older than 5.14" "a system call filter around the runtime (an old Docker) answers ENOSYS" "a kernel built without the feature";
                do "uname -r: 5.14 or later is needed" "where the runtime itself runs in a container, give that one a newer filter";
                example "the kernel is 4.19.0, and 5.14 or later is needed";
            IdMaps: "users or groups cannot be mapped",
                "The kernel, or newuidmap(1), refuses the ranges of linux.uidMappings or linux.gidMappings.";
                causes "/etc/subuid or /etc/subgid grants this user fewer ids, or others" "newuidmap and newgidmap are not installed, or have lost their set-user-ID bit" "a range overlaps another one";
                do "grep $USER /etc/subuid /etc/subgid, and use those ranges" "install the package uidmap" "map only your own id: one line, size 1";
                example "linux.uidMappings: newuidmap refuses the id map: newuidmap: uid range [0-65536) -> [100000-165536) not allowed (/etc/subuid and /etc/subgid grant ids)";
            SecurityModule: "a security module is off, or does not know the label",
                "The configuration wants the program confined by AppArmor or SELinux, and the kernel runs without it, or its policy has no such profile or label. Going on would be less protection than was asked for.";
                causes "another distribution than the one that the configuration was made for" "the module is disabled on the kernel's command line" "the profile was not loaded at boot, or is misspelt";
                do "cat /sys/kernel/security/lsm: is the module there?" "aa-status lists the profiles that are loaded; apparmor_parser --replace FILE loads one" "take the label out of the configuration, or enable the module";
                example "process.apparmorProfile: apparmor is not enabled on this host";
            Systemd: "systemd does not do it",
                "The cgroup is to be made by systemd, which cannot be reached, refuses, or fails.";
                causes "no systemd on this host, or no bus" "a plain user without a user manager: no XDG_RUNTIME_DIR, no lingering" "a property that this version of systemd does not know";
                do "systemctl status, systemctl --user status" "loginctl enable-linger USER" "use the cgroupfs driver: without --systemd-cgroup";
                example "cannot start corten-box.scope: unknown unit property";
            Exhausted: "the machine is out of something",
                "Memory, disk, descriptors, processes, keys or cgroups: a limit of the host is reached.";
                causes "a full disk under the state directory or the overlay" "ulimit -n or -u of whoever runs the runtime" "sysctl kernel.keys.maxkeys: one session keyring for each container" "user.max_*_namespaces, cgroup.max.descendants, pids.max of a cgroup above";
                do "df, free, ulimit -a, and cat /proc/sys/user/max_*" "--no-new-keyring saves the key";
                example "cannot join the session keyring _ses.box: disk quota exceeded";
            Missing: "a file or directory of the host is missing",
                "A path outside of the container does not exist.";
                causes "a misspelt path" "something that was removed, or not yet made, by the caller";
                do "look at the path that is named; paths in config.json are relative to the bundle only where the specification says so";
                example "cannot open the network namespace /run/netns/blue: no such file or directory";
            Criu: "criu is missing, or fails",
                "checkpoint and restore are done by the program criu, which has ended with an error.";
                causes "criu is not installed" "the kernel lacks what criu needs" "the container has something that cannot be saved: a device, a socket to the outside";
                do "criu check --all" "read the log that the message names";
                example "criu failed: Can't dump unix socket: a peer is outside (all of it is in /tmp/work/dump.log)";
            Limit: "a limit cannot be set",
                "The kernel, or a rule about what is in use already, refuses the value for a file of the cgroup.";
                causes "memory below what the container uses" "CPUs or memory nodes that the cgroup above does not have" "a value out of range";
                do "corten ps and corten events --stats tell what is used" "cat cpuset.cpus.effective of the cgroup above";
                example "linux.resources.memory.limit: rejecting memory limit 1048576: it is not above the usage, 3145728";
            Mount: "a mount cannot be made",
                "An entry of mounts, the root filesystem or an overlay could not be mounted. Where the kernel said why, its words are in the message.";
                causes "the source does not exist, or is a file where the destination is a directory" "an option that the filesystem does not know" "a path without the option bind in its options" "in a user namespace: a filesystem that only the host's root may mount, or flags of the host's mount taken away";
                do "corten explain BUNDLE | grep mount shows what is mounted where" "add bind to the options of a mount of a host path" "dmesg | tail often has a second sentence of the filesystem's";
                example "mounts[6]: cannot mount tmpfs on /data (size=banana): Bad value for 'size'";
            Namespace: "a namespace cannot be made or joined",
                "clone3(2), unshare(2) or setns(2) was refused.";
                causes "a plain user without a user namespace, or user namespaces that are forbidden" "the path leads to a namespace of another kind, or to one that is gone" "a namespace of another user namespace";
                do "unshare --user --map-root-user true shows whether user namespaces work" "ls -l the path in linux.namespaces";
                example "linux.namespaces[2]: cannot join the network namespace /run/netns/blue: invalid argument";
            Network: "an interface cannot be moved",
                "An interface of linux.netDevices did not get into the container's network namespace. It is back where it was.";
                causes "there is no such interface" "its name is taken inside the container" "a kind that cannot leave its namespace";
                do "ip link show NAME" "give it another name with linux.netDevices[…].name";
                example "linux.netDevices[\"eth7\"]: cannot move the interface eth7 into the container: no such device";
            Filter: "the system call filter cannot be loaded",
                "seccomp(2) refuses the filter of linux.seccomp, or its listener cannot be handed over.";
                causes "a flag that the kernel does not know" "a second listener: only one filter of a process may have one" "nobody listens at listenerPath";
                do "corten features lists the known flags and actions" "start the agent before the container";
                example "linux.seccomp: cannot load the system call filter of 220 instructions: invalid argument";
            Hook: "a hook failed",
                "A program of the engine's ended with an error or took too long. The container was undone, unless it was a poststart or poststop hook.";
                causes "the last lines of its stderr are in the message" "a path that does not exist in the namespaces that the hook runs in: createContainer hooks see the container's";
                do "run it by hand with the state on its stdin: corten state ID | HOOK" "the annotation run.oci.hooks.stderr collects what hooks say";
                example "hooks.createRuntime[0]: error running createRuntime hook #0: /usr/bin/netavark: exit status 1";
            NoProgram: "the program is not there",
                "process.args[0] was not found in the container's PATH, or the path does not exist inside of the root filesystem.";
                causes "the image does not have it: many have no shell" "PATH in process.env lacks its directory" "a path of the host's";
                do "corten shell --rootfs ROOTFS -- ls /bin" "write the full path as the container sees it";
                example "unable to start container process: exec: \"bash\": executable file not found in $PATH";
            Program: "the program cannot be executed",
                "The file was found inside of the container, and execve(2) refuses it.";
                causes "it is not executable, or a directory" "it is for another processor" "its interpreter (the #! line, the dynamic loader) is missing in the image" "a mount with noexec";
                do "file PROGRAM, ls -l PROGRAM inside the root filesystem" "chmod +x" "use an image for this machine: uname -m";
                example "unable to start container process: exec: \"/app\": exec format error";
            WorkingDirectory: "the working directory cannot be entered",
                "process.cwd does not exist inside of the container, or its user may not enter it.";
                causes "a misspelt directory" "a directory that only root may enter, and another user in process.user" "a link that leads out of the container";
                do "make it in the image, or let another user enter it" "use / as process.cwd to begin with";
                example "process.cwd: chdir to cwd (\"/nope\") set in config.json failed: no such file or directory";
            Killed: "init was killed",
                "The container's first process died before its program began, at the step that is named.";
                causes "the memory limit is too small even for the start: some MiB are needed" "the filter stops a call that the program's start needs" "somebody killed it";
                do "raise linux.resources.memory.limit" "dmesg | grep -i oom" "corten run --trace - BUNDLE shows how far it came";
                example "unable to start container process: container init was OOM-killed or ended: cannot mount proc on /proc: it was killed (memory limit too low?)";
            Terminal: "the terminal cannot be set up",
                "The pseudo-terminal was not made, or could not be handed to whoever listens at --console-socket.";
                causes "nobody listens on the socket, or the path is too long" "process.terminal without a devpts mounted at /dev/pts";
                do "mount devpts on /dev/pts with newinstance and ptmxmode=0666" "start the listener first";
                example "--console-socket: cannot connect to /run/console.sock: connection refused";
            Device: "a device node cannot be made",
                "mknodat(2) was refused, or something else is in its place.";
                causes "a user namespace, in which nodes cannot be made: the host's are mounted instead" "a filesystem mounted with nodev" "a file of that name in the image";
                do "bind-mount the host's node instead of linux.devices";
                example "linux.devices[0]: cannot make the device /dev/fuse (10:229): operation not permitted";
            Timeout: "it took too long",
                "Something that should have happened within its time did not: init came to no gate, a process did not end, somebody else holds the container.";
                causes "a network filesystem that hangs" "a process in uninterruptible sleep" "another corten command at work on the same container";
                do "cat /proc/PID/stack and /proc/PID/wchan of the process" "corten delete --force ID afterwards";
                example "waited too long until everything that can fail is done: init is at \"mount nfs on /data\"";
            Interrupted: "the runtime was told to stop",
                "A signal came while the container was being made. It was undone.";
                causes "Ctrl-C" "an engine whose own time was over";
                do "call it again";
                example "interrupted by signal 2";
            System: "a system call failed",
                "The kernel refused for a reason that has no page of its own; the message has its words.";
                causes "see the manual page of the call: corten explain --why --syscalls BUNDLE names it";
                do "corten --debug --log FILE run … tells every step up to this one" "corten run --trace - … shows when";
                example "cannot freeze the cgroup box: device or resource busy";
            Internal: "a fault of the runtime itself",
                "A plan was refused by its own proofs, or the two halves lost each other. That should not happen, and nothing was started.";
                causes "a bug";
                do "report it with the output of corten explain --json BUNDLE and the message";
                example "the plan is wrong: deadlock: the runtime at its end, init at wait for start";
        }
    }

    /// Its page as text.
    pub fn text(self) -> String {
        let page = self.page();
        let mut text = format!("{}: {}\n\n{}\n", self.number(), page.title, page.meaning);
        for (title, lines) in [("Usual causes", page.causes), ("What to do", page.remedies)] {
            // A String takes everything.
            writeln!(text, "\n{title}:").unwrap_or(());
            for line in lines {
                writeln!(text, "  - {line}").unwrap_or(());
            }
        }
        writeln!(text, "\nFor example:\n  {}", page.example).unwrap_or(());
        text
    }
}

/// docs/errors.md.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for kind in Kind::ALL {
        let page = kind.page();
        writeln!(
            text,
            "| [{0}](#{1}) | {2} |",
            kind.number(),
            kind.number().to_lowercase(),
            page.title
        )
        .unwrap_or(());
    }
    for kind in Kind::ALL {
        let page = kind.page();
        writeln!(
            text,
            "\n## {}\n\n**{}.** {}\n",
            kind.number(),
            page.title,
            page.meaning
        )
        .unwrap_or(());
        writeln!(text, "Usual causes:\n").unwrap_or(());
        page.causes
            .iter()
            .for_each(|cause| writeln!(text, "- {cause}").unwrap_or(()));
        writeln!(text, "\nWhat to do:\n").unwrap_or(());
        page.remedies
            .iter()
            .for_each(|remedy| writeln!(text, "- {remedy}").unwrap_or(()));
        writeln!(text, "\n```\n{}\n```", page.example).unwrap_or(());
    }
    text
}

const HEAD: &str = "\
# Errors

What a failure says is one line: the property of config.json or the flag that asked, what was tried, why it failed, and often what to
do. Engines match on these words, so the number of its kind is not among them: on a terminal it stands on a line below, and in
the JSON log (`--log FILE --log-format json`) it is the property `number`. `corten explain-error NUMBER` prints one of these pages.

Numbers stay: one is never used for another kind. This document is made from `src/error/pages.rs` by
`UPDATE_GOLDEN=1 cargo test --test golden`.

| number | |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_its_parts() {
        for kind in Kind::ALL {
            let page = kind.page();
            assert!(
                page.title.starts_with(|letter: char| letter.is_lowercase()),
                "{kind:?}"
            );
            assert!(
                !page.title.ends_with('.') && page.title.len() < 60,
                "{kind:?}"
            );
            assert!(
                page.meaning.ends_with('.') && page.meaning.len() > 40,
                "{kind:?}"
            );
            assert!(
                !page.causes.is_empty() && !page.remedies.is_empty(),
                "{kind:?}"
            );
            // The program's name comes before it.
            assert!(!page.example.starts_with("corten"), "{kind:?}");
            assert!(kind.text().starts_with(kind.number()), "{kind:?}");
        }
    }
}
