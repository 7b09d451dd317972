//! `fork_task`

use armor_commands::wire::TaskView;
use armor_core::error::Report;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::{report, task_reply};

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
    /// The checkpoint to begin with; without it, one is taken now.
    checkpoint: Option<String>,
    /// What to call the new task.
    name: Option<String>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "fork_task",
        title: "Fork a task",
        description: "Creates a task that begins with the files of another one, as they are or as a checkpoint has them, with a sandbox and a branch of its own. Use it to try something else without touching the first. Returns the new task_id.",
        effect: Effect::Adds,
        idempotent: false,
    };
    register::<Arguments, TaskView, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let name = arguments.name.as_deref().map(str::parse).transpose().map_err(report)?;
    let checkpoint = arguments.checkpoint.as_deref();
    let forking = call.lifecycle.fork(&arguments.task_id, checkpoint, name).await;
    let task = forking.map_err(report)?;
    let text = format!("Created task {}. Next: attach_agent_to_task with this task_id.", task.id);
    task_reply(&task, text)
}
