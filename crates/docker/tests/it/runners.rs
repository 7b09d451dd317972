//! What a command can do to the runner of its own sandbox, and what does not come of it (R52, R97).
//! Where Armor is root, no command gets at the socket's folder; the tests do it in their place.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use armor_core::sandbox::{CommandExit, NetworkMode, Runtime};
use armor_testkit::require_engine;

use crate::support::{Place, USER};

#[tokio::test]
async fn engine_a_command_that_took_the_runners_socket_away_is_killed_all_the_same() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::None);
    let sandbox = place.sandbox(&spec).await;
    let mut running =
        place.begin(&sandbox, place.request(&["/bin/sh", "-c", "echo begun; sleep 1000"]));
    running.writes().await;
    std::fs::remove_file(place.socket_folder(&spec).join("runner.sock")).unwrap();
    assert!(!place.runtime.kill(&sandbox, &running.execution, USER).await.unwrap());
    place.runtime.restart(&sandbox).await.unwrap();
    assert_eq!(running.end().await.unwrap().exit, CommandExit::SandboxLost);
    assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");
}

#[tokio::test]
async fn engine_a_sandbox_whose_runner_cannot_be_reached_is_started_again() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::None);
    let sandbox = place.sandbox(&spec).await;
    let folder = place.socket_folder(&spec);
    std::fs::remove_file(folder.join("runner.sock")).unwrap();
    place.runtime.start(&sandbox, &spec).await.unwrap();
    assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");

    // One that is in the way of the next start, and cannot even be looked into by its owner.
    place.runtime.stop(&sandbox, Duration::ZERO).await.unwrap();
    std::fs::remove_file(folder.join("runner.sock")).unwrap();
    std::fs::create_dir_all(folder.join("runner.sock/deep")).unwrap();
    for locked in [folder.join("runner.sock"), folder] {
        std::fs::set_permissions(locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    place.runtime.start(&sandbox, &spec).await.unwrap();
    assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");

    // One that is not there, since somebody was killed while it was made anew.
    place.runtime.stop(&sandbox, Duration::ZERO).await.unwrap();
    std::fs::remove_dir_all(place.socket_folder(&spec)).unwrap();
    place.runtime.start(&sandbox, &spec).await.unwrap();
    assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");
    place.runtime.remove(&spec.task).await.unwrap();
    assert!(!place.socket_folder(&spec).exists());
}

#[tokio::test]
async fn engine_a_command_in_a_paused_sandbox_is_killed() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let mut running =
            place.begin(&sandbox, place.request(&["/bin/sh", "-c", "echo begun; sleep 1000"]));
        running.writes().await;
        place.runtime.pause(&sandbox).await.unwrap();
        place.kill(&sandbox, &running.execution).await;
        let exit = running.end().await.unwrap().exit;
        assert!(matches!(exit, CommandExit::Killed | CommandExit::Code(137)), "{exit:?}");
    }
}
