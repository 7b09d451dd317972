//! In what two trees differ. Whole folders that are the same are skipped by their names.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ChunkId;
use crate::error::StoreError;
use crate::index::Chunks;
use crate::manifest::RootRecord;
use crate::restore::tree;
use crate::tree::{Entry, Kind};
use crate::walk::join;

/// Something in which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Where it is in the tree. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// In what.
    pub change: Change,
}

/// What became of something from one tree to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// Its content is another, or it is something else now.
    Modified,
    /// Its mode, owner or attributes are others.
    Metadata,
}

impl Change {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Modified => "modified",
            Self::Metadata => "metadata",
        }
    }
}

/// In what `to` differs from `from`, by path. Times alone are no difference.
pub(crate) fn between(
    chunks: &Chunks,
    from: &RootRecord,
    to: &RootRecord,
) -> Result<Vec<Difference>, StoreError> {
    let mut differences = Vec::new();
    let mut waiting = vec![(Vec::new(), Some(from.tree), Some(to.tree))];
    while let Some((folder, before, after)) = waiting.pop() {
        if before == after {
            continue;
        }
        let (before, after) = (entries(chunks, before)?, entries(chunks, after)?);
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        for name in names {
            let (before, after) = (before.get(name), after.get(name));
            let path = join(&folder, name);
            if let Some(change) = change(before, after) {
                let path = String::from_utf8_lossy(&path).into_owned();
                differences.push(Difference { path, change });
            }
            let within = (folder_of(before), folder_of(after));
            if within != (None, None) {
                waiting.push((path, within.0, within.1));
            }
        }
    }
    differences.sort();
    Ok(differences)
}

fn entries(chunks: &Chunks, id: Option<ChunkId>) -> Result<BTreeMap<Vec<u8>, Entry>, StoreError> {
    let found = id.map(|id| tree(chunks, &id)).transpose()?.unwrap_or_default();
    Ok(found.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
}

fn change(before: Option<&Entry>, after: Option<&Entry>) -> Option<Change> {
    let (before, after) = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => return Some(Change::Added),
        (Some(_), None) => return Some(Change::Removed),
        (Some(before), Some(after)) => (before, after),
    };
    let is_same = before.is_folder() && after.is_folder() || before.kind == after.kind;
    let meta = |entry: &Entry| (entry.meta.mode, entry.meta.uid, entry.meta.gid);
    if !is_same {
        Some(Change::Modified)
    } else if meta(before) != meta(after) || before.meta.xattrs != after.meta.xattrs {
        Some(Change::Metadata)
    } else {
        None
    }
}

const fn folder_of(entry: Option<&Entry>) -> Option<ChunkId> {
    match entry {
        Some(Entry { kind: Kind::Folder { tree }, .. }) => Some(*tree),
        _ => None,
    }
}
