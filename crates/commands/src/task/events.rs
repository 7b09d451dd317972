//! `events`

use armor_core::event::{Event, Seq};
use armor_core::id::TaskId;
use armor_events::{Pattern, Selection, Start};
use armor_registry::Registry;
use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::{Call, Command, CommandError, Outcome, Run, render};

pub(crate) const COMMAND: Command = Command {
    name: "events",
    about: "Show what happened, to all tasks or to one, also to one that is deleted (by its whole id)",
    arguments: &[
        Argument {
            name: "task",
            kind: Kind::Optional,
            help: "Only of this task: its id, a prefix of it, or its name",
        },
        Argument {
            name: "match",
            kind: Kind::Option("PATTERN"),
            help: "Only events of such a name: task:created, task:*, *:failed, ** [default: **]",
        },
        Argument {
            name: "last",
            kind: Kind::Option("N"),
            help: "Begin with the last N events [default: 50; all of a task's]",
        },
        Argument {
            name: "since",
            kind: Kind::Option("TIME"),
            help: "Begin with the events of this moment (RFC 3339)",
        },
        Argument {
            name: "after",
            kind: Kind::Option("SEQ"),
            help: "Begin behind this place of the log",
        },
        FOLLOW,
    ],
    run: Run::Open(|call| run(call).boxed()),
};

pub(crate) const FOLLOW: Argument = Argument {
    name: "follow",
    kind: Kind::Flag,
    help: "Go on with what happens, in this process or another, until Ctrl-C",
};

/// How many events are shown when nothing is said of where to begin.
const LAST: u32 = 50;

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = match call.arguments.get("task") {
        Some(reference) => Some(resolve(lifecycle.registry(), reference).await?),
        None => None,
    };
    let from = start(&call, task.is_some())?;
    let pattern = call.arguments.get("match").map_or(Ok(Pattern::ALL), str::parse)?;
    show_from(&call, from, Selection { pattern, task }).await
}

/// Shows all events of the task that is named, of names that match.
pub(crate) async fn show_all(call: &Call, pattern: Pattern) -> Result<Outcome, CommandError> {
    let reference = call.arguments.required("task")?;
    let task = Some(resolve(call.context.lifecycle.registry(), reference).await?);
    show_from(call, Start::After(Seq::START), Selection { pattern, task }).await
}

async fn show_from(
    call: &Call,
    from: Start,
    selection: Selection,
) -> Result<Outcome, CommandError> {
    let mut follower = call.context.lifecycle.bus().follow(from, selection).await?;
    while let Some(event) = follower.stored().await? {
        show(call, &event)?;
    }
    if call.arguments.has("follow") {
        while let Some(next) = call.cancelled.run_until_cancelled(follower.next()).await
            && let Some(event) = next?
        {
            show(call, &event)?;
        }
    }
    Ok(Outcome::shown())
}

/// The task that is meant. One that is deleted has no row, and still its events.
async fn resolve(registry: &dyn Registry, reference: &str) -> Result<TaskId, CommandError> {
    let not_found = match registry.resolve(reference).await {
        Ok(task) => return Ok(task.id),
        Err(error) => error,
    };
    let first = armor_registry::EventQuery { after: 0, limit: Some(1) };
    match TaskId::parse(reference) {
        Ok(id) if !registry.events(&id, first).await?.is_empty() => Ok(id),
        _ => Err(not_found.into()),
    }
}

fn start(call: &Call, of_task: bool) -> Result<Start, CommandError> {
    let arguments = &call.arguments;
    let given = ["last", "since", "after"].map(|name| arguments.get(name).is_some());
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(CommandError::Together { arguments: "--last, --since and --after" });
    }
    if let Some(since) = arguments.get("since") {
        return Ok(Start::Since(since.to_owned().try_into()?));
    }
    if let Some(after) = arguments.number("after")? {
        return Ok(Start::After(Seq(after)));
    }
    Ok(match arguments.number("last")? {
        Some(last) => Start::Last(last),
        None if of_task => Start::After(Seq::START),
        None => Start::Last(LAST),
    })
}

fn show(call: &Call, event: &Event) -> Result<(), CommandError> {
    let data = event.payload.data();
    let data = if data.is_null() { String::new() } else { data.to_string() };
    let about = event.task().map_or("-", TaskId::as_str);
    let text = format!("{:>6}  {}  {about:26}  {:24} {data}", event.seq, event.at, event.name());
    let shown = call
        .console
        .entry(&serde_json::to_value(event)?, render::printable(text.trim_end()).as_str());
    shown.map_err(|source| CommandError::Io { action: "show an event", source })
}
