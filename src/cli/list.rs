//! `list`: all containers of a root directory.

use std::fmt::Write;

use clap::ValueEnum;

use super::flags::{choices, flags};
use super::{Call, Subcommand, Words, print};
use crate::error::{Code, Result};
use crate::state::report::Report;
use crate::state::{Container, Id, Root};
use crate::sys::Errno;

flags! {
    /// Flags.
    pub(super) struct List {
        /// How to print
        #[arg(
            short,
            long,
            value_name = "FORMAT",
            value_enum,
            default_value = "table"
        )]
        format: ListFormat,
        /// Print ids only
        #[arg(short, long)]
        quiet: bool,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

choices!(ListFormat);

impl Subcommand for List {
    const NAME: &'static str = "list";
    const ABOUT: &'static str = "List the containers";
    const WORDS: Words = Words::Exactly(0);

    fn run(self, call: &Call) -> Result<u8> {
        let root = call.root()?;
        let ids = root.ids()?;
        if self.quiet {
            print(
                &ids.iter()
                    .fold(String::new(), |text, id| text + id.as_str() + "\n"),
            )?;
            return Ok(0);
        }
        let (mut reports, mut is_whole) = (Vec::new(), true);
        for id in &ids {
            match report(&root, id) {
                Ok(report) => reports.push(report),
                // Deleted while we looked, or the empty directory of a `create` that was killed.
                Err(failure) if failure.code == Code::NotFound => {}
                // One line on stderr, so that the others are still listed.
                Err(failure) => {
                    is_whole &= !failure.errno().is_some_and(Errno::is_of_the_machine);
                    call.log.note(&format!("container {id}: {failure}"));
                }
            }
        }
        match self.format {
            ListFormat::Table => print(&table(&reports))?,
            ListFormat::Json => print(&json(&reports))?,
        }
        // A container whose record is damaged is one to be told of; but a list that lacks what could not be
        // looked at for want of descriptors is no answer.
        Ok(u8::from(!is_whole))
    }
}

fn report(root: &Root, id: &Id) -> Result<Report> {
    let container = Container::open(root, id)?;
    let status = container.status()?;
    Ok(Report::of(&container, status))
}

/// Go prints a nil slice as null, which is what callers get when there is nothing.
fn json(reports: &[Report]) -> String {
    let list = (!reports.is_empty()).then_some(reports);
    serde_json::to_string(&list).expect("strings and numbers are JSON") + "\n"
}

/// Columns as Go's tabwriter sets them: at least 12 wide, 3 blanks between.
fn table(reports: &[Report]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = reports.iter().map(|report| {
        [
            report.id.clone(),
            report.pid.to_string(),
            report.status.name().to_owned(),
            report.bundle.clone(),
            report.created.clone(),
            report.owner.clone(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max();
        (longest.unwrap_or_default() + 3).max(12)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    rows.iter().fold(String::new(), |mut text, row| {
        for (cell, width) in row.iter().zip(&widths) {
            write!(text, "{cell:width$}").expect("a string takes everything");
        }
        text + &row[5] + "\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Status;

    #[test]
    fn the_table_has_runc_s_head_and_columns() {
        let report = Report {
            oci_version: "1.3.0".into(),
            id: "a".into(),
            pid: 7,
            status: Status::Running,
            bundle: "/run/bundle".into(),
            rootfs: "/".into(),
            created: "2026-11-20T20:19:36Z".into(),
            annotations: Default::default(),
            owner: "root".into(),
        };
        let text = table(&[report]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "ID          PID         STATUS      BUNDLE        CREATED                OWNER"
        );
        assert_eq!(
            lines[1],
            "a           7           running     /run/bundle   2026-11-20T20:19:36Z   root"
        );
        assert_eq!(json(&[]), "null\n");
    }
}
