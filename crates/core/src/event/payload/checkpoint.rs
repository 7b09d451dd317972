//! What happened to a task's checkpoints.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointCause, CheckpointName, Forgotten};
use crate::id::CheckpointId;

/// What happened to a task's checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum CheckpointEvent {
    /// One was taken.
    #[serde(rename = "checkpoint:taken")]
    Taken {
        /// Which.
        checkpoint: CheckpointId,
        /// What people call it.
        name: Option<CheckpointName>,
        /// Why.
        cause: CheckpointCause,
        /// Files in it.
        files: u64,
        /// Bytes in these.
        bytes: u64,
        /// Bytes that the store grew by, compressed.
        bytes_added: u64,
        /// How much is not in it that was there.
        left_out: u64,
        /// Whether it stays until somebody says otherwise.
        #[serde(default)]
        pinned: bool,
    },
    /// The task's files were made those of one.
    #[serde(rename = "checkpoint:restored")]
    Restored {
        /// Which.
        checkpoint: CheckpointId,
        /// The one that was taken before, to go back to.
        safety: CheckpointId,
        /// Files, folders and links that were changed, made or removed.
        changed: u64,
        /// The one path of the workspace that was, if not all was.
        #[serde(default)]
        path: Option<String>,
    },
    /// One stays until somebody says otherwise.
    #[serde(rename = "checkpoint:pinned")]
    Pinned {
        /// Which.
        checkpoint: CheckpointId,
    },
    /// One may go again.
    #[serde(rename = "checkpoint:unpinned")]
    Unpinned {
        /// Which.
        checkpoint: CheckpointId,
    },
    /// One was removed.
    #[serde(rename = "checkpoint:forgotten")]
    Forgotten {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        cause: Forgotten,
    },
}

impl CheckpointEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "checkpoint:taken",
            Self::Restored { .. } => "checkpoint:restored",
            Self::Pinned { .. } => "checkpoint:pinned",
            Self::Unpinned { .. } => "checkpoint:unpinned",
            Self::Forgotten { .. } => "checkpoint:forgotten",
        }
    }
}
