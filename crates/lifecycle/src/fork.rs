//! Forking: a new task whose files are those of another one's checkpoint.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use armor_core::checkpoint::{CheckpointCause, ForkedFrom};
use armor_core::id::{CheckpointId, TaskId};
use armor_core::sandbox::AskedLimits;
use armor_core::task::{Folder, RepositoryBase, Task, TaskName, TaskRequest, branch_name};
use armor_git::{SourceRepository, rename_branch};
use armor_persistence::StorageError;
use armor_registry::RegistryError;

use crate::checkpoint::{MEMORY, TakeCheckpoint, WORKSPACE};
use crate::{Lifecycle, LifecycleError};

/// How long the files of a fork may take to be made that somebody waits for.
const WAIT: Duration = Duration::from_mins(5);
/// What a folder's owner may do with it.
const OWNER: u32 = 0o700;

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
        let (lifecycle, from) = (self.clone(), self.resolve(reference).await?);
        let checkpoint = checkpoint.map(str::to_owned);
        // The lock of the task that it is made from has to be held as long as the work lasts: what it is
        // made from must not go.
        let forking = tokio::spawn(async move {
            let _lock = lifecycle.parts.folders.lock(&from.id).await?;
            let from = lifecycle.parts.registry.get(&from.id).await?;
            lifecycle.fork_locked(from, checkpoint, name).await
        });
        forking.await.map_err(|_| LifecycleError::Broken("forking a task"))?
    }

    async fn fork_locked(
        &self,
        from: Task,
        checkpoint: Option<String>,
        name: Option<TaskName>,
    ) -> Result<Task, LifecycleError> {
        if let Some(Folder::Bind { path, .. }) = &from.sandbox.folder {
            return Err(LifecycleError::UsersOwnFolder { path: path.clone() });
        }
        let name = match name {
            Some(name) => name,
            None => format!("{} (fork)", from.name).parse()?,
        };
        self.check_network(from.sandbox.network)?;
        let limits = self.limits_for(AskedLimits::default(), from.sandbox.limits).await?;
        self.parts.images.check(&from.sandbox.image).await?;
        let checkpoint = if let Some(checkpoint) = checkpoint {
            self.parts.registry.checkpoint(&from.id, &checkpoint).await?
        } else {
            self.finish_restoration(&from.id).await?;
            let take = TakeCheckpoint::default();
            let taken = self.take_still(&from, take, CheckpointCause::Fork.into()).await?;
            self.retain_some(&from.id).await;
            taken.0
        };
        let mut sandbox = from.sandbox;
        sandbox.limits = limits;
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
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| StorageError::Io { action, path, source }
        };
        // With whatever somebody had made who died.
        let beside = folder.path().join("forked");
        self.parts.folders.throw_away(&beside)?;
        fs::create_dir(&beside).map_err(failed("make", &beside))?;
        let (workspace, memory) = (beside.join(WORKSPACE), beside.join(MEMORY));
        let (old, new) = (branch_name(&from.task), branch_name(&task.id));
        let (from, places) = (from.clone(), (workspace.clone(), memory.clone()));
        let has_memory = self.with_store(move |store| {
            let manifest = store.get(&from.task, &from.checkpoint)?;
            let has_memory = manifest.root(MEMORY).is_ok();
            if has_memory {
                store.restore(&manifest, MEMORY, &places.1)?;
            }
            store.restore(&manifest, WORKSPACE, &places.0)?;
            Ok(has_memory)
        });
        if has_memory.await? && !folder.memory().exists() {
            move_folder(&memory, &folder.memory()).map_err(failed("move", &memory))?;
        }
        let copy = workspace.clone();
        let renaming = tokio::task::spawn_blocking(move || rename_branch(&copy, &old, &new));
        if !renaming.await.map_err(|_| LifecycleError::Broken("renaming a branch"))?? {
            tracing::warn!(task = %task.id, "its repository is such that its branch keeps its name");
        }
        move_folder(&workspace, &folder.workspace()).map_err(failed("move", &workspace))?;
        self.parts.folders.throw_away(&beside)?;
        self.empty_trash().await;
        Ok(())
    }

    /// The forks whose files are not there yet, since whoever made them died.
    pub(crate) async fn forks_without_files(
        &self,
    ) -> Result<Vec<(TaskId, ForkedFrom)>, LifecycleError> {
        let mut forks = self.parts.registry.forks_to_come().await?;
        forks.retain(|(task, _)| !self.folder(task).workspace().exists());
        Ok(forks)
    }

    /// Makes the files of the forks that need a task's checkpoint, or any of its, which is about to go.
    ///
    /// # Errors
    /// When that cannot be done, or somebody else is at it for long.
    pub(crate) async fn make_forks_of(
        &self,
        task: &TaskId,
        checkpoint: Option<&CheckpointId>,
    ) -> Result<(), LifecycleError> {
        let mut needed = Ok(());
        for (fork, from) in self.forks_without_files().await? {
            if from.task != *task || checkpoint.is_some_and(|one| from.checkpoint != *one) {
                continue;
            }
            let made = async {
                let _lock = self.parts.folders.lock(&fork).await?;
                match self.parts.registry.get(&fork).await {
                    Err(RegistryError::NotFound { .. }) => Ok(()),
                    waiting => Box::pin(self.prepare(&waiting?, None)).await,
                }
            };
            let source = match tokio::time::timeout(WAIT, made).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => Some(Box::new(error)),
                Err(_) => None,
            };
            let checkpoint = from.checkpoint;
            needed = needed.and(Err(LifecycleError::NeededByFork { fork, checkpoint, source }));
        }
        needed
    }
}

/// Moves a folder into another one, for which its owner has to be able to write to it, whatever the agent
/// made of its mode.
fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    let kept = fs::symlink_metadata(from)?.permissions();
    let is_open = kept.mode() & OWNER == OWNER;
    if !is_open {
        fs::set_permissions(from, Permissions::from_mode(kept.mode() | OWNER))?;
    }
    fs::rename(from, to)?;
    if is_open { Ok(()) } else { fs::set_permissions(to, kept) }
}
