//! The sandbox of a task: found, or made again when it is gone.

use armor_core::event::SandboxEvent;
use armor_core::id::SandboxId;
use armor_core::sandbox::{
    Access, Mount, NetworkMode, Progress, RuntimeError, SandboxSpec, SandboxState, Silent, paths,
};
use armor_core::task::{Task, TaskStatus};
use armor_git::GitError;

use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Sees to it that the task's sandbox runs. Called by whoever holds the task's lock.
    pub(crate) async fn ensure_sandbox(
        &self,
        task: &Task,
        progress: &dyn Progress,
    ) -> Result<SandboxId, LifecycleError> {
        let runtime = &self.parts.runtime;
        let found = runtime.find(&task.id).await?;
        let sandbox = match found.map(|sandbox| (sandbox.id, sandbox.state)) {
            // Starting what runs only checks it: whoever started it may have died before that.
            Some((id, SandboxState::Running)) => {
                runtime.start(&id, &self.spec(task)).await?;
                id
            }
            Some((id, SandboxState::Paused)) => {
                runtime.unpause(&id).await?;
                runtime.start(&id, &self.spec(task)).await?;
                id
            }
            Some((id, SandboxState::Stopped)) => {
                runtime.start(&id, &self.spec(task)).await?;
                self.append(&task.id, SandboxEvent::Restarted { sandbox: id.clone() }).await?;
                id
            }
            None => {
                if task.status == TaskStatus::Running {
                    self.append(&task.id, SandboxEvent::Lost).await?;
                }
                self.make_sandbox(task, progress).await?
            }
        };
        self.note_seen(&task.id, Some(sandbox.clone()));
        Ok(sandbox)
    }

    async fn make_sandbox(
        &self,
        task: &Task,
        progress: &dyn Progress,
    ) -> Result<SandboxId, LifecycleError> {
        self.prepare(task).await?;
        self.check_objects(task)?;
        self.parts.images.ensure(&task.sandbox.image, progress).await?;
        let spec = self.spec(task);
        let sandbox = self.parts.runtime.create(&spec).await?.id;
        if let Err(error) = self.parts.runtime.start(&sandbox, &spec).await {
            // One that does not start is of no use, and would be found the next time.
            if let Err(undo) = self.parts.runtime.remove(&task.id).await {
                tracing::warn!(task = %task.id, %undo, "a sandbox that failed to start stays");
            }
            return Err(error.into());
        }
        let created = SandboxEvent::Created {
            sandbox: sandbox.clone(),
            image: task.sandbox.image.clone(),
            network: task.sandbox.network,
        };
        self.append(&task.id, created).await?;
        Ok(sandbox)
    }

    /// The user's objects are still where they were allowed: nobody put a link in their place.
    fn check_objects(&self, task: &Task) -> Result<(), LifecycleError> {
        let objects = task.repository.as_ref().and_then(|repository| repository.objects.as_ref());
        let Some(objects) = objects else { return Ok(()) };
        let resolved = objects.canonicalize();
        let resolved = resolved.map_err(|source| GitError::Io {
            action: "resolve",
            path: objects.clone(),
            source,
        })?;
        Ok(self.settings.allowed.check(&resolved)?)
    }

    /// The sandbox that the task asks for.
    fn spec(&self, task: &Task) -> SandboxSpec {
        let folder = self.folder(&task.id);
        let mount =
            |source, target: &str, access| Mount { source, target: target.to_owned(), access };
        let mut mounts = vec![
            mount(folder.workspace(), paths::WORKSPACE, Access::ReadWrite),
            mount(folder.memory(), paths::MEMORY, Access::ReadWrite),
            mount(folder.executions(), paths::EXECUTIONS, Access::ReadOnly),
        ];
        let objects = task.repository.as_ref().and_then(|repository| repository.objects.clone());
        mounts.extend(objects.map(|objects| mount(objects, paths::OBJECTS, Access::ReadOnly)));
        if matches!(task.sandbox.network, NetworkMode::Egress | NetworkMode::Open) {
            let certificates = self.settings.network.certificates.clone();
            let certificates =
                certificates.map(|file| mount(file, paths::CERTIFICATES, Access::ReadOnly));
            mounts.extend(certificates);
        }
        SandboxSpec {
            task: task.id.clone(),
            image: task.sandbox.image.clone(),
            user: self.settings.user,
            mounts,
            network: task.sandbox.network,
            limits: task.sandbox.limits,
        }
    }

    /// The sandbox to run a command in: the one that was seen last, or found anew.
    pub(crate) async fn sandbox_for_command(
        &self,
        task: &Task,
    ) -> Result<SandboxId, LifecycleError> {
        self.see_to_carrier(task)?;
        if let Some(sandbox) = self.seen(&task.id) {
            return Ok(sandbox);
        }
        let _lock = self.parts.folders.lock(&task.id).await?;
        // It may have ended while we waited: then it gets no sandbox again.
        let task = self.parts.registry.get(&task.id).await?;
        task.check_executable()?;
        self.ensure_sandbox(&task, &Silent).await
    }

    /// The same after the runtime said that the sandbox is gone.
    pub(crate) async fn sandbox_made_again(
        &self,
        task: &Task,
        error: RuntimeError,
    ) -> Result<SandboxId, LifecycleError> {
        let RuntimeError::SandboxGone { .. } = error else {
            return Err(error.into());
        };
        self.note_seen(&task.id, None);
        self.sandbox_for_command(task).await
    }
}
