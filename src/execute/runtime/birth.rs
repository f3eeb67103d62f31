//! Steps around the clone: what init is born with, and init.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use super::Runtime;
use crate::cgroups::systemd;
use crate::config::NamespaceType;
use crate::error::{Act, Code, Failure, Field, Result};
use crate::execute::clone::{self, Control, Process};
use crate::execute::init::{self, EMPTY};
use crate::execute::message;
use crate::namespaces;
use crate::plan::Plan;
use crate::plan::op::{Birthplace, Gate, InitOp, RuntimeOp, Slot};
use crate::rootfs;
use crate::state::identity;
use crate::sys::process::Clone3;
use crate::sys::{Errno, descriptor, namespace, process, socket};

impl<'a> Runtime<'a> {
    pub(super) fn clone_step(&mut self, op: &'a RuntimeOp) -> Result<()> {
        let act = || format!("cannot {op}");
        match op {
            RuntimeOp::OpenNamespace {
                path,
                kind,
                namespace,
                must_be_other,
            } => {
                let file = namespaces::run::open(path).act(act)?;
                if *must_be_other && namespaces::run::is_hosts(&file, *kind)? {
                    let why = match kind {
                        NamespaceType::Mount => "the container's mounts would be the host's",
                        _ => "it is the host's, which linux.sysctl would change",
                    };
                    return Err(Failure::new(Code::Config, act()).because(why));
                }
                self.fill(*namespace, file);
                Ok(())
            }
            RuntimeOp::OpenNamespaces { list } => {
                let target = self.target()?;
                let directory = namespaces::run::open_list(target.pid)?;
                self.fill(*list, directory);
                Ok(())
            }
            RuntimeOp::EnterPidNamespace { namespace } => {
                namespace::setns(self.raw(*namespace), libc::CLONE_NEWPID).act(act)
            }
            RuntimeOp::LeavePidNamespace => namespaces::run::leave_pid_namespace().act(act),
            RuntimeOp::MakeUserNamespace { maps, namespace } => {
                let file = namespaces::idmap::make_user_namespace(maps)?;
                self.fill(*namespace, file);
                Ok(())
            }
            RuntimeOp::CloneTree {
                source,
                reach,
                mount,
                follow,
            } => {
                let attributes = rootfs::run::TAKES_ONLY;
                let tree = rootfs::run::clone_tree(source, *reach, *follow, attributes).act(act)?;
                self.fill(*mount, descriptor::owned(tree));
                Ok(())
            }
            RuntimeOp::MapIds {
                mount,
                reach,
                namespace,
            } => crate::sys::mount::mount_idmap(self.raw(*mount), *reach, self.raw(*namespace))
                .act(act),
            RuntimeOp::TakeOverTree { mount } => {
                let tree = self.wait_for_descriptor(Gate::TreeCopied)?;
                self.fill(*mount, tree);
                Ok(())
            }
            RuntimeOp::RespectFlags { mount, clear } => {
                rootfs::run::respect_flags(self.raw(*mount), *clear).act(act)
            }
            RuntimeOp::OpenContainer { cgroup } => self.open_container(cgroup.as_deref()),
            RuntimeOp::SetAffinity { mask, .. } => process::sched_setaffinity(mask).act(act),
            RuntimeOp::StartInit {
                namespaces,
                birthplace,
            } => self.start_init(*namespaces, *birthplace),
            RuntimeOp::HandOverNetwork => self.hand_over_network().map_err(|errno| match errno {
                Errno(libc::EPIPE) => self.end_of_init(),
                errno => Failure::system(act(), errno),
            }),
            RuntimeOp::MoveToUnit { unit, below } => {
                systemd::run::attach(unit, below, self.pid()?)?;
                self.placeholder = None;
                Ok(())
            }
            RuntimeOp::AdoptInit => self.adopt_init(),
            RuntimeOp::StartRestore => self.start_restore(),
            op => self.init_step(op),
        }
    }

    fn hand_over_network(&self) -> crate::sys::Result<()> {
        let gate = [Gate::NetworkMade as u8];
        namespaces::run::make_network(|network| {
            socket::send_descriptor(self.near.as_raw_fd(), &gate, network)
        })
    }

    fn start_init(&mut self, namespaces: i32, birthplace: Birthplace) -> Result<()> {
        let cgroup = (birthplace == Birthplace::Cgroup).then(|| self.raw(Slot::CGROUP));
        let request = Clone3 {
            flags: u64::from(namespaces.cast_unsigned()),
            cgroup,
        };
        let act = || {
            format!(
                "cannot {}",
                RuntimeOp::StartInit {
                    namespaces,
                    birthplace
                }
            )
        };
        // Init has its copies of these; ours would keep streams open that must end with it.
        let far = self
            .far
            .take()
            .ok_or_else(|| Failure::new(Code::System, "init was started before"))?;
        let pace = self.pace.as_mut().and_then(|pace| pace.far.take());
        let control = Control {
            near: self.near.as_raw_fd(),
            far: far.as_raw_fd(),
        };
        let leads = leads(self.plan);
        let setting = init::Setting {
            report: &self.report,
            disguise: self.disguise.as_ref(),
            leads: &leads,
            in_user_namespace: self.in_user_namespace,
            spare: if self.container.is_some() { spare() } else { 0 },
            pace: pace.as_ref().map_or(EMPTY, AsRawFd::as_raw_fd),
        };
        let mut started = clone::start(self.plan, &mut self.slots, control, setting, request);
        if started.as_ref().is_err_and(|errno| errno.0 == libc::EBUSY)
            && let Some(cgroup) = self.cgroup_of_target()?
        {
            let request = Clone3 {
                cgroup: Some(cgroup.as_raw_fd()),
                ..request
            };
            started = clone::start(self.plan, &mut self.slots, control, setting, request);
        }
        // Else the unit would be empty for a moment, and systemd would remove it.
        if birthplace != Birthplace::Elsewhere {
            self.placeholder = None;
        }
        self.init = Some(started.act(act).map_err(|failure| {
            let into = cgroup.and_then(|_| why_not_into(failure.errno()));
            match into {
                // The words are runc's, though the pid is none yet.
                Some(why) => Failure {
                    act: format!("error adding pid of init to cgroups: {}", failure.act),
                    ..failure.at(Field::new("linux.cgroupsPath")).hint(why)
                },
                None => failure,
            }
        })?);
        self.close(Slot::CONSOLE);
        Ok(())
    }

    /// Takes over the process that init went on in.
    fn adopt_init(&mut self) -> Result<()> {
        let first = self
            .init
            .take()
            .ok_or_else(|| Failure::new(Code::System, "init was not started"))?;
        self.answer_until(first.pidfd.as_raw_fd())?;
        let status = process::wait_pidfd(first.pidfd.as_raw_fd())
            .act(|| "cannot wait for the first half of init")?;
        if status != 0 {
            return Err(self
                .init_failure()
                .unwrap_or_else(|| message::died(self.plan, self.report.step(), status)));
        }
        let received = socket::receive_descriptor(self.near.as_raw_fd(), &mut [0; 4])
            .act(|| "cannot receive init")?;
        let pidfd = received
            .fd
            .map(descriptor::owned)
            .ok_or_else(|| Failure::new(Code::System, "init went on in no process"))?;
        let pid = identity::pid_of(pidfd.as_fd())?;
        self.init = Some(Process { pid, pidfd });
        Ok(())
    }
}

/// What clone3(2) means by an errno when it is the cgroup that takes no process (cgroups(7)).
fn why_not_into(errno: Option<Errno>) -> Option<&'static str> {
    match errno?.0 {
        libc::EOPNOTSUPP => Some("the cgroup is below a threaded one"),
        libc::EBUSY => Some("the cgroup controls children, so processes cannot enter it"),
        libc::EACCES => Some("this part of the cgroup tree is not delegated to the user"),
        _ => None,
    }
}

/// Half of the descriptors that this process may have, up to as many as cost little.
fn spare() -> RawFd {
    let soft = process::limit(process::RLIMIT_NOFILE).map_or(0, |limit| limit.soft);
    RawFd::try_from((soft / 2).min(256)).unwrap_or(0)
}

/// What init tells `start`: for the steps from AwaitStart to the end.
fn leads(plan: &Plan) -> Vec<String> {
    let start = plan
        .init
        .iter()
        .position(|step| matches!(step.op, InitOp::AwaitStart));
    start.map_or(Vec::new(), |start| {
        plan.init[start..].iter().map(message::lead).collect()
    })
}
