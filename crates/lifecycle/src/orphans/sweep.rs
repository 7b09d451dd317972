//! Removing orphans: those that are due, or those that a person names.

use armor_core::event::SystemEvent;
use armor_core::id::TaskId;
use armor_core::sandbox::Belonging;
use armor_persistence::Freed;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::find::Found;
use super::{Orphan, is_files};
use crate::{Lifecycle, LifecycleError};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was removed.
    pub removed: Vec<Orphan>,
    /// What stays for now: it is not due, or somebody works on the task.
    pub left: Vec<Orphan>,
    /// What could not be removed, and why not.
    pub failed: Vec<(Orphan, LifecycleError)>,
    /// The files that went.
    pub freed: Freed,
}

/// What became of an orphan.
enum Fate {
    Removed,
    Left,
    /// It is none any more.
    Gone,
}

impl Lifecycle {
    /// Removes the orphans that are due, and notes when the others were found.
    ///
    /// # Errors
    /// When they cannot be looked for.
    pub async fn sweep(&self) -> Result<Swept, LifecycleError> {
        let now = self.now();
        let found = self.orphans().await?;
        let (due, others) = found.into_iter().partition(|orphan| orphan.due.has_come(now));
        Ok(self.prune(due, others).await)
    }

    /// Removes orphans, due or not, and notes that the others were found. What a task needs by now, or
    /// somebody works on, stays; what cannot be removed keeps no other one from going.
    pub async fn prune(&self, due: Vec<Orphan>, others: Vec<Orphan>) -> Swept {
        let (mut swept, mut found) = (Swept::default(), None);
        let due = due.into_iter().map(|orphan| (orphan, true));
        for (orphan, is_due) in due.chain(others.into_iter().map(|orphan| (orphan, false))) {
            match self.settle(&orphan, is_due, &mut found).await {
                Ok(Fate::Removed) => swept.removed.push(orphan),
                Ok(Fate::Left) => swept.left.push(orphan),
                Ok(Fate::Gone) => {}
                Err(error) => swept.failed.push((orphan, error)),
            }
        }
        match self.parts.folders.empty_trash().await {
            Ok(freed) => swept.freed = freed,
            Err(error) => {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(cause, "what was removed stays in the trash for now");
            }
        }
        swept
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
            self.collect_if_due().await;
            if stop.run_until_cancelled(sleep(self.settings.sweep.every())).await.is_none() {
                return;
            }
        }
    }

    /// Looks at an orphan again while nobody works on the task, notes that it was found, and removes it
    /// if it is due. So every removal stands in the log, also that of a process that is killed then.
    /// `found` are those that were found before, once that is known.
    async fn settle(
        &self,
        orphan: &Orphan,
        is_due: bool,
        found: &mut Option<Found>,
    ) -> Result<Fate, LifecycleError> {
        let Orphan { task, cause, belongings, .. } = orphan;
        let Some(lock) = self.parts.folders.try_lock(task)? else { return Ok(Fate::Left) };
        let is_there = self.belongings(task, is_files(belongings)).await?;
        if is_there.is_empty() || self.cause(task).await? != Some(*cause) {
            self.forget_lock(task, lock)?;
            return Ok(Fate::Gone);
        }
        if found.is_none() {
            *found = Some(self.found().await?);
        }
        let place = (task.clone(), is_files(belongings));
        if found.as_ref().is_none_or(|found| !found.contains_key(&place)) {
            let (task, belongings) = (task.clone(), is_there.clone());
            let fact = SystemEvent::OrphanFound { task, cause: *cause, belongings };
            self.parts.registry.announce(fact).await?;
        }
        if !is_due {
            self.forget_lock(task, lock)?;
            return Ok(Fate::Left);
        }
        if is_files(belongings) {
            let of = task.clone();
            self.with_store(move |store| store.forget(&of)).await?;
            self.parts.folders.discard(task, lock)?;
        } else {
            self.parts.runtime.remove(task).await?;
            self.forget_lock(task, lock)?;
        }
        let (task, cause) = (task.clone(), *cause);
        let removed = SystemEvent::OrphanRemoved { task, cause, belongings: is_there };
        self.parts.registry.announce(removed).await?;
        Ok(Fate::Removed)
    }

    /// What there is of a task now: its files, or what the runtime has.
    async fn belongings(
        &self,
        task: &TaskId,
        files: bool,
    ) -> Result<Vec<Belonging>, LifecycleError> {
        if files {
            let is_there = self.folder(task).exists();
            return Ok(is_there.then_some(Belonging::Files).into_iter().collect());
        }
        Ok(self.in_runtime(Some(task)).await?.remove(task).unwrap_or_default())
    }
}

impl Swept {
    fn tell(&self) {
        for Orphan { task, cause, belongings, .. } in &self.removed {
            tracing::info!(%task, %cause, ?belongings, "removed an orphan");
        }
        for Orphan { task, cause, belongings, .. } in &self.left {
            tracing::debug!(%task, %cause, ?belongings, "an orphan; `armor prune` shows it");
        }
        for (Orphan { task, .. }, error) in &self.failed {
            let cause = armor_core::error::chain(error);
            tracing::warn!(%task, cause, "an orphan could not be removed");
        }
    }
}
