//! Servers that keep sandboxes ready, and die (R57, R96).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use armor_testkit::{Home, McpClient, require_engine};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::client;

/// The tasks-to-be at a stage of the pool.
fn pooled(home: &Home, stage: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(home.path().join("pool").join(stage));
    let names = entries.into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

fn ready(home: &Home) -> usize {
    pooled(home, "ready").len()
}

async fn until_ready(home: &Home, count: usize) {
    let begun = Instant::now();
    while ready(home) != count {
        assert!(begun.elapsed() < Duration::from_mins(2), "{} are ready", ready(home));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// Killed while it fills the pool, at one moment or another: the next one goes on, and removes what is
// of no use. Whatever is claimed is claimed once.
#[tokio::test]
async fn engine_what_a_killed_server_kept_ready_is_used_or_removed_by_the_next_one() {
    require_engine!();
    let home = Home::new().with("ARMOR_POOL_SIZE", "2");
    let mut tasks = Vec::new();
    for round in 0..6 {
        let server = client(&home).await;
        let created = server.call("create_task_sandbox", json!({ "name": "t" })).await;
        let task = created["task_id"].as_str().unwrap().to_owned();
        tokio::time::sleep(Duration::from_millis(round * 60)).await;
        server.kill().await;
        assert!(!tasks.contains(&task));
        tasks.push(task);
    }
    let server = client(&home).await;
    until_ready(&home, 2).await;
    for task in &tasks {
        let attach = json!({ "task_id": task, "agent_id": "a" });
        server.call("attach_agent_to_task", attach).await;
        let done = json!({ "task_id": task, "command": "echo $ARMOR_TASK_ID" });
        let done = server.call("execute_in_task", done).await;
        assert_eq!(done["stdout"].as_str().unwrap().trim(), task);
        server.call("delete_task", json!({ "task_id": task, "force": true })).await;
    }
    // At its orderly end nothing is kept.
    assert!(server.close().await.success());
    assert_eq!(home.leftovers().await, Vec::<String>::new());
    assert_eq!(ready(&home), 0);
}

async fn create(server: &McpClient, workspace: &str) -> String {
    let arguments = json!({ "name": "t", "workspace": workspace });
    let created = server.call("create_task_sandbox", arguments).await;
    created["task_id"].as_str().unwrap().to_owned()
}

/// Works in a task, and gives what no two sandboxes have in common.
async fn work(server: &McpClient, task: &str) -> String {
    server.call("attach_agent_to_task", json!({ "task_id": task, "agent_id": "a" })).await;
    let command = "echo $ARMOR_TASK_ID; cat .git/HEAD; ls; readlink /proc/self/ns/mnt";
    let done = json!({ "task_id": task, "command": command });
    let done = server.call("execute_in_task", done).await;
    let said = done["stdout"].as_str().unwrap();
    let before = format!("{task}\nref: refs/heads/task/{task}\none.txt\ntwo.txt\n");
    said.strip_prefix(&before).unwrap_or_else(|| panic!("{said}")).trim().to_owned()
}

// One of the servers fills the pool, and both take from it at once: nothing is handed out twice.
#[tokio::test]
async fn engine_two_servers_that_take_from_one_pool_at_once_get_sandboxes_of_their_own() {
    const EACH: usize = 10;
    require_engine!();
    let home = Home::new().with("ARMOR_POOL_SIZE", "4").with("ARMOR_SANDBOX_MEMORY_MIB", "64");
    let repository = home.repository();
    let workspace = repository.path().display().to_string();
    let servers = [client(&home).await, client(&home).await];
    let first = create(&servers[0], &workspace).await;
    until_ready(&home, 4).await;
    let made_ahead = pooled(&home, "ready");

    let workspace = workspace.as_str();
    let creating =
        servers.iter().flat_map(|server| (0..EACH).map(move |_| create(server, workspace)));
    let tasks = join_all(creating).await;
    let distinct: BTreeSet<_> = tasks.iter().cloned().collect();
    assert_eq!((distinct.len(), distinct.contains(&first)), (2 * EACH, false), "{tasks:?}");
    assert!(made_ahead.is_subset(&distinct), "{made_ahead:?} {distinct:?}");

    // Each in the other's hands.
    let working = tasks.iter().enumerate().map(|(at, task)| work(&servers[1 - at / EACH], task));
    let sandboxes: BTreeSet<_> = join_all(working).await.into_iter().collect();
    assert_eq!(sandboxes.len(), 2 * EACH, "{sandboxes:?}");

    for task in tasks.iter().chain([&first]) {
        servers[0].call("delete_task", json!({ "task_id": task, "force": true })).await;
    }
    for server in servers {
        assert!(server.close().await.success());
    }
    assert_eq!(home.leftovers().await, Vec::<String>::new());
    for stage in ["making", "ready", "claimed"] {
        assert_eq!(pooled(&home, stage), BTreeSet::new(), "{stage}");
    }
}
