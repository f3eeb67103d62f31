//! What a command needed: the system calls or the capabilities that it used, as a profile for config.json.
//!
//! Two eBPF programs watch, and change nothing: no tracer stands in the way of the command, no signal and no wait is different,
//! and it may use ptrace(2) and seccomp(2) itself. One runs at the tracepoint `sys_enter`, at the entry of every system call. It looks whether the caller is in the
//! container's cgroup, in which all processes of the container are from their birth on, and makes a mark under the number of the call. It begins at the first execve
//! there: what init does before is Corten's and not the command's.
//!
//! The tracepoint comes after the system call filter, so what the filter refuses leaves no mark. That is why a recorded profile is the part of the
//! default one that was used: each rule keeps its conditions on arguments. Calls of another table (i386, x32) would be taken for others of the same number;
//! the filter of a recording has the native table alone, and a program that makes another's calls is killed.
//!
//! The other program sees each question whether somebody has a capability, and the answer: by a kprobe at the kernel's function `cap_capable`, and
//! another one at its return. A kernel without kprobes has perhaps a tracepoint for it (Linux 6.14); only kprobes tell which questions the kernel wants nobody to hear of
//! (CAP_OPT_NOAUDIT), and those are not counted. The kernel also asks in other names than the command's: an overlay copies a file with the credentials of who mounted
//! it. So the answers of each system call are kept by the credentials that were asked, and where those had a capability which the container has not, all that they
//! had is left out.
//!
//! `program` and [`profile`] are pure: the instructions, and what the marks mean. [`run`] attaches and reads.

pub mod profile;
mod program;
pub mod run;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The system calls: an object for linux.seccomp.
    Seccomp,
    /// The capabilities: an object for process.capabilities.
    Caps,
}
