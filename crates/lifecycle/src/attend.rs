//! Executions that somebody else started: followed, and ended.

use std::time::Duration;

use armor_core::execution::Execution;
use armor_core::id::ExecutionId;
use armor_core::sandbox::{CommandProgress, OutputChunk, SandboxState};
use tokio::sync::{mpsc, watch};

use crate::follow::follow;
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
        if let Some(sandbox) = self.parts.runtime.find(&execution.task).await?
            && sandbox.state != SandboxState::Stopped
        {
            let user = self.settings.user;
            self.parts.runtime.kill(&sandbox.id, &execution.id, user).await?;
        }
        let (progress, _) = watch::channel(None);
        self.until_ended(execution, &progress).await
    }

    /// Waits until somebody has noted the end of an execution: whoever watches it, or we, when that
    /// one has died.
    async fn until_ended(
        &self,
        execution: Execution,
        progress: &CommandProgress,
    ) -> Result<Execution, LifecycleError> {
        let (task, id): (_, ExecutionId) = (execution.task.clone(), execution.id.clone());
        let mut execution = execution;
        while execution.end.is_none() {
            let folder = self.folder(&task).execution(&id);
            if let Some(end) = self.parts.runtime.noted_end(&folder) {
                self.note_end(&execution, Some(&end)).await?;
            } else {
                progress.send_modify(|_| {});
                tokio::time::sleep(LOOK_AGAIN).await;
                // Who watches it may have died.
                self.take_up().await?;
            }
            execution = self.parts.registry.execution(&task, &id).await?;
        }
        Ok(execution)
    }
}
