//! Real hooks: shell scripts in a directory of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::config::Hook;
use crate::error::Result;

/// A bundle that is removed with the test.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corten-hooks-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn script(&self, name: &str, text: &str) -> Hook {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let env = vec!["PATH=/usr/bin:/bin".to_owned()];
        Hook {
            path: path.to_str().unwrap().to_owned(),
            env,
            ..Hook::default()
        }
    }

    fn prepare(&self, hook: &Hook) -> PreparedHook {
        let cwd = std::ffi::CString::new(self.0.to_str().unwrap()).unwrap();
        prepare(hook, Kind::CreateRuntime, 0, &cwd).unwrap()
    }

    fn run(&self, hook: &Hook, state: &[u8]) -> Result<()> {
        run_hook(&self.prepare(hook), &Place::RUNTIME, state)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn error(&self, hook: &Hook) -> String {
        let text = self.run(hook, b"{}").unwrap_err().to_string();
        text.replace(self.0.to_str().unwrap(), "BUNDLE")
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Until the process has ended; a test that waits longer than 5 seconds has failed.
fn assert_ends(pid: &str) {
    let path = Path::new("/proc").join(pid.trim()).join("stat");
    let start = Instant::now();
    // A zombie has ended: nobody reaps orphans in a container without an init.
    while fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{pid} is still alive"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_hook_gets_the_state_its_env_alone_the_bundle_and_three_descriptors() {
    let bundle = Bundle::new("gets");
    let mut hook = bundle.script(
        "hook",
        "cat > state; env > env; pwd > cwd; ls /proc/self/fd > fds; echo $0 $1 > args",
    );
    hook.args = vec!["name".to_owned(), "one".to_owned()];
    hook.env.push("ONE=1".to_owned());
    let state = vec![b'x'; 300_000];
    bundle.run(&hook, &state).unwrap();
    assert_eq!(bundle.read("state").as_bytes(), state);
    let env = bundle.read("env");
    // The shell adds some of its own.
    let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let mut env: Vec<&str> = env
        .lines()
        .filter(|line| !own.iter().any(|own| line.starts_with(own)))
        .collect();
    env.sort_unstable();
    assert_eq!(env, ["ONE=1", "PATH=/usr/bin:/bin"]);
    assert_eq!(
        Path::new(bundle.read("cwd").trim()).canonicalize().unwrap(),
        bundle.0.canonicalize().unwrap()
    );
    // 3 is the directory that ls reads.
    assert_eq!(bundle.read("fds"), "0\n1\n2\n3\n");
    assert!(bundle.read("args").ends_with(" one\n"));
}

#[test]
fn a_hook_that_reads_nothing_of_a_large_state_ends_well() {
    let bundle = Bundle::new("deaf");
    bundle
        .run(&bundle.script("hook", "exit 0"), &vec![b'x'; 2_000_000])
        .unwrap();
}

#[test]
fn signals_are_as_in_a_fresh_process() {
    let bundle = Bundle::new("signals");
    bundle
        .run(
            &bundle.script("hook", "grep -E 'Sig(Blk|Ign)' /proc/self/status > status"),
            b"",
        )
        .unwrap();
    let status = bundle.read("status");
    assert_eq!(status.matches("0000000000000000").count(), 2, "{status}");
}

#[test]
fn a_failing_hook_is_named_with_its_status_and_its_last_words() {
    let bundle = Bundle::new("fails");
    let hook = bundle.script("hook", "echo out; echo 'no such device' >&2; exit 3");
    assert_eq!(
        bundle.error(&hook),
        "hooks.createRuntime[0]: error running createRuntime hook #0: hook BUNDLE/hook exited with status 3: out\nno such device"
    );
    let silent = bundle.script("silent", "kill -9 $$");
    assert_eq!(
        bundle.error(&silent),
        "hooks.createRuntime[0]: error running createRuntime hook #0: hook BUNDLE/silent exited with status 137"
    );
    let chatty = bundle.script("chatty", "i=0; while [ $i -lt 3000 ]; do echo $i 0123456789012345678901234567; i=$((i+1)); done; exit 1");
    let error = bundle.error(&chatty);
    assert!(error.ends_with("2999 0123456789012345678901234567"));
    assert!(error.len() < 4300);
}

#[test]
fn a_hook_that_cannot_be_executed_says_why() {
    let bundle = Bundle::new("exec");
    let mut hook = bundle.script("hook", "");
    hook.path.push_str(".missing");
    assert_eq!(
        bundle.error(&hook),
        "hooks.createRuntime[0]: error running createRuntime hook #0: cannot execute hook BUNDLE/hook.missing: no such file or directory"
    );
    let hook = bundle.script("plain", "");
    fs::set_permissions(&hook.path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        bundle.error(&hook),
        "hooks.createRuntime[0]: error running createRuntime hook #0: cannot execute hook BUNDLE/plain: permission denied"
    );
    let prepared = prepare(&hook, Kind::Poststop, 2, c"/proc/missing").unwrap();
    let error = run_hook(&prepared, &Place::RUNTIME, b"")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("hooks.poststop[2]: error running poststop hook #2: cannot enter /proc/missing for hook "),
        "{error}"
    );
}

#[test]
fn hooks_run_in_order_and_the_first_failure_ends_them() {
    let bundle = Bundle::new("order");
    let hooks: Vec<_> = ["echo 1 >> log", "echo 2 >> log; exit 1", "echo 3 >> log"]
        .iter()
        .enumerate()
        .map(|(index, text)| bundle.prepare(&bundle.script(&index.to_string(), text)))
        .collect();
    run_hooks(&hooks, &Place::RUNTIME, b"").unwrap_err();
    assert_eq!(bundle.read("log"), "1\n2\n");
    assert_eq!(run_poststop(&hooks, &Place::RUNTIME, b"").len(), 1);
    assert_eq!(bundle.read("log"), "1\n2\n1\n2\n3\n");
}

#[test]
fn a_timeout_ends_the_hook_and_all_that_it_started() {
    let bundle = Bundle::new("timeout");
    // A child, one in a session of its own, and a grandchild whose parent is in a session of its own.
    let text = "sleep 60 & echo $! > one
setsid sleep 60 & echo $! > two
setsid sh -c 'sleep 60 & echo $! > three; wait' & echo working
wait";
    let hook = Hook {
        timeout: Some(1),
        ..bundle.script("hook", text)
    };
    let start = Instant::now();
    assert_eq!(
        bundle.error(&hook),
        "hooks.createRuntime[0]: error running createRuntime hook #0: hook BUNDLE/hook did not end within 1 s: working"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
    ["one", "two", "three"]
        .iter()
        .for_each(|name| assert_ends(&bundle.read(name)));
}

#[test]
fn a_daemon_that_keeps_the_output_open_holds_nobody_up() {
    let bundle = Bundle::new("daemon");
    let start = Instant::now();
    bundle
        .run(
            &bundle.script("hook", "sleep 60 & echo $! > pid; echo started"),
            b"",
        )
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    let pid = bundle.read("pid");
    assert!(
        Path::new("/proc").join(pid.trim()).exists(),
        "a daemon that is left behind stays"
    );
    crate::sys::Pidfd::open(pid.trim().parse().unwrap())
        .unwrap()
        .signal(libc::SIGKILL)
        .unwrap();
}

#[test]
fn init_runs_a_hook_with_the_state_from_its_beginning_each_time() {
    use std::os::fd::AsRawFd;
    let bundle = Bundle::new("init");
    let hook = bundle.prepare(&bundle.script("hook", "cat >> log"));
    let state = state_file(b"{}\n").unwrap();
    for _ in 0..2 {
        let ended = run_hook_in_init(&hook, state.as_raw_fd(), None, &mut Tail::default()).unwrap();
        assert_eq!(ended, Ended::Status(0));
    }
    assert_eq!(bundle.read("log"), "{}\n{}\n");
}

#[test]
fn a_hook_joins_the_namespaces_of_another_process_and_we_stay_in_ours() {
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};
    if !crate::sys::credentials::ids().0.contains(&0) {
        return;
    }
    let bundle = Bundle::new("join");
    // The child of unshare is pid 1 of its namespace; it ends with its standard input.
    let mut init = Command::new("unshare")
        .args([
            "--pid",
            "--uts",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            "hostname inside; echo ready; read x",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 6];
    std::io::Read::read_exact(init.stdout.as_mut().unwrap(), &mut line).unwrap();
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", init.id())).unwrap();
    let pidfd = crate::sys::Pidfd::open(children.trim().parse().unwrap()).unwrap();
    let hook = bundle.prepare(&bundle.script(
        "hook",
        "hostname > name; echo $$ > pid; readlink /proc/self/ns/mnt > mnt",
    ));
    let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWUTS;
    let place = Place {
        at: Where::Container {
            init: pidfd.as_fd(),
            namespaces,
        },
        ..Place::RUNTIME
    };
    run_hook(&hook, &place, b"").unwrap();
    assert_eq!(bundle.read("name"), "inside\n");
    // 1 is the shell, 2 was its hostname.
    assert_eq!(bundle.read("pid"), "3\n");
    // The next child is born in our own pid namespace again.
    bundle
        .run(
            &bundle.script("after", "readlink /proc/self/ns/pid > ns"),
            b"",
        )
        .unwrap();
    assert_eq!(
        bundle.read("ns").trim(),
        fs::read_link("/proc/self/ns/pid")
            .unwrap()
            .to_str()
            .unwrap()
    );
    drop(init.stdin.take());
    init.wait().unwrap();
}

#[test]
fn a_sigterm_to_the_runtime_ends_the_wait_and_the_hook() {
    use crate::supervise::Signals;
    use crate::sys::poll::{Deadline, wait_readable};
    use crate::sys::spawn::fork_for_test;
    let bundle = Bundle::new("sigterm");
    let hook =
        bundle.prepare(&bundle.script("hook", "mkfifo ready; echo $$ > ready; exec sleep 60"));
    let runtime = fork_for_test(|| {
        let signals = Signals::block().unwrap();
        let place = Place {
            signals: Some(&signals),
            ..Place::RUNTIME
        };
        let failure = run_hook(&hook, &place, b"").unwrap_err().to_string();
        i32::from(failure.ends_with("was ended by signal 15 to the runtime"))
    });
    let pid = read_ready(&bundle);
    crate::sys::process::pidfd_send_signal(runtime.pidfd, libc::SIGTERM).unwrap();
    wait_readable(runtime.pidfd, Deadline::after(Duration::from_secs(5))).unwrap();
    assert_eq!(crate::sys::process::wait_pidfd(runtime.pidfd).unwrap(), 1);
    crate::sys::fs::close(runtime.pidfd);
    assert_ends(&pid);
}

#[test]
fn a_hook_dies_with_the_runtime() {
    let bundle = Bundle::new("pdeathsig");
    let hook =
        bundle.prepare(&bundle.script("hook", "mkfifo ready; echo $$ > ready; exec sleep 60"));
    let runtime = crate::sys::spawn::fork_for_test(|| {
        run_hook(&hook, &Place::RUNTIME, b"").unwrap();
        0
    });
    let pid = read_ready(&bundle);
    crate::sys::process::pidfd_send_signal(runtime.pidfd, libc::SIGKILL).unwrap();
    crate::sys::process::wait_pidfd(runtime.pidfd).unwrap();
    crate::sys::fs::close(runtime.pidfd);
    assert_ends(&pid);
}

/// What the hook writes to its fifo, once it is there.
fn read_ready(bundle: &Bundle) -> String {
    let (path, start) = (bundle.0.join("ready"), Instant::now());
    while !path.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the hook does not start"
        );
        std::thread::yield_now();
    }
    fs::read_to_string(path).unwrap()
}

#[test]
fn output_may_go_to_files_that_grow_and_what_has_none_is_told() {
    let bundle = Bundle::new("files");
    let hook = bundle.script("hook", "echo out; echo err >&2; exit 1");
    let path =
        |name: &str| Some(std::ffi::CString::new(bundle.0.join(name).to_str().unwrap()).unwrap());
    let with = |output| PreparedHook {
        output,
        ..bundle.prepare(&hook)
    };
    let stdout = with(OutputFiles {
        stdout: path("out"),
        stderr: None,
    });
    for _ in 0..2 {
        let failure = run_hook(&stdout, &Place::RUNTIME, b"")
            .unwrap_err()
            .to_string();
        assert!(failure.ends_with("exited with status 1: err"), "{failure}");
    }
    assert_eq!(bundle.read("out"), "out\nout\n");
    let both = with(OutputFiles {
        stdout: path("out"),
        stderr: path("err"),
    });
    let failure = run_hook(&both, &Place::RUNTIME, b"")
        .unwrap_err()
        .to_string();
    assert!(failure.ends_with("exited with status 1"), "{failure}");
    assert_eq!(bundle.read("err"), "err\n");
    let nowhere = with(OutputFiles {
        stdout: path("missing/out"),
        stderr: None,
    });
    let failure = run_hook(&nowhere, &Place::RUNTIME, b"")
        .unwrap_err()
        .to_string();
    assert!(
        failure.ends_with("missing/out for the output of hooks: no such file or directory"),
        "{failure}"
    );
}

#[test]
fn a_hook_in_a_user_namespace_is_its_root_in_a_directory_that_root_may_not_enter() {
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};
    if crate::sys::credentials::ids().0[1] != 0 {
        return;
    }
    let bundle = Bundle::new("userns");
    let hook = bundle.script("hook", "echo $(id -u) $(id -g) $(ls) >&2; exit 1");
    let closed = bundle.0.join("closed");
    fs::create_dir_all(closed.join("bundle")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let mut init = Command::new("unshare")
        .args(["--user", "--mount", "sh", "-c", "echo ready; read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(init.stdout.as_mut().unwrap(), &mut [0; 6]).unwrap();
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", init.id()), "0 100000 1000").unwrap();
    }
    let pidfd = crate::sys::Pidfd::open(init.id().cast_signed()).unwrap();
    let cwd = std::ffi::CString::new(closed.join("bundle").to_str().unwrap()).unwrap();
    let hook = prepare(&hook, Kind::CreateContainer, 0, &cwd).unwrap();
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    let at = Where::Container {
        init: pidfd.as_fd(),
        namespaces,
    };
    let failure = run_hook(
        &hook,
        &Place {
            at,
            ..Place::RUNTIME
        },
        b"",
    )
    .unwrap_err()
    .to_string();
    drop(init.stdin.take());
    init.wait().unwrap();
    assert!(failure.ends_with("exited with status 1: 0 0"), "{failure}");
}
