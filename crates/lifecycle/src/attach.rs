//! Attaching an agent.

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
        let _lock = self.parts.folders.lock(&task.id).await?;
        let task = self.parts.registry.get(&task.id).await?;
        task.attach(agent.clone(), self.now())?;
        if task.status == TaskStatus::Pending {
            self.before(HookPoint::before(HookedChange::Start), &task).await?;
        }
        Box::pin(self.ensure_sandbox(&task, progress)).await?;
        self.change(&task.id, |task| task.attach(agent.clone(), self.now())).await
    }
}
