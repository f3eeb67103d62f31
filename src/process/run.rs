//! Init's half of the process: acts, never decides, allocates nothing.

use std::ffi::{CStr, CString};

use super::terminal;
use crate::execute::init::Init;
use crate::plan::Plan;
use crate::plan::op::{InitOp, MountPoint, Slot};
use crate::rootfs;
use crate::rootfs::resolve;
use crate::sys::credentials;
use crate::sys::exec::{self, CStringArray};
use crate::sys::fs::{self, AT_FDCWD};
use crate::sys::mount::{self, Reach};
use crate::sys::process;
use crate::sys::pty::WindowSize;
use crate::sys::signal;
use crate::sys::{Errno, Result, descriptor};

/// The operations on the process itself.
pub fn step(init: &mut Init<'_>, op: &InitOp) -> Result<()> {
    match op {
        InitOp::SetLimit { limit, .. } => process::prlimit(0, *limit),
        InitOp::SetScheduler { attr, .. } => process::sched_setattr(attr),
        InitOp::SetIoPriority(value) => process::ioprio_set(*value),
        InitOp::SetMemoryPolicy { mode, nodes } => process::set_mempolicy(*mode, nodes),
        InitOp::SetAffinity { mask, .. } => process::sched_setaffinity(mask),
        InitOp::SetPersonality(persona) => process::personality(*persona),
        InitOp::OpenTerminal { rows, columns, uid } => open_terminal(init, *rows, *columns, *uid),
        InitOp::AttachConsole => attach_console(init),
        InitOp::OwnStdio { uid, .. } => terminal::give_streams_to(*uid),
        InitOp::ChangeDirectory(path) => change_directory(init, path),
        InitOp::DropBounding { keep } => drop_bounding(*keep),
        InitOp::KeepCapabilities => credentials::keep_capabilities(),
        InitOp::SetGroups(groups) => credentials::setgroups(groups),
        InitOp::SetGid(gid) => credentials::setresgid(*gid),
        InitOp::SetUid(uid) => credentials::setresuid(*uid),
        InitOp::SetUmask(mask) => {
            fs::umask(*mask);
            Ok(())
        }
        InitOp::SetCapabilities(sets) => credentials::capset(*sets),
        InitOp::RaiseAmbient(bits) => each_bit(*bits).try_for_each(credentials::raise_ambient),
        InitOp::ForbidNewPrivileges => process::set_no_new_privileges(),
        InitOp::FindHome { uid } => {
            init.home = super::home::find(init.slot(Slot::ROOT), *uid)?;
            Ok(())
        }
        InitOp::FindProgram { name, candidates } => find_program(init, name, candidates),
        InitOp::Attest(attestation) => {
            init.ignored = super::attest::attest(init, attestation)?;
            Ok(())
        }
        InitOp::ResetSignals => signal::set_defaults(init.ignored),
        InitOp::KeepDescriptors(count) => {
            init.close_all_but(3 + count)?;
            super::listen::keep(*count)
        }
        InitOp::AnnounceListener => {
            let free = descriptor::duplicate(libc::STDIN_FILENO)?;
            fs::close(free);
            init.report.announce_listener(free);
            Ok(())
        }
        // The dispatcher in execute::init knows all others.
        _ => Err(Errno(libc::ENOSYS)),
    }
}

/// The numbers of the bits set.
fn each_bit(bits: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| bits & 1 << bit != 0)
}

/// A session keyring of the container's own, which its owner may search if this `opens` it (runc#727: without it the
/// program would share the caller's). A kernel without keyrings has nothing to share.
pub fn join_session_keyring(name: &CStr, opens: bool) -> Result<()> {
    // What the kernel gives a session keyring, and the owner's right to search: all to who possesses it; view, read, search
    // and link to its owner.
    const PERMISSIONS: u32 = 0x3f1b_0000;
    let key = match process::join_session_keyring(name) {
        Err(Errno(libc::ENOSYS)) => return Ok(()),
        key => key?,
    };
    if !opens {
        return Ok(());
    }
    process::set_key_permissions(key, PERMISSIONS)
}

fn open_terminal(init: &mut Init<'_>, rows: u16, columns: u16, uid: u32) -> Result<()> {
    let terminal = terminal::open_terminal(init.slot(Slot::ROOT))?;
    if (rows, columns) != (0, 0) {
        terminal::resize(terminal, WindowSize { rows, columns })?;
    }
    terminal::give_to(terminal, uid)?;
    terminal::attach(terminal)?;
    init.fill(Slot::TERMINAL, terminal.slave);
    terminal::send_master(init.slot(Slot::CONSOLE), terminal)?;
    init.fill(Slot::CONSOLE, crate::execute::init::EMPTY);
    Ok(())
}

/// Binds the terminal that was checked to be one, never a name (CVE-2025-52565).
fn attach_console(init: &mut Init<'_>) -> Result<()> {
    let console = mount::clone_tree(init.slot(Slot::TERMINAL), c"", Reach::One)?;
    let attached = rootfs::run::attach(
        init,
        console,
        c"/dev/console",
        MountPoint::LikeSourceNoFollow,
    );
    fs::close(console);
    init.empty(Slot::TERMINAL);
    attached
}

/// Goes there by a descriptor that cannot be outside of the root: neither a link of /proc nor a
/// descriptor that the caller leaked leads out (CVE-2024-21626).
fn change_directory(init: &Init<'_>, path: &CStr) -> Result<()> {
    let how = fs::resolve::IN_ROOT | fs::resolve::NO_MAGICLINKS;
    if path == c"/" {
        return if init.is_at_root {
            Ok(())
        } else {
            fs::chdir(path)
        };
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let directory = resolve::open_how(init.slot(Slot::ROOT), path, flags, how)?;
    let changed = fs::fchdir(directory);
    fs::close(directory);
    changed?;
    find_inside(init)
}

// With a page of the stack for itself: init's own frame is touched, and paid for, by every container.
#[inline(never)]
fn find_inside(init: &Init<'_>) -> Result<()> {
    let mut buffer = [0u8; 4096];
    match fs::getcwd(&mut buffer) {
        Ok([b'/', ..]) | Err(Errno(libc::ERANGE)) => Ok(()),
        Ok(_) => {
            init.report.explain(b"is outside of the container's root");
            Err(Errno(libc::ENOENT))
        }
        Err(errno) => Err(errno),
    }
}

/// EINVAL is the kernel's word for a capability past its last one.
fn drop_bounding(keep: u64) -> Result<()> {
    for capability in each_bit(!keep) {
        match credentials::drop_bounding(capability) {
            Err(Errno(libc::EINVAL)) => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}

/// The program as execvp(3) finds it. It is found now, with the program's own identity, so that a
/// missing one fails `create` and not `start`.
fn find_program(init: &mut Init<'_>, name: &CStr, candidates: &[CString]) -> Result<()> {
    let is_path = name.to_bytes().contains(&b'/');
    let mut denied = None;
    for (index, candidate) in candidates.iter().enumerate() {
        match fs::may_execute(AT_FDCWD, candidate) {
            Ok(()) => match super::elf::examine(init, candidate) {
                Err(Errno(libc::EISDIR)) if !is_path => {}
                examined => {
                    init.program = index;
                    return examined;
                }
            },
            Err(Errno(libc::EACCES)) => denied = Some(candidate),
            Err(found) if is_path || found.is_of_the_machine() => return Err(found),
            Err(_) => {}
        }
    }
    let Some(candidate) = denied else {
        return Err(Errno(libc::ENOENT));
    };
    if is_on_noexec(candidate) {
        init.report.explain(b"it is on a mount with noexec");
    }
    Err(Errno(libc::EACCES))
}

/// EACCES says the same of a file without the permission and of a mount without it.
fn is_on_noexec(path: &CStr) -> bool {
    let Ok(file) = fs::openat(AT_FDCWD, path, libc::O_PATH, 0) else {
        return false;
    };
    let is_noexec = fs::is_noexec(file);
    fs::close(file);
    is_noexec == Ok(true)
}

/// Becomes the program; returns only to say which it was, and why not.
pub fn execute<'plan>(
    init: &Init<'_>,
    plan: &'plan Plan,
    args: &CStringArray,
    env: &CStringArray,
) -> (&'plan CStr, Errno) {
    let candidates = plan.init.iter().find_map(|step| match &step.op {
        InitOp::FindProgram { candidates, .. } => candidates.get(init.program),
        _ => None,
    });
    let Some(path) = candidates else {
        return (c"", Errno(libc::ENOENT));
    };
    let path = path.as_c_str();
    let errno = exec::execve(path, args, env, init.home.variable());
    if errno.0 == libc::ENOEXEC {
        super::elf::explain(init, path);
    }
    (path, errno)
}
