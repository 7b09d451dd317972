//! How much an event asks for a person's attention, which follows from what it says.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{
    CheckpointEvent, EventPayload, ExecutionEvent, HookEvent, NetworkEvent, SandboxEvent,
    SystemEvent, TaskEvent,
};
use crate::error::{Code, Diagnostic};

/// How much an event asks for a person's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Work goes its way.
    Info,
    /// Something was refused, was less than asked for, or may become a failure.
    Warning,
    /// Something failed.
    Error,
}

/// A text that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no level", .0.escape_debug())]
pub struct InvalidLevel(String);

impl Diagnostic for InvalidLevel {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some("Use info, warning or error.".to_owned())
    }
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| InvalidLevel(text.to_owned()))
    }
}

impl EventPayload {
    /// How much it asks for a person's attention. It follows from the kind of event alone.
    pub const fn level(&self) -> Level {
        match self {
            Self::Task(event) => of_task(event),
            Self::Sandbox(event) => match event {
                SandboxEvent::Created { .. } | SandboxEvent::Restarted { .. } => Level::Info,
                SandboxEvent::ShareHigh { .. }
                | SandboxEvent::ShareExceeded { .. }
                | SandboxEvent::Lost => Level::Warning,
            },
            Self::Execution(event) => match event {
                // Agents run commands to see whether they fail.
                ExecutionEvent::Started { .. } | ExecutionEvent::Finished { .. } => Level::Info,
            },
            Self::Checkpoint(event) => match event {
                CheckpointEvent::Taken { .. }
                | CheckpointEvent::Restored { .. }
                | CheckpointEvent::Pinned { .. }
                | CheckpointEvent::Unpinned { .. }
                | CheckpointEvent::Forgotten { .. } => Level::Info,
            },
            Self::Network(event) => match event {
                NetworkEvent::Ruled { .. } | NetworkEvent::Allowed { .. } => Level::Info,
                NetworkEvent::Denied { .. } | NetworkEvent::Failed { .. } => Level::Warning,
            },
            Self::Hook(event) => match event {
                HookEvent::BeforeStart
                | HookEvent::AfterStart
                | HookEvent::BeforeComplete
                | HookEvent::AfterComplete
                | HookEvent::BeforeFail
                | HookEvent::AfterFail => Level::Info,
                HookEvent::Refused { .. } => Level::Warning,
                HookEvent::Failed { .. } => Level::Error,
            },
            Self::System(event) => match event {
                SystemEvent::BackupCreated { .. } | SystemEvent::OrphanRemoved { .. } => {
                    Level::Info
                }
                SystemEvent::BackupRestored { .. } | SystemEvent::OrphanFound { .. } => {
                    Level::Warning
                }
                SystemEvent::JobGivenUp { .. } => Level::Error,
            },
        }
    }
}

const fn of_task(event: &TaskEvent) -> Level {
    match event {
        TaskEvent::Created { .. }
        | TaskEvent::Started
        | TaskEvent::Attached { .. }
        | TaskEvent::Detached { .. }
        | TaskEvent::Decided(_)
        | TaskEvent::WorkCollected { .. }
        | TaskEvent::Completed { .. }
        | TaskEvent::Cancelled { .. }
        | TaskEvent::Deleted { .. } => Level::Info,
        TaskEvent::Loosened { .. } | TaskEvent::Recovered { .. } => Level::Warning,
        TaskEvent::CollectFailed { .. } | TaskEvent::Failed { .. } => Level::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_and_are_read_by_their_names() {
        assert!(Level::ALL.is_sorted());
        for level in Level::ALL {
            assert_eq!(level.to_string().parse::<Level>().unwrap(), level);
        }
        for text in ["", "INFO", "warn", "3"] {
            assert!(text.parse::<Level>().is_err(), "{text:?}");
        }
    }
}
