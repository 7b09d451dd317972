//! What can go wrong with a task's files.

use std::io;
use std::path::PathBuf;

use armor_core::error::{Code, Diagnostic};

/// A file of a task could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("could not {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is there and is not what was written.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Diagnostic for StorageError {
    fn code(&self) -> Code {
        Code::StorageFailed
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "Free some space on that disk and repeat: nothing was lost.".to_owned()
            }
            Self::Io { .. } => {
                "Check that the folder exists and that you may write to it.".to_owned()
            }
            Self::Damaged { .. } => {
                "Keep a copy if somebody may have changed it. It follows the event log: remove it, and it is written anew with what happens next.".to_owned()
            }
        })
    }
}

/// Says what was tried on which path, for `map_err`.
pub(crate) fn io_error(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.into();
    move |source| StorageError::Io { action, path, source }
}
