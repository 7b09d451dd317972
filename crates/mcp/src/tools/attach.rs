//! `attach_agent_to_task`

use armor_commands::wire::TaskView;
use armor_core::error::Report;
use armor_core::id::AgentId;
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
    /// A name for the agent, such as claude-1. Commits made in the sandbox bear it.
    agent_id: String,
}

/// What the tool gives.
#[derive(Debug, Serialize, JsonSchema)]
struct Attached {
    #[serde(flatten)]
    task: TaskView,
    /// `ready`: commands can run.
    sandbox: &'static str,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "attach_agent_to_task",
        title: "Attach to a task",
        description: "Attaches you to a task and starts its sandbox, which takes a few seconds at the first use of an image. Only one agent is attached at a time; attaching again as the same agent is harmless. Run commands with execute_in_task next.",
        effect: Effect::Adds,
        idempotent: true,
    };
    register::<Arguments, Attached, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let agent = AgentId::parse(arguments.agent_id).map_err(report)?;
    let attach = call.lifecycle.attach(&arguments.task_id, agent, &call.progress()).await;
    let task = attach.map_err(report)?;
    let text = format!(
        "Attached to task {}; its sandbox is ready. Commands start in /workspace.",
        task.id
    );
    Reply::new(&Attached { task: TaskView::from(&task), sandbox: "ready" }, text)
}
