//! What a task needs before a sandbox can run: its folder, its branch, its working copy, its
//! memory. Each step finds what is there already, so that all of them can be repeated.

use armor_core::task::Task;
use armor_git::{SourceRepository, WorkingCopy, fill_from, make_empty, make_from};

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
        let user = self.settings.user;
        folder.create()?;
        make_empty(&folder.memory(), user)?;
        // The sandbox of one that was made ahead has the folder mounted already.
        let is_made_ahead = folder.expects_workspace();
        let Some(repository) = &task.repository else {
            make_empty(&folder.workspace(), user)?;
            return Ok(folder.has_workspace()?);
        };
        if folder.workspace().exists() && !is_made_ahead {
            return Ok(());
        }
        let source = source.unwrap_or_else(|| {
            SourceRepository::known(self.parts.git.clone(), repository.path.clone())
        });
        source.create_branch(&repository.branch, &repository.base).await?;
        let copy = WorkingCopy {
            source: &source,
            branch: &repository.branch,
            base: &repository.base,
            objects: repository.objects.as_deref(),
        };
        if is_made_ahead {
            fill_from(copy, &folder.workspace(), user).await?;
        } else {
            make_from(copy, &folder.workspace(), user).await?;
        }
        Ok(folder.has_workspace()?)
    }
}
