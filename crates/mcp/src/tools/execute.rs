//! `execute_in_task`

use std::collections::BTreeMap;
use std::time::Duration;

use armor_commands::wire::ExecutionView;
use armor_core::error::{Code, Report};
use armor_core::execution::CommandLine;
use armor_core::sandbox::Input;
use armor_lifecycle::Execute;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::report;

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The task: its id, the beginning of its id, or its name.
    task_id: String,
    /// What to run: a string for the shell, or an array of the program and its arguments.
    command: CommandLine,
    /// Where: relative to /workspace, or absolute in the sandbox. By default /workspace.
    cwd: Option<String>,
    /// Environment variables to add.
    env: Option<BTreeMap<String, String>>,
    /// What the command reads from its standard input.
    stdin: Option<String>,
    /// The time limit in milliseconds, at most 24 hours. After it the command and all its children are killed.
    timeout_ms: Option<u64>,
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "execute_in_task",
        title: "Run a command",
        description: "Runs a command in the task's sandbox and waits for its end. A command that fails is told by its exit_code. Of long output the middle is cut; all of it is in /run/armor/executions/<execution_id>/stdout and stderr inside the sandbox.",
        effect: Effect::Removes,
        idempotent: false,
    };
    register::<Arguments, ExecutionView, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let request = Execute {
        cwd: arguments.cwd,
        env: arguments.env.unwrap_or_default(),
        stdin: arguments.stdin.map(|text| Input::Bytes(text.into())),
        timeout: arguments.timeout_ms.map(Duration::from_millis),
        ..Execute::new(arguments.command)
    };
    let cancel = CancellationToken::new();
    let mut execution =
        std::pin::pin!(call.lifecycle.execute(&arguments.task_id, request, cancel.clone()));
    let done = tokio::select! {
        biased;
        done = &mut execution => done,
        // The command is not ours to end: it goes on, and what it wrote is kept.
        () = call.stopping.cancelled() => return Err(stopping()),
        () = call.cancelled().cancelled() => {
            cancel.cancel();
            execution.await
        }
    };
    let view = ExecutionView::from(done.map_err(report)?);
    let text = text(&view);
    let has_problem = view.problem.is_some();
    Ok(Reply::new(&view, text)?.marked_as_error(has_problem))
}

fn stopping() -> Report {
    Report {
        code: Code::ExecutionInterrupted,
        message: "the server stops before the command has ended".to_owned(),
        next_step: Some(
            "The command goes on in its sandbox. Call get_task_status when the server is back."
                .to_owned(),
        ),
    }
}

/// What an agent reads if its client shows it no structured content.
fn text(view: &ExecutionView) -> String {
    let mut parts = Vec::new();
    if !view.stdout.is_empty() {
        parts.push(view.stdout.trim_end_matches('\n').to_owned());
    }
    if !view.stderr.is_empty() {
        parts.push(format!("stderr:\n{}", view.stderr.trim_end_matches('\n')));
    }
    if let Some(problem) = &view.problem {
        let next = problem.next_step.as_deref().unwrap_or_default();
        parts.push(format!("{} [{}] {next}", problem.message, problem.code));
    }
    parts.push(match view.exit_code {
        Some(code) => format!("exit code {code} after {} ms", view.duration_ms),
        None => format!("no exit code after {} ms", view.duration_ms),
    });
    parts.join("\n")
}
