//! Creating a task.

use std::path::PathBuf;

use armor_core::file_lock::FileLock;
use armor_core::network::NetworkPolicy;
use armor_core::sandbox::{AskedLimits, ImageName, InvalidSandboxField, NetworkMode};
use armor_core::task::{
    Metadata, Owner, RepositoryBase, RequestText, SandboxRequest, Task, TaskName, TaskRequest,
    WorkspaceMode,
};
use armor_git::SourceRepository;

use crate::pool::{Claim, Ingredients};
use crate::{Lifecycle, LifecycleError};

/// What is asked for when a task is created. What is left out is as configured.
#[derive(Debug, Clone)]
pub struct CreateTask {
    /// What people call it.
    pub name: TaskName,
    /// What is asked for, in full.
    pub request: Option<RequestText>,
    /// The repository or folder to work on; without one, the task starts from an empty folder.
    pub workspace: Option<PathBuf>,
    /// What to make of it.
    pub workspace_mode: WorkspaceMode,
    /// Whom it belongs to.
    pub owner: Option<Owner>,
    /// What to keep with it.
    pub metadata: Metadata,
    /// The image.
    pub image: Option<ImageName>,
    /// The network.
    pub network: Option<NetworkMode>,
    /// What it may reach with the network `egress`, beside what the settings let all tasks reach.
    pub rules: NetworkPolicy,
    /// The limits that are to be others than what the settings say.
    pub limits: AskedLimits,
}

impl CreateTask {
    /// A request with nothing but a name.
    pub fn named(name: TaskName) -> Self {
        Self {
            name,
            request: None,
            workspace: None,
            workspace_mode: WorkspaceMode::default(),
            owner: None,
            metadata: Metadata::default(),
            image: None,
            network: None,
            rules: NetworkPolicy::default(),
            limits: AskedLimits::default(),
        }
    }
}

impl Lifecycle {
    /// Creates a task: its row, its branch in the user's repository, its working copy.
    ///
    /// The row comes first: being killed behind it leaves a pending task whose branch and working
    /// copy are made when an agent attaches. An error leaves nothing.
    ///
    /// # Errors
    /// When a field, the image or the workspace cannot be used, or a step fails.
    pub async fn create(&self, request: CreateTask) -> Result<Task, LifecycleError> {
        let defaults = &self.settings.sandbox;
        let network = request.network.unwrap_or(defaults.network);
        self.check_network(network)?;
        let workspace = request.workspace.as_deref();
        let folder = match (workspace, request.workspace_mode) {
            (None, WorkspaceMode::Repository) => None,
            (None, mode) => return Err(InvalidSandboxField::NoWorkspace(mode).into()),
            (Some(path), mode) => self.folder_to_work_on(path, mode)?,
        };
        let sandbox = SandboxRequest {
            image: request.image.unwrap_or_else(|| defaults.image.clone()),
            network,
            rules: self.rules_for(network, &request.rules)?,
            certificates: self.certificates_for(network)?,
            limits: self.limits_for(request.limits, defaults.limits).await?,
            folder,
            forked_from: None,
        };
        self.parts.images.check(&sandbox.image).await?;
        let (source, repository) = match workspace.filter(|_| sandbox.folder.is_none()) {
            Some(workspace) => {
                let (source, base) = self.repository_base(workspace).await?;
                (Some(source), Some(base))
            }
            None => (None, None),
        };
        let (path, objects) = match &repository {
            Some(RepositoryBase { path, objects, .. }) => (Some(path.clone()), objects.clone()),
            None => (None, None),
        };
        let claim = self.claim(&Ingredients::of(&sandbox, path, objects)).await;
        let request = TaskRequest {
            name: request.name,
            request: request.request,
            owner: request.owner.unwrap_or_else(Owner::nobody),
            metadata: request.metadata,
            sandbox,
            repository,
        };
        Box::pin(self.make(request, claim, source)).await
    }

    /// Makes a task: its row, and what it needs before a sandbox can run.
    pub(crate) async fn make(
        &self,
        request: TaskRequest,
        claim: Option<Claim>,
        source: Option<SourceRepository>,
    ) -> Result<Task, LifecycleError> {
        let now = self.now();
        let is_claimed = claim.is_some();
        let (id, lock) = if let Some(Claim { task, lock }) = claim {
            (task, lock)
        } else {
            let id = self.parts.ids.task_id(now);
            let lock = self.parts.folders.lock(&id).await?;
            (id, lock)
        };
        let task = Task::new(id, request, now);
        let (task, lock) = self.commit_new(task, lock, is_claimed).await?;
        let Err(error) = Box::pin(self.prepare(&task, source)).await else { return Ok(task) };
        // The task never was of use to anybody: take it back. The first error counts.
        drop(lock);
        if let Err(undo) = self.take_back(&task).await {
            tracing::error!(task = %task.id, %undo, "a task that failed to be created stays");
        }
        Err(error)
    }

    /// Makes the task's row. Also when nobody waits for it any more, the task's lock is held until the
    /// row is there: whoever fills the pool would take its sandbox for nobody's.
    async fn commit_new(
        &self,
        task: Task,
        lock: FileLock,
        is_claimed: bool,
    ) -> Result<(Task, FileLock), LifecycleError> {
        let lifecycle = self.clone();
        let committing = tokio::spawn(async move {
            if let Err(error) = lifecycle.parts.registry.create(&task).await {
                lifecycle.forget_lock(&task.id, lock)?;
                return Err(error.into());
            }
            if is_claimed {
                lifecycle.use_up(&task.id);
            }
            Ok((task, lock))
        });
        committing.await.map_err(|_| LifecycleError::Broken("creating a task"))?
    }

    async fn take_back(&self, task: &Task) -> Result<(), LifecycleError> {
        if let Some(repository) = &task.repository {
            let source = SourceRepository::known(self.parts.git.clone(), repository.path.clone());
            source.remove_branch(&repository.branch, &repository.base).await?;
        }
        self.delete_row(task).await?;
        self.follow(&task.id).await;
        Ok(())
    }

    async fn repository_base(
        &self,
        workspace: &std::path::Path,
    ) -> Result<(SourceRepository, RepositoryBase), LifecycleError> {
        let git = self.parts.git.clone();
        let source = SourceRepository::find(git, workspace, &self.settings.allowed).await?;
        let base = RepositoryBase {
            commit: source.head().await?,
            objects: source.shareable_objects(self.settings.user).await?,
            path: source.path().to_owned(),
        };
        Ok((source, base))
    }
}
