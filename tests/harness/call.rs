//! One call of a command: arguments, descriptors, deadline; then its exit code and output.
//!
//! Output goes to files, not pipes: a container that outlives the call keeps them open.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::Winsize;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::pty::Terminal;
use super::{Lab, host, leaks};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A call that has yet to be carried out.
#[derive(Debug)]
pub struct Call {
    command: Command,
    deadline: Duration,
    out: PathBuf,
    err: PathBuf,
}

/// A call that is under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    deadline: Instant,
    shown: String,
    out: PathBuf,
    err: PathBuf,
}

/// A call that has ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code; 128 + signal when it was killed.
    pub code: i32,
    /// What it wrote to stdout until its end.
    pub out: String,
    /// What it wrote to stderr until its end.
    pub err: String,
    out_path: PathBuf,
}

impl Call {
    /// A call of any program.
    pub fn new(lab: &Lab, program: &Path) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        let number = lab.number();
        let (out, err) = (
            lab.dir.join(format!("out.{number}")),
            lab.dir.join(format!("err.{number}")),
        );
        Self {
            command,
            deadline: DEADLINE,
            out,
            err,
        }
    }

    /// A shell script with positional arguments: the way to leak descriptors or to set limits first.
    pub fn script(lab: &Lab, script: &str) -> Self {
        let mut call = Self::new(lab, Path::new("/bin/bash"));
        call.arg("-c").arg(script).arg("bash");
        call
    }

    /// Runs this call from within a shell script, as `"$@"`.
    pub fn within(self, lab: &Lab, script: &str) -> Self {
        let mut call = Self::script(lab, script);
        call.command
            .arg(self.command.get_program())
            .args(self.command.get_args());
        if let Some(dir) = self.command.get_current_dir() {
            call.command.current_dir(dir);
        }
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => call.command.env(name, value),
                None => call.command.env_remove(name),
            };
        }
        call
    }

    /// One more argument.
    pub fn arg(&mut self, word: &str) -> &mut Self {
        self.command.arg(word);
        self
    }

    /// One more variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Nothing in the environment but what is added afterwards.
    pub fn bare(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// Another working directory.
    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What the command reads.
    pub fn stdin(mut self, text: &str) -> Self {
        let path = self.out.with_extension(format!("in{}", text.len()));
        fs::write(&path, text).expect("the test's directory is writable");
        self.command.stdin(File::open(path).expect("just written"));
        self
    }

    /// Another deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let open = |path| File::create(path).expect("the test's directory is writable");
        self.command.stdout(open(&self.out)).stderr(open(&self.err));
        self.spawn()
    }

    /// Starts it on a terminal of so many columns, which is all its standard streams.
    pub fn start_on_a_terminal(mut self, columns: u16) -> (Running, Terminal) {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = nix::pty::openpty(Some(&size), None).expect("the host has a devpts");
        let stream = || Stdio::from(pty.slave.try_clone().expect("there are descriptors"));
        self.command
            .stdin(stream())
            .stdout(stream())
            .stderr(stream());
        let running = self.spawn();
        // The command has its own; the terminal ends with the last of them.
        drop(pty.slave);
        (running, Terminal::new(pty.master))
    }

    fn spawn(mut self) -> Running {
        // Whoever reads them finds them.
        for path in [&self.out, &self.err] {
            File::options()
                .append(true)
                .create(true)
                .open(path)
                .expect("the test's directory is writable");
        }
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        leaks::spare(child.id());
        let deadline = Instant::now() + host::patience(self.deadline);
        Running {
            child,
            deadline,
            shown: format!("{:?}", self.command),
            out: self.out,
            err: self.err,
        }
    }

    /// Starts it and waits for its end.
    pub fn done(self) -> Done {
        self.start().done()
    }
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid is positive and small"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it has not been waited for");
    }

    /// What it has written to stdout so far.
    pub fn out(&self) -> String {
        read(&self.out)
    }

    /// What it has written to stderr so far.
    pub fn err(&self) -> String {
        read(&self.err)
    }

    /// Waits until its stdout contains a text.
    pub fn wait_for(&mut self, text: &str) {
        while !self.out().contains(text) {
            let ended = self.child.try_wait().expect("the child is ours").is_some();
            assert!(
                !ended || self.out().contains(text),
                "{} ended without {text:?}: {}{}",
                self.shown,
                self.out(),
                self.err()
            );
            assert!(
                Instant::now() < self.deadline,
                "no {text:?} from {}: {}{}",
                self.shown,
                self.out(),
                self.err()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Waits for its end; at the deadline kills it and fails the test.
    pub fn done(mut self) -> Done {
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                let code = status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                return Done {
                    code,
                    out: read(&self.out),
                    err: unquote(&read(&self.err)),
                    out_path: self.out,
                };
            }
            if Instant::now() >= self.deadline {
                self.child.kill().expect("the child is ours");
                panic!(
                    "no end of {}\nstdout: {}\nstderr: {}",
                    self.shown,
                    self.out(),
                    self.err()
                );
            }
            leaks::reap_orphans();
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Done {
    /// Fails the test unless the call succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "it failed: {}\n{}", self.err, self.out);
        self
    }

    /// Fails the test unless the call failed with this code and these words on stderr, in one error.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Self {
        assert!(
            self.err.contains(words),
            "the error does not say {words:?}: {self:?}"
        );
        assert_eq!(self.code, code, "another exit code was expected: {self:?}");
        self
    }

    /// The lines of stdout.
    pub fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// What has been written to its stdout until now, also by those who inherited it.
    pub fn out_now(&self) -> String {
        read(&self.out_path)
    }

    /// Waits until what was written to its stdout contains a text, by those who inherited it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        eventually(&format!("{text:?} on stdout"), || {
            self.out_now().contains(text)
        });
    }
}

/// Waits until something holds, or fails the test.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + host::patience(DEADLINE);
    while !holds() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        leaks::reap_orphans();
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a text to a descriptor-like path without blocking for ever on it.
pub fn write_line(path: &Path, line: &str) {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    writeln!(file, "{line}").expect("the reader is there");
}

/// A text log quotes its message (`msg="unknown signal \"X\""`); the tests want the words.
fn unquote(text: &str) -> String {
    text.replace("\\\"", "\"")
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
