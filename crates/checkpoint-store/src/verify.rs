//! Reading everything back.

use std::collections::HashMap;

use armor_core::id::CheckpointId;

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

/// Reads all chunks of checkpoints, each once.
pub(crate) fn checkpoints(chunks: &Chunks, manifests: &[Manifest]) -> Verified {
    let mut verified = Verified::default();
    let mut seen = HashMap::new();
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
    verified.chunks = seen.len() as u64;
    verified
}

/// Whether a tree is whole, by what was found of its chunks before.
fn whole(
    chunks: &Chunks,
    root: ChunkId,
    seen: &mut HashMap<ChunkId, bool>,
) -> Result<(), StoreError> {
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        let tree = tree(chunks, &id)?;
        seen.insert(id, true);
        for entry in tree.entries {
            match entry.kind {
                Kind::Folder { tree } => waiting.push(tree),
                Kind::File { pieces, .. } => {
                    for piece in pieces {
                        let Piece::Data { chunk, .. } = piece else { continue };
                        let is_whole =
                            *seen.entry(chunk).or_insert_with(|| chunks.read(&chunk).is_ok());
                        if !is_whole {
                            return Err(StoreError::Missing { chunk });
                        }
                    }
                }
                Kind::Link { .. } | Kind::Fifo => {}
            }
        }
    }
    Ok(())
}
