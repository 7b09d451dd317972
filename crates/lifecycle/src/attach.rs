//! Attaching an agent.

use std::sync::Arc;

use armor_core::checkpoint::CheckpointCause;
use armor_core::hook::{HookPoint, HookedChange};
use armor_core::id::AgentId;
use armor_core::sandbox::Progress;
use armor_core::task::{Task, TaskStatus};

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Attaches an agent to a task and sees to it that the sandbox runs. A pending task starts.
    ///
    /// The sandbox comes first: when it cannot be had, the task stays as it was.
    ///
    /// # Errors
    /// When another agent is attached, the task has ended, a hook refuses its start, or the sandbox
    /// cannot be had.
    pub async fn attach(
        &self,
        reference: &str,
        agent: AgentId,
        progress: &dyn Progress,
    ) -> Result<Task, LifecycleError> {
        let task = self.resolve(reference).await?;
        task.attach(agent.clone(), self.now())?;
        // Before the lock: a build may take minutes, and others may want to stop the task.
        self.parts.images.ensure(&task.sandbox.image, progress).await?;
        let lock = Arc::new(self.parts.folders.lock(&task.id).await?);
        let task = self.parts.registry.get(&task.id).await?;
        task.attach(agent.clone(), self.now())?;
        if task.status == TaskStatus::Pending {
            self.before(HookPoint::before(HookedChange::Start), &task).await?;
        }
        Box::pin(self.ensure_sandbox(&task, progress)).await?;
        if task.status == TaskStatus::Pending {
            // No command runs before it is committed that an agent is attached.
            Box::pin(self.checkpoint_at(&task, &lock, CheckpointCause::Started)).await;
        }
        self.change(&task.id, |task| task.attach(agent.clone(), self.now())).await
    }
}
