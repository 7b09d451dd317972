//! Looking at all layers of a task.

use std::collections::BTreeSet;

use armor_core::decision::Decision;
use armor_core::error::chain;
use armor_core::event::{Event, EventPayload, TaskEvent};
use armor_core::id::TaskId;
use armor_core::recovery::Layer;
use armor_persistence::{StorageError, audit, decisions, state};
use armor_registry::{EventQuery, RegistryError};

use super::{Examined, Layers, options};
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Looks at all layers of a task, by its id or, where the registry has it, as people name it.
    ///
    /// # Errors
    /// When nothing is known of such a task, or something cannot be looked at at all.
    pub async fn examine(&self, reference: &str) -> Result<Examined, LifecycleError> {
        let task = self.meant_by(reference).await?;
        let _lock = self.parts.folders.lock(&task).await?;
        self.examine_locked(task).await
    }

    /// The task that is meant, also one that only has files. What is still to be written of it is
    /// written: that is no damage.
    pub(super) async fn meant_by(&self, reference: &str) -> Result<TaskId, LifecycleError> {
        let task = match self.resolve(reference).await {
            Ok(task) => task.id,
            Err(LifecycleError::Registry(RegistryError::NotFound { .. })) => {
                self.left_of(reference)?
            }
            Err(error) => return Err(error),
        };
        self.follow_all().await;
        Ok(task)
    }

    /// The task that has files and no row, by its id or the beginning of that.
    fn left_of(&self, reference: &str) -> Result<TaskId, LifecycleError> {
        let mut meant: Vec<_> = self.parts.folders.tasks()?;
        meant.retain(|task| !reference.is_empty() && task.as_str().starts_with(reference));
        if let Some(exact) = meant.iter().find(|task| task.as_str() == reference) {
            return Ok(exact.clone());
        }
        let reference = reference.to_owned();
        match meant.pop() {
            Some(task) if meant.is_empty() => Ok(task),
            Some(task) => {
                let candidates = meant.into_iter().chain([task]);
                let candidates = candidates.map(|task| (task, "lost".to_owned())).collect();
                Err(RegistryError::Ambiguous { reference, candidates }.into())
            }
            None => Err(RegistryError::NotFound { reference }.into()),
        }
    }

    pub(super) async fn examine_locked(&self, task: TaskId) -> Result<Examined, LifecycleError> {
        let mut findings = Vec::new();
        let row = match self.parts.registry.get(&task).await {
            Ok(row) => Some(row),
            Err(RegistryError::NotFound { .. }) => {
                findings.push((Layer::Database, "it does not have the task".to_owned()));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let folder = self.folder(&task);
        let state = match state::load(&folder) {
            Ok(state) if state.id != task => {
                findings.push((Layer::State, format!("it is that of task {}", state.id)));
                None
            }
            Ok(state) => {
                if row.as_ref().is_some_and(|row| *row != state) {
                    findings.push((Layer::State, "it says otherwise than the database".to_owned()));
                }
                Some(state)
            }
            Err(error) => {
                findings.push((Layer::State, chain(&error)));
                None
            }
        };
        let (mut events, mut wrong) = audit::events(&folder)?;
        if let Some(other) = events.iter().position(|event| event.task() != Some(&task)) {
            events.truncate(other);
            let path = folder.audit_file();
            let reason = format!("event {} is of another task", other + 1);
            wrong = Some(StorageError::Damaged { path, reason });
        }
        let known = self.parts.registry.events(&task, EventQuery::default()).await?;
        if row.is_none() && known.iter().chain(&events).any(is_deletion) {
            let findings = vec![(Layer::Database, "the task was deleted".to_owned())];
            let layers = Layers { row, is_log_whole: true, ..Layers::default() };
            return Ok(Examined { task, findings, options: Vec::new(), layers });
        }
        if wrong.is_none() && row.is_some() && known != events {
            let path = folder.audit_file();
            let reason = "it says otherwise than the database".to_owned();
            wrong = Some(StorageError::Damaged { path, reason });
        }
        let is_log_whole = wrong.is_none();
        findings.extend(wrong.map(|wrong| (Layer::Audit, chain(&wrong))));
        let decisions = self.look_at_decisions(&task, row.is_some(), &mut findings).await?;

        let of = task.clone();
        let (manifests, damaged) = self.with_store(move |store| store.survey(&of)).await?;
        findings.extend(damaged.iter().map(|error| (Layer::Checkpoints, chain(error))));
        let there: BTreeSet<_> = manifests.iter().map(|manifest| manifest.id.clone()).collect();
        let rows = self.parts.registry.checkpoints(Some(&task)).await?;
        let damaged_count = damaged.len();
        // One whose manifest is damaged may come back with its file.
        let lacking = rows.iter().map(|row| &row.id).filter(|id| !there.contains(*id));
        let without_files: Vec<_> =
            if damaged_count == 0 { lacking.cloned().collect() } else { Vec::new() };
        findings.extend(
            without_files.iter().map(|id| {
                (Layer::Checkpoints, format!("the files of checkpoint {id} are not there"))
            }),
        );
        let known: BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
        let unknown = manifests.iter().filter(|manifest| !known.contains(&manifest.id));
        findings.extend(unknown.map(|manifest| {
            (Layer::Checkpoints, format!("nobody noted checkpoint {}", manifest.id))
        }));
        let layers = Layers {
            row,
            state,
            events,
            is_log_whole,
            newest: manifests.into_iter().next_back(),
            decisions,
            without_files,
        };
        let options = if findings.is_empty() { Vec::new() } else { options::of(&layers) };
        Ok(Examined { task, findings, options, layers })
    }

    /// Reads `decisions.md`, and compares it with the events where the registry has the task.
    async fn look_at_decisions(
        &self,
        task: &TaskId,
        is_known: bool,
        findings: &mut Vec<(Layer, String)>,
    ) -> Result<Vec<Decision>, LifecycleError> {
        let written = match decisions::load(&self.folder(task)) {
            Ok(written) => written,
            Err(error) => {
                findings.push((Layer::Decisions, chain(&error)));
                return Ok(Vec::new());
            }
        };
        if is_known && self.decisions(task.as_str()).await? != written {
            findings.push((Layer::Decisions, "it says otherwise than the database".to_owned()));
        }
        Ok(written)
    }
}

fn is_deletion(event: &Event) -> bool {
    matches!(event.payload, EventPayload::Task(TaskEvent::Deleted { .. }))
}
