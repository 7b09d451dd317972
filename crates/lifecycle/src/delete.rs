//! Deleting a task.

use armor_core::event::TaskEvent;
use armor_core::task::{Task, TaskStatus};

use crate::collect::Commands;
use crate::{Lifecycle, LifecycleError};

/// What a deletion removed, and what it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The task as it was.
    pub name: String,
    /// Its branch, which stays in the user's repository.
    pub branch: Option<String>,
}

impl Lifecycle {
    /// Deletes a task with its sandbox and files; its branch and its events stay. With `force` a
    /// running task is stopped first, and changes that are on no commit are lost.
    ///
    /// # Errors
    /// When it runs, has uncommitted changes, or the files of a fork of it cannot be made, and `force` is not
    /// given.
    pub async fn delete(
        &self,
        reference: &str,
        force: bool,
    ) -> Result<(Task, Deleted), LifecycleError> {
        let task = self.resolve(reference).await?;
        let lock = self.parts.folders.lock(&task.id).await?;
        let mut task = self.parts.registry.get(&task.id).await?;
        if !force {
            task.check_deletable()?;
        }
        let made = self.make_forks_of(&task.id, None).await;
        match made {
            Err(error) if force => {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(task = %task.id, cause, "a fork of it can have no files any more");
            }
            made => made?,
        }
        if task.status == TaskStatus::Running {
            self.collect_if_possible(&task, Commands::End).await?;
            let reason = Some("deleted while running".to_owned());
            task = self.change(&task.id, |task| task.cancel(reason.clone(), self.now())).await?;
        }
        self.delete_row(&task).await?;
        // The janitor needs it now.
        drop(lock);
        self.follow(&task.id).await;
        let branch = task.repository.as_ref().map(|repository| repository.branch.clone());
        let deleted = Deleted { name: task.name.to_string(), branch };
        Ok((task, deleted))
    }

    /// Deletes the row, at the version that was looked at: whoever changed it in the meantime,
    /// against the task's lock, has the last word. What follows is the removal of sandbox and
    /// files.
    pub(crate) async fn delete_row(&self, task: &Task) -> Result<(), LifecycleError> {
        let event = TaskEvent::Deleted { name: task.name.to_string() };
        self.parts.registry.delete(&task.id, task.version, event.into()).await?;
        self.note_seen(&task.id, None);
        Ok(())
    }
}
