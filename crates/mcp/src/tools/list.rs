//! `list_tasks`

use armor_commands::wire::TaskView;
use armor_core::error::{Code, Report};
use armor_core::task::TaskStatus;
use armor_registry::TaskQuery;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::report;

/// The most that one page has.
const MOST: u32 = 200;

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Only tasks in this state.
    status: Option<TaskStatus>,
    /// Only tasks of this owner.
    owner: Option<String>,
    /// How many at most, from 1 to 200. By default 50.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What the tool gives.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// The tasks, the newest first.
    tasks: Vec<TaskView>,
    /// What to pass as `cursor` to get the next page; nothing when this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "list_tasks",
        title: "List tasks",
        description: "Lists tasks, the newest first, by status and owner, in pages.",
        effect: Effect::Reads,
        idempotent: true,
    };
    register::<Arguments, Listed, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let limit = arguments.limit.unwrap_or(50);
    if !(1..=MOST).contains(&limit) {
        return Err(Report {
            code: Code::ArgumentInvalid,
            message: format!("argument `limit`: {limit} is not between 1 and {MOST}"),
            next_step: Some("Ask for fewer, and pass next_cursor to get the rest.".to_owned()),
        });
    }
    let query = TaskQuery {
        status: arguments.status,
        owner: arguments.owner,
        limit,
        after: arguments.cursor.as_deref().map(str::parse).transpose().map_err(report)?,
        ..TaskQuery::default()
    };
    let page = call.lifecycle.registry().list(&query).await.map_err(report)?;
    let lines: Vec<_> = page
        .items
        .iter()
        .map(|task| format!("{}  {:9}  {}", task.id, task.status, task.name))
        .collect();
    let listed = Listed {
        tasks: page.items.iter().map(TaskView::from).collect(),
        next_cursor: page.next.map(|next| next.to_string()),
    };
    let text = if lines.is_empty() { "No tasks.".to_owned() } else { lines.join("\n") };
    Reply::new(&listed, text)
}
