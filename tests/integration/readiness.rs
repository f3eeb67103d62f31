//! NOTIFY_SOCKET: a service manager learns that the program is ready (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Bundle, Lab, host, tests};

tests!(
    run_in_the_foreground_passes_readiness_on_while_it_stays,
    detached_run_returns_when_the_program_is_ready,
    start_returns_when_the_program_is_ready,
    a_program_that_is_never_ready_ends_the_wait_by_ending,
);

const SAY: &str = "socket(S, PF_UNIX, SOCK_DGRAM, 0); \
    send(S, \"STATUS=x\\nREADY=1\\n\", 0, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!;";

/// A program that says READY, or only dies; by the perl of this host.
fn bundle(lab: &Lab, script: &str) -> Bundle {
    lab.need_program("perl");
    let mut bundle = lab.bundle();
    for dir in ["/usr", "/lib", "/lib64"] {
        if std::path::Path::new(dir).exists() {
            bundle.bind(std::path::Path::new(dir), dir, &["rbind", "ro"]);
        }
    }
    bundle.set(
        "/process/args",
        json!(["/usr/bin/perl", "-MSocket", "-e", script]),
    );
    bundle
}

fn manager(lab: &Lab) -> (UnixDatagram, String) {
    let path = lab.path("manager");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(host::patience(Duration::from_secs(10))))
        .unwrap();
    (socket, path.display().to_string())
}

fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 512];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

fn run_in_the_foreground_passes_readiness_on_while_it_stays(lab: &Lab) {
    let bundle = bundle(lab, &format!("{SAY} sleep 1; exit 7"));
    let (socket, path) = manager(lab);
    let mut run = lab
        .run_call(&bundle, &[], &lab.id())
        .env("NOTIFY_SOCKET", &path)
        .start();
    assert_eq!(next(&socket), "READY=1");
    assert_eq!(next(&socket), format!("MAINPID={}", run.pid()));
    assert_eq!(next(&socket), "BARRIER=1");
    assert!(!run.has_ended());
    assert_eq!(run.done().code, 7);
}

fn detached_run_returns_when_the_program_is_ready(lab: &Lab) {
    let bundle = bundle(lab, &format!("sleep 1; {SAY} sleep 1000"));
    let (socket, path) = manager(lab);
    let id = lab.id();
    let run = lab
        .run_call(&bundle, &["--detach"], &id)
        .env("NOTIFY_SOCKET", &path)
        .start();
    assert_eq!(next(&socket), "READY=1");
    let state = lab.corten(&["state", &id]).ok().json();
    assert_eq!(next(&socket), format!("MAINPID={}", state["pid"]));
    assert_eq!(next(&socket), "BARRIER=1");
    run.done().ok();
    lab.corten(&["delete", "--force", &id]).ok();
}

fn start_returns_when_the_program_is_ready(lab: &Lab) {
    let bundle = bundle(lab, &format!("{SAY} sleep 1000"));
    let (socket, path) = manager(lab);
    let (id, directory) = (lab.id(), bundle.write());
    lab.call(&["create", "--bundle", &directory, &id])
        .env("NOTIFY_SOCKET", &path)
        .done()
        .ok();
    let start = lab
        .call(&["start", &id])
        .env("NOTIFY_SOCKET", &path)
        .start();
    assert_eq!(next(&socket), "READY=1");
    assert!(next(&socket).starts_with("MAINPID="));
    assert_eq!(next(&socket), "BARRIER=1");
    start.done().ok();
    lab.corten(&["delete", "--force", &id]).ok();
}

fn a_program_that_is_never_ready_ends_the_wait_by_ending(lab: &Lab) {
    let bundle = bundle(lab, "exit 3");
    let (_socket, path) = manager(lab);
    let id = lab.id();
    lab.run_call(&bundle, &["--detach"], &id)
        .env("NOTIFY_SOCKET", &path)
        .done()
        .ok();
    lab.corten(&["delete", "--force", &id]).ok();
}
