//! Killing the server, and what is there afterwards (R96, section 2).

use std::path::Path;
use std::time::{Duration, Instant};

use armor_core::event::{Event, EventLog, Seq};
use armor_core::execution::ExecutionStatus;
use armor_core::id::TaskId;
use armor_persistence::{TaskFolders, audit, state};
use armor_registry::{EventQuery, Registry, SqliteRegistry};
use armor_testkit::{Home, require_engine};
use serde_json::json;

use crate::support::{client, registry};

/// Waits until a file that a command makes is there.
async fn appears(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{} never came", file.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// state.json and the audit log say the same as the database.
async fn layers_agree(home: &Home, registry: &SqliteRegistry, task: &TaskId) -> Vec<Event> {
    let folder = TaskFolders::open(&home.path()).unwrap().of(task);
    let events = registry.events(task, EventQuery::default()).await.unwrap();
    assert!(events.iter().map(Event::task_seq).eq(1..=events.len() as u64), "{events:?}");
    let mut in_audit: Vec<serde_json::Value> = Vec::new();
    audit::verify_each(&folder, &mut |line| {
        in_audit.push(serde_json::from_str(line.get()).unwrap());
    })
    .unwrap();
    let in_database: Vec<serde_json::Value> =
        events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    assert_eq!(in_audit, in_database);
    assert_eq!(state::load(&folder).unwrap(), registry.get(task).await.unwrap());
    events
}

#[tokio::test]
async fn engine_after_a_kill_during_a_command_the_task_is_whole_and_goes_on() {
    require_engine!();
    let home = Home::new();
    let repository = home.repository();
    let server = client(&home).await;
    let arguments = json!({ "name": "killed", "workspace": repository.path() });
    let task = server.call("create_task_sandbox", arguments).await;
    let reference = task["task_id"].as_str().unwrap();
    let attach = json!({ "task_id": reference, "agent_id": "agent-1" });
    server.call("attach_agent_to_task", attach.clone()).await;
    let command =
        "echo begun; touch begun; until test -e go; do sleep 0.02; done; echo end; exit 3";
    server.begin("execute_in_task", json!({ "task_id": reference, "command": command })).await;
    let id: TaskId = reference.parse().unwrap();
    let folder = TaskFolders::open(&home.path()).unwrap().of(&id);
    appears(&folder.workspace().join("begun")).await;
    server.kill().await;

    let server = client(&home).await;
    let status = server.call("get_task_status", json!({ "task_id": reference })).await;
    assert_eq!(status["status"], "running");
    assert_eq!(status["executions"][0]["status"], "running");
    server.call("attach_agent_to_task", attach).await;
    let go = json!({ "task_id": reference, "command": "touch go; ls" });
    let go = server.call("execute_in_task", go).await;
    assert!(go["stdout"].as_str().unwrap().contains("two.txt"), "{go:#}");
    // The command of the server that was killed goes on to its end, which the new one notes.
    let begun = Instant::now();
    loop {
        let status = server.call("get_task_status", json!({ "task_id": reference })).await;
        let first = &status["executions"][1];
        if first["status"] != "running" {
            assert_eq!((&first["status"], &first["exit_code"]), (&json!("exited"), &json!(3)));
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{status:#}");
    }
    let output = json!({ "task_id": reference, "command": "cat /run/armor/executions/*/stdout" });
    let output = server.call("execute_in_task", output).await;
    assert!(output["stdout"].as_str().unwrap().contains("begun\nend\n"), "{output:#}");
    assert!(server.close().await.success());

    let registry = registry(&home).await;
    let events = layers_agree(&home, &registry, &id).await;
    let mut names: Vec<_> = events.iter().map(Event::name).collect();
    let executions = names.split_off(7);
    assert_eq!(
        names,
        [
            "task:created",
            "task:beforeStart",
            "sandbox:created",
            "task:started",
            "task:attached",
            "task:afterStart",
            "execution:started",
        ]
    );
    // Of two that run at once, either may end first.
    let count = |name: &str| executions.iter().filter(|found| **found == name).count();
    let counts = ["task:attached", "execution:started", "execution:finished"].map(count);
    assert_eq!((counts, executions.len()), ([1, 2, 3], 6));
    let executions = registry.executions(&id, 10).await.unwrap();
    let ends: Vec<_> = executions.iter().map(armor_core::execution::Execution::status).collect();
    assert_eq!(ends, [ExecutionStatus::Exited; 3]);
}

/// Kills the server at a different moment each time; every acknowledged step is there, the task is
/// usable, and at the end nothing is left.
#[tokio::test]
async fn engine_however_often_the_server_is_killed_nothing_acknowledged_is_lost() {
    require_engine!();
    let home = Home::new();
    let mut acknowledged = Vec::new();
    for round in 0..8_u64 {
        let server = client(&home).await;
        let task =
            server.call("create_task_sandbox", json!({ "name": format!("round {round}") })).await;
        let reference = task["task_id"].as_str().unwrap().to_owned();
        acknowledged.push(reference.clone());
        server
            .begin("attach_agent_to_task", json!({ "task_id": reference, "agent_id": "a" }))
            .await;
        server.begin("execute_in_task", json!({ "task_id": reference, "command": "true" })).await;
        // What is awaited here is only that another moment comes: each round another one.
        tokio::time::sleep(Duration::from_millis(round * 35)).await;
        server.kill().await;
    }
    let server = client(&home).await;
    let registry = registry(&home).await;
    for reference in &acknowledged {
        server.call("attach_agent_to_task", json!({ "task_id": reference, "agent_id": "a" })).await;
        let run = json!({ "task_id": reference, "command": "echo alive" });
        let run = server.call("execute_in_task", run).await;
        assert_eq!(run["stdout"], "alive\n");
        server.call("detach_agent_from_task", json!({ "task_id": reference })).await;
        server.call("stop_task", json!({ "task_id": reference })).await;
        layers_agree(&home, &registry, &reference.parse().unwrap()).await;
        server.call("delete_task", json!({ "task_id": reference })).await;
    }
    let all = registry.read_after(Seq::START, 10_000, None).await.unwrap();
    assert!(all.iter().map(|event| event.as_ref().unwrap().seq.0).eq(1..=all.len() as u64));
    assert!(registry.check().await.unwrap().is_empty());
    assert!(server.close().await.success());
    assert_eq!(home.leftovers().await, Vec::<String>::new());
}
