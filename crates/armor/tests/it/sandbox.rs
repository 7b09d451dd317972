//! The sandbox of a task: gone and made again, busy, lost.

use std::time::Duration;

use armor::{CommandLine, CreateTask, Execute};
use armor_core::error::{Code, Diagnostic};
use armor_core::execution::ExecutionStatus;
use armor_core::sandbox::{Input, InputStream, TerminalSize};
use armor_testkit::{Home, engine, require_engine};
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use tokio_util::sync::CancellationToken;

use crate::support::{attach, attached, begin, events, open, run, sh};

// R40: a container that is gone is noticed and made again, with all that is kept.
#[tokio::test]
async fn engine_a_sandbox_that_is_gone_is_made_again_with_workspace_and_memory() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    sh(&armor, &task, "echo kept > file; echo kept > ~/memory; echo lost > /tmp/lost").await;
    let find = async || armor.lifecycle().runtime().find(&task.id).await.unwrap().unwrap().id;
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    let first = find().await;
    engine::docker().remove_container(first.as_str(), Some(force)).await.unwrap();
    assert_eq!(sh(&armor, &task, "cat file ~/memory; ls /tmp").await, "kept\nkept\n");
    assert_ne!(find().await, first);
    engine::docker().kill_container(find().await.as_str(), None).await.unwrap();
    assert_eq!(sh(&armor, &task, "cat file").await, "kept\n");
    let named: Vec<_> = events(&armor, &task)
        .await
        .into_iter()
        .filter(|name| name.starts_with("sandbox"))
        .collect();
    assert_eq!(named, ["sandbox:created", "sandbox:lost", "sandbox:created", "sandbox:restarted"]);
    armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    armor.close().await;
    assert!(home.leftovers().await.is_empty());
}

// Also by a process that has seen it run, and so does not look at it before each command.
#[tokio::test]
async fn engine_a_sandbox_whose_runner_cannot_be_reached_is_seen_to_before_the_next_command() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    sh(&armor, &task, "echo kept > file").await;
    let sockets = home.path().join("runners/sockets").join(task.id.as_str());
    std::fs::remove_file(sockets.join("runner.sock")).unwrap();
    assert_eq!(sh(&armor, &task, "cat file").await, "kept\n");
}

// What comes to be read is not taken before the command runs, so nothing is lost with a sandbox.
#[tokio::test]
async fn engine_input_that_comes_is_whole_in_a_sandbox_that_had_to_be_made_again() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    sh(&armor, &task, "true").await;
    let sandbox = armor.lifecycle().runtime().find(&task.id).await.unwrap().unwrap().id;
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    engine::docker().remove_container(sandbox.as_str(), Some(force)).await.unwrap();
    let lines: String = (0..100_000).map(|n| n.to_string() + "\n").collect();
    let source = Box::new(std::io::Cursor::new(lines.clone()));
    let request = Execute {
        stdin: Some(Input::Stream(InputStream::new(source))),
        ..Execute::new(CommandLine::Shell("cat > got".to_owned()))
    };
    let execute = armor.lifecycle().execute(task.id.as_str(), request, CancellationToken::new());
    assert_eq!(execute.await.unwrap().execution.status(), ExecutionStatus::Exited);
    let got = armor.lifecycle().folder(&task.id).workspace().join("got");
    let got = std::fs::read_to_string(got).unwrap();
    assert!(got == lines, "{} bytes of {}", got.len(), lines.len());
}

#[tokio::test]
async fn engine_a_command_whose_sandbox_goes_away_is_interrupted_and_the_task_goes_on() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let running = begin(&armor, &task, "echo begun; sleep 1000").await;
    let sandbox = armor.lifecycle().runtime().find(&task.id).await.unwrap().unwrap().id;
    engine::docker().kill_container(sandbox.as_str(), None).await.unwrap();
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::Interrupted);
    assert_eq!(report.problem.unwrap().code, Code::ExecutionInterrupted);
    assert_eq!(report.stdout.text, "begun\n");
    assert_eq!(sh(&armor, &task, "echo alive").await, "alive\n");
}

#[tokio::test]
async fn engine_a_shell_that_nobody_keeps_ends_and_that_is_noted() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let (lifecycle, registry) = (armor.lifecycle(), armor.lifecycle().registry());
    let (agent, size) = ("agent-1".parse().unwrap(), TerminalSize { columns: 80, rows: 24 });
    let mut appended = registry.appended();
    let shell = lifecycle.shell(task.id.as_str(), &agent, "dumb", size).await.unwrap();
    let id = shell.execution.id.clone();
    drop(shell);
    let status = async || registry.execution(&task.id, &id).await.unwrap().status();
    while status().await == ExecutionStatus::Running {
        let changed = tokio::time::timeout(Duration::from_mins(1), appended.changed());
        changed.await.unwrap().unwrap();
    }
    assert_eq!(status().await, ExecutionStatus::Interrupted);
}

// R52: the caller that goes away does not take the command with it; cancelling does.
#[tokio::test]
async fn engine_a_command_outlives_its_caller_and_ends_when_cancelled() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let execute = |line: &str, cancelled: CancellationToken| {
        let (lifecycle, id) = (armor.lifecycle().clone(), task.id.clone());
        let request = Execute::new(CommandLine::Shell(line.to_owned()));
        tokio::spawn(async move { lifecycle.execute(id.as_str(), request, cancelled).await })
    };
    let caller = execute("touch begun; sleep 1; echo done", CancellationToken::new());
    let file = armor.lifecycle().folder(&task.id).workspace().join("begun");
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    caller.abort();
    let registry = armor.lifecycle().registry();
    let ended = loop {
        let latest = registry.executions(&task.id, 1).await.unwrap().remove(0);
        if latest.end.is_some() {
            break latest;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let end = ended.end.as_ref().unwrap();
    assert_eq!(
        (ended.status(), end.exit_code, end.stdout_bytes),
        (ExecutionStatus::Exited, Some(0), 5)
    );

    let cancelled = CancellationToken::new();
    let caller = execute("sleep 1000", cancelled.clone());
    while registry.running_executions().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancelled.cancel();
    let report = caller.await.unwrap().unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::Killed);
    assert_eq!(sh(&armor, &task, "ps | grep -c '[s]leep 1000' || true").await, "0\n");
}

// Two processes, one task: both attach, both work, one sandbox.
#[tokio::test(flavor = "multi_thread")]
async fn engine_the_same_agent_attaching_from_two_processes_gets_one_sandbox() {
    require_engine!();
    let home = Home::new();
    let (one, two) = (open(&home).await, open(&home).await);
    let task = one.lifecycle().create(CreateTask::named("shared".parse().unwrap())).await.unwrap();
    let (first, second) = tokio::join!(attach(&one, &task), attach(&two, &task));
    first.unwrap();
    second.unwrap();
    let (first, second) =
        tokio::join!(sh(&one, &task, "hostname; echo one"), sh(&two, &task, "echo two"));
    assert_eq!((first.as_str(), second.as_str()), ("sandbox\none\n", "two\n"));
    assert_eq!(one.lifecycle().runtime().list().await.unwrap().len(), 1);
    let made = events(&one, &task).await.into_iter().filter(|name| *name == "sandbox:created");
    assert_eq!(made.count(), 1);
    // One ends it; the other finds it ended, and makes no sandbox again.
    two.lifecycle().cancel(task.id.as_str(), None).await.unwrap();
    assert_eq!(run(&one, &task, "true").await.unwrap_err().code(), Code::TaskNotRunning);
    assert!(one.lifecycle().runtime().list().await.unwrap().is_empty());
}

// A reader that stalls takes neither the time limit nor the cancellation away.
#[tokio::test]
async fn engine_a_listener_that_does_not_listen_does_not_hold_a_command_up() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    let (live, _never_read) = tokio::sync::mpsc::channel(1);
    let request = Execute {
        live: Some(live),
        timeout: Some(Duration::from_millis(500)),
        ..Execute::new(CommandLine::Shell("yes".to_owned()))
    };
    let execute = armor.lifecycle().execute(task.id.as_str(), request, CancellationToken::new());
    let report = tokio::time::timeout(Duration::from_secs(30), execute).await.unwrap().unwrap();
    assert_eq!(report.execution.status(), ExecutionStatus::TimedOut);
    assert_eq!(sh(&armor, &task, "ps | grep -c '[y]es' || true").await, "0\n");
}

// A time limit that ends before the engine has even started the command still ends the command.
#[tokio::test]
async fn engine_a_command_whose_limit_is_shorter_than_its_start_does_not_run_on() {
    require_engine!();
    let home = Home::new();
    let armor = open(&home).await;
    let task = attached(&armor, &home.repository()).await;
    for millis in [1, 2, 5, 10, 15, 20] {
        let command = CommandLine::Shell("sleep 1000".to_owned());
        let timeout = Some(Duration::from_millis(millis));
        let request = Execute { timeout, ..Execute::new(command) };
        let execute =
            armor.lifecycle().execute(task.id.as_str(), request, CancellationToken::new());
        let report = execute.await.unwrap();
        assert_eq!(report.execution.status(), ExecutionStatus::TimedOut, "{millis} ms");
        assert_eq!(sh(&armor, &task, "ps | grep -c '[s]leep 1000' || true").await, "0\n");
    }
}
