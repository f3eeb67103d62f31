//! Groups of resctrl, made and entered.

use std::io::{ErrorKind, Result as IoResult, Write};
use std::path::{Path, PathBuf};

use super::schema;
use crate::error::{Act, Code, Failure, Field, Result};

/// Where resctrl is mounted; none where it is not. There is one tree, wherever it is mounted.
pub fn mount() -> Result<Option<PathBuf>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).act(|| format!("cannot read {path}"))?;
    Ok(mounted(&text))
}

/// The mount point in its line of mountinfo.
fn mounted(mountinfo: &str) -> Option<PathBuf> {
    let mut lines = mountinfo.lines().filter_map(|line| line.split_once(" - "));
    let (place, _) = lines.find(|(_, source)| source.starts_with("resctrl "))?;
    let point = place.split(' ').nth(4)?;
    Some(PathBuf::from(point))
}

/// mkdir(2) of a group of the container's own.
pub fn make(path: &Path, act: &str) -> Result<()> {
    explained(std::fs::create_dir(path), path, act)
}

/// A group that must be there.
pub fn find(path: &Path, act: &str) -> Result<()> {
    std::fs::metadata(path.join("tasks"))
        .map(|_| ())
        .act(|| act.to_owned())
}

/// A group that others may use too: made if there is none, else one that has these lines already.
pub fn share(path: &Path, expected: &[String], act: &str) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return explained(made, path, act),
    }
    let has = std::fs::read_to_string(path.join("schemata")).act(|| act.to_owned())?;
    match expected.iter().find(|line| !schema::has(&has, line)) {
        None => Ok(()),
        Some(line) => {
            let text = format!("it is there and does not have {line:?}");
            Err(Failure::new(Code::Config, act)
                .because(text)
                .at(field_of(line)))
        }
    }
}

fn field_of(line: &str) -> Field {
    Field::new("linux.intelRdt").leaf(match line.starts_with("MB:") {
        true => "memBwSchema",
        false => "l3CacheSchema",
    })
}

/// The shares of a group: one write, in the order of the lines.
pub fn write(path: &Path, lines: &[String], act: &str) -> Result<()> {
    let text = lines.join("\n") + "\n";
    explained(append(&path.join("schemata"), &text), path, act)
}

/// Puts a process into a group.
pub fn enter(path: &Path, pid: i32, act: &str) -> Result<()> {
    explained(append(&path.join("tasks"), &pid.to_string()), path, act)
}

/// The kernel reads one write(2) as one order, and its files cannot be truncated.
fn append(path: &Path, text: &str) -> IoResult<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// The kernel's words, where it left some about this.
fn explained(done: IoResult<()>, path: &Path, act: &str) -> Result<()> {
    let failure = match done.act(|| act.to_owned()) {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let told = path
        .ancestors()
        .find_map(|above| std::fs::read_to_string(above.join("info/last_cmd_status")).ok());
    match told.as_deref().map(str::trim) {
        None | Some("" | "ok") => Err(failure),
        Some(words) => Err(failure.hint(words.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory that looks like resctrl with a group `gold` in it.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("resctrl-{name}-{}", std::process::id()));
            let gold = root.join("gold");
            fs::create_dir_all(root.join("info")).unwrap();
            fs::create_dir_all(gold.join("mon_groups")).unwrap();
            fs::write(root.join("info/last_cmd_status"), "ok\n").unwrap();
            for (file, text) in [
                ("tasks", ""),
                ("schemata", "    L3:0=00ff;1=00ff\n    MB:0=100;1= 50\n"),
            ] {
                fs::write(gold.join(file), text).unwrap();
            }
            Self(root)
        }

        fn gold(&self) -> PathBuf {
            self.0.join("gold")
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn the_mount_is_found_in_mountinfo() {
        let text = "29 1 0:26 / /sys rw - sysfs sysfs rw\n\
                    41 29 0:40 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw,mba_MBps\n";
        assert_eq!(mounted(text), Some("/sys/fs/resctrl".into()));
        assert_eq!(
            mounted("29 1 0:26 / /resctrl rw - tmpfs resctrl rw\n"),
            None
        );
    }

    #[test]
    fn a_group_of_ones_own_must_not_be_there() {
        let fake = Fake::new("own");
        make(&fake.0.join("box"), "cannot make it").unwrap();
        assert!(fake.0.join("box").is_dir());
        let failure = make(&fake.gold(), "cannot make it").unwrap_err();
        assert_eq!(failure.to_string(), "cannot make it: file exists");
        fs::write(fake.0.join("info/last_cmd_status"), "Out of CLOSIDs\n").unwrap();
        let failure = make(&fake.gold(), "cannot make it").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot make it: file exists (Out of CLOSIDs)"
        );
    }

    #[test]
    fn a_group_to_share_is_made_or_has_what_is_asked_for() {
        let fake = Fake::new("share");
        let lines = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        share(&fake.0.join("silver"), &lines(&["L3:0=1"]), "cannot").unwrap();
        share(&fake.gold(), &lines(&["L3:0=ff;1=ff", "MB:1=50"]), "cannot").unwrap();
        share(&fake.gold(), &[], "cannot").unwrap();
        let failure = share(&fake.gold(), &lines(&["L3:0=ff", "MB:1=60"]), "cannot").unwrap_err();
        assert_eq!(failure.field.pointer(), "/linux/intelRdt/memBwSchema");
        assert!(failure.to_string().contains("MB:1=60"), "{failure}");
    }

    #[test]
    fn a_group_that_must_be_there_is_not_made() {
        let fake = Fake::new("find");
        find(&fake.gold(), "cannot find it").unwrap();
        let failure = find(&fake.0.join("tin"), "cannot find it").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot find it: no such file or directory"
        );
        assert!(!fake.0.join("tin").exists());
    }

    #[test]
    fn lines_are_written_in_their_order_and_processes_enter() {
        let fake = Fake::new("write");
        fs::write(fake.gold().join("schemata"), "").unwrap();
        let lines = ["L3:0=f", "MB:0=20", "L2:0=3"].map(str::to_owned);
        write(&fake.gold(), &lines, "cannot").unwrap();
        let text = fs::read_to_string(fake.gold().join("schemata")).unwrap();
        assert_eq!(text, "L3:0=f\nMB:0=20\nL2:0=3\n");
        enter(&fake.gold(), 4711, "cannot").unwrap();
        assert_eq!(
            fs::read_to_string(fake.gold().join("tasks")).unwrap(),
            "4711"
        );
        assert!(enter(&fake.0.join("tin"), 1, "cannot").is_err());
    }
}
