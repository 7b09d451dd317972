//! What is left of tasks that do not need it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that there is for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Belonging {
    /// Its sandbox.
    Sandbox,
    /// A network that its sandbox is on.
    Network,
    /// The folder of its sandbox's socket.
    Socket,
    /// Its folder: working copy, memory, logs.
    Files,
}

impl fmt::Display for Belonging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sandbox => "sandbox",
            Self::Network => "network",
            Self::Socket => "socket",
            Self::Files => "files",
        })
    }
}

/// Why a task does not need what there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanCause {
    /// It has ended.
    Ended,
    /// It was deleted.
    Deleted,
    /// Nothing is known of it: perhaps a backup was restored that is older than the task.
    Unknown,
}

impl fmt::Display for OrphanCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "ended",
            Self::Deleted => "deleted",
            Self::Unknown => "unknown",
        })
    }
}
