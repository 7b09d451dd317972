//! Workspaces that are no working copy of a repository: a copy of a folder of the user's, or the
//! folder itself.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use armor_core::sandbox::{Access, Mount, RuntimeError, SandboxSpec, UserIds, paths};
use armor_core::task::{Folder, SandboxRequest, WorkspaceMode};
use armor_git::{GitError, copy_from, hand_over};

use crate::pool::Ingredients;
use crate::{Lifecycle, LifecycleError};

/// What in a folder says to programs of the host what to run. Where it is there when the task is
/// created, the task cannot change it.
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
                let kept = kept_in(&path)?;
                Ok(Some(Folder::Bind { path, owner, kept }))
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
        let meets = |home: PathBuf| home.starts_with(&resolved) || resolved.starts_with(&home);
        if home.canonicalize().is_ok_and(meets) {
            let home = home.clone();
            return Err(LifecycleError::WorkspaceMeetsHome { path: resolved, home });
        }
        Ok(resolved)
    }

    /// Who commands in a folder of the host are: whom it belongs to where Armor may be anybody,
    /// but never root.
    fn owner_to_be(&self, folder: &Path) -> Result<UserIds, LifecycleError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(self.settings.user);
        }
        let metadata = folder.metadata().map_err(|source| GitError::Io {
            action: "look at",
            path: folder.to_owned(),
            source,
        })?;
        if metadata.uid() == 0 {
            return Err(not_to_be_bound(folder, "it belongs to root, and commands never are root"));
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
        if workspace.exists() {
            return Ok(());
        }
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
        let (is_same, is_root) = (outside == spec.user, rustix::process::geteuid().is_root());
        if matches!(from.folder, Some(Folder::Bind { .. })) && !is_same {
            return Err(RuntimeError::Unsupported {
                feature: "a folder of the user's itself: its users are others",
                next_step: "Ask for a copy of it, or use an engine without `userns-remap`.",
            }
            .into());
        }
        if !is_root && !is_same {
            return Err(RuntimeError::Unsupported {
                feature: "users of its own where Armor is not root",
                next_step: "Run Armor as root, or use an engine without `userns-remap`.",
            }
            .into());
        }
        if !is_root {
            return Ok(());
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

/// What the task cannot change in a folder that is its workspace.
fn kept_in(folder: &Path) -> Result<Vec<String>, LifecycleError> {
    let is_kept = |part: &Component<'_>| KEPT.iter().any(|name| part.as_os_str() == *name);
    let is_of_git = folder.join("HEAD").exists() && folder.join("objects").exists();
    if is_of_git || folder.components().any(|part| is_kept(&part)) {
        return Err(not_to_be_bound(folder, "it says to programs of this machine what to run"));
    }
    let there = KEPT.iter().filter(|name| folder.join(name).symlink_metadata().is_ok());
    let there: Vec<String> = there.map(|name| (*name).to_owned()).collect();
    if there.iter().any(|name| folder.join(name).is_symlink()) {
        return Err(not_to_be_bound(folder, "its .git or .armor is a link"));
    }
    Ok(there)
}

fn not_to_be_bound(folder: &Path, reason: &'static str) -> LifecycleError {
    LifecycleError::NotToBeBound { path: folder.to_owned(), reason }
}

/// What a sandbox sees of a folder that is its workspace.
pub(crate) fn bound(folder: &Path, kept: &[String]) -> Vec<Mount> {
    let whole = Mount {
        source: folder.to_owned(),
        target: paths::WORKSPACE.to_owned(),
        access: Access::ReadWrite,
    };
    let kept = kept.iter().map(|name| Mount {
        source: folder.join(name),
        target: format!("{}/{name}", paths::WORKSPACE),
        access: Access::ReadOnly,
    });
    [whole].into_iter().chain(kept).collect()
}
