//! What can go wrong in a registry.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use armor_core::checkpoint::CheckpointName;
use armor_core::error::{Code, Diagnostic};
use armor_core::event::LogError;
use armor_core::id::{CheckpointId, ExecutionId, HomeId, TaskId};
use armor_core::job::QueueError;

use crate::Lease;

/// A cause whose type is nobody's business above. Shared, because one failure of the database can
/// be that of many callers.
pub(crate) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// An error of the registry. After one, nothing of what was asked for has happened, but for
/// [`Self::Unanswered`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// Nothing has this id, prefix or name.
    #[error("no task matches `{}`", reference.escape_debug())]
    NotFound {
        /// What was looked for.
        reference: String,
    },
    /// More than one task matches.
    #[error("`{}` matches {} tasks", reference.escape_debug(), candidates.len())]
    Ambiguous {
        /// What was looked for.
        reference: String,
        /// The tasks that match (the first few), each with its name.
        candidates: Vec<(TaskId, String)>,
    },
    /// The task has no such execution.
    #[error("task {task} has no execution {execution}")]
    NoSuchExecution {
        /// The task.
        task: TaskId,
        /// What was looked for.
        execution: ExecutionId,
    },
    /// The task has no such checkpoint.
    #[error("task {task} has no checkpoint `{}`", reference.escape_debug())]
    NoSuchCheckpoint {
        /// The task.
        task: TaskId,
        /// What was looked for.
        reference: String,
    },
    /// More than one checkpoint of the task is meant.
    #[error("`{}` is the beginning of {} checkpoints", reference.escape_debug(), candidates.len())]
    AmbiguousCheckpoint {
        /// What was looked for.
        reference: String,
        /// Which ones.
        candidates: Vec<CheckpointId>,
    },
    /// Another checkpoint of the task has the name.
    #[error("task {task} has a checkpoint `{name}` already")]
    CheckpointNameTaken {
        /// The task.
        task: TaskId,
        /// The name.
        name: CheckpointName,
    },
    /// The task was changed by somebody else.
    #[error("task {task} is at version {actual}; the change was made from version {expected}")]
    Conflict {
        /// The task.
        task: TaskId,
        /// The version that the change was computed from.
        expected: u64,
        /// The version that it has.
        actual: u64,
    },
    /// What can only be done alone cannot be done now.
    #[error("another program has {} open", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// A backup is not that of this home.
    #[error("the backup is that of home {theirs}, not of {ours}")]
    OtherHome {
        /// Whose backup it is.
        theirs: HomeId,
        /// Whose database was to be replaced.
        ours: HomeId,
    },
    /// A set of changes names a task more than once.
    #[error("a task occurs more than once among the changes")]
    TwiceTheSame,
    /// Somebody else has the lease.
    #[error("`{}` is leased to {} until {}", lease.name, lease.owner, lease.expires_at)]
    LeaseHeld {
        /// The lease.
        lease: Lease,
    },
    /// The lease expired and was taken by somebody else, or was given up.
    #[error("the lease of `{name}` was lost")]
    LeaseLost {
        /// What it was for.
        name: String,
    },
    /// A page was asked for with the cursor of another list, or with none at all.
    #[error("`{}` is no cursor of this list", cursor.escape_debug())]
    Cursor {
        /// What was given.
        cursor: String,
    },
    /// A text to search for has no word in it.
    #[error("`{}` has no word to search for", text.escape_debug())]
    NoWords {
        /// What was given.
        text: String,
    },
    /// The database was written by a newer program.
    #[error("the database {path} has a newer schema than this program knows", path = path.display())]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Which migration is unknown.
        source: Cause,
    },
    /// The disk is full.
    #[error("the disk is full: could not {action}")]
    Full {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: Cause,
    },
    /// Other processes have written for too long.
    #[error("other processes kept the database busy: could not {action}")]
    Busy {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: Cause,
    },
    /// The file, its folder or its disk may not be written to.
    #[error("the database is read-only: could not {action}")]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: Cause,
    },
    /// The file cannot be opened, read or written.
    #[error("the database's disk failed: could not {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: Cause,
    },
    /// A row or the file cannot be read.
    #[error("the database is damaged: could not {action}")]
    Corrupt {
        /// What was tried.
        action: &'static str,
        /// What was found.
        source: Cause,
    },
    /// What was given breaks a rule of the schema.
    #[error("the database refused to {action}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// Which rule.
        source: Cause,
    },
    /// The registry ended before it said what became of the write: the one error behind which
    /// what was asked for may have happened.
    #[error("the registry ended before it answered: the change may have been made")]
    Unanswered,
    /// The registry was closed.
    #[error("the registry is closed")]
    Closed,
    /// Anything else that the database says no to.
    #[error("could not {action}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: Cause,
    },
}

impl Diagnostic for RegistryError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::TaskNotFound,
            Self::Ambiguous { .. } => Code::TaskAmbiguous,
            Self::NoSuchExecution { .. } => Code::ExecutionNotFound,
            Self::NoSuchCheckpoint { .. } => Code::CheckpointNotFound,
            Self::AmbiguousCheckpoint { .. } => Code::CheckpointAmbiguous,
            Self::CheckpointNameTaken { .. } => Code::CheckpointNameTaken,
            Self::Conflict { .. } => Code::TaskConflict,
            Self::TwiceTheSame | Self::NoWords { .. } => Code::ArgumentInvalid,
            Self::LeaseHeld { .. } => Code::LeaseHeld,
            Self::LeaseLost { .. } => Code::LeaseLost,
            Self::Cursor { .. } => Code::CursorInvalid,
            Self::TooNew { .. } => Code::DatabaseTooNew,
            Self::Full { .. } => Code::DatabaseFull,
            Self::Busy { .. } => Code::DatabaseBusy,
            Self::ReadOnly { .. } => Code::DatabaseReadOnly,
            Self::Io { .. } => Code::DatabaseIo,
            Self::Corrupt { .. } => Code::DatabaseCorrupt,
            Self::InUse { .. } => Code::DatabaseInUse,
            Self::OtherHome { .. } => Code::BackupOtherHome,
            Self::Refused { .. } | Self::Unanswered | Self::Closed | Self::Failed { .. } => {
                Code::DatabaseFailed
            }
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => {
                "List the tasks (list_tasks, or `armor list-tasks`) and use an id.".to_owned()
            }
            Self::Ambiguous { candidates, .. } => {
                let list: Vec<_> =
                    candidates.iter().map(|(id, name)| format!("{id} ({name})")).collect();
                format!("Use the whole id of one of: {}.", list.join(", "))
            }
            Self::NoSuchExecution { task, .. } => {
                format!("`armor show {task}` lists the task's executions.")
            }
            Self::NoSuchCheckpoint { task, .. } => {
                format!("`armor checkpoint list {task}` shows what there is.")
            }
            Self::AmbiguousCheckpoint { candidates, .. } => {
                let list: Vec<_> = candidates.iter().map(CheckpointId::as_str).collect();
                format!("Give more of its id: {}.", list.join(", "))
            }
            Self::CheckpointNameTaken { .. } => "Choose another name, or none.".to_owned(),
            Self::Conflict { .. } => "Read the task again and repeat the change.".to_owned(),
            Self::TwiceTheSame => "Join the changes of each task into one.".to_owned(),
            Self::LeaseHeld { lease } => {
                format!("Wait until {} gives it up or it expires.", lease.owner)
            }
            Self::LeaseLost { .. } => {
                "Stop what was done under it: somebody else may be doing it now.".to_owned()
            }
            Self::Cursor { .. } => {
                "Ask for the first page, without a cursor; a cursor goes with the filters and the order it came with.".to_owned()
            }
            Self::NoWords { .. } => {
                "Give a word of the task's name, request or metadata, such as `parser` or `pars*`."
                    .to_owned()
            }
            Self::TooNew { .. } => {
                "Use the Armor that wrote it, or a newer one; nothing was changed.".to_owned()
            }
            Self::Full { .. } => "Free some space and repeat: nothing was lost.".to_owned(),
            Self::Busy { .. } => {
                "Repeat it: nothing was changed. If it goes on, end the armor processes that write to this home.".to_owned()
            }
            Self::ReadOnly { .. } => {
                "Make the file, its folder and its disk writable, then repeat: nothing was lost."
                    .to_owned()
            }
            Self::Io { .. } => {
                "Look at the disk and the folder (the system's log says more), then repeat: nothing that was acknowledged is lost.".to_owned()
            }
            Self::Corrupt { .. } => {
                "Run `armor doctor` to see how much is damaged; `armor backup list` shows what `armor backup restore` can bring back. Without a backup, move the database away: `armor recover --all` makes the tasks again from their files.".to_owned()
            }
            Self::InUse { .. } => {
                "End every armor and armor-mcp that works on this home, then repeat. A task with the network egress keeps an `armor network carry` running: stop the task first.".to_owned()
            }
            Self::OtherHome { .. } => {
                "Use a backup of this home; or move the database away first, if it was made by accident.".to_owned()
            }
            Self::Unanswered => "Open the home again and look before repeating it.".to_owned(),
            Self::Closed => "Open the home again.".to_owned(),
            Self::Refused { .. } | Self::Failed { .. } => {
                "Run `armor doctor` to check the database.".to_owned()
            }
        })
    }
}

impl RegistryError {
    /// What a failure of a file means.
    pub(crate) fn of_io(action: &'static str, error: io::Error) -> Self {
        let source = Arc::new(error);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { action, source }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { action, source }
            }
            _ => Self::Io { action, source },
        }
    }

    pub(crate) fn in_log(self, action: &'static str) -> LogError {
        LogError { action, code: self.code(), source: Box::new(self) }
    }

    pub(crate) fn in_queue(self, action: &'static str) -> QueueError {
        QueueError::Failed { action, code: self.code(), source: Box::new(self) }
    }

    /// Whether what one caller gave is to blame, and not the database or its disk.
    pub(crate) const fn is_callers_fault(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::NotFound { .. }
                | Self::CheckpointNameTaken { .. }
                | Self::Conflict { .. }
                | Self::TwiceTheSame
        )
    }
}
