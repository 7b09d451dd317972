//! Tasks: what a task is, the states it goes through, and the changes that move it on.
//!
//! A change is computed by a pure method of [`Task`] ([`Task::attach`], [`Task::complete`], …),
//! which gives a [`Change`]: the task as it should become, the version it was computed from, and
//! the events that say so. The registry commits a change in one transaction or refuses it.

mod change;
mod fields;
mod folder;
mod loosening;
mod replay;
mod status;

pub use change::{Change, TaskError};
pub use fields::{InvalidField, Metadata, Owner, RequestText, TaskName};
pub use folder::{Folder, WorkspaceMode};
pub use loosening::Loosening;
pub use status::{TRANSITIONS, TaskStatus, UnknownStatus};

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::checkpoint::ForkedFrom;
use crate::id::{AgentId, TaskId};
use crate::network::NetworkPolicy;
use crate::sandbox::{ImageName, Limits, NetworkMode};
use crate::time::Timestamp;

/// The unit of work: what is asked for, its state, its owner, and where it is worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Who it is.
    pub id: TaskId,
    /// What people call it. Not unique.
    pub name: TaskName,
    /// What is asked for, in full.
    pub request: Option<RequestText>,
    /// Where it stands.
    pub status: TaskStatus,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What the creator wants to keep with it.
    pub metadata: Metadata,
    /// The sandbox that was asked for.
    pub sandbox: SandboxRequest,
    /// The repository it works on; none for a task that works on a folder or starts from an empty
    /// one.
    pub repository: Option<Repository>,
    /// Who is attached now.
    pub agent: Option<AgentId>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// How many times it was taken up again after a failure.
    pub retries: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// When it first ran.
    pub started_at: Option<Timestamp>,
    /// When it reached its end.
    pub finished_at: Option<Timestamp>,
    /// Counts the changes; a change names the version it was computed from.
    pub version: u64,
}

/// The sandbox that a task asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRequest {
    /// The image to run.
    pub image: ImageName,
    /// What its commands can reach.
    pub network: NetworkMode,
    /// What they may reach with the network `egress`.
    #[serde(default, skip_serializing_if = "NetworkPolicy::is_empty")]
    pub rules: NetworkPolicy,
    /// A file of certificates that they trust in place of the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
    /// What its commands may use.
    pub limits: Limits,
    /// The folder of the user's that they work on, where that is no repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Folder>,
    /// The checkpoint that its files are made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
}

impl Default for SandboxRequest {
    fn default() -> Self {
        Self {
            image: ImageName::base(),
            network: NetworkMode::None,
            rules: NetworkPolicy::default(),
            certificates: None,
            limits: Limits::default(),
            folder: None,
            forked_from: None,
        }
    }
}

/// The user's repository, as seen by one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The folder that the user named: a checkout, or a bare repository.
    pub path: PathBuf,
    /// The task's branch in it, `task/<id>`.
    pub branch: String,
    /// The commit that the branch started from.
    pub base: String,
    /// The folder of its objects, if the sandbox may read them there; none if the working copy
    /// has objects of its own.
    pub objects: Option<PathBuf>,
    /// Where the branch stands in the user's repository, as far as Armor moved it.
    pub head: String,
    /// Whether all work is on the branch, as far as is known.
    pub work: WorkState,
}

/// Whether the work in a task's working copy is on the task's branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkState {
    /// All of it, when last looked at.
    Saved,
    /// Not all of it, when last looked at.
    Unsaved {
        /// Files with changes that are on no commit.
        files: u32,
        /// Commits that are not on the task's branch.
        commits: u32,
    },
    /// It could not be looked at, or something may have changed since.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for WorkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saved => f.write_str("all work is on the branch"),
            Self::Unsaved { files, commits: 0 } => {
                write!(f, "{files} files have changes that are on no commit")
            }
            Self::Unsaved { files, commits } => write!(
                f,
                "{files} files have changes that are on no commit, and {commits} commits are not on the branch"
            ),
            Self::Unknown { reason } => {
                write!(f, "it is not known whether all work is on the branch: {reason}")
            }
        }
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was said about it, or why it failed or was cancelled.
    pub message: Option<String>,
    /// The result that the agent or person gave.
    pub result: Option<serde_json::Value>,
}

/// What a new task is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRequest {
    /// What people call it.
    pub name: TaskName,
    /// What is asked for, in full.
    pub request: Option<RequestText>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What the creator wants to keep with it.
    pub metadata: Metadata,
    /// The sandbox it asks for.
    pub sandbox: SandboxRequest,
    /// The repository and the commit to start from; the branch is named after the task.
    pub repository: Option<RepositoryBase>,
}

/// A repository that a new task is to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryBase {
    /// The folder that the user named, resolved.
    pub path: PathBuf,
    /// The commit to start from.
    pub commit: String,
    /// The folder of its objects, if the sandbox may read them there.
    pub objects: Option<PathBuf>,
}

impl TaskRequest {
    /// A request with nothing but a name: the default sandbox, nobody's, no repository.
    pub fn named(name: TaskName) -> Self {
        Self {
            name,
            request: None,
            owner: Owner::nobody(),
            metadata: Metadata::default(),
            sandbox: SandboxRequest::default(),
            repository: None,
        }
    }
}

impl Task {
    /// A new task, pending, at version 1.
    pub fn new(id: TaskId, request: TaskRequest, now: Timestamp) -> Self {
        let repository = request.repository.map(|base| Repository {
            path: base.path,
            branch: branch_name(&id),
            head: base.commit.clone(),
            base: base.commit,
            objects: base.objects,
            work: WorkState::Saved,
        });
        Self {
            id,
            name: request.name,
            request: request.request,
            status: TaskStatus::Pending,
            owner: request.owner,
            metadata: request.metadata,
            sandbox: request.sandbox,
            repository,
            agent: None,
            outcome: None,
            retries: 0,
            created_at: now,
            updated_at: now,
            started_at: None,
            finished_at: None,
            version: 1,
        }
    }

    /// From now on nobody knows whether all its work is on its branch, until that is looked at.
    pub fn unsettle_work(&mut self, reason: &str) {
        if let Some(repository) = &mut self.repository {
            repository.work = WorkState::Unknown { reason: reason.to_owned() };
        }
    }
}

/// The branch that a task's commits come onto: `task/<id>`.
pub fn branch_name(id: &TaskId) -> String {
    format!("task/{id}")
}
