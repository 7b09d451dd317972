//! `list-tasks`

use armor_registry::TaskQuery;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Arguments, Kind};
use crate::wire::TaskView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "list-tasks",
    about: "List tasks, the newest first",
    arguments: PAGE,
    run: Run::Open(|call| run(call).boxed()),
};

/// What every list of tasks takes.
pub(crate) const PAGE: &[Argument] = &[
    Argument { name: "status", kind: Kind::Option("STATUS"), help: "Only tasks in this state" },
    Argument { name: "owner", kind: Kind::Option("OWNER"), help: "Only tasks of this owner" },
    Argument { name: "limit", kind: Kind::Option("N"), help: "How many at most [default: 50]" },
    Argument {
        name: "after",
        kind: Kind::Option("CURSOR"),
        help: "The page behind this one: what the page before names",
    },
    Argument { name: "verbose", kind: Kind::Flag, help: "Show all there is to each task" },
];

async fn run(call: Call) -> Result<Outcome, CommandError> {
    show(&call, &page(&call.arguments)?).await
}

/// The page that is asked for.
pub(crate) fn page(arguments: &Arguments) -> Result<TaskQuery, CommandError> {
    Ok(TaskQuery {
        status: arguments.get("status").map(str::parse).transpose()?,
        owner: arguments.get("owner").map(str::to_owned),
        limit: arguments.number("limit")?.unwrap_or(50),
        after: arguments.get("after").map(str::parse).transpose()?,
        ..TaskQuery::default()
    })
}

/// Shows a page.
pub(crate) async fn show(call: &Call, query: &TaskQuery) -> Result<Outcome, CommandError> {
    let page = call.context.lifecycle.registry().list(query).await?;
    let mut text = if page.items.is_empty() {
        "No tasks.".to_owned()
    } else if call.arguments.has("verbose") {
        let tasks: Vec<_> = page.items.iter().map(render::task).collect();
        tasks.join("\n\n")
    } else {
        let rows = page.items.iter().map(|task| {
            [
                task.id.to_string(),
                task.status.to_string(),
                task.owner.to_string(),
                task.created_at.to_string().split('.').next().unwrap_or_default().to_owned(),
                task.name.to_string(),
            ]
        });
        render::table(["TASK", "STATUS", "OWNER", "CREATED", "NAME"], rows)
    };
    if let Some(next) = &page.next {
        text.push_str("\n\nThere are more: --after ");
        text.push_str(&next.to_string());
    }
    let tasks: Vec<_> = page.items.iter().map(TaskView::from).collect();
    Outcome::well(
        &json!({ "tasks": tasks, "next_cursor": page.next.map(|next| next.to_string()) }),
        text,
    )
}
