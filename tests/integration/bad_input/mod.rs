//! The catalogue of bad input: 155 ways in which a configuration, a root file system, a command line, a
//! host or a state directory can be wrong, and what must happen then.
//!
//! Each number is one row of one table, or names the test that has it. What a row breaks must be refused
//! in time, by an error that says the words of the row; then nothing is left: no state, no cgroup, no
//! process, no mount, no file in the bundle. A row that must work has a story of its own.

mod scene;

use crate::harness::{Lab, Test};
use scene::{How, Row};

macro_rules! groups {
    ($($module:ident: $test:ident,)*) => {
        $(mod $module;)*

        const ROWS: &[&[Row]] = &[$($module::ROWS),*];

        pub const TESTS: &[Test] = &[
            $(Test {
                name: concat!(module_path!(), "::", stringify!($test)),
                check: $test,
            },)*
            Test {
                name: concat!(module_path!(), "::every_number_of_the_catalogue_is_in_one_table"),
                check: every_number_of_the_catalogue_is_in_one_table,
            },
        ];

        $(fn $test(lab: &Lab) {
            scene::check(lab, $module::ROWS);
        })*
    };
}

groups! {
    text: texts_that_are_no_configuration,
    process: processes_that_cannot_be,
    rootfs: root_file_systems_that_are_none,
    program: programs_that_cannot_be_executed,
    mounts: mounts_that_cannot_be,
    limits: limits_and_kernel_parameters_that_cannot_be,
    namespaces: namespaces_and_ids_that_cannot_be,
    devices: devices_that_cannot_be,
    cgroups: cgroups_that_cannot_be,
    seccomp: filters_that_cannot_be,
    hooks: hooks_that_fail,
    sockets: sockets_and_files_of_the_command_line_that_fail,
    ids: ids_that_are_none,
    life: commands_that_come_at_the_wrong_time,
    damage: state_that_is_damaged,
    resources: hosts_that_give_nothing,
}

/// How many entries the catalogue has.
const LAST: u16 = 155;

/// Entries about a runtime without privileges, which has tests of its own.
const ROOTLESS: [u16; 3] = [79, 80, 151];

fn every_number_of_the_catalogue_is_in_one_table(_lab: &Lab) {
    let rows = || ROWS.iter().copied().flatten();
    for number in 1..=LAST {
        assert!(
            rows().any(|row| row.number == number) || ROOTLESS.contains(&number),
            "nothing is said of entry {number}"
        );
    }
    let elsewhere = [
        crate::isolation::TESTS,
        crate::lifecycle::TESTS,
        crate::mounts::TESTS,
        crate::namespaces::TESTS,
        crate::output::TESTS,
        crate::process::TESTS,
        crate::exec::TESTS,
    ];
    for row in rows() {
        assert!(
            (1..=LAST).contains(&row.number),
            "{} is no entry",
            row.number
        );
        let How::Elsewhere(name) = row.how else {
            continue;
        };
        let exists = elsewhere
            .iter()
            .copied()
            .flatten()
            .any(|test| test.name.ends_with(&format!("::{name}")));
        assert!(exists, "entry {}: there is no test {name}", row.number);
    }
}
