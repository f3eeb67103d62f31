//! What does not belong into the container: processes of another pid namespace, files of another mount
//! namespace.

use super::{Book, Kind, Subject};
use crate::cgroups::walk;
use crate::config::NamespaceType;
use crate::error::{Field, Result};
use crate::inspect::descriptors::{DescriptorFact, nameless_mount};
use crate::inspect::held::Held;
use crate::inspect::namespaces::{NamespaceFact, is_in_pid_namespace};
use crate::state::identity;

/// No more are looked at; a container's pids.max is lower in practice.
const MOST: usize = 65_536;

/// Processes in the cgroup that are neither in init's pid namespace nor below it.
pub(super) fn processes(subject: &Subject<'_>, book: &mut Book) -> Result<()> {
    let is_it = |found: &&NamespaceFact| found.kind == NamespaceType::Pid;
    let namespace = subject.live.namespaces.iter().find(is_it);
    let Some(namespace) = namespace.filter(|found| !found.is_host) else {
        return Ok(());
    };
    let Some(cgroup) = subject.container.cgroup()? else {
        return Ok(());
    };
    for pid in walk::processes(cgroup.directory())?.into_iter().take(MOST) {
        // One that ends while it is looked at is no finding.
        let Some(began) = identity::start_time(pid)? else {
            continue;
        };
        let Some(held) = Held::hold(pid, began)? else {
            continue;
        };
        if is_in_pid_namespace(&held, namespace.inode) == Some(false) {
            let name = held.small(c"comm").unwrap_or_default();
            let found = format!(
                "process {pid} ({}) of another pid namespace",
                name.trim_end()
            );
            let field = Field::new("linux.cgroupsPath");
            book.note(Kind::Extra, &field, "processes of the container", found);
        }
    }
    Ok(())
}

/// Files that init has open and that are on none of its mounts: they were opened outside (CVE-2024-21626).
/// Its streams were given to it, and copies of them.
pub(super) fn descriptors(subject: &Subject<'_>, book: &mut Book) {
    working_directory(subject, book);
    let nameless = nameless_mount().ok().flatten();
    let all = &subject.live.descriptors.list;
    let is_stream = |fact: &DescriptorFact| {
        let mut streams = all.iter().filter(|stream| stream.fd < 3);
        fact.fd < 3
            || streams.any(|stream| (stream.mount, stream.inode) == (fact.mount, fact.inode))
    };
    let kept = 3 + subject.record.kept_descriptors;
    for fact in all {
        let is_outside = fact.target.starts_with('/')
            && !subject.live.mounts.has(fact.mount)
            && Some(fact.mount) != nameless;
        // Before the program runs, init has some that it is rid of by exec.
        let stays = subject.runs() || !fact.closes_at_exec;
        if is_outside && stays && !is_stream(fact) && fact.fd >= kept {
            let found = format!("descriptor {} is {}", fact.fd, fact.target);
            let field = Field::new("process");
            book.note(Kind::Extra, &field, "no file of the host", found);
        }
    }
}

fn working_directory(subject: &Subject<'_>, book: &mut Book) {
    match subject.held.mount_of(c"cwd") {
        Ok(Some(mount)) if !subject.live.mounts.has(mount) => {
            let found = format!("{}, which is outside", subject.live.process.cwd);
            let field = Field::new("process.cwd");
            book.note(Kind::Extra, &field, "a directory of the container", found);
        }
        Ok(_) => {}
        Err(errno) => book.cannot("process.cwd", errno.to_string()),
    }
}
