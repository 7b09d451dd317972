//! What can go wrong with checkpoints.

use std::io;
use std::path::PathBuf;

use armor_core::error::{Code, Diagnostic};
use armor_core::id::{CheckpointId, TaskId};

use crate::ChunkId;
use crate::fault::ArchiveFault;

/// A checkpoint could not be taken, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// There is no such checkpoint.
    #[error("the task has no checkpoint `{}`", checkpoint.escape_debug())]
    NotFound {
        /// The one that was asked for.
        checkpoint: String,
    },
    /// The checkpoint has no tree of that name.
    #[error("checkpoint {checkpoint} has no {root}")]
    NoSuchRoot {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What was asked for.
        root: String,
    },
    /// The checkpoint has nothing at that path.
    #[error("checkpoint {checkpoint} has no {path}", path = path.display())]
    NoSuchPath {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What was asked for.
        path: PathBuf,
    },
    /// A file of the store is there and is not what was written.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A chunk is nowhere in the store, or what is there is not it.
    #[error("chunk {chunk} is missing or damaged")]
    Missing {
        /// The chunk.
        chunk: ChunkId,
    },
    /// A checkpoint is damaged, so that nobody knows what it needs.
    #[error("checkpoint {checkpoint} of task {task} is not whole")]
    Incomplete {
        /// Whose it is.
        task: TaskId,
        /// Which.
        checkpoint: CheckpointId,
        /// What is wrong.
        source: Box<Self>,
    },
    /// What would be replaced cannot be read back from the checkpoint that was taken of it.
    #[error("what is kept of the present files is damaged, so they are not replaced")]
    NotKept {
        /// What is wrong.
        source: Box<Self>,
    },
    /// A folder's list is longer than can be kept.
    #[error("{path} has more in it, or more attributes, than a checkpoint can have of one folder", path = path.display())]
    FolderTooLarge {
        /// The folder.
        path: PathBuf,
    },
    /// A tree cannot be made another one in its place.
    #[error("{path} lies on another file system than Armor's own files", path = path.display())]
    OtherFileSystem {
        /// Where it is.
        path: PathBuf,
    },
    /// An archive is not taken in.
    #[error("the archive cannot be taken in{}: {reason}", at(entry))]
    BadArchive {
        /// The path of the entry that it came to last, or nothing where it is about the whole. Bytes
        /// that are not UTF-8 are replaced, and the end of a long one is left out.
        entry: String,
        /// What is wrong.
        reason: ArchiveFault,
    },
    /// What no checkpoint has would be lost.
    #[error("{path} holds something that is left out of checkpoints, and would go", path = path.display())]
    InTheWay {
        /// Where it is.
        path: PathBuf,
    },
    /// A single path would be made in something that is no folder any more.
    #[error("{path} was a folder in the checkpoint, and is none now", path = path.display())]
    NoFolder {
        /// Where it is.
        path: PathBuf,
    },
    /// A rule cannot be understood.
    #[error("`{}` is no pattern of what to leave out", line.escape_debug())]
    NoPattern {
        /// What it says.
        line: String,
    },
    /// Something is where a tree is to be restored to.
    #[error("{path} is not empty", path = path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
}

impl Diagnostic for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Io { .. } => Code::StorageFailed,
            Self::NotFound { .. } | Self::NoSuchRoot { .. } | Self::NoSuchPath { .. } => {
                Code::CheckpointNotFound
            }
            Self::Damaged { .. } | Self::Missing { .. } | Self::Incomplete { .. } => {
                Code::CheckpointDamaged
            }
            Self::NotKept { .. } => Code::CheckpointUnsafe,
            Self::BadArchive { .. } => Code::CheckpointBadArchive,
            Self::Occupied { .. } | Self::InTheWay { .. } | Self::NoFolder { .. } => {
                Code::CheckpointOccupied
            }
            Self::NoPattern { .. } => Code::ConfigInvalid,
            Self::OtherFileSystem { .. } => Code::CheckpointElsewhere,
            Self::FolderTooLarge { .. } => Code::CheckpointTooLarge,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "Free some space on that disk and repeat: earlier checkpoints are unharmed."
                    .to_owned()
            }
            Self::Io { .. } => {
                "Check that the folder exists and that you may read and write it.".to_owned()
            }
            Self::NotFound { .. } | Self::NoSuchRoot { .. } => {
                "`armor checkpoint list <task>` shows what there is.".to_owned()
            }
            Self::Damaged { .. } | Self::Missing { .. } => {
                "`armor checkpoint verify` says which checkpoints are whole; restore one of those."
                    .to_owned()
            }
            Self::Incomplete { task, checkpoint, .. } => format!(
                "Bring the store's files back from a copy, or remove it (`armor checkpoint remove {task} {checkpoint}`): until then nothing is given back."
            ),
            Self::NotKept { .. } => {
                "Repeat it: the present files are kept anew then, since the damage is known now."
                    .to_owned()
            }
            Self::NoSuchPath { .. } => {
                "Name it from the workspace on, as `armor checkpoint diff` does.".to_owned()
            }
            Self::FolderTooLarge { .. } => "Spread what is in it over several folders.".to_owned(),
            Self::OtherFileSystem { .. } => {
                "Make the checkpoint again in a folder of its own (`armor checkpoint extract`)."
                    .to_owned()
            }
            Self::BadArchive { reason, .. } => reason.next_step().to_owned(),
            Self::InTheWay { .. } => {
                "Move it away, or make the checkpoint again in a folder of its own (`armor checkpoint extract`)."
                    .to_owned()
            }
            Self::NoFolder { .. } => "Move it away, or restore it as a whole.".to_owned(),
            Self::NoPattern { .. } => {
                "Write it as in a .gitignore: node_modules/, *.log, /build.".to_owned()
            }
            Self::Occupied { .. } => "Name a folder that is empty or not there yet.".to_owned(),
        })
    }
}

fn at(entry: &str) -> String {
    if entry.is_empty() { String::new() } else { format!(", at `{}`", entry.escape_debug()) }
}

/// Says what was tried on which path, for `map_err`.
pub(crate) fn io_error<E: Into<io::Error>>(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(E) -> StoreError {
    let path = path.into();
    move |source| StoreError::Io { action, path, source: source.into() }
}
