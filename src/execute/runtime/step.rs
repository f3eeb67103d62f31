//! The runtime's side of `--step`: it asks for itself before each of its steps, and for init wherever it
//! would wait for init.

use std::os::fd::{AsRawFd, RawFd};

use super::Runtime;
use crate::error::{Act, Result};
use crate::plan::op::RuntimeOp;
use crate::plan::show::{self, Line, Part};
use crate::sys::poll::{self, Deadline, Watch};

impl Runtime<'_> {
    /// Before the runtime's own step of this index.
    pub(super) fn stop_before(&self, index: usize) -> Result<()> {
        let Some(pace) = &self.pace else {
            return Ok(());
        };
        let lines = show::lines(self.plan);
        let mut own = lines.iter().filter(|line| line.part != Part::Init);
        match own.nth(index) {
            Some(line) => pace.stop_before(line, &self.places(line)),
            None => Ok(()),
        }
    }

    /// What to watch for init's questions, where it may have some.
    pub(super) fn questions(&self) -> Watch {
        // poll(2) passes over a negative number.
        Watch::readable(self.pace.as_ref().map_or(-1, |pace| pace.fd()))
    }

    /// Init has come to a step, and waits. Not if it has ended: its socket is then ready for ever.
    pub(super) fn answer_init(&self) -> Result<()> {
        let Some(pace) = &self.pace else {
            return Ok(());
        };
        if pace.question()?.is_none() {
            return Ok(());
        }
        let lines = show::lines(self.plan);
        let mut of_init = lines.iter().filter(|line| line.part == Part::Init);
        if let Some(line) = of_init.nth(self.report.step()) {
            pace.stop_before(line, &self.places(line))?;
        }
        pace.let_go()
    }

    /// Answers init until something else can be read, for the runtime's own waits that are no gates.
    pub(super) fn answer_until(&self, other: RawFd) -> Result<()> {
        if self.pace.is_none() {
            return Ok(());
        }
        loop {
            let signals = Watch::readable(self.signals.as_raw_fd());
            let mut watches = [Watch::readable(other), self.questions(), signals];
            poll::wait(&mut watches, Deadline::NEVER).act(|| "cannot wait for init")?;
            if watches[2].is_ready() {
                self.stop_if_told()?;
            }
            if watches[0].is_ready() {
                return Ok(());
            }
            if watches[1].is_ready() {
                self.answer_init()?;
            }
        }
    }

    /// Where to look around, in another terminal.
    fn places(&self, line: &Line<'_>) -> String {
        let Some(init) = &self.init else {
            return "        there is no container yet\n".to_owned();
        };
        let users = match line.part {
            Part::Init if self.in_user_namespace => ",uid_map",
            _ => "",
        };
        let pid = init.pid;
        let cgroup = self.cgroup_directory();
        let cgroup = cgroup.map_or_else(String::new, |path| format!(" and {path}"));
        let filter = match line.operation.as_str() {
            "LoadFilter" => "        behind the filter init stops no more\n",
            _ => "",
        };
        format!(
            "{filter}        look at /proc/{pid}/{{ns,mountinfo,status,root,fd{users}}}{cgroup}\n"
        )
    }

    /// The container's cgroup as a path, if the plan makes one.
    fn cgroup_directory(&self) -> Option<String> {
        let path = self.plan.runtime.iter().find_map(|step| match &step.op {
            RuntimeOp::CreateCgroup { path, .. } | RuntimeOp::StartUnit { path, .. } => Some(path),
            _ => None,
        })?;
        let mount = format!("/proc/self/fd/{}", self.cgroup_mount.as_raw_fd());
        let mount = std::fs::read_link(mount).ok()?;
        Some(mount.join(path.as_str()).display().to_string())
    }
}
