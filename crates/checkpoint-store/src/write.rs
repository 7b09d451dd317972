//! Files that are there whole or not at all.

use std::fs::{self, DirEntry, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{StoreError, io_error};

/// A new file beside `path`, to be put in its place.
pub(crate) fn begin(path: &Path) -> Result<NamedTempFile, StoreError> {
    let folder = above(path);
    fs::create_dir_all(folder).map_err(io_error("make", folder))?;
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)
        .map_err(io_error("write in", folder))
}

/// The folder that something is in.
pub(crate) fn above(path: &Path) -> &Path {
    // A relative path of one name has an empty one.
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the names of files begin with that are being written.
pub(crate) const TEMPORARY: &str = ".new-";

/// Puts it there, so that the loss of power does not undo it.
pub(crate) fn finish(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_all().map_err(io_error("write", path))?;
    put(file, path)?;
    sync_folder(path)
}

/// Puts it there. The loss of power may undo that.
pub(crate) fn put(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.persist(path).map_err(|error| io_error("write", path)(error.error))?;
    Ok(())
}

/// Writes the whole of a file.
pub(crate) fn durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = begin(path)?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    finish(file, path)
}

/// Sees to it that what was put into the folder of `path` stays there.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = above(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(io_error("sync", folder))
}

/// What is in a folder; nothing when that is not there.
pub(crate) fn entries(folder: &Path) -> Result<Vec<DirEntry>, StoreError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect).map_err(io_error("list", folder)),
    }
}
