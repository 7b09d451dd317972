//! `stats`: what the sandboxes that run use.

use std::time::Duration;

use armor_lifecycle::SandboxFigures;
use futures_util::FutureExt;
use serde_json::json;

use crate::arguments::{Argument, Kind};
use crate::wire::SandboxView;
use crate::{Call, Command, CommandError, Outcome, Run, render};

/// Over how long processor time is looked at.
const OVER: Duration = Duration::from_millis(500);
/// The same where it goes on: so often there is a new table.
const FOLLOWED_OVER: Duration = Duration::from_secs(2);

pub(crate) const COMMAND: Command = Command {
    name: "stats",
    about: "Show what the sandboxes that run use, beside their limits",
    arguments: &[Argument {
        name: "follow",
        kind: Kind::Flag,
        help: "Go on every two seconds, until Ctrl-C",
    }],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    if !call.arguments.has("follow") {
        let figures = lifecycle.figures(OVER).await?;
        return Outcome::well(&views(&figures), text(&figures));
    }
    loop {
        let figures = tokio::select! {
            figures = lifecycle.figures(FOLLOWED_OVER) => figures?,
            () = call.cancelled.cancelled() => return Ok(Outcome::shown()),
        };
        if call.console.entry(&json!(views(&figures)), &text(&figures)).is_err() {
            return Ok(Outcome::shown());
        }
    }
}

fn views(figures: &[SandboxFigures]) -> Vec<SandboxView> {
    figures.iter().map(SandboxView::from).collect()
}

fn text(figures: &[SandboxFigures]) -> String {
    if figures.is_empty() {
        return "No sandbox runs.".to_owned();
    }
    let rows = figures.iter().map(|one| {
        let limits = one.limits;
        let mib = one.memory_bytes >> 20;
        [
            one.task.id.to_string(),
            one.task.name.to_string(),
            format!("{} %", one.cpu_millis / 10),
            format!("{} %", limits.cpu_millis / 10),
            format!("{mib} MiB"),
            format!("{} MiB", limits.memory_mib),
            one.pids.to_string(),
            limits.pids.to_string(),
        ]
    });
    render::table(["TASK", "NAME", "CPU", "OF", "MEMORY", "OF", "PIDS", "OF"], rows)
}
