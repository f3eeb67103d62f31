//! The gates, seen from the runtime: every wait has a deadline and ends when init does.

use std::os::fd::{AsRawFd, OwnedFd};

use super::{PATIENCE, Runtime};
use crate::error::{Act, Code, Failure, Kind, Result};
use crate::execute::init::EMPTY;
use crate::execute::message;
use crate::plan::op::Gate;
use crate::supervise::Signals;
use crate::sys::poll::{self, Deadline, Watch};
use crate::sys::{Errno, descriptor, fs, process, socket};

impl Runtime<'_> {
    pub(super) fn open(&self, gate: Gate) -> crate::sys::Result<()> {
        fs::write(self.near.as_raw_fd(), &[gate as u8])
    }

    /// Init's next byte, or the end of its stream.
    pub(super) fn next_byte(&self, what: &str) -> Result<Option<u8>> {
        self.until_readable(what)?;
        let mut byte = [0u8; 1];
        let length = match fs::read(self.near.as_raw_fd(), &mut byte) {
            Err(Errno(libc::ECONNRESET)) => 0,
            length => length.act(|| format!("cannot wait until {what}"))?,
        };
        self.tell_of_init(self.report.step() + 1);
        Ok((length == 1).then_some(byte[0]))
    }

    /// Init has written, or is gone.
    fn until_readable(&self, what: &str) -> Result<()> {
        let mut deadline = Deadline::after(PATIENCE);
        loop {
            let mut watches = [
                Watch::readable(self.near.as_raw_fd()),
                Watch::readable(self.signals.as_raw_fd()),
                self.questions(),
            ];
            poll::wait(&mut watches, deadline).act(|| format!("cannot wait until {what}"))?;
            if watches[0].is_ready() {
                return Ok(());
            }
            if watches[1].is_ready() {
                self.stop_if_told()?;
            }
            if watches[2].is_ready() {
                self.answer_init()?;
                // A person may look around as long as they like.
                deadline = Deadline::after(PATIENCE);
            }
            if deadline.has_passed() {
                let text = format!("init is still at: {}", self.current());
                return Err(
                    Failure::new(Code::Timeout, format!("waited too long until {what}"))
                        .because(text),
                );
            }
        }
    }

    pub(super) fn stop_if_told(&self) -> Result<()> {
        stop_if_told(self.signals)
    }

    pub(super) fn current(&self) -> String {
        self.plan
            .init
            .get(self.report.step())
            .map(|step| step.op.to_string())
            .unwrap_or_default()
    }

    pub(super) fn wait(&self, gate: Gate) -> Result<()> {
        match self.next_byte(gate.meaning())? {
            Some(byte) if byte == gate as u8 => Ok(()),
            Some(_) => Err(another_gate()),
            None => Err(self.end_of_init()),
        }
    }

    /// A gate whose byte brings a descriptor.
    pub(super) fn wait_for_descriptor(&self, gate: Gate) -> Result<OwnedFd> {
        let act = || format!("cannot wait until {}", gate.meaning());
        self.until_readable(gate.meaning())?;
        let mut byte = [0u8; 1];
        let received = match socket::receive_descriptor(self.near.as_raw_fd(), &mut byte) {
            Err(Errno(libc::ECONNRESET)) => return Err(self.end_of_init()),
            received => received.act(act)?,
        };
        self.tell_of_init(self.report.step() + 1);
        match (received.length, received.fd.map(descriptor::owned)) {
            (0, _) => Err(self.end_of_init()),
            (_, Some(fd)) if byte[0] == gate as u8 => Ok(fd),
            _ => Err(another_gate()),
        }
    }

    /// Why init has ended.
    pub(super) fn end_of_init(&self) -> Failure {
        self.init_failure().unwrap_or_else(|| self.how_init_died())
    }

    pub(super) fn wait_for_execution(&self) -> Result<()> {
        match self.next_byte("the program is executed")? {
            Some(_) => Err(another_gate()),
            None => self.init_failure().map_or(Ok(()), Err),
        }
    }

    pub(super) fn init_failure(&self) -> Option<Failure> {
        self.report
            .failure()
            .map(|failure| message::failure(self.plan, &failure))
    }

    pub(super) fn how_init_died(&self) -> Failure {
        let pidfd = self
            .init
            .as_ref()
            .map_or(EMPTY, |init| init.pidfd.as_raw_fd());
        match process::wait_pidfd(pidfd) {
            Ok(status) => message::died(self.plan, self.report.step(), status),
            Err(errno) => Failure::system("cannot wait for init", errno),
        }
    }
}

fn another_gate() -> Failure {
    Failure::new(Code::System, "init is at another gate than the plan")
}

/// A signal that asks the runtime to end ends the creation, cleanly.
pub(in crate::execute) fn stop_if_told(signals: &Signals) -> Result<()> {
    while let Some(signal) = signals.next().act(|| "cannot read signals")? {
        if matches!(
            signal,
            libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT
        ) {
            return Err(
                Failure::new(Code::System, format!("interrupted by signal {signal}"))
                    .of(Kind::Interrupted),
            );
        }
    }
    Ok(())
}
