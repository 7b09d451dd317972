//! `recover`: what is damaged of a task, what can be done about it, and doing it.

use armor_core::id::TaskId;
use armor_lifecycle::{Examined, Loss, RecoveryOption};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::{Call, Command, CommandError, ExitStatus, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "recover",
    about: "Find what is damaged of a task, and make it again from what is left",
    arguments: &[
        Argument { kind: Kind::Optional, ..TASK },
        Argument {
            name: "all",
            kind: Kind::Flag,
            help: "Every task that has files here and that the database does not have",
        },
        Argument {
            name: "dry-run",
            kind: Kind::Flag,
            help: "Only say what is damaged, and what could be done",
        },
        Argument {
            name: "option",
            kind: Kind::Option("N"),
            help: "Which of the options to take; the first one is the best",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let option: Option<u32> = call.arguments.number("option")?;
    let option = option.map(|option| option as usize);
    let tasks = if call.arguments.has("all") {
        lifecycle.lost_tasks().await?.iter().map(TaskId::to_string).collect()
    } else {
        vec![call.arguments.required("task")?.to_owned()]
    };
    let (mut lines, mut views) = (Vec::new(), Vec::new());
    let mut is_well = true;
    for task in &tasks {
        if call.arguments.has("dry-run") {
            let examined = lifecycle.examine(task).await?;
            lines.extend(described(&examined));
            views.push(view(&examined, None));
            continue;
        }
        match lifecycle.recover(task, option).await {
            Ok((before, after)) => {
                lines.extend(described(&before));
                let taken = option.unwrap_or(1).checked_sub(1);
                if let Some(taken) = taken.and_then(|taken| before.options.get(taken)) {
                    lines.push(format!("Recovered from {}.", taken.from.as_str()));
                }
                lines.extend(
                    after.findings.iter().map(|(layer, what)| format!("Still: {layer}: {what}")),
                );
                is_well &= after.findings.is_empty();
                views.push(view(&before, Some(&after)));
            }
            // One that cannot be recovered keeps no other one from it.
            Err(error) if tasks.len() > 1 => {
                lines.push(format!("Task {task}: {}", armor_core::error::chain(&error)));
                views.push(json!({ "task_id": task, "error": armor_core::error::chain(&error) }));
                is_well = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if tasks.is_empty() {
        lines.push("The database has every task that has files here.".to_owned());
    }
    let outcome = Outcome::well(&json!({ "tasks": views }), lines.join("\n"))?;
    let exit = if is_well { ExitStatus::Success } else { ExitStatus::Failure };
    Ok(Outcome { exit, ..outcome })
}

fn described(Examined { task, findings, options, .. }: &Examined) -> Vec<String> {
    if findings.is_empty() {
        return vec![format!("Task {task}: nothing is damaged.")];
    }
    let mut lines = vec![format!("Task {task}:")];
    lines.extend(findings.iter().map(|(layer, what)| format!("  {layer:<12}  {what}")));
    if options.is_empty() {
        lines.push("  Nothing is left to make it again from; its files stay.".to_owned());
    }
    lines.extend((1..).zip(options).map(|(number, option)| {
        format!("  {number}. from {}: loses {}", option.from.as_str(), losses(option))
    }));
    lines
}

fn losses(option: &RecoveryOption) -> String {
    if option.loses.is_empty() {
        return "nothing".to_owned();
    }
    option.loses.iter().map(Loss::describe).collect::<Vec<_>>().join(", ")
}

fn view(before: &Examined, after: Option<&Examined>) -> Value {
    let findings = |examined: &Examined| -> Value {
        let findings = examined.findings.iter();
        findings.map(|(layer, what)| json!({ "layer": layer, "finding": what })).collect()
    };
    let options = before.options.iter().map(|option| {
        let loses: Vec<_> = option.loses.iter().map(Loss::describe).collect();
        json!({ "from": option.from, "loses": loses })
    });
    json!({
        "task_id": before.task,
        "findings": findings(before),
        "options": options.collect::<Vec<_>>(),
        "left": after.map(findings),
    })
}
