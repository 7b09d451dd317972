//! The hook adapter (R34): at each point of a task's life, the hooks run and the event is emitted,
//! or one of the two, as configured.
//!
//! Before-hooks run ahead of the transaction and may refuse it. The event of the point behind a
//! change is part of the change's own transaction; after-hooks are jobs that follow from it, so a
//! slow one holds up neither the change nor any consumer, and none is forgotten by a kill. Only
//! processes that have after-hooks follow the log for them: those that have none do not take them
//! for done. Those of one home that have some have to have the same ones: they share one place in
//! the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use armor_core::config::HookSettings;
use armor_core::event::{
    Consumer, ConsumerError, ConsumerName, Event, EventPayload, Fault, HookEvent, LogError,
    TaskEvent,
};
use armor_core::hook::{Hook, HookFailure, HookPoint, When};
use armor_core::id::TaskId;
use armor_core::job::{Handler, Job, JobError, JobKind, NewJob, Priority};
use armor_core::task::{Change, Task};
use armor_registry::{EventQuery, Registry, RegistryError};
use async_trait::async_trait;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use crate::{Lifecycle, LifecycleError};

const CONSUMER: ConsumerName = "hooks";
const KIND: JobKind = "task.afterHooks";
/// The longest that all hooks of a point may take together; each has a limit of its own.
const LIMIT: Duration = Duration::from_hours(1);

/// The hooks of a home, and what is to be done at their points.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// In the order in which they run.
    registered: Vec<Arc<dyn Hook>>,
    settings: HookSettings,
}

impl Hooks {
    /// These hooks, given in the order of their registration.
    pub fn new(mut registered: Vec<Arc<dyn Hook>>, settings: HookSettings) -> Self {
        // Stable: equal ones stay in order.
        registered.sort_by_key(|hook| hook.priority());
        Self { registered, settings }
    }

    /// Those that run at a point, in order; none when hooks are switched off.
    fn at(&self, point: HookPoint) -> impl Iterator<Item = &dyn Hook> {
        let registered = self.registered.iter().map(AsRef::as_ref);
        registered.filter(move |hook| self.settings.run && hook.point() == point)
    }

    /// Whether a hook runs behind some change.
    pub fn run_after_changes(&self) -> bool {
        HookPoint::ALL.into_iter().any(|p| p.when == When::After && self.at(p).next().is_some())
    }

    /// Adds the event of the point behind a change to the change, where events are emitted.
    pub(crate) fn emit_with(&self, mut change: Change) -> Change {
        if self.settings.emit {
            let points: Vec<_> = change.events.iter().filter_map(HookPoint::behind).collect();
            change.events.extend(points.into_iter().map(|point| point.event().into()));
        }
        change
    }
}

impl Lifecycle {
    /// Emits the point's event and runs its hooks, where they are switched on.
    ///
    /// # Errors
    /// [`LifecycleError::Refused`] when a hook refuses the change; it is noted in the task's log.
    pub(crate) async fn before(&self, point: HookPoint, task: &Task) -> Result<(), LifecycleError> {
        let hooks = &self.parts.hooks;
        if hooks.settings.emit {
            self.append(&task.id, point.event()).await?;
        }
        for hook in hooks.at(point) {
            if let Err(HookFailure(reason)) = run(hook, task).await {
                let hook = hook.name().to_owned();
                let fact = HookEvent::Refused { point, hook: hook.clone(), reason: reason.clone() };
                self.append(&task.id, fact).await?;
                return Err(LifecycleError::Refused { point, hook, reason });
            }
        }
        Ok(())
    }
}

/// Runs a hook within its time. A panic is a failure.
async fn run(hook: &dyn Hook, task: &Task) -> Result<(), HookFailure> {
    let running = AssertUnwindSafe(hook.run(task)).catch_unwind();
    match tokio::time::timeout(hook.limit(), running).await {
        Ok(Ok(ran)) => ran,
        Ok(Err(_)) => Err(HookFailure("it panicked".to_owned())),
        Err(_) => {
            let limit = hook.limit().as_secs_f32();
            Err(HookFailure(format!("it took longer than {limit} s")))
        }
    }
}

/// The consumer that makes jobs of what after-hooks are registered for.
#[derive(Debug)]
pub struct AfterHooks {
    hooks: Hooks,
    registry: Arc<dyn Registry>,
}

impl AfterHooks {
    /// For these hooks, on what happens from now on if there were none before.
    ///
    /// # Errors
    /// When its place in the log cannot be read or kept.
    pub async fn open(hooks: Hooks, registry: Arc<dyn Registry>) -> Result<Self, LogError> {
        registry.begin(CONSUMER, registry.head().await?).await?;
        Ok(Self { hooks, registry })
    }

    /// Whether an event came again with a task that was lost: its hooks ran when it happened.
    async fn is_of_before(&self, event: &Event) -> Result<bool, RegistryError> {
        let Some(task) = event.task() else { return Ok(false) };
        let query = EventQuery { after: event.task_seq(), limit: None };
        let later = self.registry.events(task, query).await?;
        Ok(later.iter().any(|later| match &later.payload {
            EventPayload::Task(TaskEvent::Recovered { events, .. }) => *events >= event.task_seq(),
            _ => false,
        }))
    }

    fn job(&self, event: &Event) -> Option<NewJob> {
        let point = HookPoint::behind(&event.payload)?;
        self.hooks.at(point).next()?;
        Some(NewJob {
            kind: KIND,
            // Of its own: what removes the task's sandbox does not wait for a process with hooks.
            key: format!("hooks of {}", event.task()?),
            priority: Priority::Normal,
            payload: serde_json::to_value(Payload { task: event.task()?.clone(), point }).ok()?,
            cause: event.id.clone(),
        })
    }
}

#[async_trait]
impl Consumer for AfterHooks {
    fn name(&self) -> ConsumerName {
        CONSUMER
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        let mut jobs = Vec::new();
        for event in events {
            let Some(job) = self.job(event) else { continue };
            let is_old = self.is_of_before(event).await;
            if !is_old.map_err(|error| ConsumerError::new(self.name(), "look behind it", error))? {
                jobs.push(job);
            }
        }
        let kept = self.registry.enqueue(&jobs).await;
        kept.map_err(|error| ConsumerError::new(self.name(), "keep its jobs", error))
    }
}

/// What the handler has to know.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    task: TaskId,
    point: HookPoint,
}

/// The handler that runs after-hooks.
#[derive(Debug)]
pub struct RunAfterHooks {
    hooks: Hooks,
    registry: Arc<dyn Registry>,
}

impl RunAfterHooks {
    /// Runs these hooks on this registry's tasks.
    pub const fn new(hooks: Hooks, registry: Arc<dyn Registry>) -> Self {
        Self { hooks, registry }
    }
}

#[async_trait]
impl Handler for RunAfterHooks {
    fn kind(&self) -> JobKind {
        KIND
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    async fn run(&self, job: &Job) -> Result<(), JobError> {
        let payload = serde_json::from_value(job.payload.clone());
        let Payload { task: id, point } = payload.map_err(|error| JobError {
            action: "tell which hooks to run".to_owned(),
            fault: Fault::Event,
            source: Box::new(error),
        })?;
        let task = match self.registry.get(&id).await {
            Ok(task) => task,
            // It was deleted since: there is nothing to run on.
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(JobError::new("read the task", error)),
        };
        for hook in self.hooks.at(point) {
            if let Err(HookFailure(reason)) = run(hook, &task).await {
                tracing::warn!(task = %id, hook = hook.name(), %point, reason, "a hook failed");
                let fact = HookEvent::Failed { point, hook: hook.name().to_owned(), reason };
                let noted = self.registry.append(&id, &[fact.into()]).await;
                noted.map_err(|e| JobError::new("note that a hook failed", e))?;
            }
        }
        Ok(())
    }
}
