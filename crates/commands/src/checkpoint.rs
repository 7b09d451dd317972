//! `checkpoint`: a task's files as they were, kept and made again.

use std::path::{Path, PathBuf};

use armor_checkpoint_store::{Difference, Finding, Preview};
use armor_core::checkpoint::{Checkpoint, Forgotten};
use armor_core::error::chain;
use armor_core::path::RelativePath;
use armor_core::risk::{Decision, RiskPart};
use armor_lifecycle::{Explanation, Pruned, TakeCheckpoint};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::arguments::{Argument, Kind};
use crate::exec::command_of;
use crate::task::TASK;
use crate::wire::{CheckpointDetails, CheckpointView};
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
        Argument {
            name: "name",
            kind: Kind::Option("NAME"),
            help: "What to call it; one with a name stays until it is removed by hand",
        },
        Argument { name: "pin", kind: Kind::Flag, help: "Let it stay until it is unpinned" },
        Argument {
            name: "dry-run",
            kind: Kind::Flag,
            help: "Only say what would be in it, and what would be left out, by which rule",
        },
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
        Argument {
            name: "path",
            kind: Kind::Option("PATH"),
            help: "Only what is at this path of the workspace; the task goes on",
        },
        Argument { name: "force", kind: Kind::Flag, help: "Do not ask" },
    ],
    run: Run::Open(|call| restore(call).boxed()),
};

pub(crate) const DIFF: Command = Command {
    name: "checkpoint diff",
    about: "Say in what a checkpoint's workspace differs from a later one, or from what is there now",
    arguments: &[
        TASK,
        CHECKPOINT,
        Argument {
            name: "other",
            kind: Kind::Optional,
            help: "The other checkpoint; without it, the files as they are now",
        },
    ],
    run: Run::Open(|call| diff(call).boxed()),
};

pub(crate) const EXPLAIN: Command = Command {
    name: "checkpoint explain",
    about: "Say how risky a command is, and whether a checkpoint is taken before it",
    arguments: &[
        TASK,
        Argument {
            name: "shell",
            kind: Kind::Flag,
            help: "Read the command as one line, as the sandbox's shell would",
        },
        Argument {
            name: "command",
            kind: Kind::RestIfAny,
            help: "The program and its arguments; without one, what was thought of the last risky ones",
        },
    ],
    run: Run::Open(|call| explain(call).boxed()),
};

const ARCHIVE: Argument =
    Argument { name: "archive", kind: Kind::Required, help: "The file, a .tar.gz" };

pub(crate) const EXPORT: Command = Command {
    name: "checkpoint export",
    about: "Write a checkpoint to an archive that any tar reads",
    arguments: &[TASK, CHECKPOINT, ARCHIVE],
    run: Run::Open(|call| export(call).boxed()),
};

pub(crate) const IMPORT: Command = Command {
    name: "checkpoint import",
    about: "Take in an archive as a checkpoint: an exported one, or any .tar.gz as the workspace",
    arguments: &[
        TASK,
        ARCHIVE,
        Argument { name: "name", kind: Kind::Option("NAME"), help: "What to call it" },
        Argument { name: "pin", kind: Kind::Flag, help: "Let it stay until it is unpinned" },
    ],
    run: Run::Open(|call| import(call).boxed()),
};

pub(crate) const PIN: Command = Command {
    name: "checkpoint pin",
    about: "Let a checkpoint stay, whatever the settings say of old ones",
    arguments: &[TASK, CHECKPOINT],
    run: Run::Open(|call| pin(call, true).boxed()),
};

pub(crate) const UNPIN: Command = Command {
    name: "checkpoint unpin",
    about: "Let a checkpoint go again when the settings say so",
    arguments: &[TASK, CHECKPOINT],
    run: Run::Open(|call| pin(call, false).boxed()),
};

pub(crate) const REMOVE: Command = Command {
    name: "checkpoint remove",
    about: "Remove a checkpoint; `checkpoint prune` gives its room back",
    arguments: &[
        TASK,
        CHECKPOINT,
        Argument { name: "force", kind: Kind::Flag, help: "Do not ask" },
    ],
    run: Run::Open(|call| remove(call).boxed()),
};

pub(crate) const PRUNE: Command = Command {
    name: "checkpoint prune",
    about: "Remove the checkpoints that the settings do not keep, and give back what none needs",
    arguments: &[Argument {
        name: "dry-run",
        kind: Kind::Flag,
        help: "Only say which checkpoints would be removed",
    }],
    run: Run::Open(|call| prune(call).boxed()),
};

pub(crate) const VERIFY: Command = Command {
    name: "checkpoint verify",
    about: "Read all checkpoints back, of a task or of all, and say which are whole",
    arguments: &[Argument { kind: Kind::Optional, ..TASK }],
    run: Run::Open(|call| verify(call).boxed()),
};

async fn create(call: Call) -> Result<Outcome, CommandError> {
    if call.arguments.has("dry-run") {
        return preview(&call).await;
    }
    let name = call.arguments.get("name").map(str::parse).transpose()?;
    let task = call.arguments.required("task")?;
    let take = TakeCheckpoint { name, pinned: call.arguments.has("pin") };
    let (checkpoint, manifest) = call.context.lifecycle.checkpoint(task, take).await?;
    let stats = manifest.stats();
    let left_out = match manifest.left_out().count() {
        0 => String::new(),
        count => format!(" {count} left out: `armor checkpoint show` says which, and why."),
    };
    let text = format!(
        "Took checkpoint {}: {} files, {} bytes, of which {} files were read and {} bytes added.{left_out}",
        title(&checkpoint),
        stats.files,
        stats.bytes,
        stats.files_read,
        stats.bytes_added,
    );
    Outcome::well(&CheckpointDetails::of(&checkpoint, &manifest), text)
}

async fn preview(call: &Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let previews = call.context.lifecycle.preview_checkpoint(task).await?;
    let mut lines = Vec::new();
    for Preview { root, files, folders, bytes, left_out } in &previews {
        lines.push(format!("{root:<11} {files} files, {folders} folders, {bytes} bytes"));
        lines.extend(left_out.iter().map(|out| {
            let bytes = out.bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
            let path = out.path.escape_debug();
            format!("            left out: {path} ({}{bytes})", out.reason.as_str())
        }));
    }
    Outcome::well(&json!({ "trees": previews }), lines.join("\n"))
}

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let checkpoints = call.context.lifecycle.checkpoints(call.arguments.required("task")?).await?;
    let text = if checkpoints.is_empty() {
        "No checkpoints yet.".to_owned()
    } else {
        table(checkpoints.iter())
    };
    let views: Vec<_> = checkpoints.iter().map(CheckpointView::from).collect();
    Outcome::well(&json!({ "checkpoints": views }), text)
}

fn table<'a>(checkpoints: impl Iterator<Item = &'a Checkpoint>) -> String {
    let rows = checkpoints.map(|one| {
        [
            one.id.to_string(),
            one.name.as_ref().map_or("", |name| name.as_str()).to_owned(),
            one.created_at.to_string(),
            one.cause.as_str().to_owned(),
            if one.pinned { "yes" } else { "" }.to_owned(),
            one.files.to_string(),
            one.bytes.to_string(),
            one.bytes_added.to_string(),
        ]
    });
    render::table(
        ["CHECKPOINT", "NAME", "TAKEN", "CAUSE", "PINNED", "FILES", "BYTES", "ADDED"],
        rows,
    )
}

async fn show(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let reference = call.arguments.required("checkpoint")?;
    let (checkpoint, manifest) = call.context.lifecycle.find_checkpoint(task, reference).await?;
    let parent = checkpoint.parent.as_ref().map_or("-", |parent| parent.as_str());
    let mut lines = vec![
        format!("checkpoint  {}", checkpoint.id),
        format!("name        {}", checkpoint.name.as_ref().map_or("-", |name| name.as_str())),
        format!("task        {}", checkpoint.task),
        format!("taken       {}", checkpoint.created_at),
        format!("cause       {}", checkpoint.cause.as_str()),
        format!("pinned      {}", if checkpoint.pinned { "yes" } else { "no" }),
        format!("parent      {parent}"),
    ];
    if let Some(risk) = &manifest.risk {
        lines.push(format!("risk        {} of 100; {} is risky", risk.score, risk.threshold));
        lines.extend(parts(&risk.parts).map(|part| format!("            {part}")));
    }
    for root in &manifest.roots {
        lines.push(format!(
            "{:<11} {} files, {} folders, {} bytes",
            root.name, root.stats.files, root.stats.folders, root.stats.bytes
        ));
        lines.extend(root.left_out.iter().map(|out| {
            format!("            left out: {} ({})", out.path.escape_debug(), out.reason.as_str())
        }));
    }
    Outcome::well(&CheckpointDetails::of(&checkpoint, &manifest), lines.join("\n"))
}

async fn extract(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let checkpoint = call.arguments.required("checkpoint")?;
    let folder = Path::new(call.arguments.required("folder")?);
    let (checkpoint, restored) =
        call.context.lifecycle.restore_to(task, checkpoint, folder).await?;
    let text = format!(
        "Made the workspace of checkpoint {} again in {}: {} files, {} bytes.",
        title(&checkpoint),
        folder.display(),
        restored.files,
        restored.bytes,
    );
    let view = json!({
        "checkpoint_id": checkpoint.id,
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
    let reference = call.arguments.required("checkpoint")?;
    let (checkpoint, _) = lifecycle.find_checkpoint(task.id.as_str(), reference).await?;
    let path: Option<RelativePath> = call.arguments.get("path").map(str::parse).transpose()?;
    let what = path.as_ref().map_or_else(|| "the files".to_owned(), |path| format!("`{path}`"));
    let question = format!(
        "Make {what} of task {} ({}) those of checkpoint {}? What is there is kept as another one.",
        task.id,
        task.name,
        title(&checkpoint),
    );
    if !call.arguments.has("force") && !call.console.confirm(&question) {
        return Err(CommandError::NotAgreed { action: format!("restoring task {}", task.id) });
    }
    let restoring = lifecycle.restore(task.id.as_str(), checkpoint.id.as_str(), path);
    let restoration = restoring.await?;
    let text = format!(
        "Restored checkpoint {}: {} files, folders and links changed. What was there is checkpoint {}.",
        title(&checkpoint),
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

async fn diff(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let from = call.arguments.required("checkpoint")?;
    let other = call.arguments.get("other");
    let differences = call.context.lifecycle.checkpoint_differences(task, from, other).await?;
    let lines = differences.iter().map(|Difference { path, change }| {
        format!("{:<9} {}", change.as_str(), path.escape_debug())
    });
    let text = if differences.is_empty() {
        "Nothing differs.".to_owned()
    } else {
        lines.collect::<Vec<_>>().join("\n")
    };
    Outcome::well(&json!({ "differences": differences }), text)
}

async fn explain(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = call.arguments.required("task")?;
    if call.arguments.all("command").is_empty() {
        let moments = lifecycle.risky_moments(task).await?;
        let mut lines = Vec::new();
        for (checkpoint, manifest) in &moments {
            let Some(risk) = &manifest.risk else { continue };
            lines.push(format!("{}  {}  {}", checkpoint.created_at, title(checkpoint), risk.score));
            lines.extend(parts(&risk.parts).map(|part| format!("    {part}")));
        }
        if lines.is_empty() {
            lines.push("No checkpoint was taken before a risky command yet.".to_owned());
        }
        let views: Vec<_> =
            moments.iter().map(|(one, manifest)| CheckpointDetails::of(one, manifest)).collect();
        return Outcome::well(&json!({ "checkpoints": views }), lines.join("\n"));
    }
    let Explanation { assessment, decision, pauses } =
        lifecycle.explain_risk(task, &command_of(&call)).await?;
    let mut lines: Vec<String> = parts(&assessment.parts).collect();
    lines.push(format!("{:>3}  of 100; {} is risky", assessment.score, assessment.threshold));
    lines.push(decision.in_words().to_owned());
    if decision == Decision::Due && pauses {
        lines.push("the sandbox stands still meanwhile".to_owned());
    }
    let view = json!({
        "decision": decision,
        "score": assessment.score,
        "threshold": assessment.threshold,
        "parts": assessment.parts,
        "pauses": pauses,
    });
    Outcome::well(&view, lines.join("\n"))
}

fn parts(parts: &[RiskPart]) -> impl Iterator<Item = String> {
    parts
        .iter()
        .map(|RiskPart { kind, points, why }| format!("{points:>3}  {:<10} {why}", kind.as_str()))
}

async fn export(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let reference = call.arguments.required("checkpoint")?;
    let file = Path::new(call.arguments.required("archive")?);
    let exporting = call.context.lifecycle.export_checkpoint(task, reference, file);
    let (checkpoint, exported) = exporting.await?;
    let text = format!(
        "Wrote checkpoint {} to {}: {} files, {} bytes.",
        title(&checkpoint),
        file.display(),
        exported.files,
        exported.bytes,
    );
    let view = json!({
        "checkpoint_id": checkpoint.id,
        "archive": file,
        "files": exported.files,
        "folders": exported.folders,
        "bytes": exported.bytes,
    });
    Outcome::well(&view, text)
}

async fn import(call: Call) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let archive = PathBuf::from(call.arguments.required("archive")?);
    let name = call.arguments.get("name").map(str::parse).transpose()?;
    let take = TakeCheckpoint { name, pinned: call.arguments.has("pin") };
    let (checkpoint, manifest) =
        call.context.lifecycle.import_checkpoint(task, take, archive).await?;
    let text = format!(
        "Took in checkpoint {}: {} files, {} bytes.",
        title(&checkpoint),
        checkpoint.files,
        checkpoint.bytes,
    );
    Outcome::well(&CheckpointDetails::of(&checkpoint, &manifest), text)
}

async fn pin(call: Call, pinned: bool) -> Result<Outcome, CommandError> {
    let task = call.arguments.required("task")?;
    let reference = call.arguments.required("checkpoint")?;
    let checkpoint = call.context.lifecycle.pin_checkpoint(task, reference, pinned).await?;
    let text = if pinned {
        format!("Checkpoint {} stays until it is unpinned or removed.", title(&checkpoint))
    } else if checkpoint.name.is_some() {
        format!("Checkpoint {} is not pinned; it has a name, so it stays.", title(&checkpoint))
    } else {
        format!("Checkpoint {} goes when the settings say so.", title(&checkpoint))
    };
    Outcome::well(&CheckpointView::from(&checkpoint), text)
}

async fn remove(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let reference = call.arguments.required("checkpoint")?;
    let checkpoint = lifecycle.registry().checkpoint(&task.id, reference).await?;
    let question = format!(
        "Remove checkpoint {} of task {} ({})? It cannot be restored then.",
        title(&checkpoint),
        task.id,
        task.name,
    );
    if !call.arguments.has("force") && !call.console.confirm(&question) {
        return Err(CommandError::NotAgreed { action: "removing a checkpoint".to_owned() });
    }
    let removed = lifecycle.remove_checkpoint(task.id.as_str(), checkpoint.id.as_str()).await?;
    let text = format!("Removed checkpoint {}.", title(&removed));
    Outcome::well(&CheckpointView::from(&removed), text)
}

async fn prune(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    if call.arguments.has("dry-run") {
        let goes = lifecycle.checkpoints_to_forget().await?;
        let text = if goes.is_empty() {
            "No checkpoint would be removed.".to_owned()
        } else {
            format!("Would be removed:\n{}", table(goes.iter().map(|(one, _)| one)))
        };
        return Outcome::well(&json!({ "removed": null, "found": forgotten(&goes) }), text);
    }
    let Pruned { adopted, forgotten: gone, collected } = lifecycle.prune_checkpoints().await?;
    let mut lines = vec![format!("Removed {} checkpoints.", gone.len())];
    if adopted > 0 {
        lines.push(format!("Found {adopted} whose process died when they had been taken."));
    }
    lines.push(match &collected {
        Some(collected) => format!(
            "Gave back {} bytes; what the others need takes {}.",
            collected.bytes_freed, collected.bytes
        ),
        None => "Others were at work: room is given back the next time.".to_owned(),
    });
    let collected = collected.map(|collected| {
        json!({
            "packs_removed": collected.packs_removed,
            "bytes_freed": collected.bytes_freed,
            "chunks": collected.chunks,
            "bytes": collected.bytes,
        })
    });
    let view = json!({ "adopted": adopted, "removed": forgotten(&gone), "collected": collected });
    Outcome::well(&view, lines.join("\n"))
}

fn forgotten(checkpoints: &[(Checkpoint, Forgotten)]) -> Value {
    let views = checkpoints.iter().map(|(checkpoint, why)| {
        json!({ "task_id": checkpoint.task, "checkpoint_id": checkpoint.id, "why": why })
    });
    views.collect()
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

fn title(checkpoint: &Checkpoint) -> String {
    match &checkpoint.name {
        Some(name) => format!("{} ({name})", checkpoint.id),
        None => checkpoint.id.to_string(),
    }
}
