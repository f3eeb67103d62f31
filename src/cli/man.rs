//! `man`: the manual pages, from the same definitions as `--help`.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use super::flags::flags;
use super::{Call, Subcommand, Words, tree};
use crate::error::{Act, Result};
use crate::state::Program;

flags! {
    /// Words.
    pub(super) struct Manual {
        /// Where the pages go: corten.8, corten-run.8, ...
        #[arg(value_name = "DIRECTORY", required = true)]
        directory: PathBuf,
    }
}

impl Subcommand for Manual {
    const NAME: &'static str = "man";
    const ABOUT: &'static str = "Write the manual pages into a directory";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory)
            .act(|| format!("cannot make {}", directory.display()))?;
        for (name, command) in pages(call.program) {
            write(directory, &name, command)?;
        }
        Ok(0)
    }
}

/// The names of the pages, and what each is about.
pub(super) fn pages(program: Program) -> Vec<(String, Command)> {
    let (name, tree) = (program.name(), tree(program));
    let of_command = |command: &Command| {
        let page = format!("{name}-{}", command.get_name());
        let typed = format!("{name} {}", command.get_name());
        let command = command.clone().display_name(&page).bin_name(typed);
        (page, command)
    };
    let mut pages: Vec<(String, Command)> = tree.get_subcommands().map(of_command).collect();
    pages.push((name.to_owned(), tree));
    pages
}

/// Section 8: commands of an administrator.
pub(super) fn page(name: &str, command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command)
        .title(name)
        .section("8")
        .manual("System Administration")
        .render(&mut page)?;
    Ok(page)
}

fn write(directory: &Path, name: &str, command: Command) -> Result<()> {
    let path = directory.join(format!("{name}.8"));
    let act = || format!("cannot write {}", path.display());
    std::fs::write(&path, page(name, command).act(act)?).act(act)
}
