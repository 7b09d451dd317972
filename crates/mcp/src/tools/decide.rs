//! `record_decision`

use armor_core::decision::Decision;
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
    /// Who decides: your name as an agent.
    agent_id: String,
    /// What was decided, in a sentence.
    what: String,
    /// Why.
    why: Option<String>,
    /// What else could have been done.
    #[serde(default)]
    alternatives: Vec<String>,
}

/// What the tool gives.
#[derive(Debug, Serialize, JsonSchema)]
struct Recorded {
    /// The task.
    task_id: String,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "record_decision",
        title: "Record a decision",
        description: "Notes a decision about a task, why it was taken and what else could have been done, for the people and agents who come later. It stands in the task's decisions.md.",
        effect: Effect::Adds,
        idempotent: false,
    };
    register::<Arguments, Recorded, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let Arguments { task_id, agent_id, what, why, alternatives } = arguments;
    let by = AgentId::parse(agent_id).map_err(report)?;
    let at = call.lifecycle.now();
    let decision = Decision::new(what, why.unwrap_or_default(), alternatives, by, at);
    let decided = call.lifecycle.decide(&task_id, decision.map_err(report)?).await;
    let task_id = decided.map_err(report)?.id.to_string();
    Reply::new(&Recorded { task_id }, "Noted.".to_owned())
}
