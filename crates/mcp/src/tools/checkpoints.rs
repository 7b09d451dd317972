//! `create_checkpoint`, `list_checkpoints`, `restore_checkpoint`

use armor_commands::wire::CheckpointView;
use armor_core::error::Report;
use armor_core::path::RelativePath;
use armor_lifecycle::TakeCheckpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::report;

/// What `create_checkpoint` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
    /// What to call it, such as before-the-merge. One with a name stays until it is removed by hand.
    name: Option<String>,
}

/// What `list_checkpoints` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
}

/// The checkpoints of a task.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// The oldest first.
    checkpoints: Vec<CheckpointView>,
}

/// What `restore_checkpoint` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restore {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
    /// The checkpoint: its name, its id, or the beginning of that.
    checkpoint: String,
    /// Only what is at this path of the workspace, such as src/main.rs.
    path: Option<String>,
}

/// Files that were made those of a checkpoint.
#[derive(Debug, Serialize, JsonSchema)]
struct Restored {
    /// The checkpoint.
    checkpoint_id: String,
    /// The one of what was there before.
    safety_id: String,
    /// Files, folders and links that came, went or changed.
    changed: u64,
}

pub(super) fn create() -> Registered {
    let words = Words {
        name: "create_checkpoint",
        title: "Take a checkpoint",
        description: "Keeps the task's files, workspace and memory, as they are now, in a fraction of a second. Take one before a step that may go wrong; restore_checkpoint goes back to it.",
        effect: Effect::Adds,
        idempotent: false,
    };
    register::<Create, CheckpointView, _, _>(words, run_create)
}

async fn run_create(call: Call, arguments: Create) -> Result<Reply, Report> {
    let name = arguments.name.as_deref().map(str::parse).transpose().map_err(report)?;
    let take = TakeCheckpoint { name, pinned: false };
    let taken = call.lifecycle.checkpoint(&arguments.task_id, take).await;
    let (checkpoint, _) = taken.map_err(report)?;
    let text = format!("Took checkpoint {} of {} files.", checkpoint.id, checkpoint.files);
    Reply::new(&CheckpointView::from(&checkpoint), text)
}

pub(super) fn list() -> Registered {
    let words = Words {
        name: "list_checkpoints",
        title: "List checkpoints",
        description: "Lists the checkpoints of a task, the oldest first.",
        effect: Effect::Reads,
        idempotent: true,
    };
    register::<List, Listed, _, _>(words, run_list)
}

async fn run_list(call: Call, arguments: List) -> Result<Reply, Report> {
    let found = call.lifecycle.checkpoints(&arguments.task_id).await.map_err(report)?;
    let checkpoints: Vec<_> = found.iter().map(CheckpointView::from).collect();
    let text = format!("{} checkpoints.", checkpoints.len());
    Reply::new(&Listed { checkpoints }, text)
}

pub(super) fn restore() -> Registered {
    let words = Words {
        name: "restore_checkpoint",
        title: "Go back to a checkpoint",
        description: "Makes the task's files those of a checkpoint; what is there is kept as another checkpoint first. Without a path, all files are restored, the task is pending and you have to attach again (attach_agent_to_task). With a path, only that comes back and you go on.",
        effect: Effect::Removes,
        idempotent: true,
    };
    register::<Restore, Restored, _, _>(words, run_restore)
}

async fn run_restore(call: Call, arguments: Restore) -> Result<Reply, Report> {
    let path = arguments.path.as_deref().map(str::parse::<RelativePath>);
    let path = path.transpose().map_err(report)?;
    let is_all = path.is_none();
    let restoring = call.lifecycle.restore(&arguments.task_id, &arguments.checkpoint, path).await;
    let restoration = restoring.map_err(report)?;
    let restored = Restored {
        checkpoint_id: restoration.to.id.to_string(),
        safety_id: restoration.safety.id.to_string(),
        changed: restoration.changed,
    };
    let next = if is_all { " Next: attach_agent_to_task." } else { "" };
    let text = format!(
        "Restored: {} files, folders and links changed. What was there is checkpoint {}.{next}",
        restored.changed, restored.safety_id
    );
    Reply::new(&restored, text)
}
