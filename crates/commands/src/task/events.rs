//! `events`

use armor_core::id::TaskId;
use armor_registry::EventQuery;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::{Call, Command, CommandError, Outcome, render};

pub(crate) const COMMAND: Command = Command {
    name: "events",
    about: "Show what happened to a task, also to one that is deleted (by its whole id)",
    arguments: &[
        TASK,
        Argument { name: "after", kind: Kind::Option("N"), help: "Only events behind this number" },
        Argument {
            name: "limit",
            kind: Kind::Option("N"),
            help: "How many at most [default: all]",
        },
    ],
    run: |call| run(call).boxed(),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let registry = call.context.lifecycle.registry();
    let reference = call.arguments.required("task")?;
    let query = EventQuery {
        after: call.arguments.number("after")?.unwrap_or(0),
        limit: call.arguments.number("limit")?,
    };
    let (task, events) = match registry.resolve(reference).await {
        Ok(task) => (task.id.clone(), registry.events(&task.id, query).await?),
        Err(not_found) => {
            // A task that is deleted has no row, and still its events.
            let Ok(id) = TaskId::parse(reference) else {
                return Err(not_found.into());
            };
            let events = registry.events(&id, query).await?;
            if events.is_empty() {
                return Err(not_found.into());
            }
            (id, events)
        }
    };
    let rows = events.iter().map(|event| {
        let data = event.payload.data();
        let data = if data.is_null() { String::new() } else { data.to_string() };
        [event.task_seq.to_string(), event.at.to_string(), event.name().to_owned(), data]
    });
    let text = render::table(["#", "AT", "EVENT", "DATA"], rows);
    Outcome::well(&json!({ "task_id": task, "events": events }), text)
}
