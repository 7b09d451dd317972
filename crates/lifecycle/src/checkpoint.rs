//! Checkpoints of a task's files: taken, found, made again elsewhere.

use std::path::{Path, PathBuf};

use armor_checkpoint_store::{Draft, Manifest, Restored, Root, Store, StoreError};
use armor_core::checkpoint::{CheckpointCause, CheckpointName};
use armor_core::event::CheckpointEvent;
use armor_core::task::{Folder, Task};
use armor_persistence::StorageError;

use crate::{Lifecycle, LifecycleError};

/// What the trees of a checkpoint are called.
pub(crate) const WORKSPACE: &str = "workspace";
pub(crate) const MEMORY: &str = "memory";

impl Lifecycle {
    /// Takes a checkpoint of the task's files, its workspace and its memory, as they are now. Commands
    /// that run go on meanwhile.
    ///
    /// # Errors
    /// When the task has no files yet, the name is taken, or the files cannot be read or kept.
    pub async fn checkpoint(
        &self,
        reference: &str,
        name: Option<CheckpointName>,
    ) -> Result<Manifest, LifecycleError> {
        let (lifecycle, task) = (self.clone(), self.resolve(reference).await?);
        // The lock has to be held as long as the work lasts, also when nobody waits for it any more.
        let taking = tokio::spawn(async move {
            let _lock = lifecycle.parts.folders.lock(&task.id).await?;
            let task = lifecycle.parts.registry.get(&task.id).await?;
            lifecycle.finish_restoration(&task.id).await?;
            lifecycle.take_checkpoint(&task, name, CheckpointCause::Asked).await
        });
        taking.await.map_err(|_| LifecycleError::Broken("taking a checkpoint"))?
    }

    /// The same for whoever holds the task's lock.
    pub(crate) async fn take_checkpoint(
        &self,
        task: &Task,
        name: Option<CheckpointName>,
        cause: CheckpointCause,
    ) -> Result<Manifest, LifecycleError> {
        let now = self.now();
        let state = serde_json::to_value(task).map_err(|error| StorageError::Io {
            action: "write down the task of",
            path: self.folder(&task.id).path().to_owned(),
            source: error.into(),
        })?;
        let draft = Draft {
            id: self.parts.ids.checkpoint_id(now),
            task: task.id.clone(),
            name,
            cause,
            at: now,
            parent: None,
            state,
        };
        let roots = self.roots(task);
        let manifest = self
            .with_store(move |store| {
                let earlier = store.list(&draft.task)?;
                if let Some(name) = &draft.name
                    && earlier.iter().any(|one| one.name.as_ref() == Some(name))
                {
                    return Err(StoreError::NameTaken { name: name.clone() });
                }
                let parent = earlier.last().map(|last| last.id.clone());
                let roots: Vec<_> =
                    roots.iter().map(|(name, path)| Root { name, path: path.as_path() }).collect();
                store.take(Draft { parent, ..draft }, &roots)
            })
            .await?;
        let stats = manifest.stats();
        let taken = CheckpointEvent::Taken {
            checkpoint: manifest.id.clone(),
            name: manifest.name.clone(),
            cause,
            files: stats.files,
            bytes: stats.bytes,
            bytes_added: stats.bytes_added,
            left_out: manifest.left_out().count() as u64,
        };
        if let Err(error) = self.append(&task.id, taken).await {
            // Nobody was told of it.
            let (task, id) = (task.id.clone(), manifest.id.clone());
            self.with_store(move |store| store.forget_one(&task, &id)).await?;
            return Err(error);
        }
        Ok(manifest)
    }

    /// The checkpoints of a task, the oldest first.
    ///
    /// # Errors
    /// When the task is not there, or they cannot be read.
    pub async fn checkpoints(&self, reference: &str) -> Result<Vec<Manifest>, LifecycleError> {
        let task = self.resolve(reference).await?;
        self.with_store(move |store| store.list(&task.id)).await
    }

    /// The checkpoint of a task that somebody means: by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// When none, or more than one, is meant.
    pub async fn find_checkpoint(
        &self,
        reference: &str,
        checkpoint: &str,
    ) -> Result<Manifest, LifecycleError> {
        let task = self.resolve(reference).await?;
        let wanted = checkpoint.to_owned();
        self.with_store(move |store| store.find(&task.id, &wanted)).await
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
    ) -> Result<(Manifest, Restored), LifecycleError> {
        let manifest = self.find_checkpoint(reference, checkpoint).await?;
        let place = place.to_owned();
        self.with_store(move |store| {
            let restored = store.restore(&manifest, WORKSPACE, &place)?;
            Ok((manifest, restored))
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
    ) -> Result<armor_checkpoint_store::Verified, LifecycleError> {
        let task = match reference {
            Some(reference) => Some(self.resolve(reference).await?.id),
            None => None,
        };
        self.with_store(move |store| store.verify(task.as_ref())).await
    }

    /// Works with the store where that may take its time.
    pub(crate) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LifecycleError> {
        let store = self.parts.checkpoints.clone();
        let working = tokio::task::spawn_blocking(move || work(&store));
        let done = working.await.map_err(|_| LifecycleError::Broken("work on checkpoints"))?;
        Ok(done?)
    }

    /// The trees of a task, by name, where they are.
    pub(crate) fn roots(&self, task: &Task) -> Vec<(&'static str, PathBuf)> {
        let folder = self.folder(&task.id);
        let workspace = match &task.sandbox.folder {
            Some(Folder::Bind { path, .. }) => path.clone(),
            _ => folder.workspace(),
        };
        vec![(WORKSPACE, workspace), (MEMORY, folder.memory())]
    }
}
