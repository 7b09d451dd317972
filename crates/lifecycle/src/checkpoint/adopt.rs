//! Checkpoints whose files are there and whose row is not: somebody died between the two.

use std::collections::BTreeSet;

use armor_checkpoint_store::Store;
use armor_core::event::{CheckpointEvent, EventPayload};
use armor_core::id::{CheckpointId, TaskId};
use armor_registry::{EventQuery, RegistryError};

use super::take::row;
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Brings the registry and the store together for all tasks that nobody works on now: who was
    /// taking a checkpoint when it died has taken it, and what was removed goes. Says how many
    /// checkpoints came.
    pub(super) async fn adopt_checkpoints(&self) -> Result<u64, LifecycleError> {
        let mut adopted = 0;
        for task in self.with_store(Store::tasks).await? {
            match self.parts.registry.get(&task).await {
                // Its folder and its checkpoints are an orphan's, or go with it.
                Err(RegistryError::NotFound { .. }) => continue,
                found => found?,
            };
            // Who holds it is at it.
            let Some(_lock) = self.parts.folders.try_lock(&task)? else { continue };
            adopted += self.adopt_of(&task).await?;
        }
        Ok(adopted)
    }

    pub(crate) async fn adopt_of(&self, task: &TaskId) -> Result<u64, LifecycleError> {
        let known = self.parts.registry.checkpoints(Some(task)).await?;
        let known: BTreeSet<_> = known.into_iter().map(|one| one.id).collect();
        let of = task.clone();
        let manifests = self.with_store(move |store| store.list(&of)).await?;
        let unknown: Vec<_> =
            manifests.into_iter().filter(|manifest| !known.contains(&manifest.id)).collect();
        if unknown.is_empty() {
            return Ok(0);
        }
        let forgotten = self.forgotten(task).await?;
        let mut adopted = 0;
        for mut manifest in unknown {
            if forgotten.contains(&manifest.id) {
                let (task, id) = (task.clone(), manifest.id);
                self.with_store(move |store| store.forget_one(&task, &id)).await?;
                continue;
            }
            let registry = &self.parts.registry;
            match registry.add_checkpoint(&row(&manifest, false)).await {
                Err(RegistryError::CheckpointNameTaken { .. }) => {
                    manifest.name = None;
                    registry.add_checkpoint(&row(&manifest, false)).await?;
                }
                added => added?,
            }
            tracing::warn!(%task, checkpoint = %manifest.id, "it was taken, and nobody noted that");
            adopted += 1;
        }
        Ok(adopted)
    }

    /// The checkpoints of a task that were removed.
    async fn forgotten(&self, task: &TaskId) -> Result<BTreeSet<CheckpointId>, LifecycleError> {
        let events = self.parts.registry.events(task, EventQuery::default()).await?;
        let forgotten = events.into_iter().filter_map(|event| match event.payload {
            EventPayload::Checkpoint(CheckpointEvent::Forgotten { checkpoint, .. }) => {
                Some(checkpoint)
            }
            _ => None,
        });
        Ok(forgotten.collect())
    }
}
