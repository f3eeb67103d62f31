//! One row of the catalogue: what it is, how it is played, and the look at what is left afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::call::Call;
use crate::harness::{Bundle, Done, Lab, host, leaks};

/// One entry of the catalogue; an entry of several parts has several rows.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number.
    pub number: u16,
    /// What is wrong.
    pub name: &'static str,
    /// What must happen.
    pub how: How,
}

/// What must happen in a row.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// `create` is refused: config.json is wrong at this field, whose line and column are told, and
    /// these are the words.
    Config(Break, &'static str, &'static str),
    /// `create` is refused, and the error says all of these words.
    Refused(Break, &'static [&'static str]),
    /// More than one call.
    Story(fn(&mut Scene<'_>)),
    /// Another test has it.
    Elsewhere(&'static str),
}

/// A user of this host that nobody is.
pub const NOBODY: u32 = 4711;

/// Breaks what is sound.
pub type Break = fn(&mut Scene<'_>);

/// A row whose JSON is wrong.
pub const fn config(
    number: u16,
    name: &'static str,
    broken: Break,
    field: &'static str,
    words: &'static str,
) -> Row {
    let how = How::Config(broken, field, words);
    Row { number, name, how }
}

/// A row that `create` refuses.
pub const fn refused(
    number: u16,
    name: &'static str,
    broken: Break,
    words: &'static [&'static str],
) -> Row {
    let how = How::Refused(broken, words);
    Row { number, name, how }
}

/// A row with a course of its own.
pub const fn story(number: u16, name: &'static str, course: fn(&mut Scene<'_>)) -> Row {
    let how = How::Story(course);
    Row { number, name, how }
}

/// A row that is a test of another module.
pub const fn elsewhere(number: u16, name: &'static str, test: &'static str) -> Row {
    let how = How::Elsewhere(test);
    Row { number, name, how }
}

/// What a row has to break: a sound bundle and the command line of its `create`.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The ground.
    pub lab: &'a Lab,
    /// Its program ends at once.
    pub bundle: Bundle,
    /// The container's id.
    pub id: String,
    /// The runtime's state directory.
    pub root: PathBuf,
    /// Flags of `create`.
    pub flags: Vec<String>,
    /// Instead of the configuration of the bundle.
    pub text: Option<Vec<u8>>,
    /// A shell script that prepares the host and then calls `"$@"`.
    pub within: Option<String>,
    /// Added to the environment.
    pub env: Vec<(&'static str, String)>,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab) -> Self {
        Self {
            lab,
            bundle: lab.bundle(),
            id: lab.id(),
            root: lab.root.clone(),
            flags: Vec::new(),
            text: None,
            within: None,
            env: Vec::new(),
        }
    }

    /// Sets a property of the configuration.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        self.bundle.set(pointer, value);
        self
    }

    /// Writes the bundle as it is now.
    pub fn write(&self) -> String {
        let path = self.bundle.write();
        if let Some(text) = &self.text {
            fs::write(self.bundle.dir.join("config.json"), text).unwrap();
        }
        path
    }

    /// `create` or `run` of the bundle as it was written last.
    pub fn call(&self, command: &[&str]) -> Call {
        let path = self.bundle.dir.display().to_string();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let call = self.runtime(&[command, &["--bundle", &path], &flags, &[&self.id]].concat());
        let call = self
            .env
            .iter()
            .fold(call, |call, (name, value)| call.env(name, value));
        match &self.within {
            Some(script) => call.within(self.lab, script),
            None => call,
        }
    }

    /// The runtime with these words.
    fn runtime(&self, words: &[&str]) -> Call {
        let mut call = Call::new(self.lab, &host::binary());
        call.arg("--root").arg(&self.root.display().to_string());
        call.arg("--data").arg(&self.lab.data.display().to_string());
        for word in words {
            call.arg(word);
        }
        call
    }

    /// The caller of `create` is a user without privileges, who has a state directory and the test's part
    /// of the cgroup tree, and nothing more; `script` comes before the call.
    pub fn unprivileged(&mut self, script: &str) {
        let own = |path: &Path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        self.root = self.lab.path("state");
        fs::create_dir(&self.root).unwrap();
        own(&self.root);
        let cgroup = self.lab.cgroup_dir();
        for name in [
            "",
            "cgroup.procs",
            "cgroup.subtree_control",
            "cgroup.threads",
        ] {
            own(&cgroup.join(name));
        }
        // Becoming somebody else comes last: it may need a program that the script hides.
        let become_nobody =
            format!("$(type -P setpriv) --reuid {NOBODY} --regid {NOBODY} --clear-groups");
        self.within = Some(format!(
            "become=\"{become_nobody}\"; {script} exec $become \"$@\""
        ));
    }

    /// `create`, to its end.
    pub fn create(&self) -> Done {
        self.write();
        self.call(&["create"]).done()
    }

    /// `run` in the foreground, to its end.
    pub fn run(&self) -> Done {
        self.write();
        self.call(&["run"]).done()
    }

    /// A command on the container.
    pub fn corten(&self, command: &[&str]) -> Done {
        self.runtime(&[command, &[&self.id]].concat()).done()
    }

    /// `delete --force`, which must succeed.
    #[track_caller]
    pub fn end(&self) {
        self.corten(&["delete", "--force"]).ok();
    }

    /// The word for the container's status.
    #[track_caller]
    pub fn status(&self) -> String {
        let state = self.corten(&["state"]).ok().json();
        state["status"].as_str().unwrap().to_owned()
    }

    /// The container's directory.
    pub fn state_dir(&self) -> PathBuf {
        self.root.join(&self.id)
    }

    /// The cgroup of the bundle's container.
    pub fn cgroup(&self) -> PathBuf {
        let path = self.bundle.config["linux"]["cgroupsPath"].as_str().unwrap();
        PathBuf::from(format!("/sys/fs/cgroup{path}"))
    }
}

/// Plays every row; those that failed are told together.
pub fn check(lab: &Lab, rows: &[Row]) {
    let mut failed = Vec::new();
    for row in rows {
        let before = leaks::Snapshot::take(lab);
        let played = catch_unwind(AssertUnwindSafe(|| play(lab, row)));
        let left = before.compare(lab);
        if played.is_err() || !left.is_empty() {
            println!("entry {} ({}) failed; left: {left:?}", row.number, row.name);
            failed.push(format!("{} ({})", row.number, row.name));
            clear(lab);
        }
    }
    assert!(failed.is_empty(), "entries that failed: {failed:?}");
}

fn play(lab: &Lab, row: &Row) {
    match row.how {
        How::Config(broken, field, words) => {
            let err = refuse(lab, broken);
            let told = err
                .split(field)
                .skip(1)
                .any(|rest| is_at_a_place(rest, words));
            assert!(told, "no {field} (line … column …): {words} in {err}");
        }
        How::Refused(broken, words) => {
            let err = refuse(lab, broken);
            for word in words {
                assert!(err.contains(word), "no {word:?} in {err}");
            }
        }
        How::Story(course) => course(&mut Scene::new(lab)),
        How::Elsewhere(_) => {}
    }
}

/// ` (line 3 column 5): ` and the words.
fn is_at_a_place(rest: &str, words: &str) -> bool {
    let Some((place, text)) = rest
        .strip_prefix(" (line ")
        .and_then(|rest| rest.split_once("): "))
    else {
        return false;
    };
    let numbers = place.split(" column ").map(str::parse::<u32>);
    numbers.clone().count() == 2 && numbers.flatten().count() == 2 && text.starts_with(words)
}

/// `create` of something broken, which must fail and leave the bundle as it was; its words.
fn refuse(lab: &Lab, broken: Break) -> String {
    let mut scene = Scene::new(lab);
    broken(&mut scene);
    scene.write();
    let before = inventory(&scene.bundle.dir);
    let done = scene.call(&["create"]).done();
    assert_eq!(done.code, 1, "another exit code was expected: {done:?}");
    assert_eq!(done.out, "", "an error belongs to stderr: {done:?}");
    scene
        .corten(&["state"])
        .fails(1, "container does not exist");
    let after = inventory(&scene.bundle.dir);
    let changed: Vec<_> = after
        .iter()
        .filter(|file| !before.contains_key(file.0))
        .collect();
    assert!(
        changed.is_empty() && before == after,
        "the bundle is not as it was: {changed:?}"
    );
    done.err
}

/// What tells one file from another, and from itself after a change.
type Look = (u64, u32, u32, u32, u64, u64, i64, i64);

/// Everything below a directory.
fn inventory(dir: &Path) -> BTreeMap<PathBuf, Look> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(data) = fs::symlink_metadata(&path) else {
            continue;
        };
        if data.is_dir() {
            let entries = fs::read_dir(&path).map(|list| list.flatten().collect::<Vec<_>>());
            open.extend(entries.unwrap_or_default().iter().map(fs::DirEntry::path));
        }
        let look = (
            data.ino(),
            data.mode(),
            data.uid(),
            data.gid(),
            data.rdev(),
            data.size(),
            data.mtime(),
            data.mtime_nsec(),
        );
        found.insert(path, look);
    }
    found
}

/// Ends what a failed row left, so that the next one is judged by itself.
fn clear(lab: &Lab) {
    for entry in fs::read_dir(&lab.root).into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        lab.corten(&["delete", "--force", &id]);
        // What even --force could not remove; the row has failed already.
        drop(fs::remove_dir_all(entry.path()));
    }
    for entry in fs::read_dir(lab.cgroup_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry.path().is_dir() && entry.file_name() != "test" {
            leaks::end_everything(&entry.path());
        }
    }
    leaks::reap_orphans();
}
