//! Recovery: the layers in which a task is kept, and what it can be made again from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place where something of a task is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The registry's row and its events.
    Database,
    /// `state.json`.
    State,
    /// The audit log.
    Audit,
    /// `decisions.md`.
    Decisions,
    /// Checkpoints.
    Checkpoints,
}

impl Layer {
    /// Its name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::State => "state.json",
            Self::Audit => "audit log",
            Self::Decisions => "decisions.md",
            Self::Checkpoints => "checkpoints",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a task, or what is wrong of it, is made again from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoverySource {
    /// The registry: the other layers are made to say what it says.
    Database,
    /// `state.json`, and the events of the audit log.
    StateAndAudit,
    /// The events of the audit log alone.
    Audit,
    /// `state.json` alone.
    State,
    /// The state that the newest checkpoint was taken with.
    Checkpoint,
}

impl RecoverySource {
    /// Its name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "the database",
            Self::StateAndAudit => "state.json and the audit log",
            Self::Audit => "the audit log",
            Self::State => "state.json",
            Self::Checkpoint => "the newest checkpoint",
        }
    }
}
