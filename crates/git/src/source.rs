//! The user's repository: found, checked, and given the task's branch. Nothing else of it is
//! written.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use armor_core::sandbox::UserIds;
use tokio::sync::OnceCell;

use crate::GitError;
use crate::command::{Configuration, Git};
use crate::error::io_error;
use crate::layout::{CheckedOut, Layout};

/// A repository of the user's.
#[derive(Debug, Clone)]
pub struct SourceRepository {
    pub(crate) git: Git,
    pub(crate) path: PathBuf,
    layout: OnceCell<Layout>,
    checked_out: OnceCell<CheckedOut>,
}

impl SourceRepository {
    /// Takes a repository that was found before.
    pub fn known(git: Git, path: PathBuf) -> Self {
        Self { git, path, layout: OnceCell::new(), checked_out: OnceCell::new() }
    }

    /// Finds the repository that `workspace` is, or lies in. It has to lie where `allowed` says,
    /// checkout, git folder and objects, after all links are resolved.
    ///
    /// # Errors
    /// One for each way in which it cannot be used: missing, a file, elsewhere, no repository.
    pub async fn find(git: Git, workspace: &Path, allowed: &Allowed) -> Result<Self, GitError> {
        let resolved = std::fs::canonicalize(workspace)
            .map_err(|_| GitError::WorkspaceMissing { path: workspace.to_owned() })?;
        if !resolved.is_dir() {
            return Err(GitError::NotADirectory { path: resolved });
        }
        allowed.check(&resolved)?;
        let found = Layout::with_head(&git, &resolved).await;
        let (layout, checked_out) = found.map_err(|error| match error {
            GitError::Failed { ref message, .. } if message.contains("not a git repository") => {
                GitError::NotARepository { path: resolved.clone() }
            }
            other => other,
        })?;
        // The workspace may be a folder in a repository that begins above what is allowed, and
        // what git reads for it may be anywhere.
        allowed.check(&layout.top)?;
        for part in [&layout.git_dir, &layout.common_dir, &layout.objects] {
            allowed.check(&canonical(part)?)?;
        }
        Ok(Self {
            git,
            path: layout.top.clone(),
            layout: layout.into(),
            checked_out: OnceCell::new_with(checked_out),
        })
    }

    /// Where its parts are.
    pub(crate) async fn layout(&self) -> Result<&Layout, GitError> {
        self.layout.get_or_try_init(|| Layout::of(&self.git, &self.path)).await
    }

    /// The folder of its objects, resolved.
    async fn objects(&self) -> Result<PathBuf, GitError> {
        canonical(&self.layout().await?.objects)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// [`GitError::NoCommit`] when there is none yet.
    pub async fn head(&self) -> Result<String, GitError> {
        Ok(self.checked_out().await?.commit.clone())
    }

    /// What is checked out, as it was when it was asked for first.
    async fn checked_out(&self) -> Result<&CheckedOut, GitError> {
        self.checked_out.get_or_try_init(|| self.look_what_is_checked_out()).await
    }

    /// The name of the branch that is checked out; none when the head is detached, or no commit is on
    /// the branch yet.
    ///
    /// # Errors
    /// When git fails.
    pub async fn current_branch(&self) -> Result<Option<&str>, GitError> {
        match self.checked_out().await {
            Ok(checked_out) => Ok(checked_out.branch.as_deref()),
            Err(GitError::NoCommit { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look_what_is_checked_out(&self) -> Result<CheckedOut, GitError> {
        CheckedOut::of(&self.git, &self.path).await.map_err(|error| match error {
            GitError::Failed { .. } => GitError::NoCommit { path: self.path.clone() },
            other => other,
        })
    }

    /// The folder of its objects, if a sandbox whose commands are `reader` can use them as they
    /// are: when they are all in that one place, and readable.
    ///
    /// # Errors
    /// When git fails, or the folder cannot be looked at.
    pub async fn shareable_objects(&self, reader: UserIds) -> Result<Option<PathBuf>, GitError> {
        let objects = self.objects().await?;
        if objects.join("info/alternates").exists() {
            return Ok(None);
        }
        let readable = is_readable(&objects, reader).map_err(io_error("look into", &objects))?;
        Ok(readable.then_some(objects))
    }

    /// Makes a branch at a commit. That it is there already, at that commit, is no error.
    ///
    /// # Errors
    /// [`GitError::BranchConflict`] when it is elsewhere, or cannot be.
    pub async fn create_branch(&self, branch: &str, commit: &str) -> Result<(), GitError> {
        let zeros = "0".repeat(commit.len());
        let reference = format!("refs/heads/{branch}");
        let made =
            self.run(&["update-ref", "-m", "armor: new task", &reference, commit, &zeros]).await;
        let Err(error) = made else { return Ok(()) };
        if self.branch(branch).await?.as_deref() == Some(commit) {
            return Ok(());
        }
        Err(self.branch_conflict(branch, error))
    }

    /// Removes a branch if it stands at a commit. That it is not there is no error.
    ///
    /// # Errors
    /// When git fails.
    pub async fn remove_branch(&self, branch: &str, commit: &str) -> Result<(), GitError> {
        if self.branch(branch).await?.as_deref() == Some(commit) {
            self.run(&["update-ref", "-d", &format!("refs/heads/{branch}"), commit]).await?;
        }
        Ok(())
    }

    /// Where a branch stands; none if it is not there.
    ///
    /// # Errors
    /// When git fails.
    pub async fn branch(&self, branch: &str) -> Result<Option<String>, GitError> {
        let reference = format!("refs/heads/{branch}");
        let found =
            self.run(&["for-each-ref", "--format=%(objectname)", "--count=1", &reference]).await?;
        Ok(Some(found).filter(|commit| !commit.is_empty()))
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, GitError> {
        self.git.run(&self.path, Configuration::OfTheUser, arguments, &[]).await
    }

    pub(crate) fn branch_conflict(&self, branch: &str, error: GitError) -> GitError {
        match error {
            GitError::Failed { message, .. } => GitError::BranchConflict {
                branch: branch.to_owned(),
                path: self.path.clone(),
                reason: format!("cannot be made: {message}"),
                kept_at: None,
            },
            other => other,
        }
    }
}

/// Where repositories may lie.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Below one of these.
    pub roots: Vec<PathBuf>,
    /// And below none of these: where agents can write, git must not run on the host.
    pub forbidden: Vec<PathBuf>,
}

impl Allowed {
    /// Whether a resolved path lies where repositories may lie.
    ///
    /// # Errors
    /// [`GitError::NotAllowed`] when it does not.
    pub fn check(&self, path: &Path) -> Result<(), GitError> {
        // A folder that does not exist has nothing below it.
        let is_below =
            |root: &PathBuf| root.canonicalize().is_ok_and(|root| path.starts_with(root));
        if self.roots.iter().any(is_below) && !self.forbidden.iter().any(is_below) {
            Ok(())
        } else {
            Err(GitError::NotAllowed { path: path.to_owned(), roots: self.roots.clone() })
        }
    }
}

fn canonical(path: &Path) -> Result<PathBuf, GitError> {
    path.canonicalize().map_err(io_error("resolve", path))
}

/// Whether `reader` can read a folder with all that is in it, by its modes.
fn is_readable(folder: &Path, reader: UserIds) -> std::io::Result<bool> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !allows(&folder.metadata()?, reader, 0o5) {
            return Ok(false);
        }
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if !allows(&metadata, reader, 0o4) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn allows(metadata: &std::fs::Metadata, reader: UserIds, wanted: u32) -> bool {
    let shift = match (metadata.uid() == reader.uid, metadata.gid() == reader.gid) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    metadata.mode() >> shift & wanted == wanted
}
