//! Corten's filters against the profile's meaning and against libseccomp's filters.
//!
//! Three readings of one profile: Corten's filter, libseccomp's (loaded at run time and only here) with
//! runc's rule on top that calls newer than the profile get ENOSYS, and the meaning, evaluated rule by
//! rule. All are asked about every system call number, every architecture that the machine serves, and
//! arguments around the constants that the rules compare with.
//!
//! Ours must be the meaning wherever the rules that match agree. Where they contradict each other, ours
//! must be what libseccomp makes of it. libseccomp itself sometimes misses the meaning: its generator
//! forgets which word the accumulator holds when it falls from one rule's second comparison into the
//! next rule's first (2.5.4 to 2.6.1). Such verdicts are counted, and its opinion of that call is not
//! asked again.

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
    /// Whether libseccomp's program is.
    confused: u64,
    /// Calls on which rules contradict each other, and ours is libseccomp's choice.
    chosen: u64,
    /// The first call on which ours is wrong.
    wrong: Option<String>,
}

fn compare(library: &Library, profile: &Seccomp, native: Arch, dice: &mut Dice) -> Findings {
    let theirs = library.compile(profile, native);
    let ours = match compile(profile, native) {
        Ok(ours) => ours.instructions,
        Err(_) if theirs.is_err() => return Findings::default(),
        Err(failure) => {
            return Findings {
                wrong: Some(failure.to_string()),
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
    let confused =
        theirs.as_ref().is_ok_and(|oracle| oracle.is_confused()) || profiles::shares_tails(profile);
    findings.confused = u64::from(confused);
    for call in profiles::calls(profile, native, dice) {
        let (our, meant) = (verdict(&ours, &call), meaning.verdicts(&call));
        let their = theirs
            .as_ref()
            .ok()
            .map(|oracle| oracle.verdict(profile, &call));
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
        rule.names.retain(|name| library.knows(name));
    }
    let findings = compare(&library, &profile, Arch::X86_64, &mut Dice::new(1));
    assert_eq!((findings.wrong, findings.confused), (None, 0));
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
        let text = || serde_json::to_string(&profile).unwrap();
        assert_eq!(findings.wrong, None, "seed {seed}, {native:?}: {}", text());
    }
    let Findings {
        agreed,
        confused,
        chosen,
        ..
    } = total;
    println!(
        "{agreed} verdicts agree, {chosen} of them libseccomp's choice; {confused} of its programs are confused"
    );
    assert!(agreed > 1000 * rounds && confused * 5 < rounds);
}

#[test]
#[ignore]
fn shrink() {
    let Some(library) = library() else { return };
    let known = profiles::names(&library);
    let mut shown = 0;
    let still = |p: &Seccomp, native| {
        (0..6).find_map(|s| compare(&library, p, native, &mut Dice::new(s)).wrong)
    };
    let from: u64 = std::env::var("FROM").map_or(0, |s| s.parse().unwrap());
    for seed in from..from + 12000 {
        let mut dice = Dice::new(seed);
        let native = if dice.one_in(4) {
            Arch::Aarch64
        } else {
            Arch::X86_64
        };
        let mut profile = profiles::random(&known, native, &mut dice);
        if compare(&library, &profile, native, &mut dice)
            .wrong
            .is_none()
            || still(&profile, native).is_none()
        {
            continue;
        }
        loop {
            let mut better = None;
            let mut tries = Vec::new();
            for i in 0..profile.syscalls.len() {
                let mut p = profile.clone();
                p.syscalls.remove(i);
                tries.push(p);
                for j in 0..profile.syscalls[i].names.len() {
                    let mut p = profile.clone();
                    p.syscalls[i].names.remove(j);
                    if !p.syscalls[i].names.is_empty() {
                        tries.push(p);
                    }
                }
                for j in 0..profile.syscalls[i].args.len() {
                    let mut p = profile.clone();
                    p.syscalls[i].args.remove(j);
                    tries.push(p);
                }
            }
            for i in 0..profile.architectures.len() {
                let mut p = profile.clone();
                p.architectures.remove(i);
                tries.push(p);
            }
            for p in tries {
                if still(&p, native).is_some() {
                    better = Some(p);
                    break;
                }
            }
            match better {
                Some(p) => profile = p,
                None => break,
            }
        }
        println!(
            "--- seed {seed} {native:?} {}",
            still(&profile, native).unwrap()
        );
        println!(
            "default {:?} {:?}",
            profile.default_action, profile.architectures
        );
        for r in &profile.syscalls {
            println!(
                "  {:?} {:?} {:?} {}",
                r.names,
                r.action,
                r.errno_ret,
                r.args
                    .iter()
                    .map(|a| format!("a{} {:?} {:x},{:x}", a.index, a.op, a.value, a.value_two))
                    .collect::<Vec<_>>()
                    .join(" && ")
            );
        }
        shown += 1;
        if shown == 25 {
            break;
        }
    }
}
