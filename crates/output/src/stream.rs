//! The streams and their files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::ahead::take_ahead;
use crate::writer::Written;
use serde::{Deserialize, Serialize};

/// One of a command's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One entry of `order.jsonl`: so many bytes of that stream came next.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) stream: StreamKind,
    pub(crate) bytes: u64,
}

/// The open files of an execution's folder.
#[derive(Debug)]
pub struct OutputFiles {
    /// Takes standard output.
    pub stdout: File,
    /// Takes standard error.
    pub stderr: File,
    /// Takes the order of their pieces.
    pub order: File,
}

impl OutputFiles {
    /// Makes the folder and the files, empty; out of [what was made ahead](crate::make_ahead), if
    /// anything was.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub fn create(folder: &Path) -> io::Result<Self> {
        take_ahead(folder)?;
        Ok(Self {
            stdout: File::create(stream_file(folder, StreamKind::Stdout))?,
            stderr: File::create(stream_file(folder, StreamKind::Stderr))?,
            order: File::create(order_file(folder))?,
        })
    }
}

/// What a sandbox notes of a command's end, below an execution's folder.
pub fn end_file(folder: &Path) -> PathBuf {
    folder.join("end")
}

/// The file of a stream, below an execution's folder.
pub fn stream_file(folder: &Path, stream: StreamKind) -> PathBuf {
    folder.join(match stream {
        StreamKind::Stdout => "stdout",
        StreamKind::Stderr => "stderr",
    })
}

/// How much of an execution's output is on disk; nothing of what has no files.
pub fn on_disk(folder: &Path) -> Written {
    let length = |stream| {
        let file = stream_file(folder, stream);
        file.metadata().map_or(0, |metadata| metadata.len())
    };
    Written { stdout: length(StreamKind::Stdout), stderr: length(StreamKind::Stderr) }
}

pub(crate) fn order_file(folder: &Path) -> PathBuf {
    folder.join("order.jsonl")
}
