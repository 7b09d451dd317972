//! Many sandboxes and very many commands at one time, by one server: nothing lost, nothing left.

use std::sync::Arc;

use armor_testkit::{Home, McpClient, require_engine};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::client;

const SANDBOXES: usize = 50;
const COMMANDS: usize = 1000;
/// How many calls are under way at one time.
const AT_ONCE: usize = 20;
/// How much more a server may hold afterwards: connections to the engine and to the database that are
/// kept, memory that the allocator keeps.
const MORE_FILES: usize = 40;
const MORE_KIB: u64 = 64 << 10;

/// Open files of the server, and its resident memory in KiB.
fn held(server: &McpClient) -> (usize, u64) {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (files, line.split_whitespace().next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn engine_fifty_sandboxes_and_a_thousand_commands_lose_nothing_and_leave_nothing() {
    require_engine!();
    let home = Home::new().with("ARMOR_SANDBOX_MEMORY_MIB", "64");
    let server = Arc::new(client(&home).await);
    let before = held(&server);
    let each = |number: usize| {
        let server = server.clone();
        async move {
            let created = json!({ "name": format!("task {number}") });
            let created = server.call("create_task_sandbox", created).await;
            let task = created["task_id"].as_str().unwrap().to_owned();
            let attach = json!({ "task_id": task, "agent_id": "a" });
            server.call("attach_agent_to_task", attach).await;
            task
        }
    };
    let tasks: Vec<_> =
        stream::iter(0..SANDBOXES).map(each).buffer_unordered(AT_ONCE).collect().await;
    let command = |number: usize| {
        let (server, task) = (server.clone(), tasks[number % SANDBOXES].clone());
        async move {
            let last = 100 + number % 50;
            let command = format!("seq 1 {last}; echo of {number}");
            let done = json!({ "task_id": task, "command": command });
            let done = server.call("execute_in_task", done).await;
            let lines: Vec<_> = (1..=last).map(|line| line.to_string()).collect();
            assert_eq!(done["stdout"], format!("{}\nof {number}\n", lines.join("\n")));
            assert_eq!(done["exit_code"], 0);
        }
    };
    stream::iter(0..COMMANDS).map(command).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    let delete = |task: String| {
        let server = server.clone();
        async move {
            server.call("delete_task", json!({ "task_id": task, "force": true })).await;
        }
    };
    stream::iter(tasks.clone()).map(delete).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    let after = held(&server);
    assert!(after.0 <= before.0 + MORE_FILES, "{before:?} {after:?}");
    assert!(after.1 <= before.1 + MORE_KIB, "{before:?} {after:?}");
    assert_eq!(home.leftovers().await, Vec::<String>::new());
}
