//! Decisions about tasks.

use armor_core::decision::Decision;
use armor_core::event::{EventPayload, TaskEvent};
use armor_core::id::TaskId;
use armor_core::task::Task;
use armor_registry::EventQuery;

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Notes a decision about a task.
    ///
    /// # Errors
    /// When there is no such task, or it cannot be kept.
    pub async fn decide(
        &self,
        reference: &str,
        decision: Decision,
    ) -> Result<Task, LifecycleError> {
        let task = self.resolve(reference).await?;
        self.append(&task.id, TaskEvent::Decided(decision)).await?;
        Ok(task)
    }

    /// What was decided about a task, the oldest first.
    ///
    /// # Errors
    /// When there is no such task, or its events cannot be read.
    pub async fn decisions(&self, reference: &str) -> Result<Vec<Decision>, LifecycleError> {
        let task = self.resolve(reference).await?;
        let events = self.parts.registry.events(&task.id, EventQuery::default()).await?;
        let decided = events.into_iter().filter_map(|event| match event.payload {
            EventPayload::Task(TaskEvent::Decided(decision)) => Some(decision),
            _ => None,
        });
        Ok(decided.collect())
    }

    /// Every task that has files.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn tasks_with_files(&self) -> Result<Vec<TaskId>, LifecycleError> {
        Ok(self.parts.folders.tasks()?)
    }

    /// Waits, for a bounded time, until files say what was committed so far.
    pub async fn caught_up(&self) {
        self.follow_all().await;
    }
}
