//! linux.sysctl.

use super::Room;
use crate::error::{Field, Result};
use crate::plan::op::{InitOp, Slot};
use crate::plan::{Planner, c_string};

/// Init: the kernel parameters of the container's namespaces, before /proc/sys may become read-only.
pub(super) fn plan(planner: &mut Planner, room: &Room<'_>) -> Result<()> {
    if room.linux.sysctl.is_empty() {
        return Ok(());
    }
    let has_proc = |step: &crate::plan::Step<InitOp>| {
        matches!(
            &step.op,
            InitOp::MountFilesystem {
                keep: Some(Slot::PROC),
                ..
            }
        )
    };
    if !planner.init_steps().iter().any(has_proc) {
        planner.init(InitOp::OpenProc, Field::new("linux.sysctl"));
    }
    for (key, value) in room.linux.sysctl.iter() {
        let field = || Field::key("linux.sysctl", key);
        let path = c_string(format!("sys/{}", sysctl_path(key)), field)?;
        planner.init(
            InitOp::WriteSysctl {
                path,
                value: c_string(value.as_str(), field)?,
            },
            field(),
        );
    }
    Ok(())
}

/// `net.ipv4.ip_forward` and `net/ipv4/conf/eth0.100/x`: the first separator in the key is the
/// separator, and the other character is part of names (sysctl(8)).
pub fn sysctl_path(key: &str) -> String {
    match key.find(['.', '/']).map(|place| key.as_bytes()[place]) {
        Some(b'.') => key
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_separator_of_a_sysctl_works() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(
            sysctl_path("net/ipv4/conf/eth0.100/rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(
            sysctl_path("net.ipv4.conf.eth0/100.rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
    }
}
