//! `demo`: one task from beginning to end, for whoever sees Armor for the first time.

use std::path::{Path, PathBuf};

use armor_core::execution::CommandLine;
use armor_core::id::AgentId;
use armor_core::sandbox::OutputChunk;
use armor_core::task::{Outcome as TaskOutcome, Task};
use armor_git::GitError;
use armor_lifecycle::{CreateTask, Execute, LifecycleError, TakeCheckpoint};
use futures_util::FutureExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::wire::ExecutionView;
use crate::{Call, Command, CommandError, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "demo",
    about: "Run one small task from beginning to end, and say how to connect an agent",
    arguments: &[],
    run: Run::Open(|call| run(call).boxed()),
};

const CONNECT: &str = include_str!("demo_connect.txt");

/// What the demonstration does in the sandbox: each an explanation and a shell line.
const STEPS: &[(&str, &str)] = &[
    (
        "The agent changes a file and commits it",
        "echo 'Hello from the sandbox.' >> README.md && git commit --quiet --all --message 'Greet' && git log --oneline",
    ),
    ("A command that fails gives its exit code, and harms nothing", "ls /nowhere"),
    (
        "There is no way out: no network, no root, a read-only system",
        "id -u; touch /etc/x; curl --silent --max-time 2 http://deb.debian.org || echo 'no network'",
    ),
];

async fn run(call: Call) -> Result<Outcome, CommandError> {
    // Before anything is shown: without an engine there is nothing to show.
    call.context.lifecycle.runtime().probe().await?;
    let place = call.context.home.join("demo");
    let repository = place.join(call.context.lifecycle.registry().home_id().as_str());
    let told = demonstrate(&call, &repository).await;
    // The repository is ours alone, and of no use any more, however it went.
    remove(&place)?;
    let executions = told?;
    call.console.step("");
    Outcome::well(&json!({ "executions": executions }), CONNECT.trim_end().to_owned())
}

async fn demonstrate(call: &Call, repository: &Path) -> Result<Vec<ExecutionView>, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let say = |line: &str| call.console.step(line);

    say("1. A small git repository, as yours would be");
    remove(repository)?;
    let first = armor_git::make_example(lifecycle.git(), repository).await?;
    say(&format!("   {} at {}", repository.display(), crate::render::short(&first)));

    say("2. A task with a branch and a working copy of its own");
    let mut request = CreateTask::named("armor demo".parse()?);
    request.workspace = Some(PathBuf::from(repository));
    let task = lifecycle.create(request).await?;
    let reference = task.id.as_str();
    say(&format!("   task {reference}, branch task/{reference}"));

    let done = work(call, reference, repository, &first).await;
    if done.is_err() {
        // Leave nothing behind; the first error is the one to tell.
        let _cleaned = lifecycle.delete(reference, true).await;
    }
    done
}

async fn work(
    call: &Call,
    reference: &str,
    repository: &Path,
    first: &str,
) -> Result<Vec<ExecutionView>, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let say = |line: &str| call.console.step(line);

    say("3. An agent attaches: the sandbox starts (its image is built the first time)");
    let agent = AgentId::parse("demo-agent")?;
    lifecycle.attach(reference, agent.clone(), call.console.as_ref()).await?;

    let mut executions = Vec::new();
    for (number, (why, line)) in (4..).zip(STEPS) {
        say(&format!("{number}. {why}"));
        let view = shown(call, reference, line).await?;
        say(&format!("   exit code {}", view.exit_code.unwrap_or(-1)));
        executions.push(view);
    }

    say("7. A checkpoint, a disaster, and back; what was there before is kept, too");
    let take = TakeCheckpoint { name: Some("before".parse()?), pinned: false };
    let (checkpoint, _) = lifecycle.checkpoint(reference, take).await?;
    say(&format!("   checkpoint {} ({} files)", checkpoint.id, checkpoint.files));
    executions.push(shown(call, reference, "rm -rf ./* .git && ls -A").await?);
    let back = lifecycle.restore(reference, "before", None).await?;
    say(&format!("   restored: {} files, folders and links changed", back.changed));
    // A restored task begins anew.
    lifecycle.attach(reference, agent, call.console.as_ref()).await?;
    executions.push(shown(call, reference, "git log --oneline").await?);

    say("8. A fork: another task that begins with the same files, on a branch of its own");
    let fork = lifecycle.fork(reference, Some("before"), None).await?;
    say(&format!("   task {}, branch task/{}", fork.id, fork.id));
    let tried = try_fork(call, &fork).await;
    lifecycle.delete(fork.id.as_str(), true).await?;
    executions.push(tried?);

    say("9. The task is completed: the agent's commit comes onto its branch in your repository");
    let outcome = TaskOutcome { message: Some("demonstrated".to_owned()), result: None };
    let task = lifecycle.complete(reference, outcome).await?;
    let branch = format!("task/{reference}");
    let diff = armor_git::diff(lifecycle.git(), repository, first, &branch).await?;
    let patch = OutputChunk {
        stream: armor_core::sandbox::StreamKind::Stdout,
        bytes: format!("{diff}\n").into(),
    };
    call.console
        .output(&patch)
        .map_err(|source| CommandError::Io { action: "show the patch", source })?;

    say("10. Clean-up: the sandbox, the working copy and the task are gone");
    lifecycle.delete(task.id.as_str(), false).await?;
    Ok(executions)
}

/// Shows that a fork has the files.
async fn try_fork(call: &Call, fork: &Task) -> Result<ExecutionView, CommandError> {
    let (lifecycle, reference) = (&call.context.lifecycle, fork.id.as_str());
    let agent = AgentId::parse("demo-agent-2")?;
    lifecycle.attach(reference, agent, call.console.as_ref()).await?;
    shown(call, reference, "tail -n 1 README.md && git branch --show-current").await
}

/// Runs a line, and shows it first.
async fn shown(call: &Call, reference: &str, line: &str) -> Result<ExecutionView, CommandError> {
    call.console.step(&format!("   $ {line}"));
    Ok(execute(call, reference, line).await?)
}

async fn execute(
    call: &Call,
    reference: &str,
    line: &str,
) -> Result<ExecutionView, LifecycleError> {
    let (live, mut pieces) = mpsc::channel(16);
    let command = CommandLine::Shell(line.to_owned());
    let request = Execute { live: Some(live), ..Execute::new(command) };
    let console = call.console.clone();
    let show = async move {
        while let Some(chunk) = pieces.recv().await {
            // The demonstration goes on, whoever looks.
            let _shown = console.output(&chunk);
        }
    };
    let execution = call.context.lifecycle.execute(reference, request, CancellationToken::new());
    let (report, ()) = tokio::join!(execution, show);
    Ok(ExecutionView::from(report?))
}

fn remove(folder: &Path) -> Result<(), CommandError> {
    match std::fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            let path = folder.to_owned();
            Err(GitError::Io { action: "remove", path, source }.into())
        }
        _ => Ok(()),
    }
}
