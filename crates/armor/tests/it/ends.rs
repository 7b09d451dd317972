//! The ends of a task, creation that fails, events for subscribers, closing and opening again.

use std::time::Duration;

use armor::task::{Outcome, Task, TaskStatus};
use armor::{Armor, CreateTask, Pattern};
use armor_core::error::{Code, Diagnostic};
use armor_core::event::CheckpointEvent;
use armor_core::file_lock::FileLock;
use armor_core::id::CheckpointId;
use armor_core::job::JobState;
use armor_core::sandbox::SandboxState;
use armor_core::time::{Clock, SystemClock};
use armor_testkit::{Home, require_engine};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{attach, attached, events, open, run};

/// How long anything may take.
const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn engine_each_end_removes_the_sandbox_and_keeps_files_until_deletion() {
    require_engine!();
    let home = Home::new();
    let repository = home.repository();
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    for status in [TaskStatus::Completed, TaskStatus::Failed, TaskStatus::Cancelled] {
        let task = attached(&armor, &repository).await;
        let reference = task.id.as_str();
        let ended = match status {
            TaskStatus::Completed => {
                let outcome =
                    Outcome { message: Some("done".to_owned()), result: Some(json!([1])) };
                lifecycle.complete(reference, outcome).await
            }
            TaskStatus::Failed => lifecycle.fail(reference, "tests fail".to_owned()).await,
            _ => lifecycle.cancel(reference, Some("enough".to_owned())).await,
        }
        .unwrap();
        assert_eq!((ended.status, &ended.agent), (status, &None));
        assert!(ended.finished_at.is_some() && ended.outcome.is_some());
        assert_eq!(lifecycle.runtime().find(&task.id).await.unwrap(), None);
        assert!(lifecycle.folder(&task.id).workspace().join("one.txt").exists());
        assert_eq!(run(&armor, &task, "true").await.unwrap_err().code(), Code::TaskNotRunning);
        assert_eq!(attach(&armor, &task).await.unwrap_err().code(), Code::TaskIllegalTransition);
        // The image has no git, so nobody knows what is in the working copy.
        let error = lifecycle.delete(reference, false).await.unwrap_err();
        assert_eq!(error.code(), Code::TaskUnsavedWork);
        lifecycle.delete(reference, true).await.unwrap();
        assert!(!lifecycle.folder(&task.id).exists());
        assert_eq!(events(&armor, &task).await.last(), Some(&"task:deleted"));
    }
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

// Who waits for a task's lock finds the task as it was left, not as it was before.
#[tokio::test]
async fn engine_a_task_that_is_taken_up_again_keeps_its_sandbox() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let (lifecycle, now) = (armor.lifecycle(), SystemClock.now());
    let (registry, queue) = (lifecycle.registry(), lifecycle.queue());
    let lock = home.path().join("locks").join(task.id.as_str());
    let lock = FileLock::hold(&lock).await.unwrap();
    let cancel = |task: &Task| task.cancel(None, now);
    registry.change(&task.id, &cancel).await.unwrap().unwrap();
    let mut stirred = queue.stirred();
    let job = loop {
        let job = queue.first_of(task.id.as_str()).await.unwrap();
        match job.filter(|job| matches!(job.state, JobState::Running { .. })) {
            Some(job) => break job,
            None => timeout(LONG, stirred.changed()).await.unwrap().unwrap(),
        }
    };
    let restore = |task: &Task| {
        let checkpoint = CheckpointId::parse("c1").unwrap();
        let safety = checkpoint.clone();
        let fact = CheckpointEvent::Restored { checkpoint, safety, changed: 0, path: None };
        Ok(task.restored(fact, now))
    };
    registry.change(&task.id, &restore).await.unwrap().unwrap();
    drop(lock);
    while queue.job(job.id).await.is_ok() {
        timeout(LONG, stirred.changed()).await.unwrap().unwrap();
    }
    let sandbox = lifecycle.runtime().find(&task.id).await.unwrap().unwrap();
    assert_eq!(sandbox.state, SandboxState::Running);
    lifecycle.delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

// STYLE 8: work in several steps is undone when a step fails.
#[tokio::test]
async fn engine_a_creation_that_fails_midway_leaves_nothing_and_can_be_repeated() {
    require_engine!();
    let home = Home::new();
    let repository = home.repository();
    let armor = open(&home).await;
    // `task` as a branch stands in the way of every branch below it.
    repository.git(&["branch", "task"]);
    let mut request = CreateTask::named("blocked".parse().unwrap());
    request.workspace = Some(repository.path().to_owned());
    let error = armor.lifecycle().create(request.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::WorkspaceBranchConflict);
    assert_eq!(repository.git(&["branch", "--list", "task/*"]), "");
    assert!(armor.lifecycle().registry().recent(10).await.unwrap().is_empty());
    assert!(home.leftovers().await.is_empty());
    repository.git(&["branch", "-D", "task"]);
    armor.lifecycle().create(request).await.unwrap();
}

#[tokio::test]
async fn engine_subscribers_hear_of_what_happens_and_closing_writes_all_of_it() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let mut heard = armor.subscribe("task:*".parse::<Pattern>().unwrap());
    let task = armor.lifecycle().create(CreateTask::named("heard".parse().unwrap())).await.unwrap();
    armor.lifecycle().cancel(task.id.as_str(), None).await.unwrap();
    for name in ["task:created", "task:cancelled"] {
        assert_eq!(heard.next().await.unwrap().unwrap().name(), name);
    }
    let folder = armor.lifecycle().folder(&task.id);
    armor.close().await;
    let state = std::fs::read_to_string(folder.state_file()).unwrap();
    assert!(state.contains("cancelled"), "{state}");

    let again: Armor = open(&home).await;
    assert_eq!(again.lifecycle().resolve("heard").await.unwrap().status, TaskStatus::Cancelled);
    again.close().await;
}

// R25: a database that was lost is no word that its tasks were deleted.
#[tokio::test]
async fn engine_a_sweep_removes_what_was_deleted_and_nothing_that_is_merely_unknown() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let folder = armor.lifecycle().folder(&task.id);
    armor.close().await;
    let other = home.path().join("other.db").display().to_string();
    let builder = Armor::builder(home.environment()).set("database.path", other);
    let stranger = builder.open().await.unwrap();
    assert_eq!(stranger.lifecycle().sweep().await.unwrap().removed, []);
    stranger.close().await;
    assert!(folder.workspace().join("one.txt").exists());

    let armor = open(&home).await;
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    // As after a kill between the deletion and the janitor's work.
    folder.create().unwrap();
    armor.lifecycle().sweep().await.unwrap();
    assert!(!folder.exists());
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}
