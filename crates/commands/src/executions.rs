//! `executions`: the commands of a task, those that run among them.

use armor_core::execution::Execution;
use armor_core::id::ExecutionId;
use armor_core::sandbox::{OutputChunk, Signal};
use armor_persistence::output::replay;
use futures_util::FutureExt;
use serde_json::json;
use tokio::sync::mpsc;

use crate::arguments::{Argument, Kind};
use crate::exec::exit_of;
use crate::task::TASK;
use crate::wire::ExecutionSummary;
use crate::{Call, Command, CommandError, ExitStatus, Outcome, Run, render};

/// How many are listed when nothing is said.
const LISTED: u32 = 50;

const EXECUTION: Argument = Argument {
    name: "execution",
    kind: Kind::Optional,
    help: "The execution [default: the latest]",
};

pub(crate) const LIST: Command = Command {
    name: "executions list",
    about: "List a task's executions, newest first",
    arguments: &[
        TASK,
        Argument { name: "limit", kind: Kind::Option("N"), help: "How many [default: 50]" },
    ],
    run: Run::Open(|call| list(call).boxed()),
};

pub(crate) const LOGS: Command = Command {
    name: "executions logs",
    about: "Show the whole output of an execution, in the order in which it came",
    arguments: &[
        TASK,
        EXECUTION,
        Argument {
            name: "follow",
            kind: Kind::Flag,
            help: "Go on until it ends; ends with the command's exit code",
        },
    ],
    run: Run::Open(|call| logs(call).boxed()),
};

/// The same by a shorter name.
pub(crate) const SHORT_LOGS: Command = Command { name: "logs", ..LOGS };

pub(crate) const KILL: Command = Command {
    name: "executions kill",
    about: "Kill an execution with all its processes, also what it left behind",
    arguments: &[
        TASK,
        Argument { name: "execution", kind: Kind::Required, help: "The execution" },
        Argument {
            name: "signal",
            kind: Kind::Option("NAME"),
            help: "Send its command this signal instead: HUP, INT, QUIT, USR1, USR2, TERM, STOP or CONT",
        },
    ],
    run: Run::Open(|call| kill(call).boxed()),
};

async fn list(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let limit = call.arguments.number("limit")?.unwrap_or(LISTED);
    let executions = lifecycle.registry().executions(&task.id, limit).await?;
    let summaries: Vec<_> = executions.iter().map(ExecutionSummary::from).collect();
    let text = if executions.is_empty() {
        "No executions yet.".to_owned()
    } else {
        render::executions(&executions)
    };
    Outcome::well(&summaries, text)
}

async fn logs(call: Call) -> Result<Outcome, CommandError> {
    let Some(execution) = named(&call).await? else {
        return Outcome::well(&json!(null), "No executions yet.".to_owned());
    };
    if call.arguments.has("follow") && execution.end.is_none() {
        return follow(call, execution).await;
    }
    let folder = call.context.lifecycle.folder(&execution.task).execution(&execution.id);
    replay(&folder, &mut |stream, bytes| {
        call.console.output(&OutputChunk { stream, bytes: bytes.to_vec().into() })
    })?;
    shown(&call, &execution)
}

async fn follow(call: Call, execution: Execution) -> Result<Outcome, CommandError> {
    let (live, mut pieces) = mpsc::channel::<OutputChunk>(64);
    let following = call.context.lifecycle.follow_execution(execution.clone(), live);
    let mut following = std::pin::pin!(following);
    let mut ended = None;
    loop {
        tokio::select! {
            outcome = &mut following, if ended.is_none() => ended = Some(outcome?),
            piece = pieces.recv() => match piece {
                Some(piece) => if call.console.output(&piece).is_err() {
                    // Nobody reads it any more.
                    return shown(&call, &execution);
                },
                None => break,
            },
            () = call.cancelled.cancelled() => return shown(&call, &execution),
        }
    }
    let ended = match ended {
        Some(ended) => ended,
        None => following.await?,
    };
    shown(&call, &ended)
}

fn shown(call: &Call, execution: &Execution) -> Result<Outcome, CommandError> {
    let exit = if call.arguments.has("follow") {
        exit_of(execution.end.as_ref().and_then(|end| end.exit_code))
    } else {
        ExitStatus::Success
    };
    Ok(Outcome { exit, ..Outcome::well(&ExecutionSummary::from(execution), String::new())? })
}

async fn kill(call: Call) -> Result<Outcome, CommandError> {
    let signal = call.arguments.get("signal").map(str::parse::<Signal>).transpose()?;
    let Some(execution) = named(&call).await? else {
        return Err(CommandError::Missing { argument: "execution" });
    };
    if let Some(signal) = signal {
        call.context.lifecycle.signal_execution(&execution, signal).await?;
        let text = format!("{} was sent {signal}", execution.id);
        return Outcome::well(&ExecutionSummary::from(&execution), text);
    }
    let ended = call.context.lifecycle.kill_execution(execution).await?;
    Outcome::well(&ExecutionSummary::from(&ended), format!("{} {}", ended.id, ended.status()))
}

/// The execution that was named, or the latest; none when there is none yet.
async fn named(call: &Call) -> Result<Option<Execution>, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let registry = lifecycle.registry();
    Ok(match call.arguments.get("execution") {
        Some(id) => Some(registry.execution(&task.id, &ExecutionId::parse(id)?).await?),
        None => registry.executions(&task.id, 1).await?.pop(),
    })
}
