//! The output of a task's executions: as `armor-output` keeps it, with errors that say which folder.

use std::path::Path;

use armor_output::StreamKind;
pub use armor_output::{Excerpt, Tail, on_disk, stream_file};

use crate::StorageError;
use crate::error::io_error;

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
