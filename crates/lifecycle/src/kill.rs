//! Killing what came of an execution, by whoever wants it to end.
//!
//! Where nothing less does it, the sandbox is restarted, which ends all that runs in it: under the
//! task's lock, and only if whoever held that before has not done so.

use armor_core::id::{ExecutionId, SandboxId};
use armor_core::task::Task;

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Kills all that there is of an execution in a sandbox, but not while a restoration is at work on
    /// the task's files.
    pub(crate) async fn kill(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        execution: &ExecutionId,
    ) -> Result<(), LifecycleError> {
        let held = self.until_restored(&task.id).await?;
        let user = self.user_of(&task.sandbox);
        if self.parts.runtime.kill(sandbox, execution, user).await? {
            return Ok(());
        }
        let lock = if let Some(lock) = held {
            lock
        } else {
            let lock = self.parts.folders.lock(&task.id).await?;
            self.finish_restoration(&task.id).await?;
            lock
        };
        let (lifecycle, task) = (self.clone(), task.clone());
        let (sandbox, execution) = (sandbox.clone(), execution.clone());
        // To its end, also when nobody waits for it any more: the command's own end may come first.
        let killing = tokio::spawn(async move {
            let _lock = lock;
            lifecycle.kill_locked(&task, &sandbox, &execution).await
        });
        killing.await.map_err(|_| LifecycleError::Broken("killing a command"))?
    }

    /// The same for whoever holds the task's lock.
    pub(crate) async fn kill_locked(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        execution: &ExecutionId,
    ) -> Result<(), LifecycleError> {
        let runtime = &self.parts.runtime;
        if !runtime.kill(sandbox, execution, self.user_of(&task.sandbox)).await? {
            tracing::warn!(%sandbox, %execution, "restarting the sandbox to end a command");
            runtime.restart(sandbox).await?;
        }
        Ok(())
    }
}
