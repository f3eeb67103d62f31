//! Who a process is and what it may: credentials(7), capabilities(7).

use super::process::prctl;
use super::{Result, check};

/// setresuid(2) of all three ids, by system call: libc's would signal threads that do not exist.
pub fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    Ok(())
}

/// setresgid(2) of all three ids, by system call.
pub fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    Ok(())
}

/// setgroups(2), by system call.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads groups.len() ids.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    Ok(())
}

/// The three user ids and the three group ids: getresuid(2), getresgid(2).
pub fn ids() -> ([u32; 3], [u32; 3]) {
    let (mut uid, mut gid) = ([0u32; 3], [0u32; 3]);
    let [real, effective, saved] = &mut uid;
    // SAFETY: three valid pointers; the call cannot fail with them.
    unsafe { libc::getresuid(real, effective, saved) };
    let [real, effective, saved] = &mut gid;
    // SAFETY: as above.
    unsafe { libc::getresgid(real, effective, saved) };
    (uid, gid)
}

/// Whether this process had the effective user id 0 when it began: getauxval(3), which asks nobody.
pub fn began_as_root() -> bool {
    // SAFETY: an integer only.
    unsafe { libc::getauxval(libc::AT_EUID) == 0 }
}

/// prctl(PR_SET_KEEPCAPS, 1): the permitted capabilities survive setresuid(2).
pub fn keep_capabilities() -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
    Ok(())
}

/// prctl(PR_CAPBSET_DROP). EINVAL: the kernel knows no such capability.
pub fn drop_bounding(capability: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0)?;
    Ok(())
}

/// prctl(PR_CAPBSET_READ). EINVAL: the kernel knows no such capability.
pub fn has_bounding(capability: u32) -> Result<bool> {
    Ok(prctl(libc::PR_CAPBSET_READ, u64::from(capability), 0)? == 1)
}

/// prctl(PR_CAP_AMBIENT_RAISE).
pub fn raise_ambient(capability: u32) -> Result<()> {
    prctl(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_RAISE as u64,
        u64::from(capability),
    )?;
    Ok(())
}

/// prctl(PR_CAP_AMBIENT_CLEAR_ALL).
pub fn clear_ambient() -> Result<()> {
    prctl(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as u64,
        0,
    )?;
    Ok(())
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// _LINUX_CAPABILITY_VERSION_3: 64 bits in two words.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Three of the five sets of capabilities(7), a bit a capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySets {
    /// What the kernel checks.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What an exec may keep.
    pub inheritable: u64,
}

/// capset(2).
pub fn capset(sets: CapabilitySets) -> Result<()> {
    let header = CapHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let word = |shift: u32| CapData {
        effective: half(sets.effective, shift),
        permitted: half(sets.permitted, shift),
        inheritable: half(sets.inheritable, shift),
    };
    let data = [word(0), word(32)];
    // SAFETY: version 3 makes the kernel read the header and two data words, which live here.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })?;
    Ok(())
}

/// capget(2) of this process.
pub fn capget() -> Result<CapabilitySets> {
    let header = CapHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 makes the kernel read the header and write two data words, which live here.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let whole = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(CapabilitySets {
        effective: whole(data[0].effective, data[1].effective),
        permitted: whole(data[0].permitted, data[1].permitted),
        inheritable: whole(data[0].inheritable, data[1].inheritable),
    })
}

fn half(bits: u64, shift: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the other half is the other word"
    )]
    let word = (bits >> shift) as u32;
    word
}
