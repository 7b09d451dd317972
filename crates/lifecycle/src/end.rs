//! Detaching, and the ends of a task: completed, failed, cancelled.
//!
//! Each first brings the agent's commits onto the task's branch. An end is followed, by a consumer
//! of the log, by the removal of the sandbox; files and branch stay.

use std::sync::Arc;

use armor_core::checkpoint::CheckpointCause;
use armor_core::event::TaskEvent;
use armor_core::hook::{HookPoint, HookedChange};
use armor_core::id::AgentId;
use armor_core::task::{Change, Outcome, Task, TaskError};
use armor_core::time::Timestamp;

use crate::collect::Commands;
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Detaches the agent. The task goes on running, with its sandbox and files.
    ///
    /// # Errors
    /// When nobody, or another agent than `agent`, is attached.
    pub async fn detach(
        &self,
        reference: &str,
        agent: Option<&AgentId>,
    ) -> Result<Task, LifecycleError> {
        let task = self.resolve(reference).await?;
        let _lock = self.parts.folders.lock(&task.id).await?;
        let task = self.parts.registry.get(&task.id).await?;
        task.detach(agent, self.now())?;
        self.collect_if_possible(&task, Commands::GoOn).await?;
        self.change(&task.id, |task| task.detach(agent, self.now())).await
    }

    /// Ends a task well.
    ///
    /// # Errors
    /// When it is not running, a hook refuses, or its work cannot be brought onto its branch.
    pub async fn complete(
        &self,
        reference: &str,
        outcome: Outcome,
    ) -> Result<Task, LifecycleError> {
        let end = |task: &Task, now: Timestamp| task.complete(outcome.clone(), now);
        let task = self.resolve(reference).await?;
        let lock = Arc::new(self.parts.folders.lock(&task.id).await?);
        let task = self.parts.registry.get(&task.id).await?;
        end(&task, self.now())?;
        self.before(HookPoint::before(HookedChange::Complete), &task).await?;
        self.collect(&task, Commands::End).await?;
        self.checkpoint_at_end(&task, &lock, CheckpointCause::Completed).await;
        let task = self.change(&task.id, |task| end(task, self.now())).await?;
        drop(lock);
        self.follow(&task.id).await;
        Ok(task)
    }

    /// Ends a task badly. Its work is brought onto its branch as far as it can be.
    ///
    /// # Errors
    /// When it is not running, or a hook refuses.
    pub async fn fail(&self, reference: &str, reason: String) -> Result<Task, LifecycleError> {
        let before = Some(HookPoint::before(HookedChange::Fail));
        self.end_anyhow(reference, before, |task, now| task.fail(reason.clone(), now)).await
    }

    /// Gives a task up. Its work is brought onto its branch as far as it can be.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(
        &self,
        reference: &str,
        reason: Option<String>,
    ) -> Result<Task, LifecycleError> {
        self.end_anyhow(reference, None, |task, now| task.cancel(reason.clone(), now)).await
    }

    async fn end_anyhow(
        &self,
        reference: &str,
        before: Option<HookPoint>,
        end: impl Fn(&Task, Timestamp) -> Result<Change, TaskError> + Sync,
    ) -> Result<Task, LifecycleError> {
        let task = self.resolve(reference).await?;
        let lock = Arc::new(self.parts.folders.lock(&task.id).await?);
        let task = self.parts.registry.get(&task.id).await?;
        end(&task, self.now())?;
        if let Some(point) = before {
            self.before(point, &task).await?;
        }
        self.collect_if_possible(&task, Commands::End).await?;
        self.checkpoint_at_end(&task, &lock, CheckpointCause::Failed).await;
        let task = self.change(&task.id, |task| end(task, self.now())).await?;
        drop(lock);
        self.follow(&task.id).await;
        Ok(task)
    }

    /// Collects the work; when that fails, notes so and goes on: the work is still in the task's
    /// working copy.
    pub(crate) async fn collect_if_possible(
        &self,
        task: &Task,
        commands: Commands,
    ) -> Result<(), LifecycleError> {
        if let Err(error) = self.collect(task, commands).await {
            let reason = armor_core::error::chain(&error);
            tracing::warn!(task = %task.id, reason, "the task's work stays in its working copy");
            self.append(&task.id, TaskEvent::CollectFailed { reason }).await?;
        }
        Ok(())
    }
}
