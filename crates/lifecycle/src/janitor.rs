//! Removing what a task leaves: its sandbox when it has ended, its folder too when it is deleted.
//!
//! The consumer [`Janitor`] makes a job of each end of a task, and the handler [`CleanUp`] does it:
//! an engine that is away holds up no other consumer, and what is left on it goes when it is back.

use std::sync::Arc;
use std::time::Duration;

use armor_checkpoint_store::Store;
use armor_core::event::{Consumer, ConsumerError, ConsumerName, Event, EventPayload, TaskEvent};
use armor_core::id::TaskId;
use armor_core::job::{Handler, Job, JobError, JobKind, JobQueue, NewJob, Priority};
use armor_core::sandbox::Runtime;
use armor_persistence::TaskFolders;
use armor_registry::{Registry, RegistryError};
use async_trait::async_trait;
use serde_json::Value;

const KIND: JobKind = "task.cleanUp";
/// Removing a folder of millions of files takes a while.
const LIMIT: Duration = Duration::from_mins(30);

/// Has what a task leaves removed.
#[derive(Debug)]
pub struct Janitor {
    queue: Arc<dyn JobQueue>,
}

impl Janitor {
    /// A janitor that keeps its jobs in `queue`.
    pub const fn new(queue: Arc<dyn JobQueue>) -> Self {
        Self { queue }
    }
}

#[async_trait]
impl Consumer for Janitor {
    fn name(&self) -> ConsumerName {
        "janitor"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        let jobs: Vec<_> = events.iter().filter_map(job).collect();
        let kept = self.queue.enqueue(&jobs).await;
        kept.map_err(|error| ConsumerError::new(self.name(), "keep its jobs", error))
    }
}

/// The job that follows from an event, if one does.
fn job(event: &Event) -> Option<NewJob> {
    let EventPayload::Task(
        TaskEvent::Completed { .. }
        | TaskEvent::Failed { .. }
        | TaskEvent::Cancelled { .. }
        | TaskEvent::Deleted { .. },
    ) = event.payload
    else {
        return None;
    };
    Some(NewJob {
        kind: KIND,
        key: event.task()?.to_string(),
        priority: Priority::Normal,
        payload: Value::Null,
        cause: event.id.clone(),
    })
}

/// Removes what a task leaves.
#[derive(Debug)]
pub struct CleanUp {
    registry: Arc<dyn Registry>,
    runtime: Arc<dyn Runtime>,
    folders: TaskFolders,
    checkpoints: Store,
}

impl CleanUp {
    /// For this registry's tasks.
    pub fn new(
        registry: Arc<dyn Registry>,
        runtime: Arc<dyn Runtime>,
        folders: TaskFolders,
        checkpoints: Store,
    ) -> Self {
        Self { registry, runtime, folders, checkpoints }
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
}

#[async_trait]
impl Handler for CleanUp {
    fn kind(&self) -> JobKind {
        KIND
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    async fn run(&self, job: &Job) -> Result<(), JobError> {
        let task =
            TaskId::parse(job.key.as_str()).map_err(|e| JobError::new("name the task", e))?;
        // Before it is looked at: whoever holds it may be about to take the task up again.
        let lock = self.folders.lock(&task).await.map_err(|e| JobError::new("lock the task", e))?;
        let is_deleted = match self.registry.get(&task).await {
            // It was taken up again in the meantime.
            Ok(task) if !task.status.is_final() => return Ok(()),
            Ok(_) => false,
            Err(RegistryError::NotFound { .. }) => true,
            Err(error) => return Err(JobError::new("read the task", error)),
        };
        self.runtime
            .remove(&task)
            .await
            .map_err(|e| JobError::new("remove the task's sandbox", e))?;
        if is_deleted {
            self.checkpoints
                .forget(&task)
                .map_err(|e| JobError::new("forget its checkpoints", e))?;
            self.folders
                .discard_restoring(&task)
                .map_err(|e| JobError::new("discard its restoration", e))?;
            self.folders
                .discard(&task, lock)
                .map_err(|e| JobError::new("discard its folder", e))?;
            self.empty_trash().await;
        }
        Ok(())
    }
}
