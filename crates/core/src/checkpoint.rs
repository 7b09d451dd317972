//! Checkpoints of a task: what is known of each, what people call them, and why they come and go.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};
use crate::id::{CheckpointId, TaskId};
use crate::time::Timestamp;

/// A checkpoint as the registry knows it; its files are the checkpoint store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its id, of all of the home's.
    pub id: CheckpointId,
    /// Whose it is.
    pub task: TaskId,
    /// What people call it.
    pub name: Option<CheckpointName>,
    /// Why it was taken.
    pub cause: CheckpointCause,
    /// The one that was taken before.
    pub parent: Option<CheckpointId>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// Files in it.
    pub files: u64,
    /// Bytes in these.
    pub bytes: u64,
    /// Bytes that the store grew by, compressed.
    pub bytes_added: u64,
    /// How much is not in it that was there.
    pub left_out: u64,
    /// Whether it stays until somebody says otherwise.
    pub pinned: bool,
}

impl Checkpoint {
    /// Whether only a person removes it: it is pinned, or has a name.
    pub const fn is_held(&self) -> bool {
        self.pinned || self.name.is_some()
    }
}

/// What people call a checkpoint. One line of plain characters, without a part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointName(String);

/// A text that cannot be the name of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot be the name of a checkpoint", .0.escape_debug())]
pub struct InvalidCheckpointName(String);

impl Diagnostic for InvalidCheckpointName {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some(format!(
            "Use 1 to {} of the characters A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit.",
            CheckpointName::MAX_BYTES
        ))
    }
}

impl CheckpointName {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckpointName {
    type Err = InvalidCheckpointName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let is_name = (1..=Self::MAX_BYTES).contains(&bytes.len())
            && bytes[0].is_ascii_alphanumeric()
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCheckpointName(text.to_owned()))
        }
    }
}

impl TryFrom<String> for CheckpointName {
    type Error = InvalidCheckpointName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CheckpointName> for String {
    fn from(name: CheckpointName) -> Self {
        name.0
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The checkpoint that a task's files were made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// The task that it is of.
    pub task: TaskId,
    /// Which.
    pub checkpoint: CheckpointId,
}

/// Why a checkpoint was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointCause {
    /// Somebody asked for it.
    Asked,
    /// To be able to go back behind a restoration.
    BeforeRestore,
    /// To make another task from it.
    Fork,
    /// It came out of an archive.
    Imported,
    /// A command was about to run that may lose much.
    BeforeRisk,
    /// The task was about to start.
    Started,
    /// The task was about to end well.
    Completed,
    /// The task was about to end badly, or to be given up.
    Failed,
}

impl CheckpointCause {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Asked,
        Self::BeforeRestore,
        Self::Fork,
        Self::Imported,
        Self::BeforeRisk,
        Self::Started,
        Self::Completed,
        Self::Failed,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::BeforeRestore => "before_restore",
            Self::Fork => "fork",
            Self::Imported => "imported",
            Self::BeforeRisk => "before_risk",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The cause of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }
}

/// Whether a sandbox stands still while its files are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Before a risky command, while others run in it.
    #[default]
    Risk,
    /// Never.
    Live,
    /// Whenever it runs.
    Pause,
}

impl Consistency {
    /// Their names.
    pub const NAMES: &'static [&'static str] = &["risk", "live", "pause"];
}

/// Why a checkpoint was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgotten {
    /// Somebody asked for it.
    Asked,
    /// The settings keep newer ones instead.
    Retention,
    /// All checkpoints together were more than they may be.
    Size,
    /// Its files were gone.
    Lost,
}

impl Forgotten {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Retention => "retention",
            Self::Size => "size",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_word() {
        for good in ["a", "before-the-merge", "v1.2_x", &"n".repeat(64)] {
            assert_eq!(good.parse::<CheckpointName>().unwrap().as_str(), good);
        }
        for bad in
            ["", ".", "..", ".x", "-x", "a/b", "a\\b", "a b", "a\n", "ü", "a\0", &"n".repeat(65)]
        {
            assert!(bad.parse::<CheckpointName>().is_err(), "{bad:?}");
        }
    }
}
