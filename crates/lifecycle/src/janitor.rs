//! The consumer that removes what a task leaves: its sandbox when it has ended, its folder too
//! when it is deleted.
//!
//! An engine that does not answer does not hold up the log: what is left on it is found by
//! [`Lifecycle::sweep`](crate::Lifecycle::sweep).

use std::collections::BTreeSet;
use std::sync::Arc;

use armor_core::error::Diagnostic;
use armor_core::event::{
    Consumer, ConsumerError, ConsumerName, Event, EventPayload, Fault, TaskEvent,
};
use armor_core::id::TaskId;
use armor_core::sandbox::Runtime;
use armor_persistence::TaskFolders;
use armor_registry::{Registry, RegistryError};
use async_trait::async_trait;

/// Removes what a task leaves.
#[derive(Debug)]
pub struct Janitor {
    registry: Arc<dyn Registry>,
    runtime: Arc<dyn Runtime>,
    folders: TaskFolders,
}

impl Janitor {
    /// A janitor for this registry's tasks.
    pub fn new(
        registry: Arc<dyn Registry>,
        runtime: Arc<dyn Runtime>,
        folders: TaskFolders,
    ) -> Self {
        Self { registry, runtime, folders }
    }

    async fn clean(&self, task: &TaskId) -> Result<(), ConsumerError> {
        let is_deleted = match self.registry.get(task).await {
            Ok(task) if !task.status.is_final() => return Ok(()),
            Ok(_) => false,
            Err(RegistryError::NotFound { .. }) => true,
            Err(error) => return Err(Self::failed("read a task", error)),
        };
        let lock = self.folders.lock(task).await.map_err(|e| Self::failed("lock a task", e))?;
        if let Err(error) = self.runtime.remove(task).await {
            let reason = armor_core::error::chain(&error);
            tracing::warn!(%task, reason, "the task's sandbox stays for now, and its files with it");
            return Ok(());
        }
        if is_deleted {
            self.folders.discard(task, lock).map_err(|e| Self::failed("discard a folder", e))?;
            self.empty_trash().await;
        }
        Ok(())
    }

    /// What cannot be removed stays in the trash and holds nobody up.
    async fn empty_trash(&self) {
        match self.folders.empty_trash().await {
            Ok(freed) => tracing::info!(files = freed.files, bytes = freed.bytes, "removed"),
            Err(error) => {
                let reason = armor_core::error::chain(&error);
                tracing::warn!(reason, "what a task left stays in the trash for now");
            }
        }
    }

    fn failed(action: &str, error: impl Diagnostic + Send + Sync + 'static) -> ConsumerError {
        ConsumerError {
            consumer: "janitor",
            action: action.to_owned(),
            fault: Fault::of(error.code()),
            source: Box::new(error),
        }
    }
}

#[async_trait]
impl Consumer for Janitor {
    fn name(&self) -> ConsumerName {
        "janitor"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        let ended: BTreeSet<_> = events
            .iter()
            .filter(|event| {
                matches!(
                    event.payload,
                    EventPayload::Task(
                        TaskEvent::Completed { .. }
                            | TaskEvent::Failed { .. }
                            | TaskEvent::Cancelled { .. }
                            | TaskEvent::Deleted { .. }
                    )
                )
            })
            .filter_map(Event::task)
            .collect();
        for task in ended {
            self.clean(task).await?;
        }
        Ok(())
    }
}
