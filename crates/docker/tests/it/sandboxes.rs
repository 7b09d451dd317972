//! Sandboxes as a whole: found, stopped, gone, of other homes (R50).

use std::time::Duration;

use armor_core::error::{Code, Diagnostic};
use armor_core::sandbox::{CommandExit, NetworkMode, Runtime, SandboxState};
use armor_testkit::{engine, require_engine};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, RemoveImageOptions};

use crate::support::Place;

#[tokio::test]
async fn engine_a_sandbox_is_found_in_each_of_its_states() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::None);
    let state = async || place.runtime.find(&spec.task).await.unwrap().map(|found| found.state);
    assert_eq!(state().await, None);
    let made = place.runtime.create(&spec).await.unwrap();
    assert_eq!(state().await, Some(SandboxState::Stopped));
    assert_eq!(place.runtime.create(&spec).await.unwrap().id, made.id, "made twice");
    place.runtime.start(&made.id, &spec).await.unwrap();
    assert_eq!(state().await, Some(SandboxState::Running));
    place.runtime.pause(&made.id).await.unwrap();
    assert_eq!(state().await, Some(SandboxState::Paused));
    place.runtime.unpause(&made.id).await.unwrap();
    place.runtime.stop(&made.id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(state().await, Some(SandboxState::Stopped));
    let ran = place.exec(&made.id, place.request(&["/bin/true"])).await;
    assert_eq!(ran.unwrap_err().code(), Code::SandboxNotFound);
    place.runtime.start(&made.id, &spec).await.unwrap();
    assert_eq!(place.sh(&made.id, "echo again").await.stdout, "again\n");
    place.runtime.remove(&spec.task).await.unwrap();
    place.runtime.remove(&spec.task).await.unwrap();
    assert_eq!(state().await, None);
    assert!(engine::left_of(place.home.as_str()).await.is_empty());
}

#[tokio::test]
async fn engine_two_homes_on_one_engine_do_not_see_each_other() {
    require_engine!();
    let (one, two) = (Place::new(), Place::new());
    let spec = one.spec(NetworkMode::None);
    one.sandbox(&spec).await;
    assert_eq!(two.runtime.find(&spec.task).await.unwrap(), None);
    assert_eq!(two.runtime.list().await.unwrap(), []);
    two.runtime.remove(&spec.task).await.unwrap();
    assert_eq!(one.runtime.list().await.unwrap().len(), 1);
}

// R59
#[tokio::test]
async fn engine_a_sandbox_that_goes_away_under_a_command_is_told_from_one_that_was_not_there() {
    require_engine!();
    for place in Place::both() {
        let spec = place.spec(NetworkMode::None);
        let docker = engine::docker();
        for how in ["kill", "remove"] {
            let sandbox = place.sandbox(&spec).await;
            let request = place.request(&["/bin/sh", "-c", "echo begun; sleep 1000"]);
            let mut running = place.begin(&sandbox, request);
            running.writes().await;
            if how == "kill" {
                docker.kill_container(sandbox.as_str(), None).await.unwrap();
            } else {
                let force = RemoveContainerOptionsBuilder::new().force(true).build();
                docker.remove_container(sandbox.as_str(), Some(force)).await.unwrap();
            }
            assert_eq!(running.end().await.unwrap().exit, CommandExit::SandboxLost, "{how}");
            let ran = place.exec(&sandbox, place.request(&["/bin/true"])).await;
            assert_eq!(ran.unwrap_err().code(), Code::SandboxNotFound, "{how}");
            place.runtime.remove(&spec.task).await.unwrap();
        }
    }
}

#[tokio::test]
async fn engine_files_go_in_and_out_and_a_snapshot_and_figures_can_be_taken() {
    require_engine!();
    let place = Place::new();
    let spec = place.spec(NetworkMode::None);
    let sandbox = place.sandbox(&spec).await;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, "in.txt", &b"hello"[..]).unwrap();
    let archive = archive.into_inner().unwrap();
    place.runtime.copy_in(&sandbox, "/workspace", archive.into()).await.unwrap();
    assert_eq!(place.sh(&sandbox, "cat in.txt").await.stdout, "hello");
    let out = place.runtime.copy_out(&sandbox, "/workspace/in.txt").await.unwrap();
    let mut out = tar::Archive::new(out.as_ref());
    let entry = out.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(std::io::read_to_string(entry).unwrap(), "hello");

    let stats = place.runtime.stats(&sandbox).await.unwrap();
    assert!(stats.memory_bytes > 0 && stats.pids >= 1, "{stats:?}");

    // What is open without a name takes the disk's room, and what lies in memory does not.
    let beside = &spec.mounts[0].source;
    let nameless = async || place.runtime.nameless_bytes(&sandbox, beside).await.unwrap();
    assert_eq!(nameless().await, 0);
    let line = "for at in . /tmp; do exec 3>$at/gone; rm $at/gone; \
                head -c 1048576 /dev/zero >&3; [ $at = . ] && exec 4>&3; done; \
                echo made; sleep 1000";
    let mut running = place.begin(&sandbox, place.request(&["/bin/sh", "-c", line]));
    running.writes().await;
    let bytes = nameless().await;
    assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
    place.kill(&sandbox, &running.execution).await;
    running.end().await.unwrap();
    assert_eq!(nameless().await, 0);

    let name = format!("agentic-armor/test-snapshot:{}", place.home).parse().unwrap();
    place.runtime.snapshot(&sandbox, &name).await.unwrap();
    let docker = engine::docker();
    assert!(docker.inspect_image(name.as_str()).await.is_ok());
    docker.remove_image(name.as_str(), None::<RemoveImageOptions>, None).await.unwrap();
}
