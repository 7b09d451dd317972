//! Claiming a pooled sandbox for a task that is being created.

use std::io;

use armor_core::file_lock::FileLock;
use armor_core::id::TaskId;
use armor_persistence::StorageError;

use super::shelf::Stage;
use super::{Ingredients, Pooled};
use crate::Lifecycle;

/// A sandbox that was claimed, and with it the id of the task. Until it is [used](Self::use_up), it is
/// nobody's, and whoever fills the pool removes it when this is gone.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) task: TaskId,
    /// Nobody else works on the task.
    pub(crate) lock: FileLock,
}

impl Lifecycle {
    /// Takes a sandbox out of the pool that is made from just this, if there is one.
    pub(crate) async fn claim(&self, wanted: &Ingredients) -> Option<Claim> {
        match self.try_claim(wanted).await {
            Ok(claim) => claim,
            Err(error) => {
                // The task gets one of its own.
                tracing::warn!(%error, "the pool of sandboxes cannot be used");
                None
            }
        }
    }

    async fn try_claim(&self, wanted: &Ingredients) -> io::Result<Option<Claim>> {
        let pool = &self.parts.pool;
        let ready = pool.at(Stage::Ready)?;
        if ready.is_empty() {
            return Ok(None);
        }
        let Ok(Some(image_id)) = self.parts.images.id(&wanted.image).await else {
            return Ok(None);
        };
        let wanted = Pooled::now(wanted.clone(), image_id)?;
        for task in ready {
            if pool.read(Stage::Ready, &task).as_ref() != Some(&wanted) {
                continue;
            }
            // The lock first: whoever fills the pool removes what is claimed and nobody works on.
            let lock = self.parts.folders.try_lock(&task).map_err(io::Error::other)?;
            let Some(lock) = lock else { continue };
            if pool.advance(&task, Stage::Ready, Stage::Claimed)? {
                return Ok(Some(Claim { task, lock }));
            }
            self.forget_lock(&task, lock).map_err(io::Error::other)?;
        }
        Ok(None)
    }

    /// Lets go of the lock of a task that there may not be any more, or not yet, without leaving its
    /// file.
    pub(crate) fn forget_lock(&self, task: &TaskId, lock: FileLock) -> Result<(), StorageError> {
        if self.folder(task).exists() { Ok(()) } else { self.parts.folders.discard(task, lock) }
    }

    /// Notes that a claimed sandbox has its task.
    pub(crate) fn use_up(&self, task: &TaskId) {
        if let Err(error) = self.parts.pool.forget(Stage::Claimed, task) {
            // Whoever fills the pool finds the task, and does so.
            tracing::warn!(%task, %error, "the pool's file of a sandbox stays for now");
        }
    }
}
