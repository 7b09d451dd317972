//! Killing an execution with all its processes.
//!
//! The exec API can't kill. So each execution runs with a group id of its own, which nothing in
//! the sandbox can shed (there is no capability to change groups) and which every child inherits,
//! whatever session or parent it has. A script of shell builtins finds the processes by it. Where
//! the image has no shell, or the script does not get through, the container has to be restarted,
//! which ends every process in it.

use std::time::Duration;

use armor_core::id::{ExecutionId, SandboxId};
use armor_core::sandbox::{CommandExit, RuntimeError, UserIds};

use crate::digest::digest;
use crate::engine::Engine;
use crate::exec::{self, Exec};

const SCRIPT: &str = include_str!("kill.sh");
/// How long the script may take; a fork bomb at the limit takes it a second or two.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10);
/// How often the script is tried before the container is restarted.
const SCRIPT_TRIES: u32 = 3;
/// The groups of executions. Below 65,536, which is where a rootless engine's numbers end.
const GROUPS: std::ops::Range<u32> = 20_000..60_000;

/// The group of an execution. Two that run at once share one by a chance of 1 in 40,000, and then
/// killing one kills both.
pub(crate) fn group(execution: &ExecutionId) -> u32 {
    let place = digest(execution.as_str()) % u64::from(GROUPS.end - GROUPS.start);
    GROUPS.start + u32::try_from(place).unwrap_or(0)
}

/// Kills an execution. False when that does not get through.
pub(crate) async fn kill(
    engine: &Engine,
    sandbox: &SandboxId,
    execution: &ExecutionId,
    user: UserIds,
) -> Result<bool, RuntimeError> {
    for _ in 0..SCRIPT_TRIES {
        let run = exec::run(engine, sandbox, script(execution, user), None);
        match tokio::time::timeout(SCRIPT_LIMIT, run).await {
            // With the sandbox, all its processes are gone.
            Ok(Ok(CommandExit::Code(0) | CommandExit::SandboxLost)) => return Ok(true),
            // Gone, or it stands still.
            Ok(Err(error @ RuntimeError::SandboxGone { .. })) => return Err(error),
            // The image has no shell.
            Ok(Ok(CommandExit::NotFound)) => break,
            // Where the limits are full, the script itself may be hard to start.
            outcome => tracing::info!(%sandbox, %execution, ?outcome, "not killed yet"),
        }
    }
    Ok(false)
}

fn script(execution: &ExecutionId, user: UserIds) -> Exec {
    let group = group(execution).to_string();
    Exec {
        argv: ["/bin/sh", "-c", SCRIPT, "kill", &group].map(str::to_owned).to_vec(),
        // Not the group of the execution, or the script would kill itself.
        user: format!("{}:{}", user.uid, user.gid),
        cwd: "/".to_owned(),
        env: Vec::new(),
        stdin: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_keeps_its_group_and_groups_lie_in_their_range() {
        for n in 0..1000 {
            let execution = ExecutionId::parse(format!("e{n}")).unwrap();
            assert!(GROUPS.contains(&group(&execution)));
            assert_eq!(group(&execution), group(&execution));
        }
    }
}
