//! The contract.
//!
//! In commands and words `@id` is the container, `@bundle` its bundle, `@dir` a directory of the row and `@root`
//! the state directory. What stands before ` -- ` takes the place of the global flags.

use serde_json::json;

use crate::harness::Bundle;

/// A situation and what callers rely on in it.
pub struct Row {
    pub situation: &'static str,
    /// What is special about the bundle; its program sleeps.
    pub bundle: fn(&mut Bundle),
    /// What has happened before; all of it succeeds.
    pub before: &'static [&'static str],
    /// What is called.
    pub command: &'static str,
    pub code: i32,
    /// Words on stderr, and in the log. None: stderr is empty.
    pub says: &'static [&'static str],
    /// Words on stdout.
    pub prints: &'static [&'static str],
    pub log: Log,
    pub files: &'static [File],
    /// What `state` says afterwards; `none` where it fails.
    pub status: Option<&'static str>,
}

/// What the call leaves in the log.
#[derive(Clone, Copy)]
pub enum Log {
    /// Nothing.
    Nothing,
    /// One object of level error, with the words and the time.
    OneError,
    /// Nobody reads it: the command line itself is wrong.
    Anything,
}

/// What the call leaves in files.
pub enum File {
    /// No such file.
    Absent(&'static str),
    /// A text of which this holds.
    Holds(&'static str, fn(&str) -> bool),
}

const OK: Row = Row {
    situation: "",
    bundle: |_| {},
    before: &[],
    command: "",
    code: 0,
    says: &[],
    prints: &[],
    log: Log::Nothing,
    files: &[],
    status: None,
};

/// The runtime refuses.
const FAILS: Row = Row {
    code: 1,
    log: Log::OneError,
    ..OK
};

/// The command line is wrong.
const USAGE: Row = Row {
    code: 1,
    log: Log::Anything,
    ..OK
};

const CREATE: &str = "create --bundle @bundle @id";
const RUN: &str = "run --bundle @bundle @id";
const RUN_DETACHED: &str = "run --detach --bundle @bundle @id";
const START: &str = "start @id";

fn is_pid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_terminal(bundle: &mut Bundle) {
    bundle.set("/process/terminal", json!(true));
}

pub const ROWS: &[Row] = &[
    // ---- the command line ----
    Row {
        situation: "the version",
        command: "--version",
        prints: &[" version ", "\nspec: 1."],
        ..OK
    },
    Row {
        situation: "help",
        command: "--help",
        prints: &["create", "delete"],
        ..OK
    },
    Row {
        situation: "help of a command",
        command: "create --help",
        prints: &["--bundle", "--pid-file"],
        ..OK
    },
    Row {
        situation: "a word too few",
        command: "state",
        says: &["\"state\" requires exactly 1 argument"],
        ..USAGE
    },
    Row {
        situation: "a word too many",
        command: "start a b",
        says: &["\"start\" requires exactly 1 argument"],
        ..USAGE
    },
    Row {
        situation: "a flag without its value",
        command: "create --bundle",
        says: &["flag needs an argument: -bundle"],
        ..USAGE
    },
    Row {
        situation: "a flag that is none",
        command: "state --colour @id",
        says: &["flag provided but not defined: -colour"],
        prints: &["Incorrect Usage: flag provided but not defined: -colour\n\nNAME:\n"],
        ..USAGE
    },
    Row {
        situation: "a flag that is none, of exec",
        command: "exec --colour @id true",
        says: &["flag provided but not defined: -colour"],
        prints: &["Incorrect Usage: flag provided but not defined: -colour"],
        ..USAGE
    },
    Row {
        situation: "a value that is no number",
        command: "exec --preserve-fds much @id true",
        says: &["invalid value \"much\" for flag -preserve-fds: "],
        ..USAGE
    },
    Row {
        situation: "a boolean that is none",
        command: "run --keep=perhaps @id",
        says: &["invalid boolean value \"perhaps\" for -keep: parse error"],
        ..USAGE
    },
    Row {
        situation: "a command that is none",
        command: "paint @id",
        code: 3,
        says: &["No help topic for 'paint'"],
        ..USAGE
    },
    Row {
        situation: "help of a command that is none",
        command: "help paint",
        code: 3,
        says: &["No help topic for 'paint'"],
        ..USAGE
    },
    Row {
        situation: "no help",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        command: "run --help=false --bundle @bundle @id",
        ..OK
    },
    Row {
        situation: "empty values",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        command: "run --pid-file= --bundle= --console-socket= @id",
        ..OK
    },
    Row {
        situation: "an interval of nothing",
        before: &[RUN_DETACHED],
        command: "events --interval 0s @id",
        says: &["duration interval must be greater than 0"],
        ..FAILS
    },
    Row {
        situation: "another format of the log",
        command: "--root @root --log-format xml -- list",
        says: &["invalid log-format"],
        ..USAGE
    },
    Row {
        situation: "the root directory as state directory",
        command: "--root / -- list",
        says: &["should not be set to /"],
        ..USAGE
    },
    Row {
        situation: "one dash, equal signs",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        command: "run -bundle=@bundle --keep=false @id",
        ..OK
    },
    // ---- create ----
    Row {
        situation: "create",
        command: "create --bundle @bundle --pid-file @dir/pid @id",
        files: &[File::Holds("@dir/pid", is_pid)],
        status: Some("created"),
        ..OK
    },
    Row {
        situation: "create of an id that there is",
        before: &[CREATE],
        command: CREATE,
        says: &["container with given ID already exists"],
        status: Some("created"),
        ..FAILS
    },
    Row {
        situation: "create with an id that is a path",
        command: "create --bundle @bundle a/b",
        says: &["create failed: invalid container ID format"],
        ..FAILS
    },
    Row {
        situation: "create without config.json",
        command: "create --bundle @dir @id",
        says: &["JSON specification file config.json not found"],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "create in a bundle that is not there",
        command: "create --bundle @dir/bundle @id",
        says: &["create failed: chdir @dir/bundle: no such file or directory"],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "create with a terminal and nobody to take it",
        bundle: has_terminal,
        command: CREATE,
        says: &["cannot allocate tty if runc will detach without setting console socket"],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "a console socket and no terminal",
        command: "create --bundle @bundle --console-socket @dir/socket @id",
        says: &["cannot use console socket if runc will not detach or allocate tty"],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "a program that is not in $PATH",
        bundle: |bundle| {
            bundle.args(&["no-such-program"]);
        },
        command: CREATE,
        says: &[
            "create failed: ",
            "exec: \"no-such-program\": executable file not found in $PATH",
        ],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "a program that is not there",
        bundle: |bundle| {
            bundle.args(&["/no/such"]);
        },
        command: CREATE,
        says: &[
            "unable to start container process: ",
            "exec: \"/no/such\": stat /no/such: no such file or directory",
        ],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "a program that is a directory",
        bundle: |bundle| {
            bundle.args(&["/etc"]);
        },
        command: RUN,
        says: &["run failed: ", "exec: \"/etc\": is a directory"],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "a program that may not be executed",
        bundle: |bundle| {
            bundle.args(&["/etc/passwd"]);
        },
        command: RUN,
        says: &["exec: \"/etc/passwd\": permission denied"],
        status: Some("none"),
        ..FAILS
    },
    Row {
        situation: "a working directory that cannot be entered",
        bundle: |bundle| {
            bundle.set("/process/cwd", json!("/etc/passwd"));
        },
        command: CREATE,
        says: &["not a directory"],
        status: Some("none"),
        ..FAILS
    },
    // ---- start ----
    Row {
        situation: "start",
        before: &[CREATE],
        command: START,
        status: Some("running"),
        ..OK
    },
    Row {
        situation: "start of nobody",
        command: START,
        says: &["container does not exist"],
        ..FAILS
    },
    Row {
        situation: "start twice",
        before: &[CREATE, START],
        command: START,
        says: &["cannot start an already running container"],
        status: Some("running"),
        ..FAILS
    },
    Row {
        situation: "start of a stopped one",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        before: &["run --keep --bundle @bundle @id"],
        command: START,
        says: &["cannot start a container that has stopped"],
        status: Some("stopped"),
        ..FAILS
    },
    // ---- run ----
    Row {
        situation: "run passes the exit status on",
        bundle: |bundle| {
            bundle.sh("echo out; exit 7");
        },
        command: RUN,
        code: 7,
        prints: &["out\n"],
        status: Some("none"),
        ..OK
    },
    Row {
        situation: "run of a program that a signal ends",
        bundle: |bundle| {
            bundle.share("pid").sh("kill -9 $$");
        },
        command: "run --keep --bundle @bundle @id",
        code: 137,
        status: Some("stopped"),
        ..OK
    },
    Row {
        situation: "run --detach",
        command: "run --detach --pid-file @dir/pid --bundle @bundle @id",
        files: &[File::Holds("@dir/pid", is_pid)],
        status: Some("running"),
        ..OK
    },
    // ---- exec ----
    Row {
        situation: "exec",
        before: &[RUN_DETACHED],
        command: "exec @id echo -n words",
        prints: &["words"],
        ..OK
    },
    Row {
        situation: "exec passes the exit status on",
        before: &[RUN_DETACHED],
        command: "exec @id sh -c exit${IFS}9",
        code: 9,
        ..OK
    },
    Row {
        situation: "exec --detach",
        before: &[RUN_DETACHED],
        command: "exec --detach --pid-file @dir/pid @id sleep 1000",
        files: &[File::Holds("@dir/pid", is_pid)],
        ..OK
    },
    Row {
        situation: "exec of a program that is not there",
        before: &[RUN_DETACHED],
        command: "exec --pid-file @dir/pid @id no-such-program",
        code: 255,
        says: &[
            "exec failed: ",
            "exec: \"no-such-program\": executable file not found in $PATH",
        ],
        files: &[File::Absent("@dir/pid")],
        status: Some("running"),
        ..FAILS
    },
    Row {
        situation: "exec in nobody",
        command: "exec @id true",
        code: 255,
        says: &["container does not exist"],
        ..FAILS
    },
    Row {
        situation: "exec in a stopped one",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        before: &["run --keep --bundle @bundle @id"],
        command: "exec @id true",
        code: 255,
        says: &["cannot exec in a stopped container"],
        ..FAILS
    },
    Row {
        situation: "exec in a paused one",
        before: &[RUN_DETACHED, "pause @id"],
        command: "exec @id true",
        code: 255,
        says: &["cannot exec in a paused container (use --ignore-paused to override)"],
        status: Some("paused"),
        ..FAILS
    },
    Row {
        situation: "exec of nothing",
        before: &[RUN_DETACHED],
        command: "exec @id",
        code: 255,
        says: &["exec args cannot be empty"],
        log: Log::Anything,
        ..FAILS
    },
    Row {
        situation: "exec in a relative directory",
        before: &[RUN_DETACHED],
        command: "exec --cwd tmp @id true",
        code: 255,
        says: &["Cwd must be an absolute path"],
        ..FAILS
    },
    Row {
        situation: "exec with a variable that is none",
        before: &[RUN_DETACHED],
        command: "exec --env A=b --env C @id env",
        code: 255,
        says: &["exec failed: ", "="],
        ..FAILS
    },
    // ---- state, list, ps, events ----
    Row {
        situation: "state",
        before: &[RUN_DETACHED],
        command: "state @id",
        prints: &[
            "\"ociVersion\": ",
            "\"id\": \"@id\"",
            "\"status\": \"running\"",
            "\"bundle\": \"@bundle\"",
            "\"created\": ",
            "\"owner\": \"",
        ],
        ..OK
    },
    Row {
        situation: "state of nobody",
        command: "state @id",
        says: &["container does not exist"],
        ..FAILS
    },
    Row {
        situation: "list of nothing",
        command: "list --format json",
        prints: &["null"],
        ..OK
    },
    Row {
        situation: "list",
        before: &[CREATE],
        command: "list",
        prints: &[
            "@id", "PID", "STATUS", "@bundle", "CREATED", "OWNER", "created",
        ],
        ..OK
    },
    Row {
        situation: "list --quiet",
        before: &[CREATE],
        command: "list --quiet",
        prints: &["@id\n"],
        ..OK
    },
    Row {
        situation: "ps as JSON",
        before: &[RUN_DETACHED],
        command: "ps --format json @id",
        prints: &["[", "]"],
        ..OK
    },
    Row {
        situation: "ps as ps prints it",
        before: &[RUN_DETACHED],
        command: "ps @id -e -o pid,args",
        prints: &["PID", "sleep 1000"],
        ..OK
    },
    Row {
        situation: "statistics",
        before: &[RUN_DETACHED],
        command: "events --stats @id",
        prints: &[
            "\"type\":\"stats\"",
            "\"id\":\"@id\"",
            "\"cpu\":{\"usage\":{\"total\":",
            "\"memory\":{",
            "\"pids\":{",
        ],
        ..OK
    },
    Row {
        situation: "statistics of a stopped one",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        before: &["run --keep --bundle @bundle @id"],
        command: "events --stats @id",
        says: &["container with id @id is not running"],
        ..FAILS
    },
    // ---- kill, pause, resume, update ----
    Row {
        situation: "kill",
        before: &[RUN_DETACHED],
        command: "kill @id SIGCONT",
        status: Some("running"),
        ..OK
    },
    Row {
        situation: "kill by number",
        before: &[RUN_DETACHED],
        command: "kill @id 18",
        status: Some("running"),
        ..OK
    },
    Row {
        situation: "kill with a real-time signal",
        before: &[RUN_DETACHED],
        command: "kill @id 40",
        ..OK
    },
    Row {
        situation: "kill of nobody",
        command: "kill @id KILL",
        says: &["container does not exist"],
        ..FAILS
    },
    Row {
        situation: "kill of a stopped one",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        before: &["run --keep --bundle @bundle @id"],
        command: "kill @id KILL",
        says: &["container not running"],
        ..FAILS
    },
    Row {
        situation: "kill --all of a stopped one",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        before: &["run --keep --bundle @bundle @id"],
        command: "kill --all @id KILL",
        ..OK
    },
    Row {
        situation: "an unknown signal",
        before: &[RUN_DETACHED],
        command: "kill @id NONSENSE",
        says: &["unknown signal \"NONSENSE\""],
        ..FAILS
    },
    Row {
        situation: "pause",
        before: &[RUN_DETACHED],
        command: "pause @id",
        status: Some("paused"),
        ..OK
    },
    Row {
        situation: "resume",
        before: &[RUN_DETACHED, "pause @id"],
        command: "resume @id",
        status: Some("running"),
        ..OK
    },
    Row {
        situation: "resume of a running one",
        before: &[RUN_DETACHED],
        command: "resume @id",
        says: &["container not paused"],
        ..FAILS
    },
    Row {
        situation: "pause of a stopped one",
        bundle: |bundle| {
            bundle.args(&["true"]);
        },
        before: &["run --keep --bundle @bundle @id"],
        command: "pause @id",
        says: &["container not running"],
        ..FAILS
    },
    Row {
        situation: "update of the kernel's memory, which cgroup v2 has no limit for",
        before: &[RUN_DETACHED],
        command: "update --kernel-memory 1m @id",
        says: &["Kernel memory settings are ignored and will be removed"],
        log: Log::Anything,
        status: Some("running"),
        ..OK
    },
    Row {
        situation: "update of a share of the cache that there is not",
        before: &[RUN_DETACHED],
        command: "update --l3-cache-schema L3:0=f @id",
        says: &["Intel RDT"],
        status: Some("running"),
        ..FAILS
    },
    // ---- delete ----
    Row {
        situation: "delete of a created one",
        before: &[CREATE],
        command: "delete @id",
        status: Some("none"),
        ..OK
    },
    Row {
        situation: "delete of a running one",
        before: &[RUN_DETACHED],
        command: "delete @id",
        says: &["cannot delete container @id that is not stopped: running"],
        status: Some("running"),
        ..FAILS
    },
    Row {
        situation: "delete --force of a running one",
        before: &[RUN_DETACHED],
        command: "delete --force @id",
        status: Some("none"),
        ..OK
    },
    Row {
        situation: "delete of nobody",
        command: "delete @id",
        says: &["container does not exist"],
        ..FAILS
    },
    Row {
        situation: "delete --force of nobody",
        command: "delete --force @id",
        ..OK
    },
    // ---- spec, features ----
    Row {
        situation: "spec where there is one",
        command: "spec --bundle @bundle",
        says: &["File config.json exists. Remove it first"],
        ..FAILS
    },
    Row {
        situation: "features",
        command: "features",
        prints: &[
            "\"ociVersionMin\"",
            "\"ociVersionMax\"",
            "\"linux\"",
            "\"rro\"",
        ],
        ..OK
    },
];
