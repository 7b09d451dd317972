//! What a task needs before a sandbox can run: its folder, its branch, its working copy, its
//! memory. Each step finds what is there already, so that all of them can be repeated.

use armor_core::task::Task;
use armor_git::{SourceRepository, WorkingCopy, make_empty, make_from};

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Brings the task's files in line. Called by whoever holds the task's lock.
    pub(crate) async fn prepare(&self, task: &Task) -> Result<(), LifecycleError> {
        let folder = self.folder(&task.id);
        let user = self.settings.user;
        folder.create()?;
        make_empty(&folder.memory(), user)?;
        let Some(repository) = &task.repository else {
            return Ok(make_empty(&folder.workspace(), user)?);
        };
        if folder.workspace().exists() {
            return Ok(());
        }
        let source = SourceRepository::known(self.parts.git.clone(), repository.path.clone());
        source.create_branch(&repository.branch, &repository.base).await?;
        let copy = WorkingCopy {
            source: &source,
            branch: &repository.branch,
            base: &repository.base,
            objects: repository.objects.as_deref(),
        };
        Ok(make_from(copy, &folder.workspace(), user).await?)
    }
}
