//! `cleanup-task`

use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::{Call, Command, CommandError, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "cleanup-task",
    about: "Delete a task with its sandbox and files; its branch stays",
    arguments: &[
        TASK,
        Argument {
            name: "force",
            kind: Kind::Flag,
            help: "Do not ask; stop it if it runs, and lose changes that are on no commit",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let force = call.arguments.has("force");
    if !force {
        let question =
            format!("Delete task {} ({}) with its sandbox and files?", task.id, task.name);
        if !call.console.confirm(&question) {
            return Err(CommandError::NotAgreed { action: format!("deleting task {}", task.id) });
        }
    }
    let (task, deleted) = lifecycle.delete(task.id.as_str(), force).await?;
    let kept = deleted.branch.as_ref().map(|branch| format!(" Its branch {branch} stays."));
    let text = format!("Deleted {} ({}).{}", task.id, deleted.name, kept.unwrap_or_default());
    let json = json!({ "task_id": task.id, "deleted": true, "branch": deleted.branch });
    Outcome::well(&json, text)
}
