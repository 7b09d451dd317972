//! A folder for the next execution, made when one has ended and nobody waits: making five inodes may take
//! a file system longer than all else that a short command needs of the host.
//!
//! It is a convenience that may be missing, half made, or taken by another process at any moment: who
//! takes it makes what it lacks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::stream::{StreamKind, end_file, order_file, stream_file};

/// Makes a folder with empty files, beside an execution's own `folder`, for the next one there. One
/// that is there already is left as it is.
///
/// # Errors
/// When it cannot be made whole. That does no harm.
pub fn make_ahead(folder: &Path) -> io::Result<()> {
    let ahead = place(folder);
    match fs::create_dir(&ahead) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    // Somebody may take it meanwhile, and goes on from what there is.
    for file in [
        stream_file(&ahead, StreamKind::Stdout),
        stream_file(&ahead, StreamKind::Stderr),
        order_file(&ahead),
        end_file(&ahead),
    ] {
        fs::File::create_new(file)?;
    }
    Ok(())
}

/// Makes an execution's folder, out of what was made ahead if that is there.
pub(crate) fn take_ahead(folder: &Path) -> io::Result<()> {
    if fs::rename(place(folder), folder).is_ok() {
        return Ok(());
    }
    // There is none, or the execution has its folder already.
    fs::create_dir_all(folder)
}

fn place(folder: &Path) -> PathBuf {
    folder.with_file_name(".ahead")
}
