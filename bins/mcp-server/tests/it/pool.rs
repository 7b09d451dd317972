//! Servers that keep sandboxes ready, and die (R57, R96).

use std::time::{Duration, Instant};

use armor_testkit::{Home, require_engine};
use serde_json::json;

use crate::support::client;

fn ready(home: &Home) -> usize {
    std::fs::read_dir(home.path().join("pool/ready")).map_or(0, Iterator::count)
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
