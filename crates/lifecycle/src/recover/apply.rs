//! Doing what an option says.

use std::collections::BTreeMap;

use armor_core::checkpoint::Forgotten;
use armor_core::decision::Decision;
use armor_core::event::{Event, EventPayload, ExecutionEvent, TaskEvent};
use armor_core::execution::{Execution, ExecutionEnd, ExecutionStatus};
use armor_core::id::{ExecutionId, InstanceId, TaskId};
use armor_core::recovery::RecoverySource;
use armor_core::sandbox::OrphanCause;
use armor_core::task::Task;
use armor_git::SourceRepository;
use armor_registry::LostTask;

use super::{Examined, Layers};
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Recovers a task: does what the option of that number says, counted from 1, or the best one. Says
    /// what was found, and what is still wrong behind that.
    ///
    /// # Errors
    /// When there is no such option, or nothing is left to make it again from.
    pub async fn recover(
        &self,
        reference: &str,
        option: Option<usize>,
    ) -> Result<(Examined, Examined), LifecycleError> {
        let task = self.meant_by(reference).await?;
        let _lock = self.parts.folders.lock(&task).await?;
        let examined = self.examine_locked(task).await?;
        if examined.findings.is_empty() {
            let again = self.examine_locked(examined.task.clone()).await?;
            return Ok((examined, again));
        }
        let wanted = option.unwrap_or(1);
        let chosen = wanted.checked_sub(1).and_then(|place| examined.options.get(place));
        let Some(chosen) = chosen else {
            let (task, options) = (examined.task.clone(), examined.options.len());
            return Err(LifecycleError::NoSuchOption { task, wanted, options });
        };
        match chosen.from {
            RecoverySource::Database => self.mend(&examined).await?,
            from => self.keep_again(&examined, from).await?,
        }
        self.follow_all().await;
        if self.adopt_of(&examined.task).await? > 0 {
            self.follow_all().await;
        }
        let again = self.examine_locked(examined.task.clone()).await?;
        Ok((examined, again))
    }

    /// The tasks that have files and that the registry does not have.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn lost_tasks(&self) -> Result<Vec<TaskId>, LifecycleError> {
        let mut lost = Vec::new();
        for task in self.parts.folders.tasks()? {
            if self.cause(&task).await? == Some(OrphanCause::Unknown) {
                lost.push(task);
            }
        }
        Ok(lost)
    }

    /// Has the layers written anew from the registry, which has the task.
    async fn mend(&self, examined: &Examined) -> Result<(), LifecycleError> {
        for checkpoint in &examined.layers.without_files {
            let registry = &self.parts.registry;
            registry.forget_checkpoint(&examined.task, checkpoint, Forgotten::Lost).await?;
        }
        let recovered = TaskEvent::Recovered { from: RecoverySource::Database, events: 0 };
        self.append(&examined.task, recovered).await
    }

    /// Gives the registry the task again.
    async fn keep_again(
        &self,
        examined: &Examined,
        from: RecoverySource,
    ) -> Result<(), LifecycleError> {
        let Layers { events, .. } = &examined.layers;
        let nothing =
            || LifecycleError::NoSuchOption { task: examined.task.clone(), wanted: 1, options: 0 };
        let mut task = self.task_from(examined, from).await.ok_or_else(nothing)?;
        if task.id != examined.task {
            return Err(nothing());
        }
        // Whoever was attached still is. Its version is above all that anybody has seen.
        task.version += 1;
        if !examined.layers.is_log_whole {
            task.unsettle_work("a part of its history is lost");
        }
        let lost = LostTask { task, events: events.clone(), executions: executions(events) };
        let recovered = TaskEvent::Recovered { from, events: events.len() as u64 };
        let is_untold = |decision: &&Decision| {
            !lost.events.iter().any(|event| {
                matches!(&event.payload, EventPayload::Task(TaskEvent::Decided(told)) if told == *decision)
            })
        };
        let untold = examined.layers.decisions.iter().filter(is_untold).cloned();
        let facts: Vec<_> =
            [recovered].into_iter().chain(untold.map(TaskEvent::Decided)).map(Into::into).collect();
        // Where somebody else made it again meanwhile, theirs stays.
        self.parts.registry.recover(&lost, &facts).await?;
        Ok(())
    }

    async fn task_from(&self, examined: &Examined, from: RecoverySource) -> Option<Task> {
        let layers = &examined.layers;
        let Layers { state, events, newest, .. } = layers;
        match from {
            RecoverySource::Database => None,
            RecoverySource::State => state.clone(),
            RecoverySource::StateAndAudit => Some(recalled(state.clone()?, layers)),
            RecoverySource::Checkpoint => {
                let kept: Task = serde_json::from_value(newest.as_ref()?.state.clone()).ok()?;
                Some(recalled(kept, layers))
            }
            RecoverySource::Audit => {
                let mut task = Task::replayed(&examined.task, events)?;
                if let Some(repository) = &mut task.repository {
                    let git = self.parts.git.clone();
                    let source = SourceRepository::known(git, repository.path.clone());
                    // Without it, the working copy's git says what is missing.
                    let objects = source.shareable_objects(self.settings.user).await;
                    repository.objects = objects.unwrap_or_default();
                }
                Some(task)
            }
        }
    }
}

/// An older state, brought up by the log.
fn recalled(older: Task, Layers { events, is_log_whole, .. }: &Layers) -> Task {
    if *is_log_whole { older.recalled(events) } else { older.brought_up(events) }
}

/// The executions that events tell of. Who watched those without an end is not known; it is dead.
fn executions(events: &[Event]) -> Vec<Execution> {
    let mut executions: BTreeMap<ExecutionId, Execution> = BTreeMap::new();
    for event in events {
        let (EventPayload::Execution(told), Some(task)) = (&event.payload, event.task()) else {
            continue;
        };
        match told {
            ExecutionEvent::Started { execution, agent, command, cwd, .. } => {
                let Ok(instance) = InstanceId::parse("lost") else { continue };
                let begun = Execution {
                    id: execution.clone(),
                    task: task.clone(),
                    agent: agent.clone(),
                    command: command.clone(),
                    cwd: cwd.clone(),
                    instance,
                    started_at: event.at,
                    end: None,
                };
                executions.insert(execution.clone(), begun);
            }
            ExecutionEvent::Finished {
                execution,
                status,
                exit_code,
                stdout_bytes,
                stderr_bytes,
                usage,
                ..
            } => {
                if let Some(begun) = executions.get_mut(execution)
                    && *status != ExecutionStatus::Running
                {
                    begun.end = Some(ExecutionEnd {
                        status: *status,
                        exit_code: *exit_code,
                        at: event.at,
                        stdout_bytes: *stdout_bytes,
                        stderr_bytes: *stderr_bytes,
                        usage: *usage,
                    });
                }
            }
        }
    }
    executions.into_values().collect()
}
