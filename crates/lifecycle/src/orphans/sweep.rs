//! Removing orphans: those that are due, or those that a person names.

use armor_core::event::SystemEvent;
use armor_core::sandbox::Belonging;
use armor_persistence::Freed;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Orphan, is_files};
use crate::{Lifecycle, LifecycleError};

/// What a sweep did.
#[derive(Debug, Clone, Default)]
pub struct Swept {
    /// What was removed.
    pub removed: Vec<Orphan>,
    /// What was found and stays for now.
    pub left: Vec<Orphan>,
    /// The files that went.
    pub freed: Freed,
}

impl Lifecycle {
    /// Removes the orphans that are due, and notes when the others were found.
    ///
    /// # Errors
    /// When the runtime or the registry fails.
    pub async fn sweep(&self) -> Result<Swept, LifecycleError> {
        let now = self.now();
        let found = self.orphans().await?;
        let (due, left): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|orphan| orphan.due.has_come(now));
        self.note(&left).await?;
        let mut swept = self.prune(due).await?;
        swept.left.extend(left);
        Ok(swept)
    }

    /// Removes orphans, due or not. What a task needs by now, or somebody works on, stays.
    ///
    /// # Errors
    /// When the runtime or the registry fails. Some may have been removed.
    pub async fn prune(&self, orphans: Vec<Orphan>) -> Result<Swept, LifecycleError> {
        let mut swept = Swept::default();
        for orphan in orphans {
            if self.remove_orphan(&orphan).await? {
                swept.removed.push(orphan);
            } else {
                swept.left.push(orphan);
            }
        }
        swept.freed = self.parts.folders.empty_trash().await?;
        Ok(swept)
    }

    /// Sweeps again and again.
    pub(crate) async fn keep_sweeping(&self, stop: &CancellationToken) {
        loop {
            match self.sweep().await {
                Ok(swept) => swept.tell(),
                Err(error) => {
                    let cause = armor_core::error::chain(&error);
                    tracing::warn!(cause, "could not look for orphans");
                }
            }
            if stop.run_until_cancelled(sleep(self.settings.sweep.every())).await.is_none() {
                return;
            }
        }
    }

    async fn note(&self, left: &[Orphan]) -> Result<(), LifecycleError> {
        let known = self.found().await?;
        for Orphan { task, cause, belongings, .. } in left {
            if known.contains_key(&(task.clone(), is_files(belongings))) {
                continue;
            }
            let (task, belongings) = (task.clone(), belongings.clone());
            let fact = SystemEvent::OrphanFound { task, cause: *cause, belongings };
            self.parts.registry.announce(fact).await?;
        }
        Ok(())
    }

    /// False when it is none any more, or somebody works on the task.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, LifecycleError> {
        let Orphan { task, cause, belongings, .. } = orphan;
        let Some(lock) = self.parts.folders.try_lock(task)? else { return Ok(false) };
        if self.cause(task).await? != Some(*cause) {
            self.forget_lock(task, lock)?;
            return Ok(false);
        }
        if belongings.iter().any(|belonging| *belonging != Belonging::Files) {
            self.parts.runtime.remove(task).await?;
        }
        if is_files(belongings) {
            self.parts.folders.discard(task, lock)?;
        } else {
            self.forget_lock(task, lock)?;
        }
        let (task, belongings) = (task.clone(), belongings.clone());
        let fact = SystemEvent::OrphanRemoved { task, cause: *cause, belongings };
        self.parts.registry.announce(fact).await?;
        Ok(true)
    }
}

impl Swept {
    fn tell(&self) {
        for Orphan { task, cause, belongings, .. } in &self.removed {
            tracing::info!(%task, %cause, ?belongings, "removed an orphan");
        }
        for Orphan { task, cause, belongings, .. } in &self.left {
            tracing::info!(%task, %cause, ?belongings, "an orphan; `armor prune` removes it");
        }
    }
}
