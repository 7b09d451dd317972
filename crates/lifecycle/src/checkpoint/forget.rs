//! Removing a checkpoint: first its row, with the event; what the store has of it follows from that.

use armor_checkpoint_store::Store;
use armor_core::checkpoint::{Checkpoint, Forgotten};
use armor_core::event::{
    CheckpointEvent, Consumer, ConsumerError, ConsumerName, Event, EventPayload,
};
use async_trait::async_trait;

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Removes a checkpoint. Its room is given back by [`Self::prune_checkpoints`].
    ///
    /// # Errors
    /// When there is none, or more than one is meant; when a fork needs it whose files cannot be made now.
    pub async fn remove_checkpoint(
        &self,
        reference: &str,
        checkpoint: &str,
    ) -> Result<Checkpoint, LifecycleError> {
        let task = self.resolve(reference).await?;
        // Not while it is restored, or one is taken.
        let lock = self.parts.folders.lock(&task.id).await?;
        let found = self.parts.registry.checkpoint(&task.id, checkpoint).await?;
        self.make_forks_of(&task.id, Some(&found.id)).await?;
        self.parts.registry.forget_checkpoint(&task.id, &found.id, Forgotten::Asked).await?;
        // The janitor may need it now.
        drop(lock);
        self.follow(&task.id).await;
        Ok(found)
    }

    /// Says whether a checkpoint stays until somebody says otherwise.
    ///
    /// # Errors
    /// When there is none, or more than one is meant.
    pub async fn pin_checkpoint(
        &self,
        reference: &str,
        checkpoint: &str,
        pinned: bool,
    ) -> Result<Checkpoint, LifecycleError> {
        let task = self.resolve(reference).await?;
        let found = self.parts.registry.checkpoint(&task.id, checkpoint).await?;
        self.parts.registry.pin_checkpoint(&task.id, &found.id, pinned).await?;
        Ok(Checkpoint { pinned, ..found })
    }
}

/// The consumer that removes from the store what was removed from the registry.
#[derive(Debug)]
pub struct Forgetting {
    store: Store,
}

impl Forgetting {
    /// Removes from this store.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Consumer for Forgetting {
    fn name(&self) -> ConsumerName {
        "forgetting"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        for event in events {
            let EventPayload::Checkpoint(CheckpointEvent::Forgotten { checkpoint, cause }) =
                &event.payload
            else {
                continue;
            };
            // There is nothing to remove; what comes back is taken up again.
            if *cause == Forgotten::Lost {
                continue;
            }
            let Some(task) = event.task() else { continue };
            self.store.forget_one(task, checkpoint).map_err(|error| {
                ConsumerError::new(self.name(), "remove a checkpoint's files", error)
            })?;
        }
        Ok(())
    }
}
