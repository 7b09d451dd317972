//! Forking: a new task whose files are those of another one's checkpoint.

use std::fs;
use std::io;

use armor_core::checkpoint::{CheckpointCause, ForkedFrom};
use armor_core::task::{Folder, RepositoryBase, Task, TaskName, TaskRequest, branch_name};
use armor_git::{SourceRepository, rename_branch};
use armor_persistence::StorageError;

use crate::checkpoint::{MEMORY, TakeCheckpoint, WORKSPACE};
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Creates a task with the files of a task's checkpoint, workspace and memory; without one, a
    /// checkpoint is taken now. It has a branch of its own, that begins where the other's began, and asks
    /// for the same sandbox. What the checkpoint holds is not copied in the store.
    ///
    /// # Errors
    /// When there is no such checkpoint, the other task works on a folder of the user's itself, the
    /// settings no longer allow its sandbox, or a step fails; then nothing is left.
    pub async fn fork(
        &self,
        reference: &str,
        checkpoint: Option<&str>,
        name: Option<TaskName>,
    ) -> Result<Task, LifecycleError> {
        let from = self.resolve(reference).await?;
        if let Some(Folder::Bind { path, .. }) = &from.sandbox.folder {
            return Err(LifecycleError::UsersOwnFolder { path: path.clone() });
        }
        let name = match name {
            Some(name) => name,
            None => format!("{} (fork)", from.name).parse()?,
        };
        self.check_network(from.sandbox.network)?;
        self.check_limits(from.sandbox.limits)?;
        self.parts.images.check(&from.sandbox.image).await?;
        let checkpoint = if let Some(checkpoint) = checkpoint {
            self.parts.registry.checkpoint(&from.id, checkpoint).await?
        } else {
            let take = TakeCheckpoint::default();
            self.checkpoint_because(from.id.as_str(), take, CheckpointCause::Fork.into()).await?.0
        };
        let mut sandbox = from.sandbox;
        sandbox.forked_from = Some(ForkedFrom { task: from.id, checkpoint: checkpoint.id });
        let repository = from.repository.map(|repository| RepositoryBase {
            path: repository.path,
            commit: repository.base,
            objects: repository.objects,
        });
        let request = TaskRequest {
            name,
            request: from.request,
            owner: from.owner,
            metadata: from.metadata,
            sandbox,
            repository,
        };
        Box::pin(self.make(request, None, None)).await
    }

    /// Makes a forked task's files, unless they are there. Called by whoever holds the task's lock.
    pub(crate) async fn prepare_fork(
        &self,
        task: &Task,
        from: &ForkedFrom,
    ) -> Result<(), LifecycleError> {
        let folder = self.folder(&task.id);
        if folder.workspace().exists() {
            return Ok(());
        }
        if let Some(repository) = &task.repository {
            let git = self.parts.git.clone();
            let source = SourceRepository::known(git, repository.path.clone());
            source.create_branch(&repository.branch, &repository.base).await?;
        }
        let beside = folder.path().join("forked");
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = beside.clone();
                return Err(StorageError::Io { action: "remove", path, source: error }.into());
            }
            _ => {}
        }
        let (place, memory, from) = (beside.clone(), folder.memory(), from.clone());
        let (old, new) = (branch_name(&from.task), branch_name(&task.id));
        let restoring = self.with_store(move |store| {
            let manifest = store.get(&from.task, &from.checkpoint)?;
            if !memory.exists() && manifest.root(MEMORY).is_ok() {
                store.restore(&manifest, MEMORY, &memory)?;
            }
            store.restore(&manifest, WORKSPACE, &place)
        });
        restoring.await?;
        rename_branch(&beside, &old, &new)?;
        let moved = fs::rename(&beside, folder.workspace());
        Ok(moved.map_err(|source| StorageError::Io { action: "move", path: beside, source })?)
    }
}
