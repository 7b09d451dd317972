//! Claiming a pooled sandbox for a task that is being created.

use std::io;

use armor_core::file_lock::FileLock;
use armor_core::id::TaskId;

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
        let wanted = Pooled { ingredients: wanted.clone(), image_id };
        for task in ready {
            if pool.read(Stage::Ready, &task).as_ref() != Some(&wanted) {
                continue;
            }
            // The lock first: whoever fills the pool removes what is claimed and nobody works on.
            let lock = self.parts.folders.try_lock(&task).map_err(io::Error::other)?;
            if let Some(lock) = lock
                && pool.advance(&task, Stage::Ready, Stage::Claimed)?
            {
                return Ok(Some(Claim { task, lock }));
            }
        }
        Ok(None)
    }

    /// Notes that a claimed sandbox has its task.
    pub(crate) fn use_up(&self, task: &TaskId) {
        if let Err(error) = self.parts.pool.forget(Stage::Claimed, task) {
            // Whoever fills the pool finds the task, and does so.
            tracing::warn!(%task, %error, "the pool's file of a sandbox stays for now");
        }
    }
}
