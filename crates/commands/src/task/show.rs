//! `show`

use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::{ExecutionSummary, TaskView};
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "show",
    about: "Show a task and its latest executions",
    arguments: &[
        TASK,
        Argument {
            name: "executions",
            kind: Kind::Option("N"),
            help: "How many executions [default: 10]",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let limit = call.arguments.number("executions")?.unwrap_or(10);
    let executions = lifecycle.registry().executions(&task.id, limit).await?;
    let mut text = render::task(&task);
    if !executions.is_empty() {
        text.push_str("\n\n");
        text.push_str(&render::executions(&executions));
    }
    let summaries: Vec<_> = executions.iter().map(ExecutionSummary::from).collect();
    Outcome::well(&json!({ "task": TaskView::from(&task), "executions": summaries }), text)
}
