//! Reading everything back.

use std::collections::{HashMap, HashSet};

use armor_core::id::CheckpointId;

use crate::damage::Damaged;
use crate::index::Chunks;
use crate::manifest::Manifest;
use crate::restore::tree;
use crate::tree::{Kind, Piece};
use crate::{ChunkId, StoreError};

/// What was found out about checkpoints.
#[derive(Debug, Default)]
pub struct Verified {
    /// Checkpoints that are whole.
    pub whole: Vec<CheckpointId>,
    /// What is wrong, as far as it goes.
    pub findings: Vec<Finding>,
    /// Chunks that were read.
    pub chunks: u64,
}

/// Something that is wrong.
#[derive(Debug)]
pub enum Finding {
    /// A file of the store, and with it what nobody else has.
    File(StoreError),
    /// A checkpoint of which something is missing.
    Checkpoint {
        /// Which.
        checkpoint: CheckpointId,
        /// What is missing first.
        first: StoreError,
    },
}

/// Reads all chunks of checkpoints, each once, with all copies of it. Says, too, which copies are
/// damaged, as it turns out now, of those that were `known` to be.
pub(crate) fn checkpoints(
    chunks: &Chunks,
    manifests: &[Manifest],
    known: Damaged,
) -> (Verified, Damaged) {
    let mut verified = Verified::default();
    let mut seen = Seen::default();
    for manifest in manifests {
        let mut roots = manifest.roots.iter();
        let whole = roots.try_for_each(|root| whole(chunks, root.tree, &mut seen));
        match whole {
            Ok(()) => verified.whole.push(manifest.id.clone()),
            Err(first) => verified
                .findings
                .push(Finding::Checkpoint { checkpoint: manifest.id.clone(), first }),
        }
    }
    verified.chunks = seen.chunks.len() as u64;
    let not_read = known.into_iter().filter(|(_, chunk)| !seen.chunks.contains_key(chunk));
    let damaged = not_read.chain(chunks.found()).collect();
    (verified, damaged)
}

/// What was found out so far.
#[derive(Default)]
struct Seen {
    /// Whether a chunk can be read.
    chunks: HashMap<ChunkId, bool>,
    /// The folders of which everything can be read. A file may hold what a folder's chunk does.
    folders: HashSet<ChunkId>,
}

impl Seen {
    fn check(&mut self, chunks: &Chunks, chunk: ChunkId) -> Result<(), StoreError> {
        let is_whole = *self.chunks.entry(chunk).or_insert_with(|| chunks.check(&chunk).is_ok());
        if is_whole { Ok(()) } else { Err(StoreError::Missing { chunk }) }
    }
}

/// Whether a tree is whole, by what was found of its chunks before.
fn whole(chunks: &Chunks, root: ChunkId, seen: &mut Seen) -> Result<(), StoreError> {
    let mut waiting = vec![root];
    let mut folders = HashSet::new();
    while let Some(id) = waiting.pop() {
        if seen.folders.contains(&id) || !folders.insert(id) {
            continue;
        }
        seen.check(chunks, id)?;
        for entry in tree(chunks, &id)?.entries {
            match entry.kind {
                Kind::Folder { tree } => waiting.push(tree),
                Kind::File { pieces, .. } => {
                    for piece in pieces {
                        if let Piece::Data { chunk, .. } = piece {
                            seen.check(chunks, chunk)?;
                        }
                    }
                }
                Kind::Link { .. } | Kind::Fifo => {}
            }
        }
    }
    seen.folders.extend(folders);
    Ok(())
}
