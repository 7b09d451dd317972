//! What is put right when a home is opened: executions whose watcher died, sandboxes that no live
//! task needs.

use armor_core::event::{Event, EventPayload, TaskEvent};
use armor_core::execution::{ExecutionEnd, ExecutionStatus};
use armor_core::id::TaskId;
use armor_registry::{EventQuery, RegistryError};

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Notes the end of every execution whose watcher died. The command itself may still run in
    /// its sandbox; what it writes is not kept any more. Says how many there were.
    ///
    /// # Errors
    /// When the registry fails.
    pub async fn recover(&self) -> Result<usize, LifecycleError> {
        let mut noted = 0;
        for execution in self.parts.registry.running_executions().await? {
            match self.parts.instances.is_alive(&execution.instance) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, instance = %execution.instance, "cannot be looked at");
                    continue;
                }
            }
            let folder = self.folder(&execution.task).execution(&execution.id);
            let length = |name| folder.join(name).metadata().map_or(0, |metadata| metadata.len());
            let end = ExecutionEnd {
                status: ExecutionStatus::Interrupted,
                exit_code: None,
                at: self.now(),
                stdout_bytes: length("stdout"),
                stderr_bytes: length("stderr"),
            };
            if self.parts.registry.end_execution(&execution, &end).await? {
                noted += 1;
            }
        }
        Ok(noted)
    }

    /// Removes every sandbox of this home whose task has ended or was deleted, and the files of
    /// tasks that were deleted. Says how many sandboxes there were.
    ///
    /// A task that the registry does not know was not deleted because of that: the database may
    /// have been lost or replaced. Only the log's word that it was deleted counts.
    ///
    /// # Errors
    /// When the runtime or the registry fails.
    pub async fn sweep(&self) -> Result<usize, LifecycleError> {
        let mut removed = 0;
        for sandbox in self.parts.runtime.list().await? {
            if self.has_ended(&sandbox.task).await? {
                self.parts.runtime.remove(&sandbox.task).await?;
                removed += 1;
            }
        }
        let folders = &self.parts.folders;
        for task in folders.tasks()? {
            if self.was_deleted(&task).await? {
                let lock = folders.lock(&task).await?;
                folders.discard(&task, lock)?;
            }
        }
        folders.empty_trash().await?;
        Ok(removed)
    }

    async fn has_ended(&self, task: &TaskId) -> Result<bool, LifecycleError> {
        match self.parts.registry.get(task).await {
            Ok(task) => Ok(task.status.is_final()),
            Err(RegistryError::NotFound { .. }) => self.was_deleted(task).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn was_deleted(&self, task: &TaskId) -> Result<bool, LifecycleError> {
        let events = self.parts.registry.events(task, EventQuery::default()).await?;
        // Not the last one alone: an after-hook may fail behind it. An id is not used again.
        let is_deletion =
            |event: &Event| matches!(event.payload, EventPayload::Task(TaskEvent::Deleted { .. }));
        Ok(events.iter().any(is_deletion))
    }
}
