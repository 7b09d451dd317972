//! What can go wrong in a registry.

use std::path::PathBuf;

use armor_core::error::{Code, Diagnostic};
use armor_core::event::LogError;
use armor_core::id::{ExecutionId, TaskId};

/// An error of the registry. After one, nothing of what was asked for has happened.
#[derive(Debug, thiserror::Error)]
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
    /// The database was written by a newer program.
    #[error("the database {path} has a newer schema than this program knows", path = path.display())]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Which migration is unknown.
        source: BoxError,
    },
    /// The disk is full.
    #[error("the disk is full: could not {action}")]
    Full {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: BoxError,
    },
    /// A row or the file cannot be read.
    #[error("the database is damaged: could not {action}")]
    Corrupt {
        /// What was tried.
        action: &'static str,
        /// What was found.
        source: BoxError,
    },
    /// Anything else that the database refuses.
    #[error("could not {action}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        source: BoxError,
    },
}

/// A cause whose type is nobody's business above.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Diagnostic for RegistryError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::TaskNotFound,
            Self::Ambiguous { .. } => Code::TaskAmbiguous,
            Self::NoSuchExecution { .. } => Code::ExecutionNotFound,
            Self::Conflict { .. } => Code::TaskConflict,
            Self::TooNew { .. } => Code::DatabaseTooNew,
            Self::Full { .. } => Code::DatabaseFull,
            Self::Corrupt { .. } => Code::DatabaseCorrupt,
            Self::Failed { .. } => Code::DatabaseFailed,
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
            Self::Conflict { .. } => "Read the task again and repeat the change.".to_owned(),
            Self::TooNew { .. } => {
                "Use the Armor that wrote it, or a newer one; nothing was changed.".to_owned()
            }
            Self::Full { .. } => "Free some space and repeat: nothing was lost.".to_owned(),
            Self::Corrupt { .. } => "Run `armor doctor` to see how much is damaged.".to_owned(),
            Self::Failed { .. } => "Run `armor doctor` to check the database.".to_owned(),
        })
    }
}

impl RegistryError {
    pub(crate) fn in_log(self, action: &'static str) -> LogError {
        LogError { action, code: self.code(), source: Box::new(self) }
    }
}
