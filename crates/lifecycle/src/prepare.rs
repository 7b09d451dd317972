//! What a task needs before a sandbox can run: its folder, its branch, its working copy, its
//! memory. Each step finds what is there already, so that all of them can be repeated.

use armor_core::id::TaskId;
use armor_core::task::{Folder, Task, TaskStatus, branch_name};
use armor_git::{SourceRepository, WorkingCopy, fill_from, make_empty, make_from};

use crate::pool::Ingredients;
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Brings the task's files in line. Called by whoever holds the task's lock, and may have its
    /// repository at hand.
    pub(crate) async fn prepare(
        &self,
        task: &Task,
        source: Option<SourceRepository>,
    ) -> Result<(), LifecycleError> {
        let folder = self.folder(&task.id);
        let user = self.user_of(&task.sandbox);
        folder.create()?;
        if let Some(from) = &task.sandbox.forked_from {
            self.prepare_fork(task, from).await?;
        }
        make_empty(&folder.memory(), user)?;
        // The sandbox of one that was made ahead has the folder mounted already, with a content.
        // Once an agent has attached, it is the agent's.
        let made_ahead = match task.status {
            TaskStatus::Pending => folder.expected_workspace()?,
            _ => None,
        };
        let Some(repository) = &task.repository else {
            match &task.sandbox.folder {
                None => make_empty(&folder.workspace(), user)?,
                Some(Folder::Copy { path }) => self.copy_folder(path, folder.workspace()).await?,
                // It is mounted itself.
                Some(Folder::Bind { .. }) => {}
            }
            return Ok(folder.has_workspace()?);
        };
        if folder.workspace().exists() && made_ahead.is_none() {
            return Ok(());
        }
        let source = source.unwrap_or_else(|| {
            SourceRepository::known(self.parts.git.clone(), repository.path.clone())
        });
        let copy = WorkingCopy {
            source: &source,
            branch: &repository.branch,
            base: &repository.base,
            objects: repository.objects.as_deref(),
        };
        let copied = async {
            match made_ahead {
                None => make_from(copy, &folder.workspace(), user).await?,
                Some(content) if content == content_of(&copy).await? => {}
                // The user has gone on since.
                Some(_) => {
                    folder.expect_workspace("")?;
                    let outside = self.parts.runtime.user_outside(user).await?;
                    fill_from(copy, &folder.workspace(), outside).await?;
                }
            }
            Ok::<_, LifecycleError>(())
        };
        // Neither needs the other, and each has to wait for git.
        let branched = source.create_branch(&repository.branch, &repository.base);
        let (branched, copied) = tokio::join!(branched, copied);
        branched?;
        copied?;
        Ok(folder.has_workspace()?)
    }

    /// Makes the working copy of a task that may come, without a branch in the user's repository.
    pub(crate) async fn prepare_ahead(
        &self,
        task: &TaskId,
        kind: &Ingredients,
    ) -> Result<(), LifecycleError> {
        let folder = self.folder(task);
        let user = self.settings.user;
        folder.create()?;
        make_empty(&folder.memory(), user)?;
        folder.expect_workspace("")?;
        let Some(repository) = &kind.repository else {
            return Ok(make_empty(&folder.workspace(), user)?);
        };
        let source = SourceRepository::known(self.parts.git.clone(), repository.clone());
        let copy = WorkingCopy {
            source: &source,
            branch: &branch_name(task),
            base: &source.head().await?,
            objects: kind.objects.as_deref(),
        };
        make_from(copy, &folder.workspace(), user).await?;
        Ok(folder.expect_workspace(&content_of(&copy).await?)?)
    }
}

/// What tells a working copy from another one of the same task.
async fn content_of(copy: &WorkingCopy<'_>) -> Result<String, LifecycleError> {
    let current = copy.source.current_branch().await?.unwrap_or_default();
    Ok(format!("{} {current}", copy.base))
}
