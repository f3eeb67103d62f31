//! The house in which the real binary is tested: real namespaces, one temporary bundle each.
//!
//! A test is a function whose name is a claim, taking a [`Lab`]. The runner starts every test in a
//! process of its own, several at a time. That process
//!
//! - has a mount namespace of its own, where `/sys/fs/cgroup` is the cgroup v2 tree and nothing else:
//!   on a hybrid host the v1 controllers belong to somebody else and are not even seen;
//! - sits in a cgroup of its own, `/corten-test-PID/NAME/test`, beside which its containers live;
//! - is the subreaper of all that it starts, so a detached container becomes its child.
//!
//! When the claim has held, [`leaks`] compares: no process left below it, no mount more than before, no
//! cgroup, no state directory, no network namespace. Only then the test has passed. Whatever happened,
//! the runner ends what is left by `cgroup.kill` and removes the directory.
//!
//! A test that cannot run where it is calls [`skip`] with the reason; it is printed and counted, never
//! taken for a pass. Every wait has a deadline, multiplied by `CORTEN_TEST_SLOWNESS` in an emulated machine.
//!
//! With `CORTEN_TEST_AUDIT` set, `audit` must find nothing in any container that a test has made.
//!
//! `CORTEN_BIN` names the binary, by default the one that cargo has just built. It may be any runtime
//! with runc's command line: that is how the tests themselves were tested.

pub mod bundle;
pub mod call;
pub mod container;
pub mod host;
pub mod lab;
pub mod leaks;
pub mod pty;
pub mod rootfs;
pub mod runner;

pub use bundle::Bundle;
pub use call::Done;
pub use container::Container;
pub use lab::Lab;

/// A claim and what checks it.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// `module::the_claim`.
    pub name: &'static str,
    /// Panics when the claim does not hold.
    pub check: fn(&Lab),
}

/// The tests of a module by their names; a function that is not listed is dead code and warned of.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::harness::Test] = &[$($crate::harness::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            check: $name,
        }),*];
    };
}
pub(crate) use tests;

/// The status of a test process whose test could not run here.
pub const SKIPPED: i32 = 77;

/// Ends this test, which cannot run here, saying why.
pub fn skip(why: &str) -> ! {
    println!("skipped: {why}");
    std::process::exit(SKIPPED)
}
