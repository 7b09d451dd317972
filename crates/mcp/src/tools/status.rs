//! `get_task_status`

use armor_commands::wire::{ExecutionSummary, TaskView};
use armor_core::error::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::detach::where_the_work_is;
use crate::tools::report;

/// How many executions are shown.
const EXECUTIONS: u32 = 10;

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
}

/// What the tool gives.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    #[serde(flatten)]
    task: TaskView,
    /// Its latest executions, the newest first.
    executions: Vec<ExecutionSummary>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "get_task_status",
        title: "Look at a task",
        description: "Shows a task: its state, who is attached, its branch, and its latest executions with their exit codes.",
        effect: Effect::Reads,
        idempotent: true,
    };
    register::<Arguments, Status, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let task = call.lifecycle.resolve(&arguments.task_id).await.map_err(report)?;
    let executions = call.lifecycle.registry().executions(&task.id, EXECUTIONS).await;
    let executions = executions.map_err(report)?;
    let agent = match &task.agent {
        Some(agent) => format!("{agent} is attached"),
        None => "nobody is attached".to_owned(),
    };
    let text = format!(
        "Task {} ({}) is {}; {agent}.{}",
        task.id,
        task.name,
        task.status,
        where_the_work_is(&task)
    );
    let status = Status {
        task: TaskView::from(&task),
        executions: executions.iter().map(ExecutionSummary::from).collect(),
    };
    Reply::new(&status, text)
}
