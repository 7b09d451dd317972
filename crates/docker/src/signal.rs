//! Sending a signal to a command where there is no runner.
//!
//! The exec API can't do that. So, as for killing (`kill.rs`), a script of shell builtins finds the
//! command by the group of its execution. Between finding it and the signal it may end: a number that
//! has become another's within that moment is not told apart.

use std::time::Duration;

use armor_core::id::{ExecutionId, SandboxId};
use armor_core::sandbox::{CommandExit, RuntimeError, Signal, UserIds};

use crate::engine::Engine;
use crate::exec::{self, Exec, engine_broke};
use crate::kill::group;

const ACTION: &str = "send a signal";
const SCRIPT: &str = include_str!("signal.sh");
/// How long the script may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10);
/// How the script ends that has found no such command.
const NOT_FOUND: i32 = 3;

/// Sends a signal to a command. False when it does not run.
pub(crate) async fn signal(
    engine: &Engine,
    sandbox: &SandboxId,
    execution: &ExecutionId,
    user: UserIds,
    signal: Signal,
) -> Result<bool, RuntimeError> {
    let run = exec::run(engine, sandbox, script(execution, user, signal), None);
    let exit = tokio::time::timeout(SCRIPT_LIMIT, run).await;
    let exit = exit.map_err(|_| RuntimeError::Timeout { action: ACTION, limit: SCRIPT_LIMIT })?;
    match exit? {
        CommandExit::Code(0) => Ok(true),
        CommandExit::Code(NOT_FOUND) | CommandExit::SandboxLost => Ok(false),
        CommandExit::NotFound => Err(RuntimeError::Unsupported {
            feature: "signals for commands of an image without /bin/sh",
            next_step: "Kill the command with all its processes (`armor executions kill`), or use an image that has a shell.",
        }),
        exit => Err(engine_broke(ACTION, &format!("the script ended with {exit:?}"))),
    }
}

fn script(execution: &ExecutionId, user: UserIds, signal: Signal) -> Exec {
    let group = group(execution).to_string();
    let words = ["/bin/sh", "-c", SCRIPT, "signal", &group, signal.as_str()];
    Exec {
        argv: words.map(str::to_owned).to_vec(),
        // Not the group of the execution: the script is not the command.
        user: format!("{}:{}", user.uid, user.gid),
        cwd: "/".to_owned(),
        env: Vec::new(),
        stdin: None,
    }
}
