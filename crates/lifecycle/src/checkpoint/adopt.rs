//! Checkpoints whose files are there and whose row is not: somebody died between the two, or the files
//! were away.

use std::collections::BTreeSet;

use armor_checkpoint_store::Store;
use armor_core::checkpoint::Forgotten;
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
            // Who holds it is at it.
            let Some(_lock) = self.parts.folders.try_lock(&task)? else { continue };
            match self.parts.registry.get(&task).await {
                // Its folder and its checkpoints are an orphan's, or go with it.
                Err(RegistryError::NotFound { .. }) => continue,
                found => found?,
            };
            match self.adopt_of(&task).await {
                Ok(came) => adopted += came,
                Err(error) => {
                    let cause = armor_core::error::chain(&error);
                    tracing::warn!(%task, cause, "its checkpoints are not looked through");
                }
            }
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
        let Told { forgotten, pinned } = self.told_of_checkpoints(task).await?;
        let mut adopted = 0;
        for mut manifest in unknown {
            if forgotten.contains(&manifest.id) {
                let (task, id) = (task.clone(), manifest.id);
                self.with_store(move |store| store.forget_one(&task, &id)).await?;
                continue;
            }
            let registry = &self.parts.registry;
            let is_pinned = pinned.contains(&manifest.id);
            match registry.add_checkpoint(&row(&manifest, is_pinned)).await {
                Err(RegistryError::CheckpointNameTaken { .. }) => {
                    manifest.name = None;
                    registry.add_checkpoint(&row(&manifest, is_pinned)).await?;
                }
                added => added?,
            }
            tracing::info!(%task, checkpoint = %manifest.id, "it was there, and nobody knew");
            adopted += 1;
        }
        Ok(adopted)
    }

    async fn told_of_checkpoints(&self, task: &TaskId) -> Result<Told, LifecycleError> {
        let mut told = Told::default();
        for event in self.parts.registry.events(task, EventQuery::default()).await? {
            if let EventPayload::Checkpoint(event) = event.payload {
                told.follow(event);
            }
        }
        Ok(told)
    }
}

/// What the log says of a task's checkpoints.
#[derive(Default)]
struct Told {
    /// Those that were removed.
    forgotten: BTreeSet<CheckpointId>,
    /// Those that stay until somebody says otherwise.
    pinned: BTreeSet<CheckpointId>,
}

impl Told {
    fn follow(&mut self, event: CheckpointEvent) {
        match event {
            CheckpointEvent::Taken { checkpoint, pinned: true, .. }
            | CheckpointEvent::Pinned { checkpoint } => {
                self.pinned.insert(checkpoint);
            }
            CheckpointEvent::Unpinned { checkpoint } => {
                self.pinned.remove(&checkpoint);
            }
            // Nobody wanted that; its files are there again.
            CheckpointEvent::Forgotten { cause: Forgotten::Lost, .. }
            | CheckpointEvent::Taken { .. }
            | CheckpointEvent::Restored { .. } => {}
            CheckpointEvent::Forgotten { checkpoint, .. } => {
                self.forgotten.insert(checkpoint);
            }
        }
    }
}
