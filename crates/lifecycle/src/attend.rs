//! Executions that somebody else started: followed, sent signals, and ended.

use std::time::Duration;

use armor_core::execution::Execution;
use armor_core::sandbox::{CommandProgress, OutputChunk, RuntimeError, SandboxState, Signal};
use armor_persistence::StorageError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::follow::follow;
use crate::run::{KILL_AGAIN, KILL_LIMIT};
use crate::take_up::Observed;
use crate::{Lifecycle, LifecycleError};

/// How often an execution is looked at whose end another process notes.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Lifecycle {
    /// Passes on what an execution has written and writes, until its end is noted, and gives that.
    ///
    /// # Errors
    /// When the registry or the runtime fails.
    pub async fn follow_execution(
        &self,
        execution: Execution,
        listener: mpsc::Sender<OutputChunk>,
    ) -> Result<Execution, LifecycleError> {
        let (progress, heard) = watch::channel(None);
        let folder = self.folder(&execution.task).execution(&execution.id);
        let following = tokio::spawn(follow(folder, heard, listener));
        let ended = self.until_ended(execution, &progress).await?;
        drop(progress);
        following.await.map_err(|_| LifecycleError::Broken("the reader of a command's output"))?;
        Ok(ended)
    }

    /// Kills all that there is of an execution, also what it left behind when it ended.
    ///
    /// # Errors
    /// When the registry or the runtime fails, or it cannot be killed.
    pub async fn kill_execution(&self, execution: Execution) -> Result<Execution, LifecycleError> {
        let (progress, _) = watch::channel(None);
        let mut ended = std::pin::pin!(self.until_ended(execution.clone(), &progress));
        let give_up = Instant::now() + KILL_LIMIT;
        while Instant::now() < give_up {
            if let Some(sandbox) = self.parts.runtime.find(&execution.task).await?
                && sandbox.state != SandboxState::Stopped
            {
                let task = self.parts.registry.get(&execution.task).await?;
                self.kill(&task, &sandbox.id, &execution.id).await?;
            }
            // It may not even have been started when it was killed.
            if let Ok(ended) = tokio::time::timeout(KILL_AGAIN, &mut ended).await {
                return ended;
            }
        }
        Err(RuntimeError::Timeout { action: "end a command that was killed", limit: KILL_LIMIT }
            .into())
    }

    /// Sends a signal to the command of an execution, and to what it started that has not taken a
    /// process group of its own. What comes of that is the command's own matter.
    ///
    /// # Errors
    /// When the command does not run, or stands still with its sandbox; and when the registry or the
    /// runtime fails.
    pub async fn signal_execution(
        &self,
        execution: &Execution,
        signal: Signal,
    ) -> Result<(), LifecycleError> {
        let _held = self.until_restored(&execution.task).await?;
        if execution.end.is_none()
            && let Some(sandbox) = self.parts.runtime.find(&execution.task).await?
            && sandbox.state == SandboxState::Running
        {
            let user = self.user_of(&self.parts.registry.get(&execution.task).await?.sandbox);
            match self.parts.runtime.signal(&sandbox.id, &execution.id, user, signal).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(RuntimeError::SandboxGone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(LifecycleError::NotRunning { execution: execution.id.clone() })
    }

    /// Waits until somebody has noted the end of an execution: whoever watches it, or we.
    async fn until_ended(
        &self,
        execution: Execution,
        progress: &CommandProgress,
    ) -> Result<Execution, LifecycleError> {
        let (task, id) = (execution.task.clone(), execution.id.clone());
        let mut execution = execution;
        while execution.end.is_none() {
            match self.observe(&execution, progress).await? {
                Observed::Ended(end) => drop(self.note_end(&execution, Some(&end)).await?),
                Observed::Nothing if !self.is_watched(&execution)? => {
                    self.note_end(&execution, None).await?;
                }
                Observed::Nothing | Observed::StandsStill => {
                    // Only who watches it can tell. Perhaps it has written something.
                    progress.send_modify(|_| {});
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
            execution = self.parts.registry.execution(&task, &id).await?;
        }
        Ok(execution)
    }

    fn is_watched(&self, execution: &Execution) -> Result<bool, LifecycleError> {
        let watched = self.parts.instances.is_alive(&execution.instance);
        watched.map_err(|source| {
            let path = self.folder(&execution.task).path().to_owned();
            StorageError::Io { action: "look at an instance beside", path, source }.into()
        })
    }
}
