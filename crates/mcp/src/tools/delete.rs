//! `delete_task`

use armor_core::error::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::report;

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
    /// Delete it also if it runs, or has changes that are on no commit; those are lost.
    #[serde(default)]
    force: bool,
}

/// What the tool gives.
#[derive(Debug, Serialize, JsonSchema)]
struct Gone {
    /// The id of the task that was.
    task_id: String,
    /// Always true.
    deleted: bool,
    /// Its branch, which stays in the user's repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "delete_task",
        title: "Delete a task",
        description: "Deletes a task with its sandbox and files. Its branch stays in the user's repository, and its events in the log.",
        effect: Effect::Removes,
        idempotent: false,
    };
    register::<Arguments, Gone, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let delete = call.lifecycle.delete(&arguments.task_id, arguments.force).await;
    let (task, deleted) = delete.map_err(report)?;
    let kept = deleted.branch.as_ref().map(|branch| format!(" Its branch {branch} stays."));
    let text = format!("Deleted task {}.{}", task.id, kept.unwrap_or_default());
    let gone = Gone { task_id: task.id.into(), deleted: true, branch: deleted.branch };
    Reply::new(&gone, text)
}
