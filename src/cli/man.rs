//! `man`: the manual pages, from the same definitions as `--help`.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::{Call, Subcommand, Words, tree};
use crate::error::{Act, Result};

/// Words.
#[derive(Debug, Args)]
pub(super) struct Manual {
    /// Where the pages go: corten.8, corten-run.8, ...
    #[arg(value_name = "DIRECTORY", required = true)]
    directory: PathBuf,
}

impl Subcommand for Manual {
    const NAME: &'static str = "man";
    const ABOUT: &'static str = "Write the manual pages into a directory";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory)
            .act(|| format!("cannot make {}", directory.display()))?;
        let program = call.program.name();
        let tree = tree(call.program);
        for command in tree.get_subcommands() {
            let name = format!("{program}-{}", command.get_name());
            let typed = format!("{program} {}", command.get_name());
            let command = command.clone().display_name(&name).bin_name(typed);
            write(directory, &name, command)?;
        }
        write(directory, program, tree)?;
        Ok(0)
    }
}

/// Section 8: commands of an administrator.
fn write(directory: &Path, name: &str, command: Command) -> Result<()> {
    let path = directory.join(format!("{name}.8"));
    let act = || format!("cannot write {}", path.display());
    let mut page = Vec::new();
    Man::new(command)
        .title(name)
        .section("8")
        .manual("System Administration")
        .render(&mut page)
        .act(act)?;
    std::fs::write(&path, page).act(act)
}
