//! Whether there may be room to give back, so that nobody has to look who has nothing to do.
//!
//! The file `due` says so. Who gives room back renames it first, so that what is noted meanwhile stays
//! noted, and removes it when all is done: a death before that leaves it.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use crate::error::{StoreError, io_error};
use crate::index::packs;
use crate::write;

const DUE: &str = "due";
const BEGUN: &str = "due.begun";

/// Notes it, also behind what was removed: who gives room back may not have seen that. That this fails,
/// as on a disk that is full, is no failure of what was done.
pub(crate) fn note(root: &Path) {
    if let Err(error) = fs::write(root.join(DUE), "") {
        tracing::warn!(%error, "room is not given back by itself");
    }
}

/// Whether it was, or somebody died who wrote a pack.
pub(crate) fn is_noted(root: &Path) -> bool {
    let is_begun = |entry: &DirEntry| {
        entry.file_name().as_encoded_bytes().starts_with(write::TEMPORARY.as_bytes())
    };
    [DUE, BEGUN].iter().any(|name| root.join(name).exists())
        || write::entries(&packs(root)).is_ok_and(|entries| entries.iter().any(is_begun))
}

/// What was noted so far is being done.
pub(crate) fn begin(root: &Path) -> Result<(), StoreError> {
    let due = root.join(DUE);
    or_not_there(fs::rename(&due, root.join(BEGUN))).map_err(io_error("rename", due))
}

/// It is done.
pub(crate) fn end(root: &Path) -> Result<(), StoreError> {
    let begun = root.join(BEGUN);
    or_not_there(fs::remove_file(&begun)).map_err(io_error("remove", begun))
}

fn or_not_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
