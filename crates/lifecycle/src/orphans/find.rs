//! Finding orphans. Nothing is changed.

use std::collections::{BTreeMap, HashMap};

use armor_core::event::{Event, EventPayload, SystemEvent, TaskEvent};
use armor_core::id::TaskId;
use armor_core::sandbox::{Belonging, OrphanCause};
use armor_core::task::Task;
use armor_core::time::Timestamp;
use armor_registry::{EventQuery, RegistryError};

use super::{Due, Orphan, is_files};
use crate::{Lifecycle, LifecycleError};

/// What there is, by task.
pub(super) type Belongings = BTreeMap<TaskId, Vec<Belonging>>;
/// When orphans were found that were not removed since: by the task, and whether they are files.
pub(super) type Found = HashMap<(TaskId, bool), Timestamp>;

impl Lifecycle {
    /// What there is of tasks of this home that do not need it, by task.
    ///
    /// # Errors
    /// When the runtime or the registry fails.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, LifecycleError> {
        // What was made after this belongs to a task that is found below.
        let there = self.in_runtime(None).await?;
        let files = self.parts.folders.tasks()?;
        let files = files.into_iter().map(|task| (task, vec![Belonging::Files]));
        let (found, now) = (self.found().await?, self.now());
        let mut orphans = Vec::new();
        for (task, belongings) in there.into_iter().chain(files) {
            let Some(cause) = self.cause(&task).await? else { continue };
            let is_files = is_files(&belongings);
            if is_files && cause == OrphanCause::Ended {
                continue;
            }
            let at = found.get(&(task.clone(), is_files)).copied();
            // The clock may have been ahead then.
            let at = at.map_or(now, |at| at.min(now));
            let due = Due::of(cause, &belongings, at, self.settings.sweep.grace());
            orphans.push(Orphan { task, cause, belongings, due });
        }
        orphans.sort_by(|one, other| one.task.cmp(&other.task));
        Ok(orphans)
    }

    /// What the runtime has of a task, or of all of them, by task.
    pub(super) async fn in_runtime(
        &self,
        task: Option<&TaskId>,
    ) -> Result<Belongings, LifecycleError> {
        let mut there = Belongings::new();
        for (task, belonging) in self.parts.runtime.belongings(task).await? {
            there.entry(task).or_default().push(belonging);
        }
        for belongings in there.values_mut() {
            belongings.sort_unstable();
            belongings.dedup();
        }
        Ok(there)
    }

    /// Why a task does not need what there is of it; none when it does.
    pub(crate) async fn cause(&self, task: &TaskId) -> Result<Option<OrphanCause>, LifecycleError> {
        if let Some(known) = self.known(task).await? {
            return Ok(known.status.is_final().then_some(OrphanCause::Ended));
        }
        // The pool before the registry: a sandbox leaves it when its task is there.
        if self.parts.pool.has(task).map_err(LifecycleError::Pool)?
            || self.known(task).await?.is_some()
        {
            return Ok(None);
        }
        let was_deleted = self.was_deleted(task).await?;
        Ok(Some(if was_deleted { OrphanCause::Deleted } else { OrphanCause::Unknown }))
    }

    async fn known(&self, task: &TaskId) -> Result<Option<Task>, LifecycleError> {
        match self.parts.registry.get(task).await {
            Ok(task) => Ok(Some(task)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
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

    pub(super) async fn found(&self) -> Result<Found, LifecycleError> {
        let mut found = Found::new();
        let names = ["system:orphanFound", "system:orphanRemoved"];
        for event in self.parts.registry.announcements(&names).await? {
            match event.payload {
                EventPayload::System(SystemEvent::OrphanFound { task, belongings, .. }) => {
                    found.entry((task, is_files(&belongings))).or_insert(event.at);
                }
                EventPayload::System(SystemEvent::OrphanRemoved { task, belongings, .. }) => {
                    found.remove(&(task, is_files(&belongings)));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}
