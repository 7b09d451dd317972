//! Starting the server in a temporary home.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use armor_core::config::Durability;
use armor_core::id::RandomIds;
use armor_core::time::SystemClock;
use armor_registry::SqliteRegistry;
use armor_testkit::{Home, McpClient, Protocol};
use serde_json::{Value, json};

/// The server, ready to be started in this home.
pub(crate) fn server(home: &Home) -> Command {
    home.command(env!("CARGO_BIN_EXE_armor-mcp"))
}

/// A client of our own with a server in this home.
pub(crate) async fn client(home: &Home) -> McpClient {
    McpClient::start(server(home), Protocol::Stateless).await
}

/// The database of a home, beside whoever else has it open.
pub(crate) async fn registry(home: &Home) -> SqliteRegistry {
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
    let database = home.path().join("armor.db");
    SqliteRegistry::open(&database, Durability::Full, clock, ids).await.unwrap()
}

/// A task with an agent attached: its id, and where its sandbox's workspace is on the host.
pub(crate) async fn attached(
    home: &Home,
    server: &McpClient,
    arguments: Value,
) -> (String, PathBuf) {
    let created = server.call("create_task_sandbox", arguments).await;
    let task = created["task_id"].as_str().unwrap().to_owned();
    server.call("attach_agent_to_task", json!({ "task_id": task, "agent_id": "a" })).await;
    let workspace = home.path().join("tasks").join(&task).join("workspace");
    (task, workspace)
}
