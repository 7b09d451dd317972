//! The lifecycle itself: what it is composed of, and what its steps share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use armor_checkpoint_store::Store;
use armor_core::config::{CheckpointSettings, ExecutionSettings, MonitorSettings, SweepSettings};
use armor_core::event::EventPayload;
use armor_core::id::{IdSource, SandboxId, TaskId};
use armor_core::job::JobQueue;
use armor_core::sandbox::{Images, Limits, NetworkMode, Runtime, UserIds};
use armor_core::task::{Change, SandboxRequest, Task, TaskError, WorkspaceMode};
use armor_core::time::{Clock, Timestamp};
use armor_events::{Bus, Consumers};
use armor_git::{Allowed, Git};
use armor_jobs::Workers;
use armor_persistence::{TaskFolder, TaskFolders};
use armor_registry::Registry;

use crate::take_up::TakenUp;
use crate::{Carrier, Hooks, Instances, LifecycleError, Pool};

/// How long an answer waits for what follows from it, such as the removal of a sandbox. What is
/// not done by then is done later.
const FOLLOW_LIMIT: Duration = Duration::from_mins(1);

/// What a lifecycle is composed of.
#[derive(Debug)]
pub struct Parts {
    /// Where tasks, executions and events are kept.
    pub registry: Arc<dyn Registry>,
    /// What makes sandboxes.
    pub runtime: Arc<dyn Runtime>,
    /// What sandboxes run.
    pub images: Arc<dyn Images>,
    /// What follows the log.
    pub consumers: Arc<Consumers>,
    /// What does jobs.
    pub workers: Arc<Workers>,
    /// What runs before and after changes.
    pub hooks: Hooks,
    /// What serves subscribers in this process.
    pub bus: Bus,
    /// Where tasks' files are.
    pub folders: TaskFolders,
    /// Where tasks' checkpoints are.
    pub checkpoints: Store,
    /// The processes that have this home open.
    pub instances: Instances,
    /// Who carries tasks' connections.
    pub carrier: Carrier,
    /// Sandboxes that run before anybody asks for them.
    pub pool: Pool,
    /// The file that whoever keeps the house holds a lock on.
    pub house_lock: PathBuf,
    /// The git program.
    pub git: Git,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
}

/// What a lifecycle is told.
#[derive(Debug, Clone)]
pub struct LifecycleSettings {
    /// The sandbox of a task that asks for nothing.
    pub sandbox: SandboxRequest,
    /// How commands run.
    pub execution: ExecutionSettings,
    /// When sandboxes take much.
    pub monitor: MonitorSettings,
    /// Which checkpoints stay.
    pub checkpoint: CheckpointSettings,
    /// When orphans go.
    pub sweep: SweepSettings,
    /// The most that a task's sandbox may use.
    pub most: Limits,
    /// The networks that tasks may ask for.
    pub networks: Vec<NetworkMode>,
    /// What may be made of what tasks work on.
    pub workspaces: Vec<WorkspaceMode>,
    /// Where that may lie.
    pub allowed: Allowed,
    /// The home, which no task may see.
    pub home: PathBuf,
    /// Who commands are, and whom working copies belong to.
    pub user: UserIds,
}

/// Owns every change of a task.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    pub(crate) parts: Arc<Parts>,
    pub(crate) settings: Arc<LifecycleSettings>,
    /// The sandboxes that were seen running, so that a command needs no look first. Written by
    /// every execution and attachment; what it says may be out of date, which the runtime notices.
    seen: Arc<Mutex<HashMap<TaskId, SandboxId>>>,
    pub(crate) taken_up: TakenUp,
}

impl Lifecycle {
    /// A lifecycle over these parts.
    pub fn new(parts: Parts, settings: LifecycleSettings) -> Self {
        Self {
            parts: Arc::new(parts),
            settings: Arc::new(settings),
            seen: Arc::default(),
            taken_up: TakenUp::default(),
        }
    }

    /// The registry, for reading.
    pub fn registry(&self) -> &dyn Registry {
        self.parts.registry.as_ref()
    }

    /// The consumers of the event log.
    pub fn consumers(&self) -> &Consumers {
        &self.parts.consumers
    }

    /// The event log, for subscribing to it.
    pub fn bus(&self) -> &Bus {
        &self.parts.bus
    }

    /// The queue of jobs.
    pub fn queue(&self) -> &dyn JobQueue {
        self.parts.registry.as_ref()
    }

    /// The runtime, for looking at it.
    pub fn runtime(&self) -> &dyn Runtime {
        self.parts.runtime.as_ref()
    }

    /// The images, for building them.
    pub fn images(&self) -> &dyn Images {
        self.parts.images.as_ref()
    }

    /// What the sandbox of a task that asks for no limits may use.
    pub fn default_limits(&self) -> Limits {
        self.settings.sandbox.limits
    }

    /// Lets go of what this process carries of tasks' connections. Waits at most so long for what
    /// they were to be written down.
    pub async fn stop_carrying(&self, limit: Duration) {
        if tokio::time::timeout(limit, self.parts.carrier.stop()).await.is_err() {
            tracing::warn!("not all that was carried is written down");
        }
    }

    /// The git program.
    pub fn git(&self) -> &Git {
        &self.parts.git
    }

    /// The folder of a task.
    pub fn folder(&self, task: &TaskId) -> TaskFolder {
        self.parts.folders.of(task)
    }

    /// The task that a person or agent means: by id, prefix or name.
    ///
    /// # Errors
    /// When none, or more than one, is meant.
    pub async fn resolve(&self, reference: &str) -> Result<Task, LifecycleError> {
        Ok(self.parts.registry.resolve(reference).await?)
    }

    /// The time, by the home's clock.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Computes a change from the task as it is and commits it.
    pub(crate) async fn change(
        &self,
        task: &TaskId,
        compute: impl Fn(&Task) -> Result<Change, TaskError> + Sync,
    ) -> Result<Task, LifecycleError> {
        let compute = |task: &Task| Ok(self.parts.hooks.emit_with(compute(task)?));
        Ok(self.parts.registry.change(task, &compute).await??)
    }

    pub(crate) async fn append(
        &self,
        task: &TaskId,
        event: impl Into<EventPayload>,
    ) -> Result<(), LifecycleError> {
        Ok(self.parts.registry.append(task, &[event.into()]).await?)
    }

    /// Waits until the consumers have dealt with everything that was committed so far, and the
    /// task's jobs are done or will be tried again.
    pub(crate) async fn follow(&self, task: &TaskId) {
        if !self.follow_all().await {
            return;
        }
        match self.parts.workers.settled(task.as_str(), FOLLOW_LIMIT).await {
            Ok(None) => {}
            Ok(Some(job)) => {
                let reason = job.error.unwrap_or_default();
                tracing::warn!(%task, job = %job.id, reason, "`armor jobs` shows what is not done yet");
            }
            Err(error) => {
                tracing::warn!(cause = armor_core::error::chain(&error), "not waited for");
            }
        }
    }

    /// Waits until the consumers have dealt with everything that was committed so far.
    pub(crate) async fn follow_all(&self) -> bool {
        let head = *self.parts.registry.appended().borrow();
        let followed = self.parts.consumers.caught_up(head, FOLLOW_LIMIT).await;
        if !followed {
            tracing::warn!(%head, "what follows from the change is not done yet");
        }
        followed
    }

    pub(crate) fn seen(&self, task: &TaskId) -> Option<SandboxId> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(task).cloned()
    }

    pub(crate) fn note_seen(&self, task: &TaskId, sandbox: Option<SandboxId>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match sandbox {
            Some(sandbox) => seen.insert(task.clone(), sandbox),
            None => seen.remove(task),
        };
    }
}
