//! Creating a task.

use std::path::PathBuf;

use armor_core::network::NetworkPolicy;
use armor_core::sandbox::{ImageName, InvalidSandboxField, Limits, NetworkMode};
use armor_core::task::{
    Metadata, Owner, RepositoryBase, RequestText, SandboxRequest, Task, TaskName, TaskRequest,
};
use armor_git::SourceRepository;

use crate::{Lifecycle, LifecycleError};

/// What is asked for when a task is created. What is left out is as configured.
#[derive(Debug, Clone)]
pub struct CreateTask {
    /// What people call it.
    pub name: TaskName,
    /// What is asked for, in full.
    pub request: Option<RequestText>,
    /// The repository to work on; without one, the task starts from an empty folder.
    pub workspace: Option<PathBuf>,
    /// Whom it belongs to.
    pub owner: Option<Owner>,
    /// What to keep with it.
    pub metadata: Metadata,
    /// The image.
    pub image: Option<ImageName>,
    /// The network.
    pub network: Option<NetworkMode>,
    /// What it may reach with the network `egress`, beside what all tasks may.
    pub rules: NetworkPolicy,
    /// The limits.
    pub limits: Option<Limits>,
}

impl CreateTask {
    /// A request with nothing but a name.
    pub fn named(name: TaskName) -> Self {
        Self {
            name,
            request: None,
            workspace: None,
            owner: None,
            metadata: Metadata::default(),
            image: None,
            network: None,
            rules: NetworkPolicy::default(),
            limits: None,
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
        let sandbox = SandboxRequest {
            image: request.image.unwrap_or_else(|| defaults.image.clone()),
            network: request.network.unwrap_or(defaults.network),
            rules: request.rules,
            limits: request.limits.unwrap_or(defaults.limits).check()?,
        };
        self.check_network(sandbox.network)?;
        if sandbox.network != NetworkMode::Egress && !sandbox.rules.is_empty() {
            return Err(InvalidSandboxField::Rules(sandbox.network).into());
        }
        self.parts.images.check(&sandbox.image).await?;
        let repository = match &request.workspace {
            Some(workspace) => Some(self.repository_base(workspace).await?),
            None => None,
        };
        let now = self.now();
        let request = TaskRequest {
            name: request.name,
            request: request.request,
            owner: request.owner.unwrap_or_else(Owner::nobody),
            metadata: request.metadata,
            sandbox,
            repository,
        };
        let task = Task::new(self.parts.ids.task_id(now), request, now);
        self.parts.registry.create(&task).await?;
        let Err(error) = self.prepare_new(&task).await else { return Ok(task) };
        // The task never was of use to anybody: take it back. The first error counts.
        if let Err(undo) = self.take_back(&task).await {
            tracing::error!(task = %task.id, %undo, "a task that failed to be created stays");
        }
        Err(error)
    }

    async fn prepare_new(&self, task: &Task) -> Result<(), LifecycleError> {
        let _lock = self.parts.folders.lock(&task.id).await?;
        // It may have been deleted while we waited.
        self.parts.registry.get(&task.id).await?;
        self.prepare(task).await
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
    ) -> Result<RepositoryBase, LifecycleError> {
        let git = self.parts.git.clone();
        let source = SourceRepository::find(git, workspace, &self.settings.allowed).await?;
        Ok(RepositoryBase {
            commit: source.head().await?,
            objects: source.shareable_objects(self.settings.user).await?,
            path: source.path().to_owned(),
        })
    }
}
