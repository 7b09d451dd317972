//! A command as an agent runs it: `execute_in_task` of a server, over standard input and output.

use std::path::PathBuf;

use armor_core::sandbox::{Limits, UserIds};
use armor_testkit::{McpClient, Protocol};
use serde_json::{Value, json};

use super::Amount;
use super::place::Place;
use crate::Outcome;
use crate::times::{Side, Times, order};

/// Measures it beside the bare engine's exec.
pub(super) async fn measure(place: &Place, amount: Amount) -> Outcome<Times> {
    let server = McpClient::start(place.home().command(server()?), Protocol::Stateless).await;
    let created = server.call("create_task_sandbox", json!({ "name": "a task to measure" })).await;
    let task = created["task_id"].as_str().ok_or("the task has no id")?.to_owned();
    let attach = json!({ "task_id": task, "agent_id": "bench" });
    server.call("attach_agent_to_task", attach).await;
    let bare = place.bare.create_and_start(&place.spec(Limits::default())?).await?;
    let mut times = Times::new()?;
    for turn in 0..=amount.rounds {
        for side in order(turn) {
            for _ in 0..amount.commands {
                match side {
                    Side::Ours => times.ours(execute(&server, &task)).await?,
                    Side::Baseline => {
                        let work = place.bare.exec(&bare, UserIds::UNPRIVILEGED, &[], &["true"]);
                        times.baseline(work).await?;
                    }
                }
            }
        }
        if turn == 0 {
            // That was the warm-up.
            times.forget();
        }
    }
    server.call("delete_task", json!({ "task_id": task, "force": true })).await;
    place.bare.remove(&bare).await?;
    server.close().await;
    Ok(times)
}

async fn execute(server: &McpClient, task: &str) -> Outcome {
    let done =
        server.call("execute_in_task", json!({ "task_id": task, "command": ["true"] })).await;
    match &done["exit_code"] {
        Value::Number(code) if code.as_i64() == Some(0) => Ok(()),
        _ => Err(format!("`true` ended with {done}").into()),
    }
}

/// The server that was built beside this program.
fn server() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("armor-mcp");
    if program.exists() {
        Ok(program)
    } else {
        Err(format!("{} is missing; `cargo xtask bench` builds it", program.display()).into())
    }
}
