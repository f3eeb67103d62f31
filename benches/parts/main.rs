//! What the pure parts cost by themselves, and the filter for Docker's default profile beside libseccomp's.
//!
//! Prints a line for each number: what, number, unit, with tabs between. A bundle's configuration is read
//! and checked, its plan is made and proved, its filter is compiled; medians of many rounds. With `once` each
//! happens one time, for callgrind: `valgrind --tool=callgrind --toggle-collect='*part_plan*'`.
//!
//!     cargo bench --bench parts -- BUNDLE [once]

mod filters;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corten::config::{self, Loaded, Seccomp};
use corten::host::Host;
use corten::plan::request::{Console, Keyring, Pivot, Request, Start};
use corten::plan::{Plan, check, compile};
use corten::process::terminal::Stay;
use corten::seccomp::{self, Arch, Filter};

/// The program's own allocator.
#[global_allocator]
// SAFETY: the measurement has one thread.
static MEMORY: corten::sys::memory::Memory = unsafe { corten::sys::memory::Memory::new() };

const ROUNDS: usize = 301;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let bundle = words.next().expect("the first word is a bundle");
    let rounds = if words.next().as_deref() == Some("once") {
        1
    } else {
        ROUNDS
    };
    let bundle = PathBuf::from(bundle);
    let loaded = read(&bundle);
    let profile = loaded.spec.linux.as_ref();
    let profile = profile.and_then(|linux| linux.seccomp.as_ref());
    let profile = profile.expect("the bundle has a profile");
    let request = request(&bundle);
    let host = Host::ideal();

    say("read and check", median(rounds, || part_read(&bundle)));
    say(
        "plan, with the filter",
        median(rounds, || part_plan(&loaded, &request, &host)),
    );
    say("filter", median(rounds, || part_filter(profile)));
    if rounds > 1 {
        filters::compare(profile, rounds);
    }
}

#[inline(never)]
fn part_read(bundle: &Path) -> Loaded {
    read(bundle)
}

fn read(bundle: &Path) -> Loaded {
    let loaded = config::load(black_box(bundle)).expect("the configuration can be read");
    loaded.checked().expect("the configuration is right")
}

#[inline(never)]
fn part_plan(loaded: &Loaded, request: &Request, host: &Host) -> Plan {
    let plan = compile::container(black_box(&loaded.spec), request, host);
    let plan = plan.expect("the configuration can be had");
    check::check(&plan).expect("the plan is right");
    plan
}

#[inline(never)]
fn part_filter(profile: &Seccomp) -> Filter {
    seccomp::compile(black_box(profile), Arch::native()).expect("the profile is valid")
}

fn request(bundle: &Path) -> Request {
    Request {
        id: "box".to_owned(),
        bundle: bundle.to_owned(),
        state: PathBuf::from("/run/corten/box"),
        data: None,
        start: Start::Now,
        console: Console::None,
        pid_file: None,
        pidfd_socket: None,
        pivot: Pivot::Pivot,
        keyring: Keyring::New,
        overlay: None,
        kept_descriptors: 0,
        variables: Vec::new(),
        notify: None,
        stay: Stay::Foreground,
    }
}

fn say(what: &str, time: Duration) {
    println!("{what}\t{:.1}\tmicroseconds", time.as_secs_f64() * 1e6);
}

fn median<T>(rounds: usize, mut once: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let made = once();
            let spent = start.elapsed();
            drop(black_box(made));
            spent
        })
        .collect();
    middle(&mut times).expect("there was a round")
}

fn middle(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
