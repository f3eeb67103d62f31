//! The effects: attaches the watching programs, and reads their marks.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use super::What;
use super::program::{self, Asked, CALLS, LENGTH, LOST, MISSED, Watched};
use crate::error::{Act, Code, Failure, Field, Result};
use crate::sys::{Errno, bpf, tracing};

/// The kernel's function that answers whether somebody has a capability.
const CAP_CAPABLE: &CStr = c"cap_capable";

/// How many threads may have asked and wait for their answers.
const OPEN_QUESTIONS: u32 = 4096;

/// How many threads there may have been.
const THREADS: u32 = 1 << 16;

/// How many credentials of threads may have had a capability; each execve(2) makes new ones.
const CREDENTIALS: u32 = 1 << 16;

/// Programs at work; they end when this is dropped.
#[derive(Debug)]
pub struct Recorder {
    marks: OwnedFd,
    /// The capabilities that credentials had, where those are watched.
    credentials: Option<OwnedFd>,
    links: Vec<OwnedFd>,
    granted: u64,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Numbers of system calls.
    pub calls: Vec<u32>,
    /// The capabilities that were asked for and there, bits.
    pub used: u64,
    /// Numbers of capabilities that were asked for and missing.
    pub missed: Vec<u32>,
}

impl Recorder {
    /// Watches a cgroup in which nothing runs yet, given by its number, of a container that is granted these capabilities, bits.
    ///
    /// # Errors
    /// At `--record`: the kernel cannot be watched, or not by this user.
    pub fn attach(what: What, cgroup: u64, granted: u64) -> Result<Self> {
        let field = |failure: Failure| failure.at(Field::new("--record"));
        Self::begin(what, cgroup, granted).map_err(field)
    }

    fn begin(what: What, cgroup: u64, granted: u64) -> Result<Self> {
        let value = u32::try_from(LENGTH).expect("it is short");
        let mut recorder = Self {
            marks: make_map(tracing::Map::Array, value, 1)?,
            credentials: None,
            links: Vec::new(),
            granted,
        };
        match what {
            What::Seccomp => recorder.watch_calls(cgroup, None)?,
            What::Caps => recorder.watch_capabilities(cgroup)?,
        }
        Ok(recorder)
    }

    fn watch_calls(&mut self, cgroup: u64, asked: Option<Asked>) -> Result<()> {
        let calls = program::calls(self.watched(cgroup), asked);
        let program = load(tracing::Kind::RawTracepoint, &calls)?;
        let link = tracing::attach_to_tracepoint(c"sys_enter", program.as_fd());
        self.links.push(link.map_err(cannot("watch system calls"))?);
        Ok(())
    }

    fn watched(&self, cgroup: u64) -> Watched<'_> {
        Watched {
            cgroup,
            marks: self.marks.as_fd(),
        }
    }

    fn watch_capabilities(&mut self, cgroup: u64) -> Result<()> {
        let hash = |key, value, entries| make_map(tracing::Map::Hash { key }, value, entries);
        let threads = hash(8, 8, THREADS)?;
        let credentials = hash(16, 16, CREDENTIALS)?;
        let open = hash(8, 16, OPEN_QUESTIONS)?;
        let asked = Asked {
            threads: threads.as_fd(),
            credentials: credentials.as_fd(),
            open: open.as_fd(),
            granted: self.granted,
        };
        // This one knows when the command begins, and counts its calls.
        self.watch_calls(cgroup, Some(asked))?;
        let watched = self.watched(cgroup);
        let links = match tracing::kprobe_kind() {
            Some(kind) => probe_capabilities(kind, watched, asked)?,
            None => vec![trace_capabilities(watched, asked)?],
        };
        self.links.extend(links);
        self.credentials = Some(credentials);
        Ok(())
    }

    /// Ends it. Whoever was watched has ended before, so nothing is missed.
    pub fn finish(self) -> Result<Seen> {
        drop(self.links);
        let act = || "cannot read what was recorded";
        let mut value = [0; LENGTH];
        tracing::read_array(self.marks.as_fd(), &mut value).act(act)?;
        if LOST.read(&value).count() > 0 {
            return Err(Failure::new(Code::System, act())
                .because("there were more threads or credentials than there was room for"));
        }
        let last = self.credentials.map(|map| tracing::read_hash(map.as_fd()));
        let last = last.transpose().act(act)?.unwrap_or_default();
        // What the last calls have left, as the programs settle it.
        let own = last.iter().filter(|[_, used]| used & !self.granted == 0);
        Ok(Seen {
            calls: CALLS.read(&value).collect(),
            used: own.fold(program::used(&value), |all, [_, used]| all | used),
            missed: MISSED.read(&value).collect(),
        })
    }
}

fn make_map(kind: tracing::Map, value: u32, entries: u32) -> Result<OwnedFd> {
    tracing::make_map(kind, value, entries).map_err(cannot("make the marks of a recording"))
}

fn trace_capabilities(watched: Watched, asked: Asked) -> Result<OwnedFd> {
    let code = program::capabilities(watched, asked);
    let program = load(tracing::Kind::RawTracepoint, &code)?;
    let link = tracing::attach_to_tracepoint(CAP_CAPABLE, program.as_fd());
    link.map_err(|errno| match errno {
        Errno(libc::ENOENT) => Failure::new(Code::System, "cannot watch capabilities").because(
            "the kernel has neither kprobes (CONFIG_KPROBE_EVENTS) nor the tracepoint cap_capable (Linux 6.14)",
        ),
        errno => cannot("watch capabilities")(errno),
    })
}

fn probe_capabilities(kind: u32, watched: Watched, asked: Asked) -> Result<Vec<OwnedFd>> {
    let places = [
        // The answer first: a question without one would stay.
        (tracing::Place::Return, program::answer(watched, asked)),
        (tracing::Place::Entry, program::question(watched, asked)),
    ];
    let links = places.into_iter().map(|(place, code)| {
        let program = load(tracing::Kind::Kprobe, &code)?;
        tracing::attach_to_function(kind, CAP_CAPABLE, place, program.as_fd())
            .map_err(cannot("watch capabilities"))
    });
    links.collect()
}

fn load(kind: tracing::Kind, code: &[u64]) -> Result<OwnedFd> {
    bpf::load_program(kind.number(), c"corten_record", code).map_err(|error| {
        let failure = cannot("load the program that watches")(error.errno);
        if error.log.is_empty() {
            failure
        } else {
            failure.hint(error.log)
        }
    })
}

fn cannot(act: &str) -> impl Fn(Errno) -> Failure {
    let act = format!("cannot {act}");
    move |errno| {
        let failure = Failure::system(act.clone(), errno);
        match errno {
            Errno(libc::EPERM | libc::EACCES) => {
                failure.hint("it needs CAP_BPF and CAP_PERFMON in the initial user namespace")
            }
            Errno(libc::ENOENT | libc::EINVAL) => {
                failure.hint("the kernel must have CONFIG_BPF_EVENTS and CONFIG_FTRACE_SYSCALLS")
            }
            _ => failure,
        }
    }
}
