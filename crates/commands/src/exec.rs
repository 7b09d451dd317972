//! `exec`

use std::collections::BTreeMap;
use std::time::Duration;

use armor_core::execution::CommandLine;
use armor_core::id::AgentId;
use armor_core::sandbox::{Input, InputStream, OutputChunk};
use armor_core::task::{Task, TaskStatus};
use armor_lifecycle::{Begun, Execute, ExecutionReport};
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use crate::arguments::{Argument, Kind};
use crate::task::TASK;
use crate::wire::{ExecutionSummary, ExecutionView};
use crate::{Call, Command, CommandError, ExitStatus, Outcome, Run};

pub(crate) const COMMAND: Command = Command {
    name: "exec",
    about: "Run a command in a task's sandbox; ends with the command's exit code",
    arguments: &[
        TASK,
        Argument {
            name: "cwd",
            kind: Kind::Option("PATH"),
            help: "Where: relative to the workspace, or absolute in the sandbox",
        },
        Argument { name: "env", kind: Kind::Many("NAME=VALUE"), help: "A variable to add" },
        Argument { name: "stdin", kind: Kind::Flag, help: "Pass standard input on to the command" },
        Argument {
            name: "timeout-ms",
            kind: Kind::Option("MS"),
            help: "The time limit in milliseconds",
        },
        Argument {
            name: "shell",
            kind: Kind::Flag,
            help: "Let the sandbox's shell read the command as one line",
        },
        Argument {
            name: "agent",
            kind: Kind::Option("AGENT"),
            help: "Run it as this agent; attach as it if nobody is attached [default: your user name]",
        },
        Argument {
            name: "background",
            kind: Kind::Flag,
            help: "Come back when it runs; `armor executions` follows and ends it",
        },
        Argument { name: "command", kind: Kind::Rest, help: "The program and its arguments" },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let arguments = &call.arguments;
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(arguments.required("task")?).await?;
    let reference = task.id.as_str();

    let command = command_of(&call);
    let stdin = if arguments.has("stdin") { Some(input(&call).await?) } else { None };
    let (live, mut pieces) = mpsc::channel::<OutputChunk>(64);
    let agent = agent_of(&call)?;
    let request = Execute {
        command,
        agent: Some(agent.clone()),
        cwd: arguments.get("cwd").map(str::to_owned),
        env: variables(arguments.all("env"))?,
        stdin,
        timeout: arguments.number("timeout-ms")?.map(Duration::from_millis),
        live: Some(live),
    };
    attach_if_nobody_is(&call, &task, agent).await?;
    if arguments.has("background") {
        return match lifecycle.begin(reference, Execute { live: None, ..request }).await? {
            Begun::Ended(report) if report.problem.is_some() => ended(&call, report),
            Begun::Running(execution) | Begun::Ended(ExecutionReport { execution, .. }) => {
                Outcome::well(&ExecutionSummary::from(&execution), execution.id.to_string())
            }
        };
    }
    let console = call.console.clone();
    let unread = call.cancelled.clone();
    let show = async move {
        while let Some(chunk) = pieces.recv().await {
            if console.output(&chunk).is_err() {
                // As a command in a pipe whose reader has gone ends.
                unread.cancel();
                return;
            }
        }
    };
    let execute = lifecycle.execute(reference, request, call.cancelled.clone());
    let (report, ()) = tokio::join!(execute, show);
    ended(&call, report?)
}

fn ended(call: &Call, report: ExecutionReport) -> Result<Outcome, CommandError> {
    let view = ExecutionView::from(report);
    let exit = exit_of(view.exit_code);
    let text = view.problem.as_ref().map(|problem| {
        let next = problem.next_step.as_ref().map(|next| format!("\n  next: {next}"));
        format!("{} [{}]{}", problem.message, problem.code, next.unwrap_or_default())
    });
    if let Some(text) = text {
        call.console.step(&text);
    }
    Ok(Outcome { json: Some(serde_json::to_value(&view)?), text: String::new(), exit })
}

/// What the command is to read: as it comes, or all of it where nobody stays to pass it on.
async fn input(call: &Call) -> Result<Input, CommandError> {
    let mut stdin = call.console.stdin();
    if !call.arguments.has("background") {
        return Ok(Input::Stream(InputStream::new(stdin)));
    }
    let mut bytes = Vec::new();
    let read = stdin.read_to_end(&mut bytes).await;
    read.map_err(|source| CommandError::Io { action: "read standard input", source })?;
    Ok(Input::Bytes(bytes.into()))
}

/// The command that was given, as one line or as its words.
pub(crate) fn command_of(call: &Call) -> CommandLine {
    let words = call.arguments.all("command").to_vec();
    if call.arguments.has("shell") {
        CommandLine::Shell(words.join(" "))
    } else {
        CommandLine::Argv(words)
    }
}

/// Who acts: the agent that was named, or the person.
pub(crate) fn agent_of(call: &Call) -> Result<AgentId, CommandError> {
    match call.arguments.get("agent") {
        Some(agent) => Ok(AgentId::parse(agent)?),
        None => Ok(person(call.context.user.as_deref())),
    }
}

/// Takes up a task that nobody works in, so that a person needs one command, not two.
pub(crate) async fn attach_if_nobody_is(
    call: &Call,
    task: &Task,
    agent: AgentId,
) -> Result<(), CommandError> {
    let is_open = matches!(task.status, TaskStatus::Pending | TaskStatus::Running);
    if task.agent.is_none() && is_open {
        let lifecycle = &call.context.lifecycle;
        lifecycle.attach(task.id.as_str(), agent, call.console.as_ref()).await?;
    }
    Ok(())
}

/// How the program ends that waited for a command.
pub(crate) fn exit_of(code: Option<i32>) -> ExitStatus {
    code.map_or(ExitStatus::Failure, |code| {
        ExitStatus::OfCommand(u8::try_from(code).unwrap_or(u8::MAX))
    })
}

/// A person as an agent. Names of users hold what ids do not, such as `\\` and letters beyond ASCII.
fn person(user: Option<&str>) -> AgentId {
    let name: String = user
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    AgentId::parse(name).unwrap_or_else(|_| AgentId::person())
}

fn variables(pairs: &[String]) -> Result<BTreeMap<String, String>, CommandError> {
    let split = |pair: &String| {
        let (name, value) = pair.split_once('=').ok_or_else(|| CommandError::Invalid {
            argument: "env",
            value: pair.clone(),
            expected: "NAME=VALUE",
        })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.iter().map(split).collect()
}
