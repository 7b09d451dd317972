//! Finding checkpoints, making them again elsewhere, reading them back.

use std::path::Path;

use armor_checkpoint_store::{Difference, Manifest, Restored, Root, Verified};
use armor_core::checkpoint::Checkpoint;

use super::take::WORKSPACE;
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// The checkpoints of a task, the oldest first.
    ///
    /// # Errors
    /// When the task is not there, or they cannot be read.
    pub async fn checkpoints(&self, reference: &str) -> Result<Vec<Checkpoint>, LifecycleError> {
        let task = self.resolve(reference).await?;
        Ok(self.parts.registry.checkpoints(Some(&task.id)).await?)
    }

    /// The checkpoint of a task that somebody means: by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// When none, or more than one, is meant, or its manifest is damaged.
    pub async fn find_checkpoint(
        &self,
        reference: &str,
        checkpoint: &str,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        let task = self.resolve(reference).await?;
        let found = self.parts.registry.checkpoint(&task.id, checkpoint).await?;
        let id = found.id.clone();
        let manifest = self.with_store(move |store| store.get(&task.id, &id)).await?;
        Ok((found, manifest))
    }

    /// Makes a checkpoint's workspace again at a place of its own, which is not there or an empty folder.
    ///
    /// # Errors
    /// When there is no such checkpoint, the place is taken, or something of the checkpoint is missing.
    pub async fn restore_to(
        &self,
        reference: &str,
        checkpoint: &str,
        place: &Path,
    ) -> Result<(Checkpoint, Restored), LifecycleError> {
        let (found, manifest) = self.find_checkpoint(reference, checkpoint).await?;
        let place = place.to_owned();
        let restoring = self.with_store(move |store| store.restore(&manifest, WORKSPACE, &place));
        Ok((found, restoring.await?))
    }

    /// In what a checkpoint's workspace differs from that of another one of the task, or from the task's
    /// workspace now.
    ///
    /// # Errors
    /// When there is no such checkpoint, something of it is missing, or the workspace cannot be read.
    pub async fn checkpoint_differences(
        &self,
        reference: &str,
        from: &str,
        to: Option<&str>,
    ) -> Result<Vec<Difference>, LifecycleError> {
        let (_, from) = self.find_checkpoint(reference, from).await?;
        if let Some(to) = to {
            let (_, to) = self.find_checkpoint(reference, to).await?;
            return self.with_store(move |store| store.differences(&from, &to, WORKSPACE)).await;
        }
        let task = self.resolve(reference).await?;
        // A restoration that was killed is no state to compare with.
        let _lock = self.parts.folders.lock(&task.id).await?;
        self.finish_restoration(&task.id).await?;
        let (roots, rules) = (self.roots(&task), self.rules());
        self.with_store(move |store| {
            let workspace = roots.iter().find(|(name, _)| *name == WORKSPACE);
            let workspace = workspace.map(|(name, path)| Root { name, path });
            let now = |workspace| store.differences_now(&from, workspace, &rules);
            workspace.map_or(Ok(Vec::new()), now)
        })
        .await
    }

    /// Reads back the checkpoints of a task, or of all tasks.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn verify_checkpoints(
        &self,
        reference: Option<&str>,
    ) -> Result<Verified, LifecycleError> {
        let task = match reference {
            Some(reference) => Some(self.resolve(reference).await?.id),
            None => None,
        };
        self.with_store(move |store| store.verify(task.as_ref())).await
    }
}
