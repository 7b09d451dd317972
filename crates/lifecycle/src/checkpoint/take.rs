//! Taking checkpoints of a task's files.

use std::path::PathBuf;
use std::time::Duration;

use armor_checkpoint_store::{Draft, Manifest, Preview, Root, Rules, Store, StoreError};
use armor_core::checkpoint::{Checkpoint, CheckpointCause, CheckpointName, Consistency};
use armor_core::risk::Assessment;
use armor_core::task::{Folder, Task};
use armor_persistence::StorageError;
use armor_registry::RegistryError;

use crate::{Lifecycle, LifecycleError};

/// What the trees of a checkpoint are called.
pub(crate) const WORKSPACE: &str = "workspace";
pub(crate) const MEMORY: &str = "memory";

/// What somebody says of a checkpoint that is to be taken.
#[derive(Debug, Clone, Default)]
pub struct TakeCheckpoint {
    /// What people call it.
    pub name: Option<CheckpointName>,
    /// Whether it stays until somebody says otherwise.
    pub pinned: bool,
}

/// Why one is taken.
#[derive(Debug)]
pub(crate) struct Because {
    pub(crate) cause: CheckpointCause,
    /// What was thought of the command that it is taken before.
    pub(crate) risk: Option<Assessment>,
    /// Whether the sandbox stands still meanwhile, whatever the settings say.
    pub(crate) pauses: bool,
}

impl From<CheckpointCause> for Because {
    fn from(cause: CheckpointCause) -> Self {
        Self { cause, risk: None, pauses: false }
    }
}

impl Lifecycle {
    /// Takes a checkpoint of the task's files, its workspace and its memory, as they are now. Commands
    /// that run go on meanwhile, unless the settings say otherwise. Older ones go, as the settings say.
    ///
    /// # Errors
    /// When the task has no files yet, the name is taken, or the files cannot be read or kept.
    pub async fn checkpoint(
        &self,
        reference: &str,
        take: TakeCheckpoint,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        self.checkpoint_because(reference, take, CheckpointCause::Asked.into()).await
    }

    /// The same for another reason.
    pub(crate) async fn checkpoint_because(
        &self,
        reference: &str,
        take: TakeCheckpoint,
        because: Because,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        let (lifecycle, task) = (self.clone(), self.resolve(reference).await?);
        // The lock has to be held as long as the work lasts, also when nobody waits for it any more.
        let taking = tokio::spawn(async move {
            let _lock = lifecycle.parts.folders.lock(&task.id).await?;
            let task = lifecycle.parts.registry.get(&task.id).await?;
            lifecycle.finish_restoration(&task.id).await?;
            let taken = lifecycle.take_still(&task, take, because).await?;
            lifecycle.retain_some(&task.id).await;
            Ok(taken)
        });
        taking.await.map_err(|_| LifecycleError::Broken("taking a checkpoint"))?
    }

    /// The same for whoever holds the task's lock, in a sandbox that stands still where that is wanted.
    /// None goes for it.
    pub(crate) async fn take_still(
        &self,
        task: &Task,
        take: TakeCheckpoint,
        because: Because,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        let pauses = because.pauses || self.settings.checkpoint.consistency == Consistency::Pause;
        let stands_still = pauses && self.stand_still(task).await?;
        let taken = self.take_checkpoint(task, take, because).await;
        if stands_still && let Err(error) = self.go_on(&task.id).await {
            let cause = armor_core::error::chain(&error);
            tracing::warn!(task = %task.id, cause, "the sandbox stands still until it is needed");
        }
        taken
    }

    /// The same whether it stands still or not.
    pub(super) async fn take_checkpoint(
        &self,
        task: &Task,
        take: TakeCheckpoint,
        because: Because,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        let draft = self.draft(task, take.name, because).await?;
        let (roots, rules) = (self.roots(task), self.rules());
        let taking = self.with_store(move |store| {
            let roots: Vec<_> =
                roots.iter().map(|(name, path)| Root { name, path: path.as_path() }).collect();
            store.take(draft, &roots, &rules)
        });
        self.note_taken(taking.await?, take.pinned).await
    }

    /// What a checkpoint of the task would have now, and what it would leave out. Nothing is written.
    ///
    /// # Errors
    /// When the task has no files yet, or they cannot be listed.
    pub async fn preview_checkpoint(
        &self,
        reference: &str,
    ) -> Result<Vec<Preview>, LifecycleError> {
        let task = self.resolve(reference).await?;
        let (roots, rules) = (self.roots(&task), self.rules());
        self.with_store(move |store| {
            let roots: Vec<_> =
                roots.iter().map(|(name, path)| Root { name, path: path.as_path() }).collect();
            store.preview(&roots, &rules)
        })
        .await
    }

    /// What checkpoints leave out.
    pub(super) fn rules(&self) -> Rules {
        Rules::from(&self.settings.checkpoint)
    }

    /// What a checkpoint of the task is to be, that nobody has refused so far.
    pub(super) async fn draft(
        &self,
        task: &Task,
        name: Option<CheckpointName>,
        Because { cause, risk, .. }: Because,
    ) -> Result<Draft, LifecycleError> {
        let earlier = self.parts.registry.checkpoints(Some(&task.id)).await?;
        if let Some(name) = &name
            && earlier.iter().any(|one| one.name.as_ref() == Some(name))
        {
            let (task, name) = (task.id.clone(), name.clone());
            return Err(RegistryError::CheckpointNameTaken { task, name }.into());
        }
        // Behind all others, also when the clock went back: else it would be the first one to go.
        let behind = earlier.last().map(|last| last.created_at.plus(Duration::from_micros(1)));
        let now = behind.map_or(self.now(), |behind| behind.max(self.now()));
        let state = serde_json::to_value(task).map_err(|error| StorageError::Io {
            action: "write down the task of",
            path: self.folder(&task.id).path().to_owned(),
            source: error.into(),
        })?;
        Ok(Draft {
            id: self.parts.ids.checkpoint_id(now),
            task: task.id.clone(),
            name,
            cause,
            risk,
            at: now,
            parent: earlier.last().map(|last| last.id.clone()),
            state,
        })
    }

    /// Notes a checkpoint whose manifest is there.
    pub(super) async fn note_taken(
        &self,
        manifest: Manifest,
        pinned: bool,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        let checkpoint = row(&manifest, pinned);
        let added = self.parts.registry.add_checkpoint(&checkpoint).await;
        // With any other error nobody knows whether it was noted: then it is found when that is looked at.
        if let Err(RegistryError::CheckpointNameTaken { .. } | RegistryError::NotFound { .. }) =
            &added
        {
            let (task, id) = (manifest.task.clone(), manifest.id.clone());
            if let Err(error) = self.with_store(move |store| store.forget_one(&task, &id)).await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(checkpoint = %checkpoint.id, cause, "nobody knows of it, and it stays");
            }
        }
        added?;
        Ok((checkpoint, manifest))
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

/// What the registry knows of a checkpoint.
pub(super) fn row(manifest: &Manifest, pinned: bool) -> Checkpoint {
    let stats = manifest.stats();
    Checkpoint {
        id: manifest.id.clone(),
        task: manifest.task.clone(),
        name: manifest.name.clone(),
        cause: manifest.cause,
        parent: manifest.parent.clone(),
        created_at: manifest.created_at,
        files: stats.files,
        bytes: stats.bytes,
        bytes_added: stats.bytes_added,
        left_out: manifest.left_out().count() as u64,
        pinned,
    }
}
