//! What can go wrong with a repository.

use std::io;
use std::path::PathBuf;

use armor_core::error::{Code, Diagnostic};

/// An error of a repository or of git itself.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git program.
    #[error("git could not be started")]
    Missing {
        /// Why not.
        source: io::Error,
    },
    /// A git command ended badly.
    #[error("`git {command}` failed: {message}")]
    Failed {
        /// The command, without its paths.
        command: String,
        /// What it said.
        message: String,
    },
    /// A git command took too long and was killed.
    #[error("`git {command}` did not end within {seconds} s")]
    TimedOut {
        /// The command, without its paths.
        command: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The workspace is not there.
    #[error("the workspace {path} does not exist", path = path.display())]
    WorkspaceMissing {
        /// What was named.
        path: PathBuf,
    },
    /// The workspace is a file.
    #[error("the workspace {path} is not a directory", path = path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// The workspace is where tasks must not be.
    #[error("the workspace {path} lies outside the allowed folders", path = path.display())]
    NotAllowed {
        /// What was named, resolved.
        path: PathBuf,
        /// Where it may lie.
        roots: Vec<PathBuf>,
    },
    /// The workspace is in no repository.
    #[error("the workspace {path} is not in a git repository", path = path.display())]
    NotARepository {
        /// What was named.
        path: PathBuf,
    },
    /// The folder is larger than a copy may be.
    #[error("the files in {path} have more than {} MiB", most >> 20, path = path.display())]
    TooLarge {
        /// The folder.
        path: PathBuf,
        /// What they may have, in bytes.
        most: u64,
    },
    /// The repository has nothing to start from.
    #[error("the repository {path} has no commit yet", path = path.display())]
    NoCommit {
        /// The repository.
        path: PathBuf,
    },
    /// The task's branch cannot be made or moved.
    #[error("the branch {branch} in {path} {reason}", path = path.display())]
    BranchConflict {
        /// The branch.
        branch: String,
        /// The repository.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// Where the work is instead, if it came in.
        kept_at: Option<String>,
    },
    /// A file of the working copy could not be made.
    #[error("could not {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Diagnostic for GitError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::GitMissing,
            Self::Failed { .. } | Self::TimedOut { .. } => Code::GitFailed,
            Self::WorkspaceMissing { .. } => Code::WorkspaceMissing,
            Self::NotADirectory { .. } => Code::WorkspaceNotADirectory,
            Self::NotAllowed { .. } => Code::WorkspaceNotAllowed,
            Self::NotARepository { .. } => Code::WorkspaceNotARepository,
            Self::TooLarge { .. } => Code::WorkspaceTooLarge,
            Self::NoCommit { .. } => Code::WorkspaceNoCommit,
            Self::BranchConflict { .. } => Code::WorkspaceBranchConflict,
            Self::Io { .. } => Code::StorageFailed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("Install git (on Debian: `apt-get install git`).".to_owned())
            }
            Self::Failed { message, .. } if message.contains("dubious ownership") => Some(
                "The repository belongs to another user. If you trust it: `git config --global --add safe.directory <path>`."
                    .to_owned(),
            ),
            Self::Failed { .. } | Self::TimedOut { .. } => {
                Some("Check the repository with `git fsck`.".to_owned())
            }
            Self::WorkspaceMissing { .. } | Self::NotADirectory { .. } => {
                Some("Give the path of a folder that is there.".to_owned())
            }
            Self::NotAllowed { roots, .. } => {
                let roots: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
                Some(format!(
                    "Use one below {}, or set workspace.allowed_roots in armor.toml.",
                    roots.join(" or ")
                ))
            }
            Self::NotARepository { path } => Some(format!(
                "Make it one with `git init` and a first commit in {}; or ask for a copy of it (workspace mode `copy`, where `workspace.modes` has it).",
                path.display()
            )),
            Self::TooLarge { .. } => Some(
                "Copy a part of it, or raise monitor.disk_mib in armor.toml.".to_owned(),
            ),
            Self::NoCommit { .. } => {
                Some("Make a first commit: `git commit --allow-empty -m start`.".to_owned())
            }
            Self::BranchConflict { kept_at: Some(kept_at), .. } => {
                Some(format!("The task's work is safe at {kept_at}: merge it from there."))
            }
            Self::BranchConflict { kept_at: None, branch, .. } => {
                Some(format!("Rename or delete what stands in the way of {branch}."))
            }
            Self::Io { .. } => {
                Some("Check the free space and your rights on that disk.".to_owned())
            }
        }
    }
}

/// Says what was tried on which path, for `map_err`.
pub(crate) fn io_error(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> GitError {
    let path = path.into();
    move |source| GitError::Io { action, path, source }
}
