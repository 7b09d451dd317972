//! What a task's workspace is, and the folder of the user's where it is no repository.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::sandbox::{InvalidSandboxField, UserIds};

/// What is made of the path that a task is to work on.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum WorkspaceMode {
    /// It is a git repository: the task has a working copy and a branch of its own.
    #[default]
    Repository,
    /// It is any folder: the task has a copy of it.
    Copy,
    /// It is any folder: the task has the folder itself.
    Bind,
}

impl WorkspaceMode {
    /// The names of all, as in the settings and in output.
    pub const NAMES: &'static [&'static str] = &["repository", "copy", "bind"];

    /// Its name, as in the settings and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Copy => "copy",
            Self::Bind => "bind",
        }
    }
}

impl FromStr for WorkspaceMode {
    type Err = InvalidSandboxField;

    fn from_str(text: &str) -> Result<Self, InvalidSandboxField> {
        match text {
            "repository" => Ok(Self::Repository),
            "copy" => Ok(Self::Copy),
            "bind" => Ok(Self::Bind),
            _ => Err(InvalidSandboxField::Workspace(text.to_owned())),
        }
    }
}

impl fmt::Display for WorkspaceMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A folder of the user's that a task works on, which has no repository then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Folder {
    /// The workspace is a copy, made when the task was created.
    Copy {
        /// The folder, resolved.
        path: PathBuf,
    },
    /// The workspace is the folder.
    Bind {
        /// The folder, resolved.
        path: PathBuf,
        /// Whom it belongs to, and so who the task's commands are.
        owner: UserIds,
        /// The names of what in it the task cannot change.
        kept: Vec<String>,
    },
}

impl Folder {
    /// Where it is on the host.
    pub fn path(&self) -> &Path {
        match self {
            Self::Copy { path } | Self::Bind { path, .. } => path,
        }
    }

    /// What is made of it.
    pub const fn mode(&self) -> WorkspaceMode {
        match self {
            Self::Copy { .. } => WorkspaceMode::Copy,
            Self::Bind { .. } => WorkspaceMode::Bind,
        }
    }
}
