//! Workspaces that are no working copy of a repository: a copy of a folder of the user's, or the
//! folder itself.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use armor_core::sandbox::{Access, Mount, RuntimeError, SandboxSpec, UserIds, paths};
use armor_core::task::{Folder, SandboxRequest, WorkspaceMode};
use armor_git::{GitError, copy_from, hand_over};

use crate::pool::Ingredients;
use crate::{Lifecycle, LifecycleError};

/// What in a folder says to programs of the host what to run. Where it is there, the task cannot
/// change it.
const KEPT: [&str; 3] = [".git", ".armor", ".armor.toml"];

impl Lifecycle {
    /// The folder that a task is to work on, if that is as allowed; none for a repository.
    pub(crate) fn folder_to_work_on(
        &self,
        path: &Path,
        mode: WorkspaceMode,
    ) -> Result<Option<Folder>, LifecycleError> {
        let modes = &self.settings.workspaces;
        if !modes.contains(&mode) {
            return Err(LifecycleError::WorkspaceRefused { mode, modes: modes.clone() });
        }
        match mode {
            WorkspaceMode::Repository => Ok(None),
            WorkspaceMode::Copy => Ok(Some(Folder::Copy { path: self.allowed_folder(path)? })),
            WorkspaceMode::Bind => {
                let path = self.allowed_folder(path)?;
                let owner = self.owner_to_be(&path)?;
                Ok(Some(Folder::Bind { path, owner }))
            }
        }
    }

    /// A folder, resolved, that tasks may use as a whole.
    fn allowed_folder(&self, path: &Path) -> Result<PathBuf, LifecycleError> {
        let resolved = path.canonicalize().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => GitError::WorkspaceMissing { path: path.to_owned() },
            _ => GitError::Io { action: "resolve", path: path.to_owned(), source },
        })?;
        if !resolved.is_dir() {
            return Err(GitError::NotADirectory { path: resolved }.into());
        }
        self.settings.allowed.check(&resolved)?;
        let home = &self.settings.home;
        if home.canonicalize().is_ok_and(|home| home.starts_with(&resolved)) {
            let home = home.clone();
            return Err(LifecycleError::WorkspaceHoldsHome { path: resolved, home });
        }
        Ok(resolved)
    }

    /// Who commands in a folder of the host are: whom it belongs to where Armor may be anybody,
    /// but never root.
    fn owner_to_be(&self, folder: &Path) -> Result<UserIds, LifecycleError> {
        let refused = |reason| LifecycleError::NotToBeBound { path: folder.to_owned(), reason };
        if KEPT.iter().any(|name| folder.join(name).is_symlink()) {
            return Err(refused("its .git or .armor is a link"));
        }
        if !rustix::process::geteuid().is_root() {
            return Ok(self.settings.user);
        }
        let metadata = folder.metadata().map_err(|source| GitError::Io {
            action: "look at",
            path: folder.to_owned(),
            source,
        })?;
        if metadata.uid() == 0 {
            return Err(refused("it belongs to root, and commands never are root"));
        }
        let group = if metadata.gid() == 0 { self.settings.user.gid } else { metadata.gid() };
        Ok(UserIds { uid: metadata.uid(), gid: group })
    }

    /// Makes the workspace of a task from a folder of the user's.
    pub(crate) async fn copy_folder(
        &self,
        folder: &Path,
        workspace: PathBuf,
    ) -> Result<(), LifecycleError> {
        // It may have become something else since.
        let folder = self.allowed_folder(folder)?;
        let (user, most) = (self.settings.user, self.settings.monitor.disk_bytes());
        let copying =
            tokio::task::spawn_blocking(move || copy_from(&folder, &workspace, user, most));
        Ok(copying.await.map_err(|_| LifecycleError::Broken("copying a folder"))??)
    }

    /// Sees to it that a task's files belong to who its commands are outside the sandbox, in which
    /// nothing runs.
    pub(crate) async fn hand_over(
        &self,
        spec: &SandboxSpec,
        from: &Ingredients,
    ) -> Result<(), LifecycleError> {
        let outside = self.parts.runtime.user_outside(spec.user).await?;
        if outside == spec.user {
            return Ok(());
        }
        if !rustix::process::geteuid().is_root() {
            return Err(RuntimeError::Unsupported {
                feature: "users of its own where Armor is not root",
                next_step: "Run Armor as root, or use an engine without `userns-remap`.",
            }
            .into());
        }
        if matches!(from.folder, Some(Folder::Bind { .. })) {
            return Err(RuntimeError::Unsupported {
                feature: "a folder of the user's itself: its users are others",
                next_step: "Ask for a copy of it, or use an engine without `userns-remap`.",
            }
            .into());
        }
        let folder = self.folder(&spec.task);
        let handing = tokio::task::spawn_blocking(move || {
            let places = [folder.workspace(), folder.memory()];
            places
                .iter()
                .filter(|place| place.exists())
                .try_for_each(|place| hand_over(place, outside))
        });
        Ok(handing.await.map_err(|_| LifecycleError::Broken("giving files away"))??)
    }

    /// Who the commands of a task are.
    pub(crate) fn user_of(&self, asked: &SandboxRequest) -> UserIds {
        self.user_on(asked.folder.as_ref())
    }

    /// Who commands on this folder are.
    pub(crate) fn user_on(&self, folder: Option<&Folder>) -> UserIds {
        match folder {
            Some(Folder::Bind { owner, .. }) => *owner,
            _ => self.settings.user,
        }
    }
}

/// What a sandbox sees of a folder that is its workspace.
pub(crate) fn bound(folder: &Path) -> Vec<Mount> {
    let whole = Mount {
        source: folder.to_owned(),
        target: paths::WORKSPACE.to_owned(),
        access: Access::ReadWrite,
    };
    let kept = KEPT.iter().map(|name| Mount {
        source: folder.join(name),
        target: format!("{}/{name}", paths::WORKSPACE),
        access: Access::ReadOnly,
    });
    let is_there = |mount: &Mount| {
        let metadata = mount.source.symlink_metadata();
        metadata.is_ok_and(|metadata| !metadata.is_symlink())
    };
    [whole].into_iter().chain(kept.filter(is_there)).collect()
}
