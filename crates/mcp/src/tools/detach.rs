//! `detach_agent_from_task`

use armor_commands::wire::TaskView;
use armor_core::error::Report;
use armor_core::id::AgentId;
use armor_core::task::Task;
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
    /// Only detach if this agent is attached.
    agent_id: Option<String>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "detach_agent_from_task",
        title: "Detach from a task",
        description: "Detaches the agent. Commits made in the sandbox come onto the task's branch in the user's repository; the sandbox and its files stay, and an agent may attach again.",
        effect: Effect::Adds,
        idempotent: false,
    };
    register::<Arguments, TaskView, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let agent = arguments.agent_id.map(AgentId::parse).transpose().map_err(report)?;
    let detach = call.lifecycle.detach(&arguments.task_id, agent.as_ref()).await;
    let task = detach.map_err(report)?;
    let text = format!("Detached from task {}.{}", task.id, where_the_work_is(&task));
    task_reply(&task, text)
}

/// A sentence on the task's branch, with a warning about what is on no commit.
pub(super) fn where_the_work_is(task: &Task) -> String {
    let Some(repository) = &task.repository else {
        return String::new();
    };
    format!(" Branch {} stands at {}; {}.", repository.branch, repository.head, repository.work)
}
