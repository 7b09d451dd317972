//! What happened to the home as a whole.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::job::JobId;
use crate::sandbox::{Belonging, OrphanCause};

/// What happened to the home as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum SystemEvent {
    /// The database was backed up.
    #[serde(rename = "system:backupCreated")]
    BackupCreated {
        /// The backup.
        path: PathBuf,
        /// How large it is.
        bytes: u64,
    },
    /// The database was replaced by a backup. What was committed after the backup is not in it.
    #[serde(rename = "system:backupRestored")]
    BackupRestored {
        /// The backup.
        path: PathBuf,
        /// Where the database that was replaced is kept, if there was one.
        replaced: Option<PathBuf>,
    },
    /// A job failed so often that it is not tried any more.
    #[serde(rename = "system:jobGivenUp")]
    JobGivenUp {
        /// Which.
        job: JobId,
        /// What kind of work it is.
        kind: String,
        /// What it is about, such as a task.
        key: String,
        /// How often it was begun.
        tries: u32,
        /// Why it failed the last time.
        reason: String,
    },
    /// Something was found of a task that does not need it.
    #[serde(rename = "system:orphanFound")]
    OrphanFound {
        /// The task.
        task: TaskId,
        /// Why it does not need it.
        cause: OrphanCause,
        /// What there is.
        belongings: Vec<Belonging>,
    },
    /// What was found was removed.
    #[serde(rename = "system:orphanRemoved")]
    OrphanRemoved {
        /// The task.
        task: TaskId,
        /// Why it did not need it.
        cause: OrphanCause,
        /// What there was.
        belongings: Vec<Belonging>,
    },
}

impl SystemEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BackupCreated { .. } => "system:backupCreated",
            Self::BackupRestored { .. } => "system:backupRestored",
            Self::JobGivenUp { .. } => "system:jobGivenUp",
            Self::OrphanFound { .. } => "system:orphanFound",
            Self::OrphanRemoved { .. } => "system:orphanRemoved",
        }
    }
}
