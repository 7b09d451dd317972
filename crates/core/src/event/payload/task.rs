//! What happened to a task.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::ForkedFrom;
use crate::decision::Decision;
use crate::id::AgentId;
use crate::network::NetworkPolicy;
use crate::recovery::RecoverySource;
use crate::sandbox::{ImageName, Limits, NetworkMode};
use crate::task::{Folder, Loosening, WorkState};

/// What happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum TaskEvent {
    /// The task was made.
    #[serde(rename = "task:created")]
    Created {
        /// What it is called.
        name: String,
        /// What is asked for, in full.
        request: Option<String>,
        /// Whom it belongs to.
        owner: String,
        /// The image its sandbox runs.
        image: ImageName,
        /// What its sandbox reaches.
        network: NetworkMode,
        /// What it may reach with the network `egress`.
        #[serde(default)]
        rules: NetworkPolicy,
        /// What its sandbox may use.
        limits: Limits,
        /// The user's repository.
        repository: Option<PathBuf>,
        /// The task's branch in it.
        branch: Option<String>,
        /// The commit it starts from.
        base: Option<String>,
        /// The folder of the user's that it works on, where that is no repository.
        #[serde(default)]
        folder: Option<Box<Folder>>,
        /// The checkpoint that its files are made from.
        #[serde(default)]
        forked_from: Option<Box<ForkedFrom>>,
    },
    /// Its sandbox is less closed than one that nobody asked anything of.
    #[serde(rename = "task:loosened")]
    Loosened {
        /// In what.
        what: Vec<Loosening>,
    },
    /// It went from pending to running.
    #[serde(rename = "task:started")]
    Started,
    /// An agent attached.
    #[serde(rename = "task:attached")]
    Attached {
        /// Who.
        agent: AgentId,
    },
    /// An agent detached.
    #[serde(rename = "task:detached")]
    Detached {
        /// Who.
        agent: AgentId,
    },
    /// An agent, or a person, decided something about it.
    #[serde(rename = "task:decided")]
    Decided(Decision),
    /// Commits came from the working copy onto the task's branch.
    #[serde(rename = "task:workCollected")]
    WorkCollected {
        /// The branch.
        branch: String,
        /// Where it stood.
        from: String,
        /// Where it stands.
        to: String,
        /// How many commits came.
        commits: u32,
        /// Whether all work is on the branch now.
        work: WorkState,
    },
    /// The working copy could not be read; the work is still in it.
    #[serde(rename = "task:collectFailed")]
    CollectFailed {
        /// Why.
        reason: String,
    },
    /// It ended well.
    #[serde(rename = "task:completed")]
    Completed {
        /// What was said about it.
        message: Option<String>,
        /// The result that was given.
        result: Option<Value>,
    },
    /// It ended badly.
    #[serde(rename = "task:failed")]
    Failed {
        /// Why.
        reason: String,
    },
    /// It was given up.
    #[serde(rename = "task:cancelled")]
    Cancelled {
        /// Why.
        reason: Option<String>,
    },
    /// What was lost or damaged of it was made again.
    #[serde(rename = "task:recovered")]
    Recovered {
        /// From what.
        from: RecoverySource,
        /// Where it is made again from other layers than the database: how many events came with it.
        events: u64,
    },
    /// It was deleted, with its files. Its branch stays.
    #[serde(rename = "task:deleted")]
    Deleted {
        /// What it was called.
        name: String,
    },
}

impl TaskEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "task:created",
            Self::Loosened { .. } => "task:loosened",
            Self::Started => "task:started",
            Self::Attached { .. } => "task:attached",
            Self::Detached { .. } => "task:detached",
            Self::Decided(_) => "task:decided",
            Self::WorkCollected { .. } => "task:workCollected",
            Self::CollectFailed { .. } => "task:collectFailed",
            Self::Completed { .. } => "task:completed",
            Self::Failed { .. } => "task:failed",
            Self::Cancelled { .. } => "task:cancelled",
            Self::Recovered { .. } => "task:recovered",
            Self::Deleted { .. } => "task:deleted",
        }
    }
}
