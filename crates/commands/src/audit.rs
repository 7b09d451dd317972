//! `audit`: a task's history by its own files, without the database: read, and checked.

use armor_core::error::chain;
use armor_persistence::audit::{self, AuditFilter};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::{Call, Command, CommandError, ExitStatus, Outcome, Run, render};

pub(crate) const VERIFY: Command = Command {
    name: "audit verify",
    about: "Check that no line of a task's audit log, or of all, was changed, removed or put in",
    arguments: &[Argument { kind: Kind::Optional, ..TASK }],
    run: Run::Open(|call| verify(call).boxed()),
};

pub(crate) const SHOW: Command = Command {
    name: "audit show",
    about: "Show a task's history by its audit log; what cannot be read is skipped and told of",
    arguments: &[
        TASK,
        Argument {
            name: "level",
            kind: Kind::Option("LEVEL"),
            help: "Of this level or above: info, warning, error",
        },
        Argument {
            name: "match",
            kind: Kind::Many("PATTERN"),
            help: "Only events of such a name: task:*, *:failed; may be repeated",
        },
        Argument {
            name: "since",
            kind: Kind::Option("TIME"),
            help: "From this moment on (RFC 3339)",
        },
        Argument { name: "until", kind: Kind::Option("TIME"), help: "Before this moment" },
        Argument { name: "limit", kind: Kind::Option("N"), help: "The last N of these" },
    ],
    run: Run::Open(|call| show(call).boxed()),
};

async fn verify(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let tasks = match call.arguments.get("task") {
        Some(reference) => vec![lifecycle.resolve(reference).await?.id],
        None => lifecycle.tasks_with_files()?,
    };
    lifecycle.caught_up().await;
    let (mut lines, mut views, mut is_well) = (Vec::new(), Vec::new(), true);
    for task in tasks {
        match audit::verify(&lifecycle.folder(&task)) {
            Ok(verified) => {
                lines.push(format!(
                    "{task}  {} events, the last with hash {}",
                    verified.events, verified.sha256
                ));
                views.push(json!({
                    "task_id": task, "events": verified.events, "sha256": verified.sha256,
                }));
            }
            Err(error) => {
                is_well = false;
                lines.push(format!("{task}  {}", chain(&error)));
                views.push(json!({ "task_id": task, "problem": chain(&error) }));
            }
        }
    }
    if lines.is_empty() {
        lines.push("No audit logs.".to_owned());
    }
    let outcome = Outcome::well(&json!({ "logs": views }), lines.join("\n"))?;
    let exit = if is_well { ExitStatus::Success } else { ExitStatus::Failure };
    Ok(Outcome { exit, ..outcome })
}

async fn show(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let arguments = &call.arguments;
    let task = lifecycle.resolve(arguments.required("task")?).await?;
    let events = arguments.all("match").iter().map(|pattern| pattern.parse());
    let filter = AuditFilter {
        level: arguments.get("level").map(str::parse).transpose()?,
        events: events.collect::<Result<_, _>>()?,
        from: arguments.get("since").map(armor_core::time::Timestamp::parse).transpose()?,
        to: arguments.get("until").map(armor_core::time::Timestamp::parse).transpose()?,
        limit: arguments.number("limit")?,
    };
    lifecycle.caught_up().await;
    let loaded = audit::load(&lifecycle.folder(&task.id), &filter)?;
    let rows = loaded.entries.iter().map(|entry| {
        let level = entry.level.map_or("?", |level| level.as_str());
        [entry.task_seq.to_string(), entry.at.to_string(), level.to_owned(), entry.name.clone()]
    });
    let mut lines = vec![if loaded.entries.is_empty() {
        "Nothing matches.".to_owned()
    } else {
        render::table(["NUMBER", "AT", "LEVEL", "EVENT"], rows)
    }];
    lines.extend(loaded.findings.iter().map(|finding| {
        let (file, line) = (finding.file.display(), finding.line);
        format!("Skipped line {line} of {file}: {}", finding.reason)
    }));
    let findings: Vec<Value> = loaded
        .findings
        .iter()
        .map(|finding| {
            json!({ "file": finding.file, "line": finding.line, "reason": finding.reason })
        })
        .collect();
    let events: Vec<_> = loaded.entries.iter().map(|entry| &entry.event).collect();
    let view = json!({ "events": events, "skipped": loaded.skipped, "findings": findings });
    Outcome::well(&view, lines.join("\n"))
}
