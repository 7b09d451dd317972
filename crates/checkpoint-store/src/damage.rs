//! Copies of chunks that turned out not to be what their names say.
//!
//! The file `damaged` has a line for each: the pack's name, a space, the chunk's. Nobody counts on such a
//! copy: other copies are read first, and what is taken in is kept again. Who finds one adds a line, who
//! reads all of it back (`Store::verify`) writes the file anew. It is no harm when a line is lost: then
//! the copy is found once more.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{StoreError, io_error};
use crate::pack::PackId;
use crate::{ChunkId, write};

/// Copies that are damaged, by their packs.
pub(crate) type Damaged = HashSet<(PackId, ChunkId)>;

fn file(root: &Path) -> PathBuf {
    root.join("damaged")
}

/// Those that are known; none when the file cannot be read.
pub(crate) fn load(root: &Path) -> Damaged {
    let text = match fs::read(file(root)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Damaged::default(),
        Err(error) => {
            tracing::warn!(%error, "it is found once more what is damaged");
            return Damaged::default();
        }
        Ok(text) => text,
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter_map(|line| {
        let (pack, chunk) = line.split_once(' ')?;
        Some((pack.parse().ok()?, chunk.parse().ok()?))
    });
    lines.collect()
}

/// Adds one.
pub(crate) fn note(root: &Path, pack: &PackId, chunk: &ChunkId) {
    let noted = OpenOptions::new().create(true).append(true).open(file(root));
    let noted = noted.and_then(|mut file| {
        // In one piece, since others may add theirs at the same time.
        file.write_all(format!("{pack} {chunk}\n").as_bytes())
    });
    if let Err(error) = noted {
        tracing::warn!(%error, %chunk, "it is damaged, and that is not noted");
    }
}

/// Writes down that it is these.
pub(crate) fn keep(root: &Path, damaged: &Damaged) {
    if let Err(error) = try_to_keep(root, damaged) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "what is damaged is not written down");
    }
}

fn try_to_keep(root: &Path, damaged: &Damaged) -> Result<(), StoreError> {
    let path = file(root);
    if damaged.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", path)(error))
            }
            _ => Ok(()),
        };
    }
    let mut lines = Vec::new();
    for (pack, chunk) in damaged {
        writeln!(lines, "{pack} {chunk}").map_err(io_error("write", &path))?;
    }
    write::durably(&path, &lines)
}

/// Takes away what was said of packs that are gone or were written again.
pub(crate) fn clear(root: &Path, mut is_over: impl FnMut(&PackId) -> bool) {
    let mut damaged = load(root);
    let before = damaged.len();
    damaged.retain(|(pack, _)| !is_over(pack));
    if damaged.len() != before {
        keep(root, &damaged);
    }
}
