//! A command that was begun: watched to its end, and its end noted.
//!
//! Once started, a command goes on whatever becomes of the caller: its output is kept and its end
//! is noted by a task of this process's own. Only a time limit or the caller's cancellation ends it
//! early, with all its children; and so does a failure to keep its output, since nobody would know
//! what it does.

use std::path::PathBuf;
use std::time::Duration;

use armor_core::execution::Execution;
use armor_core::id::SandboxId;
use armor_core::sandbox::{
    CommandEnd, CommandExit, CommandProgress, ExecRequest, OutputPlace, RuntimeError,
};
use armor_core::task::Task;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::conclude::problem;
use crate::follow::follow;
use crate::{Execute, ExecutionReport, Lifecycle, LifecycleError};

/// How long a killed command may take to be gone before it is killed again. It may not even have
/// been started when it was killed for the first time.
pub(crate) const KILL_AGAIN: Duration = Duration::from_secs(1);
/// How long all of that may take.
pub(crate) const KILL_LIMIT: Duration = Duration::from_mins(1);

/// An execution that is to run.
pub(crate) struct Run {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) task: Task,
    pub(crate) execution: Execution,
    pub(crate) argv: Vec<String>,
    pub(crate) request: Execute,
    pub(crate) limit: Duration,
}

impl Run {
    /// Begins the execution, runs it to its end and notes that, whatever happens in between.
    pub(crate) async fn until_the_end(
        self,
        sandbox: SandboxId,
        cancelled: CancellationToken,
        progress: CommandProgress,
    ) -> Result<ExecutionReport, LifecycleError> {
        let registry = &self.lifecycle.parts.registry;
        let variables: Vec<String> = self.request.env.keys().cloned().collect();
        registry.begin_execution(&self.execution, &variables).await?;

        if let Some(live) = self.request.live.clone() {
            tokio::spawn(follow(self.folder(), progress.subscribe(), live));
        }
        let ended = self.watch(&sandbox, &cancelled, &progress).await;
        let noted = self.lifecycle.note_end(&self.execution, ended.as_ref().ok()).await?;
        let problem = problem(&self.execution.command, &ended?, self.limit);
        // Somebody else was faster, with the same end.
        let execution = match noted {
            Some(execution) => execution,
            None => registry.execution(&self.task.id, &self.execution.id).await?,
        };
        self.lifecycle.report(execution, problem)
    }

    fn folder(&self) -> PathBuf {
        self.lifecycle.folder(&self.task.id).execution(&self.execution.id)
    }

    /// Runs the command, in a sandbox that is seen to again if it turns out to be gone or out of reach.
    async fn watch(
        &self,
        sandbox: &SandboxId,
        cancelled: &CancellationToken,
        progress: &CommandProgress,
    ) -> Result<CommandEnd, LifecycleError> {
        match self.attempt(sandbox, cancelled, progress).await {
            Err(LifecycleError::Runtime(error)) if error.lacks_sandbox() => {
                let sandbox = self.lifecycle.sandbox_made_again(&self.task).await?;
                self.attempt(&sandbox, cancelled, progress).await
            }
            ended => ended,
        }
    }

    async fn attempt(
        &self,
        sandbox: &SandboxId,
        cancelled: &CancellationToken,
        progress: &CommandProgress,
    ) -> Result<CommandEnd, LifecycleError> {
        let runtime = &self.lifecycle.parts.runtime;
        let mut running = runtime.exec(sandbox, self.exec_request(), progress);
        tokio::select! {
            end = &mut running => return self.ended(end, sandbox, progress).await,
            () = cancelled.cancelled() => {}
        }
        let give_up = Instant::now() + KILL_LIMIT;
        while Instant::now() < give_up {
            let end = {
                let mut killing = Box::pin(self.kill(sandbox));
                let mut killed = None;
                let again = tokio::time::sleep(KILL_AGAIN);
                tokio::pin!(again);
                loop {
                    tokio::select! {
                        end = &mut running => break Some(end),
                        outcome = &mut killing, if killed.is_none() => {
                            if let Err(error) = &outcome {
                                let cause = armor_core::error::chain(error);
                                tracing::warn!(execution = %self.execution.id, cause, "not killed yet");
                            }
                            killed = Some(outcome);
                        }
                        () = &mut again, if killed.is_some() => break None,
                    }
                }
            };
            if let Some(end) = end {
                let end = self.ended(end, sandbox, progress).await?;
                return Ok(CommandEnd { exit: CommandExit::Killed, ..end });
            }
        }
        Err(RuntimeError::Timeout { action: "end a command that was killed", limit: KILL_LIMIT }
            .into())
    }

    async fn kill(&self, sandbox: &SandboxId) -> Result<(), LifecycleError> {
        self.lifecycle.kill(&self.task, sandbox, &self.execution.id).await
    }

    /// The end of a command, which is killed first if nothing else ended it at its time.
    async fn ended(
        &self,
        end: Result<CommandEnd, RuntimeError>,
        sandbox: &SandboxId,
        progress: &CommandProgress,
    ) -> Result<CommandEnd, LifecycleError> {
        let Err(RuntimeError::Overdue) = end else { return Ok(end?) };
        match Box::pin(self.kill(sandbox)).await {
            Ok(()) => {}
            // As such, it would say that the command was not started.
            Err(LifecycleError::Runtime(error)) if error.lacks_sandbox() => {}
            Err(error) => return Err(error),
        }
        let exit = CommandExit::TimedOut;
        let written = progress.borrow().unwrap_or_default();
        let end = self.lifecycle.parts.runtime.noted_end(&self.folder());
        let end = end.unwrap_or(CommandEnd { exit, written, usage: None, at: None });
        Ok(CommandEnd { exit, ..end })
    }

    fn exec_request(&self) -> ExecRequest {
        let own = Lifecycle::own_variables(&self.execution);
        let asked = self.request.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        ExecRequest {
            execution: self.execution.id.clone(),
            argv: self.argv.clone(),
            user: self.lifecycle.user_of(&self.task.sandbox),
            cwd: self.execution.cwd.clone(),
            env: own.into_iter().chain(asked).collect(),
            stdin: self.request.stdin.clone(),
            limit: self.limit,
            output: OutputPlace {
                folder: self.folder(),
                keep_bytes: self.lifecycle.settings.execution.keep_bytes(),
            },
        }
    }
}
