//! Bringing an agent's commits home: from a bundle, which is data, onto the task's branch.

use std::path::Path;

use crate::command::Configuration;
use crate::{GitError, SourceRepository, bundle};

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Where the branch stands now.
    pub head: String,
    /// How many commits it has that it had not before.
    pub commits: u32,
}

impl SourceRepository {
    /// Whether the repository has a commit.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn has_commit(&self, commit: &str) -> Result<bool, GitError> {
        match self.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).await {
            Ok(_) => Ok(true),
            Err(GitError::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the objects of a bundle into the repository, every one and every link checked, and
    /// says where the branch in it stands. No branch is moved.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the bundle is no good; nothing of it is kept then.
    pub async fn take_in(&self, file: &Path, branch: &str) -> Result<String, GitError> {
        let bundle = bundle::open(file, branch)?;
        let arguments = ["index-pack", "--stdin", "--fix-thin", "--strict"];
        self.git
            .run_reading(&self.path, Configuration::OfTheUser, &arguments, bundle.pack.into())
            .await?;
        // What the branch leads to is there as a whole.
        self.run(&["rev-list", "--objects", "--quiet", &bundle.head, "--not", "--all"]).await?;
        Ok(bundle.head)
    }

    /// Moves the task's branch to a commit that the repository has. It may stand at `expected`,
    /// where Armor last saw it, or anywhere that the commit builds upon: then nothing is lost by
    /// moving it, so that being killed between this and the note of it costs nothing.
    ///
    /// The agent may have rewritten its branch; then what it stood at before stays reachable under
    /// `refs/armor/rewritten/`.
    ///
    /// # Errors
    /// [`GitError::BranchConflict`] when the user moved the branch elsewhere, deleted it, or has it
    /// checked out: the work then is at `refs/armor/incoming/<branch>`.
    pub async fn move_branch(
        &self,
        branch: &str,
        expected: &str,
        head: &str,
    ) -> Result<Imported, GitError> {
        let reference = format!("refs/heads/{branch}");
        let incoming = format!("refs/armor/incoming/{branch}");
        let commits = self.run(&["rev-list", "--count", &format!("{expected}..{head}")]).await?;
        let imported = Imported { head: head.to_owned(), commits: commits.parse().unwrap_or(0) };
        let current = self.branch(branch).await?;
        if current.as_deref() == Some(head) {
            return Ok(imported);
        }
        // From here on the work has a name, whatever happens.
        self.run(&["update-ref", &incoming, head]).await?;
        let conflict = |reason: &str| GitError::BranchConflict {
            branch: branch.to_owned(),
            path: self.path().to_owned(),
            reason: reason.to_owned(),
            kept_at: Some(incoming.clone()),
        };
        if self.is_checked_out(&reference).await? {
            return Err(conflict("is checked out, and is not moved under you"));
        }
        let Some(current) = current else { return Err(conflict("was deleted")) };
        let is_built_upon = self.is_ancestor(&current, head).await?;
        if !is_built_upon {
            if current != expected {
                return Err(conflict("was moved by somebody else"));
            }
            let kept = format!("refs/armor/rewritten/{branch}/{current}");
            self.run(&["update-ref", &kept, &current]).await?;
        }
        self.run(&["update-ref", "-m", "armor: work of the task", &reference, head, &current])
            .await
            .map_err(|_| conflict("was moved by somebody else"))?;
        self.run(&["update-ref", "-d", &incoming]).await?;
        Ok(imported)
    }

    async fn is_ancestor(&self, ancestor: &str, commit: &str) -> Result<bool, GitError> {
        match self.run(&["merge-base", "--is-ancestor", ancestor, commit]).await {
            Ok(_) => Ok(true),
            Err(GitError::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_checked_out(&self, reference: &str) -> Result<bool, GitError> {
        let worktrees = self.run(&["worktree", "list", "--porcelain"]).await?;
        Ok(worktrees.lines().any(|line| line.strip_prefix("branch ") == Some(reference)))
    }
}
