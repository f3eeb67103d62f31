//! 129 to 138: commands at a time of the container's life when they make no sense.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scene::{Row, Scene, elsewhere, story};
use crate::harness::call::eventually;

pub const ROWS: &[Row] = &[
    elsewhere(129, "a name that is taken", "an_id_is_unique"),
    story(129, "a name that is taken by a created one", |scene| {
        scene.create().ok();
        scene.create().fails(1, "container with given ID already exists");
        assert_eq!(scene.status(), "created", "the first one lives on");
        scene.end();
    }),
    elsewhere(130, "start twice", "start_of_a_running_container_is_refused"),
    elsewhere(131, "start of a stopped one", "start_of_a_stopped_container_is_refused"),
    story(132, "its process is killed between create and start", |scene| {
        scene.create().ok();
        let pid = scene.corten(&["state"]).ok().json()["pid"].as_i64().unwrap();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        eventually("it has stopped", || scene.status() == "stopped");
        scene
            .corten(&["start"])
            .fails(1, "cannot start a container that has stopped");
        scene.corten(&["delete"]).ok();
    }),
    story(133, "exec in a created one", |scene| {
        scene.bundle.args(&["sleep", "1000"]);
        scene.create().ok();
        // runc allows it, and engines prepare containers that way.
        assert_eq!(exec(scene).ok().out, "here\n");
        assert_eq!(scene.status(), "created");
        scene.end();
    }),
    elsewhere(133, "exec in a paused one", "pause_stops_and_resume_continues_every_process"),
    elsewhere(133, "exec in a stopped one", "exec_in_a_stopped_container_is_refused"),
    elsewhere(134, "delete of a running one", "delete_of_a_running_container_is_refused"),
    elsewhere(135, "delete --force of an unknown one", "delete_with_force_of_an_unknown_id_succeeds"),
    elsewhere(136, "kill of an unknown one", "unknown_ids_do_not_exist"),
    elsewhere(137, "an unknown signal", "kill_refuses_unknown_signals"),
    elsewhere(138, "kill of a stopped one", "kill_of_a_stopped_container_is_refused"),
    story(138, "every command on a stopped one", |scene| {
        scene.create().ok();
        scene.corten(&["start"]).ok();
        eventually("it has stopped", || scene.status() == "stopped");
        for (command, words) in [
            ("pause", "container not running"),
            ("resume", "container not paused"),
            ("kill", "container not running"),
            ("start", "cannot start a container that has stopped"),
        ] {
            scene.corten(&[command]).fails(1, words);
        }
        let done = exec(scene);
        assert!(done.code == 255 && done.err.contains("stopped"), "{done:?}");
        scene.corten(&["delete"]).ok();
        scene.corten(&["delete"]).fails(1, "container does not exist");
    }),
];

fn exec(scene: &Scene<'_>) -> crate::harness::Done {
    scene.lab.corten(&["exec", &scene.id, "echo", "here"])
}
