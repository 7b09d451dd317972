//! `shell`

use std::time::Duration;

use armor_lifecycle::Shell;
use futures_util::FutureExt;

use crate::arguments::{Argument, Kind};
use crate::exec::{agent_of, attach_if_nobody_is, exit_of};
use crate::task::TASK;
use crate::wire::ExecutionSummary;
use crate::{Call, Command, CommandError, Outcome, Run, TerminalKind};

/// How long what the shell showed last may take to come, when others may still show something.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long a shell that shows nothing any more may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

pub(crate) const COMMAND: Command = Command {
    name: "shell",
    about: "Open a shell in a task's sandbox, on this terminal; ends with the shell's exit code",
    arguments: &[
        TASK,
        Argument {
            name: "agent",
            kind: Kind::Option("AGENT"),
            help: "Run it as this agent; attach as it if nobody is attached [default: your user name]",
        },
    ],
    run: Run::Open(|call| run(call).boxed()),
};

async fn run(call: Call) -> Result<Outcome, CommandError> {
    let lifecycle = &call.context.lifecycle;
    let task = lifecycle.resolve(call.arguments.required("task")?).await?;
    let reference = task.id.as_str();
    let agent = agent_of(&call)?;
    let TerminalKind { size, name } = call.console.terminal().ok_or(CommandError::NoTerminal)?;
    attach_if_nobody_is(&call, &task, agent.clone()).await?;
    let shell = lifecycle.shell(reference, &agent, &name, size).await?;
    let Shell { mut output, mut input, size, execution, mut end } = shell;
    // Not before, or nobody would hear Ctrl-C meanwhile.
    let take = call.console.take_terminal();
    let mut person =
        take.map_err(|source| CommandError::Io { action: "take the terminal", source })?;

    let typed = tokio::io::copy(&mut person.input, &mut input);
    let shown = tokio::io::copy(&mut output, &mut person.output);
    // It may have become another one since the shell was asked for.
    person.size.mark_changed();
    let resized = async {
        while person.size.changed().await.is_ok() {
            size.send_replace(*person.size.borrow_and_update());
        }
        std::future::pending::<()>().await;
    };
    let (mut typed, mut shown) = (std::pin::pin!(typed), std::pin::pin!(shown));
    let mut resized = std::pin::pin!(resized);
    let (mut is_typed, mut is_shown) = (false, false);
    let stopped = call.cancelled.clone();
    let ended = loop {
        tokio::select! {
            ended = &mut end => break ended,
            // When nobody is left who could show anything, it ends soon, or somebody has stopped
            // what watches over it.
            () = tokio::time::sleep(END_LIMIT), if is_shown => {
                break lifecycle.kill_execution(execution).await;
            }
            () = stopped.cancelled() => break lifecycle.kill_execution(execution).await,
            // Either may end before the shell does.
            _ = &mut typed, if !is_typed => is_typed = true,
            _ = &mut shown, if !is_shown => is_shown = true,
            () = &mut resized => {}
        }
    };
    if !is_shown {
        // What is left behind may hold the terminal for ever.
        let _all = tokio::time::timeout(LAST_WORDS, shown).await;
    }
    let ended = ended?;
    let exit = exit_of(ended.end.as_ref().and_then(|end| end.exit_code));
    let json = Some(serde_json::to_value(ExecutionSummary::from(&ended))?);
    Ok(Outcome { json, text: String::new(), exit })
}
