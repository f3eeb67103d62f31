//! `completion`: what a shell needs to complete a command line.
//!
//! The scripts are generated from the definitions that `--help` comes from: commands, flags, values of flags that
//! are of a closed set, paths. What a definition cannot know, the ids of containers, is asked of `list --quiet` when somebody
//! types: for every command whose word is `ID`, except those that make one.

use clap::ValueEnum;
use clap_complete::{Shell, generate};

use super::flags::flags;
use super::{Call, Subcommand, Words, print, tree};
use crate::error::{Code, Failure, Result};
use crate::state::Program;

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

flags! {
    /// Words.
    pub(super) struct Completion {
        /// The shell that will read it
        #[arg(value_name = "bash|zsh|fish", required = true)]
        shell: String,
    }
}

impl Subcommand for Completion {
    const NAME: &'static str = "completion";
    const ABOUT: &'static str = "Print what a shell needs to complete command lines";
    const WORDS: Words = Words::Exactly(1);

    fn run(self, call: &Call) -> Result<u8> {
        let shell = Shell::from_str(&self.shell, false)
            .ok()
            .filter(|shell| matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish))
            .ok_or_else(|| {
                let text = format!("unknown shell {:?}", self.shell);
                Failure::new(Code::Usage, text).because("not bash, zsh or fish")
            })?;
        print(&script(shell, call.program))?;
        Ok(0)
    }
}

/// What one of the three shells reads.
pub(super) fn script(shell: Shell, program: Program) -> String {
    let mut text = Vec::new();
    let shells = |arg: clap::Arg| arg.value_parser(SHELLS);
    let mut tree =
        tree(program).mut_subcommand(Completion::NAME, |own| own.mut_arg("shell", shells));
    generate(shell, &mut tree, program.name(), &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        Shell::Bash => bash(text, program),
        Shell::Zsh => zsh(&text, program),
        _ => fish(text, program),
    }
}

/// The commands whose word is the id of a container that there is.
pub(super) fn commands_of_ids(program: Program) -> Vec<String> {
    const MAKE_ONE: [&str; 3] = ["create", "run", "restore"];
    let tree = tree(program);
    let takes_id = |command: &&clap::Command| {
        let mut words = command.get_positionals();
        // `ID [PROGRAM` takes more words behind it.
        let is_id = |arg: &clap::Arg| {
            let names = arg.get_value_names().unwrap_or_default();
            names
                .first()
                .is_some_and(|name| name.split(' ').next() == Some("ID"))
        };
        !MAKE_ONE.contains(&command.get_name()) && words.next().is_some_and(is_id)
    };
    let names = tree.get_subcommands().filter(takes_id);
    names.map(|command| command.get_name().to_owned()).collect()
}

/// The generated function first, then the ids.
fn bash(text: String, program: Program) -> String {
    let (name, commands) = (program.name(), commands_of_ids(program).join("|"));
    let text = text.replace(
        &format!("complete -F _{name} "),
        &format!("complete -F _{name}_and_ids "),
    );
    let ids = format!(
        "_{name}_and_ids() {{
    _{name} \"$@\"
    local word
    [[ $2 == -* ]] && return
    for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do
        case \"$word\" in
            {commands})
                COMPREPLY=( $(compgen -W \"$({name} list --quiet 2>/dev/null)\" -- \"$2\") )
                return ;;
        esac
    done
}}

"
    );
    match text.rfind("\nif [[ ") {
        Some(place) => format!("{}\n{ids}{}", &text[..place], &text[place + 1..]),
        None => text,
    }
}

fn zsh(text: &str, program: Program) -> String {
    let name = program.name();
    let ids = format!(
        "_{name}_ids() {{
    local -a ids; ids=(${{(f)\"$({name} list --quiet 2>/dev/null)\"}})
    _describe -t ids 'container' ids \"$@\"
}}

"
    );
    let commands = commands_of_ids(program);
    let mut command = "";
    let mut out = String::new();
    for line in text.lines() {
        // `(state)` opens the part of a command.
        if let Some(opened) = line
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
        {
            command = opened;
        }
        if line.starts_with("if [ \"$funcstack") {
            out.push_str(&ids);
        }
        let takes_id = commands.iter().any(|name| name == command);
        let is_id = line.starts_with("':id -- ") || line.starts_with("'::id -- ");
        // `exec` and `ps` take an id and any words.
        if takes_id && line.starts_with("'*::words -- ") {
            out.push_str(&format!("':id:_{name}_ids' \\\n"));
        }
        match takes_id && is_id {
            true => out.push_str(&line.replace(":_default'", &format!(":_{name}_ids'"))),
            false => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// What is generated knows flags only.
fn fish(mut text: String, program: Program) -> String {
    let name = program.name();
    text.push_str(&format!(
        "complete -c {name} -n \"__fish_{name}_using_subcommand {}\" -f -a \"{}\"\n",
        Completion::NAME,
        SHELLS.join(" ")
    ));
    for command in commands_of_ids(program) {
        text.push_str(&format!(
            "complete -c {name} -n \"__fish_{name}_using_subcommand {command}\" -f -a \"({name} list --quiet 2>/dev/null)\"\n"
        ));
    }
    text
}
