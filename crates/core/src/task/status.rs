//! The states of a task and, as data, the ways between them (R2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Made, and not started.
    Pending,
    /// Worked on, or waiting for an agent to attach again.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly; may be resumed.
    Failed,
    /// Given up.
    Cancelled,
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no task status", .0.escape_debug())]
pub struct UnknownStatus(String);

impl Diagnostic for UnknownStatus {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        let names: Vec<_> = TaskStatus::ALL.iter().map(|status| status.as_str()).collect();
        Some(format!("Use one of {}.", names.join(", ")))
    }
}

use TaskStatus::{Cancelled, Completed, Failed, Pending, Running};

/// Every transition there is. `failed → running` is a resume and counts a retry; restoring a
/// checkpoint, which leads from any state to `pending`, is not in this list because it replaces
/// the task's state instead of moving it on.
pub const TRANSITIONS: &[(TaskStatus, TaskStatus)] = &[
    (Pending, Running),
    (Pending, Cancelled),
    (Running, Completed),
    (Running, Failed),
    (Running, Cancelled),
    (Failed, Running),
];

impl TaskStatus {
    /// Every state.
    pub const ALL: [Self; 5] = [Pending, Running, Completed, Failed, Cancelled];

    /// Its name, as in the database and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Running => "running",
            Completed => "completed",
            Failed => "failed",
            Cancelled => "cancelled",
        }
    }

    /// Whether a task may go from this state to `next`.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.contains(&(self, next))
    }

    /// Whether the task has ended: its sandbox is not needed any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Completed | Failed | Cancelled)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TaskStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}
