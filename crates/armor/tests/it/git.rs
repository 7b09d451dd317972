//! The task's branch and working copy, with the image that has git (R43).

use armor::task::{Outcome, WorkState};
use armor::{CreateTask, Execute};
use armor_core::error::{Code, Diagnostic};
use armor_testkit::{Home, require_engine};
use tokio_util::sync::CancellationToken;

use crate::support::{attach, attached, events, open, run, sh};

fn well() -> Outcome {
    Outcome { message: None, result: None }
}

#[tokio::test]
async fn engine_commits_come_home_at_detach_stop_and_completion_and_nothing_else_changes() {
    require_engine!();
    let home = Home::with_base_image();
    let repository = home.repository();
    let before = repository.snapshot();
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    let commit = "echo $ARMOR_EXECUTION_ID >> log && git add log && git commit -qm work && git rev-parse HEAD";

    let task = attached(&armor, &repository).await;
    let branch = format!("task/{}", task.id);
    assert_eq!(repository.git(&["rev-parse", &branch]), repository.git(&["rev-parse", "main"]));
    let first = sh(&armor, &task, commit).await;
    // As if somebody had been killed while he did the same.
    let left = lifecycle.folder(&task.id).path().join("collecting");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("stdout"), "half a bundle").unwrap();
    lifecycle.detach(task.id.as_str(), None).await.unwrap();
    assert!(!left.exists());
    assert_eq!(repository.git(&["rev-parse", &branch]), first.trim());
    attach(&armor, &task).await.unwrap();
    let second = sh(&armor, &task, commit).await;
    lifecycle.complete(task.id.as_str(), well()).await.unwrap();
    assert_eq!(repository.git(&["rev-parse", &branch]), second.trim());

    let task = attached(&armor, &repository).await;
    let branch = format!("task/{}", task.id);
    let third = sh(&armor, &task, commit).await;
    lifecycle.cancel(task.id.as_str(), None).await.unwrap();
    assert_eq!(repository.git(&["rev-parse", &branch]), third.trim());
    assert_eq!(
        repository.git(&["log", "-1", "--format=%an %ae", &branch]),
        "agent-1 agent-1@agents.invalid"
    );
    assert_eq!(repository.snapshot(), before);
}

// R97: nothing of the user's repository can be written from the sandbox.
#[tokio::test]
async fn engine_the_users_repository_is_out_of_reach() {
    require_engine!();
    let home = Home::with_base_image();
    let repository = home.repository();
    let armor = open(&home).await;
    let task = attached(&armor, &repository).await;
    let before = repository.snapshot();
    let report = run(
        &armor,
        &task,
        "rm -rf /run/armor/objects/*; touch /run/armor/objects/x; git push origin HEAD:main; git fsck && git log --oneline",
    )
    .await
    .unwrap();
    assert!(report.stderr.text.contains("Read-only file system"), "{report:?}");
    assert_eq!(report.stdout.text.lines().count(), 2, "{report:?}");
    // Whatever the agent configures, none of it runs on the host.
    let home_dir = home.user().display().to_string();
    let evil = format!(
        "mkdir -p .git/hooks && for h in post-checkout pre-commit reference-transaction post-merge; do \
         printf '#!/bin/sh\\ntouch {home_dir}/escaped\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done; \
         git config core.fsmonitor 'touch {home_dir}/escaped'; git config uploadpack.packObjectsHook 'touch {home_dir}/escaped'; \
         echo '* filter=x diff=x' > .gitattributes; git config filter.x.clean 'touch {home_dir}/escaped; cat'; \
         git add -A; git commit -qm evil; git rev-parse HEAD"
    );
    let head = run(&armor, &task, &evil).await.unwrap().stdout.text;
    armor.lifecycle().detach(task.id.as_str(), None).await.unwrap();
    assert_eq!(repository.git(&["rev-parse", &format!("task/{}", task.id)]), head.trim());
    assert!(!home.user().join("escaped").exists());
    assert_eq!(repository.snapshot(), before);
}

#[tokio::test]
async fn engine_work_that_is_on_no_commit_is_told_and_kept_from_deletion() {
    require_engine!();
    let home = Home::with_base_image();
    let repository = home.repository();
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    let task = attached(&armor, &repository).await;
    sh(&armor, &task, "echo new > new.txt; echo more >> one.txt").await;
    let detached = lifecycle.detach(task.id.as_str(), None).await.unwrap();
    let work = detached.repository.unwrap().work;
    assert_eq!(work, WorkState::Unsaved { files: 2, commits: 0 });
    lifecycle.cancel(task.id.as_str(), None).await.unwrap();
    let error = lifecycle.delete(task.id.as_str(), false).await.unwrap_err();
    assert_eq!(error.code(), Code::TaskUnsavedWork);
    assert!(lifecycle.folder(&task.id).workspace().join("new.txt").exists());
    lifecycle.delete(task.id.as_str(), true).await.unwrap();
    assert!(!lifecycle.folder(&task.id).exists());
}

#[tokio::test]
async fn engine_a_branch_that_the_user_moved_keeps_a_task_from_completing_but_not_from_stopping() {
    require_engine!();
    let home = Home::with_base_image();
    let repository = home.repository();
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    let task = attached(&armor, &repository).await;
    let branch = format!("task/{}", task.id);
    let head = sh(&armor, &task, "git commit -q --allow-empty -m mine && git rev-parse HEAD").await;
    let theirs = repository.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "theirs"]);
    repository.git(&["update-ref", &format!("refs/heads/{branch}"), &theirs]);

    let error = lifecycle.complete(task.id.as_str(), well()).await.unwrap_err();
    assert_eq!(error.code(), Code::WorkspaceBranchConflict);
    lifecycle.cancel(task.id.as_str(), None).await.unwrap();
    assert!(events(&armor, &task).await.contains(&"task:collectFailed"));
    assert_eq!(repository.git(&["rev-parse", &branch]), theirs);
    let kept = format!("refs/armor/incoming/{branch}");
    assert_eq!(repository.git(&["rev-parse", &kept]), head.trim());
}

#[tokio::test]
async fn engine_commits_beside_the_branch_are_told_and_kept_from_deletion() {
    require_engine!();
    let home = Home::with_base_image();
    let repository = home.repository();
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    let task = attached(&armor, &repository).await;
    let line = "git checkout -qb aside && git commit -q --allow-empty -m aside && \
                echo x > one.txt && git stash -q && git checkout -q --detach && \
                git commit -q --allow-empty -m detached";
    sh(&armor, &task, line).await;
    let ended = lifecycle.cancel(task.id.as_str(), None).await.unwrap();
    // One on a branch, one on none, and the two that a stash is made of.
    let work = ended.repository.unwrap().work;
    assert_eq!(work, WorkState::Unsaved { files: 0, commits: 4 });
    let error = lifecycle.delete(task.id.as_str(), false).await.unwrap_err();
    assert_eq!(error.code(), Code::TaskUnsavedWork);
}

#[tokio::test]
async fn engine_a_command_that_still_runs_is_ended_before_the_work_is_collected() {
    require_engine!();
    let home = Home::with_base_image();
    let repository = home.repository();
    let armor = open(&home).await;
    let lifecycle = armor.lifecycle();
    let task = attached(&armor, &repository).await;
    let line = "while :; do git commit -q --allow-empty -m more; echo one; done";
    let command = armor::CommandLine::Shell(line.to_owned());
    let (live, mut pieces) = tokio::sync::mpsc::channel(1024);
    let request = Execute { live: Some(live), ..Execute::new(command) };
    let (other, id) = (lifecycle.clone(), task.id.clone());
    let running =
        tokio::spawn(
            async move { other.execute(id.as_str(), request, CancellationToken::new()).await },
        );
    assert!(pieces.recv().await.is_some());
    let done = lifecycle.complete(task.id.as_str(), well()).await.unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(done.repository.as_ref().unwrap().work, WorkState::Saved);
    lifecycle.delete(task.id.as_str(), false).await.unwrap();
}

// R97: what an agent can write is never a repository that git is run in on the host.
#[tokio::test]
async fn engine_no_task_can_be_made_on_another_tasks_working_copy() {
    require_engine!();
    let home = Home::with_base_image();
    // The widest that a user may allow.
    let home = home.with("ARMOR_WORKSPACE_ALLOWED_ROOTS", "/");
    let repository = home.repository();
    let armor = open(&home).await;
    let task = attached(&armor, &repository).await;
    let workspace = armor.lifecycle().folder(&task.id).workspace();
    for place in [workspace.clone(), workspace.join(".git"), workspace.join(".git/objects")] {
        let mut request = CreateTask::named("inside".parse().unwrap());
        request.workspace = Some(place);
        let error = armor.lifecycle().create(request).await.unwrap_err();
        assert_eq!(error.code(), Code::WorkspaceNotAllowed);
    }
    // Nor through a link that the agent makes, or a repository of its own that leads out.
    sh(&armor, &task, "git init -q inner && ln -s inner link").await;
    for name in ["inner", "link"] {
        let mut request = CreateTask::named("inside".parse().unwrap());
        request.workspace = Some(workspace.join(name));
        assert_eq!(
            armor.lifecycle().create(request).await.unwrap_err().code(),
            Code::WorkspaceNotAllowed
        );
    }
}
