//! Init: the child, from the clone to the user's program.
//!
//! It runs the plan's second list, one step after the other, and notes each on the report page before
//! it runs it. There is no way back: a step that fails is reported and the process ends. What the
//! child may do is narrow, because the runtime may be one thread of a larger program and any lock
//! may have been held at the clone, and because the container's memory limit already applies: it
//! allocates nothing, locks nothing, logs nothing, panics never. Everything it needs was made by the
//! planner and lies in memory that the clone copied.

use std::os::fd::RawFd;

use super::last_words;
use super::report::Report;
use crate::hooks::failure::WORDS;
use crate::hooks::{Ended, Environment, PreparedHook, Tail};
use crate::plan::op::{Gate, InitOp, Mode, Slot};
use crate::plan::{Plan, Step};
use crate::process::home::Home;
use crate::rootfs::resolve::Nursery;
use crate::rootfs::{hide, overlay};
use crate::sys::executable::Disguise;
use crate::sys::poll::{self, Deadline, Watch};
use crate::sys::process::exit_now;
use crate::sys::signal::{self, SignalSet};
use crate::sys::{
    Errno, Result, credentials, descriptor, fs, mount, namespace, process, seccomp, socket,
};
use crate::{hooks, namespaces, rootfs};

/// What ends a container that waits for its start.
const REQUESTS_TO_END: SignalSet = SignalSet::EMPTY
    .with(libc::SIGHUP)
    .with(libc::SIGINT)
    .with(libc::SIGQUIT)
    .with(libc::SIGTERM);

/// A bit a CPU; the kernel leaves out those that it does not have.
const EVERY_CPU: [u64; 128] = [u64::MAX; 128];

const READONLY: mount::Attributes = mount::Attributes {
    set: libc::MOUNT_ATTR_RDONLY,
    clear: 0,
    propagation: 0,
};

/// A slot that nothing was put in.
pub const EMPTY: RawFd = -1;

/// What init knows besides its list.
#[derive(Debug)]
pub struct Init<'a> {
    /// Where it notes what it does.
    pub report: &'a Report,
    disguise: Option<&'a Disguise>,
    leads: &'a [String],
    steps: usize,
    slots: &'a mut [RawFd],
    /// The other end is the runtime's; EOF when that is gone.
    control: RawFd,
    /// Whether its user namespace is not the runtime's.
    pub in_user_namespace: bool,
    /// The signals that it may have inherited as ignored.
    pub ignored: SignalSet,
    /// Which candidate of FindProgram it was.
    pub program: usize,
    /// HOME, as the container's passwd has it.
    pub home: Home,
    /// The connection of `start`, which waits for the exec.
    starter: RawFd,
    /// With `--step`: asks before each step.
    pace: RawFd,
    /// Where a mount point was made last.
    pub nursery: Nursery,
    /// Descriptors below this number stay open until all are closed.
    spare: RawFd,
    /// Whether the working directory is the container's root, since the host's is gone.
    pub is_at_root: bool,
}

/// What init gets from the runtime.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The shared page.
    pub report: &'a Report,
    /// How to let go of the runtime's executable.
    pub disguise: Option<&'a Disguise>,
    /// What `start` is told when a step fails, for the steps from AwaitStart on.
    pub leads: &'a [String],
    /// Whether it is born into another user namespace.
    pub in_user_namespace: bool,
    /// Descriptors below this number need not be closed one by one while mounts are made.
    pub spare: RawFd,
    /// Where init asks before each step, with `--step`.
    pub pace: RawFd,
}

/// Runs the list. Never returns: ends as the user's program, or with status 1 and a report.
pub fn run(plan: &Plan, slots: &mut [RawFd], control: RawFd, setting: Setting<'_>) -> ! {
    let Setting {
        report,
        disguise,
        leads,
        in_user_namespace,
        spare,
        pace,
    } = setting;
    let mut init = Init {
        report,
        disguise,
        leads,
        steps: plan.init.len(),
        slots,
        control,
        in_user_namespace,
        ignored: SignalSet::ALL,
        program: 0,
        home: Home::default(),
        starter: EMPTY,
        pace,
        nursery: Nursery::new(spare),
        is_at_root: false,
        spare,
    };
    for (index, step) in (0u32..).zip(&plan.init) {
        report.at(index);
        if let Err(errno) = init.may_go_on().and_then(|()| init.step(plan, step)) {
            init.fail(index, errno);
        }
    }
    exit_now(0)
}

impl Init<'_> {
    /// The descriptor in a slot.
    pub fn slot(&self, slot: Slot) -> RawFd {
        self.slots[slot.index()]
    }

    /// Whether a slot holds a descriptor.
    pub fn has(&self, slot: Slot) -> bool {
        self.slot(slot) != EMPTY
    }

    /// Puts a descriptor into a slot.
    pub fn fill(&mut self, slot: Slot, fd: RawFd) {
        self.slots[slot.index()] = fd;
    }

    /// Closes a descriptor now, or leaves it to [`Self::close_all_but`]: one call for all of them.
    pub fn done_with(&self, fd: RawFd) {
        if fd >= self.spare {
            fs::close(fd);
        }
    }

    /// Closes what a slot holds.
    pub fn empty(&mut self, slot: Slot) {
        if self.has(slot) {
            self.done_with(self.slot(slot));
            self.fill(slot, EMPTY);
        }
    }

    /// Closes what init does not need any more: while it waits for start, other processes of the
    /// container may look at its descriptors, and some lead to the host. What it still needs closes at exec.
    pub fn close_all_but(&self, first: u32) -> Result<()> {
        let mut needed = [
            self.control,
            self.pace,
            self.slot(Slot::START),
            self.slot(Slot::HOOK_STATE),
        ];
        needed.sort_unstable();
        let mut next = first;
        for fd in needed
            .iter()
            .filter_map(|fd| u32::try_from(*fd).ok())
            .filter(|fd| *fd >= first)
        {
            if fd > next {
                fs::close_range(next, fd - 1)?;
            }
            next = fd + 1;
        }
        fs::close_range(next, u32::MAX)
    }

    /// Reports and ends. `start` hears it too, when it waits: there is no page between it and init.
    fn fail(&self, step: u32, errno: Errno) -> ! {
        self.report.fail(errno);
        if self.starter != EMPTY {
            self.tell_starter(step, errno);
        }
        exit_now(1)
    }

    fn tell_starter(&self, step: u32, errno: Errno) {
        let mut message = [0u8; 1024];
        let from_end = self.steps.saturating_sub(step as usize);
        let lead = self
            .leads
            .len()
            .checked_sub(from_end)
            .and_then(|index| self.leads.get(index));
        let mut detail = [0u8; 256];
        let detail_length = self.report.detail_into(&mut detail);
        let words = [
            &step.to_le_bytes() as &[u8],
            &errno.0.to_le_bytes(),
            lead.map_or(b"" as &[u8], |lead| lead.as_bytes()),
            b"\n",
            &detail[..detail_length],
        ];
        let said = if detail_length == 0 { 3 } else { 5 };
        let length = last_words::join(&words[..said], &mut message);
        // Nothing better can be done with a message that nobody takes.
        fs::write(self.starter, &message[..length]).unwrap_or(());
    }

    /// With `--step`: the runtime shows the step that the report names, and says when.
    fn may_go_on(&self) -> Result<()> {
        if self.pace == EMPTY {
            return Ok(());
        }
        fs::write(self.pace, b"?")?;
        match fs::read(self.pace, &mut [0u8; 1])? {
            1 => Ok(()),
            _ => Err(Errno(libc::EPIPE)),
        }
    }

    fn open(&self, gate: Gate) -> Result<()> {
        fs::write(self.control, &[gate as u8])
    }

    /// The next byte must be this gate's. EOF: the runtime is gone, and so is the reason to go on.
    fn wait(&self, gate: Gate) -> Result<()> {
        let mut byte = [0u8; 1];
        match fs::read(self.control, &mut byte)? {
            1 if byte[0] == gate as u8 => Ok(()),
            1 => Err(Errno(libc::EPROTO)),
            _ => Err(Errno(libc::EPIPE)),
        }
    }

    /// The next byte must be the gate's too; the namespace comes with it.
    fn take_over_network(&self) -> Result<()> {
        let mut byte = [0u8; 1];
        let received = socket::receive_descriptor(self.control, &mut byte)?;
        match received.fd {
            Some(network) if byte[0] == Gate::NetworkMade as u8 => {
                namespace::setns(network, libc::CLONE_NEWNET)?;
                self.done_with(network);
                Ok(())
            }
            _ if received.length == 0 => Err(Errno(libc::EPIPE)),
            _ => Err(Errno(libc::EPROTO)),
        }
    }

    fn step(&mut self, plan: &Plan, step: &Step<InitOp>) -> Result<()> {
        match &step.op {
            InitOp::DieWithRuntime => process::set_parent_death_signal(libc::SIGKILL),
            InitOp::OutliveRuntime => process::set_parent_death_signal(0),
            InitOp::UnblockSignals => {
                fs::umask(0);
                signal::set_mask(SignalSet::EMPTY).map(|_| ())
            }
            InitOp::ResetAffinity => process::sched_setaffinity(&EVERY_CPU),
            InitOp::LeadSession => process::setsid(),
            InitOp::LetGoOfExecutable => self
                .disguise
                .map_or(Err(Errno(libc::EINVAL)), Disguise::put_on),
            InitOp::Open(gate) => self.open(*gate),
            InitOp::Await(gate) => self.wait(*gate),
            InitOp::TakeOverNetwork => self.take_over_network(),
            InitOp::HideFromTracers => process::set_undumpable(),
            InitOp::JoinNamespace {
                namespace, kind, ..
            } => {
                namespace::setns(self.slot(*namespace), namespaces::flag(*kind))?;
                self.empty(*namespace);
                Ok(())
            }
            InitOp::JoinContainer { namespaces } => self.join_container(*namespaces),
            InitOp::OpenNamespaces { list } => {
                let directory = namespaces::run::open_own_list()?;
                self.fill(*list, directory);
                Ok(())
            }
            InitOp::OpenStatus => {
                if let Some(status) = crate::process::attest::open_status() {
                    self.fill(Slot::STATUS, status);
                }
                Ok(())
            }
            InitOp::CompareNamespaces {
                own,
                container,
                namespaces,
            } => {
                let (mine, theirs) = (self.slot(*own), self.slot(*container));
                namespaces::run::compare_own(mine, theirs, *namespaces)
                    .inspect_err(|_| self.report.explain(b"init is in another one"))?;
                self.empty(*own);
                self.empty(*container);
                Ok(())
            }
            InitOp::Unshare { namespaces } => namespace::unshare(*namespaces),
            InitOp::ContinueInChild { namespaces } => self.continue_in_child(*namespaces),
            InitOp::BecomeRootOfUserNamespace => {
                credentials::setresgid(0)?;
                credentials::setresuid(0)
            }
            InitOp::WriteTimeOffset { clock } => {
                fs::write_small(c"/proc/self/timens_offsets", clock.to_bytes())
            }
            InitOp::EnterTimeNamespace => namespaces::run::enter_time_namespace(),
            InitOp::EnterSubcgroup { members, .. } => {
                fs::write(self.slot(*members), b"0")?;
                self.empty(*members);
                Ok(())
            }
            InitOp::SetLabel { file, label } => fs::write_small(file, label.to_bytes()),
            InitOp::JoinSessionKeyring { name, opens } => {
                crate::process::run::join_session_keyring(name, *opens)
            }
            InitOp::RaiseLoopback => crate::sys::network::raise_loopback(),
            InitOp::SetHostname(name) => namespace::sethostname(name),
            InitOp::SetDomainname(name) => namespace::setdomainname(name),
            InitOp::AwaitStart => self.await_start(),
            InitOp::ListenForRequests => {
                signal::set_mask(REQUESTS_TO_END)?;
                let requests = signal::signalfd(REQUESTS_TO_END)?;
                self.fill(Slot::REQUESTS, descriptor::give_up(requests));
                Ok(())
            }
            InitOp::RunHook(hook) => self.run_hook(hook),
            InitOp::RefuseStart => Err(Errno(libc::ENOEXEC)),
            InitOp::End => exit_now(0),
            InitOp::LoadFilter {
                instructions,
                flags,
            } => self.load_filter(instructions, *flags),
            InitOp::Execute { args, env } => {
                let (path, errno) = crate::process::run::execute(self, plan, args, env);
                if self.starter != EMPTY {
                    last_words::not_executed(self.report, path, errno);
                }
                Err(errno)
            }
            op => self.mount_step(op),
        }
    }

    fn mount_step(&mut self, op: &InitOp) -> Result<()> {
        use rootfs::{nodes, run};
        if !matches!(op, InitOp::MountFilesystem { .. }) {
            self.nursery.forget();
        }

        match op {
            InitOp::SetHostPropagation(propagation) => run::set_host_propagation(*propagation),
            InitOp::MakeParentPrivate { path } => run::make_parent_private(path),
            InitOp::BindRoot { path } => run::bind_root(self, path),
            InitOp::OpenRoot => run::open_root(self),
            InitOp::MountOverlayRoot { overlay } => overlay::mount_overlay_root(self, overlay),
            InitOp::MountFilesystem {
                filesystem,
                destination,
                point,
                keep,
            } => run::mount_filesystem(self, filesystem, destination, *point, *keep),
            InitOp::CreateFilesystem {
                filesystem,
                mount,
                destination,
                mode,
            } => {
                let mode = match mode {
                    Mode::Own => None,
                    Mode::OfDestination => run::mode_of(self, destination)?,
                };
                let fd = run::create_filesystem(self, filesystem, mode)?;
                self.fill(*mount, fd);
                Ok(())
            }
            InitOp::LabelMount { mount, label } => run::label_mount(self, *mount, label),
            InitOp::OwnVolume { mount, destination } => run::own_volume(self, *mount, destination),
            InitOp::CopyUp { mount, destination } => run::copy_up(self, *mount, destination),
            InitOp::CloneTree {
                source,
                reach,
                mount,
                follow,
                attributes,
            } => {
                let fd = run::clone_tree(source, *reach, *follow, *attributes)?;
                self.fill(*mount, fd);
                Ok(())
            }
            InitOp::SetAttributes {
                mount,
                reach,
                attributes,
            } => mount::mount_setattr(self.slot(*mount), *reach, *attributes),
            InitOp::MapIds {
                mount,
                reach,
                namespace,
            } => mount::mount_idmap(self.slot(*mount), *reach, self.slot(*namespace)),
            InitOp::HandOverTree { mount } => {
                let gate = [Gate::TreeCopied as u8];
                socket::send_descriptor(self.control, &gate, self.slot(*mount))
            }
            InitOp::AttachTree {
                mount,
                destination,
                point,
            } => run::attach_slot(self, *mount, destination, *point),
            InitOp::OpenHostProc => run::open_host_proc(self),
            InitOp::Unmount(destination) => run::unmount(self, destination),
            InitOp::Remount {
                destination,
                attributes,
                parameters,
            } => run::remount(self, destination, *attributes, parameters),
            InitOp::ReadonlyMount(path) => run::remount(self, path, READONLY, &[]),
            InitOp::OpenProc => run::open_proc(self),
            InitOp::OpenDev => nodes::open_dev(self),
            InitOp::MakeDevice { path, node } => nodes::make_device(self, path, node),
            InitOp::MakeDeviceLink { name, target } => nodes::make_device_link(self, name, target),
            InitOp::MakeWorkingDirectory(path) => run::make_directory(self, path),
            InitOp::PrepareMask => hide::prepare_mask(self),
            InitOp::PivotRoot { is_shared } => run::pivot_root(self, *is_shared),
            InitOp::ChangeRoot => run::change_root(self),
            InitOp::DetachOldRoot => run::detach_old_root(self),
            InitOp::MaskPath(path) => hide::mask_path(self, path),
            InitOp::ReadonlyPath(path) => hide::readonly_path(self, path),
            InitOp::ReadonlyRoot => run::set_root_attributes(self, READONLY),
            InitOp::SetRootPropagation(propagation) => run::set_root_attributes(
                self,
                mount::Attributes {
                    propagation: propagation.flag(),
                    ..mount::Attributes::default()
                },
            ),
            InitOp::WriteSysctl { path, value } => run::write_sysctl(self, path, value),
            op => crate::process::run::step(self, op),
        }
    }

    fn join_container(&mut self, namespaces: i32) -> Result<()> {
        namespace::setns(self.slot(Slot::INIT), namespaces)?;
        self.empty(Slot::INIT);
        if namespaces & libc::CLONE_NEWNS == 0 {
            return Ok(());
        }
        // setns(2) into a mount namespace makes its root the root and the working directory.
        rootfs::run::open_root(self)
    }

    /// The parent of the process that goes on hands its pidfd to the runtime and ends; its number would mean
    /// nothing there, if a pid namespace was joined. CLONE_PARENT makes the runtime the parent of both. The
    /// other one waits at a gate, so nothing else is written meanwhile.
    fn continue_in_child(&mut self, namespaces: i32) -> Result<()> {
        if let Some(pidfd) = super::clone::beside(namespaces)? {
            crate::sys::socket::send_descriptor(self.control, b"init", pidfd)?;
            exit_now(0)
        }
        Ok(())
    }

    /// Waits for a connection that says so; one that says nothing was `state` having a look.
    ///
    /// The first process of a pid namespace gets no signal that it has not asked for, so `kill` of a
    /// created container would do nothing: init watches for those that ask a program to end.
    fn await_start(&mut self) -> Result<()> {
        let requests = self.slot(Slot::REQUESTS);
        loop {
            let mut watches = [
                Watch::readable(self.slot(Slot::START)),
                Watch::readable(requests),
            ];
            poll::wait(&mut watches, Deadline::NEVER)?;
            if let Some(request) = signal::next(requests)? {
                exit_now(128 + request.signal);
            }
            if !watches[0].is_ready() {
                continue;
            }
            let connection = crate::sys::socket::accept(self.slot(Slot::START))?;
            let mut byte = [0u8; 1];
            if fs::read(connection, &mut byte) == Ok(1) && byte[0] == crate::state::gate::OPEN {
                self.starter = connection;
                self.empty(Slot::START);
                self.empty(Slot::REQUESTS);
                signal::set_mask(SignalSet::EMPTY)?;
                return Ok(());
            }
            fs::close(connection);
        }
    }

    // With a page of the stack for the hook's output: init's own frame is touched, and paid for, by every container.
    #[inline(never)]
    fn run_hook(&self, hook: &PreparedHook) -> Result<()> {
        let mut tail = Tail::default();
        let home = match hook.environment {
            Environment::Program => self.home.variable(),
            Environment::Own => None,
        };
        let state = self.slot(Slot::HOOK_STATE);
        let ended = hooks::run_hook_in_init(hook, state, home, &mut tail);
        if ended == Ok(Ended::Status(0)) {
            return Ok(());
        }
        let mut buffer = [0; WORDS];
        let (errno, words) = hooks::failure::words(hook, ended, &tail, &mut buffer);
        self.report.explain(words);
        Err(errno)
    }

    /// With a listener, its number is told before the filter is there to stop the telling: the
    /// kernel gives the lowest free one.
    fn load_filter(&mut self, instructions: &[seccompiler::sock_filter], flags: u64) -> Result<()> {
        seccomp::load(instructions, flags)?;
        // It may not let init ask.
        self.pace = EMPTY;
        Ok(())
    }
}
