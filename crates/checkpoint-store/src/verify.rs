//! Reading everything back.

use std::collections::{HashMap, HashSet};

use armor_core::id::CheckpointId;

use crate::damage::Damaged;
use crate::index::Chunks;
use crate::manifest::Manifest;
use crate::restore::tree;
use crate::tree::{Kind, Piece, Tree};
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
        // All are looked at: what is known to be damaged can be kept again.
        let looked_at = manifest.roots.iter().map(|root| whole(chunks, root.tree, &mut seen));
        match looked_at.fold(Ok(()), Result::and) {
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
    let (mut folders, mut whole) = (HashSet::new(), Ok(()));
    while let Some(id) = waiting.pop() {
        if seen.folders.contains(&id) || !folders.insert(id) {
            continue;
        }
        let found = seen.check(chunks, id).and_then(|()| tree(chunks, &id));
        let Tree { entries } = match found {
            Ok(tree) => tree,
            Err(error) => {
                whole = whole.and(Err(error));
                continue;
            }
        };
        for entry in entries {
            match entry.kind {
                Kind::Folder { tree } => waiting.push(tree),
                Kind::File { pieces, .. } => {
                    for piece in pieces {
                        if let Piece::Data { chunk, .. } = piece {
                            whole = whole.and(seen.check(chunks, chunk));
                        }
                    }
                }
                Kind::Link { .. } | Kind::Fifo => {}
            }
        }
    }
    if whole.is_ok() {
        seen.folders.extend(folders);
    }
    whole
}
