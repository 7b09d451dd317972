//! Many agents at once (R90: ten without an error).

use armor_testkit::{Home, McpClient, require_engine};
use serde_json::json;

use crate::support::client;

const AGENTS: usize = 10;
const COMMANDS: usize = 20;

async fn work(server: McpClient, number: usize, workspace: String) {
    let name = format!("agent {number}");
    let task = server.call("create_task_sandbox", json!({ "name": name, "workspace": workspace }));
    let task = task.await["task_id"].as_str().unwrap().to_owned();
    let agent = format!("agent-{number}");
    server.call("attach_agent_to_task", json!({ "task_id": task, "agent_id": agent })).await;
    for command in 0..COMMANDS {
        let line =
            format!("echo {number}.{command} >> log; tail -n 1 log; echo err >&2; exit {command}");
        let run = server.call("execute_in_task", json!({ "task_id": task, "command": line })).await;
        assert_eq!(run["stdout"], format!("{number}.{command}\n"));
        assert_eq!(run["stderr"], "err\n");
        assert_eq!(run["exit_code"], command);
    }
    server.call("detach_agent_from_task", json!({ "task_id": task })).await;
    server.call("stop_task", json!({ "task_id": task })).await;
    server.call("delete_task", json!({ "task_id": task, "force": true })).await;
    let end = server.close().await;
    assert!(end.success(), "{agent}'s server ended with {end}");
}

// Ten sessions, each a server process of its own on the same home, a task each, twenty commands.
#[tokio::test(flavor = "multi_thread")]
async fn engine_ten_agents_at_once_end_without_an_error_and_leave_nothing() {
    require_engine!();
    let home = Home::new();
    let repository = home.repository();
    let before = repository.snapshot();
    let mut agents = tokio::task::JoinSet::new();
    for number in 0..AGENTS {
        let server = client(&home).await;
        agents.spawn(work(server, number, repository.path().display().to_string()));
    }
    agents.join_all().await;
    assert_eq!(home.leftovers().await, Vec::<String>::new());
    assert_eq!(repository.snapshot(), before);
}
