//! Corten's filters against the profile's meaning and against libseccomp's filters.
//!
//! Three readings of one profile: Corten's filter, libseccomp's (loaded at run time and only here) with
//! runc's rule on top that calls newer than the profile get ENOSYS, and the meaning, evaluated rule by
//! rule. All are asked about every system call number, every architecture that the machine serves, and
//! arguments around the constants that the rules compare with.
//!
//! Ours must be the meaning wherever the rules that match agree. Where they contradict each other, ours
//! must be what libseccomp makes of it. libseccomp itself sometimes misses the meaning (2.5.4 to 2.6.1):
//! its generator forgets which word the accumulator holds when it falls from one rule's comparison into
//! the next rule's, and it mixes up rules with ranges. The first can be seen in its program and the
//! second in the profile, so these are counted and only ours is judged, by the meaning.

// A test that cannot go on says so by its line.
#![allow(clippy::unwrap_used)]

#[path = "seccomp_oracle/library.rs"]
mod library;
#[path = "seccomp_oracle/meaning.rs"]
mod meaning;
#[path = "seccomp_oracle/profiles.rs"]
mod profiles;

use corten::config::Seccomp;
use corten::seccomp::interpret::{Call, run};
use corten::seccomp::{Arch, compile};
use library::Library;
use meaning::Meaning;
use profiles::Dice;

/// The library, or the reason why there is nothing to compare with.
fn library() -> Option<Library> {
    let library = Library::open();
    if library.is_none() {
        println!("skipped: libseccomp.so.2 is not there");
    }
    library
}

/// What came of comparing one profile.
#[derive(Default)]
struct Findings {
    /// Calls that all three readings agree on.
    agreed: u64,
    /// Whether libseccomp misses the meaning.
    confused: u64,
    /// Calls on which rules contradict each other, and ours is libseccomp's choice.
    chosen: u64,
    /// Whether ours refuses a contradiction that libseccomp overlooks: it takes `== 7` for `!= 7` where
    /// it looks for rules that others make superfluous.
    refused: u64,
    /// The first call on which ours is wrong.
    wrong: Option<String>,
}

fn compare(library: &Library, profile: &Seccomp, native: Arch, dice: &mut Dice) -> Findings {
    let theirs = library.compile(profile, native);
    let ours = match compile(profile, native) {
        Ok(ours) => ours.instructions,
        Err(_) if theirs.is_none() => return Findings::default(),
        Err(_) => {
            return Findings {
                refused: 1,
                ..Findings::default()
            };
        }
    };
    let verdict = |program: &[seccompiler::sock_filter], call: &Call| {
        run(program, call)
            .expect("a filter ends with a verdict")
            .verdict
    };
    let meaning = Meaning::new(profile, native);
    let mut findings = Findings::default();
    let confused = theirs.as_ref().is_some_and(|oracle| oracle.is_confused())
        || profiles::mixes_ranges(profile);
    findings.confused = u64::from(confused);
    for call in profiles::calls(profile, native, dice) {
        let (our, meant) = (verdict(&ours, &call), meaning.verdicts(&call));
        let their = theirs.as_ref().map(|oracle| oracle.verdict(profile, &call));
        if !meant.contains(&our) {
            findings.wrong.get_or_insert(format!(
                "{call:x?}: {our:#x}, meant {meant:x?}, libseccomp {their:x?}"
            ));
        } else if their == Some(our) {
            findings.agreed += 1;
            findings.chosen += u64::from(meant.len() > 1);
        } else if let Some(their) = their
            && !confused
        {
            findings.wrong.get_or_insert(format!(
                "{call:x?}: {our:#x}, libseccomp {their:#x}, meant {meant:x?}"
            ));
        }
    }
    findings
}

#[test]
fn numbers_are_those_of_libseccomp() {
    let Some(library) = library() else { return };
    let (mut same, mut newer) = (0, Vec::new());
    for name in profiles::all_names() {
        match library.knows(name) {
            true => same += 1,
            false => newer.push(name),
        }
    }
    println!(
        "{same} calls alike, {} newer than the library: {newer:?}",
        newer.len()
    );
    assert!(same > 450);
}

#[test]
fn dockers_default_profile_decides_as_under_libseccomp() {
    let Some(library) = library() else { return };
    let mut profile: Seccomp =
        serde_json::from_str(include_str!("../src/seccomp/docker.json")).unwrap();
    for rule in &mut profile.syscalls {
        rule.names = rule
            .names
            .iter()
            .filter(|name| library.knows(name))
            .collect();
    }
    for native in [Arch::X86_64, Arch::Aarch64] {
        let findings = compare(&library, &profile, native, &mut Dice::new(1));
        assert_eq!((findings.wrong, findings.confused), (None, 0), "{native:?}");
        assert!(findings.agreed > 1000, "{native:?}: {}", findings.agreed);
    }
}

#[test]
fn random_profiles_decide_as_meant_and_as_under_libseccomp() {
    let Some(library) = library() else { return };
    let known = profiles::names(&library);
    let rounds =
        std::env::var("SECCOMP_ORACLE_ROUNDS").map_or(2000, |rounds| rounds.parse().unwrap());
    let mut total = Findings::default();
    for seed in 0..rounds {
        let mut dice = Dice::new(seed);
        let native = if dice.one_in(4) {
            Arch::Aarch64
        } else {
            Arch::X86_64
        };
        let profile = profiles::random(&known, native, &mut dice);
        let findings = compare(&library, &profile, native, &mut dice);
        total.agreed += findings.agreed;
        total.confused += findings.confused;
        total.chosen += findings.chosen;
        total.refused += findings.refused;
        let text = || serde_json::to_string(&profile).unwrap();
        assert_eq!(findings.wrong, None, "seed {seed}, {native:?}: {}", text());
    }
    let Findings {
        agreed,
        confused,
        chosen,
        refused,
        ..
    } = total;
    println!(
        "{agreed} verdicts agree, {chosen} of them libseccomp's choice; {confused} times it cannot be trusted, {refused} refused"
    );
    assert!(agreed > 1000 * rounds && confused * 3 < rounds && refused * 1000 < rounds);
}
