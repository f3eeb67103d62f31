//! The machine that the reader of a chapter has: its name, its user, `corten` in PATH, terminals.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::chapter::Who;
use crate::harness::{Lab, host};
use crate::terminal::Terminal;

/// The plain user, known to the test's mount namespace alone, and the first of 65536 subordinate ids.
const USER: (&str, u32, u32) = ("student", 1234, 700_000);

/// The machine of a chapter.
#[derive(Debug)]
pub struct Stage {
    home: PathBuf,
    path: String,
    mounts: Vec<PathBuf>,
    terminals: Vec<(Who, Terminal)>,
}

impl Stage {
    /// Sets it, in namespaces that end with this test.
    pub fn set(lab: &Lab) -> Self {
        unshare(CloneFlags::CLONE_NEWUTS).expect("the tests run as root");
        fs::write("/proc/sys/kernel/hostname", "debian").expect("the tests run as root");
        let home = lab.path("home");
        for dir in ["bin", "root", "user"] {
            fs::create_dir_all(home.join(dir)).expect("the test's directory is writable");
        }
        chown(home.join("user"), Some(USER.1), Some(USER.1)).expect("the tests run as root");
        for (file, sign) in [("root.prompt", "# "), ("user.prompt", "$ ")] {
            let text = format!("PS1='{sign}'\n");
            fs::write(home.join(file), text).expect("the test's directory is writable");
        }
        // It may lie below /root, which is another directory for the reader.
        fs::copy(host::binary(), home.join("corten")).expect("the test's directory is writable");
        wrap(lab, &home.join("corten"), &home.join("bin/corten"));
        let rest = std::env::var("PATH").expect("there is a PATH");
        let path = format!("{}:{rest}:/usr/sbin:/sbin", home.join("bin").display());
        let mut mounts = add_user(lab);
        bind(&home.join("root"), Path::new("/root"));
        mounts.push(PathBuf::from("/root"));
        Self {
            home,
            path,
            mounts,
            terminals: Vec::new(),
        }
    }

    /// A person's terminal; it is opened when it is first needed.
    pub fn terminal(&mut self, who: Who) -> &mut Terminal {
        let known = self.terminals.iter().position(|(name, _)| *name == who);
        let index = known.unwrap_or_else(|| {
            self.terminals.push((who, Terminal::open(self.shell(who))));
            self.terminals.len() - 1
        });
        &mut self.terminals[index].1
    }

    fn shell(&self, who: Who) -> Command {
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]);
        // In a file, for a variable of the environment would reach the shells within.
        let (home, prompt) = match who {
            Who::Root | Who::Second => (PathBuf::from("/root"), "root.prompt"),
            Who::User => {
                let id = USER.1.to_string();
                let groups = [
                    "--clear-groups",
                    "--inh-caps=-all",
                    "--reuid",
                    &id,
                    "--regid",
                    &id,
                ];
                command.arg("setpriv").args(groups);
                (self.home.join("user"), "user.prompt")
            }
        };
        command.args(["bash", "--noprofile", "--rcfile"]);
        command.arg(self.home.join(prompt)).current_dir(&home);
        command
            .env_clear()
            .envs([("TERM", "dumb"), ("LANG", "C.UTF-8"), ("HISTFILE", "")]);
        command
            .env("PATH", &self.path)
            .env("HOME", &home)
            // As a login makes it; root's is not looked at.
            .env("XDG_RUNTIME_DIR", &home)
            .env("SHELL", "/bin/bash");
        command
    }

    /// Closes the terminals and takes the user away; the containers that the chapter has left, which are ended.
    pub fn clear(self, lab: &Lab) -> Vec<String> {
        for (_, terminal) in self.terminals {
            terminal.close();
        }
        for path in self.mounts {
            umount2(&path, MntFlags::MNT_DETACH).expect("it was mounted");
        }
        let left = fs::read_dir(&lab.root).expect("the test's directory is there");
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        left.inspect(|id| drop(lab.corten(&["delete", "--force", id])))
            .collect()
    }
}

/// `corten`, with a state directory that is the test's.
fn wrap(lab: &Lab, binary: &Path, path: &Path) {
    let (root, data) = (lab.root.display(), lab.data.display());
    let script = format!(
        "#!/bin/sh\n[ $(id -u) = 0 ] || exec {0} \"$@\"\nexec {0} --root {root} --data {data} \"$@\"\n",
        binary.display()
    );
    fs::write(path, script).expect("the test's directory is writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it was just made");
}

fn add_user(lab: &Lab) -> Vec<PathBuf> {
    let (name, id, first) = USER;
    let files = [
        (
            "passwd",
            format!("{name}:x:{id}:{id}::/home/{name}:/bin/bash\n"),
        ),
        ("group", format!("{name}:x:{id}:\n")),
        ("subuid", format!("{name}:{first}:65536\n")),
        ("subgid", format!("{name}:{first}:65536\n")),
    ];
    let mut mounts = Vec::new();
    for (file, line) in files {
        let real = Path::new("/etc").join(file);
        // A machine without the package uidmap has no such file.
        let Ok(text) = fs::read_to_string(&real) else {
            continue;
        };
        bind(&lab.file(file, &(text + &line)), &real);
        mounts.push(real);
    }
    mounts
}

fn bind(source: &Path, target: &Path) {
    let (none, flags) = (None::<&str>, MsFlags::MS_BIND);
    mount(Some(source), target, none, flags, none).expect("the tests run as root");
}
