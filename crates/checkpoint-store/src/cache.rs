//! What is known of files that were read before, so that one which has not changed since is not read
//! again. It is a file a tree, by its task and name; losing it costs time, nothing else.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use armor_core::id::TaskId;
use rustix::fs::Statx;
use serde::{Deserialize, Serialize};

use crate::error::{StoreError, io_error};
use crate::tree::{Entry, Moment};
use crate::{seal, write};

/// What the kernel tells of a file that changes with its content, its metadata or its identity. The
/// time of the last change (`ctime`) cannot be set by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    inode: u64,
    size: u64,
    blocks: u64,
    mode: u16,
    links: u32,
    mtime: Moment,
    ctime: Moment,
}

impl Fingerprint {
    pub(crate) fn of(stat: &Statx) -> Self {
        Self {
            inode: stat.stx_ino,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            mode: stat.stx_mode,
            links: stat.stx_nlink,
            mtime: Moment::of(stat.stx_mtime),
            ctime: Moment::of(stat.stx_ctime),
        }
    }

    /// Whether a later change would show. The clock of a file system stands still for a few
    /// milliseconds: of two changes within those, the second does not.
    pub(crate) fn is_settled(&self, since: Moment) -> bool {
        self.ctime < since
    }
}

/// The files of a tree that were read, by folder and name.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    folders: HashMap<Vec<u8>, Vec<Known>>,
}

/// What is known of a tree now, to be kept for the next time.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// The file to keep it in.
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) folders: Vec<(Vec<u8>, Vec<Known>)>,
}

impl Fresh {
    pub(crate) fn keep(self) -> Result<(), StoreError> {
        let Self { path, device, folders } = self;
        let bytes = seal::seal(&Kept { format: FORMAT, device, folders }, &path)?;
        let mut file = write::begin(&path)?;
        file.write_all(&bytes).map_err(io_error("write", &path))?;
        write::put(file, &path)
    }
}

/// A file as it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) entry: Entry,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    device: u64,
    folders: Vec<(Vec<u8>, Vec<Known>)>,
}

const FORMAT: u32 = 1;

impl Cache {
    /// What was kept of a tree on that device; nothing when that cannot be read.
    pub(crate) fn load(path: &Path, device: u64) -> Self {
        let kept = fs::read(path).ok().and_then(|bytes| seal::open::<Kept>(&bytes));
        let kept = kept.filter(|kept| kept.format == FORMAT && kept.device == device);
        let folders = kept.map(|kept| kept.folders.into_iter().collect());
        Self { folders: folders.unwrap_or_default() }
    }

    /// What is known of the files of a folder.
    pub(crate) fn folder(&self, path: &[u8]) -> &[Known] {
        self.folders.get(path).map_or(&[], Vec::as_slice)
    }
}

/// The file of that name, if it is as it was.
pub(crate) fn unchanged<'a>(
    known: &'a [Known],
    name: &[u8],
    fingerprint: &Fingerprint,
) -> Option<&'a Entry> {
    let at = known.binary_search_by(|known| known.entry.name.as_slice().cmp(name)).ok()?;
    known.get(at).filter(|known| known.fingerprint == *fingerprint).map(|known| &known.entry)
}

/// The folder with what is known of a task's trees, by their names.
pub(crate) fn caches(root: &Path, task: &TaskId) -> PathBuf {
    root.join("caches").join(task.as_str())
}
