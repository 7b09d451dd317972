//! Going back to a checkpoint: the task's files become those of it, in their place.
//!
//! A sandbox that runs stands still meanwhile, and what is there is kept as a checkpoint first. The store
//! sees to it that a kill leaves the old files or the new ones; until whoever comes next has seen to
//! that, nothing runs in the sandbox.

use std::fs;

use armor_checkpoint_store::{Manifest, Replaced, Root, Store};
use armor_core::checkpoint::CheckpointCause;
use armor_core::event::CheckpointEvent;
use armor_core::id::{CheckpointId, SandboxId, TaskId};
use armor_core::sandbox::{Sandbox, SandboxState};
use armor_core::task::{Folder, Task, TaskStatus};
use armor_persistence::StorageError;
use serde::{Deserialize, Serialize};

use crate::{Lifecycle, LifecycleError};

/// The file that says what is restored, beside what the store has there.
const NOTE: &str = "restoration.json";

/// Files that were made those of a checkpoint.
#[derive(Debug, Clone)]
pub struct Restoration {
    /// The checkpoint.
    pub to: Manifest,
    /// The one of what was there before.
    pub safety: Manifest,
    /// Files, folders and links that came, went or changed.
    pub changed: u64,
}

/// What the log is to say of a restoration.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    checkpoint: CheckpointId,
    safety: CheckpointId,
}

impl Lifecycle {
    /// Makes the task's files, workspace and memory, those of a checkpoint. What is there is kept as
    /// another one first; what is the same is not touched. Commands that run stand still meanwhile.
    ///
    /// # Errors
    /// When there is no such checkpoint, something of it is missing, or the workspace is a folder of the
    /// user's; then nothing has changed.
    pub async fn restore(
        &self,
        reference: &str,
        checkpoint: &str,
    ) -> Result<Restoration, LifecycleError> {
        let task = self.resolve(reference).await?;
        let _lock = self.parts.folders.lock(&task.id).await?;
        let task = self.parts.registry.get(&task.id).await?;
        if let Some(Folder::Bind { path, .. }) = &task.sandbox.folder {
            return Err(LifecycleError::UsersOwnFolder { path: path.clone() });
        }
        self.finish_restoration(&task.id).await?;
        let to = self.find_checkpoint(task.id.as_str(), checkpoint).await?;
        let held = self.hold_still(&task).await?;
        let restored = self.restore_held(&task, to).await;
        let released = match held {
            // What could not be brought to its end keeps it still: its files are neither the old nor the
            // new ones.
            Some(sandbox) if !self.parts.folders.restoring(&task.id).exists() => {
                self.parts.runtime.unpause(&sandbox).await
            }
            _ => Ok(()),
        };
        let restored = restored?;
        released?;
        if let Err(error) = self.parts.folders.empty_trash().await {
            let cause = armor_core::error::chain(&error);
            tracing::warn!(cause, "what was replaced stays in the trash for now");
        }
        Ok(restored)
    }

    /// Lets the task's sandbox stand still, if it runs.
    async fn hold_still(&self, task: &Task) -> Result<Option<SandboxId>, LifecycleError> {
        if task.status != TaskStatus::Running {
            return Ok(None);
        }
        match self.parts.runtime.find(&task.id).await? {
            Some(Sandbox { id, state: SandboxState::Running, .. }) => {
                self.parts.runtime.pause(&id).await?;
                Ok(Some(id))
            }
            _ => Ok(None),
        }
    }

    async fn restore_held(&self, task: &Task, to: Manifest) -> Result<Restoration, LifecycleError> {
        let safety = self.take_checkpoint(task, None, CheckpointCause::BeforeRestore).await?;
        let work = self.parts.folders.restoring(&task.id);
        let note = Note { checkpoint: to.id.clone(), safety: safety.id.clone() };
        let noted = || -> std::io::Result<()> {
            fs::create_dir_all(&work)?;
            fs::write(work.join(NOTE), serde_json::to_vec(&note)?)
        };
        noted().map_err(|source| self.cannot_restore(&task.id, source))?;
        let roots = self.roots(task);
        let (now, wanted) = (safety.clone(), to.clone());
        let replaced = self
            .with_store(move |store| {
                let roots: Vec<_> =
                    roots.iter().map(|(name, path)| Root { name, path: path.as_path() }).collect();
                store.replace(&now, &wanted, &roots, &work)
            })
            .await;
        let Replaced { changed } = match replaced {
            Ok(replaced) => replaced,
            Err(error) => {
                // To its end, if it had come so far that it can be; else it is as if it had not begun.
                self.finish_restoration(&task.id).await?;
                return Err(error);
            }
        };
        self.note_restored(&task.id, note, changed).await?;
        Ok(Restoration { to, safety, changed })
    }

    /// Ends a restoration that somebody's death kept from its end, by whoever holds the task's lock.
    pub(crate) async fn finish_restoration(&self, task: &TaskId) -> Result<(), LifecycleError> {
        let work = self.parts.folders.restoring(task);
        if !work.exists() {
            return Ok(());
        }
        let place = work.clone();
        if !self.with_store(move |_| Store::finish(&place)).await? {
            return Ok(self.parts.folders.discard_restoring(task)?);
        }
        let note = fs::read(work.join(NOTE)).and_then(|note| Ok(serde_json::from_slice(&note)?));
        let note: Note = note.map_err(|source| self.cannot_restore(task, source))?;
        tracing::warn!(%task, checkpoint = %note.checkpoint, "restored, which somebody else began");
        // How much that was is not known any more.
        self.note_restored(task, note, 0).await
    }

    async fn note_restored(
        &self,
        task: &TaskId,
        Note { checkpoint, safety }: Note,
        changed: u64,
    ) -> Result<(), LifecycleError> {
        self.append(task, CheckpointEvent::Restored { checkpoint, safety, changed }).await?;
        Ok(self.parts.folders.discard_restoring(task)?)
    }

    /// Ends all restorations of processes that died.
    pub(crate) async fn finish_restorations(&self) -> Result<(), LifecycleError> {
        for task in self.parts.folders.restorations()? {
            // Who holds it is at it.
            let Some(_lock) = self.parts.folders.try_lock(&task)? else { continue };
            if let Err(error) = self.finish_restoration(&task).await {
                let cause = armor_core::error::chain(&error);
                tracing::error!(%task, cause, "its files are not restored yet");
            }
        }
        Ok(())
    }

    fn cannot_restore(&self, task: &TaskId, source: std::io::Error) -> LifecycleError {
        let path = self.parts.folders.restoring(task);
        StorageError::Io { action: "prepare the restoration in", path, source }.into()
    }
}
