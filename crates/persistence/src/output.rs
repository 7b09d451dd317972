//! The output of a task's executions: as `armor-output` keeps it, with errors that say which folder.

use std::path::{Path, PathBuf};

use armor_core::sandbox::OutputChunk;
pub use armor_output::{Excerpt, Written, stream_file};
use armor_output::{OutputFiles, StreamKind};

use crate::StorageError;
use crate::error::io_error;

/// Takes a command's output as it comes.
#[derive(Debug)]
pub struct OutputWriter {
    writer: armor_output::OutputWriter,
    folder: PathBuf,
}

impl OutputWriter {
    /// Makes the execution's folder. Of each stream, `keep` bytes and the end are kept.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be made.
    pub fn create(folder: &Path, keep: u64) -> Result<Self, StorageError> {
        let files = OutputFiles::create(folder).map_err(io_error("make the files in", folder))?;
        let writer = armor_output::OutputWriter::new(files, keep);
        Ok(Self { writer, folder: folder.to_owned() })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, chunk: &OutputChunk) -> Result<(), StorageError> {
        let written = self.writer.write(chunk.stream, &chunk.bytes);
        written.map_err(io_error("write to the files in", &self.folder))
    }

    /// Completes the files and says how much was written.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(self) -> Result<Written, StorageError> {
        self.writer.finish().map_err(io_error("write to the files in", self.folder))
    }
}

/// Reads a stream for a caller who gets at most `limit` bytes: [`armor_output::excerpt`].
///
/// # Errors
/// When the file cannot be read.
pub fn excerpt(file: &Path, limit: u64, where_to_read: &str) -> Result<Excerpt, StorageError> {
    armor_output::excerpt(file, limit, where_to_read).map_err(io_error("read", file))
}

/// Reads what was kept of an execution's output, in the order in which it came.
///
/// # Errors
/// When a file cannot be read, or `each` returns an error.
pub fn replay(
    folder: &Path,
    each: &mut dyn FnMut(StreamKind, &[u8]) -> std::io::Result<()>,
) -> Result<(), StorageError> {
    armor_output::replay(folder, each).map_err(io_error("read the output in", folder))
}
