//! Which checkpoints stay: by the settings, and by how much room there is for all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use armor_checkpoint_store::Collected;
use armor_core::checkpoint::{Checkpoint, Forgotten};
use armor_core::id::TaskId;
use armor_core::retention::by_worth;

use crate::{Lifecycle, LifecycleError};

/// How long the moment is waited for in which nobody takes or restores a checkpoint.
const WAIT: Duration = Duration::from_secs(30);

/// What was done to give room back.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Checkpoints that were there and not known of: somebody died when they had been taken.
    pub adopted: u64,
    /// The checkpoints that went, or would, and why.
    pub forgotten: Vec<(Checkpoint, Forgotten)>,
    /// What the store gave back; none where others were at work in it all the time, or nothing was to
    /// be done.
    pub collected: Option<Collected>,
}

impl Lifecycle {
    /// Removes the checkpoints that the settings do not keep, of all tasks, and gives back the room of
    /// what no checkpoint needs any more.
    ///
    /// # Errors
    /// When a checkpoint is damaged, so that nobody knows what it needs; when something cannot be read
    /// or written.
    pub async fn prune_checkpoints(&self) -> Result<Pruned, LifecycleError> {
        let adopted = self.adopt_checkpoints().await?;
        let mut forgotten = Vec::new();
        for (task, goes) in by_task(self.checkpoints_to_forget().await?) {
            // Who holds it may need one of them.
            let Some(_lock) = self.parts.folders.try_lock(&task)? else { continue };
            for (checkpoint, cause) in goes {
                if self.parts.registry.forget_checkpoint(&task, &checkpoint.id, cause).await? {
                    forgotten.push((checkpoint, cause));
                }
            }
        }
        self.follow_all().await;
        let collected = self.with_store(|store| store.collect(WAIT)).await?;
        Ok(Pruned { adopted, forgotten, collected })
    }

    /// The checkpoints that the settings do not keep, and why.
    ///
    /// # Errors
    /// When they cannot be read; when there is a limit to their size and one of them is damaged.
    pub async fn checkpoints_to_forget(
        &self,
    ) -> Result<Vec<(Checkpoint, Forgotten)>, LifecycleError> {
        let all = self.parts.registry.checkpoints(None).await?;
        let awaited = self.parts.registry.forks_to_come().await?.into_iter();
        let awaited: BTreeSet<_> = awaited.map(|(_, from)| from.checkpoint).collect();
        let mut forgotten = Vec::new();
        for (_, of_task) in by_task(all.iter().map(|one| (one.clone(), ())).collect()) {
            let of_task: Vec<_> = of_task.into_iter().map(|(one, ())| one).collect();
            let goes = self.settings.checkpoint.retention().goes(&of_task);
            let goes = goes.into_iter().filter(|one| !awaited.contains(&one.id));
            forgotten.extend(goes.map(|one| (one.clone(), Forgotten::Retention)));
        }
        let Some(limit) = self.settings.checkpoint.size_limit() else { return Ok(forgotten) };
        let gone: BTreeSet<_> = forgotten.iter().map(|(one, _)| one.id.clone()).collect();
        let stays = all.into_iter().filter(|one| !gone.contains(&one.id)).collect();
        let (needed, others) = by_worth(stays);
        let order = needed.iter().chain(&others).map(|one| (one.task.clone(), one.id.clone()));
        let order: Vec<_> = order.collect();
        let sizes = self.with_store(move |store| store.sizes(&order)).await?;
        let of_others = others.into_iter().zip(sizes.into_iter().skip(needed.len()));
        let too_much = of_others.filter(|(one, size)| *size > limit && !awaited.contains(&one.id));
        forgotten.extend(too_much.map(|(one, _)| (one, Forgotten::Size)));
        Ok(forgotten)
    }

    /// Removes the checkpoints of a task that the settings do not keep. That they stay is no failure of
    /// who took another one.
    pub(crate) async fn retain_some(&self, task: &TaskId) {
        let forgetting = async {
            let all = self.parts.registry.checkpoints(Some(task)).await?;
            for goes in self.settings.checkpoint.retention().goes(&all) {
                let registry = &self.parts.registry;
                registry.forget_checkpoint(task, &goes.id, Forgotten::Retention).await?;
            }
            Ok::<_, LifecycleError>(())
        };
        if let Err(error) = forgetting.await {
            let cause = armor_core::error::chain(&error);
            tracing::warn!(%task, cause, "old checkpoints stay for now");
        }
    }

    /// Gives back what was removed since the last time.
    pub(crate) async fn collect_if_due(&self) {
        let collecting =
            self.with_store(
                |store| {
                    if store.is_collection_due() { store.collect(WAIT) } else { Ok(None) }
                },
            );
        match collecting.await {
            Ok(None) => {}
            Ok(Some(Collected { packs_removed, bytes_freed, .. })) => {
                tracing::info!(packs_removed, bytes_freed, "checkpoints' room was given back");
            }
            Err(error) => {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(cause, "checkpoints' room is not given back");
            }
        }
    }
}

/// In groups, in the order in which they come.
fn by_task<T>(checkpoints: Vec<(Checkpoint, T)>) -> BTreeMap<TaskId, Vec<(Checkpoint, T)>> {
    let mut groups: BTreeMap<TaskId, Vec<_>> = BTreeMap::new();
    for one in checkpoints {
        groups.entry(one.0.task.clone()).or_default().push(one);
    }
    groups
}
