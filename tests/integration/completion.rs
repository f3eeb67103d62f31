//! What `completion` prints, asked in the shells that read it: what they offer to somebody who presses the tab key.

use std::path::Path;

use crate::harness::call::Call;
use crate::harness::{Lab, host, skip, tests};

tests![bash_completes, zsh_completes, fish_completes];

/// The shells' names for a person's command: the program with its state directory.
fn wrapper(lab: &Lab) -> String {
    let (binary, root) = (host::binary(), lab.root.display());
    format!("{} --root {root}", binary.display())
}

fn require(lab: &Lab, shell: &str) -> String {
    lab.need_corten("runc has its own");
    if host::program(shell).is_none() {
        skip(&format!("{shell} is not installed"));
    }
    lab.corten(&["completion", shell]).ok().out
}

/// Asks a shell for what could stand at the end of a line, and holds that against what should.
fn hold(lab: &Lab, ask: impl Fn(&str) -> String) {
    let container = lab.start(&lab.sleeper());
    let id = container.id.as_str();
    let cases = [
        ("corten sta", "start state"),
        ("corten explain --wh", "--why"),
        ("corten shell --net h", "host"),
        ("corten doctor --for po", "podman"),
        ("corten validate --format ", "json sarif text"),
        ("corten completion ", "bash fish zsh"),
        (&format!("corten state {}", &id[..6]), id),
        ("corten --debug exec ", id),
        ("corten create nothing-like-", ""),
    ];
    for (line, wanted) in cases {
        let answer = ask(line);
        let mut offered: Vec<&str> = answer.split_whitespace().collect();
        // bash offers flags where a word may stand.
        offered.retain(|word| line.contains(" --wh") || !word.starts_with('-'));
        offered.sort_unstable();
        offered.dedup();
        assert_eq!(offered.join(" "), wanted, "{line:?}");
    }
    container.end();
}

fn bash_completes(lab: &Lab) {
    let file = lab.file("completion", &require(lab, "bash"));
    let script = format!(
        "corten() {{ {} \"$@\"; }}; source {}
         read -ra COMP_WORDS <<<\"$1\"; [[ $1 != *' ' ]] || COMP_WORDS+=('')
         COMP_LINE=$1 COMP_POINT=${{#1}}
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
         read -ra how <<<\"$(complete -p corten)\"
         while [[ ${{how[0]}} != -F ]]; do how=(\"${{how[@]:1}}\"); done
         ${{how[1]}} corten \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        wrapper(lab),
        file.display()
    );
    hold(lab, |line| {
        let mut call = Call::script(lab, &script);
        call.arg(line);
        call.done().ok().out
    });
}

/// zsh completes only for somebody who types: so it gets a terminal, and notes what is offered there.
const ZSH: &str = r#"
zmodload zsh/zpty
dir=$1 out=$2 line=$3 command=$4
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($dir \$fpath); setopt extendedglob; autoload -Uz compinit; compinit -u -D; corten() { $command \"\$@\" }
compadd() {
    [[ \${@[1,(i)(-|--)]} == *-[[:alpha:]]#[OAD]\ * ]] && { builtin compadd \"\$@\"; return }
    local -a hits; builtin compadd -A hits \"\$@\"; print -rl -- \$hits >>$out; builtin compadd \"\$@\"
}
finish() { : >$out.end }; zle -N finish; bindkey '^X' finish; bindkey '^I' complete-word"
zpty -w -n shell "$line"$'\t\x18'
until [[ -e $out.end ]]; do zpty -r -t shell said; sleep 0.02; done
zpty -d shell
"#;

fn zsh_completes(lab: &Lab) {
    let second = std::time::Duration::from_secs(1);
    if host::patience(second) > second {
        skip("an emulated machine takes minutes for it, and no kernel matters here");
    }
    let text = require(lab, "zsh");
    let script = lab.file("ask", ZSH);
    let functions = lab.path("functions");
    std::fs::create_dir(&functions).unwrap();
    std::fs::write(functions.join("_corten"), text).unwrap();
    let out = lab.path("offered");
    hold(lab, |line| {
        let call = |path: &Path| path.display().to_string();
        let script = format!(
            "exec timeout 60 zsh -f {} {} {} \"$1\" '{}'",
            call(&script),
            call(&functions),
            call(&out),
            wrapper(lab)
        );
        let mut asked = Call::script(lab, &script);
        asked.arg(line);
        asked.done().ok();
        let offered = std::fs::read_to_string(&out).unwrap_or_default();
        for file in [out.clone(), out.with_extension("end")] {
            drop(std::fs::remove_file(file)); // nothing offered, no file
        }
        offered
    });
}

fn fish_completes(lab: &Lab) {
    let file = lab.file("completion", &require(lab, "fish"));
    let home = lab.path("fish");
    std::fs::create_dir(&home).unwrap();
    let script = format!(
        "HOME={0} XDG_CONFIG_HOME={0} XDG_DATA_HOME={0} LINE=$1 exec fish --no-config -c \
         'source {1}; function corten; {2} $argv; end; complete -C \"$LINE\"'",
        home.display(),
        file.display(),
        wrapper(lab)
    );
    hold(lab, |line| {
        let mut call = Call::script(lab, &script);
        call.arg(line);
        let done = call.done().ok();
        // Behind a candidate stands what it is.
        let first = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        done.out.lines().map(first).collect::<Vec<_>>().join("\n")
    });
}
