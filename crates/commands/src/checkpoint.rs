//! `checkpoint`: a task's files as they were, kept and made again.

use std::path::Path;

use armor_checkpoint_store::{Finding, Manifest};
use armor_core::error::chain;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::CheckpointView;
use crate::{Call, Command, CommandError, ExitStatus, Outcome, Run, render};

const CHECKPOINT: Argument = Argument {
    name: "checkpoint",
    kind: Kind::Required,
    help: "Its name, its id, or the beginning of that",
};

pub(crate) const CREATE: Command = Command {
    name: "checkpoint create",
    about: "Keep a task's files, workspace and memory, as they are now",
    arguments: &[
        TASK,
        Argument { name: "name", kind: Kind::Option("NAME"), help: "What to call it" },
    ],
    run: Run::Open(|call| create(call).boxed()),
};

pub(crate) const LIST: Command = Command {
    name: "checkpoint list",
    about: "List a task's checkpoints, the oldest first",
    arguments: &[TASK],
    run: Run::Open(|call| list(call).boxed()),
};

pub(crate) const SHOW: Command = Command {
    name: "checkpoint show",
    about: "Show what is in a checkpoint, and what is not",
    arguments: &[TASK, CHECKPOINT],
    run: Run::Open(|call| show(call).boxed()),
};

pub(crate) const EXTRACT: Command = Command {
    name: "checkpoint extract",
    about: "Make the workspace of a checkpoint again in a folder of its own",
    arguments: &[
        TASK,
        CHECKPOINT,
        Argument {
            name: "folder",
            kind: Kind::Required,
            help: "Where: a folder that is empty or not there",
        },
    ],
    run: Run::Open(|call| extract(call).boxed()),
};

pub(crate) const RESTORE: Command = Command {
    name: "checkpoint restore",
    about: "Make a task's files those of a checkpoint; what is there is kept as another one",
    arguments: &[
        TASK,
        CHECKPOINT,
        Argument { name: "force", kind: Kind::Flag, help: "Do not ask" },
    ],
    run: Run::Open(|call| restore(call).boxed()),
};

pub(crate) const VERIFY: Command = Command {
    name: "checkpoint verify",
    about: "Read all checkpoints back, of a task or of all, and say which are whole",
    arguments: &[Argument { kind: Kind::Optional, ..TASK }],
    run: Run::Open(|call| verify(call).boxed()),
};

async fn create(call: Call) -> Result<Outcome, CommandError> {
    let name = call.arguments.get("name").map(str::parse).transpose()?;
    let task = call.arguments.required("task")?;
    let manifest = call.context.lifecycle.checkpoint(task, name).await?;
    let stats = manifest.stats();
    let left_out = match manifest.left_out().count() {
        0 => String::new(),
        count => format!(" {count} left out: `armor checkpoint show` says which, and why."),
    };
    let text = format!(
        "Took checkpoint {}: {} files, {} bytes, of which {} files were read and {} bytes added.{left_out}",
        title(&manifest),
        stats.files,
        stats.bytes,
        stats.files_read,
        stats.bytes_added,
    );
    Outcome::well(&CheckpointView::from(&manifest), text)
}

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let manifests = call.context.lifecycle.checkpoints(call.arguments.required("task")?).await?;
    let text = if manifests.is_empty() {
        "No checkpoints yet.".to_owned()
    } else {
        let rows = manifests.iter().map(|manifest| {
            let stats = manifest.stats();
            let name = manifest.name.as_ref().map_or("", |name| name.as_str());
            [
                manifest.id.to_string(),
                name.to_owned(),
                manifest.created_at.to_string(),
                manifest.cause.as_str().to_owned(),
                stats.files.to_string(),
                stats.bytes.to_string(),
                stats.bytes_added.to_string(),
            ]
        });
        render::table(["CHECKPOINT", "NAME", "TAKEN", "CAUSE", "FILES", "BYTES", "ADDED"], rows)
    };
    let views: Vec<_> = manifests.iter().map(CheckpointView::from).collect();
    Outcome::well(&json!({ "checkpoints": views }), text)
}

async fn show(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let checkpoint = call.arguments.required("checkpoint")?;
    let manifest = call.context.lifecycle.find_checkpoint(task, checkpoint).await?;
    let view = CheckpointView::from(&manifest);
    let mut lines = vec![
        format!("checkpoint  {}", manifest.id),
        format!("name        {}", manifest.name.as_ref().map_or("-", |name| name.as_str())),
        format!("task        {}", manifest.task),
        format!("taken       {}", manifest.created_at),
        format!("cause       {}", manifest.cause.as_str()),
        format!("parent      {}", manifest.parent.as_ref().map_or("-", |parent| parent.as_str())),
    ];
    for root in &manifest.roots {
        lines.push(format!(
            "{:<11} {} files, {} folders, {} bytes",
            root.name, root.stats.files, root.stats.folders, root.stats.bytes
        ));
        lines.extend(root.left_out.iter().map(|out| {
            format!("            left out: {} ({})", out.path.escape_debug(), out.reason.as_str())
        }));
    }
    Outcome::well(&view, lines.join("\n"))
}

async fn extract(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let checkpoint = call.arguments.required("checkpoint")?;
    let folder = Path::new(call.arguments.required("folder")?);
    let (manifest, restored) = call.context.lifecycle.restore_to(task, checkpoint, folder).await?;
    let text = format!(
        "Made the workspace of checkpoint {} again in {}: {} files, {} bytes.",
        title(&manifest),
        folder.display(),
        restored.files,
        restored.bytes,
    );
    let view = json!({
        "checkpoint_id": manifest.id,
        "folder": folder,
        "files": restored.files,
        "folders": restored.folders,
        "bytes": restored.bytes,
    });
    Outcome::well(&view, text)
}

async fn restore(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let checkpoint = call.arguments.required("checkpoint")?;
    let manifest = lifecycle.find_checkpoint(task.id.as_str(), checkpoint).await?;
    let question = format!(
        "Make the files of task {} ({}) those of checkpoint {}? What is there is kept as another one.",
        task.id,
        task.name,
        title(&manifest),
    );
    if !call.arguments.has("force") && !call.console.confirm(&question) {
        return Err(CommandError::NotAgreed { action: format!("restoring task {}", task.id) });
    }
    let restoration = lifecycle.restore(task.id.as_str(), manifest.id.as_str()).await?;
    let text = format!(
        "Restored checkpoint {}: {} files, folders and links changed. What was there is checkpoint {}.",
        title(&restoration.to),
        restoration.changed,
        restoration.safety.id,
    );
    let view = json!({
        "checkpoint_id": restoration.to.id,
        "safety_id": restoration.safety.id,
        "changed": restoration.changed,
    });
    Outcome::well(&view, text)
}

async fn verify(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.get("task");
    let verified = call.context.lifecycle.verify_checkpoints(task).await?;
    let findings: Vec<Value> = verified.findings.iter().map(finding).collect();
    let mut lines: Vec<String> = findings
        .iter()
        .map(|finding| {
            let what = finding["checkpoint_id"].as_str();
            let what = what.map_or_else(String::new, |id| format!("checkpoint {id}: "));
            format!("{what}{}", finding["problem"].as_str().unwrap_or_default())
        })
        .collect();
    lines.push(format!(
        "{} checkpoints are whole, {} chunks were read.",
        verified.whole.len(),
        verified.chunks
    ));
    let view = json!({
        "whole": verified.whole,
        "findings": findings,
        "chunks": verified.chunks,
    });
    let outcome = Outcome::well(&view, lines.join("\n"))?;
    let exit = if verified.findings.is_empty() { ExitStatus::Success } else { ExitStatus::Failure };
    Ok(Outcome { exit, ..outcome })
}

fn finding(finding: &Finding) -> Value {
    match finding {
        Finding::File(error) => json!({ "problem": chain(error) }),
        Finding::Checkpoint { checkpoint, first } => {
            json!({ "checkpoint_id": checkpoint, "problem": chain(first) })
        }
    }
}

fn title(manifest: &Manifest) -> String {
    match &manifest.name {
        Some(name) => format!("{} ({name})", manifest.id),
        None => manifest.id.to_string(),
    }
}
