//! The sandbox of a task: found, or made again when it is gone.

use armor_core::event::SandboxEvent;
use armor_core::id::{SandboxId, TaskId};
use armor_core::sandbox::{
    Access, Mount, Progress, RuntimeError, Sandbox, SandboxSpec, SandboxState, Silent, paths,
};
use armor_core::task::{Folder, Task, TaskStatus, WorkspaceMode};
use armor_git::GitError;

use crate::pool::Ingredients;
use crate::workspace::bound;
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Sees to it that the task's sandbox runs. Called by whoever holds the task's lock.
    pub(crate) async fn ensure_sandbox(
        &self,
        task: &Task,
        progress: &dyn Progress,
    ) -> Result<SandboxId, LifecycleError> {
        self.finish_restoration(&task.id).await?;
        if task.status == TaskStatus::Pending {
            // Whoever created it may have died before all was there, and its sandbox be made ahead.
            self.prepare(task, None).await?;
        }
        let found = self.parts.runtime.find(&task.id).await?;
        let sandbox = match found {
            Some(Sandbox { id, state, .. }) => match self.take_sandbox(task, &id, state).await {
                Err(LifecycleError::Runtime(error)) if is_of_no_use(&error, state) => {
                    tracing::warn!(task = %task.id, %error, "making its sandbox anew");
                    self.parts.runtime.remove(&task.id).await?;
                    self.make_again(task, progress).await?
                }
                taken => taken.map(|()| id)?,
            },
            None => self.make_again(task, progress).await?,
        };
        self.note_seen(&task.id, Some(sandbox.clone()));
        Ok(sandbox)
    }

    /// Lets a sandbox that is there run, and checks that it is as it is to be.
    async fn take_sandbox(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        state: SandboxState,
    ) -> Result<(), LifecycleError> {
        if state == SandboxState::Paused {
            self.parts.runtime.unpause(sandbox).await?;
        }
        // Starting what runs only checks it: whoever started it may have died before that.
        let ingredients = Ingredients::of_task(task);
        if state == SandboxState::Stopped {
            // The engine looks for what is mounted anew.
            self.check_shared(&ingredients)?;
        }
        let spec = self.spec(&task.id, &ingredients).await?;
        self.parts.runtime.start(sandbox, &spec).await?;
        if task.status == TaskStatus::Pending {
            // It was made ahead, or by somebody who died before he could say so.
            self.append(&task.id, created(task, sandbox)).await
        } else if state == SandboxState::Stopped {
            self.append(&task.id, SandboxEvent::Restarted { sandbox: sandbox.clone() }).await
        } else {
            Ok(())
        }
    }

    async fn make_again(
        &self,
        task: &Task,
        progress: &dyn Progress,
    ) -> Result<SandboxId, LifecycleError> {
        if task.status == TaskStatus::Running {
            self.append(&task.id, SandboxEvent::Lost).await?;
        }
        self.make_sandbox(task, progress).await
    }

    async fn make_sandbox(
        &self,
        task: &Task,
        progress: &dyn Progress,
    ) -> Result<SandboxId, LifecycleError> {
        self.prepare(task, None).await?;
        let ingredients = Ingredients::of_task(task);
        self.check_shared(&ingredients)?;
        let spec = self.spec(&task.id, &ingredients).await?;
        self.hand_over(&spec, &ingredients).await?;
        let sandbox = match self.parts.runtime.create(&spec).await {
            // The engine had it when the task was created, or whoever attached asked for it.
            Err(RuntimeError::ImageNotFound { image }) => {
                self.parts.images.ensure(&image, progress).await?;
                self.parts.runtime.create(&spec).await?.id
            }
            created => created?.id,
        };
        if let Err(error) = self.parts.runtime.start(&sandbox, &spec).await {
            // One that does not start is of no use, and would be found the next time.
            if let Err(undo) = self.parts.runtime.remove(&task.id).await {
                tracing::warn!(task = %task.id, %undo, "a sandbox that failed to start stays");
            }
            return Err(error.into());
        }
        self.append(&task.id, created(task, &sandbox)).await?;
        Ok(sandbox)
    }

    /// What the sandbox shares with the user is still where it was allowed: nobody put a link in its
    /// place.
    pub(crate) fn check_shared(&self, from: &Ingredients) -> Result<(), LifecycleError> {
        let bound = from.folder.as_ref().filter(|folder| folder.mode() == WorkspaceMode::Bind);
        let shared = from.objects.as_deref().into_iter().chain(bound.map(Folder::path));
        for path in shared {
            let resolved = path.canonicalize();
            let resolved = resolved.map_err(|source| GitError::Io {
                action: "resolve",
                path: path.to_owned(),
                source,
            })?;
            if resolved != path {
                return Err(GitError::NotAllowed {
                    path: resolved,
                    roots: self.settings.allowed.roots.clone(),
                }
                .into());
            }
            self.settings.allowed.check(&resolved)?;
        }
        Ok(())
    }

    /// The sandbox of a task, made from this.
    pub(crate) async fn spec(
        &self,
        task: &TaskId,
        from: &Ingredients,
    ) -> Result<SandboxSpec, LifecycleError> {
        let limits = self.limits_in_force(from.limits).await?;
        let folder = self.folder(task);
        let mount =
            |source, target: &str, access| Mount { source, target: target.to_owned(), access };
        let mut mounts = match &from.folder {
            Some(Folder::Bind { path, kept, .. }) => bound(path, kept),
            _ => vec![mount(folder.workspace(), paths::WORKSPACE, Access::ReadWrite)],
        };
        mounts.extend([
            mount(folder.memory(), paths::MEMORY, Access::ReadWrite),
            mount(folder.executions(), paths::EXECUTIONS, Access::ReadOnly),
        ]);
        let shared = [(&from.objects, paths::OBJECTS), (&from.certificates, paths::CERTIFICATES)];
        for (source, target) in shared {
            mounts.extend(source.clone().map(|source| mount(source, target, Access::ReadOnly)));
        }
        Ok(SandboxSpec {
            task: task.clone(),
            image: from.image.clone(),
            user: self.user_on(from.folder.as_ref()),
            mounts,
            network: from.network,
            limits,
        })
    }

    /// The sandbox to run a command in: the one that was seen last, or found anew.
    pub(crate) async fn sandbox_for_command(
        &self,
        task: &Task,
    ) -> Result<SandboxId, LifecycleError> {
        self.see_to_carrier(task).await?;
        if let Some(sandbox) = self.seen(&task.id) {
            return Ok(sandbox);
        }
        let _lock = self.parts.folders.lock(&task.id).await?;
        // It may have ended while we waited: then it gets no sandbox again.
        let task = self.parts.registry.get(&task.id).await?;
        task.check_executable()?;
        // Seldom needed, and large: not part of every command.
        Box::pin(self.ensure_sandbox(&task, &Silent)).await
    }

    /// The same after the runtime said that it is gone, or that nothing can be started in it.
    pub(crate) async fn sandbox_made_again(
        &self,
        task: &Task,
    ) -> Result<SandboxId, LifecycleError> {
        self.note_seen(&task.id, None);
        self.sandbox_for_command(task).await
    }
}

/// Whether a sandbox that was found is not what it is to be, or does not start any more. An engine that
/// was killed while it started one never starts it again. Nothing that is kept is in a sandbox.
fn is_of_no_use(error: &RuntimeError, state: SandboxState) -> bool {
    match error {
        RuntimeError::Weaker { .. } | RuntimeError::Unreachable { .. } => true,
        RuntimeError::Engine { .. } => state == SandboxState::Stopped,
        _ => false,
    }
}

fn created(task: &Task, sandbox: &SandboxId) -> SandboxEvent {
    SandboxEvent::Created {
        sandbox: sandbox.clone(),
        image: task.sandbox.image.clone(),
        network: task.sandbox.network,
    }
}
