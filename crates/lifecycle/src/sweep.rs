//! What is put right: sandboxes that no live task needs, and files of tasks that were deleted.

use armor_core::event::{Event, EventPayload, TaskEvent};
use armor_core::id::TaskId;
use armor_registry::{EventQuery, RegistryError};

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
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
