//! `stop_task`

use armor_commands::wire::TaskView;
use armor_core::error::Report;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::detach::where_the_work_is;
use crate::tools::{report, task_reply};

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
    /// Why.
    reason: Option<String>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "stop_task",
        title: "Stop a task",
        description: "Ends a task as cancelled and removes its sandbox. Its commits are on its branch, and its files stay until it is deleted. It cannot be started again.",
        effect: Effect::Removes,
        idempotent: false,
    };
    register::<Arguments, TaskView, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let stop = call.lifecycle.cancel(&arguments.task_id, arguments.reason).await;
    let task = stop.map_err(report)?;
    let text = format!("Task {} is {}.{}", task.id, task.status, where_the_work_is(&task));
    task_reply(&task, text)
}
